//! The three servers of one end, and the connections to them.
//!
//! `mon` serves each client in a thread of its own, so one connection stays open. `hw` and `hws`
//! serve one client after another: each command uses a connection of its own, ended by the empty
//! command, so that other clients do not wait.

use crate::proto::{self, HwCommand, HwsCommand, MonCommand, Outcome, ProtoError, decode_hws};
use qkd_driver_kit::{
    OpenContext,
    context::MEMORY_TRANSPORT,
    link::{
        Disclosure,
        bytes::{ByteLink, Exchange, Frame},
        query::{QueryError, query},
        stream::{Resync, StreamOptions},
    },
};
use qkd_hal::{DeviceMisbehaved, DeviceUri, Effect, Error, ErrorKind, Result, event::EventHub};
use std::{sync::Arc, time::Duration};

/// Where the servers are.
pub(crate) struct QlineTransport {
    context: OpenContext,
    mon: Arc<dyn ByteLink>,
    hw: (DeviceUri, u16),
    hws: (DeviceUri, u16),
    deadline: Duration,
    /// Within which each command of `hws` ends.
    pub(crate) calibration: Duration,
}

/// Whether a command changes the device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Reads,
    Changes,
}

fn error(unanswered: QueryError<ProtoError>, command: &str, does: Does) -> Error {
    match unanswered {
        QueryError::Link(e) if does == Does::Changes => e.into_change_error("command"),
        QueryError::Link(e) => e.into_read_error("query"),
        QueryError::Reply(e) => {
            let what = if matches!(e, ProtoError::Unexpected(_)) {
                DeviceMisbehaved::ReplyForAnotherRequest
            } else {
                DeviceMisbehaved::UnexpectedReply
            };
            let effect = if does == Does::Changes {
                Effect::Unknown
            } else {
                Effect::None
            };
            Error::misbehaved(what, format!("`{command}`: {e}")).with_effect(effect)
        }
    }
}

impl QlineTransport {
    pub(crate) async fn open(
        uri: &DeviceUri,
        context: &OpenContext,
        deadline: Duration,
        calibration: Duration,
        events: EventHub,
    ) -> Result<Self> {
        let port = |name: &str, default: u16| {
            uri.parse_parameter(name, "a port")
                .map(|p| p.unwrap_or(default))
        };
        let (hw, hws) = (
            port("hw-port", proto::HW_PORT)?,
            port("hws-port", proto::HWS_PORT)?,
        );
        let mon = context
            .byte_link(uri, proto::MON_PORT, None, options(events))
            .await?;
        let other = |server: &str, port: u16| -> Result<(DeviceUri, u16)> {
            // In memory, each server is an endpoint of its own.
            let at = if uri.transport() == MEMORY_TRANSPORT {
                format!("{}-{server}", uri.host())
            } else {
                bracketed(uri.host())
            };
            Ok((
                format!("{}+{}://{at}", uri.driver(), uri.transport()).parse::<DeviceUri>()?,
                port,
            ))
        };
        Ok(Self {
            context: context.clone(),
            mon,
            hw: other("hw", hw)?,
            hws: other("hws", hws)?,
            deadline,
            calibration,
        })
    }

    /// A query of `mon`.
    pub(crate) async fn observe<T>(
        &self,
        command: MonCommand,
        decode: impl Fn(&[u8]) -> Result<T, ProtoError> + Clone + Send + 'static,
    ) -> Result<T> {
        let exchange = Exchange::new("mon", command.encode(), self.deadline)
            .reply(
                move |seen| proto::frame(command.reply(), seen),
                Disclosure::Public,
            )
            .read_only();
        query(self.mon.as_ref(), exchange, decode)
            .await
            .map_err(|e| error(e, command.keyword(), Does::Reads))
    }

    /// Sends a setting of `hw`. It has no reply; the driver can only observe that the server
    /// accepted the empty command after it and closed the connection.
    pub(crate) async fn set(&self, command: &HwCommand) -> Result<()> {
        let request = command
            .encode()
            .map_err(|e| Error::invalid(e.to_string()))?;
        let link = self
            .context
            .byte_link(&self.hw.0, self.hw.1, None, options(EventHub::new(1)))
            .await?;
        // The empty command goes in the same write: a length of 0.
        let request = [request, vec![0, 0]].concat();
        let exchange = Exchange::new("hw", request, self.deadline)
            .reply(|_: &[u8]| Frame::Incomplete, Disclosure::Public);
        let outcome = link.exchange(exchange).await;
        link.close().await;
        match outcome {
            Err(e) if e.ended => Ok(()),
            Err(e) => Err(e.into_change_error("set")),
            Ok(_) => Err(
                Error::new(ErrorKind::Internal, "a frame that never ends has ended")
                    .with_effect(Effect::Unknown),
            ),
        }
    }

    /// A command of `hws`.
    pub(crate) async fn command(&self, command: &HwsCommand) -> Result<Outcome> {
        let request = command
            .encode()
            .map_err(|e| Error::invalid(e.to_string()))?;
        let link = self
            .context
            .byte_link(&self.hws.0, self.hws.1, None, options(EventHub::new(1)))
            .await?;
        let (framed, decoded) = (command.clone(), command.clone());
        let exchange = Exchange::new("hws", request, self.calibration).reply(
            move |seen: &[u8]| -> Frame { framed.frame(seen) },
            Disclosure::Public,
        );
        let outcome = query(link.as_ref(), exchange, move |reply| {
            decode_hws(&decoded, reply)
        })
        .await
        .map_err(|e| error(e, &command.keyword(), Does::Changes));
        // The empty command; if it is lost, the server sees the connection end.
        let _ = link
            .exchange(Exchange::new("hws", vec![0], self.deadline).read_only())
            .await;
        link.close().await;
        outcome
    }

    pub(crate) async fn close(&self) {
        self.mon.close().await;
    }
}

fn options(events: EventHub) -> StreamOptions {
    StreamOptions::new(Resync::Reconnect, events).reply_limit(proto::PICTURE_LIMIT + 1024)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}
