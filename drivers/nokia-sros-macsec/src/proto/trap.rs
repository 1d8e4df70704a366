//! Notifications of TIMETRA-MACSEC-MIB. They carry the CKN, never the key.

use super::{
    OperState, ProtoError, ckn_from_text, decode_active_psk, decode_octets, decode_oper_state,
    decode_text, number, oid,
};
use qkd_driver_kit::link::snmp::{Notification, Oid, Value};
use qkd_hal::KeyId;

/// Which notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrapKind {
    /// tmnxMacsecConfiguredPortCA(1)
    ConfiguredPortCa,
    /// tmnxMacsecUnconfiguredPortCA(2)
    UnconfiguredPortCa,
    /// tmnxMacsecEnabledPort(3)
    EnabledPort,
    /// tmnxMacsecDisabledPort(4)
    DisabledPort,
    /// tmnxMkaSessionEstablished(6)
    SessionEstablished,
    /// tmnxMkaPskRollover(7)
    PskRollover,
    /// tmnxMkaSessionEnded(8)
    SessionEnded,
    /// tmnxMkaOperStateChanged(9)
    OperStateChanged,
    /// tmnxMacsecCaCreate(11)
    CaCreate,
    /// tmnxMacsecSakCreate(12)
    SakCreate,
    /// tmnxMacsecSakInstalledRx(13)
    SakInstalledRx,
    /// tmnxMacsecSakInstalledTx(14)
    SakInstalledTx,
    /// tmnxMacsecMkaReplayAttemptDisc(15)
    MkaReplayAttempt,
    /// tmnxMacsecDpReplayAttempt(16)
    DataReplayAttempt,
    /// tmnxMacsecSakDelete(17)
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

    /// The MIB's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind, _)| *kind == self)
            .map_or("", |(_, _, name)| name)
    }
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Which.
    pub kind: TrapKind,
    /// TmnxPortID.
    pub port: Option<u32>,
    /// The connectivity association.
    pub ca: Option<String>,
    /// The CKN.
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

/// What the notifications carry that is read here.
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
        Some((value, _)) => {
            decode_text(value, "tmnxMacsecPortCaName")?.filter(|name| !name.is_empty())
        }
        None => ca_of_index,
    };
    let port = find(oid::NOTIFY_PORT)
        .map(|(v, _)| number(v, "tmnxMacsecNotifyPortId"))
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
            .map(|(v, _)| number(v, "tmnxMacsecNotifyAssociationNum"))
            .transpose()?,
        state: find(OPER_STATE)
            .map(|(v, _)| decode_oper_state(v))
            .transpose()?,
    }))
}
