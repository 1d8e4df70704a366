//! The turn of a call in a queue: either its owner takes it or, at the deadline, its caller gives
//! it up; never both.

use super::LinkError;
use qkd_hal::ErrorKind;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, sleep_until, timeout_at},
};

/// Time beyond the deadline that the owner task may use to end a call regularly.
const GRACE: Duration = Duration::from_secs(2);

/// Held by both sides. Whoever takes it first has it.
#[derive(Clone, Default)]
pub(super) struct Ticket(Arc<AtomicBool>);

impl Ticket {
    /// Whether it was still there to be had.
    pub(super) fn claim(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// The owner's answer. A call whose turn did not come within its deadline ends then, and was
    /// not sent; one that was begun ends by its owner's clock.
    pub(super) async fn answer<T>(
        &self,
        mut answer: oneshot::Receiver<Result<T, LinkError>>,
        deadline: Instant,
    ) -> Result<T, LinkError> {
        let closed = |_| {
            let error = LinkError::closed();
            // An owner that had begun may have sent it.
            Err(if self.claim() {
                error
            } else {
                error.mark_sent()
            })
        };
        tokio::select! {
            biased;
            outcome = &mut answer => return outcome.unwrap_or_else(closed),
            () = sleep_until(deadline) => {}
        }
        if self.claim() {
            return Err(LinkError::not_sent());
        }
        match timeout_at(deadline + GRACE, answer).await {
            Ok(outcome) => outcome.unwrap_or_else(closed),
            Err(_) => Err(LinkError::new(
                ErrorKind::Timeout,
                "the operating system did not return within the deadline",
            )
            .mark_sent()),
        }
    }
}

/// Puts a call into its owner's queue, and waits for the answer.
pub(super) async fn submit<J, T>(
    jobs: &mpsc::Sender<J>,
    deadline: Instant,
    job: impl FnOnce(Ticket, oneshot::Sender<Result<T, LinkError>>) -> J,
) -> Result<T, LinkError> {
    let (reply, answer) = oneshot::channel();
    let turn = Ticket::default();
    match timeout_at(deadline, jobs.send(job(turn.clone(), reply))).await {
        Ok(Ok(())) => turn.answer(answer, deadline).await,
        Ok(Err(_)) => Err(LinkError::closed()),
        Err(_) => Err(LinkError::not_sent()),
    }
}
