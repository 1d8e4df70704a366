//! The driver against a scripted agent, in memory and under paused time.

use crate::{driver, proto::oid};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        scripted_agent::{Objects, ScriptedAgent},
        snmp::{ErrorStatus, Oid, Value, VarBind},
    },
    wrap::fault::{FaultScript, LinkFault},
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, EventKind, Operation, Result, Support,
    event::{EventStream, Origin, StreamItem},
    units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    Port,
    protection::{ExternalCommand, SelectionMode, SettingKind, SwitchRequest},
};
use std::{sync::Arc, time::Duration};

const UNIT: u32 = 7;

fn name(column: u32) -> Oid {
    oid::unit(column, UNIT)
}

/// In manual mode the switch assumes its control.
fn react(objects: &mut Objects, bind: &VarBind) {
    if bind.oid == name(oid::CONTROL) && objects[&name(oid::MODE)] == Value::Integer(2) {
        objects.insert(name(oid::STATE), bind.value.clone());
    }
}

fn objects(outputs: u32) -> Objects {
    let position = if outputs == 1 { 1 } else { 4 };
    let mut all: Objects = [
        (name(oid::MODE), Value::Integer(1)),
        (name(oid::CONTROL), Value::Integer(position)),
        (name(oid::REVERT), Value::Integer(2)),
        (name(oid::STATE), Value::Integer(position)),
        (name(oid::FAILOVER), Value::Integer(1)),
        (name(oid::WAIT_TO_RESTORE), Value::Integer(60)),
        (name(oid::HYSTERESIS), Value::Integer(15)),
        (
            Oid::from(oid::PHYSICAL).child(&[oid::SERIAL, UNIT]),
            Value::text("S1"),
        ),
    ]
    .into();
    for input in [1, 2] {
        all.insert(
            oid::input(oid::INPUT_STATUS, UNIT, input),
            Value::Integer(1),
        );
        all.insert(oid::input(oid::LEVEL, UNIT, input), Value::Integer(-53));
        all.insert(
            oid::input(oid::THRESHOLD, UNIT, input),
            Value::Integer(-250),
        );
    }
    for output in 1..=outputs {
        all.insert(
            oid::column(oid::OUTPUT, oid::OUTPUT_DESCRIPTION).child(&[UNIT, output]),
            Value::text("Output"),
        );
    }
    all
}

struct Bench {
    opened: Result<OpenedDevice>,
    agent: Arc<ScriptedAgent>,
    script: FaultScript,
}

async fn bench(objects: Objects, query: &str) -> Bench {
    let (agent, script) = (ScriptedAgent::new(objects, react), FaultScript::new());
    let context = OpenContext::new()
        .with_memory("device", agent.endpoint())
        .with_faults(script.clone());
    let opened = Registry::new()
        .with(driver())
        .open(&format!("scte-hms+mem://device?{query}"), &context)
        .await;
    Bench {
        opened,
        agent,
        script,
    }
}

const ASSUME: &str = "assume=scte-hms.outputs-tell-the-shape";

async fn open(outputs: u32) -> (OpenedDevice, Arc<ScriptedAgent>, FaultScript) {
    let Bench {
        opened,
        agent,
        script,
    } = bench(objects(outputs), ASSUME).await;
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

fn alarm(agent: &ScriptedAgent) {
    let column = |c| oid::log(c).child(&[1]);
    let object = Value::ObjectId(oid::input(oid::INPUT_STATUS, UNIT, 1));
    let binds = vec![
        VarBind::new(column(oid::LOG_OID), object),
        VarBind::new(column(oid::LOG_STATE), Value::Integer(6)),
    ];
    agent.notify(oid::ALARM_EVENT.into(), binds);
}

#[tokio::test(start_paused = true)]
async fn each_state_has_the_reason_that_the_mib_gives_it() {
    let (opened, agent, _) = open(1).await;
    let protection = opened.protection().unwrap();
    let group = protection.groups().await.unwrap().remove(0);
    assert_eq!(group.0, "7");
    // Mode, state, status of input A, revert.
    for (mode, state, input, revert, request) in [
        (1, 1, 1, 2, SwitchRequest::NoRequest),
        (1, 2, 2, 2, SwitchRequest::SignalFail),
        (1, 2, 1, 2, SwitchRequest::WaitToRestore),
        (1, 2, 1, 1, SwitchRequest::DoNotRevert),
        (2, 2, 2, 1, SwitchRequest::ManualSwitch),
    ] {
        agent.set_value(name(oid::MODE), Value::Integer(mode));
        agent.set_value(name(oid::STATE), Value::Integer(state));
        agent.set_value(
            name(oid::FAILOVER),
            Value::Integer(if state == 1 { 1 } else { 2 }),
        );
        agent.set_value(
            oid::input(oid::INPUT_STATUS, UNIT, 1),
            Value::Integer(input),
        );
        agent.set_value(name(oid::REVERT), Value::Integer(revert));
        let now = protection.protection(&group).await.unwrap().value;
        assert_eq!(
            (now.active.request, now.active.path.0.as_str()),
            (request, if state == 1 { "a" } else { "b" })
        );
        assert_eq!(now.paths[0].failed, Some(input == 2));
    }
    let now = protection.protection(&group).await.unwrap().value;
    assert_eq!(
        (now.paths[1].port, now.paths[1].threshold),
        (Some(Port(2)), Some(DecibelMilliwatts(-25.0)))
    );
    assert_eq!(
        protection.protection(&"8".into()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test(start_paused = true)]
async fn settings_are_set_and_read_back() {
    let (opened, agent, script) = open(1).await;
    let protection = opened.protection().unwrap();
    let group = "7".into();
    for (setting, oid, value) in [
        ("preferred=b", name(oid::CONTROL), 2),
        ("revert=off", name(oid::REVERT), 1),
        ("wait-to-restore=30", name(oid::WAIT_TO_RESTORE), 30),
        (
            "threshold.b=-22.5",
            oid::input(oid::THRESHOLD, UNIT, 2),
            -225,
        ),
        ("mode=manual", name(oid::MODE), 2),
    ] {
        protection
            .set_protection(&group, &setting.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(
            agent.accepted_sets(),
            [VarBind::new(oid, Value::Integer(value))]
        );
    }
    for (setting, kind) in [
        ("preferred=c", ErrorKind::InvalidInput),
        ("threshold.a=-22.55", ErrorKind::InvalidInput),
        ("wait-to-restore=1.5", ErrorKind::InvalidInput),
    ] {
        assert_eq!(
            protection
                .set_protection(&group, &setting.parse().unwrap())
                .await
                .unwrap_err()
                .kind(),
            kind,
            "{setting}"
        );
    }
    assert!(agent.accepted_sets().is_empty());
    agent.refuse(ErrorStatus::InconsistentValue);
    let refused = protection
        .set_protection(&group, &"revert=on".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.effect(), refused.vendor_code()),
        (
            ErrorKind::Refused,
            Effect::None,
            Some("inconsistentValue(12)")
        )
    );
    script.inject(0, LinkFault::Drop);
    let lost = protection
        .set_protection(&group, &"revert=on".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        (lost.kind(), lost.effect()),
        (ErrorKind::Timeout, Effect::Unknown)
    );
    assert_eq!(agent.value(&name(oid::REVERT)), Some(Value::Integer(2)));
    protection
        .set_protection(&group, &"revert=on".parse().unwrap())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn commands_need_manual_mode_and_an_available_path() {
    let (opened, agent, _) = open(1).await;
    let protection = opened.protection().unwrap();
    let (group, b) = ("7".into(), "b".into());
    let refused = |e: qkd_hal::Error| (e.kind(), e.effect());
    let forced = ExternalCommand::Force(b);
    assert_eq!(
        refused(protection.command(&group, &forced).await.unwrap_err()),
        (ErrorKind::NotReady, Effect::None)
    );
    assert!(agent.accepted_sets().is_empty());
    protection
        .set_protection(&group, &"mode=manual".parse().unwrap())
        .await
        .unwrap();
    agent.set_value(oid::input(oid::INPUT_STATUS, UNIT, 2), Value::Integer(2));
    let manual = ExternalCommand::Manual("b".into());
    assert_eq!(
        refused(protection.command(&group, &manual).await.unwrap_err()),
        (ErrorKind::NotReady, Effect::None)
    );
    protection.command(&group, &forced).await.unwrap();
    assert_eq!(
        protection
            .protection(&group)
            .await
            .unwrap()
            .value
            .active
            .path
            .0,
        "b"
    );
    // An agent that takes the command and does not move.
    agent.set_value(name(oid::MODE), Value::Integer(2));
    agent.set_value(name(oid::STATE), Value::Integer(1));
    let stuck = ScriptedAgent::new(
        {
            let mut o = objects(1);
            o.insert(name(oid::MODE), Value::Integer(2));
            o
        },
        |_, _| {},
    );
    let context = OpenContext::new().with_memory("device", stuck.endpoint());
    let opened = Registry::new()
        .with(driver())
        .open(&format!("scte-hms+mem://device?{ASSUME}"), &context)
        .await
        .unwrap();
    let error = opened
        .protection()
        .unwrap()
        .command(&group, &forced)
        .await
        .unwrap_err();
    assert_eq!(
        refused(error),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            Effect::Unknown
        )
    );
}

#[tokio::test(start_paused = true)]
async fn alarms_become_switch_overs_or_alarms_and_set_the_time_of_the_active_path() {
    let (opened, agent, _) = open(1).await;
    let protection = opened.protection().unwrap();
    let mut events = protection.events();
    assert_eq!(
        protection
            .protection(&"7".into())
            .await
            .unwrap()
            .value
            .active
            .since,
        None
    );
    agent.set_value(name(oid::STATE), Value::Integer(2));
    agent.set_value(name(oid::FAILOVER), Value::Integer(2));
    agent.set_value(oid::input(oid::INPUT_STATUS, UNIT, 1), Value::Integer(2));
    alarm(&agent);
    let over = EventKind::SwitchOver {
        group: "7".into(),
        path: "b".into(),
        request: "signal-fail".into(),
    };
    assert_eq!(event(&mut events).await, (Origin::Device, over));
    assert_eq!(
        protection
            .protection(&"7".into())
            .await
            .unwrap()
            .value
            .active
            .since
            .unwrap()
            .1,
        Origin::Device
    );
    alarm(&agent);
    let (origin, kind) = event(&mut events).await;
    assert!(
        origin == Origin::Device
            && matches!(kind, EventKind::Alarm { code, .. } if code == "discreteMajor")
    );
    agent.notify(Oid::from([1, 3]), Vec::new());
    opened.device().close().await.unwrap();
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_crossbar_switches_in_manual_mode_and_shows_no_cross_connects_of_both() {
    let (opened, agent, _) = open(2).await;
    let (switch, protection) = (opened.switch().unwrap(), opened.protection().unwrap());
    let present = switch.connections().await.unwrap().value;
    assert_eq!(present.to_string(), "1-3,2-4");
    let wanted = "1-4,2-3".parse().unwrap();
    let cross = switch.plan().to(wanted).build().await.unwrap();
    let error = switch.apply(&cross).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::NotReady, Effect::None)
    );
    protection
        .set_protection(&"7".into(), &"mode=manual".parse().unwrap())
        .await
        .unwrap();
    assert!(switch.apply(&cross).await.unwrap().verified);
    agent.set_value(oid::input(oid::INPUT_STATUS, UNIT, 1), Value::Integer(2));
    let now = protection.protection(&"7".into()).await.unwrap().value;
    assert_eq!(
        now.paths
            .iter()
            .map(|p| p.failed.unwrap())
            .collect::<Vec<_>>(),
        [true, true, true, false]
    );
    assert!(
        !protection
            .protection_capabilities()
            .settings
            .contains(&SettingKind::Threshold)
    );
    protection
        .command(&"7".into(), &ExternalCommand::Manual("both-b".into()))
        .await
        .unwrap();
    let both = switch.connections().await.unwrap_err();
    assert!(
        both.kind() == ErrorKind::NotReady && both.message().contains("both-b"),
        "{both}"
    );
    assert_eq!(
        opened
            .power_meter()
            .unwrap()
            .power(&[Port(2), Port(1)])
            .await
            .unwrap()[0]
            .value,
        DecibelMilliwatts(-5.3)
    );
}

#[tokio::test(start_paused = true)]
async fn missing_objects_of_the_agent_are_not_declared() {
    let mut few = objects(1);
    few.remove(&name(oid::WAIT_TO_RESTORE));
    for input in [1, 2] {
        few.remove(&oid::input(oid::LEVEL, UNIT, input));
        few.remove(&oid::input(oid::THRESHOLD, UNIT, input));
    }
    let opened = bench(few, "").await.opened.unwrap();
    let protection = opened.protection().unwrap();
    let settings: Vec<_> = protection
        .protection_capabilities()
        .settings
        .iter()
        .copied()
        .collect();
    assert_eq!(
        settings,
        [
            SettingKind::Mode,
            SettingKind::Preferred,
            SettingKind::Revertive
        ]
    );
    assert!(
        opened.power_meter().is_err()
            && opened.device().capabilities().supports(Operation::Power) == Support::Unsupported
    );
    assert_eq!(
        protection
            .protection(&"7".into())
            .await
            .unwrap()
            .value
            .wait_to_restore,
        None
    );
    assert_eq!(
        protection
            .set_protection(&"7".into(), &"revert=on".parse().unwrap())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::AssumptionNotAccepted
    );
}

#[tokio::test(start_paused = true)]
async fn invalid_values_and_lost_replies_fail_only_one_call() {
    let (opened, agent, script) = open(1).await;
    let protection = opened.protection().unwrap();
    for (value, kind) in [
        (
            Value::Integer(9),
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (
            Value::Integer(4),
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (
            Value::text("1"),
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
    ] {
        agent.set_value(name(oid::STATE), value);
        assert_eq!(
            protection.protection(&"7".into()).await.unwrap_err().kind(),
            kind
        );
    }
    agent.set_value(name(oid::STATE), Value::Integer(1));
    script.inject(0, LinkFault::Drop);
    assert_eq!(
        protection.protection(&"7".into()).await.unwrap_err().kind(),
        ErrorKind::Timeout
    );
    assert_eq!(
        protection.protection(&"7".into()).await.unwrap().value.mode,
        SelectionMode::Automatic
    );
    agent.set_value(
        Oid::from(oid::PHYSICAL).child(&[oid::SERIAL, UNIT]),
        Value::text("S2"),
    );
    assert_eq!(
        opened.device().identity().await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
    assert_eq!(
        protection.protection(&"7".into()).await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
}

#[tokio::test(start_paused = true)]
async fn one_switch_is_chosen() {
    let mut two = objects(1);
    two.insert(oid::unit(oid::MODE, 8), Value::Integer(1));
    for (query, kind) in [
        ("", ErrorKind::InvalidInput),
        ("unit=9", ErrorKind::InvalidInput),
        ("unit=x", ErrorKind::InvalidInput),
    ] {
        assert_eq!(
            bench(two.clone(), query).await.opened.unwrap_err().kind(),
            kind
        );
    }
    assert!(bench(two, "unit=7").await.opened.is_ok());
    assert_eq!(
        bench(Objects::new(), "").await.opened.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
    let odd = bench(objects(3), "").await.opened.unwrap_err();
    assert_eq!(
        odd.kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange)
    );
}
