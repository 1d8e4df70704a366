//! Replies, modes and failover.

use super::{ENTERPRISE, PATHS};
use crate::{
    Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::protection::{Group, ProtectionSwitch},
    profile::protection::inputs,
    wire::snmp::{
        NodeOptions, SnmpAgent,
        testing::{oid, walk},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use qkd_switch_hal::protection::ProtectionCapabilities;
use std::{sync::Arc, time::Duration};

fn get(agent: &dyn SnmpAgent, name: &str) -> Value {
    agent.get(&oid(name))
}
fn set(agent: &dyn SnmpAgent, name: &str, value: i32) -> Result<(), ErrorStatus> {
    agent
        .set(1, &[VarBind::new(oid(name), Value::Integer(value))])
        .map_err(|(status, _)| status)
}

#[test]
fn a_line_protection_card_is_switched_manually_only_in_manual_mode() {
    let groups = ["2", "16"]
        .map(|slot| (slot.into(), Group::of(&PATHS, inputs())))
        .to_vec();
    let model = Arc::new(ProtectionSwitch::new(
        Identity::new("FS.com").with_serial("X"),
        ProtectionCapabilities::default(),
        groups,
        Clock::manual(),
    ));
    let agent = super::agent(
        Arc::clone(&model),
        Duration::from_secs(1),
        NodeOptions::named("oap", ENTERPRISE),
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
