//! The decision whether a call of a device may run.

use super::{answer::CheckedAnswer, seen::Seen};
use crate::{
    Assumption, Capabilities, Descriptor, Error, ErrorKind, Identity, Operation, Request, Result,
    Support,
    layer::{Call, CallEnd, Layer, Layers},
};
use std::{
    future::Future,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};
use tracing::{Instrument, Span};

#[derive(Debug, Clone, Copy)]
enum Admission {
    Open,
    Unsupported,
    /// The operation rests on the assumption with this index in the descriptor.
    Unaccepted(usize),
}

/// Decides which calls of a device may run, and lets them pass through its layers. All handles of
/// one opened device share it.
#[derive(Debug)]
pub struct CallGuard {
    descriptor: Descriptor,
    verdicts: [Admission; Operation::ALL.len()],
    closed: AtomicBool,
    /// Set after the driver has closed the device. A `close` whose future was dropped has not.
    ended: AtomicBool,
    seen: Seen,
    undeclared_reads: AtomicBool,
    /// Index of the first assumption for which an operation was refused.
    refused_for: OnceLock<usize>,
    /// Set with the first layer, so that a call without layers takes no lock.
    has_layers: AtomicBool,
    layers: RwLock<Arc<Layers>>,
}

impl CallGuard {
    /// Creates the guard of a device that declares these.
    #[must_use]
    pub fn new(descriptor: &Descriptor, capabilities: &Capabilities) -> Self {
        let mut verdicts = [Admission::Unsupported; Operation::ALL.len()];
        for op in Operation::ALL {
            let blocking = descriptor
                .assumptions
                .iter()
                .position(|a| descriptor.is_blocked_by(a, *op));
            verdicts[*op as usize] = match (capabilities.supports(*op), blocking) {
                (Support::Unsupported, _) => Admission::Unsupported,
                (_, Some(index)) if op.is_mutating() => Admission::Unaccepted(index),
                _ => Admission::Open,
            };
        }
        Self {
            descriptor: descriptor.clone(),
            verdicts,
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            seen: Seen::default(),
            undeclared_reads: AtomicBool::new(false),
            refused_for: OnceLock::new(),
            has_layers: AtomicBool::new(false),
            layers: RwLock::default(),
        }
    }

    /// Installs a layer, outside of those that are installed. It holds for all handles of the
    /// device, also for those that were taken before, from their next call on.
    pub fn install(&self, layer: Arc<dyn Layer>) {
        let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut layers).push(layer);
        self.has_layers.store(true, Ordering::Release);
    }

    /// Sets the reference identity for later identity checks. Without it, the first identity that
    /// responds is the reference.
    pub fn expect_identity(&self, opened: Identity) {
        self.seen.expect_identity(opened);
    }

    /// The identity with which later ones are compared; `None` before it is known.
    #[must_use]
    pub fn reference_identity(&self) -> Option<Identity> {
        self.seen.reference_identity()
    }

    /// From now on, an operation that the device does not declare and that changes nothing goes to
    /// the driver. For conformance suites, which find out whether a driver does more than it
    /// declares. An operation that changes the device never passes undeclared.
    pub fn allow_undeclared_reads(&self) {
        self.undeclared_reads.store(true, Ordering::Release);
    }

    /// Returns the first assumption for which an operation was refused; `None` if none was. A
    /// conformance suite uses it to distinguish a device that fails from one whose assumptions were
    /// not accepted.
    pub fn refused_for(&self) -> Option<&Assumption> {
        let index = self.refused_for.get()?;
        self.descriptor.assumptions.get(*index)
    }

    /// Whether an operation may pass now.
    ///
    /// # Errors
    /// `Closed`, `Unsupported`, `AssumptionNotAccepted`.
    pub fn check(&self, operation: Operation) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.refuse(
                operation,
                Error::new(ErrorKind::Closed, "the handle was closed"),
            ));
        }
        if let Some(why) = self.seen.replaced() {
            return Err(self.refuse(operation, Error::new(ErrorKind::IdentityChanged, why)));
        }
        match self.verdicts[operation as usize] {
            Admission::Open => Ok(()),
            Admission::Unsupported
                if !operation.is_mutating() && self.undeclared_reads.load(Ordering::Acquire) =>
            {
                Ok(())
            }
            Admission::Unsupported => Err(self.refuse(
                operation,
                Error::new(
                    ErrorKind::Unsupported,
                    "this device does not declare the operation; nothing was sent",
                ),
            )),
            Admission::Unaccepted(index) => {
                let _ = self.refused_for.set(index);
                let a = &self.descriptor.assumptions[index];
                Err(self.refuse(
                    operation,
                    Error::new(
                        ErrorKind::AssumptionNotAccepted,
                        format!(
                            "it rests on the assumption `{}`: {} Accept it with assume={}",
                            a.id, a.statement, a.id
                        ),
                    ),
                ))
            }
        }
    }

    fn refuse(&self, operation: Operation, error: Error) -> Error {
        error
            .with_outer_operation(operation.name())
            .with_device(self.descriptor.uri.as_str())
    }

    /// Makes a call: lets it pass through the layers, checks the operation and, with
    /// `check_arguments`, its arguments, runs it in its span, and checks its answer.
    ///
    /// # Errors
    /// Those of layers, of [`check`](Self::check), of `check_arguments`, of the operation, and of
    /// the check of its answer.
    pub async fn run<T: CheckedAnswer>(
        &self,
        request: &Request<'_>,
        check_arguments: impl FnOnce(&Request<'_>) -> Result<()> + Send,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        if self.has_layers.load(Ordering::Acquire) {
            return self.run_layered(request, check_arguments, call).await;
        }
        let span = self.begin(request, check_arguments)?;
        let result = if span.is_disabled() {
            call.await
        } else {
            call.instrument(span.clone()).await
        };
        self.end(request, &span, result)
    }

    /// Lets a call pass through the layers, which see its answer as an outcome.
    async fn run_layered<T: CheckedAnswer>(
        &self,
        request: &Request<'_>,
        check_arguments: impl FnOnce(&Request<'_>) -> Result<()> + Send,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let layers = Arc::clone(&self.layers.read().unwrap_or_else(PoisonError::into_inner));
        let device = &self.descriptor;
        let refuse = |error| self.refuse(request.operation(), error);
        let mut entered = layers
            .enter(Call { device, request })
            .await
            .map_err(refuse)?;
        let result = match self.begin(request, check_arguments) {
            Ok(span) => {
                let result = call.instrument(span.clone()).await;
                self.end(request, &span, result)
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(answer) => {
                let outcome = answer.into_outcome();
                entered.end(CallEnd::Returned(&outcome));
                T::from_outcome(outcome)
            }
            Err(error) => {
                entered.end(CallEnd::Failed(&error));
                Err(error)
            }
        }
    }

    /// Checks a request before the driver is called, and returns the span of the call.
    fn begin(
        &self,
        request: &Request<'_>,
        check_arguments: impl FnOnce(&Request<'_>) -> Result<()>,
    ) -> Result<Span> {
        let operation = request.operation();
        self.check(operation)?;
        let span = tracing::info_span!(
            "device",
            device = self.descriptor.uri.as_str(),
            operation = operation.name(),
            outcome = tracing::field::Empty
        );
        match check_arguments(request) {
            Ok(()) => Ok(span),
            Err(error) => Err(self.failed(operation, &span, error)),
        }
    }

    /// Checks what the driver returned, and records it in the span.
    fn end<T: CheckedAnswer>(
        &self,
        request: &Request<'_>,
        span: &Span,
        result: Result<T>,
    ) -> Result<T> {
        match result.and_then(|answer| answer.check(&self.seen, request)) {
            Ok(answer) => {
                record_outcome(span, "ok");
                Ok(answer)
            }
            Err(error) => Err(self.failed(request.operation(), span, error)),
        }
    }

    fn failed(&self, operation: Operation, span: &Span, error: Error) -> Error {
        record_outcome(span, error.kind().name());
        if operation == Operation::Identity {
            self.seen.note_replaced(&error);
        }
        self.refuse(operation, error)
    }

    /// Refuses all calls from now on. Returns whether the driver has closed the device.
    pub(super) fn close(&self) -> bool {
        self.closed.store(true, Ordering::Release);
        self.ended.load(Ordering::Acquire)
    }

    /// Notes that the driver has closed the device.
    pub(super) fn note_ended(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// Records the outcome of a call. A span that is not enabled would first look its field up.
fn record_outcome(span: &Span, outcome: &str) {
    if !span.is_disabled() {
        span.record("outcome", outcome);
    }
}
