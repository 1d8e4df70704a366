//! A scripted peer for tests of drivers whose requests are lines: a function replies unless a fault
//! is scheduled.

use super::memory::{Endpoint, MemoryConnector};
use crate::OpenedDevice;
use qkd_hal::{ErrorKind, Result, TransportFault};
use qkd_switch_hal::Plan;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    time::sleep,
};

/// A fault that replaces or alters a reply.
#[derive(Debug, Clone, Copy)]
pub enum PeerFault {
    /// These bytes; the device has not seen the request.
    Answer(&'static str),
    /// The request is dropped: no reply, and the device has not seen it.
    DropRequest,
    /// The reply is dropped: the device has carried the request out.
    Drop,
    /// The reply and those after it are delayed by this time.
    Delay(Duration),
    /// The reply is sent twice.
    Duplicate,
    /// The connection ends; the device has not seen the request.
    Reset,
}

/// Creates a plan from the current state of the switch to these cross-connects.
///
/// # Errors
/// As the readings, and [`PlanBuilder::build`](qkd_switch_hal::PlanBuilder::build).
pub async fn plan(opened: &OpenedDevice, to: &str) -> Result<Plan> {
    opened.switch()?.plan().to(to.parse()?).build().await
}

/// State of a scripted peer.
pub struct PeerState<D> {
    /// State of the simulated device.
    pub device: D,
    /// Scheduled faults, each for the next request that contains the text.
    pub faults: VecDeque<(&'static str, PeerFault)>,
    /// The requests that came, without their ends.
    pub seen: Vec<String>,
    answer: fn(&mut D, &str) -> String,
}

/// A handle on the far end.
pub struct ScriptedPeer<D>(Arc<Mutex<PeerState<D>>>);

impl<D> Clone for ScriptedPeer<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Send + 'static> ScriptedPeer<D> {
    /// Creates a peer. `answer` receives each request without its line end and returns the bytes of
    /// the reply.
    pub fn new(device: D, answer: fn(&mut D, &str) -> String) -> Self {
        Self(Arc::new(Mutex::new(PeerState {
            device,
            faults: VecDeque::new(),
            seen: Vec::new(),
            answer,
        })))
    }

    /// The far end, now.
    pub fn now(&self) -> MutexGuard<'_, PeerState<D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Schedules a fault for the next request that contains `text`.
    pub fn inject(&self, text: &'static str, fault: PeerFault) {
        self.now().faults.push_back((text, fault));
    }

    /// Its in-memory endpoint; requests end in `end`.
    #[must_use]
    pub fn endpoint(&self, end: u8) -> Endpoint {
        let far = self.clone();
        Endpoint::Bytes(Arc::new(MemoryConnector::new("scripted", move |stream| {
            tokio::spawn(far.clone().serve(stream, end));
        })))
    }

    /// Wrong replies to `query`, one that is dropped, one that is delayed and a reset: each fails
    /// one reading of the paths, with this error, and the next says how the switch `expected`.
    ///
    /// # Panics
    /// If not.
    pub async fn assert_one_read_fails(
        &self,
        opened: &OpenedDevice,
        query: &'static str,
        wrong: &[(&'static str, ErrorKind)],
        expected: &str,
    ) {
        let wrong = wrong
            .iter()
            .map(|(reply, kind)| (PeerFault::Answer(reply), *kind));
        let lost = [
            (PeerFault::Drop, ErrorKind::Timeout),
            (
                PeerFault::Delay(Duration::from_millis(5_100)),
                ErrorKind::Timeout,
            ),
            (
                PeerFault::Reset,
                ErrorKind::Transport(TransportFault::HungUp),
            ),
        ];
        for (fault, kind) in wrong.chain(lost) {
            self.inject(query, fault);
            let read = async || {
                opened
                    .switch()?
                    .connections()
                    .await
                    .map(|now| now.value.to_string())
            };
            assert_eq!(read().await.map_err(|e| e.kind()), Err(kind), "{fault:?}");
            assert_eq!(
                read().await.map_err(|e| e.kind()).as_deref(),
                Ok(expected),
                "after {fault:?}"
            );
        }
    }

    /// The reply to a request, and after which time; `None` ends the connection.
    fn reply(&self, request: &str) -> Option<(String, Duration)> {
        let mut now = self.now();
        let PeerState {
            device,
            faults,
            seen,
            answer,
        } = &mut *now;
        seen.push(request.to_owned());
        let due = faults
            .iter()
            .position(|(text, _)| request.contains(text))
            .and_then(|i| faults.remove(i));
        let mut answer = || answer(device, request);
        Some(match due.map(|(_, fault)| fault) {
            None => (answer(), Duration::ZERO),
            Some(PeerFault::Answer(bytes)) => (bytes.to_owned(), Duration::ZERO),
            Some(PeerFault::DropRequest) => Default::default(),
            Some(PeerFault::Drop) => {
                answer();
                Default::default()
            }
            Some(PeerFault::Delay(time)) => (answer(), time),
            Some(PeerFault::Duplicate) => (answer().repeat(2), Duration::ZERO),
            Some(PeerFault::Reset) => return None,
        })
    }

    async fn serve(self, stream: DuplexStream, end: u8) {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(end, &mut line).await.is_ok_and(|n| n > 0) {
            let Some((reply, after)) = self.reply(String::from_utf8_lossy(&line).trim()) else {
                return;
            };
            line.clear();
            sleep(after).await;
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
