//! Status of an IKE peer and its data planes.

use crate::proto::{
    DateAndTime, FailurePolicy, Mode, PeerStatus, Place, count, date_and_time,
    decode_failure_policy, decode_fault, decode_mode, decode_peer_number, decode_peer_status,
    decode_rows, decode_text, oid,
};
use qkd_driver_kit::link::snmp_client::SnmpCall;
use qkd_hal::{Result, encryptor::ChannelState};

/// A row of the table of IKE peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerRow {
    pub(crate) row: u32,
    /// Its name, or where it has none, its row.
    pub(crate) name: String,
}

/// All IKE peers, in the order of their rows.
pub(crate) async fn peers(call: &SnmpCall<'_>) -> Result<Vec<PeerRow>> {
    let walk = call.walk(&oid::column(oid::PEER, oid::PEER_NAME)).await?;
    let rows = decode_rows(walk)?;
    rows.into_iter()
        .map(|(row, name)| {
            let name = decode_text(&name, "cryptoIKEPeerName")?;
            let name = name.unwrap_or_else(|| row.to_string());
            Ok(PeerRow { row, name })
        })
        .collect()
}

/// Status of an IKE peer.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) status: PeerStatus,
    pub(crate) last_reauth: Option<DateAndTime>,
    pub(crate) has_auth_failure: bool,
    /// Names of its faults in the MIB.
    pub(crate) faults: Vec<&'static str>,
}

impl Peer {
    pub(crate) async fn read(call: &SnmpCall<'_>, row: u32) -> Result<Self> {
        let faults = [
            (oid::PEER_CONFIG_MISMATCH, "ConfigMismatch"),
            (oid::PEER_UNREACHABLE, "Unreachable"),
            (oid::PEER_AUTH_FAILURE, "AuthenticationFailure"),
            (oid::PEER_REKEY_FAILURE, "ReKeyFailure"),
        ];
        let columns = [oid::PEER_STATUS, oid::PEER_LAST_REAUTH].into_iter();
        let columns = columns.chain(faults.map(|(column, _)| column));
        let names: Vec<_> = columns.map(|c| oid::of(oid::PEER, c, row)).collect();
        let v = call.get(&names).await?;
        let mut present = Vec::new();
        for ((_, name), value) in faults.iter().zip(&v[2..]) {
            if decode_fault(value, "cryptoIKEPeer fault")? {
                present.push(*name);
            }
        }
        Ok(Self {
            status: decode_peer_status(&v[0])?,
            last_reauth: date_and_time(&v[1], "cryptoIKEPeerLastReAuthTime")?,
            has_auth_failure: present.contains(&"AuthenticationFailure"),
            faults: present,
        })
    }
}

/// Status of a data plane.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) row: u32,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) policy: FailurePolicy,
    /// Seconds between two traffic keys.
    pub(crate) rekey_interval: u64,
    pub(crate) last_rekey_tx: Option<DateAndTime>,
    pub(crate) last_rekey_rx: Option<DateAndTime>,
    /// Names of its faults in the MIB.
    pub(crate) faults: Vec<&'static str>,
    place: Option<Place>,
    peer: Option<u8>,
}

impl Plane {
    async fn read(call: &SnmpCall<'_>, row: u32, name: String) -> Result<Self> {
        let columns = [
            oid::PLANE_PEER,
            oid::PLANE_REKEY_INTERVAL,
            oid::PLANE_FAILURE_POLICY,
            oid::PLANE_MODE,
            oid::PLANE_LAST_REKEY_TX,
            oid::PLANE_LAST_REKEY_RX,
        ];
        let all = columns.into_iter().chain(oid::PLANE_FAULTS.map(|(c, _)| c));
        let names: Vec<_> = all.map(|c| oid::of(oid::PLANE, c, row)).collect();
        let v = call.get(&names).await?;
        let mut faults = Vec::new();
        for ((_, name), value) in oid::PLANE_FAULTS.iter().zip(&v[columns.len()..]) {
            if decode_fault(value, "cryptoDataplaneEncryption fault")? {
                faults.push(*name);
            }
        }
        Ok(Self {
            row,
            place: Place::parse(&name),
            name,
            peer: decode_peer_number(&v[0])?,
            rekey_interval: count(&v[1], "cryptoDataplaneEncryptionReKeyInterval")?,
            policy: decode_failure_policy(&v[2])?,
            mode: decode_mode(&v[3])?,
            last_rekey_tx: date_and_time(&v[4], "cryptoDataplaneEncryptionLastReKeyTimeTx")?,
            last_rekey_rx: date_and_time(&v[5], "cryptoDataplaneEncryptionLastReKeyTimeRx")?,
            faults,
        })
    }

    /// Whether traffic keys in both directions are not older than this time.
    pub(crate) fn has_rekeyed_since(&self, time: DateAndTime) -> bool {
        [self.last_rekey_tx, self.last_rekey_rx]
            .iter()
            .all(|rekey| rekey.is_some_and(|rekey| !time.is_after(rekey)))
    }
}

/// All data planes.
pub(crate) async fn planes(call: &SnmpCall<'_>) -> Result<Vec<Plane>> {
    let walk = call.walk(&oid::column(oid::PLANE, oid::PLANE_NAME)).await?;
    let mut all = Vec::new();
    for (row, name) in decode_rows(walk)? {
        let name = decode_text(&name, "cryptoDataplaneEncryptionName")?;
        all.push(Plane::read(call, row, name.unwrap_or_else(|| row.to_string())).await?);
    }
    Ok(all)
}

/// The data planes that the peer of this name serves: those of its board that have its number.
pub(crate) async fn planes_of(call: &SnmpCall<'_>, peer: &str) -> Result<Vec<Plane>> {
    let Some(place) = Place::parse(peer) else {
        return Ok(Vec::new());
    };
    let mut all = planes(call).await?;
    all.retain(|plane| {
        let is_near = plane.place.is_some_and(|of| of.is_on_board_of(place));
        is_near && plane.peer.map(u16::from) == Some(place.item)
    });
    Ok(all)
}

/// The state of a channel: a peer and its data planes.
pub(crate) fn state(peer: &Peer, planes: &[Plane]) -> ChannelState {
    let is_bypassed = planes.iter().any(|plane| plane.mode == Mode::Bypass);
    let has_fault = planes.iter().any(|plane| !plane.faults.is_empty());
    match peer.status {
        _ if is_bypassed => ChannelState::Disabled,
        _ if peer.has_auth_failure || has_fault => ChannelState::Failed,
        _ if planes.is_empty() => ChannelState::Initialising,
        PeerStatus::Up => ChannelState::Encrypting,
        PeerStatus::Down | PeerStatus::NotPresent => ChannelState::Failed,
        PeerStatus::NotApplicable => ChannelState::Unknown,
    }
}
