//! Replies, failover and notifications.

use super::{ENTERPRISE, Kind, Scte};
use crate::{
    Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::protection::ProtectionSwitch,
    profile::protection::inputs,
    wire::snmp::{
        NodeOptions, SnmpAgent,
        agent::Agent,
        testing::{oid, walk},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use qkd_switch_hal::protection::ProtectionCapabilities;
use std::{sync::Arc, time::Duration};

fn scte(kind: Kind) -> (Arc<Agent<Scte>>, Clock) {
    let clock = Clock::manual();
    let group = kind.group(inputs());
    let model = ProtectionSwitch::new(
        Identity::new("SCTE HMS"),
        ProtectionCapabilities::default(),
        vec![("1".into(), group)],
        clock.clone(),
    );
    (
        super::agent(Arc::new(model), kind, NodeOptions::named("hms", ENTERPRISE)),
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
    let reported: Vec<_> = std::iter::from_fn(|| traps.try_recv().ok()).collect();
    assert_eq!(reported.len(), 2, "the failover, and the input");
    assert_eq!(reported[0].trap, oid("1.3.6.1.4.1.5591.1.0.5"));
    assert_eq!(
        reported[0].binds[0].value,
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
