//! The driver against a scripted agent, in memory and under paused time.

use crate::{
    driver,
    proto::{self, name},
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
    DeviceMisbehaved, Effect, ErrorKind, EventKind, Result,
    capability::EventSupport,
    device::HealthState,
    event::{EventStream, Origin, StreamItem},
};
use qkd_switch_hal::protection::{ExternalCommand, SettingKind, SwitchRequest};
use std::{sync::Arc, time::Duration};

const SYS_DESCR: &str = "1.3.6.1.2.1.1.1.0";
const SYS_OBJECT_ID: &str = "1.3.6.1.2.1.1.2.0";

fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

fn objects() -> Objects {
    let mut all = Objects::new();
    for slot in [1, 3] {
        for (object, value) in [
            (proto::STATE, 1),
            (proto::WORK_MODE, 1),
            (proto::CHANNEL, 1),
            (proto::SWITCHING_POWER, -2500),
            (proto::SWITCHING_POWER + 1, -2500),
            (proto::POWER, -500),
            (proto::POWER + 1, -600),
            (proto::TX_POWER, 120),
            (proto::BACK_MODE, 0),
            (proto::BACK_DELAY, 60),
        ] {
            all.insert(name(slot, object), Value::Integer(value));
        }
    }
    all.insert(oid(SYS_DESCR), Value::text("GLCY SNMP"));
    all.insert(oid(SYS_OBJECT_ID), Value::ObjectId(oid("1.3.6.1.2.1.1.2")));
    for (object, value) in proto::CHASSIS.iter().zip(["NMU", "1.0", "S1"]) {
        all.insert(Oid::from(*object), Value::text(value));
    }
    all
}

const ASSUME: &str = "assume=fs-olp.main-is-r1";

async fn open_with(
    query: &str,
    objects: Objects,
) -> (Result<OpenedDevice>, Arc<ScriptedAgent>, FaultScript) {
    let (agent, script) = (ScriptedAgent::new(objects, |_, _| {}), FaultScript::new());
    let context = OpenContext::new()
        .with_memory("device", agent.endpoint())
        .with_faults(script.clone());
    (
        Registry::new()
            .with(driver())
            .open(&format!("fs-olp+mem://device?{query}"), &context)
            .await,
        agent,
        script,
    )
}

async fn open(query: &str) -> (OpenedDevice, Arc<ScriptedAgent>, FaultScript) {
    let (opened, agent, script) = open_with(query, objects()).await;
    (opened.unwrap(), agent, script)
}

async fn event(events: &mut EventStream) -> (Origin, EventKind) {
    match tokio::time::timeout(Duration::from_secs(5), events.next())
        .await
        .unwrap()
    {
        Some(StreamItem::Event(e)) => (e.origin, e.kind.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn slots_with_a_card_are_groups_and_the_reason_is_derived() {
    let (opened, agent, _) = open("delay-unit=s").await;
    let protection = opened.protection().unwrap();
    assert_eq!(
        opened.device().identity().await.unwrap().to_string(),
        "FS.com NMU, serial S1, firmware 1.0"
    );
    assert_eq!(protection.groups().await.unwrap(), ["1".into(), "3".into()]);
    for (mode, channel, r1, back, request) in [
        (1, 1, -500, 0, SwitchRequest::NoRequest),
        (1, 2, -4000, 0, SwitchRequest::SignalFail),
        (1, 2, -500, 0, SwitchRequest::DoNotRevert),
        (1, 2, -500, 1, SwitchRequest::WaitToRestore),
        (0, 2, -500, 1, SwitchRequest::ManualSwitch),
    ] {
        for (object, value) in [
            (proto::WORK_MODE, mode),
            (proto::CHANNEL, channel),
            (proto::POWER, r1),
            (proto::BACK_MODE, back),
        ] {
            agent.set_value(name(3, object), Value::Integer(value));
        }
        let now = protection.protection(&"3".into()).await.unwrap().value;
        assert_eq!(
            (now.active.request, now.paths[0].failed),
            (request, Some(r1 < -2500))
        );
    }
    let now = protection.protection(&"3".into()).await.unwrap().value;
    assert_eq!(
        (now.wait_to_restore, now.revertive),
        (Some(Duration::from_secs(60)), Some(true))
    );
    assert_eq!(now.paths[1].power.unwrap().value.0, -6.0);
    for missing in ["2", "17", "03", "x"] {
        assert_eq!(
            protection
                .protection(&missing.into())
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::NotFound,
            "{missing}"
        );
    }
    agent.set_value(name(1, proto::STATE), Value::Integer(0));
    assert_eq!(
        opened.device().health().await.unwrap().state,
        HealthState::Degraded
    );
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_set_only_if_its_unit_is_configured() {
    let (opened, _, _) = open("").await;
    let protection = opened.protection().unwrap();
    let settings: Vec<_> = protection
        .protection_capabilities()
        .settings
        .iter()
        .copied()
        .collect();
    assert_eq!(settings, [SettingKind::Mode, SettingKind::Revertive]);
    assert_eq!(
        protection
            .protection(&"1".into())
            .await
            .unwrap()
            .value
            .wait_to_restore,
        None
    );
    let (opened, agent, _) = open("delay-unit=min&power-scale=0.1").await;
    let protection = opened.protection().unwrap();
    for (setting, object, value) in [
        ("wait-to-restore=120", proto::BACK_DELAY, 2),
        ("threshold.sub=-25.5", proto::SWITCHING_POWER + 1, -255),
        ("mode=manual", proto::WORK_MODE, 0),
        ("revert=on", proto::BACK_MODE, 1),
    ] {
        protection
            .set_protection(&"1".into(), &setting.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(
            agent.accepted_sets(),
            [VarBind::new(name(1, object), Value::Integer(value))]
        );
    }
    for wrong in [
        "wait-to-restore=90",
        "threshold.sub=-25.55",
        "threshold.third=-25",
        "threshold.main=1000",
        "preferred=sub",
    ] {
        assert_eq!(
            protection
                .set_protection(&"1".into(), &wrong.parse().unwrap())
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidInput,
            "{wrong}"
        );
    }
    assert_eq!(
        protection
            .set_protection(&"2".into(), &"revert=on".parse().unwrap())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    assert!(agent.accepted_sets().is_empty());
    for query in ["delay-unit=h", "power-scale=2", "poll=0s", "poll=often"] {
        assert_eq!(
            open_with(query, objects()).await.0.unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{query}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn commands_need_manual_mode_and_an_available_path() {
    let (opened, agent, script) = open(&format!("poll=off&{ASSUME}")).await;
    let protection = opened.protection().unwrap();
    let (group, force, manual) = (
        "1".into(),
        ExternalCommand::Force("sub".into()),
        ExternalCommand::Manual("sub".into()),
    );
    let refused = |e: qkd_hal::Error| (e.kind(), e.effect());
    assert_eq!(
        refused(protection.command(&group, &force).await.unwrap_err()),
        (ErrorKind::NotReady, Effect::None)
    );
    agent.set_value(name(1, proto::WORK_MODE), Value::Integer(0));
    agent.set_value(name(1, proto::POWER + 1), Value::Integer(-5000));
    assert_eq!(
        refused(protection.command(&group, &manual).await.unwrap_err()),
        (ErrorKind::NotReady, Effect::None)
    );
    assert!(agent.accepted_sets().is_empty());
    agent.refuse(ErrorStatus::GenErr);
    assert_eq!(
        refused(protection.command(&group, &force).await.unwrap_err()),
        (ErrorKind::Refused, Effect::None)
    );
    // The first exchange of a command is a reading, the second the command.
    script.inject(1, LinkFault::Drop);
    assert_eq!(
        refused(protection.command(&group, &force).await.unwrap_err()),
        (ErrorKind::Timeout, Effect::Unknown)
    );
    protection.command(&group, &force).await.unwrap();
    assert_eq!(
        protection
            .protection(&group)
            .await
            .unwrap()
            .value
            .active
            .path
            .0,
        "sub"
    );
    let (opened, _, _) = open("").await;
    let error = opened
        .protection()
        .unwrap()
        .command(&group, &force)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AssumptionNotAccepted);
}

#[tokio::test(start_paused = true)]
async fn polling_reports_paths_and_switch_overs_until_the_end() {
    let (opened, agent, script) = open("").await;
    let mut events = opened.device().events();
    agent.set_value(name(3, proto::POWER), Value::Integer(-5000));
    agent.set_value(name(3, proto::CHANNEL), Value::Integer(2));
    let over = EventKind::SwitchOver {
        group: "3".into(),
        path: "sub".into(),
        request: "signal-fail".into(),
    };
    assert_eq!(event(&mut events).await, (Origin::Poll, over));
    assert_eq!(
        event(&mut events).await,
        (
            Origin::Poll,
            EventKind::StateChanged {
                subject: "3/main".into(),
                state: "failed".into()
            }
        )
    );
    assert_eq!(
        opened
            .protection()
            .unwrap()
            .protection(&"3".into())
            .await
            .unwrap()
            .value
            .active
            .since
            .unwrap()
            .1,
        Origin::Poll
    );
    opened.device().close().await.unwrap();
    assert_eq!(events.next().await, None);
    let count = script.count();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(script.count(), count, "it still polls");
    let (opened, _, script) = open("poll=off").await;
    assert_eq!(
        opened.device().capabilities().events,
        EventSupport::LinkOnly
    );
    let count = script.count();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(script.count(), count);
}

#[tokio::test(start_paused = true)]
async fn invalid_values_and_other_devices_are_reported() {
    let (opened, agent, _) = open("poll=off").await;
    let protection = opened.protection().unwrap();
    for (value, kind) in [
        (
            Value::Integer(3),
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (
            Value::text("main"),
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
    ] {
        agent.set_value(name(1, proto::CHANNEL), value);
        assert_eq!(
            protection.protection(&"1".into()).await.unwrap_err().kind(),
            kind
        );
    }
    agent.set_value(name(1, proto::CHANNEL), Value::Integer(1));
    protection.protection(&"1".into()).await.unwrap();
    agent.set_value(Oid::from(proto::CHASSIS[2]), Value::text("S9"));
    assert_eq!(
        opened.device().identity().await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
    assert_eq!(
        protection.protection(&"1".into()).await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
}

#[tokio::test(start_paused = true)]
async fn the_chassis_is_the_device_and_cards_are_hot_pluggable() {
    let (opened, agent, _) = open("poll=off").await;
    let (device, protection) = (opened.device(), opened.protection().unwrap());
    let before = device.identity().await.unwrap();
    for object in 1..=25 {
        agent.remove(&name(1, object));
    }
    assert_eq!(device.identity().await.unwrap(), before);
    assert_eq!(protection.groups().await.unwrap(), ["3".into()]);
    for object in 1..=25 {
        agent.remove(&name(3, object));
    }
    assert_eq!(device.identity().await.unwrap(), before);
    assert!(protection.groups().await.unwrap().is_empty());
    // A chassis without any card opens.
    let mut empty = objects();
    empty.retain(|object, _| {
        [1, 3]
            .iter()
            .all(|n| object.suffix_of(&slot_of(*n)).is_none())
    });
    let (opened, ..) = open_with("poll=off", empty).await;
    assert_eq!(opened.unwrap().device().identity().await.unwrap(), before);
}

fn slot_of(slot: u32) -> Oid {
    Oid::from(proto::SLOTS).child(&[slot])
}

#[tokio::test(start_paused = true)]
async fn a_chassis_is_known_as_recorded_ones_respond_and_others_are_refused() {
    let change = |descr: &str, id: &str, chassis: bool| {
        let mut all = objects();
        all.insert(oid(SYS_DESCR), Value::text(descr));
        all.insert(oid(SYS_OBJECT_ID), Value::ObjectId(oid(id)));
        if !chassis {
            all.remove(&Oid::from(proto::CHASSIS[0]));
        }
        all
    };
    for (descr, id, chassis) in [
        ("GLCY SNMP", "1.3.6.1.2.1.1.2", true),
        ("OAP", "1.3.6.1.4.1.40989.10", true),
        ("OAP", "1.3.6.1.4.1.40989", false),
    ] {
        let (opened, ..) = open_with("poll=off", change(descr, id, chassis)).await;
        opened.unwrap();
    }
    for (descr, id, chassis) in [
        ("GLCY SNMP", "1.3.6.1.2.1.1.2", false),
        ("GLCY SNMP", "1.3.6.1.4.1.8072.3.2.10", true),
        ("Linux", "1.3.6.1.2.1.1.2", true),
        ("OAP", "1.3.6.1.4.1.409890", true),
    ] {
        let (opened, ..) = open_with("poll=off", change(descr, id, chassis)).await;
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IdentityChanged, "{descr} {id}");
        assert!(error.message().contains(id), "{error}");
    }
    let (opened, ..) = open_with("", Objects::new()).await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::IdentityChanged);
}
