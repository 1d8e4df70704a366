//! Faults of SNMP agents and networks that were observed in the field.

use crate::ber::Tlv;
use qkd_driver_kit::link::snmp::Oid;

/// A property of an emulated SNMP agent, for as long as the fault is active.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AgentFault {
    /// Announces this msgMaxSize (RFC 3412: 484 to 2147483647).
    MsgMaxSize(u32),
    /// Reports this engineBoots.
    EngineBoots(u32),
    /// The engineTime runs faster than real time by this factor.
    ClockRate(f64),
    /// Replies tooBig if the reply would be longer than this number of bytes.
    TooBig(usize),
    /// Replies longer than this number of bytes are lost, like fragments that a firewall drops.
    Mtu(usize),
    /// Answers GETBULK with genErr.
    NoGetBulk,
    /// Replies come from another address than the one that was asked.
    OtherSource,
    /// The value of the object with this name (its BER content) is encoded oddly.
    OddValue(Vec<u8>, InvalidValue),
}

/// Encodings that public bug reports of SNMP tools show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidValue {
    /// An INTEGER of nine octets.
    LongInteger,
    /// An INTEGER beyond 32 bits.
    WideInteger,
    /// A type that no SMI has.
    UnknownType,
    /// A float wrapped in Opaque.
    OpaqueFloat,
    /// A Gauge32 that carries -500.
    NegativeGauge,
    /// A NULL with content.
    FullNull,
}

impl InvalidValue {
    const ALL: [(&'static str, Self); 6] = [
        ("long-integer", Self::LongInteger),
        ("wide-integer", Self::WideInteger),
        ("unknown-type", Self::UnknownType),
        ("opaque-float", Self::OpaqueFloat),
        ("negative-gauge", Self::NegativeGauge),
        ("full-null", Self::FullNull),
    ];

    pub(crate) fn encoding(self) -> Tlv {
        match self {
            Self::LongInteger => Tlv::Primitive(2, vec![1, 0, 0, 0, 0, 0, 0, 0, 7]),
            Self::WideInteger => Tlv::Primitive(2, vec![2, 0, 0, 0, 7]),
            Self::UnknownType => Tlv::Primitive(0x4f, vec![1, 2, 3]),
            // Opaque, around the tag 0x9f78 of net-snmp's float: -5.0.
            Self::OpaqueFloat => Tlv::Primitive(0x44, vec![0x9f, 0x78, 4, 0xc0, 0xa0, 0, 0]),
            Self::NegativeGauge => Tlv::Primitive(0x42, (-500i32).to_be_bytes().to_vec()),
            Self::FullNull => Tlv::Primitive(5, vec![0]),
        }
    }
}

impl AgentFault {
    /// The fault of this name, if there is one.
    pub(super) fn parse(name: &str, value: Option<&str>) -> Option<Result<Self, String>> {
        let number = |takes: &str| {
            value
                .and_then(|v| v.parse::<u32>().ok())
                .ok_or_else(|| format!("{name} takes {takes}, such as {name}=1000"))
        };
        let bytes = || number("a number of bytes").map(|n| n as usize);
        let bare = |fault: Self| match value {
            None => Ok(fault),
            Some(_) => Err(format!("{name} takes no value")),
        };
        Some(match name {
            "msg-max-size" => number("a number of bytes").map(Self::MsgMaxSize),
            "engine-boots" => number("a number").map(Self::EngineBoots),
            "clock-rate" => match value.and_then(|v| v.parse::<f64>().ok()) {
                Some(rate) if rate.is_finite() && (0.0..=1e6).contains(&rate) => {
                    Ok(Self::ClockRate(rate))
                }
                _ => Err(format!(
                    "{name} takes a factor up to 1000000, such as {name}=100"
                )),
            },
            "too-big" => bytes().map(Self::TooBig),
            "mtu" => bytes().map(Self::Mtu),
            "no-getbulk" => bare(Self::NoGetBulk),
            "other-source" => bare(Self::OtherSource),
            "odd-value" => invalid_value(value.unwrap_or_default()),
            _ => return None,
        })
    }
}

fn invalid_value(text: &str) -> Result<AgentFault, String> {
    let kinds = InvalidValue::ALL.map(|(name, _)| name).join(", ");
    let takes = || format!("odd-value takes OID:KIND; kinds are {kinds}");
    let (oid, kind) = text.split_once(':').ok_or_else(takes)?;
    let oid: Oid = oid.parse()?;
    let (_, kind) = InvalidValue::ALL
        .into_iter()
        .find(|(name, _)| *name == kind)
        .ok_or_else(takes)?;
    Ok(AgentFault::OddValue(content(&oid).ok_or_else(takes)?, kind))
}

/// The content octets of an OBJECT IDENTIFIER (X.690, 8.19).
fn content(oid: &Oid) -> Option<Vec<u8>> {
    let [first, second, rest @ ..] = oid.sub_identifiers() else {
        return None;
    };
    let mut bytes = Vec::new();
    for id in std::iter::once(first.checked_mul(40)?.checked_add(*second)?).chain(rest.to_vec()) {
        let digits = (32 - id.leading_zeros()).div_ceil(7).max(1);
        for i in (0..digits).rev() {
            let more = if i > 0 { 0x80 } else { 0 };
            bytes.push((id >> (7 * i)) as u8 & 0x7f | more);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_ber_does() {
        let oid: Oid = "1.3.6.1.4.1.26592.2.128".parse().unwrap();
        assert_eq!(
            content(&oid).unwrap(),
            [0x2b, 6, 1, 4, 1, 0x81, 0xcf, 0x60, 2, 0x81, 0]
        );
    }

    #[test]
    fn faults_are_read_or_refused_with_what_they_take() {
        assert_eq!(
            AgentFault::parse("engine-boots", Some("0")),
            Some(Ok(AgentFault::EngineBoots(0)))
        );
        assert_eq!(AgentFault::parse("drop", None), None);
        for (name, value) in [
            ("mtu", None),
            ("no-getbulk", Some("1")),
            ("clock-rate", Some("x")),
        ] {
            let error = AgentFault::parse(name, value).unwrap().unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        for wrong in ["", "1.3", "1.3:odd", "x:long-integer"] {
            assert!(
                AgentFault::parse("odd-value", Some(wrong))
                    .unwrap()
                    .is_err(),
                "{wrong}"
            );
        }
    }
}
