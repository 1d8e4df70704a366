//! The daemon as a device: identity, health and telemetry.

use crate::{connection::Connection, counts::Counts, daemon::Daemon};
use async_trait::async_trait;
use qkd_driver_kit::change_lock::ChangeLock;
use qkd_hal::{
    Capabilities, Descriptor, Device, Error, ErrorKind, EventStream, Health, Identity, Operation,
    Result,
    encryptor::{
        ConfirmationBasis, EncryptorCapabilities, Hitless, KeyForm, KeyIdForm, KeyRole, KeySizes,
        PolicyOwner,
    },
    event::EventHub,
    reading::{Reading, ReadingValue as Measure},
    text::printable,
    units::Bits,
};

/// Bits of the shortest PPK: RFC 8784 asks for at least 256 bit of entropy.
const LEAST_KEY: Bits = Bits(256);
/// Bits of the longest PPK that this driver sends.
const MOST_KEY: Bits = Bits(512);
/// Characters of the longest id. The name of the connection is a part of it, and a name has at most
/// 255 bytes.
pub(crate) const MOST_ID: u8 = 128;

/// Characters of a name or version of the daemon. A value of VICI may have any byte.
const MAX_SHOWN: usize = 80;

/// One connection of a strongSwan daemon.
pub struct StrongSwan {
    descriptor: Descriptor,
    capabilities: Capabilities,
    pub(crate) encryptor: EncryptorCapabilities,
    pub(crate) daemon: Daemon,
    pub(crate) connection: Connection,
    pub(crate) counts: Counts,
    pub(crate) turns: ChangeLock,
    events: EventHub,
}

fn declare() -> EncryptorCapabilities {
    let sizes = KeySizes::Within {
        least: LEAST_KEY,
        most: MOST_KEY,
    };
    let form = KeyForm::new(KeyRole::Ppk, sizes, KeyIdForm::Text { most: MOST_ID });
    let hitless = Hitless::no(
        "the association before carries traffic until the new one is established; packets under \
         way at the change may be lost: measured on charon 5.9.8 with kernel-libipsec, 5 of 2,854 \
         packets in 20 rolls",
    );
    EncryptorCapabilities::make_before_break(form, hitless)
        .with_evidence(ConfirmationBasis::KeyOnly)
        .with_policies(PolicyOwner::ByController, PolicyOwner::ByDevice)
}

impl StrongSwan {
    pub(crate) async fn open(
        descriptor: Descriptor,
        daemon: Daemon,
        connection: Connection,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        // Reads the associations once: the daemon must know the command and its events.
        daemon.call(Op::Channel).associations().await?;
        Ok(Self {
            descriptor,
            // The daemon reports no health: one that answers is healthy.
            capabilities: Capabilities::none().with_emulated(&[Op::Health]).with(&[
                Op::Identity,
                Op::Telemetry,
                Op::Channels,
                Op::Channel,
                Op::Stage,
                Op::Activate,
                Op::Confirm,
                Op::Retire,
                Op::Zeroize,
                Op::Counters,
            ]),
            encryptor: declare(),
            daemon,
            connection,
            counts: Counts::default(),
            turns: ChangeLock::default(),
            events,
        })
    }
}

#[async_trait]
impl Device for StrongSwan {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        let call = self.daemon.call(Operation::Identity);
        let reply = call.read("version", &[]).await?.response;
        let Some(daemon) = reply.text("daemon") else {
            return Err(Error::new(
                ErrorKind::IdentityChanged,
                "the process that answers is not a strongSwan daemon: its version names none",
            ));
        };
        let mut identity = Identity::new("strongSwan").with_model(printable(daemon, MAX_SHOWN));
        if let Some(version) = reply.text("version") {
            identity = identity.with_firmware(printable(version, MAX_SHOWN));
        }
        Ok(identity)
    }

    async fn health(&self) -> Result<Health> {
        let call = self.daemon.call(Operation::Health);
        call.read("version", &[]).await?;
        Ok(Health::ok())
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let call = self.daemon.call(Operation::Telemetry);
        let reply = call.read("stats", &[]).await?.response;
        let mut all = Vec::new();
        for (section, value, name) in [
            ("ikesas", "total", "ike-associations"),
            ("ikesas", "half-open", "ike-associations.half-open"),
            ("workers", "idle", "workers.idle"),
        ] {
            let number = reply.section(section).and_then(|s| s.number(value));
            all.extend(number.map(|n| Reading::now(name, Measure::Count(n), "")));
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.daemon.link().close().await;
        self.events.close();
        Ok(())
    }
}
