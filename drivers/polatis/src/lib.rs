#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod interface;
pub mod product;
pub mod scpi;
pub mod snmp;
#[cfg(test)]
mod tests;
pub mod tl1;

pub use device::Polatis;

use async_trait::async_trait;
use interface::Interface;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    context::SerialSettings,
    driver_info::{Probe, Transport, UriParameter, Verification, VerificationScope},
    link::snmp_client::SnmpClient,
};
use qkd_hal::{
    Assumption, DeviceKind, DeviceUri, Error, Maturity, Operation, Result, event::EventHub,
};
use std::sync::Arc;

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption::declare(
        "polatis.error-codes-scpi99",
        "Error numbers follow SCPI-99; any number but 0 means that the command was \
                    refused.",
    )
    .source(
        "PyPI cloudshell-cli 6.0.0 scpi_session.py takes 0 for no error and numbers below \
                 for errors; SCPI-99, 21.8.2",
    )
    .disproof("A set command that took effect is answered by another number than 0.")
    .operations(&[]),
    Assumption::declare(
        "polatis.serial-38400",
        "The serial console runs at 38400 8N1, takes CR LF and answers with CR.",
    )
    .source(
        "one third-party README (public archive id:63190900619); the vendor's manual was \
                 not seen",
    )
    .disproof("The console does not answer `*idn?` at this speed; give baud=.")
    .operations(&[]),
    Assumption::declare(
        "polatis.snmp-power-milli",
        "polatisOpmPower counts thousandths of a dBm; power-scale= overrides it.",
    )
    .source(
        "UFABC PolatisOXC divides by 1000 (public archive id:52513912784); ONOS copies \
                 the value into its own range of -6000 to 2800, which would be hundredths",
    )
    .disproof("SNMP and TL1 report powers of the same port that differ by a factor of ten.")
    .operations(&[]),
    Assumption::declare(
        "polatis.snmp-mirror-rows",
        "The polatisOxcPortPatch rows of both ports of a path show each other, \
                    whichever of them was set.",
    )
    .source(
        "the connections are bidirectional, and UFABC PolatisOXC reads either row (public \
                 archive id:52513912784)",
    )
    .disproof(
        "After a path was set, reading the paths is answered by rows that contradict \
                   each other.",
    )
    .operations(&[]),
    Assumption::declare(
        "polatis.relative-level-is-below",
        "The level of an attenuator in relative mode is how far its output lies below \
                    that of the reference port, in dB. Not accepted, it is only read.",
    )
    .source(
        "the names of MODE=REL, LEVEL and REFS (public archive id:36444359468) and of \
                 polatisVoaRefport (id:52513912784); no source specifies the sign",
    )
    .disproof(
        "With a level of 3 dB the output lies 3 dB above that of the reference port, or \
                   the level is refused.",
    )
    .operations(&[]),
    Assumption::declare(
        "polatis.aps-live-by-path",
        "Where a working port has no path and just one of its protecting ports has, \
                    the signal has gone over to that one.",
    )
    .source(
        "a switch-over reports working, protection and connected port (public archive \
                 id:52513912784); no object reports the active path",
    )
    .disproof(
        "A user connects the protection port alone, and the group is reported to have \
                   gone over.",
    )
    .operations(&[]),
    Assumption::declare(
        "polatis.inhswpr-is-lockout",
        "polatisApsPortDesiredCond inhswpr keeps the signal on the working port, and \
                    none lifts that.",
    )
    .source(
        "the names of the enumeration only (public archive id:52513912784): inhibit \
                 switch to protecting",
    )
    .disproof("With inhswpr desired, an alarm of the trigger moves the signal.")
    .operations(&[Operation::ProtectionCommand]),
];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "polatis",
    version: env!("CARGO_PKG_VERSION"),
    family: "Polatis / HUBER+SUHNER Series 1000, 6000, 7000, OST, VST",
    vendor: "HUBER+SUHNER Polatis",
    kinds: &[
        DeviceKind::OpticalSwitch,
        DeviceKind::PowerMeter,
        DeviceKind::Attenuator,
        DeviceKind::ProtectionSwitch,
    ],
    transports: &[
        Transport {
            name: "tcp",
            example: "polatis+tcp://192.0.2.7:5025",
        },
        Transport {
            name: "serial",
            example: "polatis+serial:///dev/ttyS0?baud=38400",
        },
        Transport {
            name: "snmp",
            example: "polatis+snmp://192.0.2.7?credentials=noc",
        },
    ],
    maturity: Maturity::Emulated,
    evidence: &[Verification {
        of: VerificationScope::Emulator,
        what: "this repository's emulator, over TCP, a PTY and SNMP; its SCPI is also driven by \
               PyVISA with pyvisa-py",
    }],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "what a switch does with a path on a port in use: plans remove first, so it is never asked",
        "the reply of any-to-any (cc) switches to the size query: they are refused",
        "attenuators and alarms over SCPI",
        "the longest line that a switch takes: at most 100 pairs go in one command of SCPI and TL1",
        "the words of errors, of closed shutters and of kinds of monitor",
        "TL1: whether a port has failed; the unit of its idle time-out; the speed of the USB \
         serial port, which baud= must name",
        "SNMP: whether an alarm is active; the newer columns of the attenuators, which ONOS uses; \
         how long a switch-over takes",
        "the bounds of wavelengths, thresholds and attenuations: the switch refuses what it cannot",
        "the modes FIX and CONV of attenuators, which are shown and never set",
    ],
    parameters: &[
        UriParameter {
            name: "protocol",
            help: "scpi, tl1 or snmp; default scpi, and snmp on snmp",
            required: false,
        },
        UriParameter {
            name: "baud",
            help: "speed of the serial line; default 38400 for SCPI (assumption \
                   polatis.serial-38400), needed for TL1",
            required: false,
        },
        UriParameter {
            name: "power-scale",
            help: "SNMP: dBm in one step of polatisOpmPower; default 0.001 (assumption \
                   polatis.snmp-power-milli)",
            required: false,
        },
    ],
    probes: &[
        Probe::Bytes {
            transport: "tcp",
            at: 5025,
            send: b"*idn?\n",
            expect: "polatis",
        },
        Probe::Bytes {
            transport: "serial",
            at: 38_400,
            send: b"\r\n*idn?\r\n",
            expect: "polatis",
        },
        Probe::SysObjectId {
            prefix: "1.3.6.1.4.1.26592",
        },
    ],
    resynchronises: "TCP: a new connection; TL1 also knows its replies by their tags. Serial: \
                     `*idn?`, or TL1's RTRV-INV, until its answer, then quiet for 300 ms; no \
                     other query is answered by four fields with this maker, product and serial, \
                     or by this serial number. SNMP matches replies by request id.",
};

/// Drives every decoder of the three interfaces with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    scpi::proto::fuzz(input);
    tl1::proto::fuzz(input);
    snmp::proto::fuzz(input);
}

/// The driver for Polatis switches.
#[derive(Debug, Clone, Copy, Default)]
pub struct PolatisDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> PolatisDriver {
    PolatisDriver
}

/// Interface that a URI selects.
#[derive(Clone, Copy, PartialEq)]
enum Protocol {
    Scpi,
    Tl1,
    Snmp,
}

impl Protocol {
    fn of(uri: &DeviceUri) -> Result<Self> {
        let transport = uri.transport();
        let protocol = match uri.parameter("protocol") {
            None if transport == "snmp" => Self::Snmp,
            None | Some("scpi") => Self::Scpi,
            Some("tl1") => Self::Tl1,
            Some("snmp") => Self::Snmp,
            Some(other) => {
                return Err(Error::invalid(format!(
                    "protocol={other}: it takes scpi, tl1 or snmp"
                )));
            }
        };
        let wrong = |why: &str| Err(Error::invalid(format!("{uri}: {why}")));
        match (transport, protocol) {
            ("snmp", Self::Scpi | Self::Tl1) => wrong("SCPI and TL1 use tcp or serial"),
            ("tcp" | "serial", Self::Snmp) => wrong("SNMP uses snmp"),
            ("serial", Self::Tl1) if uri.parameter("baud").is_none() => {
                wrong("the speed of the USB serial port is not public: give baud=")
            }
            _ if protocol != Self::Snmp && uri.parameter("power-scale").is_some() => {
                wrong("power-scale= applies only to SNMP")
            }
            _ => Ok(protocol),
        }
    }
}

#[async_trait]
impl Driver for PolatisDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    fn default_port(&self, uri: &DeviceUri) -> Option<u16> {
        match Protocol::of(uri).ok()? {
            Protocol::Scpi => Some(scpi::proto::TCP_PORT),
            Protocol::Tl1 => Some(tl1::proto::TCP_PORT),
            Protocol::Snmp => Some(161),
        }
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let protocol = Protocol::of(uri)?;
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let serial = uri.transport() == "serial";
        let relative = descriptor
            .accepted
            .contains("polatis.relative-level-is-below");
        let settings = Some(SerialSettings {
            baud: scpi::proto::SERIAL_BAUD,
            hardware_flow: false,
        });
        let interface: Box<dyn Interface> = match protocol {
            Protocol::Scpi => {
                let options = scpi::options(serial, descriptor.deadline, events.clone());
                let link = context
                    .byte_link(uri, scpi::proto::TCP_PORT, settings, options)
                    .await?;
                Box::new(scpi::Scpi::new(link, scpi::line_end(serial)))
            }
            Protocol::Tl1 => {
                let session = tl1::Session::of(uri, context)?;
                let options = session.options(serial, descriptor.deadline, events.clone());
                let link = context
                    .byte_link(uri, tl1::proto::TCP_PORT, settings, options)
                    .await?;
                Box::new(tl1::Tl1::new(link, session, relative))
            }
            Protocol::Snmp => {
                let scale = uri
                    .parse_parameter("power-scale", "the dBm of one step, such as 0.001")?
                    .unwrap_or(0.001);
                if !(1e-6..=1.0).contains(&scale) {
                    return Err(Error::invalid(format!(
                        "power-scale={scale}: expected the size of one step in dBm, such as 0.001"
                    )));
                }
                let agent = SnmpClient::new(
                    context.snmp_link(uri, events.clone()).await?,
                    descriptor.deadline,
                );
                Box::new(snmp::Snmp::new(agent, scale, relative, events.clone()))
            }
        };
        let device = Arc::new(Polatis::open(descriptor, interface, events).await?);
        let mut opened =
            OpenedDevice::from_switch(Arc::clone(&device)).with_identity(device.opened_as());
        if device.is(DeviceKind::PowerMeter) {
            opened = opened.with_power_meter(Arc::clone(&device) as _);
        }
        if device.is(DeviceKind::Attenuator) {
            opened = opened.with_attenuator(Arc::clone(&device) as _);
        }
        Ok(if device.is(DeviceKind::ProtectionSwitch) {
            opened.with_protection(device)
        } else {
            opened
        })
    }
}
