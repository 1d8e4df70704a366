//! Names of LUM-CRYPTO-MIB, below lumGeneric 73 (1.3.6.1.4.1.8708.2.73). The MIB registers its
//! module under another number, which its objects do not have.

use qkd_driver_kit::link::snmp::Oid;

/// cryptoAuthEntry, a row for each board.
pub const AUTH: &[u32] = &[1, 3, 6, 1, 4, 1, 8708, 2, 73, 2, 2, 1, 1];
/// cryptoAuthReAuthInterval: 1..1000, unit not stated.
pub const REAUTH_INTERVAL: u32 = 5;

/// cryptoIKEPeerEntry.
pub const PEER: &[u32] = &[1, 3, 6, 1, 4, 1, 8708, 2, 73, 2, 3, 1, 1];
/// cryptoIKEPeerName: `ikePeer:subrack:slot:id`.
pub const PEER_NAME: u32 = 3;
/// cryptoIKEPeerPSK: KEY MATERIAL, 64..128 characters. Never read.
pub const PEER_PSK: u32 = 7;
/// cryptoIKEPeerOperStatus.
pub const PEER_STATUS: u32 = 9;
/// cryptoIKEPeerLastReAuthTime.
pub const PEER_LAST_REAUTH: u32 = 10;
/// cryptoIKEPeerConfigMismatch, the first fault of a peer.
pub const PEER_CONFIG_MISMATCH: u32 = 14;
/// cryptoIKEPeerUnreachable.
pub const PEER_UNREACHABLE: u32 = 15;
/// cryptoIKEPeerAuthenticationFailure.
pub const PEER_AUTH_FAILURE: u32 = 16;
/// cryptoIKEPeerReKeyFailure.
pub const PEER_REKEY_FAILURE: u32 = 17;

/// cryptoDataplaneEncryptionEntry.
pub const PLANE: &[u32] = &[1, 3, 6, 1, 4, 1, 8708, 2, 73, 2, 4, 1, 1];
/// cryptoDataplaneEncryptionName: `dpEncr:subrack:slot:port`.
pub const PLANE_NAME: u32 = 3;
/// cryptoDataplaneEncryptionIKEPeerIdentity: number of the IKE peer, 0 for none.
pub const PLANE_PEER: u32 = 8;
/// cryptoDataplaneEncryptionReKeyInterval, seconds.
pub const PLANE_REKEY_INTERVAL: u32 = 9;
/// cryptoDataplaneEncryptionFailurePolicy: continueop(1), killtraffic(2).
pub const PLANE_FAILURE_POLICY: u32 = 10;
/// cryptoDataplaneEncryptionTrafficKillTimeOffset, seconds.
pub const PLANE_KILL_OFFSET: u32 = 11;
/// cryptoDataplaneEncryptionEncryptionMode: bypass(1), gcm(2).
pub const PLANE_MODE: u32 = 12;
/// cryptoDataplaneEncryptionLastReKeyTimeTx.
pub const PLANE_LAST_REKEY_TX: u32 = 13;
/// cryptoDataplaneEncryptionLastReKeyTimeRx.
pub const PLANE_LAST_REKEY_RX: u32 = 14;
/// Faults of a data plane, with their names.
pub const PLANE_FAULTS: [(u32, &str); 7] = [
    (15, "PeerDpIdMismatch"),
    (16, "ConfigMismatch"),
    (17, "ReKeyFailure"),
    (18, "RXKeyRotationFailure"),
    (19, "IVExhausted"),
    (20, "FunctionBlocked"),
    (21, "UnexpectedRxKeyId"),
];

/// cryptoPerformanceEntry. To which data plane a row belongs is not public.
pub const PERFORMANCE: &[u32] = &[1, 3, 6, 1, 4, 1, 8708, 2, 73, 2, 6, 1, 1];
/// Counters, with their names.
pub const COUNTERS: [(u32, &str); 4] = [
    (8, "authentication-failures"),
    (10, "replay-errors"),
    (11, "frames"),
    (13, "encrypted-frames"),
];

/// A column.
#[must_use]
pub fn column(entry: &[u32], column: u32) -> Oid {
    Oid::from(entry).child(&[column])
}

/// An instance of a column of a table with one index.
#[must_use]
pub fn of(entry: &[u32], column: u32, row: u32) -> Oid {
    Oid::from(entry).child(&[column, row])
}
