//! Linked pairs of encryptors, managed over SNMPv3.

use super::{
    Options, Setting,
    agents::{Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
    options::invalid,
    protection,
};
use crate::{
    model::encryptor::{
        forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
        mka::{MkaEndpoint, MkaLink},
    },
    wire::snmp::{nokia, packetlight},
};
use qkd_hal::Identity;
use std::{io, sync::Arc};
use zeroize::Zeroizing;

pub(super) const PACKETLIGHT: &[Setting] = &[
    TRAP_TARGET,
    COMMUNITY,
    TIME_FACTOR,
    Setting {
        name: "oem",
        help: "true: an OEM agent without columns 7 and 8; default false",
        live: false,
    },
    Setting {
        name: "aps",
        help: "false: no optical protection; default true",
        live: false,
    },
];
pub(super) const NOKIA: &[Setting] = &[
    TRAP_TARGET,
    COMMUNITY,
    TIME_FACTOR,
    Setting {
        name: "port",
        help: "the MACsec port of both ends, such as 1/1/1 or 1/1/c1/1; default 1/1/1",
        live: false,
    },
    Setting {
        name: "scheme",
        help: "how port ids are laid out, a to d (tmnxChassisPortIdScheme); default a",
        live: false,
    },
];

pub(super) fn packetlight(options: &Options) -> io::Result<Agents> {
    let oem = match options.text("oem", "false") {
        "true" => true,
        "false" => false,
        other => return Err(invalid(format!("oem={other}: it is true or false"))),
    };
    let aps = match options.text("aps", "true") {
        "true" => true,
        "false" => false,
        other => return Err(invalid(format!("aps={other}: it is true or false"))),
    };
    let link = ForcedRekeyLink::new(clock(options)?, b"emulated initial secret");
    let agents = [0, 1].map(|end| {
        let identity = Identity::new("PacketLight")
            .with_model("PL-1000TE Crypto")
            .with_serial(format!("PL{:05}", 101 + end))
            .with_firmware("1.0");
        let end = Arc::new(ForcedRekeyEndpoint::new(
            Arc::clone(&link),
            end,
            "uplink-1",
            identity,
        ));
        let mut named = packetlight::Options::named(&format!("pl-{}", ["a", "b"][end.end()]));
        named.oem = oem;
        if aps {
            named.protection = Some(protection::packetlight(
                end.base().identity(),
                named.if_index,
                link.clock().clone(),
            ));
        }
        packetlight::agent(end, named)
    });
    Ok(Agents::new(
        options,
        agents.into(),
        "packetlight",
        "&psk-encoding=hex",
    ))
}

pub(super) fn nokia(options: &Options) -> io::Result<Agents> {
    let port: nokia::Place = options.text("port", "1/1/1").parse().map_err(invalid)?;
    let scheme: nokia::Scheme = options.text("scheme", "a").parse().map_err(invalid)?;
    let link = MkaLink::new(clock(options)?, options.seed);
    // As delivered: both ends hold one key, and use it.
    for end in [0, 1] {
        link.write_slot(
            end,
            1,
            b"emulated initial",
            Zeroizing::new(b"emulated initial key of 32 octets"[..32].to_vec()),
        )
        .and_then(|()| link.set_active(end, 1))
        .map_err(|e| io::Error::other(format!("{e:?}")))?;
    }
    let agents = [0, 1].map(|end| {
        let identity = Identity::new("Nokia")
            .with_model("7750 SR-1")
            .with_serial(format!("NS{:05}", 201 + end))
            .with_firmware("TiMOS-C-16.0.R4");
        let end = Arc::new(MkaEndpoint::new(Arc::clone(&link), end, "ca1", identity));
        let mut named = nokia::Options::named(&format!("sr-{}", ["a", "b"][end.end()]));
        (named.port, named.scheme) = (port, scheme);
        nokia::agent(end, named)
    });
    Ok(Agents::new(options, agents.into(), "nokia-sros-macsec", ""))
}
