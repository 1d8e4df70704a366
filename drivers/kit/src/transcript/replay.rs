//! A transcript that answers as a link.

use super::{Outcome, Part, Record, varbind};
use crate::link::{
    Disclosure, LinkError,
    bytes::{ByteLink, Exchange},
    datagram::{DatagramExchange, DatagramLink, Datagrams, Received},
    http::{HttpLink, HttpRequest, HttpResponse, Method},
    snmp::{Notification, Oid, SecurityLevel, SetRequest, SnmpLink, Value, VarBind},
    usb::{BulkRead, SetupPacket, UsbIdentity, UsbLink},
};
use async_trait::async_trait;
use qkd_hal::{DeviceMisbehaved, ErrorKind, TransportFault};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

/// Maximum number of bytes that replace one secret.
const SECRET_LIMIT: usize = 32 << 20;

/// A link that replies from a transcript, in its order. A request that differs from the recorded
/// one is an error.
///
/// A secret is replaced by hexadecimal digits drawn from the seed: they are valid as bytes, as
/// hexadecimal and as base64.
pub struct Replay {
    state: Mutex<(VecDeque<Record>, ChaCha8Rng)>,
    usb: UsbIdentity,
    notifications: broadcast::Sender<Notification>,
}

impl Replay {
    /// Creates a replay of these records.
    #[must_use]
    pub fn new(records: impl IntoIterator<Item = Record>, seed: u64) -> Self {
        // A failed opening is recorded in a transcript but is not an exchange.
        let exchanges = records
            .into_iter()
            .filter(|r| !(r.name == "open" && r.request.is_empty() && r.reply.is_empty()));
        let state = Mutex::new((exchanges.collect(), ChaCha8Rng::seed_from_u64(seed)));
        Self {
            state,
            usb: UsbIdentity::default(),
            notifications: broadcast::channel(1).0,
        }
    }
    /// With what a USB device's descriptors said.
    #[must_use]
    pub fn with_usb_identity(mut self, identity: UsbIdentity) -> Self {
        self.usb = identity;
        self
    }
    /// Returns the number of exchanges that have not been replayed yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .len()
    }

    /// The reply to the next request, as the parts' bytes.
    fn answer(&self, request: &[ExpectedBytes<'_>]) -> Result<Vec<Zeroizing<Vec<u8>>>, LinkError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (records, dice) = &mut *state;
        let Some(record) = records.pop_front() else {
            return Err(LinkError::new(
                ErrorKind::Transport(TransportFault::HungUp),
                "the transcript has ended",
            )
            .mark_sent());
        };
        let wanted: Vec<u8> = request.iter().flat_map(|w| w.0.iter().copied()).collect();
        let wanted = Zeroizing::new(wanted);
        // A transcript is a file: its lengths may be anything.
        let mut rest = wanted.as_slice();
        let same = record.request.iter().all(|part| {
            let Some((here, tail)) = rest.split_at_checked(part.len()) else {
                return false;
            };
            rest = tail;
            part.known().is_none_or(|known| known == here)
        });
        if !same || !rest.is_empty() {
            let what = format!(
                "the transcript has another request here (`{}`)",
                record.name
            );
            return Err(LinkError::new(
                ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
                what,
            )
            .mark_sent());
        }
        if let Outcome::Error(kind) = &record.outcome {
            let kind = match kind.as_str() {
                "timeout" => ErrorKind::Timeout,
                "refused" => ErrorKind::Refused,
                "authentication" => ErrorKind::Authentication,
                "unreachable" => ErrorKind::Unreachable,
                _ => ErrorKind::Transport(TransportFault::HungUp),
            };
            return Err(LinkError::new(kind, "so it ended when it was recorded").mark_sent());
        }
        record
            .reply
            .iter()
            .map(|part| match part {
                Part::Secret(n) if *n > SECRET_LIMIT => Err(LinkError::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "the transcript has a \
                        secret of {n} bytes; at most {SECRET_LIMIT} are replayed"
                    ),
                )),
                Part::Secret(n) => Ok(Zeroizing::new(
                    (0..*n)
                        .map(|_| b"0123456789abcdef"[dice.random_range(0..16)])
                        .collect(),
                )),
                Part::Length(n) => Err(LinkError::new(
                    ErrorKind::Unsupported,
                    format!(
                        "the reply to `{}` was recorded as a length of {n} only, since its \
                        secrets were not declared",
                        record.name
                    ),
                )),
                known => Ok(Zeroizing::new(known.known().unwrap_or_default())),
            })
            .collect()
    }
}

struct ExpectedBytes<'a>(std::borrow::Cow<'a, [u8]>);

impl<'a> From<&'a [u8]> for ExpectedBytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(bytes.into())
    }
}
impl From<String> for ExpectedBytes<'_> {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Hex(digits) => digits.len() / 2,
            Self::Secret(n) | Self::Length(n) => *n,
        }
    }
    fn known(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Hex(digits) => hex::decode(digits).ok(),
            Self::Secret(_) | Self::Length(_) => None,
        }
    }
}

fn join(parts: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    let mut all = Zeroizing::new(Vec::with_capacity(parts.iter().map(|p| p.len()).sum()));
    parts.iter().for_each(|p| all.extend_from_slice(p));
    all
}

fn text_of(bytes: &[u8]) -> Result<&str, LinkError> {
    std::str::from_utf8(bytes)
        .map_err(|_| LinkError::new(ErrorKind::Internal, "the transcript is damaged"))
}

#[async_trait]
impl ByteLink for Replay {
    async fn exchange(&self, exchange: Exchange) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        Ok(join(&self.answer(&[exchange.request.as_slice().into()])?))
    }
    fn address(&self) -> String {
        "replay".to_owned()
    }
    async fn close(&self) {}
}

fn prefix(text: &str) -> Option<(Oid, char)> {
    let (oid, kind) = text.strip_suffix(':')?.split_once('=')?;
    let mut letters = kind.chars();
    let letter = letters.next().filter(|_| letters.next().is_none())?;
    Some((oid.parse().ok()?, letter))
}

fn varbinds(parts: &[Zeroizing<Vec<u8>>]) -> Result<Vec<VarBind>, LinkError> {
    let damaged = || LinkError::new(ErrorKind::Internal, "the transcript's varbinds are damaged");
    let mut out = Vec::new();
    let mut rest = parts;
    while let Some((first, tail)) = rest.split_first() {
        let (oid, kind) = prefix(text_of(first)?).ok_or_else(damaged)?;
        let values = tail
            .iter()
            .position(|p| std::str::from_utf8(p).ok().and_then(prefix).is_some())
            .unwrap_or(tail.len());
        let value = join(&tail[..values]);
        rest = &tail[values..];
        let number = || {
            text_of(&value)
                .ok()
                .and_then(|t| t.parse::<u64>().ok())
                .ok_or_else(damaged)
        };
        let number32 = || number().and_then(|n| u32::try_from(n).map_err(|_| damaged()));
        let value = match kind {
            'i' => Value::Integer(text_of(&value)?.parse().map_err(|_| damaged())?),
            's' => Value::OctetString(value.to_vec()),
            'o' => Value::ObjectId(text_of(&value)?.parse().map_err(|_| damaged())?),
            'a' => {
                let bytes: Vec<u8> = text_of(&value)?
                    .split('.')
                    .filter_map(|b| b.parse().ok())
                    .collect();
                Value::IpAddress(bytes.try_into().map_err(|_| damaged())?)
            }
            'c' => Value::Counter32(number32()?),
            'u' => Value::Gauge32(number32()?),
            't' => Value::TimeTicks(number32()?),
            'C' => Value::Counter64(number()?),
            'x' => Value::Opaque(value.to_vec()),
            'n' => Value::Null,
            '?' => Value::Invalid(text_of(&value)?.to_owned()),
            _ => match text_of(&value)? {
                "noSuchObject" => Value::NoSuchObject,
                "noSuchInstance" => Value::NoSuchInstance,
                _ => Value::EndOfMibView,
            },
        };
        out.push(VarBind::new(oid, value));
    }
    Ok(out)
}

#[async_trait]
impl SnmpLink for Replay {
    async fn get(&self, oids: &[Oid], _within: Duration) -> Result<Vec<VarBind>, LinkError> {
        varbinds(
            &self.answer(
                &oids
                    .iter()
                    .map(|o| o.to_string().into())
                    .collect::<Vec<_>>(),
            )?,
        )
    }
    async fn set(&self, request: SetRequest, _within: Duration) -> Result<i32, LinkError> {
        // The values are compared by the recorder's own rendering.
        let sent: Vec<ExpectedBytes<'_>> = request
            .binds()
            .iter()
            .map(|b| ExpectedBytes(varbind::rendered(b).into()))
            .collect();
        let reply = join(&self.answer(&sent)?);
        text_of(&reply)?.parse().map_err(|_| {
            LinkError::new(
                ErrorKind::Internal,
                "the transcript's request id is damaged",
            )
        })
    }
    async fn walk(&self, root: &Oid, _within: Duration) -> Result<Vec<VarBind>, LinkError> {
        varbinds(&self.answer(&[root.to_string().into()])?)
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.notifications.subscribe()
    }
    fn has_notifications(&self) -> bool {
        false
    }
    fn security(&self) -> SecurityLevel {
        SecurityLevel::AuthPriv
    }
    fn address(&self) -> String {
        "replay".to_owned()
    }
    async fn close(&self) {}
}

#[async_trait]
impl UsbLink for Replay {
    async fn control_in(
        &self,
        setup: SetupPacket,
        _within: Duration,
        _disclosure: Disclosure,
    ) -> Result<Vec<u8>, LinkError> {
        Ok(join(&self.answer(&[setup.to_bytes().as_slice().into()])?).to_vec())
    }
    async fn control_out(
        &self,
        setup: SetupPacket,
        data: &[u8],
        _within: Duration,
        _disclosure: Disclosure,
    ) -> Result<(), LinkError> {
        self.answer(&[setup.to_bytes().as_slice().into(), data.into()])
            .map(drop)
    }
    async fn bulk_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        Ok(join(
            &self.answer(&[format!(
                "endpoint {:#04x}, {} x {}",
                read.endpoint, read.count, read.chunk
            )
            .into()])?,
        ))
    }
    async fn bulk_out(
        &self,
        endpoint: u8,
        data: &[u8],
        _within: Duration,
        _disclosure: Disclosure,
    ) -> Result<usize, LinkError> {
        let reply = join(&self.answer(&[format!("endpoint {endpoint:#04x}").into(), data.into()])?);
        text_of(&reply)?
            .parse()
            .map_err(|_| LinkError::new(ErrorKind::Internal, "the transcript's count is damaged"))
    }
    async fn interrupt_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        UsbLink::bulk_in(self, read).await
    }
    fn identity(&self) -> UsbIdentity {
        self.usb.clone()
    }
    fn address(&self) -> String {
        "replay".to_owned()
    }
    async fn close(&self) {}
}

#[async_trait]
impl HttpLink for Replay {
    async fn call(
        &self,
        request: HttpRequest,
        _within: Duration,
    ) -> Result<HttpResponse, LinkError> {
        let verb = if request.method == Method::Get {
            "GET"
        } else {
            "POST"
        };
        let body = request.body.as_ref().map_or(&[][..], |b| b.as_slice());
        let parts = self.answer(&[format!("{verb} {}\n", request.path).into(), body.into()])?;
        let damaged =
            || LinkError::new(ErrorKind::Internal, "the transcript's response is damaged");
        let (status, body) = parts.split_first().ok_or_else(damaged)?;
        let status = text_of(status)?.trim().parse().map_err(|_| damaged())?;
        Ok(HttpResponse {
            status,
            body: join(body),
        })
    }
    fn address(&self) -> String {
        "replay".to_owned()
    }
    async fn close(&self) {}
}

/// Takes one datagram from the parts of an answer: its length, then its bytes.
fn datagram(parts: &mut &[Zeroizing<Vec<u8>>]) -> Option<Zeroizing<Vec<u8>>> {
    let (length, mut rest) = parts.split_first()?;
    let length: usize = std::str::from_utf8(length).ok()?.trim_end().parse().ok()?;
    let mut count = 0;
    let end = rest.iter().position(|part| {
        count += part.len();
        count >= length
    });
    let used = match end {
        _ if length == 0 => 0,
        Some(last) if count == length => last + 1,
        _ => return None,
    };
    let bytes = join(&rest[..used]);
    rest = &rest[used..];
    *parts = rest;
    Some(bytes)
}

#[async_trait]
impl DatagramLink for Replay {
    async fn exchange(&self, mut exchange: DatagramExchange) -> Result<Datagrams, LinkError> {
        let parts = self.answer(&[exchange.request.as_slice().into()])?;
        let (mut rest, mut datagrams) = (parts.as_slice(), Vec::new());
        while !rest.is_empty() {
            let damaged = || LinkError::new(ErrorKind::Internal, "the transcript is damaged");
            let next = datagram(&mut rest).ok_or_else(damaged)?;
            // What the decoder learns from a datagram is needed here as on a real link.
            match (exchange.decoder)(&next) {
                Received::Part | Received::Last => datagrams.push(next),
                Received::Foreign | Received::Invalid(_) => return Err(damaged()),
            }
        }
        Ok(datagrams)
    }
    fn address(&self) -> String {
        "replay".to_owned()
    }
    async fn close(&self) {}
}
