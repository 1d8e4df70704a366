//! Agents in memory: walks, vectors, pairs.

mod nokia;
mod packetlight;
mod protection;

use super::SnmpAgent;
use qkd_driver_kit::link::snmp::{Oid, SnmpService, Value, VarBind};

pub(super) fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

/// Reads everything in order; each instance must also answer a GET with the same type.
pub(super) fn walk(agent: &dyn SnmpAgent) -> Vec<VarBind> {
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
pub(super) fn binds(vector: &serde_json::Value) -> Vec<VarBind> {
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

pub(super) fn vectors(json: &str) -> Vec<serde_json::Value> {
    serde_json::from_str(json).unwrap()
}
pub(super) fn vector<'a>(all: &'a [serde_json::Value], name: &str) -> &'a serde_json::Value {
    all.iter().find(|v| v["name"] == name).unwrap()
}

#[test]
fn single_bits_of_a_name_never_panic() {
    let agent = packetlight::pair().0;
    for length in 0..20 {
        for id in [0, 1, 3, 4515, u32::MAX] {
            let name = Oid::new(vec![id; length]);
            assert!(agent[0].get(&name).is_absent());
            let _ = agent[0].next(&name);
        }
    }
}
