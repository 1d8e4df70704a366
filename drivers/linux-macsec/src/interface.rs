//! A MACsec interface, reached over two netlink sockets.

use crate::proto::{self, Change, Direction, ProtoError, Secy};
use qkd_driver_kit::link::{
    Disclosure,
    datagram::{DatagramLink, Datagrams},
    netlink::{self, Access, NetlinkSocket, parts},
};
use qkd_hal::{DeviceMisbehaved, Effect, Error, ErrorKind, Operation, Result};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Attempts at a dump during which the interface does not change.
const DUMPS: usize = 5;

/// An interface. Each request has its own deadline.
pub(crate) struct Interface {
    route: NetlinkSocket,
    generic: NetlinkSocket,
    name: String,
    family: u16,
    deadline: Duration,
}

/// The socket of a request.
#[derive(Clone, Copy)]
enum Socket {
    Route,
    Generic,
}

fn refused(error: ProtoError, name: &str) -> Error {
    let (kind, what) = match error {
        ProtoError::Errno(1 | 13) => (
            ErrorKind::Authentication,
            "the kernel does not permit it: the process needs CAP_NET_ADMIN in the network \
             namespace of the interface"
                .to_owned(),
        ),
        ProtoError::Errno(19) => (
            ErrorKind::NotFound,
            format!("there is no interface `{name}`, or it has no such channel or association"),
        ),
        ProtoError::Errno(_) => (
            ErrorKind::Refused,
            format!("the kernel refused a request for interface `{name}`"),
        ),
        ProtoError::Interrupted => (
            ErrorKind::Busy,
            format!("interface `{name}` changes each time it is read: repeat"),
        ),
        other => {
            return Error::misbehaved(DeviceMisbehaved::UnexpectedReply, other.to_string());
        }
    };
    match error {
        ProtoError::Errno(number) => Error::new(kind, what).with_vendor_code(number.to_string()),
        _ => Error::new(kind, what),
    }
}

impl Interface {
    /// Finds the family of generic netlink, which has its number only while the module is loaded.
    pub(crate) async fn open(
        route: Arc<dyn DatagramLink>,
        generic: Arc<dyn DatagramLink>,
        name: String,
        deadline: Duration,
    ) -> Result<Self> {
        let mut interface = Self {
            route: NetlinkSocket::new(route),
            generic: NetlinkSocket::new(generic),
            name,
            family: 0,
            deadline,
        };
        let answer = interface
            .exchange(
                Operation::Channels.name(),
                Socket::Generic,
                |sequence| netlink::encode_get_family(sequence, proto::FAMILY_NAME),
                Access::Read,
                interface.until(),
            )
            .await?;
        interface.family = netlink::decode_family(parts(&answer)).map_err(|error| match error {
            ProtoError::Errno(2) => Error::unsupported(
                "open",
                "the kernel has no MACsec: load its module (`modprobe macsec`)",
            ),
            other => refused(other, &interface.name),
        })?;
        Ok(interface)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn until(&self) -> Instant {
        Instant::now() + self.deadline
    }

    pub(crate) async fn close(&self) {
        self.route.close().await;
        self.generic.close().await;
    }

    async fn exchange(
        &self,
        operation: &'static str,
        socket: Socket,
        encode: impl FnOnce(u32) -> Zeroizing<Vec<u8>> + Send,
        access: Access,
        until: Instant,
    ) -> Result<Datagrams> {
        let (socket, disclosure) = match socket {
            // Links have no keys.
            Socket::Route => (&self.route, Disclosure::Public),
            Socket::Generic => (&self.generic, Disclosure::Secret(proto::secrets)),
        };
        socket
            .exchange(operation, encode, disclosure, access, until)
            .await
    }

    /// Reads the interface. Its index is asked for each time: an interface that was made again has
    /// another one.
    pub(crate) async fn read(&self, operation: Operation, until: Instant) -> Result<Secy> {
        let operation = operation.name();
        let fail = |error| refused(error, &self.name);
        let encode = |sequence| proto::encode_get_link(sequence, &self.name);
        let answer = self
            .exchange(operation, Socket::Route, encode, Access::Read, until)
            .await?;
        let link = proto::decode_link(parts(&answer))
            .map_err(fail)?
            .ok_or_else(|| {
                Error::invalid(format!(
                    "interface `{}` is not of type macsec: make one with `ip link add link <port> \
                 {} type macsec`",
                    self.name, self.name
                ))
            })?;
        for attempt in 1.. {
            let encode = |sequence| proto::encode_dump(self.family, sequence);
            let answer = self
                .exchange(operation, Socket::Generic, encode, Access::Read, until)
                .await?;
            match proto::decode_dump(parts(&answer), link) {
                Err(ProtoError::Interrupted) if attempt < DUMPS => {}
                Ok(Some(secy)) => return Ok(secy),
                Ok(None) => break,
                Err(error) => return Err(fail(error)),
            }
        }
        // It was deleted in between.
        Err(fail(ProtoError::Errno(19)))
    }

    /// Changes an association. The error of a refusal has the effect `None`.
    pub(crate) async fn change(
        &self,
        operation: Operation,
        index: u32,
        direction: Direction,
        number: u8,
        change: &Change<'_>,
        until: Instant,
    ) -> Result<()> {
        let encode = |sequence| {
            proto::encode_change(self.family, sequence, index, direction, number, change)
        };
        let answer = self
            .exchange(
                operation.name(),
                Socket::Generic,
                encode,
                Access::Change,
                until,
            )
            .await?;
        self.check(&answer)
    }

    /// Selects the association that sends.
    pub(crate) async fn set_encoding(
        &self,
        operation: Operation,
        index: u32,
        number: u8,
        until: Instant,
    ) -> Result<()> {
        let encode = |sequence| proto::encode_set_encoding(sequence, index, number);
        let answer = self
            .exchange(
                operation.name(),
                Socket::Route,
                encode,
                Access::Change,
                until,
            )
            .await?;
        self.check(&answer)
    }

    fn check(&self, answer: &Datagrams) -> Result<()> {
        proto::decode_change(parts(answer)).map_err(|error| {
            let effect = match error {
                ProtoError::Errno(_) => Effect::None,
                _ => Effect::Unknown,
            };
            refused(error, &self.name).with_effect(effect)
        })
    }
}
