//! Varbinds as parts of a message.

use super::{Part, parts};
use crate::link::{
    Disclosure, all_secret,
    snmp::{Oid, Value, VarBind},
};
use zeroize::Zeroizing;

/// A varbind's prefix, `1.3.6.1.2.1.1.5.0=s:`, and its value, in the manner of net-snmp's types.
fn halves(bind: &VarBind) -> (String, Zeroizing<Vec<u8>>) {
    let (kind, value) = match &bind.value {
        Value::Integer(v) => ('i', v.to_string().into_bytes()),
        Value::OctetString(v) => ('s', v.clone()),
        Value::ObjectId(v) => ('o', v.to_string().into_bytes()),
        Value::IpAddress(v) => ('a', v.map(|b| b.to_string()).join(".").into_bytes()),
        Value::Counter32(v) => ('c', v.to_string().into_bytes()),
        Value::Gauge32(v) => ('u', v.to_string().into_bytes()),
        Value::TimeTicks(v) => ('t', v.to_string().into_bytes()),
        Value::Counter64(v) => ('C', v.to_string().into_bytes()),
        Value::Opaque(v) => ('x', v.clone()),
        Value::Null => ('n', Vec::new()),
        Value::NoSuchObject => ('-', b"noSuchObject".to_vec()),
        Value::NoSuchInstance => ('-', b"noSuchInstance".to_vec()),
        Value::EndOfMibView => ('-', b"endOfMibView".to_vec()),
        Value::Invalid(why) => ('?', why.clone().into_bytes()),
    };
    (format!("{}={kind}:", bind.oid), Zeroizing::new(value))
}

/// The parts of a varbind; the value of a secret one is its length.
pub(crate) fn varbind(bind: &VarBind, secret: bool) -> Vec<Part> {
    let (prefix, value) = halves(bind);
    let mut out = vec![Part::Text(prefix)];
    out.extend(parts(
        &value,
        if secret {
            Disclosure::Secret(all_secret)
        } else {
            Disclosure::Public
        },
    ));
    out
}

/// Formats a varbind with its value as in a transcript, to compare a replayed request.
pub(super) fn rendered(bind: &VarBind) -> Vec<u8> {
    let (prefix, value) = halves(bind);
    let mut all = prefix.into_bytes();
    all.extend_from_slice(&value);
    all
}

pub(crate) fn varbinds(binds: &[VarBind]) -> Vec<Part> {
    binds.iter().flat_map(|b| varbind(b, false)).collect()
}

pub(crate) fn names(oids: &[Oid]) -> Vec<Part> {
    oids.iter().map(|oid| Part::Text(oid.to_string())).collect()
}
