//! Protection switches: replies, failover and notifications.

use super::{oid, walk};
use crate::{
    Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::protection::{Group, Input, ProtectionSwitch},
    wire::snmp::{
        NodeOptions, SnmpAgent,
        agent::Agent,
        olp,
        scte::{self, Kind},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use qkd_switch_hal::protection::ProtectionCapabilities;
use std::{sync::Arc, time::Duration};

fn inputs() -> Vec<Input> {
    vec![Input::new(-5.0, -25.0), Input::new(-6.0, -25.0)]
}

fn scte(kind: Kind) -> (Arc<Agent<scte::Scte>>, Clock) {
    let clock = Clock::manual();
    let paths = kind
        .paths()
        .iter()
        .map(|(name, _, needs)| ((*name).to_owned(), needs.to_vec()))
        .collect();
    let group = Group::with_path_inputs(paths, inputs());
    let model = ProtectionSwitch::new(
        Identity::new("SCTE HMS"),
        ProtectionCapabilities::default(),
        vec![("1".into(), group)],
        clock.clone(),
    );
    (
        scte::agent(
            Arc::new(model),
            kind,
            NodeOptions::named("hms", scte::ENTERPRISE),
        ),
        clock,
    )
}

const H: &str = "1.3.6.1.4.1.5591.1.11.1.4.1.1";

fn get(agent: &dyn SnmpAgent, name: &str) -> Value {
    agent.get(&oid(name))
}
fn set(agent: &dyn SnmpAgent, name: &str, value: i32) -> Result<(), ErrorStatus> {
    agent
        .set(1, &[VarBind::new(oid(name), Value::Integer(value))])
        .map_err(|(status, _)| status)
}

#[test]
fn an_ab_switch_fails_over_reports_and_reverts() {
    let (agent, clock) = scte(Kind::Ab);
    assert_eq!(
        walk(&*agent)
            .iter()
            .filter(|b| b.oid.to_string().starts_with(H))
            .count(),
        9 + 8 + 1
    );
    let mut traps = agent.notifications();
    agent
        .apply(&DeviceFault::Cut(Some("a".to_owned())))
        .unwrap();
    for (column, is) in [(4, 2), (5, 2), (6, 1)] {
        assert_eq!(
            get(&*agent, &format!("{H}.1.1.{column}.1")),
            Value::Integer(is),
            "column {column}"
        );
    }
    assert_eq!(get(&*agent, &format!("{H}.2.1.4.1.1")), Value::Integer(2));
    assert_eq!(
        get(&*agent, &format!("{H}.2.1.2.1.1")),
        Value::Integer(-600)
    );
    let told: Vec<_> = std::iter::from_fn(|| traps.try_recv().ok()).collect();
    assert_eq!(told.len(), 2, "the failover, and the input");
    assert_eq!(told[0].trap, oid("1.3.6.1.4.1.5591.1.0.5"));
    assert_eq!(
        told[0].binds[0].value,
        Value::ObjectId(oid(&format!("{H}.1.1.5.1")))
    );
    agent.apply(&DeviceFault::Clear).unwrap();
    clock.advance(Duration::from_secs(59));
    agent.tick();
    assert_eq!(
        get(&*agent, &format!("{H}.1.1.4.1")),
        Value::Integer(2),
        "it waits"
    );
    clock.advance(Duration::from_secs(2));
    agent.tick();
    assert_eq!(get(&*agent, &format!("{H}.1.1.4.1")), Value::Integer(1));
}

#[test]
fn control_is_the_preferred_path_or_the_path() {
    let (agent, _) = scte(Kind::Ab);
    let control = format!("{H}.1.1.2.1");
    assert_eq!(
        set(&*agent, &control, 3),
        Err(ErrorStatus::InconsistentValue),
        "an A/B switch cannot cross"
    );
    assert_eq!(set(&*agent, &control, 7), Err(ErrorStatus::WrongValue));
    set(&*agent, &control, 2).unwrap();
    assert_eq!(
        get(&*agent, &format!("{H}.1.1.4.1")),
        Value::Integer(1),
        "automatic: preferred, and waits to restore"
    );
    set(&*agent, &format!("{H}.1.1.1.1"), 2).unwrap();
    set(&*agent, &control, 2).unwrap();
    assert_eq!(
        get(&*agent, &format!("{H}.1.1.4.1")),
        Value::Integer(2),
        "manual: at once"
    );
}

#[test]
fn a_crossbar_feeds_both_outputs_from_the_input_that_is_left() {
    let (agent, _) = scte(Kind::TwoByTwo);
    agent
        .apply(&DeviceFault::Cut(Some("both-b".to_owned())))
        .unwrap();
    assert_eq!(
        get(&*agent, &format!("{H}.1.1.4.1")),
        Value::Integer(5),
        "bothA"
    );
    assert_eq!(
        get(&*agent, &format!("{H}.1.1.2.1")),
        Value::Integer(4),
        "bar is preferred"
    );
}

#[test]
fn a_line_protection_card_is_switched_manually_only_in_manual_mode() {
    let groups = ["2", "16"]
        .map(|slot| (slot.into(), Group::of(&olp::PATHS, inputs())))
        .to_vec();
    let model = Arc::new(ProtectionSwitch::new(
        Identity::new("FS.com").with_serial("X"),
        ProtectionCapabilities::default(),
        groups,
        Clock::manual(),
    ));
    let agent = olp::agent(
        Arc::clone(&model),
        Duration::from_secs(1),
        NodeOptions::named("oap", olp::ENTERPRISE),
    );
    let scalar = |slot: u32, n: u32| format!("1.3.6.1.4.1.40989.10.16.{slot}.3.{n}.0");
    assert_eq!(
        walk(&*agent)
            .iter()
            .filter(|b| b.oid.to_string().contains(".40989.10.16."))
            .count(),
        56,
        "two cards, and the chassis"
    );
    // As recorded chassis respond.
    assert_eq!(get(&*agent, "1.3.6.1.2.1.1.1.0"), Value::text("GLCY SNMP"));
    assert_eq!(
        get(&*agent, "1.3.6.1.2.1.1.2.0"),
        Value::ObjectId(oid("1.3.6.1.2.1.1.2"))
    );
    let chassis = |n: u32| format!("1.3.6.1.4.1.40989.10.16.20.{n}.0");
    assert_eq!(get(&*agent, &chassis(15)), Value::text("X"));
    assert_eq!(set(&*agent, &chassis(15), 1), Err(ErrorStatus::NotWritable));
    model.pull(&["2".into()]).unwrap();
    assert!(get(&*agent, &scalar(2, 9)).is_absent(), "a pulled card");
    assert_eq!(
        set(&*agent, &scalar(2, 22), 0),
        Err(ErrorStatus::NoCreation)
    );
    assert!(model.pull(&["3".into()]).is_err());
    model.pull(&[]).unwrap();
    assert_eq!(get(&*agent, &scalar(2, 9)), Value::Integer(1));
    assert!(get(&*agent, &scalar(3, 9)).is_absent(), "an empty slot");
    assert_eq!(get(&*agent, &scalar(16, 19)), Value::Integer(-500));
    assert_eq!(
        set(&*agent, &scalar(16, 9), 2),
        Err(ErrorStatus::InconsistentValue)
    );
    let both = [
        VarBind::new(oid(&scalar(16, 8)), Value::Integer(0)),
        VarBind::new(oid(&scalar(16, 9)), Value::Integer(2)),
    ];
    agent.set(1, &both).unwrap();
    assert_eq!(
        (get(&*agent, &scalar(16, 9)), get(&*agent, &scalar(2, 9))),
        (Value::Integer(2), Value::Integer(1))
    );
    assert_eq!(
        set(&*agent, &scalar(2, 19), 0),
        Err(ErrorStatus::NotWritable)
    );
    assert_eq!(
        set(&*agent, &scalar(2, 11), 10_000),
        Err(ErrorStatus::WrongValue)
    );
    model.apply(&DeviceFault::Refuse(1)).unwrap();
    assert_eq!(set(&*agent, &scalar(2, 22), 0), Err(ErrorStatus::GenErr));
    set(&*agent, &scalar(2, 22), 0).unwrap();
}
