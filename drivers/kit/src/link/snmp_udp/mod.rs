//! SNMP over UDP.
//!
//! A client library ([`SnmpClientLibrary`]) encodes, authenticates and matches replies to requests.
//! This link adds what a device needs: every call ends by its deadline, a read is repeated and
//! adapts its size, a SET is never sent twice unless the agent says that it did not process it,
//! the agent stays the one that was opened, and a caller that goes away leaves nothing half done.

mod address;
mod datagrams;
mod exchange;
mod notifications;
mod options;
mod reading;
mod security;
mod stack_async_snmp;
#[cfg(feature = "snmp2")]
mod stack_snmp2;

pub use notifications::NotificationReceiver;
pub use options::{SnmpClientLibrary, SnmpOptions};
pub use security::SnmpSecurity;

use super::{
    LinkError,
    memory::refused,
    snmp::{Notification, Oid, SecurityLevel, SetRequest, SnmpLink, Value, VarBind},
};
use async_trait::async_trait;
use exchange::{Failure, Request, SnmpStack};
use qkd_hal::{
    ErrorKind, EventKind, TransportFault,
    event::{EventHub, Origin},
};
use reading::{ATTEMPTS, Sizes};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, broadcast},
    time::{Instant, timeout_at},
};

/// Maximum number of calls at the same time to one agent.
const MAX_CALLS: usize = 64;
/// Name of sysObjectID.0 (RFC 3418).
const SYS_OBJECT_ID: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 2, 0];
/// Name of snmpEngineID.0 (RFC 3411).
const ENGINE_ID: [u32; 11] = [1, 3, 6, 1, 6, 3, 10, 2, 1, 1, 0];

/// An SNMP link over UDP.
pub struct UdpSnmpLink {
    shared: Arc<Shared>,
    notifications: broadcast::Sender<Notification>,
    has_receiver: bool,
    /// Keeps the channel open while there are no subscribers.
    _listener: broadcast::Receiver<Notification>,
}

struct Shared {
    /// The agent's address, for messages.
    name: String,
    address: SocketAddr,
    security: SnmpSecurity,
    stack: Box<dyn SnmpStack>,
    sizes: Sizes,
    permits: Semaphore,
    /// SETs to one agent are serialised.
    sets: tokio::sync::Mutex<()>,
    /// snmpEngineID.0 as it was read at opening; `None` where the agent has no such object.
    engine: Mutex<Option<Vec<u8>>>,
    /// The engine of the user-based security model that was discovered at opening.
    usm_engine: Option<Vec<u8>>,
    closed: AtomicBool,
    lost: AtomicBool,
    events: EventHub,
}

impl UdpSnmpLink {
    /// Opens a link to the agent at `address` (`host:port`) and reads its engine id. A name with
    /// several addresses is tried at each, and the deadline shared among them.
    ///
    /// # Errors
    /// `Unreachable` for a name that is not resolved and a port at which nothing listens;
    /// `Timeout`; `Authentication` if the agent refuses the credentials, with what to correct.
    pub async fn open(
        address: &str,
        security: SnmpSecurity,
        options: &SnmpOptions,
        within: Duration,
        events: EventHub,
        receiver: Option<NotificationReceiver>,
    ) -> Result<Arc<Self>, LinkError> {
        let deadline = Instant::now() + within;
        let addresses = address::resolve(address, within).await?;
        let mut failures: Vec<LinkError> = Vec::new();
        for (i, peer) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = u32::try_from(addresses.len() - i).unwrap_or(1);
            let until = Instant::now() + left / share;
            let opened =
                Shared::open(*peer, security.clone(), options, until, events.clone()).await;
            match opened {
                Ok(shared) => return Ok(Self::with_receiver(shared, receiver)),
                Err(error) => failures.push(error),
            }
        }
        let Some(mut error) = failures.pop() else {
            return Err(LinkError::new(
                ErrorKind::Unreachable,
                format!("{address}: no address"),
            ));
        };
        for other in failures.into_iter().rev() {
            // A refusal by an agent contains more information than an address without an agent.
            if other.kind == ErrorKind::Authentication {
                error.kind = other.kind;
            }
            error.detail = format!("{}; {}", other.detail, error.detail);
        }
        Err(error)
    }

    fn with_receiver(shared: Arc<Shared>, receiver: Option<NotificationReceiver>) -> Arc<Self> {
        let (notifications, listener) = broadcast::channel(256);
        let has_receiver = receiver.is_some();
        if let Some(receiver) = receiver {
            receiver.forward(shared.address.ip(), shared.engine(), &notifications);
        }
        Arc::new(Self {
            shared,
            notifications,
            has_receiver,
            _listener: listener,
        })
    }

    /// Runs `exchange` in a task of its own, which outlives a caller that goes away.
    async fn run<T: Send + 'static, F>(
        &self,
        within: Duration,
        exchange: impl FnOnce(Arc<Shared>, Instant) -> F,
    ) -> Result<T, LinkError>
    where
        F: Future<Output = Result<T, LinkError>> + Send + 'static,
    {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(LinkError::closed());
        }
        let deadline = Instant::now() + within;
        match tokio::spawn(exchange(Arc::clone(&self.shared), deadline)).await {
            Ok(result) => {
                self.shared.note(&result);
                result
            }
            Err(_) => Err(
                LinkError::new(ErrorKind::Internal, "the exchange's task ended early").mark_sent(),
            ),
        }
    }
}

#[async_trait]
impl SnmpLink for UdpSnmpLink {
    async fn get(&self, oids: &[Oid], within: Duration) -> Result<Vec<VarBind>, LinkError> {
        if oids.is_empty() {
            return Ok(Vec::new());
        }
        let oids: Arc<[Oid]> = oids.into();
        self.run(within, move |shared, deadline| async move {
            let _permit = shared.permit(deadline).await?;
            shared.get(&oids, deadline).await
        })
        .await
    }

    async fn set(&self, request: SetRequest, within: Duration) -> Result<i32, LinkError> {
        if request.has_secret() && self.security() < SecurityLevel::AuthPriv {
            return Err(LinkError::new(
                ErrorKind::Authentication,
                "key material is sent over SNMPv3 authPriv only; give credentials with \
                 auth_password and priv_password",
            ));
        }
        if !self.shared.is_v3() {
            return Err(LinkError::new(
                ErrorKind::Authentication,
                "SNMPv2c is for reading only; a change is sent over SNMPv3, so give credentials \
                 with a user",
            ));
        }
        self.run(within, move |shared, deadline| async move {
            shared.set(request, deadline).await
        })
        .await
    }

    async fn walk(&self, root: &Oid, within: Duration) -> Result<Vec<VarBind>, LinkError> {
        let root = root.clone();
        self.run(within, move |shared, deadline| async move {
            let _permit = shared.permit(deadline).await?;
            shared.walk(&root, deadline).await
        })
        .await
    }

    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.notifications.subscribe()
    }
    fn has_notifications(&self) -> bool {
        self.has_receiver
    }
    fn security(&self) -> SecurityLevel {
        self.shared.security.level()
    }
    fn address(&self) -> String {
        self.shared.name.clone()
    }
    async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.stack.forget();
    }
}

impl Shared {
    async fn open(
        address: SocketAddr,
        security: SnmpSecurity,
        options: &SnmpOptions,
        deadline: Instant,
        events: EventHub,
    ) -> Result<Arc<Self>, LinkError> {
        let name = address.to_string();
        let (stack, usm_engine) = reach(address, &security, options, deadline)
            .await
            .map_err(|failure| failure.into_error(&name))?;
        let shared = Arc::new(Self {
            name,
            address,
            security,
            stack,
            sizes: Sizes::new(options),
            permits: Semaphore::new(MAX_CALLS),
            sets: tokio::sync::Mutex::default(),
            engine: Mutex::default(),
            usm_engine,
            closed: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            events,
        });
        // sysObjectID.0 shows that an agent is there, snmpEngineID.0 which one.
        let first = shared
            .get(&[Oid::from(SYS_OBJECT_ID), Oid::from(ENGINE_ID)], deadline)
            .await
            .map_err(|error| shared.with_hint(error, options))?;
        if let Some(Value::OctetString(id)) = first.get(1).map(|b| &b.value) {
            *shared.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
        }
        Ok(shared)
    }

    /// Adds what may be wrong where nothing answers at opening.
    fn with_hint(&self, mut error: LinkError, options: &SnmpOptions) -> LinkError {
        if error.kind == ErrorKind::Timeout && self.security.level() == SecurityLevel::AuthPriv {
            error.detail.push_str(
                "; many agents are silent to what they cannot decrypt, so check priv_protocol and \
                 priv_password too",
            );
        }
        if error.kind == ErrorKind::Timeout && !self.is_v3() && !options.any_source {
            error.detail.push_str(
                "; agents are silent to a wrong community; and a reply from another of the \
                 agent's addresses is refused, because SNMPv2c does not show who sent it: add \
                 source=any to the URI to accept it",
            );
        }
        error
    }

    fn is_v3(&self) -> bool {
        matches!(self.security, SnmpSecurity::V3 { .. })
    }

    fn stack(&self) -> &dyn SnmpStack {
        &*self.stack
    }

    fn engine(&self) -> Option<Vec<u8>> {
        self.engine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Publishes a loss once, and the return once.
    fn note<T>(&self, result: &Result<T, LinkError>) {
        match result {
            // A call that waited for other calls until its deadline was never sent to the agent.
            Err(e) if e.is_queued() => {}
            Err(e) if matches!(e.kind, ErrorKind::Timeout | ErrorKind::Unreachable) => {
                if !self.lost.swap(true, Ordering::AcqRel) {
                    self.events.publish(
                        Origin::Driver,
                        EventKind::LinkLost {
                            reason: e.detail.clone(),
                        },
                    );
                }
            }
            Ok(_) => {
                if self.lost.swap(false, Ordering::AcqRel) {
                    self.events.publish(Origin::Driver, EventKind::LinkRestored);
                }
            }
            Err(_) => {}
        }
    }

    fn timeout(&self) -> LinkError {
        LinkError::new(
            ErrorKind::Timeout,
            format!("agent {} did not answer within the deadline", self.name),
        )
    }

    async fn permit(
        &self,
        deadline: Instant,
    ) -> Result<tokio::sync::SemaphorePermit<'_>, LinkError> {
        match timeout_at(deadline, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(LinkError::not_sent()),
        }
    }

    /// Closes the handle if another engine than the one that was opened answers.
    fn check_identity(&self, known: &[u8], found: &[u8]) -> Result<(), LinkError> {
        if known == found {
            return Ok(());
        }
        self.closed.store(true, Ordering::Release);
        let (known, found) = (hex::encode(known), hex::encode(found));
        self.events.publish(
            Origin::Driver,
            EventKind::IdentityChanged {
                found: found.clone(),
            },
        );
        Err(LinkError::new(
            ErrorKind::IdentityChanged,
            format!(
                "SNMP engine {known} was opened at {}, and {found} answers there now; the handle \
                 is closed",
                self.name
            ),
        ))
    }

    /// Finds out whether the engine that was opened is still there. What gives no answer is left
    /// to the deadline.
    async fn check_engine(&self) -> Result<(), Failure> {
        let Some(known) = &self.usm_engine else {
            return std::future::pending().await;
        };
        if let Ok(Some(found)) = self.stack.present_engine().await {
            self.check_identity(known, &found).map_err(Failure::Link)?;
        }
        std::future::pending().await
    }

    /// Discovers engine and clock again, after the agent reported that they have changed.
    async fn rediscover(&self) -> Result<(), Failure> {
        if let Some(known) = &self.usm_engine
            && let Some(found) = self.stack.present_engine().await?
        {
            self.check_identity(known, &found).map_err(Failure::Link)?;
        }
        self.stack.discover().await.map(drop)
    }

    /// A SET is sent once, right after the agent has shown on this link that it is the one that
    /// was opened and that its clock is known. The client library repeats it only after a
    /// time-window Report, since the agent did not process it then (RFC 3414, 3.2, step 7).
    /// Anything else that goes wrong leaves it open whether the agent acted.
    async fn set(&self, request: SetRequest, deadline: Instant) -> Result<i32, LinkError> {
        let _one = timeout_at(deadline, self.sets.lock())
            .await
            .map_err(|_| LinkError::not_sent())?;
        let _permit = self.permit(deadline).await?;
        // Only the question before it was sent; nothing changed yet.
        let unsent = |e: LinkError| LinkError::new(e.kind, e.detail);
        let present = self
            .get(&[Oid::from(ENGINE_ID)], deadline)
            .await
            .map_err(unsent)?;
        if let (Some(known), Some(Value::OctetString(found))) =
            (self.engine(), present.first().map(|b| &b.value))
        {
            self.check_identity(&known, found)?;
        }
        match timeout_at(deadline, self.stack.exchange(Request::Set(&request))).await {
            Ok(Ok(response)) => Ok(response.request_id),
            Ok(Err(Failure::Refused(status, index))) => Err(refused(
                status,
                index,
                request.binds().get(index.wrapping_sub(1)).map(|b| &b.oid),
            )),
            // Refused before it was sent, or by the agent before it processed the varbinds.
            Ok(Err(Failure::TooBig)) => Err(Failure::TooBig.into_error(&self.name)),
            Ok(Err(Failure::Link(error))) if error.kind == ErrorKind::InvalidInput => Err(error),
            // The agent applied or refused it; its answer cannot be read.
            Ok(Err(failure @ Failure::Undecodable(_))) => {
                let mut error = failure.into_error(&self.name).mark_sent();
                error.kind = ErrorKind::Transport(TransportFault::Framing);
                Err(error)
            }
            Ok(Err(failure)) => Err(failure.into_error(&self.name).mark_sent()),
            Err(_) => Err(self.timeout().mark_sent()),
        }
    }
}

/// A client library that has met the agent's engine. An SNMPv3 agent that answers from another
/// of its addresses is accepted from the third attempt on: its messages are authenticated.
async fn reach(
    address: SocketAddr,
    security: &SnmpSecurity,
    options: &SnmpOptions,
    deadline: Instant,
) -> Result<(Box<dyn SnmpStack>, Option<Vec<u8>>), Failure> {
    let is_v3 = matches!(security, SnmpSecurity::V3 { .. });
    let is_authenticated = security.level() > SecurityLevel::NoAuthNoPriv;
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let any_source = options.any_source || is_authenticated && attempt > 1;
        let stack = stack(address, security, options.client, any_source)
            .await
            .map_err(Failure::Link)?;
        if !is_v3 {
            return Ok((stack, None));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let until = Instant::now() + left / (ATTEMPTS - attempt);
        match timeout_at(until, stack.discover()).await {
            Ok(Ok(engine)) => return Ok((stack, engine)),
            Ok(Err(failure @ Failure::Noise(_))) => last = Some(failure),
            Ok(Err(failure)) => return Err(failure),
            Err(_) => {}
        }
    }
    Err(last.unwrap_or_else(|| {
        Failure::Link(
            LinkError::new(
                ErrorKind::Timeout,
                format!("agent {address} did not answer the discovery of its SNMP engine"),
            )
            .mark_sent(),
        )
    }))
}

async fn stack(
    address: SocketAddr,
    security: &SnmpSecurity,
    client: SnmpClientLibrary,
    any_source: bool,
) -> Result<Box<dyn SnmpStack>, LinkError> {
    Ok(match client {
        SnmpClientLibrary::AsyncSnmp => {
            Box::new(stack_async_snmp::AsyncSnmpStack::new(address, security, any_source).await?)
        }
        #[cfg(feature = "snmp2")]
        SnmpClientLibrary::Snmp2 => Box::new(stack_snmp2::Snmp2Stack::new(
            address,
            security.clone(),
            any_source,
        )?),
    })
}
