//! Boxes that protect, managed over SNMP.

use super::{
    Options, Setting,
    agents::{Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
    options::invalid,
};
use crate::{
    Clock,
    model::protection::{Group, Input, ProtectionSwitch},
    wire::snmp::{NodeOptions, olp, packetlight, scte},
};
use qkd_hal::{Certainty, Identity, units::DecibelMilliwatts};
use qkd_switch_hal::{
    Geometry, PowerFailureBehaviour, SwitchCapabilities,
    protection::{
        ExternalCommandKind, GroupId, ProtectionCapabilities, SelectionMode, SettingKind,
    },
};
use std::{io, sync::Arc, time::Duration};

const INPUT: Setting = Setting {
    name: "input",
    help: "light of a path, as path:dBm or group/path:dBm, such as b:-12.5; default -5 dBm on each",
    live: true,
};

pub(super) const SCTE: &[Setting] = &[
    TRAP_TARGET,
    COMMUNITY,
    TIME_FACTOR,
    INPUT,
    Setting {
        name: "serial",
        help: "serial number, which the agent does not report; used for its name",
        live: false,
    },
    Setting {
        name: "mode",
        help: "automatic (default) or manual",
        live: false,
    },
];
pub(super) const OLP: &[Setting] = &[
    TRAP_TARGET,
    COMMUNITY,
    TIME_FACTOR,
    INPUT,
    Setting {
        name: "slots",
        help: "slots with a card, of sixteen, such as 1,3; default 1,2",
        live: false,
    },
    Setting {
        name: "serial",
        help: "serial number of the chassis, and the stem of its cards'; default G40989",
        live: false,
    },
    Setting {
        name: "pulled",
        help: "slots whose card was pulled, such as 1, or none; default none",
        live: true,
    },
    Setting {
        name: "delay-unit",
        help: "unit of a delay: s, ms or min; not published; default s",
        live: false,
    },
];

/// Paths of this light and threshold, in dBm.
const LIGHT: f64 = -5.0;
const THRESHOLD: f64 = -25.0;

fn seconds(range: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<Duration> {
    Duration::from_secs(*range.start())..=Duration::from_secs(*range.end())
}
fn powers(range: std::ops::RangeInclusive<f64>) -> std::ops::RangeInclusive<DecibelMilliwatts> {
    DecibelMilliwatts(*range.start())..=DecibelMilliwatts(*range.end())
}

const ALL_SETTINGS: &[SettingKind] = &[
    SettingKind::Mode,
    SettingKind::Preferred,
    SettingKind::Revertive,
    SettingKind::WaitToRestore,
    SettingKind::Threshold,
];

pub(super) fn scte(options: &Options, kind: scte::Kind) -> io::Result<Agents> {
    let clock = clock(options)?;
    let name = format!(
        "hms-{}",
        options.text("serial", if kind == scte::Kind::Ab { "ab" } else { "2x2" })
    );
    let paths = kind
        .paths()
        .iter()
        .map(|(name, _, needs)| ((*name).to_owned(), needs.to_vec()))
        .collect();
    let mut group = Group::with_path_inputs(
        paths,
        vec![
            Input::new(LIGHT, THRESHOLD),
            Input::new(LIGHT - 1.0, THRESHOLD),
        ],
    );
    group.mode = match options.text("mode", "automatic") {
        "automatic" => SelectionMode::Automatic,
        "manual" => SelectionMode::Manual,
        other => return Err(invalid(format!("mode={other}: it is automatic or manual"))),
    };
    // Of a 2×2 switch, both inputs feed a path: it has no threshold of its own.
    let (geometry, settings) = if kind == scte::Kind::Ab {
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
    let agent = scte::agent(
        Arc::clone(&model),
        kind,
        NodeOptions::named(&name, scte::ENTERPRISE),
    );
    with_input(
        options,
        Agents::new(options, vec![agent], "scte-hms", ""),
        &model,
    )
}

pub(super) fn olp(options: &Options) -> io::Result<Agents> {
    let clock = clock(options)?;
    let unit = match options.text("delay-unit", "s") {
        "s" => Duration::from_secs(1),
        "ms" => Duration::from_millis(1),
        "min" => Duration::from_secs(60),
        other => return Err(invalid(format!("delay-unit={other}: it is s, ms or min"))),
    };
    let mut groups = Vec::new();
    for slot in options.text("slots", "1,2").split(',') {
        let slot: u32 = slot
            .trim()
            .parse()
            .ok()
            .filter(|n| (1..=16).contains(n))
            .ok_or_else(|| invalid(format!("slots: invalid slot `{slot}`; expected 1 to 16")))?;
        groups.push((
            slot,
            Group::of(
                &olp::PATHS,
                vec![
                    Input::new(LIGHT, THRESHOLD),
                    Input::new(LIGHT - 1.0, THRESHOLD),
                ],
            ),
        ));
    }
    groups.sort_by_key(|(slot, _)| *slot);
    groups.dedup_by_key(|(slot, _)| *slot);
    let groups = groups
        .into_iter()
        .map(|(slot, group)| (GroupId(slot.to_string()), group))
        .collect();
    let identity = Identity::new("FS.com")
        .with_model("OAP-NMU")
        .with_serial(options.text("serial", "G40989"))
        .with_firmware("1.0");
    let limits = ProtectionCapabilities::new(
        &[
            SettingKind::Mode,
            SettingKind::Revertive,
            SettingKind::WaitToRestore,
            SettingKind::Threshold,
        ],
        &[ExternalCommandKind::Force, ExternalCommandKind::Manual],
    )
    .with_wait_to_restore(Duration::ZERO..=unit.saturating_mul(i32::MAX as u32), unit)
    .with_threshold(powers(-99.99..=99.99));
    let model = Arc::new(ProtectionSwitch::new(identity, limits, groups, clock));
    let agent = olp::agent(
        Arc::clone(&model),
        unit,
        NodeOptions::named("oap", olp::ENTERPRISE),
    );
    let mut agents = Agents::new(options, vec![agent], "fs-olp", "");
    let cards = Arc::clone(&model);
    agents.controls.add_runtime_setting("pulled", move |value| {
        let ids: Vec<GroupId> = value
            .split(',')
            .map(str::trim)
            .filter(|slot| *slot != "none")
            .map(|slot| GroupId(slot.to_owned()))
            .collect();
        cards.pull(&ids)
    });
    for (_, value) in options.set.iter().filter(|(name, _)| name == "pulled") {
        agents.controls.set("pulled", value).map_err(invalid)?;
    }
    with_input(options, agents, &model)
}

/// Creates the optical protection of a PacketLight device whose working network port is `uplink`.
/// The layout of these numbers is not published; these are examples.
pub(super) fn packetlight(
    identity: Identity,
    uplink: u32,
    clock: Clock,
) -> (packetlight::Ports, Arc<ProtectionSwitch>) {
    let ports = packetlight::Ports {
        user: [uplink - 256, uplink - 128],
        net: [uplink, uplink + 128],
    };
    let mut group = Group::of(
        &packetlight::PATHS,
        vec![
            Input::new(LIGHT, THRESHOLD),
            Input::new(LIGHT - 1.0, THRESHOLD),
        ],
    );
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

/// The setting `input`, at the start and while it runs.
fn with_input(
    options: &Options,
    mut agents: Agents,
    model: &Arc<ProtectionSwitch>,
) -> io::Result<Agents> {
    let model = Arc::clone(model);
    agents.controls.add_runtime_setting("input", move |value| {
        let wrong = || format!("input={value}: it is path:dBm or group/path:dBm, such as b:-12.5");
        let (path, power) = value.rsplit_once(':').ok_or_else(wrong)?;
        let power: f64 = power
            .parse()
            .ok()
            .filter(|p| (-100.0..=30.0).contains(p))
            .ok_or_else(wrong)?;
        model.set_input(path, power)
    });
    for (_, value) in options.set.iter().filter(|(name, _)| name == "input") {
        agents.controls.set("input", value).map_err(invalid)?;
    }
    Ok(agents)
}
