//! `async-snmp` as the client library of a link.

use super::{
    super::{
        LinkError,
        snmp::{Oid, SetRequest, Value, VarBind},
    },
    SnmpSecurity,
    datagrams::{Datagrams, IsAuthentic},
    exchange::{Failure, Request, Response, SnmpStack},
    security::{AuthProtocol, PrivProtocol},
};
use async_snmp::{
    Auth, Client, ClientBuilder, DecodeConfig, Error, MasterKeys, Retry, UsmConfig,
    message::RawV3Message,
    v3::{
        DesSaltState, EngineCache, PersistedDesSaltState, ReportStatus, UsmSecurityParams,
        auth::verify_message,
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use qkd_hal::{DeviceMisbehaved, ErrorKind, TransportFault};
use rand::RngExt;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Longer than any deadline of this crate; its deadlines end the waits of the library.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// Two clients on one socket and one clock: what the second sends is a SET, whose request-id is
/// remembered.
pub(super) struct AsyncSnmpStack {
    reader: Client<Datagrams>,
    writer: Client<Datagrams>,
    written_ids: Arc<Mutex<Vec<i32>>>,
    known: Arc<EngineCache>,
    /// Only discovers: it must not move the clock that the others share.
    prober: Client<Datagrams>,
    probed: Arc<EngineCache>,
    peer: SocketAddr,
    user: Option<String>,
}

impl AsyncSnmpStack {
    /// Prepares keys and a socket; sends nothing.
    pub(super) async fn new(
        peer: SocketAddr,
        security: &SnmpSecurity,
        any_source: bool,
    ) -> Result<Self, LinkError> {
        let (auth, is_authentic) = auth(security)?;
        let socket = Datagrams::open(peer, any_source, is_authentic)
            .await
            .map_err(|e| {
                LinkError::new(
                    ErrorKind::Unreachable,
                    format!("no UDP socket to {peer}: {e}"),
                )
            })?;
        let (numbered, written_ids) = socket.with_remembered_ids();
        let mut lenient = DecodeConfig::DEFAULT;
        lenient.malformed_exception_payloads = true;
        let mut builder = ClientBuilder::new(auth)
            .request_timeout(NEVER)
            .retry(Retry::none())
            .max_oids_per_request(usize::MAX)
            .decode_config(lenient)
            // RFC 3414, 3.2: Reports on wrong users and digests cannot be authenticated. Such a
            // Report ends an exchange, and its clock is used for one message and not kept.
            .allow_unauthenticated_v3_time_correction(true);
        if let SnmpSecurity::V3 {
            privacy: Some((PrivProtocol::Des, _)),
            ..
        } = security
        {
            builder = builder.des_salt_state(des_salts()?);
        }
        let client = |socket: Datagrams, engines: &Arc<EngineCache>| {
            builder
                .clone()
                .engine_cache(Arc::clone(engines))
                .build_with_transport(socket)
                .map_err(|e| LinkError::new(ErrorKind::Authentication, e.to_string()))
        };
        let (known, probed) = (Arc::new(EngineCache::new()), Arc::new(EngineCache::new()));
        Ok(Self {
            reader: client(socket.clone(), &known)?,
            writer: client(numbered, &known)?,
            written_ids,
            known,
            prober: client(socket, &probed)?,
            probed,
            peer,
            user: match security {
                SnmpSecurity::V3 { user, .. } => Some(user.clone()),
                SnmpSecurity::V2c { .. } => None,
            },
        })
    }

    async fn engine_of(
        &self,
        client: &Client<Datagrams>,
        engines: &EngineCache,
    ) -> Result<Option<Vec<u8>>, Failure> {
        if self.user.is_none() {
            return Ok(None);
        }
        client
            .rediscover_engine()
            .await
            .map_err(|e| self.failure(&e))?;
        let engine = engines.get(&self.peer);
        Ok(engine.map(|engine| engine.engine_id().to_vec()))
    }

    async fn set(&self, request: &SetRequest) -> Result<Response, Failure> {
        let binds: Vec<_> = request
            .binds()
            .iter()
            .map(|b| Ok((theirs(&b.oid), their_value(&b.value)?)))
            .collect::<Result<_, LinkError>>()
            .map_err(Failure::Link)?;
        let ids = || {
            self.written_ids
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        ids().clear();
        let answer = self.writer.set_many(&binds).await;
        let request_id = {
            // SNMPv3 numbers the PDU, then the message; again after a correction of the clock.
            let ids = ids();
            let from_end = if self.user.is_some() { 2 } else { 1 };
            ids.len().checked_sub(from_end).map_or(0, |i| ids[i])
        };
        let answer = answer.map_err(|e| self.failure(&e))?;
        Ok(Response {
            request_id,
            ..response(answer.varbinds, &answer.metadata.decode_anomalies)
        })
    }

    /// Converts an error of the library.
    fn failure(&self, error: &Error) -> Failure {
        let peer = self.peer;
        let link = |kind, what: String| {
            Failure::Link(LinkError::new(kind, format!("agent {peer}: {what}")))
        };
        match error.exchange_source() {
            Error::Snmp { status, .. } if status.as_i32() == 1 => Failure::TooBig,
            Error::Snmp { status, index, .. } => Failure::Refused(
                u32::try_from(status.as_i32()).unwrap_or(0),
                usize::try_from(*index).unwrap_or(0),
            ),
            Error::OutboundMessageTooLarge { .. } => Failure::TooBig,
            Error::Report { status, .. } => match &**status {
                ReportStatus::NotInTimeWindow { .. } => Failure::ClockMoved,
                ReportStatus::UnknownEngineId { .. } => Failure::UnknownEngine,
                status => {
                    let (kind, what) = refused_by_report(status, self.user.as_deref());
                    link(kind, what)
                }
            },
            // The port is closed, or a router reported that the host is not there.
            Error::Network { source, .. } => link(
                ErrorKind::Unreachable,
                match source.kind() {
                    std::io::ErrorKind::ConnectionRefused => "nothing listens at this port".into(),
                    _ => source.to_string(),
                },
            ),
            Error::Decode(why) => Failure::Undecodable(why.to_string()),
            Error::MalformedResponse { .. } | Error::Auth { .. } => Failure::Noise(LinkError::new(
                ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
                format!("agent {peer}: the reply contradicts its own request"),
            )),
            Error::Config(_) | Error::InvalidMessage(_) | Error::InvalidOid(_) => {
                link(ErrorKind::InvalidInput, error.to_string())
            }
            Error::Timeout { .. } => link(ErrorKind::Timeout, "no answer".to_owned()),
            Error::Closed { .. } => Failure::Link(LinkError::closed()),
            _ => link(
                ErrorKind::Transport(TransportFault::System),
                error.to_string(),
            ),
        }
    }
}

#[async_trait]
impl SnmpStack for AsyncSnmpStack {
    async fn discover(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.engine_of(&self.reader, &self.known).await
    }

    async fn present_engine(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.engine_of(&self.prober, &self.probed).await
    }

    async fn exchange(&self, request: Request<'_>) -> Result<Response, Failure> {
        let answer = match request {
            Request::Set(request) => return self.set(request).await,
            Request::Bulk(oid, rows) => {
                let oid = theirs(oid);
                let answer = self.reader.get_bulk_with_metadata(&[oid], 0, rows).await;
                answer.map(|a| (a.varbinds, a.metadata))
            }
            Request::Next(oid) => {
                let answer = self.reader.get_next(&theirs(oid)).await;
                answer.map(|a| (a.varbinds, a.metadata))
            }
            Request::Get(oids) => {
                let oids: Vec<_> = oids.iter().map(theirs).collect();
                let answer = self.reader.get_many(&oids).await;
                answer.map(|a| (a.varbinds, a.metadata))
            }
        };
        let (binds, metadata) = answer.map_err(|e| self.failure(&e))?;
        Ok(response(binds, &metadata.decode_anomalies))
    }
}

/// Returns the meaning of a Report (RFC 3414, 3.2; RFC 3412, 7.2; RFC 3413, 3.2), and the
/// recommended action.
fn refused_by_report(status: &ReportStatus, user: Option<&str>) -> (ErrorKind, String) {
    let user = user.unwrap_or_default();
    let (kind, what) = match status {
        ReportStatus::UnsupportedSecurityLevel { .. } => (
            ErrorKind::Authentication,
            format!(
                "it does not allow this security level for user `{user}` \
                 (usmStatsUnsupportedSecLevels); give the passwords that its configuration asks for"
            ),
        ),
        ReportStatus::UnknownUserName { .. } => (
            ErrorKind::Authentication,
            format!(
                "it has no user `{user}` (usmStatsUnknownUserNames); correct `user`, or configure \
                 the user on the agent"
            ),
        ),
        ReportStatus::WrongDigest { .. } => (
            ErrorKind::Authentication,
            format!(
                "it refuses the authentication of user `{user}` (usmStatsWrongDigests); check \
                 auth_password and auth_protocol"
            ),
        ),
        ReportStatus::DecryptionError { .. } => (
            ErrorKind::Authentication,
            format!(
                "it cannot decrypt the request of user `{user}` (usmStatsDecryptionErrors); check \
                 priv_password and priv_protocol, and whether AES-192 and AES-256 need \
                 key_extension = \"reeder\""
            ),
        ),
        ReportStatus::Other { oid, .. } => match oid.arcs() {
            [1, 3, 6, 1, 6, 3, 11, 2, 1, 1, 0] => (
                ErrorKind::Unsupported,
                "it does not support the user-based security model (snmpUnknownSecurityModels)"
                    .to_owned(),
            ),
            [1, 3, 6, 1, 6, 3, 11, 2, 1, 2, 0] => (
                ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
                "it takes the request for an invalid message (snmpInvalidMsgs)".to_owned(),
            ),
            [1, 3, 6, 1, 6, 3, 11, 2, 1, 3, 0] => (
                ErrorKind::Unsupported,
                "it has no application for this request (snmpUnknownPDUHandlers)".to_owned(),
            ),
            [1, 3, 6, 1, 6, 3, 12, 1, 4, 0] => (
                ErrorKind::NotReady,
                "its context is not available now (snmpUnavailableContexts)".to_owned(),
            ),
            [1, 3, 6, 1, 6, 3, 12, 1, 5, 0] => (
                ErrorKind::InvalidInput,
                "it has no such context (snmpUnknownContexts); correct `context_name` in the \
                 credentials"
                    .to_owned(),
            ),
            _ => (
                ErrorKind::Refused,
                format!("it refused the message with a Report on {oid}"),
            ),
        },
        status => (
            ErrorKind::Refused,
            format!("it refused the message: {status}"),
        ),
    };
    (kind, what)
}

/// A DES salt may not repeat for a key (RFC 3414, 8.1.1.1). Nothing is kept between runs, so that
/// each link begins at a random epoch.
fn des_salts() -> Result<DesSaltState, LinkError> {
    let epoch = rand::rng().random_range(1..i32::MAX.unsigned_abs());
    PersistedDesSaltState::new(epoch)
        .and_then(|before| {
            DesSaltState::restart(before, |_| Ok::<(), std::convert::Infallible>(()))
        })
        .map_err(|e| LinkError::new(ErrorKind::Internal, e.to_string()))
}

/// The library's credentials, and how a message of the agent is recognised.
fn auth(security: &SnmpSecurity) -> Result<(Auth, IsAuthentic), LinkError> {
    let wrong =
        |e: async_snmp::v3::CryptoError| LinkError::new(ErrorKind::Authentication, e.to_string());
    let (user, auth, privacy, context) = match security {
        // The transport has compared the community.
        SnmpSecurity::V2c { community } => {
            return Ok((Auth::v2c(community.as_str()), Arc::new(|_| true)));
        }
        SnmpSecurity::V3 {
            user,
            auth,
            privacy,
            context_name,
        } => (user, auth, privacy, context_name),
    };
    let config = UsmConfig::new(user.clone()).context_name(context.clone());
    let Some((protocol, password)) = auth else {
        return Ok((config.into(), Arc::new(|_| false)));
    };
    let mut keys = MasterKeys::new(their_auth(*protocol), password.as_bytes()).map_err(wrong)?;
    if let Some((cipher, password)) = privacy {
        keys = keys
            .with_privacy(their_cipher(*cipher), password.as_bytes())
            .map_err(wrong)?;
    }
    let config = config.with_master_keys(keys.clone()).map_err(wrong)?;
    Ok((
        config.into(),
        Arc::new(move |message| is_signed(message, &keys)),
    ))
}

/// Whether a message has the digest that the user's key gives it.
fn is_signed(message: &[u8], keys: &MasterKeys) -> bool {
    let Ok(raw) = RawV3Message::decode(Bytes::copy_from_slice(message), DecodeConfig::DEFAULT)
    else {
        return false;
    };
    let security = raw.value.security_params().clone();
    let Ok(usm) = UsmSecurityParams::decode(security, DecodeConfig::DEFAULT) else {
        return false;
    };
    let Some((offset, length)) = UsmSecurityParams::find_auth_params_offset(message) else {
        return false;
    };
    keys.localize(usm.value.engine_id())
        .is_ok_and(|(key, _)| verify_message(&key, message, offset, length).unwrap_or(false))
}

pub(super) fn their_auth(protocol: AuthProtocol) -> async_snmp::AuthProtocol {
    match protocol {
        AuthProtocol::Md5 => async_snmp::AuthProtocol::Md5,
        AuthProtocol::Sha1 => async_snmp::AuthProtocol::Sha1,
        AuthProtocol::Sha224 => async_snmp::AuthProtocol::Sha224,
        AuthProtocol::Sha256 => async_snmp::AuthProtocol::Sha256,
        AuthProtocol::Sha384 => async_snmp::AuthProtocol::Sha384,
        AuthProtocol::Sha512 => async_snmp::AuthProtocol::Sha512,
    }
}

pub(super) fn their_cipher(cipher: PrivProtocol) -> async_snmp::PrivProtocol {
    match cipher {
        PrivProtocol::Des => async_snmp::PrivProtocol::Des,
        PrivProtocol::Aes128 => async_snmp::PrivProtocol::Aes128,
        PrivProtocol::Aes192Blumenthal => async_snmp::PrivProtocol::Aes192Blumenthal,
        PrivProtocol::Aes192Reeder => async_snmp::PrivProtocol::Aes192Reeder,
        PrivProtocol::Aes256Blumenthal => async_snmp::PrivProtocol::Aes256Blumenthal,
        PrivProtocol::Aes256Reeder => async_snmp::PrivProtocol::Aes256Reeder,
    }
}

fn theirs(oid: &Oid) -> async_snmp::Oid {
    async_snmp::Oid::from_slice(oid.sub_identifiers())
}

pub(super) fn our_oid(oid: &async_snmp::Oid) -> Oid {
    Oid::from(oid.arcs())
}

fn their_value(value: &Value) -> Result<async_snmp::Value, LinkError> {
    use async_snmp::Value as V;
    Ok(match value {
        Value::Integer(v) => V::Integer(*v),
        Value::OctetString(v) => V::OctetString(v.clone().into()),
        Value::ObjectId(v) => V::ObjectIdentifier(theirs(v)),
        Value::IpAddress(v) => V::IpAddress(*v),
        Value::Counter32(v) => V::Counter32(*v),
        Value::Gauge32(v) => V::Gauge32(*v),
        Value::TimeTicks(v) => V::TimeTicks(*v),
        Value::Counter64(v) => V::Counter64(*v),
        Value::Opaque(v) => V::Opaque(v.clone().into()),
        Value::Null => V::Null,
        Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView | Value::Invalid(_) => {
            return Err(LinkError::new(
                ErrorKind::InvalidInput,
                "an exception is not a value that can be set",
            ));
        }
    })
}

/// A value as SMIv2 has it; another type is invalid.
pub(super) fn our_value(value: &async_snmp::Value) -> Value {
    use async_snmp::Value as V;
    match value {
        V::Integer(v) => Value::Integer(*v),
        V::OctetString(v) | V::Nsap(v) => Value::OctetString(v.to_vec()),
        V::ObjectIdentifier(v) => Value::ObjectId(our_oid(v)),
        V::IpAddress(v) => Value::IpAddress(*v),
        V::Counter32(v) => Value::Counter32(*v),
        V::Gauge32(v) | V::UInteger32(v) => Value::Gauge32(*v),
        V::TimeTicks(v) => Value::TimeTicks(*v),
        V::Counter64(v) => Value::Counter64(*v),
        V::Opaque(v) => Value::Opaque(v.to_vec()),
        V::Null => Value::Null,
        V::NoSuchObject => Value::NoSuchObject,
        V::NoSuchInstance => Value::NoSuchInstance,
        V::EndOfMibView => Value::EndOfMibView,
        V::Unknown { tag, data } => Value::Invalid(format!(
            "a value of unknown type 0x{tag:02x}, {} bytes",
            data.len()
        )),
        other => Value::Invalid(format!("a value of type {}", other.kind())),
    }
}

fn response(binds: Vec<async_snmp::VarBind>, anomalies: &[async_snmp::DecodeAnomaly]) -> Response {
    use async_snmp::DecodeAnomaly as A;
    let has_cut_values = anomalies.iter().any(|a| {
        matches!(
            a,
            A::SignedIntegerTruncation { .. }
                | A::Unsigned32Truncation { .. }
                | A::EmptyCounter64 { .. }
                | A::EmptyObjectIdentifier { .. }
                | A::BoundedStringClamp { .. }
        )
    });
    Response {
        binds: binds
            .iter()
            .map(|b| VarBind::new(our_oid(&b.oid), our_value(&b.value)))
            .collect(),
        request_id: 0,
        has_cut_values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_report_has_its_own_text_and_advice() {
        let counter = 1;
        let other = |oid: &[u32]| ReportStatus::Other {
            oid: async_snmp::Oid::from_slice(oid),
            value: async_snmp::Value::Counter32(1),
        };
        let dispatcher = |n| other(&[1, 3, 6, 1, 6, 3, 11, 2, 1, n, 0]);
        let unexpected = ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply);
        let authentication = ErrorKind::Authentication;
        let mut texts = std::collections::BTreeSet::new();
        for (status, kind, says) in [
            (
                ReportStatus::UnsupportedSecurityLevel { counter },
                authentication,
                "usmStatsUnsupportedSecLevels",
            ),
            (
                ReportStatus::UnknownUserName { counter },
                authentication,
                "usmStatsUnknownUserNames",
            ),
            (
                ReportStatus::WrongDigest { counter },
                authentication,
                "usmStatsWrongDigests",
            ),
            (
                ReportStatus::DecryptionError { counter },
                authentication,
                "usmStatsDecryptionErrors",
            ),
            (
                dispatcher(1),
                ErrorKind::Unsupported,
                "snmpUnknownSecurityModels",
            ),
            (dispatcher(2), unexpected, "snmpInvalidMsgs"),
            (
                dispatcher(3),
                ErrorKind::Unsupported,
                "snmpUnknownPDUHandlers",
            ),
            (
                other(&[1, 3, 6, 1, 6, 3, 12, 1, 4, 0]),
                ErrorKind::NotReady,
                "snmpUnavailableContexts",
            ),
            (
                other(&[1, 3, 6, 1, 6, 3, 12, 1, 5, 0]),
                ErrorKind::InvalidInput,
                "snmpUnknownContexts",
            ),
            (other(&[1, 3, 6, 1, 9]), ErrorKind::Refused, "1.3.6.1.9"),
        ] {
            let (found, text) = refused_by_report(&status, Some("noc"));
            assert_eq!(found, kind, "{text}");
            assert!(text.contains(says), "{text}");
            assert!(texts.insert(text));
        }
        for (failure, says) in [
            (Failure::ClockMoved, "usmStatsNotInTimeWindows"),
            (Failure::UnknownEngine, "usmStatsUnknownEngineIDs"),
        ] {
            assert!(failure.into_error("192.0.2.1:161").detail.contains(says));
        }
    }
}
