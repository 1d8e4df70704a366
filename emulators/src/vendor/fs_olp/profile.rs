//! Profile of FS.com and Glsun line protection cards.

use super::{ENTERPRISE, PATHS};
use crate::{
    model::protection::{Group, ProtectionSwitch},
    profile::{
        Options, Profile, Setting,
        agents::{self, Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
        options::invalid,
        protection::{INPUT, inputs, powers, with_input},
    },
    wire::snmp::NodeOptions,
};
use qkd_hal::Identity;
use qkd_switch_hal::protection::{
    ExternalCommandKind, GroupId, ProtectionCapabilities, SettingKind,
};
use std::{io, sync::Arc, time::Duration};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "fs-olp",
    title: "Optical line protection cards in a chassis, FS.com or Glsun, SNMPv3",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(agents::start(p, o, build(o))),
    in_memory: |p, o| agents::in_memory(p, build(o)),
}];

const SETTINGS: &[Setting] = &[
    TRAP_TARGET,
    COMMUNITY,
    TIME_FACTOR,
    INPUT,
    Setting {
        name: "slots",
        help: "slots with a card, of sixteen, such as 1,3; default 1,2",
        runtime: false,
    },
    Setting {
        name: "serial",
        help: "serial number of the chassis, and the stem of its cards'; default G40989",
        runtime: false,
    },
    Setting {
        name: "pulled",
        help: "slots whose card was pulled, such as 1, or none; default none",
        runtime: true,
    },
    Setting {
        name: "delay-unit",
        help: "unit of a delay: s, ms or min; not published; default s",
        runtime: false,
    },
];

fn build(options: &Options) -> io::Result<Agents> {
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
        groups.push((slot, Group::of(&PATHS, inputs())));
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
    let agent = super::agent(
        Arc::clone(&model),
        unit,
        NodeOptions::named("oap", ENTERPRISE),
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
