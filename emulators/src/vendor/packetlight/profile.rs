//! Profile of a linked pair of PacketLight encryptors, managed over SNMPv3.

use super::{PATHS, Ports};
use crate::{
    Clock,
    model::{
        encryptor::forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
        protection::{Group, ProtectionSwitch},
    },
    profile::{
        Options, Profile, Setting,
        agents::{self, Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
        protection::{inputs, seconds},
    },
};
use qkd_hal::{Certainty, Identity};
use qkd_switch_hal::{
    PowerFailureBehaviour,
    protection::{ExternalCommandKind, GroupId, ProtectionCapabilities, SettingKind},
};
use std::{io, sync::Arc, time::Duration};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "packetlight-pair",
    title: "Two PacketLight encrypting transponders, forced re-initialisation, SNMPv3",
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
        name: "oem",
        help: "true: an OEM agent without columns 7 and 8; default false",
        runtime: false,
    },
    Setting {
        name: "aps",
        help: "false: no optical protection; default true",
        runtime: false,
    },
];
fn build(options: &Options) -> io::Result<Agents> {
    let oem = options.flag("oem", false)?;
    let aps = options.flag("aps", true)?;
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
        let mut named = super::Options::named(&format!("pl-{}", ["a", "b"][end.end()]));
        named.oem = oem;
        if aps {
            named.protection = Some(protection(
                end.base().identity(),
                named.if_index,
                link.clock().clone(),
            ));
        }
        super::agent(end, named)
    });
    Ok(Agents::new(
        options,
        agents.into(),
        "packetlight",
        "&psk-encoding=hex",
    ))
}

/// Creates the optical protection of a PacketLight device whose working network port is `uplink`.
/// The layout of these numbers is not published; these are examples.
fn protection(identity: Identity, uplink: u32, clock: Clock) -> (Ports, Arc<ProtectionSwitch>) {
    let ports = Ports {
        user: [uplink - 256, uplink - 128],
        net: [uplink, uplink + 128],
    };
    let mut group = Group::of(&PATHS, inputs());
    group.wait_to_restore = Duration::from_secs(300);
    let limits = ProtectionCapabilities::new(
        &[
            SettingKind::Mode,
            SettingKind::Revertive,
            SettingKind::WaitToRestore,
        ],
        &[
            ExternalCommandKind::Clear,
            ExternalCommandKind::Lockout,
            ExternalCommandKind::Force,
            ExternalCommandKind::Manual,
        ],
    )
    .with_wait_to_restore(seconds(60..=720), Duration::from_secs(60))
    .with_switching_time(Duration::from_millis(50))
    .with_power_loss(Certainty::<PowerFailureBehaviour>::Unknown);
    let id = GroupId(ports.user[0].to_string());
    (
        ports,
        Arc::new(ProtectionSwitch::new(
            identity,
            limits,
            vec![(id, group)],
            clock,
        )),
    )
}
