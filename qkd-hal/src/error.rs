//! One error type: what went wrong ([`ErrorKind`]), and whether the device may have changed
//! ([`Effect`]).

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// A result with the contract's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether the device may have changed. What a controller needs most after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It did not change.
    None,
    /// It may have changed: read the state again before anything else.
    Unknown,
    /// It changed, in part; the message says what was done.
    Partial,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "the device did not change",
            Self::Unknown => "the device may have changed",
            Self::Partial => "the device changed in part",
        })
    }
}

/// Failures of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TransportFault {
    /// The bytes do not form a message: noise, a wrong line speed, a cut message.
    Framing,
    /// More came than a reply may hold.
    Overrun,
    /// A break condition on the serial line.
    Break,
    /// The line or connection was hung up.
    HungUp,
    /// The device was pulled out.
    Unplugged,
    /// A USB endpoint stalled.
    Stall,
    /// The operating system refused.
    System,
}

/// Violations of the protocol by the device, as opposed to failures of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeviceMisbehaved {
    /// The reply belongs to another request.
    ReplyForAnotherRequest,
    /// Bytes arrived without a request.
    UnsolicitedData,
    /// The reply is well formed but is not a possible reply to this request.
    UnexpectedReply,
    /// A key id came that had been delivered before.
    KeyIdReused,
    /// A key of another size than asked for.
    WrongKeySize,
    /// Fewer or more keys than asked for.
    WrongKeyCount,
    /// A QBER outside 0 to 1.
    QberOutOfRange,
    /// A value outside what the standard or the vendor's document allows.
    ValueOutOfRange,
    /// The device accepted a change that it then did not show.
    ChangeNotApplied,
    /// The names of an SNMP walk did not increase.
    NamesNotIncreasing,
    /// A short USB packet where a full one is due.
    ShortPacket,
}

/// Kind of a failure. Decide on a retry from the kind and [`Effect`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The device, or its public protocol, has no such operation.
    Unsupported,
    /// The caller's argument is wrong; the message names what would be right.
    InvalidInput,
    /// The port, channel, key ID or parameter does not exist.
    NotFound,
    /// Somebody else holds the port or the device.
    Busy,
    /// No connection could be established.
    Unreachable,
    /// No complete reply within the deadline.
    Timeout,
    /// The transport failed.
    Transport(TransportFault),
    /// The device broke its protocol.
    Misbehaved(DeviceMisbehaved),
    /// The device refused the request.
    Refused,
    /// Credentials are missing, wrong or too weak.
    Authentication,
    /// The device is not in a state in which this is possible.
    NotReady,
    /// No keys (or not enough) are left.
    Exhausted,
    /// The state has moved on since the plan was made.
    StateChanged,
    /// Another device answers where this one did, or a device of another vendor than the driver is
    /// for.
    IdentityChanged,
    /// The operation rests on an assumption that was not accepted.
    AssumptionNotAccepted,
    /// The handle was closed.
    Closed,
    /// A defect on our side, or of the machine we run on.
    Internal,
}

impl ErrorKind {
    /// Returns whether the same call may succeed later without intervention.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Unreachable
                | Self::Timeout
                | Self::Transport(_)
                | Self::NotReady
                | Self::Exhausted
        )
    }

    /// A short name, stable for scripts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::InvalidInput => "invalid-input",
            Self::NotFound => "not-found",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Transport(_) => "transport",
            Self::Misbehaved(_) => "misbehaved",
            Self::Refused => "refused",
            Self::Authentication => "authentication",
            Self::NotReady => "not-ready",
            Self::Exhausted => "exhausted",
            Self::StateChanged => "state-changed",
            Self::IdentityChanged => "identity-changed",
            Self::AssumptionNotAccepted => "assumption-not-accepted",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }

    /// Returns the recommended action for an operator, as a sentence.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unsupported => "see the driver's page for what this family can do",
            Self::InvalidInput => "correct the argument and call again",
            Self::NotFound => "list what there is and name one of those",
            Self::Busy => "close the other program, or wait for it",
            Self::Unreachable => "check the address, the cable and the device's power",
            Self::Timeout => {
                "check that the device answers at all, then read its state and try again"
            }
            Self::Transport(TransportFault::Framing) => {
                "check the line speed and the cable, then read the state and try again"
            }
            Self::Transport(_) => "check the cable, then read the state and try again",
            Self::Misbehaved(_) => {
                "read the state again; if it recurs, report it with a transcript"
            }
            Self::Refused => "see the device's own words above; its log may say more",
            Self::Authentication => "check the credentials file and the device's user",
            Self::NotReady => "wait until the device is ready; its status says when",
            Self::Exhausted => "wait until more keys are stored",
            Self::StateChanged => "read the state, look at what changed, and plan again",
            Self::IdentityChanged => {
                "find out which device responds at this address; correct the address or the \
                 driver, or open the new device if it was replaced"
            }
            Self::AssumptionNotAccepted => {
                "read the assumption; accept it with assume=<id> in the URI or the inventory if it \
                 holds for your device"
            }
            Self::Closed => "open the device again",
            Self::Internal => "please report this",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(fault) => write!(f, "transport fault ({fault:?})"),
            Self::Misbehaved(what) => write!(f, "the device misbehaved ({what:?})"),
            kind => f.write_str(kind.name()),
        }
    }
}

/// The error type of the contract: one pointer in size.
///
/// `Display` is one line for an operator. An error must not contain a secret.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    effect: Effect,
    message: String,
    operation: Option<Cow<'static, str>>,
    device: Option<String>,
    vendor_code: Option<String>,
    vendor_text: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a sentence that names what was wrong and what would be right. Its
    /// effect is [`Effect::None`].
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            effect: Effect::None,
            message: message.into(),
            operation: None,
            device: None,
            vendor_code: None,
            vendor_text: None,
            source: None,
        }))
    }
    /// Sets the effect on the device.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }
    /// Names the operation, unless it is named already.
    #[must_use]
    pub fn with_operation(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        if self.0.operation.is_none() {
            self.0.operation = Some(operation.into());
        }
        self
    }
    /// Names the operation that was called; a step of it that is named already goes in front of the
    /// sentence.
    #[must_use]
    pub fn with_outer_operation(mut self, operation: &'static str) -> Self {
        if let Some(step) = self.0.operation.replace(Cow::Borrowed(operation))
            && step != operation
        {
            self.0.message = format!("{step}: {}", self.0.message);
        }
        self
    }
    /// Names the device, unless it is named already.
    #[must_use]
    pub fn with_device(mut self, device: impl Into<String>) -> Self {
        if self.0.device.is_none() {
            self.0.device = Some(device.into());
        }
        self
    }
    /// Adds the steps of a change that were completed before this error. They are not reverted, so
    /// the effect is partial even if the failed step had none.
    #[must_use]
    pub fn with_progress(mut self, so_far: &str) -> Self {
        self.0.message = format!("{} ({so_far})", self.0.message);
        if self.0.effect == Effect::None {
            self.0.effect = Effect::Partial;
        }
        self
    }
    /// The device's own code.
    #[must_use]
    pub fn with_vendor_code(mut self, code: impl Into<String>) -> Self {
        self.0.vendor_code = Some(code.into());
        self
    }
    /// The device's own words.
    #[must_use]
    pub fn with_vendor_text(mut self, text: impl Into<String>) -> Self {
        self.0.vendor_text = Some(text.into());
        self
    }
    /// Sets the underlying error.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }
    /// Returns the kind of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
    /// Whether the device may have changed.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.0.effect
    }
    /// Returns the message without operation and device.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// The operation, where known.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }
    /// The device, where known.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.0.device.as_deref()
    }
    /// The device's own code, where it sent one.
    #[must_use]
    pub fn vendor_code(&self) -> Option<&str> {
        self.0.vendor_code.as_deref()
    }
    /// The device's own words, where it sent some.
    #[must_use]
    pub fn vendor_text(&self) -> Option<&str> {
        self.0.vendor_text.as_deref()
    }

    /// `Unsupported`, for an operation that this family lacks.
    #[must_use]
    pub fn unsupported(operation: &'static str, why: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, why).with_operation(operation)
    }
    /// Creates an error of kind `InvalidInput`.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }
    /// Creates an error of kind `Misbehaved`.
    #[must_use]
    pub fn misbehaved(what: DeviceMisbehaved, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Misbehaved(what), message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.0;
        if let Some(device) = &e.device {
            write!(f, "{device}: ")?;
        }
        if let Some(operation) = &e.operation {
            write!(f, "{operation}: ")?;
        }
        write!(f, "{}", e.message)?;
        match (&e.vendor_code, &e.vendor_text) {
            (Some(code), Some(text)) => write!(f, " (the device says {code}: {text})")?,
            (Some(one), None) | (None, Some(one)) => write!(f, " (the device says {one})")?,
            (None, None) => {}
        }
        write!(f, " [{}; {}]", e.kind, e.effect)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        if let Some(source) = &self.0.source {
            write!(f, ", caused by: {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}

/// The most errors of a chain of sources that travel.
const MAX_SOURCES: usize = 16;

/// Form in which an [`Error`] travels: its sources as their texts, outermost first.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    kind: ErrorKind,
    effect: Effect,
    message: Cow<'a, str>,
    operation: Option<Cow<'a, str>>,
    device: Option<Cow<'a, str>>,
    vendor_code: Option<Cow<'a, str>>,
    vendor_text: Option<Cow<'a, str>>,
    #[serde(default)]
    sources: Vec<String>,
}

/// A source of an error that has travelled: its text, and its own source.
#[derive(Debug)]
struct SourceText {
    text: String,
    source: Option<Box<SourceText>>,
}

impl fmt::Display for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SourceText {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

impl Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let e = &self.0;
        let first = std::error::Error::source(self);
        Form {
            kind: e.kind,
            effect: e.effect,
            message: e.message.as_str().into(),
            operation: e.operation.as_deref().map(Cow::Borrowed),
            device: e.device.as_deref().map(Cow::Borrowed),
            vendor_code: e.vendor_code.as_deref().map(Cow::Borrowed),
            vendor_text: e.vendor_text.as_deref().map(Cow::Borrowed),
            sources: std::iter::successors(first, |source| source.source())
                .take(MAX_SOURCES)
                .map(ToString::to_string)
                .collect(),
        }
        .serialize(s)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(d)?;
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let source = form
            .sources
            .into_iter()
            .take(MAX_SOURCES)
            .rev()
            .fold(None, |source, text| {
                Some(Box::new(SourceText { text, source }))
            });
        Ok(Self(Box::new(Inner {
            kind: form.kind,
            effect: form.effect,
            message: form.message.into_owned(),
            operation: owned(form.operation).map(Cow::Owned),
            device: owned(form.device),
            vendor_code: owned(form.vendor_code),
            vendor_text: owned(form.vendor_text),
            source: source.map(|s| s as _),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_contains_all_that_an_operator_needs() {
        let error = Error::new(ErrorKind::Refused, "port 40 was refused")
            .with_operation("apply")
            .with_device("polatis+tcp://192.0.2.7")
            .with_vendor_code("-222")
            .with_vendor_text("Data out of range")
            .with_effect(Effect::Partial);
        assert_eq!(
            error.to_string(),
            "polatis+tcp://192.0.2.7: apply: port 40 was refused (the device says -222: Data out \
             of range) [refused; the device changed in part]"
        );
        assert_eq!(std::mem::size_of::<Error>(), std::mem::size_of::<usize>());
    }

    #[test]
    fn the_first_named_item_stays() {
        let error = Error::invalid("x")
            .with_operation("inner")
            .with_operation("outer")
            .with_device("a")
            .with_device("b");
        assert_eq!(
            (error.operation(), error.device()),
            (Some("inner"), Some("a"))
        );
    }
}
