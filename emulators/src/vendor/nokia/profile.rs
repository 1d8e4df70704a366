//! Profile of a linked pair of Nokia SR OS routers, managed over SNMPv3.

use super::{Place, Scheme};
use crate::{
    model::encryptor::mka::{MkaEndpoint, MkaLink},
    profile::{
        Options, Profile, Setting,
        agents::{self, Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
        options::invalid,
    },
};
use qkd_hal::Identity;
use std::{io, sync::Arc};
use zeroize::Zeroizing;

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "nokia-sros-macsec-pair",
    title: "Two Nokia SR OS routers with MACsec on the line between them, two key slots each, \
            SNMPv3",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(agents::start(p, o, build(o))),
    in_memory: |p, o| agents::in_memory(p, build(o)),
}];

const SETTINGS: &[Setting] = &[
    TRAP_TARGET,
    COMMUNITY,
    TIME_FACTOR,
    Setting {
        name: "port",
        help: "the MACsec port of both ends, such as 1/1/1 or 1/1/c1/1; default 1/1/1",
        runtime: false,
    },
    Setting {
        name: "scheme",
        help: "how port ids are laid out, a to d (tmnxChassisPortIdScheme); default a",
        runtime: false,
    },
];

fn build(options: &Options) -> io::Result<Agents> {
    let port: Place = options.text("port", "1/1/1").parse().map_err(invalid)?;
    let scheme: Scheme = options.text("scheme", "a").parse().map_err(invalid)?;
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
        let mut named = super::Options::named(&format!("sr-{}", ["a", "b"][end.end()]));
        (named.port, named.scheme) = (port, scheme);
        super::agent(end, named)
    });
    Ok(Agents::new(options, agents.into(), "nokia-sros-macsec", ""))
}
