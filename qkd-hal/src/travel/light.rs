//! Strategies for data of optical devices.

use super::values::*;
use crate::{
    optics::{
        AlarmLevels, ApplyReport, Attenuation, AttenuatorCapabilities, CrossConnect, CrossConnects,
        Fingerprint, Geometry, MonitorSetting, MonitorStatus, Plan, Port, PortState, PortStatus,
        PowerFailureBehaviour, PowerMeterCapabilities, Readback, Scope, Step, SwitchCapabilities,
        SwitchState,
        protection::{
            ActivePath, ExternalCommand, ExternalCommandKind, GroupId, PathId, PathStatus,
            ProtectionCapabilities, ProtectionSetting, ProtectionStatus, SelectionMode,
            SettingKind, SwitchRequest,
        },
    },
    units::{DecibelMilliwatts, Decibels, Nanometres},
};
use proptest::{
    collection::{btree_set, vec},
    option,
    prelude::*,
    sample::select,
};
use std::collections::BTreeSet;

pub(super) fn port() -> impl Strategy<Value = Port> {
    any::<u32>().prop_map(Port)
}
pub(super) fn ports() -> impl Strategy<Value = BTreeSet<Port>> {
    btree_set(port(), 0..5)
}
pub(super) fn cross_connect() -> impl Strategy<Value = CrossConnect> {
    (any::<u32>(), any::<u32>()).prop_map(|(a, b)| CrossConnect::new(a, b))
}
pub(super) fn cross_connects() -> impl Strategy<Value = CrossConnects> {
    vec((1..5_u32, 5..9_u32), 0..6).prop_map(|pairs| {
        let mut all = CrossConnects::dark();
        for (ingress, egress) in pairs {
            let _ = all.insert(CrossConnect::new(ingress, egress));
        }
        all
    })
}
pub(super) fn geometry() -> impl Strategy<Value = Geometry> {
    prop_oneof![
        (0..300_u32, 0..300_u32).prop_map(|(i, e)| Geometry::matrix(i, e)),
        (0..300_u32, any::<bool>())
            .prop_map(|(channels, dark)| Geometry::OneByN { channels, dark }),
        Just(Geometry::Crossbar),
    ]
}
pub(super) fn step() -> impl Strategy<Value = Step> {
    let list = || vec(cross_connect(), 0..3);
    prop_oneof![
        cross_connect().prop_map(Step::Disconnect),
        cross_connect().prop_map(Step::Connect),
        (list(), list()).prop_map(|(from, to)| Step::Move { from, to }),
    ]
}
pub(super) fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::Touched),
        ports().prop_map(Scope::Ports),
        Just(Scope::All)
    ]
}
pub(super) fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    any::<[u8; 32]>().prop_map(Fingerprint::from_bytes)
}
pub(super) fn switch_state() -> impl Strategy<Value = SwitchState> {
    (identity(), cross_connects()).prop_map(|(device, connections)| SwitchState {
        device,
        geometry: Geometry::matrix(4, 4),
        connections,
    })
}
pub(super) fn plan() -> impl Strategy<Value = Plan> {
    (switch_state(), cross_connects(), any::<bool>()).prop_map(|(state, wanted, all)| {
        let scope = if all { Scope::All } else { Scope::Touched };
        state
            .plan()
            .to(wanted)
            .scope(scope)
            .build()
            .expect("a plan")
    })
}
pub(super) fn power_failure() -> impl Strategy<Value = PowerFailureBehaviour> {
    use PowerFailureBehaviour::*;
    select(vec![Holds, GoesDark, BootMode])
}
pub(super) fn readback() -> impl Strategy<Value = Readback> {
    select(vec![Readback::Device, Readback::LastAcknowledged])
}
pub(super) fn switch_capabilities() -> impl Strategy<Value = SwitchCapabilities> {
    (
        geometry(),
        readback(),
        option::of(duration()),
        certainty(power_failure()),
    )
        .prop_map(
            |(geometry, readback, settling, power_loss)| SwitchCapabilities {
                geometry,
                readback,
                settling,
                power_loss,
            },
        )
}
pub(super) fn port_state() -> impl Strategy<Value = PortState> {
    use PortState::*;
    select(vec![Enabled, Disabled, Failed, Unknown])
}
pub(super) fn dbm() -> impl Strategy<Value = DecibelMilliwatts> {
    number().prop_map(DecibelMilliwatts)
}
pub(super) fn db() -> impl Strategy<Value = Decibels> {
    number().prop_map(Decibels)
}
pub(super) fn port_status() -> impl Strategy<Value = PortStatus> {
    let power = option::of(measured(dbm()));
    let attenuation = option::of(measured(db()));
    (port(), port_state(), option::of(port()), power, attenuation).prop_map(
        |(port, state, peer, power, attenuation)| PortStatus {
            port,
            state,
            peer,
            power,
            attenuation,
        },
    )
}
pub(super) fn apply_report() -> impl Strategy<Value = ApplyReport> {
    (any::<u32>(), any::<bool>(), duration())
        .prop_map(|(steps, verified, took)| ApplyReport::new(steps as usize, verified, took))
}
pub(super) fn alarm_levels() -> impl Strategy<Value = AlarmLevels> {
    (option::of(dbm()), option::of(dbm())).prop_map(|(low, high)| AlarmLevels { low, high })
}
pub(super) fn monitor_setting() -> impl Strategy<Value = MonitorSetting> {
    prop_oneof![
        number().prop_map(|nm| MonitorSetting::Wavelength(Nanometres(nm))),
        duration().prop_map(MonitorSetting::Averaging),
        alarm_levels().prop_map(MonitorSetting::Alarms),
    ]
}
pub(super) fn monitor_status() -> impl Strategy<Value = MonitorStatus> {
    let times = (option::of(number()), option::of(duration()));
    (port(), times, alarm_levels(), option::of(any::<bool>())).prop_map(
        |(port, (wavelength, averaging), alarms, alarmed)| MonitorStatus {
            port,
            wavelength: wavelength.map(Nanometres),
            averaging,
            alarms,
            alarmed,
        },
    )
}
pub(super) fn meter_capabilities() -> impl Strategy<Value = PowerMeterCapabilities> {
    let ranges = (option::of(range()), option::of(range()));
    (ports(), vec(duration(), 0..3), ranges).prop_map(
        |(monitors, averaging, (wavelengths, alarms))| PowerMeterCapabilities {
            monitors,
            averaging,
            wavelengths,
            alarms,
        },
    )
}
pub(super) fn attenuation() -> impl Strategy<Value = Attenuation> {
    prop_oneof![
        Just(Attenuation::Transparent),
        db().prop_map(Attenuation::Loss),
        dbm().prop_map(Attenuation::OutputPower),
        (db(), port()).prop_map(|(below, reference)| Attenuation::Relative { below, reference }),
        Just(Attenuation::Maximum),
        "[A-Z]{1,8}".prop_map(Attenuation::Other),
    ]
}
pub(super) fn attenuator_capabilities() -> impl Strategy<Value = AttenuatorCapabilities> {
    let ranges = vec(option::of(range()), 3);
    (ports(), any::<bool>(), ranges).prop_map(|(ports, ends, ranges)| AttenuatorCapabilities {
        ports,
        ends,
        loss: ranges[0].clone(),
        output_power: ranges[1].clone(),
        relative: ranges[2].clone(),
    })
}
pub(super) fn group_id() -> impl Strategy<Value = GroupId> {
    text().prop_map(GroupId)
}
pub(super) fn path_id() -> impl Strategy<Value = PathId> {
    text().prop_map(PathId)
}
pub(super) fn selection_mode() -> impl Strategy<Value = SelectionMode> {
    select(vec![SelectionMode::Automatic, SelectionMode::Manual])
}
pub(super) fn setting_kind() -> impl Strategy<Value = SettingKind> {
    use SettingKind::*;
    select(vec![Mode, Preferred, Revertive, WaitToRestore, Threshold])
}
pub(super) fn protection_setting() -> impl Strategy<Value = ProtectionSetting> {
    prop_oneof![
        selection_mode().prop_map(ProtectionSetting::Mode),
        path_id().prop_map(ProtectionSetting::Preferred),
        any::<bool>().prop_map(ProtectionSetting::Revertive),
        duration().prop_map(ProtectionSetting::WaitToRestore),
        (path_id(), dbm()).prop_map(|(path, level)| ProtectionSetting::Threshold { path, level }),
    ]
}
pub(super) fn command_kind() -> impl Strategy<Value = ExternalCommandKind> {
    use ExternalCommandKind::*;
    select(vec![Clear, Lockout, Force, Manual])
}
pub(super) fn command() -> impl Strategy<Value = ExternalCommand> {
    prop_oneof![
        Just(ExternalCommand::Clear),
        Just(ExternalCommand::Lockout),
        path_id().prop_map(ExternalCommand::Force),
        path_id().prop_map(ExternalCommand::Manual),
    ]
}
pub(super) fn switch_request() -> impl Strategy<Value = SwitchRequest> {
    use SwitchRequest::*;
    select(vec![
        NoRequest,
        DoNotRevert,
        WaitToRestore,
        ManualSwitch,
        SignalDegrade,
        SignalFail,
        ForcedSwitch,
        LockoutOfProtection,
        Unknown,
    ])
}
pub(super) fn active_path() -> impl Strategy<Value = ActivePath> {
    (path_id(), switch_request(), option::of((time(), origin()))).prop_map(
        |(path, request, since)| ActivePath {
            path,
            request,
            since,
        },
    )
}
pub(super) fn path_status() -> impl Strategy<Value = PathStatus> {
    let power = (option::of(measured(dbm())), option::of(dbm()));
    (
        path_id(),
        option::of(port()),
        power,
        option::of(any::<bool>()),
    )
        .prop_map(|(path, port, (power, threshold), failed)| PathStatus {
            path,
            port,
            power,
            threshold,
            failed,
        })
}
pub(super) fn protection_status() -> impl Strategy<Value = ProtectionStatus> {
    let settings = (
        option::of(path_id()),
        option::of(any::<bool>()),
        option::of(duration()),
    );
    let counts = option::of(any::<u64>());
    (
        group_id(),
        selection_mode(),
        active_path(),
        settings,
        vec(path_status(), 0..3),
        counts,
    )
        .prop_map(
            |(group, mode, active, (preferred, revertive, wait_to_restore), paths, n)| {
                ProtectionStatus {
                    group,
                    mode,
                    preferred,
                    active,
                    revertive,
                    wait_to_restore,
                    paths,
                    switch_overs: n,
                }
            },
        )
}
pub(super) fn protection_capabilities() -> impl Strategy<Value = ProtectionCapabilities> {
    let kinds = (
        btree_set(setting_kind(), 0..4),
        btree_set(command_kind(), 0..4),
    );
    let wait = option::of((duration(), duration()).prop_map(|(a, b)| a.min(b)..=a.max(b)));
    let rest = (
        option::of(range()),
        option::of(duration()),
        certainty(power_failure()),
    );
    (kinds, wait, duration(), rest).prop_map(
        |((settings, commands), wait_to_restore, wait_step, (threshold, time, power_loss))| {
            ProtectionCapabilities {
                settings,
                commands,
                wait_to_restore,
                wait_step,
                threshold,
                switching_time: time,
                power_loss,
            }
        },
    )
}
