//! Messages of SNMP agents that were written from a MIB, for tests of drivers.
//!
//! A file of `vectors/` is an array of messages. Of a message, `varbinds` has objects with `oid`,
//! `type`, and `value` or, for bytes that are not text, `hex`.

use super::snmp::{Notification, Oid, Value, VarBind};
use serde_json::Value as Json;

fn value(bind: &Json) -> Option<Value> {
    let signed = || i32::try_from(bind["value"].as_i64()?).ok();
    let unsigned = || u32::try_from(bind["value"].as_u64()?).ok();
    Some(match bind["type"].as_str()? {
        "INTEGER" => Value::Integer(signed()?),
        "Gauge32" => Value::Gauge32(unsigned()?),
        "Counter32" => Value::Counter32(unsigned()?),
        "TimeTicks" => Value::TimeTicks(unsigned()?),
        "Counter64" => Value::Counter64(bind["value"].as_u64()?),
        "OCTET STRING" => match bind["hex"].as_str() {
            Some(digits) => Value::OctetString(hex::decode(digits).ok()?),
            None => Value::text(bind["value"].as_str()?),
        },
        "OBJECT IDENTIFIER" => Value::ObjectId(bind["value"].as_str()?.parse().ok()?),
        "noSuchInstance" => Value::NoSuchInstance,
        _ => return None,
    })
}

/// The variable bindings of a message; none if it has no `varbinds`.
///
/// # Panics
/// If one is not of the form above: the file is part of a test.
#[must_use]
pub fn varbinds(message: &Json) -> Vec<VarBind> {
    let all = message["varbinds"].as_array().into_iter().flatten();
    all.map(|bind| {
        let name = bind["oid"].as_str().and_then(|oid| oid.parse().ok());
        match (name, value(bind)) {
            (Some(name), Some(value)) => VarBind::new(name, value),
            _ => panic!("{bind} is not a variable binding"),
        }
    })
    .collect()
}

/// The notification of a message with the direction `trap`.
///
/// # Panics
/// If it has none.
#[must_use]
pub fn notification(message: &Json) -> Notification {
    let trap = message["trap"].as_str().and_then(|oid| oid.parse().ok());
    Notification {
        trap: trap.unwrap_or_else(|| panic!("{message} is not a notification")),
        uptime: 1,
        binds: varbinds(message),
    }
}

/// A walk of a column: the index and the value of each of these bindings.
#[must_use]
pub fn walk(binds: &[VarBind], column: &Oid) -> Vec<(Vec<u32>, Value)> {
    binds
        .iter()
        .filter_map(|bind| Some((bind.oid.suffix_of(column)?.to_vec(), bind.value.clone())))
        .collect()
}
