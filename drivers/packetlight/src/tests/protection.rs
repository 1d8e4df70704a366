//! Optical protection and power against a scripted agent, in memory and under paused time.

use crate::{
    driver,
    proto::{aps, oid},
};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        scripted_agent::{Objects, ScriptedAgent},
        snmp::{ErrorStatus, Oid, Value, VarBind},
    },
    wrap::fault::{FaultScript, LinkFault},
};
use qkd_hal::{
    DeviceKind, Effect, ErrorKind, EventKind,
    event::{Origin, StreamItem},
    reading::Quality,
    units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    Port,
    protection::{ExternalCommand, SelectionMode, SettingKind, SwitchRequest},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

const GROUP: u32 = 1_294_848;

fn name(column: u32) -> Oid {
    aps::of(column, GROUP)
}

/// A device that applies every command.
fn react(objects: &mut Objects, bind: &VarBind) {
    if bind.oid != name(aps::SWITCH_COMMAND) {
        return;
    }
    let Value::Integer(command) = bind.value else {
        return;
    };
    let (active, request) =
        [(1, 1), (1, 6), (2, 5), (1, 5), (2, 3), (1, 3)][usize::try_from(command - 1).unwrap()];
    objects.insert(name(aps::ACTIVE_RX), Value::Integer(active));
    objects.insert(name(aps::ACTIVE_REQUEST), Value::Integer(request));
}

fn objects() -> Objects {
    let row = 1_295_104;
    [
        (oid::instance(oid::IF_INDEX, row), Value::Integer(1_295_104)),
        (oid::instance(oid::STATUS, row), Value::Integer(4)),
        (Oid::from(oid::CAPABILITY), Value::Integer(2)),
        (
            Oid::from(oid::SYS_OBJECT_ID),
            Value::ObjectId("1.3.6.1.4.1.4515.100.1.1000.8".parse().unwrap()),
        ),
        (Oid::from(aps::SYS_UP_TIME), Value::TimeTicks(100_000)),
        (name(aps::ENABLE), Value::Integer(2)),
        (name(aps::ACTIVE_RX), Value::Integer(1)),
        (name(aps::WAIT_TO_RESTORE), Value::Gauge32(5)),
        (name(aps::REVERTIVE), Value::Integer(2)),
        (name(aps::CHAN_STATUS), Value::OctetString(vec![0])),
        (name(aps::SWITCHOVERS), Value::Counter32(3)),
        (name(aps::LAST_SWITCHOVER), Value::TimeTicks(94_000)),
        (name(aps::ACTIVE_REQUEST), Value::Integer(1)),
        (name(aps::LOS_THRESHOLD), Value::Integer(65_236)),
        (aps::of_port(aps::PORT_POWER, 9), Value::Integer(-53)),
        (aps::of_port(aps::PORT_LOS, 9), Value::Integer(-300)),
    ]
    .into()
}

const ASSUME: &str = "assume=packetlight.switch-of-moves-away";

async fn open_with(
    query: &str,
    objects: Objects,
) -> (OpenedDevice, Arc<ScriptedAgent>, FaultScript) {
    let (agent, script) = (ScriptedAgent::new(objects, react), FaultScript::new());
    let context = OpenContext::new()
        .with_memory("device", agent.endpoint())
        .with_faults(script.clone());
    let uri = format!("packetlight+mem://device?psk-encoding=hex&{ASSUME}{query}");
    (
        Registry::new()
            .with(driver())
            .open(&uri, &context)
            .await
            .unwrap(),
        agent,
        script,
    )
}

async fn open() -> (OpenedDevice, Arc<ScriptedAgent>, FaultScript) {
    open_with("", objects()).await
}

#[tokio::test(start_paused = true)]
async fn the_row_is_reported_unchanged() {
    let (opened, agent, _) = open().await;
    let protection = opened.protection().unwrap();
    let group = protection.groups().await.unwrap().remove(0);
    assert_eq!(group.0, GROUP.to_string());
    let now = protection.protection(&group).await.unwrap().value;
    assert_eq!(
        (now.mode, now.active.path.0.as_str(), now.active.request),
        (
            SelectionMode::Automatic,
            "working",
            SwitchRequest::NoRequest
        )
    );
    assert_eq!(
        (now.wait_to_restore, now.revertive, now.switch_overs),
        (Some(Duration::from_secs(300)), Some(true), Some(3))
    );
    assert_eq!(now.paths[0].threshold, Some(DecibelMilliwatts(-30.0)));
    let (at, origin) = now.active.since.unwrap();
    let ago = SystemTime::now().duration_since(at).unwrap().as_secs();
    assert!((60..65).contains(&ago) && origin == Origin::Device, "{ago}");
    // Enabled, active, request, bits.
    for (enabled, active, request, bits, is) in [
        (2, 2, 4, 0x50, SwitchRequest::SignalFail),
        (2, 2, 1, 0x10, SwitchRequest::WaitToRestore),
        (2, 2, 5, 0x10, SwitchRequest::ForcedSwitch),
        (2, 1, 1, 0x80, SwitchRequest::LockoutOfProtection),
        (1, 1, 1, 0x00, SwitchRequest::ManualSwitch),
    ] {
        agent.set_value(name(aps::ENABLE), Value::Integer(enabled));
        agent.set_value(name(aps::ACTIVE_RX), Value::Integer(active));
        agent.set_value(name(aps::ACTIVE_REQUEST), Value::Integer(request));
        agent.set_value(name(aps::CHAN_STATUS), Value::OctetString(vec![bits]));
        let now = protection.protection(&group).await.unwrap().value;
        assert_eq!(
            (now.active.request, now.paths[0].failed),
            (is, Some(bits & 0x40 != 0))
        );
    }
    for missing in ["1", "x", "01294848"] {
        assert_eq!(
            protection
                .protection(&missing.into())
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::NotFound
        );
    }
    // The agent has restarted since: earlier times are no longer valid.
    agent.set_value(aps::SYS_UP_TIME.into(), Value::TimeTicks(100));
    assert_eq!(
        protection
            .protection(&group)
            .await
            .unwrap()
            .value
            .active
            .since,
        None
    );
}

#[tokio::test(start_paused = true)]
async fn commands_move_the_signal_and_are_read_back() {
    let (opened, agent, script) = open().await;
    let protection = opened.protection().unwrap();
    let group = GROUP.to_string().as_str().into();
    for (command, value) in [
        (ExternalCommand::Force("protection".into()), 3),
        (ExternalCommand::Clear, 1),
        (ExternalCommand::Manual("protection".into()), 5),
        (ExternalCommand::Force("working".into()), 4),
        (ExternalCommand::Lockout, 2),
    ] {
        protection.command(&group, &command).await.unwrap();
        assert_eq!(
            agent.accepted_sets(),
            [VarBind::new(
                name(aps::SWITCH_COMMAND),
                Value::Integer(value)
            )]
        );
    }
    let refused = |e: qkd_hal::Error| (e.kind(), e.effect());
    // A lockout is active.
    let manual = ExternalCommand::Manual("protection".into());
    assert_eq!(
        refused(protection.command(&group, &manual).await.unwrap_err()),
        (ErrorKind::NotReady, Effect::None)
    );
    protection
        .command(&group, &ExternalCommand::Clear)
        .await
        .unwrap();
    agent.set_value(name(aps::CHAN_STATUS), Value::OctetString(vec![0x20]));
    assert_eq!(
        refused(protection.command(&group, &manual).await.unwrap_err()),
        (ErrorKind::NotReady, Effect::None)
    );
    agent.set_value(name(aps::CHAN_STATUS), Value::OctetString(Vec::new()));
    agent.refuse(ErrorStatus::InconsistentValue);
    assert_eq!(
        refused(protection.command(&group, &manual).await.unwrap_err()),
        (ErrorKind::Refused, Effect::None)
    );
    script.inject(1, LinkFault::Drop);
    assert_eq!(
        refused(protection.command(&group, &manual).await.unwrap_err()),
        (ErrorKind::Timeout, Effect::Unknown)
    );
    agent.set_value(name(aps::ENABLE), Value::Integer(1));
    assert_eq!(
        refused(
            protection
                .command(&group, &ExternalCommand::Force("working".into()))
                .await
                .unwrap_err()
        ),
        (ErrorKind::NotReady, Effect::None)
    );
}

#[tokio::test(start_paused = true)]
async fn settings_are_set_and_read_back_and_thresholds_only_in_a_given_encoding() {
    let (opened, agent, _) = open().await;
    let protection = opened.protection().unwrap();
    let group = GROUP.to_string().as_str().into();
    assert!(
        !protection
            .protection_capabilities()
            .settings
            .contains(&SettingKind::Threshold)
    );
    for (setting, column, value) in [
        ("mode=manual", aps::ENABLE, Value::Integer(1)),
        ("revert=off", aps::REVERTIVE, Value::Integer(1)),
        (
            "wait-to-restore=720",
            aps::WAIT_TO_RESTORE,
            Value::Gauge32(12),
        ),
    ] {
        protection
            .set_protection(&group, &setting.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(agent.accepted_sets(), [VarBind::new(name(column), value)]);
    }
    for wrong in [
        "wait-to-restore=90",
        "wait-to-restore=0",
        "wait-to-restore=780",
        "threshold.working=-30",
    ] {
        assert_eq!(
            protection
                .set_protection(&group, &wrong.parse().unwrap())
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidInput,
            "{wrong}"
        );
    }
    assert_eq!(
        protection
            .set_protection(&"7".into(), &"revert=on".parse().unwrap())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    assert!(agent.accepted_sets().is_empty());
    for (encoding, value) in [("signed", -285), ("twos-complement", 65_251)] {
        let (opened, agent, _) = open_with(&format!("&los-encoding={encoding}"), objects()).await;
        opened
            .protection()
            .unwrap()
            .set_protection(&group, &"threshold.working=-28.5".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(
            agent.accepted_sets(),
            [VarBind::new(
                name(aps::LOS_THRESHOLD),
                Value::Integer(value)
            )]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn both_traps_are_switch_overs() {
    let (opened, agent, script) = open().await;
    let mut events = opened.device().events();
    let trap = |trap: &[u32], active: i32| {
        let binds = vec![
            VarBind::new(
                name(aps::USER_WORKING),
                Value::Integer(i32::try_from(GROUP).unwrap()),
            ),
            VarBind::new(name(aps::ACTIVE_RX), Value::Integer(active)),
        ];
        agent.set_value(name(aps::ACTIVE_RX), Value::Integer(active));
        agent.set_value(
            name(aps::ACTIVE_REQUEST),
            Value::Integer(if active == 2 { 4 } else { 2 }),
        );
        agent.notify(trap.into(), binds);
    };
    for (which, active, path, request) in [
        (0, 2, "protection", "signal-fail"),
        (1, 1, "working", "no-request"),
        (0, 2, "protection", "unknown"),
    ] {
        if request == "unknown" {
            // The state cannot be read: the content of the trap is published.
            script.inject(0, LinkFault::Drop);
        }
        trap(aps::TRAPS[which], active);
        let Some(StreamItem::Event(event)) =
            tokio::time::timeout(Duration::from_secs(20), events.next())
                .await
                .unwrap()
        else {
            panic!()
        };
        let over = EventKind::SwitchOver {
            group: GROUP.to_string(),
            path: path.into(),
            request: request.into(),
        };
        assert_eq!((event.origin, &event.kind), (Origin::Device, &over));
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_type_is_known_only_from_its_rows() {
    let (opened, agent, _) = open().await;
    let meter = opened.power_meter().unwrap();
    assert_eq!(
        meter.power(&[Port(9)]).await.unwrap()[0].value,
        DecibelMilliwatts(-5.3)
    );
    assert_eq!(
        meter.monitor(Port(9)).await.unwrap().alarms.low,
        Some(DecibelMilliwatts(-30.0))
    );
    assert_eq!(
        meter.power(&[Port(1)]).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    agent.set_value(aps::of_port(aps::PORT_POWER, 9), Value::Integer(70_000));
    let beyond = meter.power(&[Port(9)]).await.unwrap();
    assert_eq!(beyond[0].quality, Quality::OutOfRange);
    let mut few = objects();
    few.retain(|name, _| {
        name.suffix_of(&Oid::from(aps::ENTRY)).is_none()
            && name.suffix_of(&Oid::from(aps::PORT)).is_none()
    });
    let (opened, _, _) = open_with("", few).await;
    assert_eq!(opened.device().descriptor().kinds, [DeviceKind::Encryptor]);
    assert!(
        opened.protection().is_err() && opened.power_meter().is_err() && opened.encryptor().is_ok()
    );
}
