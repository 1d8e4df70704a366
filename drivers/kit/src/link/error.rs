use qkd_hal::{Effect, Error, ErrorKind};

const QUEUED: &str = "earlier calls took until the deadline; this one was not sent";

/// Why a link could not complete an exchange.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct LinkError {
    /// Error kind of the contract.
    pub kind: ErrorKind,
    /// Description of the failure for an operator. It never contains bytes of a secret.
    pub detail: String,
    /// Whether the request may have reached the device.
    pub sent: bool,
    /// Whether the peer closed the connection regularly, without a failure.
    pub ended: bool,
    /// The device's own code, where it sent one (an SNMP error-status, an HTTP status).
    pub code: Option<String>,
    /// 1-based number of the varbind that an SNMP agent refused, where it named one.
    pub varbind: Option<usize>,
}

impl LinkError {
    /// An error of `kind`, before anything was sent.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            sent: false,
            ended: false,
            code: None,
            varbind: None,
        }
    }

    /// Of a link that was closed.
    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the link was closed")
    }

    /// Creates the error of a call that was not sent, because earlier calls lasted until its
    /// deadline. It carries no information about the device.
    pub(crate) fn not_sent() -> Self {
        Self::new(ErrorKind::Timeout, QUEUED)
    }

    /// Whether it is [`queued`](Self::queued).
    #[cfg(feature = "snmp")]
    pub(crate) fn is_queued(&self) -> bool {
        self.kind == ErrorKind::Timeout && self.detail == QUEUED
    }

    /// The same, after the request may have reached the device.
    #[must_use]
    pub fn mark_sent(mut self) -> Self {
        self.sent = true;
        self
    }

    /// Adds the device's own code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds the number of the varbind that was refused; 0 is none (RFC 3416, error-index).
    #[must_use]
    pub fn with_varbind(mut self, number: usize) -> Self {
        self.varbind = Some(number).filter(|number| *number > 0);
        self
    }

    /// The contract's error for an operation that changes nothing.
    #[must_use]
    pub fn into_read_error(self, operation: &'static str) -> Error {
        self.with_effect(operation, Effect::None)
    }

    /// The contract's error for an operation that changes the device: the effect is unknown once
    /// the request was sent, unless the device itself refused it.
    #[must_use]
    pub fn into_change_error(self, operation: &'static str) -> Error {
        // With a code, the device itself has denied access.
        let denied = self.kind == ErrorKind::Authentication && self.code.is_some();
        let effect = if self.sent && !denied && self.kind != ErrorKind::Refused {
            Effect::Unknown
        } else {
            Effect::None
        };
        self.with_effect(operation, effect)
    }

    fn with_effect(self, operation: &'static str, effect: Effect) -> Error {
        let mut error = Error::new(self.kind, self.detail)
            .with_operation(operation)
            .with_effect(effect);
        if let Some(code) = self.code {
            error = error.with_vendor_code(code);
        }
        error
    }
}
