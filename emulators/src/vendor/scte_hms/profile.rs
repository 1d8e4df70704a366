//! Profiles of switches with failover that follow ANSI/SCTE 85-4.

use super::{ENTERPRISE, Kind};
use crate::{
    model::protection::ProtectionSwitch,
    profile::{
        Options, Profile, Setting,
        agents::{self, Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
        options::invalid,
        protection::{INPUT, inputs, powers, seconds, with_input},
    },
    wire::snmp::NodeOptions,
};
use qkd_hal::Identity;
use qkd_switch_hal::{
    Geometry, SwitchCapabilities,
    protection::{ExternalCommandKind, ProtectionCapabilities, SelectionMode, SettingKind},
};
use std::{io, sync::Arc, time::Duration};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[
    Profile {
        name: "scte-hms-2x2",
        title: "Optical 2×2 switch with failover, ANSI/SCTE 85-4, SNMPv3",
        settings: SETTINGS,
        has_wire: true,
        start: |p, o| Box::pin(agents::start(p, o, build(o, Kind::TwoByTwo))),
        in_memory: |p, o| agents::in_memory(p, build(o, Kind::TwoByTwo)),
    },
    Profile {
        name: "scte-hms-ab",
        title: "Optical A/B switch with failover, ANSI/SCTE 85-4, SNMPv3",
        settings: SETTINGS,
        has_wire: true,
        start: |p, o| Box::pin(agents::start(p, o, build(o, Kind::Ab))),
        in_memory: |p, o| agents::in_memory(p, build(o, Kind::Ab)),
    },
];

const SETTINGS: &[Setting] = &[
    TRAP_TARGET,
    COMMUNITY,
    TIME_FACTOR,
    INPUT,
    Setting {
        name: "serial",
        help: "serial number, which the agent does not report; used for its name",
        runtime: false,
    },
    Setting {
        name: "mode",
        help: "automatic (default) or manual",
        runtime: false,
    },
];
const ALL_SETTINGS: &[SettingKind] = &[
    SettingKind::Mode,
    SettingKind::Preferred,
    SettingKind::Revertive,
    SettingKind::WaitToRestore,
    SettingKind::Threshold,
];

fn build(options: &Options, kind: Kind) -> io::Result<Agents> {
    let clock = clock(options)?;
    let name = format!(
        "hms-{}",
        options.text("serial", if kind == Kind::Ab { "ab" } else { "2x2" })
    );
    let mut group = kind.group(inputs());
    group.mode = match options.text("mode", "automatic") {
        "automatic" => SelectionMode::Automatic,
        "manual" => SelectionMode::Manual,
        other => return Err(invalid(format!("mode={other}: it is automatic or manual"))),
    };
    // Of a 2×2 switch, both inputs feed a path: it has no threshold of its own.
    let (geometry, settings) = if kind == Kind::Ab {
        (Geometry::one_by(2), ALL_SETTINGS)
    } else {
        (Geometry::Crossbar, &ALL_SETTINGS[..4])
    };
    let limits = ProtectionCapabilities::new(
        settings,
        &[ExternalCommandKind::Force, ExternalCommandKind::Manual],
    )
    .with_wait_to_restore(seconds(0..=2_147_483_647), Duration::from_secs(1))
    .with_threshold(powers(-50.0..=20.0));
    let model = ProtectionSwitch::new(
        Identity::new("SCTE HMS"),
        limits,
        vec![("1".into(), group)],
        clock,
    )
    .with_switch(SwitchCapabilities::new(geometry));
    let model = Arc::new(model);
    let agent = super::agent(
        Arc::clone(&model),
        kind,
        NodeOptions::named(&name, ENTERPRISE),
    );
    with_input(
        options,
        Agents::new(options, vec![agent], "scte-hms", ""),
        &model,
    )
}
