//! The side that has handles of a device elsewhere.

use super::{Protection, ToClient, ToServer, frame, unprotected};
use async_trait::async_trait;
use qkd_hardware::{
    OpenedDevice,
    hal::{
        Declarations, Effect, Error, ErrorKind, EventStream, KeyId, Operation, Outcome, Request,
        Result, TransportFault,
        event::EventHub,
        request::{Caller, Keys},
    },
};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{mpsc, oneshot},
    time::timeout,
};
use zeroize::Zeroizing;

/// Number of frames that wait to be written.
const QUEUE: usize = 64;
/// Number of events that are kept for slow readers.
const EVENTS: usize = 256;
/// Number of lost keys that are listed. A device that hands out more is not used any more.
const MOST_LOST: usize = 1 << 14;
/// Time for which the stream may delay an outcome, in addition to the deadline of the call.
const STREAM_DELAY: Duration = Duration::from_secs(2);

type Answer = oneshot::Sender<Result<Outcome>>;

#[derive(Default)]
struct Waiting {
    calls: HashMap<u64, Answer>,
    /// Ids of keys in outcomes that arrived after their callers had gone.
    lost: Vec<KeyId>,
}

/// Makes calls over a byte stream.
pub struct Client {
    frames: mpsc::Sender<Zeroizing<Vec<u8>>>,
    waiting: Mutex<Waiting>,
    next: AtomicU64,
    ended: AtomicBool,
    events: EventHub,
    declarations: Declarations,
    protection: Protection,
}

/// Opens the device that [`serve`](super::serve) serves at the other end of the stream.
pub async fn connect(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    protection: Protection,
) -> io::Result<(OpenedDevice, Arc<Client>)> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (hello, _) = frame::read(&mut reader).await?;
    let ToClient::Hello {
        declarations,
        identity,
        next_event,
    } = hello
    else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (frames, mut outgoing) = mpsc::channel::<Zeroizing<Vec<u8>>>(QUEUE);
    let client = Arc::new(Client {
        frames,
        waiting: Mutex::default(),
        next: AtomicU64::new(0),
        ended: AtomicBool::new(false),
        events: EventHub::starting_at(next_event, EVENTS),
        declarations: *declarations,
        protection,
    });
    tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if writer.write_all(&frame).await.is_err() {
                break;
            }
        }
        // The last handle has gone: the server ends, and with it the stream.
        let _ = writer.shutdown().await;
    });
    let receiver = Arc::downgrade(&client);
    tokio::spawn(async move {
        while let Ok((message, secrets)) = frame::read(&mut reader).await
            && let Some(receiver) = receiver.upgrade()
        {
            match message {
                ToClient::Return { id, result } => {
                    receiver.answer(id, result.and_then(|o| o.with_secrets(secrets)));
                    if receiver.waiting().lost.len() > MOST_LOST {
                        break;
                    }
                }
                ToClient::Event(event) => {
                    receiver.events.forward(event);
                }
                ToClient::Hello { .. } | ToClient::Closed => break,
            }
        }
        if let Some(receiver) = receiver.upgrade() {
            receiver.end();
        }
    });
    let opened = OpenedDevice::from_caller(&client.declarations, Arc::clone(&client) as _);
    let opened = match &identity {
        Some(identity) => opened.with_identity(identity),
        None => opened,
    };
    Ok((opened, client))
}

/// Takes a call back when its caller drops the future.
struct Pending<'a> {
    client: &'a Client,
    id: u64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.client.waiting().calls.remove(&self.id).is_some()
            && let Ok(frame) = frame::encode(&ToServer::Cancel { id: self.id }, &[])
        {
            let _ = self.client.frames.try_send(frame);
        }
    }
}

impl Client {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids of the keys that arrived after their callers had gone. They must not be used at the
    /// peer.
    pub fn lost_keys(&self) -> Vec<KeyId> {
        self.waiting().lost.clone()
    }

    fn answer(&self, id: u64, result: Result<Outcome>) {
        let sender = self.waiting().calls.remove(&id);
        let unread = match sender {
            Some(sender) => sender.send(result).err(),
            None => Some(result),
        };
        if let Some(Ok(Outcome::Keys(Keys::Present(keys)))) = unread {
            let ids = keys.iter().map(|key| key.id().clone());
            self.waiting().lost.extend(ids);
        }
    }

    /// Ends all calls: the stream has ended.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waiting().calls.clear();
        self.events.close();
    }

    /// The longest time of a call: its deadline as the device declares it, or the wait that the
    /// caller named, and the stream's.
    fn longest(&self, request: &Request<'_>) -> Duration {
        let deadline = self.declarations.descriptor.deadline;
        let module = self.declarations.module.as_ref();
        let own = match request {
            Request::Confirm { longest, .. } => Some(*longest),
            Request::Start | Request::Stop => module.and_then(|m| m.start_stop_timeout),
            Request::Calibrate => module.and_then(|m| m.calibration_timeout),
            _ => None,
        };
        deadline
            .max(own.unwrap_or_default())
            .saturating_add(deadline)
            + STREAM_DELAY
    }

    fn failed(request: &Request<'_>, kind: ErrorKind, what: &str) -> Error {
        let effect = if request.operation().is_mutating() {
            Effect::Unknown
        } else {
            Effect::None
        };
        Error::new(kind, what).with_effect(effect)
    }
}

#[async_trait]
impl Caller for Client {
    async fn call(&self, request: &Request<'_>) -> Result<Outcome> {
        let operation = request.operation();
        if !self.protection.allows(operation) {
            return Err(unprotected(operation));
        }
        let hung_up = ErrorKind::Transport(TransportFault::HungUp);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let secret = request.key().map(|key| key.expose());
        let message = ToServer::Call {
            id,
            request: request.clone(),
        };
        let frame = frame::encode(&message, secret.as_slice())?;
        let (sender, receiver) = oneshot::channel();
        self.waiting().calls.insert(id, sender);
        let _pending = Pending { client: self, id };
        if self.ended.load(Ordering::Acquire) {
            return Err(Error::new(hung_up, "the stream to the device has ended"));
        }
        let answered = timeout(self.longest(&request), async {
            self.frames.send(frame).await.ok()?;
            receiver.await.ok()
        });
        match answered.await {
            Ok(Some(result)) => result,
            Ok(None) => Err(Self::failed(
                request,
                hung_up,
                "the stream to the device ended",
            )),
            Err(_) => {
                let what = "no outcome came over the stream within the deadline of the call";
                Err(Self::failed(request, ErrorKind::Timeout, what))
            }
        }
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        if let Ok(frame) = frame::encode(&ToServer::Close, &[]) {
            let _ = self.frames.send(frame).await;
        }
        Ok(())
    }
}
