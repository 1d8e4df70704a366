//! SNMP client on the crate `snmp2`, selected with `client=snmp2`: a second implementation, which
//! is independent of the emulators' agent.
//!
//! The crate exposes fewer protocol details than `async-snmp`, so a link on it has limits (sources
//! are of version 0.5.3):
//! - msgMaxSize above 65507 is refused (`v3.rs`, `parse_v3`), and so is engineBoots 0
//!   (`EngineBootsNotProvided`);
//! - a Report is reported as a value of the wrong type, so its cause is unknown;
//! - a list of varbinds ends at the first that cannot be decoded (`pdu.rs`, `Varbinds::next`): a
//!   walk cannot pass it;
//! - a duplicated reply makes its session unusable (`RequestIdMismatch`), which is then replaced;
//!   after a SET, whether the agent applied it stays unknown;
//! - replies from another address are not received; contexts other than the default are not sent.

use super::{
    super::{
        LinkError,
        snmp::{Oid, Value, VarBind},
    },
    ENGINE_ID, SnmpSecurity,
    exchange::{Failure, Request, Response, SnmpStack},
    security::{AuthProtocol, PrivProtocol},
};
use async_trait::async_trait;
use qkd_hal::{DeviceMisbehaved, ErrorKind, TransportFault};
use rand::RngExt;
use snmp2::{AsyncSession, v3};
use std::{
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

/// A session that was idle for longer is replaced: its estimate of the agent's clock does not
/// advance (RFC 3414, 2.3, allows 150 s).
const MAX_IDLE: Duration = Duration::from_secs(60);

/// A pool of sessions, of which each carries one exchange at a time.
pub(super) struct Snmp2Stack {
    address: SocketAddr,
    security: SnmpSecurity,
    idle: Mutex<Vec<(Instant, AsyncSession)>>,
    next_id: AtomicI32,
}

impl Snmp2Stack {
    pub(super) fn new(
        address: SocketAddr,
        security: SnmpSecurity,
        any_source: bool,
    ) -> Result<Self, LinkError> {
        let unsupported = |what: &str| {
            Err(LinkError::new(
                ErrorKind::InvalidInput,
                format!("client=snmp2 does not support {what}; remove client="),
            ))
        };
        match &security {
            SnmpSecurity::V3 { context_name, .. } if !context_name.is_empty() => {
                return unsupported("context names");
            }
            SnmpSecurity::V2c { .. } if any_source => return unsupported("source=any"),
            _ => {}
        }
        Ok(Self {
            address,
            security,
            idle: Mutex::default(),
            next_id: AtomicI32::new(rand::rng().random_range(1..1 << 30)),
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, AsyncSession)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a session available for the next exchange.
    fn return_session(&self, session: AsyncSession) {
        self.idle().push((Instant::now(), session));
    }

    /// Returns an idle session, or opens one and discovers the agent's engine ID and clock.
    async fn session(&self) -> Result<AsyncSession, Failure> {
        {
            let mut idle = self.idle();
            idle.retain(|(since, _)| since.elapsed() < MAX_IDLE);
            if let Some((_, session)) = idle.pop() {
                return Ok(session);
            }
        }
        // Request IDs of sessions start 65536 apart, so that each is unique on this link.
        let first = self.next_id.fetch_add(1 << 16, Ordering::Relaxed) & 0x3fff_ffff;
        let socket_error = |e: std::io::Error| {
            let what = format!("a socket to {} could not be opened: {e}", self.address);
            Failure::Link(LinkError::new(ErrorKind::Unreachable, what))
        };
        let security = match &self.security {
            SnmpSecurity::V2c { community } => {
                return AsyncSession::new_v2c(self.address, community.as_bytes(), first)
                    .await
                    .map_err(socket_error);
            }
            SnmpSecurity::V3 {
                user,
                auth,
                privacy,
                ..
            } => usm(user, auth.as_ref(), privacy.as_ref()),
        };
        let mut session = AsyncSession::new_v3(self.address, first, security)
            .await
            .map_err(socket_error)?;
        session.init().await.map_err(|e| self.failure(&e))?;
        // The first exchange obtains engineBoots and engineTime of the agent.
        let engine = [Oid::from(ENGINE_ID)];
        match ask(&mut session, Request::Get(&engine)).await {
            Ok(_) | Err(AskError::Failure(_)) => Ok(session),
            Err(AskError::Library(snmp2::Error::AuthUpdated)) => Ok(session),
            Err(AskError::Library(error)) => Err(self.failure(&error)),
        }
    }

    /// Converts an error of the library.
    fn failure(&self, error: &snmp2::Error) -> Failure {
        use snmp2::{Error as E, v3::AuthErrorKind as K};
        let address = self.address;
        let link_error =
            |kind, what: &str| LinkError::new(kind, format!("agent {address}: {what}"));
        match error {
            E::AuthFailure(K::EngineIdMismatch) => Failure::UnknownEngine,
            E::AuthFailure(
                K::EngineBootsMismatch | K::EngineTimeMismatch | K::ReplyNotEncrypted,
            )
            | E::AuthUpdated => {
                self.idle().clear();
                Failure::ClockMoved
            }
            // Also raised by a duplicated discovery Report.
            E::AuthFailure(why) => Failure::Noise(link_error(
                ErrorKind::Authentication,
                &format!("SNMPv3 failed: {why}; check user, protocols and passwords"),
            )),
            E::RequestIdMismatch => Failure::Noise(link_error(
                ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
                "the reply belongs to another request",
            )),
            E::CommunityMismatch => Failure::Noise(link_error(
                ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
                "the reply has another community or user",
            )),
            // A Report in place of a Response.
            E::AsnWrongType if matches!(self.security, SnmpSecurity::V3 { .. }) => {
                Failure::Link(link_error(
                    ErrorKind::Authentication,
                    "it refused the message with a Report; check user, protocols and passwords",
                ))
            }
            E::Receive | E::Send => Failure::Link(link_error(
                ErrorKind::Unreachable,
                "nothing listens at this port",
            )),
            E::Crypto(_) => Failure::Link(link_error(
                ErrorKind::Authentication,
                "the reply could not be decrypted",
            )),
            E::BufferOverflow | E::ValueOutOfRange => Failure::TooBig,
            _ => Failure::Noise(link_error(
                ErrorKind::Transport(TransportFault::Framing),
                "the reply is not an SNMP message",
            )),
        }
    }

    /// Reads the engine ID of the agent; `None` with SNMPv2c.
    async fn engine(&self) -> Result<Option<Vec<u8>>, Failure> {
        if matches!(self.security, SnmpSecurity::V2c { .. }) {
            return Ok(None);
        }
        let engine = [Oid::from(ENGINE_ID)];
        let found = self.exchange(Request::Get(&engine)).await?;
        Ok(match found.binds.into_iter().next().map(|b| b.value) {
            Some(Value::OctetString(id)) => Some(id),
            _ => None,
        })
    }
}

#[async_trait]
impl SnmpStack for Snmp2Stack {
    async fn discover(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.forget();
        self.engine().await
    }

    async fn present_engine(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.forget();
        self.engine().await
    }

    async fn exchange(&self, request: Request<'_>) -> Result<Response, Failure> {
        let mut session = self.session().await?;
        match ask(&mut session, request).await {
            Ok(response) => {
                self.return_session(session);
                Ok(response)
            }
            Err(AskError::Failure(failure)) => {
                self.return_session(session);
                Err(failure)
            }
            Err(AskError::Library(error)) => Err(self.failure(&error)),
        }
    }

    fn forget(&self) {
        self.idle().clear();
    }
}

/// Failure of a request.
enum AskError {
    /// The agent refused the request, or the request is invalid.
    Failure(Failure),
    /// The library reported an error, after which its session is not used again.
    Library(snmp2::Error),
}

impl From<snmp2::Error> for AskError {
    fn from(error: snmp2::Error) -> Self {
        Self::Library(error)
    }
}

/// Sends a request and waits for its response.
async fn ask(session: &mut AsyncSession, request: Request<'_>) -> Result<Response, AskError> {
    let too_big = |_| AskError::Failure(Failure::TooBig);
    let (pdu, expected_count) = match request {
        Request::Get(oids) => {
            let oids: Vec<_> = oids
                .iter()
                .map(to_snmp2_oid)
                .collect::<Result<_, _>>()
                .map_err(too_big)?;
            let pdu = session.get_many(&oids.iter().collect::<Vec<_>>()).await?;
            (pdu, Some(oids.len()))
        }
        Request::Next(oid) => {
            let oid = to_snmp2_oid(oid).map_err(too_big)?;
            (session.getnext(&oid).await?, Some(1))
        }
        Request::Bulk(oid, rows) => {
            let oid = to_snmp2_oid(oid).map_err(too_big)?;
            (session.getbulk(&[&oid], 0, rows).await?, None)
        }
        Request::Set(request) => {
            let binds = request.binds();
            let link = |e| AskError::Failure(Failure::Link(e));
            let oids: Vec<_> = binds
                .iter()
                .map(|b| to_snmp2_oid(&b.oid))
                .collect::<Result<_, _>>()
                .map_err(link)?;
            let varbinds: Vec<_> = binds
                .iter()
                .zip(&oids)
                .map(|(b, oid)| Ok((oid, to_snmp2_value(&b.value)?)))
                .collect::<Result<_, LinkError>>()
                .map_err(link)?;
            (session.set(&varbinds).await?, None)
        }
    };
    if pdu.error_status == 1 {
        return Err(AskError::Failure(Failure::TooBig));
    }
    if pdu.error_status != 0 {
        let index = usize::try_from(pdu.error_index).unwrap_or(0);
        return Err(AskError::Failure(Failure::Refused(pdu.error_status, index)));
    }
    let mut binds = Vec::with_capacity(expected_count.unwrap_or(0));
    for (oid, value) in pdu.varbinds.clone() {
        let value = from_snmp2_value(value)
            .unwrap_or_else(|_| Value::Invalid("a value outside the range of its type".to_owned()));
        binds.push(VarBind::new(from_snmp2_oid(&oid)?, value));
    }
    // The library ends its list at the first varbind that it cannot decode.
    if expected_count.is_some_and(|n| binds.len() < n) {
        let why = "a value that is not of its type".to_owned();
        return Err(AskError::Failure(Failure::Undecodable(why)));
    }
    Ok(Response {
        binds,
        request_id: pdu.req_id,
        has_cut_values: false,
    })
}

/// Converts the parameters of the user-based security model to those of the crate `snmp2`.
fn usm(
    user: &str,
    auth: Option<&(AuthProtocol, zeroize::Zeroizing<String>)>,
    privacy: Option<&(PrivProtocol, zeroize::Zeroizing<String>)>,
) -> v3::Security {
    let Some((protocol, password)) = auth else {
        return v3::Security::new(user.as_bytes(), &[]).with_auth(v3::Auth::NoAuthNoPriv);
    };
    let security = v3::Security::new(user.as_bytes(), password.as_bytes()).with_auth_protocol(
        match protocol {
            AuthProtocol::Md5 => v3::AuthProtocol::Md5,
            AuthProtocol::Sha1 => v3::AuthProtocol::Sha1,
            AuthProtocol::Sha224 => v3::AuthProtocol::Sha224,
            AuthProtocol::Sha256 => v3::AuthProtocol::Sha256,
            AuthProtocol::Sha384 => v3::AuthProtocol::Sha384,
            AuthProtocol::Sha512 => v3::AuthProtocol::Sha512,
        },
    );
    let Some((cipher, password)) = privacy else {
        return security.with_auth(v3::Auth::AuthNoPriv);
    };
    let (cipher, extension) = match cipher {
        PrivProtocol::Des => (v3::Cipher::Des, v3::KeyExtension::Blumenthal),
        PrivProtocol::Aes128 => (v3::Cipher::Aes128, v3::KeyExtension::Blumenthal),
        PrivProtocol::Aes192Blumenthal => (v3::Cipher::Aes192, v3::KeyExtension::Blumenthal),
        PrivProtocol::Aes192Reeder => (v3::Cipher::Aes192, v3::KeyExtension::Reeder),
        PrivProtocol::Aes256Blumenthal => (v3::Cipher::Aes256, v3::KeyExtension::Blumenthal),
        PrivProtocol::Aes256Reeder => (v3::Cipher::Aes256, v3::KeyExtension::Reeder),
    };
    security
        .with_key_extension_method(extension)
        .with_auth(v3::Auth::AuthPriv {
            cipher,
            privacy_password: password.as_bytes().to_vec(),
        })
}

/// Converts an OID to the type of the crate `snmp2`.
///
/// # Errors
/// `InvalidInput` if it is not a valid object identifier.
fn to_snmp2_oid(oid: &Oid) -> Result<snmp2::Oid<'static>, LinkError> {
    let ids: Vec<u64> = oid
        .sub_identifiers()
        .iter()
        .map(|id| u64::from(*id))
        .collect();
    snmp2::Oid::from(&ids).map_err(|_| {
        LinkError::new(
            ErrorKind::InvalidInput,
            format!("{oid} is not an object identifier"),
        )
    })
}

/// Converts an OID of the crate `snmp2`.
fn from_snmp2_oid(oid: &snmp2::Oid<'_>) -> Result<Oid, snmp2::Error> {
    let ids = oid.iter().ok_or(snmp2::Error::AsnIntOverflow)?;
    let ids: Result<Vec<u32>, _> = ids.map(u32::try_from).collect();
    Ok(Oid::new(ids?))
}

/// Converts a value to the type of the crate `snmp2`, for a SET.
///
/// # Errors
/// `InvalidInput` for an exception of RFC 3416, which is not a value.
fn to_snmp2_value(value: &Value) -> Result<snmp2::Value<'_>, LinkError> {
    Ok(match value {
        Value::Integer(v) => snmp2::Value::Integer(i64::from(*v)),
        Value::OctetString(v) => snmp2::Value::OctetString(v),
        Value::ObjectId(v) => snmp2::Value::ObjectIdentifier(to_snmp2_oid(v)?),
        Value::IpAddress(v) => snmp2::Value::IpAddress(*v),
        Value::Counter32(v) => snmp2::Value::Counter32(*v),
        Value::Gauge32(v) => snmp2::Value::Unsigned32(*v),
        Value::TimeTicks(v) => snmp2::Value::Timeticks(*v),
        Value::Counter64(v) => snmp2::Value::Counter64(*v),
        Value::Opaque(v) => snmp2::Value::Opaque(v),
        Value::Null => snmp2::Value::Null,
        Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView | Value::Invalid(_) => {
            return Err(LinkError::new(
                ErrorKind::InvalidInput,
                "noSuchObject, noSuchInstance and endOfMibView cannot be set as a value",
            ));
        }
    })
}

/// Converts a value of the crate `snmp2`.
///
/// # Errors
/// If an integer exceeds 32 bits, or the type is unknown.
fn from_snmp2_value(value: snmp2::Value<'_>) -> Result<Value, snmp2::Error> {
    Ok(match value {
        snmp2::Value::Integer(v) => Value::Integer(i32::try_from(v)?),
        snmp2::Value::OctetString(v) => Value::OctetString(v.to_vec()),
        snmp2::Value::ObjectIdentifier(v) => Value::ObjectId(from_snmp2_oid(&v)?),
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
