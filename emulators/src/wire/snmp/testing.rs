//! Walks and vectors, for tests of agents in memory.

use super::SnmpAgent;
use qkd_driver_kit::link::snmp::{Oid, Value, VarBind};

pub(crate) fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

/// Reads everything in order; each instance must also answer a GET with the same type.
pub(crate) fn walk(agent: &dyn SnmpAgent) -> Vec<VarBind> {
    let mut at = oid("1.3");
    let mut all = Vec::new();
    while let Some(bind) = agent.next(&at) {
        assert!(bind.oid > at, "{} is not after {at}", bind.oid);
        assert_eq!(
            std::mem::discriminant(&agent.get(&bind.oid)),
            std::mem::discriminant(&bind.value),
            "{}",
            bind.oid
        );
        at = bind.oid.clone();
        all.push(bind);
    }
    all
}

/// The varbinds of a golden vector.
pub(crate) fn binds(vector: &serde_json::Value) -> Vec<VarBind> {
    let bind = |b: &serde_json::Value| {
        let (number, text) = (b["value"].as_i64(), b["value"].as_str());
        let value = match b["type"].as_str().unwrap() {
            "INTEGER" => Value::Integer(number.unwrap() as i32),
            "OCTET STRING" => Value::text(text.unwrap()),
            "Gauge32" => Value::Gauge32(number.unwrap() as u32),
            "TimeTicks" => Value::TimeTicks(number.unwrap() as u32),
            "Counter64" => Value::Counter64(number.unwrap() as u64),
            "noSuchInstance" => Value::NoSuchInstance,
            other => panic!("{other}"),
        };
        VarBind::new(oid(b["oid"].as_str().unwrap()), value)
    };
    vector["varbinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(bind)
        .collect()
}

pub(crate) fn vectors(json: &str) -> Vec<serde_json::Value> {
    serde_json::from_str(json).unwrap()
}
pub(crate) fn vector<'a>(all: &'a [serde_json::Value], name: &str) -> &'a serde_json::Value {
    all.iter().find(|v| v["name"] == name).unwrap()
}
