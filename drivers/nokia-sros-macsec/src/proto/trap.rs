//! Notifications of TIMETRA-MACSEC-MIB. They carry the CKN, never the key.

use super::{
    OperState, ProtoError, ckn_from_text, count, decode_active_psk, decode_octets,
    decode_oper_state, decode_text, oid,
};
use qkd_driver_kit::link::snmp::{Notification, Oid, Value};
use qkd_hal::KeyId;

/// Kind of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrapKind {
    /// Notification tmnxMacsecConfiguredPortCA(1): a CA was assigned to a port.
    ConfiguredPortCa,
    /// Notification tmnxMacsecUnconfiguredPortCA(2): a CA was removed from a port.
    UnconfiguredPortCa,
    /// Notification tmnxMacsecEnabledPort(3): MACsec was enabled on a port.
    EnabledPort,
    /// Notification tmnxMacsecDisabledPort(4): MACsec was disabled on a port.
    DisabledPort,
    /// Notification tmnxMkaSessionEstablished(6): the peers are live.
    SessionEstablished,
    /// Notification tmnxMkaPskRollover(7): the active pre-shared key changed.
    PskRollover,
    /// Notification tmnxMkaSessionEnded(8): the peer is no longer live.
    SessionEnded,
    /// Notification tmnxMkaOperStateChanged(9): the operational state changed.
    OperStateChanged,
    /// Notification tmnxMacsecCaCreate(11): a CA was created.
    CaCreate,
    /// Notification tmnxMacsecSakCreate(12): a traffic key was generated.
    SakCreate,
    /// Notification tmnxMacsecSakInstalledRx(13): a traffic key was installed for receiving.
    SakInstalledRx,
    /// Notification tmnxMacsecSakInstalledTx(14): a traffic key was installed for sending.
    SakInstalledTx,
    /// Notification tmnxMacsecMkaReplayAttemptDisc(15): a replayed MKA packet was dropped.
    MkaReplayAttempt,
    /// Notification tmnxMacsecDpReplayAttempt(16): a replayed data packet was dropped.
    DataReplayAttempt,
    /// Notification tmnxMacsecSakDelete(17): a traffic key was deleted.
    SakDelete,
}

impl TrapKind {
    const ALL: [(u32, Self, &str); 15] = [
        (1, Self::ConfiguredPortCa, "tmnxMacsecConfiguredPortCA"),
        (2, Self::UnconfiguredPortCa, "tmnxMacsecUnconfiguredPortCA"),
        (3, Self::EnabledPort, "tmnxMacsecEnabledPort"),
        (4, Self::DisabledPort, "tmnxMacsecDisabledPort"),
        (6, Self::SessionEstablished, "tmnxMkaSessionEstablished"),
        (7, Self::PskRollover, "tmnxMkaPskRollover"),
        (8, Self::SessionEnded, "tmnxMkaSessionEnded"),
        (9, Self::OperStateChanged, "tmnxMkaOperStateChanged"),
        (11, Self::CaCreate, "tmnxMacsecCaCreate"),
        (12, Self::SakCreate, "tmnxMacsecSakCreate"),
        (13, Self::SakInstalledRx, "tmnxMacsecSakInstalledRx"),
        (14, Self::SakInstalledTx, "tmnxMacsecSakInstalledTx"),
        (15, Self::MkaReplayAttempt, "tmnxMacsecMkaReplayAttemptDisc"),
        (16, Self::DataReplayAttempt, "tmnxMacsecDpReplayAttempt"),
        (17, Self::SakDelete, "tmnxMacsecSakDelete"),
    ];

    /// Returns the name of the notification in the MIB.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind, _)| *kind == self)
            .map_or("", |(_, _, name)| name)
    }
}

/// A decoded notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Kind of the notification.
    pub kind: TrapKind,
    /// Port ID (TmnxPortID), if present.
    pub port: Option<u32>,
    /// Name of the connectivity association, if present.
    pub ca: Option<String>,
    /// CKN of the notification, if present.
    pub ckn: Option<KeyId>,
    /// The slot that now protects outgoing MKA PDUs.
    pub active_psk: Option<u8>,
    /// The association number of the SAK.
    pub association: Option<u64>,
    /// The state of the MKA instance.
    pub state: Option<OperState>,
}

const CAK_NAME: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 2, 4, 1, 6];
const PORT_CA_NAME: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 2, 5, 1, 5];
const ACTIVE_PSK: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 2, 3, 1, 3];
const OPER_STATE: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 3, 2, 1, 39];

/// Varbinds of notifications that this driver reads.
pub(crate) const CARRIED: [&[u32]; 7] = [
    CAK_NAME,
    PORT_CA_NAME,
    ACTIVE_PSK,
    OPER_STATE,
    oid::NOTIFY_PORT,
    oid::NOTIFY_VLAN,
    oid::NOTIFY_AN,
];

/// The MACsec notification in a message; `None` for others. Varbinds are found by name, so that
/// further ones do no harm.
///
/// # Errors
/// [`ProtoError`] for values of another type.
pub fn decode_trap(notification: &Notification) -> Result<Option<Trap>, ProtoError> {
    let kind = match notification.trap.suffix_of(&Oid::from(oid::NOTIFICATIONS)) {
        Some([n]) => TrapKind::ALL
            .iter()
            .find(|(number, _, _)| number == n)
            .map(|(_, kind, _)| *kind),
        _ => None,
    };
    let Some(kind) = kind else { return Ok(None) };
    let find = |prefix: &[u32]| -> Option<(&Value, &[u32])> {
        let prefix = Oid::from(prefix);
        notification.binds.iter().find_map(|bind| {
            bind.oid
                .suffix_of(&prefix)
                .map(|index| (&bind.value, index))
        })
    };
    let ckn_bind = find(CAK_NAME);
    // The names of slot and static CAK carry the connectivity association in their index.
    let ca_of_index = ckn_bind
        .and_then(|(_, index)| oid::decode_ca_slot(index).ok().map(|(ca, _)| ca))
        .or_else(|| find(ACTIVE_PSK).and_then(|(_, index)| oid::decode_ca(index).ok()));
    let ca = match find(PORT_CA_NAME) {
        Some((value, _)) => decode_text(value, "tmnxMacsecPortCaName")?,
        None => ca_of_index,
    };
    let port = find(oid::NOTIFY_PORT)
        .map(|(v, _)| count(v, "tmnxMacsecNotifyPortId"))
        .transpose()?;
    Ok(Some(Trap {
        kind,
        port: port.and_then(|p| u32::try_from(p).ok()),
        ca,
        ckn: ckn_bind
            .map(|(v, _)| decode_octets(v, "tmnxMacsecPreSharedKeyCakName"))
            .transpose()?
            .flatten()
            .and_then(ckn_from_text),
        active_psk: find(ACTIVE_PSK)
            .map(|(v, _)| decode_active_psk(v))
            .transpose()?,
        association: find(oid::NOTIFY_AN)
            .map(|(v, _)| count(v, "tmnxMacsecNotifyAssociationNum"))
            .transpose()?,
        state: find(OPER_STATE)
            .map(|(v, _)| decode_oper_state(v))
            .transpose()?,
    }))
}
