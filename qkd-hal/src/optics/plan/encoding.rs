//! The canonical binary encoding of a plan.
//!
//! The encoding is CBOR with deterministic encoding (RFC 8949, section 4.2.1). In the data
//! definition language of RFC 8610:
//!
//! ```text
//! plan        = ["qkd-switch-plan", version, device, ports, covered, fingerprint, [* step]]
//! version     = 1
//! device      = [vendor: tstr, model: tstr / null, serial: tstr / null]
//! ports       = [* uint]          ; that the plan may change, ascending
//! covered     = [* uint]          ; that the fingerprint covers, ascending
//! fingerprint = bstr .size 32 / null
//! step        = [kind, removed: [* connection], added: [* connection]]
//! kind        = 0 / 1 / 2         ; disconnect, connect, move
//! connection  = [ingress: uint, egress: uint]
//! ```
//!
//! Equal plans have equal bytes, and bytes that are not the canonical encoding of a plan are
//! refused.

use super::{Fingerprint, Plan, Step};
use crate::{
    Error, Identity, Result,
    optics::{CrossConnect, Port},
};
use minicbor::{Decoder, Encoder, data::Type};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, convert::Infallible};

/// First item of the encoding.
const NAME: &str = "qkd-switch-plan";
/// Version of the encoding.
const VERSION: u8 = 1;

type EncodeError = minicbor::encode::Error<Infallible>;
type DecodeError = minicbor::decode::Error;

impl Plan {
    /// Returns the canonical encoding: deterministically encoded CBOR (RFC 8949, section 4.2.1).
    /// Equal plans have equal bytes.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::with_capacity(256));
        encode(self, &mut encoder).expect("memory takes all bytes");
        encoder.into_writer()
    }

    /// Reads a canonical encoding.
    ///
    /// # Errors
    /// `InvalidInput` if the bytes are not the canonical encoding of a plan of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let plan = decode(&mut Decoder::new(bytes))
            .map_err(|e| Error::invalid(format!("the bytes are not an encoded plan: {e}")))?;
        plan.check_steps()?;
        // Only the canonical encoding has the digest of the plan.
        if plan.digest[..] == Sha256::digest(bytes)[..] {
            Ok(plan)
        } else {
            Err(Error::invalid("the encoding of the plan is not canonical"))
        }
    }
}

fn encode(plan: &Plan, out: &mut Encoder<Vec<u8>>) -> Result<(), EncodeError> {
    out.array(7)?.str(NAME)?.u8(VERSION)?;
    out.array(3)?.str(&plan.device.vendor)?;
    for text in [&plan.device.model, &plan.device.serial] {
        match text {
            Some(text) => out.str(text)?,
            None => out.null()?,
        };
    }
    for ports in [&plan.ports, &plan.covered] {
        out.array(ports.len() as u64)?;
        for port in ports {
            out.u32(port.0)?;
        }
    }
    match &plan.fingerprint {
        Some(fingerprint) => out.bytes(fingerprint.as_bytes())?,
        None => out.null()?,
    };
    out.array(plan.steps.len() as u64)?;
    for step in &plan.steps {
        out.array(3)?.u8(match step {
            Step::Disconnect(_) => 0,
            Step::Connect(_) => 1,
            Step::Move { .. } => 2,
        })?;
        for connections in [step.removed(), step.added()] {
            out.array(connections.len() as u64)?;
            for connection in connections {
                out.array(2)?;
                out.u32(connection.ingress.0)?.u32(connection.egress.0)?;
            }
        }
    }
    Ok(())
}

/// Reads the head of an array of this length.
fn array(input: &mut Decoder<'_>, length: u64) -> Result<(), DecodeError> {
    if input.array()? == Some(length) {
        Ok(())
    } else {
        Err(DecodeError::message(format!(
            "an array of {length} items is expected"
        )))
    }
}

/// Reads an array. Memory grows with the items that were read, not with the announced number.
fn items<'a, T>(
    input: &mut Decoder<'a>,
    item: impl Fn(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let length = input
        .array()?
        .ok_or_else(|| DecodeError::message("an array without a length is not canonical"))?;
    let mut all = Vec::new();
    for _ in 0..length {
        all.push(item(input)?);
    }
    Ok(all)
}

/// Reads an item, or null.
fn optional<'a, T>(
    input: &mut Decoder<'a>,
    item: impl Fn(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if input.datatype()? == Type::Null {
        input.null()?;
        Ok(None)
    } else {
        item(input).map(Some)
    }
}

fn text(input: &mut Decoder<'_>) -> Result<String, DecodeError> {
    input.str().map(str::to_owned)
}

fn port(input: &mut Decoder<'_>) -> Result<Port, DecodeError> {
    input.u32().map(Port)
}

fn connection(input: &mut Decoder<'_>) -> Result<CrossConnect, DecodeError> {
    array(input, 2)?;
    Ok(CrossConnect {
        ingress: port(input)?,
        egress: port(input)?,
    })
}

fn fingerprint(input: &mut Decoder<'_>) -> Result<Fingerprint, DecodeError> {
    let bytes = input.bytes()?.try_into();
    bytes
        .map(Fingerprint::from_bytes)
        .map_err(|_| DecodeError::message("a fingerprint has 32 bytes"))
}

fn step(input: &mut Decoder<'_>) -> Result<Step, DecodeError> {
    array(input, 3)?;
    let kind = input.u8()?;
    let (from, to) = (items(input, connection)?, items(input, connection)?);
    match (kind, from.as_slice(), to.as_slice()) {
        (0, [gone], []) => Ok(Step::Disconnect(*gone)),
        (1, [], [new]) => Ok(Step::Connect(*new)),
        (2, ..) => Ok(Step::Move { from, to }),
        _ => Err(DecodeError::message("a step of an unknown form")),
    }
}

fn decode(input: &mut Decoder<'_>) -> Result<Plan, DecodeError> {
    array(input, 7)?;
    let (name, version) = (input.str()?, input.u8()?);
    if (name, version) != (NAME, VERSION) {
        return Err(DecodeError::message(format!(
            "version {VERSION} of the encoding is expected"
        )));
    }
    array(input, 3)?;
    let device = Identity {
        vendor: text(input)?,
        model: optional(input, text)?,
        serial: optional(input, text)?,
        firmware: None,
    };
    let ports: BTreeSet<Port> = items(input, port)?.into_iter().collect();
    let covered: BTreeSet<Port> = items(input, port)?.into_iter().collect();
    let fingerprint = optional(input, fingerprint)?;
    let steps = items(input, step)?;
    Ok(Plan::new(device, ports, covered, fingerprint, steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::{Geometry, SwitchState};

    fn plan() -> Plan {
        let state = SwitchState {
            device: Identity::new("Polatis").with_serial("42"),
            geometry: Geometry::matrix(4, 4),
            connections: "1-5,2-6".parse().unwrap(),
        };
        state.plan().connect(1, 6).build().unwrap()
    }

    #[test]
    fn the_encoding_is_stable() {
        assert_eq!(
            hex::encode(plan().to_bytes()),
            "876f716b642d7377697463682d706c616e018367506f6c61746973f66234328401020506840102\
             0506582094286ce460863e096106aa53178e6890a44b811860c524e5df17c1e7d799e832838300\
             81820105808300818202068083018081820106"
        );
    }

    #[test]
    fn only_canonical_bytes_are_a_plan() {
        let bytes = plan().to_bytes();
        assert_eq!(Plan::from_bytes(&bytes).unwrap(), plan());
        for end in 0..bytes.len() {
            assert!(Plan::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Plan::from_bytes(&longer).is_err());
        // The number 1 in two bytes, which RFC 8949 allows and its deterministic encoding does not.
        let version = 1 + 1 + NAME.len();
        let mut padded = bytes;
        padded.splice(version..=version, [0x18, 1]);
        let error = Plan::from_bytes(&padded).unwrap_err();
        assert!(error.message().contains("not canonical"), "{error}");
    }

    #[test]
    fn a_step_outside_the_declared_ports_is_refused() {
        let mut plan = plan();
        plan.ports.remove(&Port(6));
        let error = Plan::from_bytes(&plan.to_bytes()).unwrap_err();
        assert!(error.message().contains("port 6"), "{error}");
    }
}
