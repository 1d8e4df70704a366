//! Layers: code that sees each call of a device, whichever handle makes it.
//!
//! A [`Layer`] is installed on a registry (for all devices that it opens) or on one opened device.
//! It sees each [`Request`] before the call runs, when it may refuse or delay it, and the
//! [`CallEnd`] after it. A layer never alters a request or an outcome.
//!
//! ```text
//! handle            layer B            layer A            check            driver
//!    |--- Request ---->|                  |                 |                 |
//!    |                 |- before -------->|- before ------->|- call --------->|
//!    |                 |<------- after ---|<------- after --|<-- value -------|
//!    |<-- value -------|   B was installed after A: it is the outer one
//! ```
//!
//! # Rules
//!
//! 1. A layer on a device holds for all its handles: those that were taken before it was installed,
//!    and those of every kind.
//! 2. The layer that was installed last is the outermost one. Layers of a registry are installed in
//!    their order when a device is opened, so that those of the opened device are outside of them.
//! 3. The always-on check ([`crate::checked`]) is innermost. A layer therefore also sees calls that
//!    the check refuses.
//! 4. A layer whose `before` has returned `Ok` sees the end of the call exactly once: also if an
//!    inner layer or the check refuses the call, and if the caller drops its future.
//! 5. Layers do not see `close`, which nothing may refuse, the requests with which a driver opens
//!    a device, and the requests with which it polls for events.
//!
//! # For authors of layers
//!
//! `before` may wait. The deadline of the call begins when the driver is called, so that a wait
//! does not shorten it. `after` runs in the task of the caller, or in a destructor: it must not
//! block.

use crate::{Descriptor, Effect, Error, Outcome, Request, Result};
use async_trait::async_trait;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Instant,
};

/// A call that passes through the layers of a device.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The device that is called.
    pub device: &'a Descriptor,
    /// The operation with its arguments.
    pub request: &'a Request<'a>,
}

impl<'a> Call<'a> {
    /// The call of `request` at `device`.
    #[must_use]
    pub fn new(device: &'a Descriptor, request: &'a Request<'a>) -> Self {
        Self { device, request }
    }
}

/// End of a call.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum CallEnd<'a> {
    /// The operation returned a value.
    Returned(&'a Outcome),
    /// The operation failed, or an inner layer or the check refused it. [`Error::effect`] says
    /// whether the device may have changed.
    Failed(&'a Error),
    /// The caller dropped its future. If the request changes the device, the device may have
    /// changed.
    Abandoned,
}

/// Code that sees each call of a device.
#[async_trait]
pub trait Layer: Send + Sync {
    /// Runs before a call. It may wait.
    ///
    /// # Errors
    /// Any error: the call is refused with it. Its effect becomes [`Effect::None`], because nothing
    /// was sent.
    async fn before(&self, _call: &Call<'_>) -> Result<()> {
        Ok(())
    }

    /// Runs after a call that [`before`](Self::before) let pass at `since`. A layer that measures
    /// the call reads the clock first of all: `since.elapsed()`.
    fn after(&self, _call: &Call<'_>, _end: CallEnd<'_>, _since: Instant) {}
}

/// The layers of a device, innermost first.
#[derive(Clone, Default)]
pub(crate) struct Layers(Vec<Arc<dyn Layer>>);

impl Layers {
    pub(crate) fn push(&mut self, layer: Arc<dyn Layer>) {
        self.0.push(layer);
    }

    /// Lets a call pass from the outermost layer to the innermost one.
    ///
    /// # Errors
    /// That of the layer that refuses the call, after the layers outside of it have seen it.
    pub(crate) async fn enter<'a>(&'a self, call: Call<'a>) -> Result<Entered<'a>> {
        let mut entered = Entered {
            layers: &self.0,
            call,
            passed: Passed::default(),
        };
        for layer in self.0.iter().rev() {
            if let Err(refusal) = layer.before(&call).await {
                // Of an error that the layer met elsewhere, this device knows nothing.
                let refusal = refusal.with_effect(Effect::None);
                entered.end(CallEnd::Failed(&refusal));
                return Err(refusal);
            }
            entered.passed.push(Instant::now());
        }
        Ok(entered)
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} layers", self.0.len())
    }
}

/// When each layer let the call pass, outermost first. One layer needs no allocation.
#[derive(Default)]
struct Passed {
    first: Option<Instant>,
    others: Vec<Instant>,
}

impl Passed {
    fn push(&mut self, at: Instant) {
        match self.first {
            None => self.first = Some(at),
            Some(_) => self.others.push(at),
        }
    }
    fn pop(&mut self) -> Option<Instant> {
        self.others.pop().or_else(|| self.first.take())
    }
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }
}

/// A call that layers have let pass. If it is dropped before [`end`](Self::end), the call was
/// abandoned.
pub(crate) struct Entered<'a> {
    layers: &'a [Arc<dyn Layer>],
    call: Call<'a>,
    passed: Passed,
}

impl Entered<'_> {
    /// Tells the layers, innermost first, how the call ended. A layer that panics does so after the
    /// others have seen that end, too.
    pub(crate) fn end(&mut self, end: CallEnd<'_>) {
        let mut panicked = None;
        while let Some(since) = self.passed.pop() {
            let layer = &self.layers[self.layers.len() - 1 - self.passed.len()];
            let after = AssertUnwindSafe(|| layer.after(&self.call, end, since));
            panicked = panicked.or(catch_unwind(after).err());
        }
        match panicked {
            // A second panic while the first one unwinds would end the process.
            Some(panic) if !std::thread::panicking() => resume_unwind(panic),
            _ => {}
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.end(CallEnd::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Maturity, request::RandomBytes};
    use std::sync::Mutex;

    /// Notes the ends of calls; panics before that if `panics` is set.
    struct Noting {
        panics: bool,
        ends: Arc<Mutex<Vec<String>>>,
    }

    impl Layer for Noting {
        fn after(&self, _: &Call<'_>, end: CallEnd<'_>, _: Instant) {
            assert!(!self.panics, "a defect of this layer");
            self.ends.lock().unwrap().push(format!("{end:?}"));
        }
    }

    #[test]
    fn a_layer_that_panics_hides_no_end_from_the_others() {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let mut layers = Layers::default();
        for panics in [false, true, true, false] {
            let ends = Arc::clone(&ends);
            layers.push(Arc::new(Noting { panics, ends }));
        }
        let device = Descriptor::new("fake", "fake+mem://x", Maturity::Emulated);
        let call = Call::new(&device, &Request::Health);
        let outcome = Outcome::Random(RandomBytes::Absent(7));
        let run = AssertUnwindSafe(|| {
            let mut entered = futures::executor::block_on(layers.enter(call)).unwrap();
            entered.end(CallEnd::Returned(&outcome));
        });
        assert!(catch_unwind(run).is_err(), "the caller sees the defect");
        let returned = format!("{:?}", CallEnd::Returned(&outcome));
        assert_eq!(*ends.lock().unwrap(), [returned.clone(), returned]);
    }
}
