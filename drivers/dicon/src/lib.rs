#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use device::{gp600, mems};
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Probe, Transport, UriParameter, Verification, VerificationScope},
    link::stream::Resync,
    switching::TransportConfig,
};
use qkd_hal::{Assumption, DeviceKind, DeviceMisbehaved, DeviceUri, Error, Maturity, Result};
use qkd_switch_hal::Geometry;
use std::time::Duration;

/// Protocol facts that this driver infers. No operation that changes the switch rests on one.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption::declare(
        "dicon.off-reads-zero",
        "The MEMS module answers `I1?` with 0 when its common port meets no channel.",
    )
    .source(
        "public drivers set channel 0 for off (public archive id:34245833664); none shows \
            the reading",
    )
    .disproof("A parked module answers something else.")
    .operations(&[]),
    Assumption::declare(
        "dicon.parameters-read-as-written",
        "The GP600 answers `X1 W?` with a number of nm, and `WEN?` with 0 or 1.",
    )
    .source(
        "the commands that set them take these (PyPI autosweep 0.1.0); the replies are not \
            shown",
    )
    .disproof("Reading the parameter `wavelength` or `auto-save` answers Misbehaved.")
    .operations(&[]),
];

/// The largest side of a matrix that is believed.
const MAX_MATRIX_SIZE: u32 = 1_024;

/// Silence after the reply to the sentinel, during which a second reply is discarded. The response
/// time is not public; at 115200 baud a line takes a few milliseconds.
const SILENCE: Duration = Duration::from_millis(300);

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "dicon",
    version: env!("CARGO_PKG_VERSION"),
    family: "DiCon MEMS 1xN module, GP600 matrix",
    vendor: "DiCon Fiberoptics",
    kinds: &[DeviceKind::OpticalSwitch],
    transports: &[
        Transport {
            name: "serial",
            example: "dicon+serial:///dev/ttyUSB0?model=mems",
        },
        Transport {
            name: "tcp",
            example: "dicon+tcp://192.0.2.7:10001?model=gp600",
        },
    ],
    maturity: Maturity::Emulated,
    evidence: &[Verification {
        of: VerificationScope::Emulator,
        what: "this repository's emulator, in memory, on PTYs and over TCP; PyPI autosweep 0.1.0 \
            drives that emulator's GP600",
    }],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "MEMS: error replies, the first field of `CF?`, position after power-up, the \
         switching time",
        "GP600: the speed of its RS-232 port: baud= must be given there",
        "GP600: error numbers other than 0, the length of the error queue, the form of the list of \
         wavelengths",
        "GP600: what connecting an output in use does: plans remove first, so it is never asked",
        "the MXS-9100 speaks another language, and is not driven",
    ],
    parameters: &[
        UriParameter {
            name: "model",
            help: "mems (serial) or gp600 (TCP, or serial with baud=)",
            required: true,
        },
        UriParameter {
            name: "baud",
            help: "speed of the serial line; MEMS default 115200, GP600 none: it is not public",
            required: false,
        },
    ],
    probes: &[Probe::Bytes {
        transport: "tcp",
        at: 10_001,
        send: b"*IDN?\r",
        expect: "dicon",
    }],
    resynchronises: "TCP: a new connection. Serial: the identification until this very device's, \
        then quiet for 300 ms; no other query is answered by such a line.",
};

/// The driver for DiCon switches.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiconDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> DiconDriver {
    DiconDriver
}

async fn open_mems(uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
    if matches!(uri.transport(), "tcp" | "unix") {
        return Err(Error::invalid("model=mems is on a serial line"));
    }
    let wire = TransportConfig::new(Resync::Sentinel(SILENCE)).serial(proto::mems::BAUD, false);
    let wire = wire.identity_probe(proto::mems::IDENTIFY, |reply| {
        proto::mems::decode_identify(reply).ok()
    });
    let line = wire.open(&INFO, uri, context).await?;
    let channels = line
        .call()
        .query(
            "size",
            proto::mems::CONFIGURATION,
            proto::mems::decode_configuration,
        )
        .await?;
    if !(1..=MAX_MATRIX_SIZE).contains(&channels) {
        return Err(Error::misbehaved(
            DeviceMisbehaved::ValueOutOfRange,
            format!("the switch says that it has {channels} channels"),
        ));
    }
    line.switch(mems::MemsSwitch {
        geometry: Geometry::OneByN {
            channels,
            dark: true,
        },
    })
    .await
}

async fn open_gp600(uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
    let serial = uri.transport() == "serial";
    let baud = uri.parse_parameter("baud", "a line speed, such as 9600")?;
    let wire = TransportConfig::new(if serial {
        Resync::Sentinel(SILENCE)
    } else {
        Resync::Reconnect
    })
    .tcp(proto::gp600::TCP_PORT);
    let wire = match (serial, baud) {
        (true, None) => {
            return Err(Error::invalid(
                "the speed of a GP600's RS-232 port is not public: give baud=",
            ));
        }
        (_, Some(baud)) => wire.serial(baud, false),
        (false, None) => wire,
    };
    let wire = wire.identity_probe(proto::gp600::IDENTIFY, |reply| {
        let identity = gp600::identity_of(&proto::gp600::decode_identify(reply).ok()?)?;
        Some(format!(
            "{} {}, serial {}",
            identity.vendor, identity.model?, identity.serial?
        ))
    });
    let line = wire.open(&INFO, uri, context).await?;
    let call = line.call();
    let configuration = call
        .query(
            "configuration",
            proto::gp600::CONFIGURATION,
            proto::gp600::decode_text,
        )
        .await?;
    if configuration != "X1" {
        return Err(Error::unsupported(
            "open",
            format!(
                "the switch is configured as {configuration}, and only X1 (one matrix) has a \
                 public protocol"
            ),
        ));
    }
    let (inputs, outputs) = call
        .query("size", proto::gp600::SIZE, proto::gp600::decode_size)
        .await?;
    if [inputs, outputs]
        .iter()
        .any(|n| !(1..=MAX_MATRIX_SIZE).contains(n))
    {
        return Err(Error::misbehaved(
            DeviceMisbehaved::ValueOutOfRange,
            format!("the switch says that it is {inputs}x{outputs}"),
        ));
    }
    line.switch(gp600::Gp600 { inputs, outputs }).await
}

#[async_trait]
impl Driver for DiconDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    fn default_port(&self, uri: &DeviceUri) -> Option<u16> {
        (uri.transport() == "tcp").then_some(proto::gp600::TCP_PORT)
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        match uri.parameter("model") {
            Some("mems") => open_mems(uri, context).await,
            Some("gp600") => open_gp600(uri, context).await,
            _ => Err(Error::invalid("model= takes mems or gp600")),
        }
    }
}
