//! SNMP over UDP, through `snmp2`: a pool of sessions, of which each carries one exchange at a time.
//!
//! A session whose exchange timed out, or whose reply did not fit, is thrown away: `snmp2` answers every later call of such a session with a mismatch. Reads are asked
//! again within their deadline, since UDP loses datagrams; a SET is never sent twice. An exchange runs in a task of its own, so that a caller who goes away
//! leaves nothing half done. After an agent's restart the session learns its new boots and time, and asks again.

mod notifications;
mod security;

pub use notifications::NotificationReceiver;
pub use security::Security;

use super::{
    LinkError,
    memory::refused,
    snmp::{Notification, Oid, SecurityLevel, SetRequest, SnmpLink, Value, VarBind},
};
use async_trait::async_trait;
use qkd_hal::{
    DeviceMisbehaved, ErrorKind, EventKind, TransportFault,
    event::{EventHub, Origin},
};
use rand::RngExt;
use snmp2::AsyncSession;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::lookup_host,
    sync::{Semaphore, broadcast},
    time::{Instant, timeout_at},
};

/// The most exchanges at the same time to one agent.
const SESSIONS: usize = 64;
/// How often a read is sent before its deadline.
const ATTEMPTS: u32 = 3;
/// Rows of one GETBULK.
const REPETITIONS: u32 = 32;
/// snmpEngineID.0.
const ENGINE_ID: [u32; 11] = [1, 3, 6, 1, 6, 3, 10, 2, 1, 1, 0];
/// The most varbinds of one walk.
const WALK_LIMIT: usize = 1_000_000;

/// An SNMP link over UDP.
pub struct UdpSnmp {
    shared: Arc<Shared>,
    notifications: broadcast::Sender<Notification>,
    /// Keeps the channel open, whether anybody listens yet or not.
    _listener: broadcast::Receiver<Notification>,
}

struct Shared {
    address: SocketAddr,
    security: Security,
    idle: Mutex<Vec<AsyncSession>>,
    permits: Semaphore,
    /// SETs to one agent are serialised.
    sets: tokio::sync::Mutex<()>,
    next_id: AtomicI32,
    engine: Mutex<Option<Vec<u8>>>,
    closed: AtomicBool,
    lost: AtomicBool,
    events: EventHub,
}

impl UdpSnmp {
    /// Finds out whether an agent answers there with these credentials.
    ///
    /// # Errors
    /// `Unreachable` for a name that cannot be resolved, `Timeout`, `Authentication`.
    pub async fn open(
        address: &str,
        security: Security,
        within: Duration,
        events: EventHub,
        receiver: Option<NotificationReceiver>,
    ) -> Result<Arc<Self>, LinkError> {
        let unreachable =
            |why: String| LinkError::new(ErrorKind::Unreachable, format!("{address}: {why}"));
        let address = tokio::time::timeout(within, lookup_host(address))
            .await
            .map_err(|_| unreachable("the name was not resolved within the deadline".to_owned()))?
            .map_err(|e| unreachable(e.to_string()))?
            .next()
            .ok_or_else(|| unreachable("the name has no address".to_owned()))?;
        let shared = Arc::new(Shared {
            address,
            security,
            idle: Mutex::default(),
            permits: Semaphore::new(SESSIONS),
            sets: tokio::sync::Mutex::default(),
            next_id: AtomicI32::new(rand::rng().random_range(1..1 << 30)),
            engine: Mutex::default(),
            closed: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            events,
        });
        let (notifications, listener) = broadcast::channel(256);
        let link = Self {
            notifications,
            _listener: listener,
            shared,
        };
        // sysObjectID.0 (RFC 3418) shows that an agent is there, snmpEngineID.0 (RFC 3411) which one.
        let first = link.get(&[Oid::from([1, 3, 6, 1, 2, 1, 1, 2, 0]), Oid::from(ENGINE_ID)], within).await.map_err(|mut e| {
            if e.kind == ErrorKind::Timeout && link.security() == SecurityLevel::AuthPriv {
                e.detail.push_str("; many agents are silent to what they cannot decrypt, so check priv_protocol and priv_password too");
            }
            e
        })?;
        if let Some(VarBind {
            value: Value::OctetString(id),
            ..
        }) = first.get(1)
        {
            *link
                .shared
                .engine
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
        }
        if let Some(receiver) = receiver {
            let engine = link
                .shared
                .engine
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            receiver.forward(address.ip(), engine, &link.notifications);
        }
        Ok(Arc::new(link))
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
            Err(_) => {
                Err(LinkError::new(ErrorKind::Internal, "the exchange's task ended early").sent())
            }
        }
    }
}

#[async_trait]
impl SnmpLink for UdpSnmp {
    async fn get(&self, oids: &[Oid], within: Duration) -> Result<Vec<VarBind>, LinkError> {
        if oids.is_empty() {
            return Ok(Vec::new());
        }
        let oids: Arc<[Oid]> = oids.into();
        self.run(within, move |shared, deadline| async move {
            shared.read(Read::Get(oids), deadline).await
        })
        .await
    }

    async fn set(&self, request: SetRequest, within: Duration) -> Result<i32, LinkError> {
        if request.has_secret() && self.security() < SecurityLevel::AuthPriv {
            return Err(LinkError::new(
                ErrorKind::Authentication,
                "key material goes over SNMPv3 authPriv only; give credentials with auth_password and priv_password",
            ));
        }
        if self.shared.security.usm().is_none() {
            return Err(LinkError::new(
                ErrorKind::Authentication,
                "SNMPv2c is for reading only; a change goes over SNMPv3, so give credentials with a user",
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
            let mut found: Vec<VarBind> = Vec::new();
            let mut at = root.clone();
            loop {
                let rows = shared.read(Read::Bulk(at.clone()), deadline).await?;
                // The end of a table is told by a name behind it; nothing at all is a row that cannot be read.
                if rows.is_empty() {
                    let what =
                        format!("the reply to GETBULK behind {at} holds no row that can be read");
                    return Err(LinkError::new(
                        ErrorKind::Transport(TransportFault::Framing),
                        what,
                    ));
                }
                for row in rows {
                    if row.oid.below(&root).is_none() || row.value == Value::EndOfMibView {
                        return Ok(found);
                    }
                    if row.oid <= at {
                        let what = format!("behind {at} the agent names {}", row.oid);
                        return Err(LinkError::new(
                            ErrorKind::Misbehaved(DeviceMisbehaved::NamesNotIncreasing),
                            what,
                        ));
                    }
                    if found.len() >= WALK_LIMIT {
                        let what = format!("the walk of {root} has more than {WALK_LIMIT} rows");
                        return Err(LinkError::new(
                            ErrorKind::Transport(TransportFault::Overrun),
                            what,
                        ));
                    }
                    at = row.oid.clone();
                    found.push(row);
                }
            }
        })
        .await
    }

    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.notifications.subscribe()
    }
    fn security(&self) -> SecurityLevel {
        self.shared.security.level()
    }
    fn address(&self) -> String {
        self.shared.address.to_string()
    }
    async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.forget_sessions();
    }
}

enum Read {
    Get(Arc<[Oid]>),
    Bulk(Oid),
}

impl Shared {
    /// A loss is told once, and so is the return.
    fn note<T>(&self, result: &Result<T, LinkError>) {
        match result {
            // One that waited in the queue tells nothing of the agent.
            Err(e)
                if matches!(e.kind, ErrorKind::Timeout | ErrorKind::Unreachable)
                    && !e.is_queued() =>
            {
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
            format!("agent {} did not answer within the deadline", self.address),
        )
    }

    async fn session(&self, deadline: Instant) -> Result<AsyncSession, LinkError> {
        if let Some(session) = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
        {
            return Ok(session);
        }
        // Sessions start far apart, so that a request id names one exchange of this link.
        let first = self.next_id.fetch_add(1 << 16, Ordering::Relaxed) & 0x3fff_ffff;
        let socket = |e: std::io::Error| {
            LinkError::new(
                ErrorKind::Unreachable,
                format!("no socket to {}: {e}", self.address),
            )
        };
        let Some(usm) = self.security.usm() else {
            return AsyncSession::new_v2c(
                self.address,
                self.security.community().as_bytes(),
                first,
            )
            .await
            .map_err(socket);
        };
        let mut left = ATTEMPTS;
        let mut session = loop {
            // A new one for each attempt: the late answer to one would be taken for that to the next, and its clock for wrong.
            let mut session = AsyncSession::new_v3(self.address, first, usm.clone())
                .await
                .map_err(socket)?;
            let end = attempt_end(deadline, left);
            left -= 1;
            match timeout_at(end, session.init()).await {
                Ok(Ok(())) => break session,
                Ok(Err(error)) => return Err(self.fail(&error)),
                Err(_) if left > 0 && Instant::now() < deadline => {}
                Err(_) => return Err(self.timeout()),
            }
        };
        let question = Read::Get([Oid::from(ENGINE_ID)].into());
        loop {
            match timeout_at(deadline, ask(&mut session, &question)).await {
                Ok(Ok(answer)) => {
                    self.same_agent(&answer)?;
                    return Ok(session);
                }
                Ok(Err(snmp2::Error::AuthUpdated)) => {}
                Ok(Err(error)) => return Err(self.fail(&error)),
                Err(_) => return Err(self.timeout()),
            }
        }
    }

    /// A session must reach the agent that was opened, not another that took its address.
    fn same_agent(&self, answer: &Answer) -> Result<(), LinkError> {
        let Some(known) = self
            .engine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
        else {
            return Ok(());
        };
        match answer {
            Answer::Values(values) => match values.first() {
                Some(VarBind {
                    value: Value::OctetString(found),
                    ..
                }) if *found != known => {
                    self.closed.store(true, Ordering::Release);
                    let (known, found) = (hex::encode(&known), hex::encode(found));
                    self.events.publish(
                        Origin::Driver,
                        EventKind::IdentityChanged {
                            found: found.clone(),
                        },
                    );
                    let what = format!(
                        "SNMP engine {known} was opened, and {found} answers now; the handle is closed"
                    );
                    Err(LinkError::new(ErrorKind::IdentityChanged, what))
                }
                _ => Ok(()),
            },
            Answer::Refused(..) => Ok(()),
        }
    }

    /// All of them know the engine as it was.
    fn forget_sessions(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn give_back(&self, session: AsyncSession) {
        if !self.closed.load(Ordering::Acquire) {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(session);
        }
    }

    async fn permit(
        &self,
        deadline: Instant,
    ) -> Result<tokio::sync::SemaphorePermit<'_>, LinkError> {
        match timeout_at(deadline, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(LinkError::queued()),
        }
    }

    async fn read(&self, what: Read, deadline: Instant) -> Result<Vec<VarBind>, LinkError> {
        let _permit = self.permit(deadline).await?;
        let (answer, session) = self.answered(&what, deadline).await?;
        self.give_back(session);
        match answer {
            Answer::Values(values) => Ok(values),
            Answer::Refused(status, index) => {
                let oid = match &what {
                    Read::Get(oids) => oids.get(index.wrapping_sub(1)),
                    Read::Bulk(oid) => Some(oid),
                };
                Err(refused(status, index, oid))
            }
        }
    }

    /// What the agent answers to a read, and a session on which it has just done so.
    async fn answered(
        &self,
        what: &Read,
        deadline: Instant,
    ) -> Result<(Answer, AsyncSession), LinkError> {
        let mut left = ATTEMPTS;
        let mut sent = false;
        // One more turn for each restart of the agent that a reply tells of.
        let mut restarts = 2;
        loop {
            let end = attempt_end(deadline, left);
            left = left.saturating_sub(1);
            let mut session = match self.session(end).await {
                Ok(session) => session,
                // A datagram of the session's own questions was lost, or was noise: one attempt of this question.
                Err(e)
                    if left > 0
                        && Instant::now() < deadline
                        && matches!(
                            e.kind,
                            ErrorKind::Timeout | ErrorKind::Transport(TransportFault::Framing)
                        ) =>
                {
                    continue;
                }
                Err(e) => return Err(if sent { e.sent() } else { e }),
            };
            sent = true;
            match timeout_at(end, ask(&mut session, what)).await {
                Ok(Ok(answer)) => return Ok((answer, session)),
                Ok(Err(snmp2::Error::AuthUpdated)) if restarts > 0 => {
                    restarts -= 1;
                    left += 1;
                    self.give_back(session);
                }
                // A late reply to an earlier exchange, or noise: the session is spent, the question stands.
                Ok(Err(snmp2::Error::RequestIdMismatch))
                    if left > 0 && Instant::now() < deadline => {}
                // Another engine, or the same after a restart: a new session finds out which.
                Ok(Err(ref error)) if restarts > 0 && is_another_engine(error) => {
                    restarts -= 1;
                    left += 1;
                    self.forget_sessions();
                }
                Ok(Err(error)) if left > 0 && is_noise(&error) && Instant::now() < deadline => {}
                Ok(Err(error)) => return Err(self.fail(&error).sent()),
                Err(_) if left > 0 && Instant::now() < deadline => {}
                Err(_) => return Err(self.timeout().sent()),
            }
        }
    }

    /// A SET leaves once, on a session that has just been answered: it knows the agent's clock, so that no restart long past refuses it. What goes
    /// wrong from there on leaves it open whether the agent acted: a reply that tells of a new clock may be the answer itself.
    async fn set(&self, request: SetRequest, deadline: Instant) -> Result<i32, LinkError> {
        let _one = timeout_at(deadline, self.sets.lock())
            .await
            .map_err(|_| LinkError::queued())?;
        let _permit = self.permit(deadline).await?;
        let oids: Vec<_> = request
            .binds()
            .iter()
            .map(|b| native_oid(&b.oid))
            .collect::<Result<_, _>>()?;
        let named: Vec<_> = request
            .binds()
            .iter()
            .zip(&oids)
            .map(|(b, oid)| Ok((oid, native(&b.value)?)))
            .collect::<Result<_, LinkError>>()?;
        // Only the question before it was sent; nothing changed yet.
        let unchanged = |e: LinkError| LinkError::new(e.kind, e.detail);
        let (answer, mut session) = self
            .answered(&Read::Get([Oid::from(ENGINE_ID)].into()), deadline)
            .await
            .map_err(unchanged)?;
        self.same_agent(&answer)?;
        let outcome = timeout_at(deadline, session.set(&named))
            .await
            .map(|r| r.map(|pdu| (pdu.req_id, pdu.error_status, pdu.error_index)));
        match outcome {
            Ok(Ok((id, 0, _))) => {
                self.give_back(session);
                Ok(id)
            }
            Ok(Ok((_, status, index))) => {
                self.give_back(session);
                let index = usize::try_from(index).unwrap_or(0);
                Err(refused(
                    status,
                    index,
                    request.binds().get(index.wrapping_sub(1)).map(|b| &b.oid),
                ))
            }
            Ok(Err(error)) => Err(self.fail(&error).sent()),
            Err(_) => Err(self.timeout().sent()),
        }
    }

    fn fail(&self, error: &snmp2::Error) -> LinkError {
        use snmp2::Error as E;
        let address = self.address;
        let say = |kind, what: &str| LinkError::new(kind, format!("agent {address}: {what}"));
        match error {
            E::AuthFailure(snmp2::v3::AuthErrorKind::ReplyNotEncrypted) => {
                say(ErrorKind::Authentication, "the reply was not encrypted")
            }
            E::AuthFailure(why) => say(
                ErrorKind::Authentication,
                &format!("SNMPv3 failed: {why}; check user, protocols and passwords"),
            ),
            E::AuthUpdated => say(
                ErrorKind::Authentication,
                "the agent refuses our idea of its clock",
            ),
            E::RequestIdMismatch => say(
                ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
                "the reply belongs to another request",
            ),
            E::CommunityMismatch => say(
                ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
                "the reply has another community or user",
            ),
            // A report in place of a response: RFC 3414's counters of refused messages.
            E::AsnWrongType if self.security.usm().is_some() => say(
                ErrorKind::Authentication,
                "it reports that it refused the message; check user, protocols and passwords",
            ),
            // A UDP socket tells of a closed port as a failed receive.
            E::Receive | E::Send => say(ErrorKind::Unreachable, "nothing listens there"),
            E::Crypto(_) => say(
                ErrorKind::Authentication,
                "the reply could not be decrypted",
            ),
            E::BufferOverflow | E::ValueOutOfRange => say(
                ErrorKind::InvalidInput,
                "the request is too large for one PDU",
            ),
            _ => say(
                ErrorKind::Transport(TransportFault::Framing),
                "the reply is no SNMP message",
            ),
        }
    }
}

/// The agent did not act on the message: it was made for another engine, or another of its boots.
fn is_another_engine(error: &snmp2::Error) -> bool {
    use snmp2::v3::AuthErrorKind as K;
    matches!(
        error,
        snmp2::Error::AuthFailure(
            K::EngineIdMismatch | K::EngineBootsMismatch | K::EngineTimeMismatch
        )
    )
}

fn is_noise(error: &snmp2::Error) -> bool {
    use snmp2::Error as E;
    matches!(
        error,
        E::AsnParse
            | E::AsnInvalidLen
            | E::AsnUnsupportedType
            | E::AsnEof
            | E::AsnIntOverflow
            | E::UnsupportedVersion
    )
}

/// When an attempt ends: the time that is left, shared among the attempts that are left.
fn attempt_end(deadline: Instant, left: u32) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / left.max(1)
}

enum Answer {
    Values(Vec<VarBind>),
    Refused(u32, usize),
}

async fn ask(session: &mut AsyncSession, what: &Read) -> Result<Answer, snmp2::Error> {
    let (pdu, exactly) = match what {
        Read::Get(oids) if oids.len() == 1 => {
            let oid = native_oid(&oids[0]).map_err(|_| snmp2::Error::ValueOutOfRange)?;
            (session.get(&oid).await?, Some(1))
        }
        Read::Get(oids) => {
            let native: Vec<_> = oids
                .iter()
                .map(native_oid)
                .collect::<Result<_, _>>()
                .map_err(|_| snmp2::Error::ValueOutOfRange)?;
            (
                session.get_many(&native.iter().collect::<Vec<_>>()).await?,
                Some(oids.len()),
            )
        }
        Read::Bulk(oid) => {
            let oid = native_oid(oid).map_err(|_| snmp2::Error::ValueOutOfRange)?;
            (session.getbulk(&[&oid], 0, REPETITIONS).await?, None)
        }
    };
    if pdu.error_status != 0 {
        return Ok(Answer::Refused(
            pdu.error_status,
            usize::try_from(pdu.error_index).unwrap_or(0),
        ));
    }
    let mut values = Vec::with_capacity(exactly.unwrap_or(REPETITIONS as usize));
    for (oid, value) in pdu.varbinds.clone() {
        values.push(VarBind::new(ours(&oid)?, ours_value(value)?));
    }
    // snmp2 ends its list at the first varbind that it cannot read.
    if exactly.is_some_and(|n| values.len() != n) {
        return Err(snmp2::Error::AsnParse);
    }
    if let Read::Get(oids) = what
        && oids
            .iter()
            .zip(&values)
            .any(|(asked, got)| *asked != got.oid)
    {
        return Err(snmp2::Error::RequestIdMismatch);
    }
    Ok(Answer::Values(values))
}

fn native_oid(oid: &Oid) -> Result<snmp2::Oid<'static>, LinkError> {
    let ids: Vec<u64> = oid.ids().iter().map(|id| u64::from(*id)).collect();
    snmp2::Oid::from(&ids).map_err(|_| {
        LinkError::new(
            ErrorKind::InvalidInput,
            format!("{oid} is not an object identifier"),
        )
    })
}

fn ours(oid: &snmp2::Oid<'_>) -> Result<Oid, snmp2::Error> {
    let ids = oid.iter().ok_or(snmp2::Error::AsnIntOverflow)?;
    let ids: Result<Vec<u32>, _> = ids.map(u32::try_from).collect();
    Ok(Oid::new(ids?))
}

fn native(value: &Value) -> Result<snmp2::Value<'_>, LinkError> {
    Ok(match value {
        Value::Integer(v) => snmp2::Value::Integer(i64::from(*v)),
        Value::OctetString(v) => snmp2::Value::OctetString(v),
        Value::ObjectId(v) => snmp2::Value::ObjectIdentifier(native_oid(v)?),
        Value::IpAddress(v) => snmp2::Value::IpAddress(*v),
        Value::Counter32(v) => snmp2::Value::Counter32(*v),
        Value::Gauge32(v) => snmp2::Value::Unsigned32(*v),
        Value::TimeTicks(v) => snmp2::Value::Timeticks(*v),
        Value::Counter64(v) => snmp2::Value::Counter64(*v),
        Value::Opaque(v) => snmp2::Value::Opaque(v),
        Value::Null => snmp2::Value::Null,
        Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {
            return Err(LinkError::new(
                ErrorKind::InvalidInput,
                "an exception is no value to set",
            ));
        }
    })
}

fn ours_value(value: snmp2::Value<'_>) -> Result<Value, snmp2::Error> {
    Ok(match value {
        snmp2::Value::Integer(v) => Value::Integer(i32::try_from(v)?),
        snmp2::Value::OctetString(v) => Value::OctetString(v.to_vec()),
        snmp2::Value::ObjectIdentifier(v) => Value::ObjectId(ours(&v)?),
        snmp2::Value::IpAddress(v) => Value::IpAddress(v),
        snmp2::Value::Counter32(v) => Value::Counter32(v),
        snmp2::Value::Unsigned32(v) => Value::Gauge32(v),
        snmp2::Value::Timeticks(v) => Value::TimeTicks(v),
        snmp2::Value::Counter64(v) => Value::Counter64(v),
        snmp2::Value::Opaque(v) => Value::Opaque(v.to_vec()),
        snmp2::Value::Null => Value::Null,
        snmp2::Value::NoSuchObject => Value::NoSuchObject,
        snmp2::Value::NoSuchInstance => Value::NoSuchInstance,
        snmp2::Value::EndOfMibView => Value::EndOfMibView,
        _ => return Err(snmp2::Error::AsnUnsupportedType),
    })
}
