//! SNMP links: varbinds over SNMPv2c (for reading) and SNMPv3.

use super::LinkError;
use async_trait::async_trait;
use qkd_hal::capability::EventSupport;
use std::{fmt, str::FromStr, time::Duration};
use tokio::sync::broadcast;
use zeroize::Zeroize;

/// An object identifier (OID).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Oid(Vec<u32>);

impl Oid {
    /// Creates an OID from its sub-identifiers.
    pub fn new(ids: impl Into<Vec<u32>>) -> Self {
        Self(ids.into())
    }
    /// Returns the sub-identifiers.
    #[must_use]
    pub fn sub_identifiers(&self) -> &[u32] {
        &self.0
    }
    /// This identifier followed by `rest`.
    #[must_use]
    pub fn child(&self, rest: &[u32]) -> Self {
        let mut ids = Vec::with_capacity(self.0.len() + rest.len());
        ids.extend_from_slice(&self.0);
        ids.extend_from_slice(rest);
        Self(ids)
    }
    /// Returns the sub-identifiers after `prefix`, if this OID is equal to or below `prefix`.
    #[must_use]
    pub fn suffix_of(&self, prefix: &Oid) -> Option<&[u32]> {
        self.0.strip_prefix(prefix.0.as_slice())
    }
}

impl<const N: usize> From<[u32; N]> for Oid {
    fn from(ids: [u32; N]) -> Self {
        Self(ids.to_vec())
    }
}

impl From<&[u32]> for Oid {
    fn from(ids: &[u32]) -> Self {
        Self(ids.to_vec())
    }
}

impl FromStr for Oid {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.trim_start_matches('.')
            .split('.')
            .map(|id| {
                id.parse().map_err(|_| {
                    format!(
                        "`{text}` is not an object identifier: `{id}` \
                is not a number up to 4294967295"
                    )
                })
            })
            .collect::<Result<Vec<u32>, _>>()
            .map(Self)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, id) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{id}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value, by its SMIv2 type (RFC 2578).
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// INTEGER or Integer32 (SMIv2).
    Integer(i32),
    /// OCTET STRING (SMIv2): any bytes.
    OctetString(Vec<u8>),
    /// OBJECT IDENTIFIER (SMIv2): an OID.
    ObjectId(Oid),
    /// IpAddress (SMIv2): an IPv4 address.
    IpAddress([u8; 4]),
    /// Counter32 (SMIv2): wraps at 2³².
    Counter32(u32),
    /// Gauge32 or Unsigned32 (SMIv2).
    Gauge32(u32),
    /// TimeTicks, hundredths of a second.
    TimeTicks(u32),
    /// Counter64 (SMIv2): wraps at 2⁶⁴.
    Counter64(u64),
    /// Opaque (SMIv2): bytes of another encoding.
    Opaque(Vec<u8>),
    /// Null (unSpecified), as sent in requests.
    Null,
    /// The agent has no such object.
    NoSuchObject,
    /// The object has no such instance.
    NoSuchInstance,
    /// The agent has no object after this name.
    EndOfMibView,
    /// The received value is not of an SMIv2 type or is outside the range of its type; with the
    /// reason.
    Invalid(String),
}

impl fmt::Debug for Value {
    /// Octet strings show their length only: one of them may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(v) => write!(f, "Integer({v})"),
            Self::OctetString(v) => write!(f, "OctetString({} bytes)", v.len()),
            Self::ObjectId(v) => write!(f, "ObjectId({v})"),
            Self::IpAddress(v) => write!(f, "IpAddress({}.{}.{}.{})", v[0], v[1], v[2], v[3]),
            Self::Counter32(v) => write!(f, "Counter32({v})"),
            Self::Gauge32(v) => write!(f, "Gauge32({v})"),
            Self::TimeTicks(v) => write!(f, "TimeTicks({v})"),
            Self::Counter64(v) => write!(f, "Counter64({v})"),
            Self::Opaque(v) => write!(f, "Opaque({} bytes)", v.len()),
            Self::Null => f.write_str("Null"),
            Self::NoSuchObject => f.write_str("NoSuchObject"),
            Self::NoSuchInstance => f.write_str("NoSuchInstance"),
            Self::EndOfMibView => f.write_str("EndOfMibView"),
            Self::Invalid(why) => write!(f, "Invalid({why})"),
        }
    }
}

impl Value {
    /// Returns whether the agent reports that the object does not exist.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView
        )
    }
    /// Text, from an octet string.
    pub fn text(value: impl AsRef<[u8]>) -> Self {
        Self::OctetString(value.as_ref().to_vec())
    }
}

/// A name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VarBind {
    /// Name of the object instance.
    pub oid: Oid,
    /// Value of the object instance.
    pub value: Value,
}

impl VarBind {
    /// Creates a varbind of name and value.
    #[must_use]
    pub fn new(oid: Oid, value: Value) -> Self {
        Self { oid, value }
    }
}

/// The varbinds of one SET PDU. Values are zeroized on drop.
#[derive(Debug)]
pub struct SetRequest {
    binds: Vec<VarBind>,
    secret: Vec<bool>,
}

impl SetRequest {
    /// Creates a request without varbinds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            binds: Vec::new(),
            secret: Vec::new(),
        }
    }
    /// Adds a varbind to the request.
    #[must_use]
    pub fn with(mut self, oid: Oid, value: Value) -> Self {
        self.binds.push(VarBind::new(oid, value));
        self.secret.push(false);
        self
    }
    /// Adds a varbind whose value is key material or a password. A link below authPriv refuses it.
    #[must_use]
    pub fn with_secret(mut self, oid: Oid, value: Value) -> Self {
        self.binds.push(VarBind::new(oid, value));
        self.secret.push(true);
        self
    }
    /// Returns the varbinds in order.
    #[must_use]
    pub fn binds(&self) -> &[VarBind] {
        &self.binds
    }
    /// Whether the value of varbind `i` is secret.
    #[must_use]
    pub fn is_secret(&self, i: usize) -> bool {
        self.secret.get(i).copied().unwrap_or(false)
    }
    /// Whether any value is secret.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.secret.contains(&true)
    }
}

impl Default for SetRequest {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SetRequest {
    fn drop(&mut self) {
        for bind in &mut self.binds {
            if let Value::OctetString(bytes) | Value::Opaque(bytes) = &mut bind.value {
                bytes.zeroize();
            }
        }
    }
}

/// Protection of a link (RFC 3411 securityLevel), lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityLevel {
    /// SNMPv2c, or SNMPv3 noAuthNoPriv.
    NoAuthNoPriv,
    /// SNMPv3 authNoPriv: authenticated, not encrypted.
    AuthNoPriv,
    /// SNMPv3 authPriv: authenticated and encrypted.
    AuthPriv,
}

/// A trap or an inform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Value of snmpTrapOID.0: type of the notification.
    pub trap: Oid,
    /// sysUpTime.0 of the sender, hundredths of a second.
    pub uptime: u32,
    /// Varbinds after sysUpTime.0 and snmpTrapOID.0.
    pub binds: Vec<VarBind>,
}

/// Varbinds to one agent.
#[async_trait]
pub trait SnmpLink: Send + Sync {
    /// Reads the values of instances, in the requested order. A value that the agent does not have
    /// is a value for which [`Value::is_absent`] is true.
    ///
    /// # Errors
    /// `Timeout`, `Authentication`, `Refused` (with the error-status as code), `Misbehaved`,
    /// `Closed`.
    async fn get(&self, oids: &[Oid], within: Duration) -> Result<Vec<VarBind>, LinkError>;
    /// Sets all varbinds in one PDU; returns its request id, which is positive. SETs to one agent
    /// are serialised and never sent twice.
    ///
    /// # Errors
    /// As [`get`](Self::get); key material over less than authPriv is `Refused` before anything is
    /// sent.
    async fn set(&self, request: SetRequest, within: Duration) -> Result<i32, LinkError>;
    /// Reads all instances below `root`, in ascending order.
    ///
    /// # Errors
    /// As [`get`](Self::get); `Misbehaved` if the names of the agent do not increase.
    async fn walk(&self, root: &Oid, within: Duration) -> Result<Vec<VarBind>, LinkError>;
    /// Traps and informs from this agent; empty if the process has no notification receiver.
    fn notifications(&self) -> broadcast::Receiver<Notification>;
    /// Whether notifications of the agent can reach this link at all: over UDP, only with a
    /// receiver ([`OpenContext::with_notifications`](crate::OpenContext::with_notifications)).
    fn has_notifications(&self) -> bool;
    /// Returns the event support that a driver declares: events of the agent, if its notifications
    /// can be received.
    fn event_support(&self) -> EventSupport {
        if self.has_notifications() {
            EventSupport::Native
        } else {
            EventSupport::LinkOnly
        }
    }
    /// Returns the protection of this link.
    fn security(&self) -> SecurityLevel;
    /// The name of the far end.
    fn address(&self) -> String;
    /// Closes the link. Later calls fail with `Closed`.
    async fn close(&self);
}

/// error-status of a refused SET (RFC 3416), as used by the emulators and the in-memory link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ErrorStatus {
    /// Another error (genErr, RFC 3416).
    GenErr = 5,
    /// No access to the object (noAccess).
    NoAccess = 6,
    /// Wrong type of value (wrongType).
    WrongType = 7,
    /// Wrong length of value (wrongLength).
    WrongLength = 8,
    /// Value outside the allowed ones (wrongValue).
    WrongValue = 10,
    /// The instance cannot be created (noCreation).
    NoCreation = 11,
    /// Value inconsistent with others (inconsistentValue).
    InconsistentValue = 12,
    /// Missing resources for the change (resourceUnavailable).
    ResourceUnavailable = 13,
    /// The change failed when it was made (commitFailed).
    CommitFailed = 14,
    /// Access denied (authorizationError).
    AuthorizationError = 16,
    /// The object is read-only (notWritable).
    NotWritable = 17,
    /// The instance cannot be created at present (inconsistentName).
    InconsistentName = 18,
}

/// An agent's logic, without sockets or BER: used by the in-memory link and by the emulators'
/// server both ask.
pub trait SnmpService: Send + Sync {
    /// Returns the value of an instance, or the exception for a missing one.
    fn get(&self, oid: &Oid) -> Value;
    /// Returns the first instance after `oid`; `None` at the end of the MIB view.
    fn next(&self, oid: &Oid) -> Option<VarBind>;
    /// Applies all varbinds or none; a refusal names the 1-based varbind. `request_id` is that of
    /// the PDU.
    fn set(&self, request_id: i32, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)>;
    /// Where this agent sends its notifications.
    fn notifications(&self) -> broadcast::Receiver<Notification>;
}
