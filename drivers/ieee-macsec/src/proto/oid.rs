//! Names of IEEE8021X-PAE-MIB (IEEE 802.1X) and IEEE8021-SECY-MIB (IEEE 802.1AE).

use qkd_driver_kit::link::snmp::Oid;
use qkd_hal::KeyId;

/// ieee8021XKayMkaEntry, indexed by PAE port.
pub const KAY: &[u32] = &[1, 3, 111, 2, 802, 1, 1, 15, 1, 6, 1, 1];
/// ieee8021XKayMkaActive.
pub const ACTIVE: u32 = 1;
/// ieee8021XKayMkaAuthenticated.
pub const AUTHENTICATED: u32 = 2;
/// ieee8021XKayMkaSecured.
pub const SECURED: u32 = 3;
/// ieee8021XKayMkaFailed.
pub const FAILED: u32 = 4;
/// ieee8021XKayMkaTxKN: number of the transmit key.
pub const TX_KN: u32 = 18;
/// ieee8021XKayMkaRxKN: number of the receive key.
pub const RX_KN: u32 = 20;

/// ieee8021XKayMkaParticipantEntry, indexed by PAE port and CKN.
pub const PARTICIPANT: &[u32] = &[1, 3, 111, 2, 802, 1, 1, 15, 1, 6, 2, 1];
/// ieee8021XKayMkaPartActive.
pub const PART_ACTIVE: u32 = 5;
/// ieee8021XKayMkaPartPrincipal.
pub const PART_PRINCIPAL: u32 = 8;

/// ieee8021XPaeControlledPortNumber, indexed by PAE port: the ifIndex of its SecY.
pub const CONTROLLED_PORT: &[u32] = &[1, 3, 111, 2, 802, 1, 1, 15, 1, 1, 5, 1, 3];

/// secyTxSCStatsEncryptedPkts, indexed by ifIndex.
pub const TX_ENCRYPTED: &[u32] = &[1, 0, 8802, 1, 1, 3, 1, 2, 2, 1, 4];
/// secyStatsTxUntaggedPkts, indexed by ifIndex.
pub const TX_UNTAGGED: &[u32] = &[1, 0, 8802, 1, 1, 3, 1, 2, 5, 1, 1];
/// secyStatsRxNoTagPkts, indexed by ifIndex.
pub const RX_NO_TAG: &[u32] = &[1, 0, 8802, 1, 1, 3, 1, 2, 5, 1, 4];
/// secyStatsRxBadTagPkts, indexed by ifIndex.
pub const RX_BAD_TAG: &[u32] = &[1, 0, 8802, 1, 1, 3, 1, 2, 5, 1, 5];
/// secyRxSCStatsOKPkts, indexed by ifIndex and SCI.
pub const RX_OK: &[u32] = &[1, 0, 8802, 1, 1, 3, 1, 2, 4, 1, 8];
/// secyRxSCStatsNotValidPkts, indexed by ifIndex and SCI.
pub const RX_NOT_VALID: &[u32] = &[1, 0, 8802, 1, 1, 3, 1, 2, 4, 1, 4];

/// entPhysicalSerialNum.1 (RFC 6933).
pub const SERIAL: &[u32] = &[1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1, 11, 1];

/// An instance of ieee8021XKayMkaEntry.
#[must_use]
pub fn of_port(column: u32, port: u32) -> Oid {
    Oid::from(KAY).child(&[column, port])
}

/// A column of ieee8021XKayMkaParticipantEntry, for one port.
#[must_use]
pub fn participants(column: u32, port: u32) -> Oid {
    Oid::from(PARTICIPANT).child(&[column, port])
}

/// An instance of ieee8021XKayMkaParticipantEntry. A CKN has a variable length and is not IMPLIED:
/// its length comes first (RFC 2578, 7.7).
#[must_use]
pub fn of_participant(column: u32, port: u32, ckn: &KeyId) -> Oid {
    let bytes = ckn.as_bytes();
    let mut index = vec![u32::try_from(bytes.len()).unwrap_or(u32::MAX)];
    index.extend(bytes.iter().map(|byte| u32::from(*byte)));
    participants(column, port).child(&index)
}
