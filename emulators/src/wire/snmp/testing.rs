//! Walks and vectors, for tests of agents in memory.

use super::SnmpAgent;
use qkd_driver_kit::link::snmp::{Notification, Oid, Value, VarBind};
use tokio::sync::broadcast;

pub(crate) fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

/// Reads everything in order; each instance must also answer a GET with the same type.
pub(crate) fn walk(agent: &dyn SnmpAgent) -> Vec<VarBind> {
    let mut at = Oid::from([1, 0]);
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
            "OCTET STRING" => match b["hex"].as_str() {
                Some(digits) => Value::text(hex::decode(digits).unwrap()),
                None => Value::text(text.unwrap()),
            },
            "OBJECT IDENTIFIER" => Value::ObjectId(oid(text.unwrap())),
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

/// The notifications of an agent, in order.
pub(crate) struct Heard(broadcast::Receiver<Notification>);

impl Heard {
    pub(crate) fn new(agent: &dyn SnmpAgent) -> Self {
        Self(agent.notifications())
    }
    /// The last number of the next one.
    pub(crate) fn next(&mut self) -> u32 {
        *self.notification().trap.sub_identifiers().last().unwrap()
    }
    pub(crate) fn notification(&mut self) -> Notification {
        self.0.try_recv().unwrap()
    }
    pub(crate) fn is_empty(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
    /// The next one has the name and the varbinds of a golden vector; values are equal, too, except
    /// for the varbinds that are examples. Of these, the last number of the name is an example.
    pub(crate) fn is_like(
        &mut self,
        golden: &serde_json::Value,
        is_example: impl Fn(usize) -> bool,
    ) {
        let heard = self.notification();
        assert_eq!(heard.trap, oid(golden["trap"].as_str().unwrap()));
        let expected = binds(golden);
        assert_eq!(heard.binds.len(), expected.len());
        for (n, (bind, golden)) in heard.binds.iter().zip(&expected).enumerate() {
            let parent = |oid: &Oid| oid.sub_identifiers().split_last().map(|(_, p)| p.to_vec());
            if is_example(n) {
                assert_eq!(parent(&bind.oid), parent(&golden.oid));
                assert_eq!(
                    std::mem::discriminant(&bind.value),
                    std::mem::discriminant(&golden.value)
                );
            } else {
                assert_eq!(bind, golden);
            }
        }
    }
}
