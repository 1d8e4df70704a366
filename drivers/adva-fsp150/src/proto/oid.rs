//! Names of F3-CONNECTGUARD-MIB, and of CM-FACILITY-MIB for the failure mode.

use qkd_driver_kit::link::snmp::Oid;

/// f3ConnectGuardFlowEntry, indexed by neIndex and flow.
pub const FLOW: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 1, 1, 1];
/// f3ConnectGuardFlowCipherSuite: gcmAes256(1), gcmAes128(2).
pub const CIPHER: u32 = 2;
/// f3ConnectGuardFlowAdminState.
pub const ADMIN_STATE: u32 = 3;
/// f3ConnectGuardFlowOperationalState: normal(1), outage(2).
pub const OPERATIONAL_STATE: u32 = 5;
/// f3ConnectGuardFlowKeyExchangeProfile, a VariablePointer to the row of a profile.
pub const FLOW_PROFILE: u32 = 7;
/// f3ConnectGuardFlowKeyExchangeInterval, minutes.
pub const INTERVAL: u32 = 18;
/// f3ConnectGuardFlowKeyXchgFailsCounts.
pub const FAILURES: u32 = 22;
/// f3ConnectGuardFlowAction: restartKeyXchg(2).
pub const ACTION: u32 = 23;

/// f3ConnectGuardKeyExchangeProfileEntry, indexed by profile.
pub const PROFILE: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 1, 2, 1];
/// f3ConnectGuardKeyExchangeProfileMode.
pub const PROFILE_MODE: u32 = 4;
/// f3ConnectGuardKeyExchangeProfileAuthPassword: KEY MATERIAL, never read.
pub const PROFILE_PASSWORD: u32 = 5;

/// f3ConnectGuardTxSAEntry, indexed by neIndex, flow, SC and SA.
pub const TX_SA: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 1, 5, 1];
/// f3ConnectGuardRxSAEntry, with the same kind of index.
pub const RX_SA: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 1, 6, 1];
/// State of an SA: inUse(1), notInUse(2).
pub const SA_STATE: u32 = 2;
/// Time at which an SA was created.
pub const SA_CREATED: u32 = 5;

/// f3ConnectGuardFlowStatsEntry, indexed by neIndex, flow and interval.
pub const FLOW_STATS: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 2, 1, 1];
/// f3ConnectGuardFlowStatsTxUntaggedPkts.
pub const TX_UNTAGGED: u32 = 5;
/// f3ConnectGuardFlowStatsRxNotagPkts.
pub const RX_NO_TAG: u32 = 8;
/// f3ConnectGuardFlowStatsRxBadtagPkts.
pub const RX_BAD_TAG: u32 = 9;
/// f3ConnectGuardTxSCStatsEntry, indexed by neIndex, flow, SC and interval.
pub const TX_SC_STATS: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 2, 4, 1];
/// f3ConnectGuardTxSCStatsTxEncryptedPkts.
pub const TX_ENCRYPTED: u32 = 6;
/// f3ConnectGuardRxSCStatsEntry, with the same kind of index.
pub const RX_SC_STATS: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 2, 7, 1];
/// f3ConnectGuardRxSCStatsRxNotValidPkts.
pub const RX_NOT_VALID: u32 = 8;
/// f3ConnectGuardRxSCStatsRxOKPkts.
pub const RX_OK: u32 = 12;

/// f3ConnectGuardCryptoPasswordControl.0, TruthValue: whether the password is demanded.
pub const PASSWORD_CONTROL: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 1, 8, 6, 0];
/// f3ConnectGuardCryptoPassword.0: in every SET that touches ConnectGuard.
pub const CRYPTO_PASSWORD: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 1, 9, 1, 0];

/// Notification f3ConnectGuardStateChangeTrap.
pub const STATE_CHANGE: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 3, 4];
/// f3FlowSecureState, its varbind.
pub const SECURE_STATE: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 1, 7, 1, 3];

/// Notification cmNetworkElementAlmTrap (CM-ALARM-MIB).
pub const ALARM_TRAP: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 6, 2, 2];
/// The entry of alarms of a network element, its varbinds.
pub const ALARM: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 6, 1, 4, 1];
/// Severity: TrapAlarmSeverity (ADVA-MIB), critical(2), cleared(6).
pub const ALARM_SEVERITY: u32 = 1;
/// Condition: CmConditionType.
pub const ALARM_CONDITION: u32 = 2;
/// Text that names the entity.
pub const ALARM_ENTITY: u32 = 9;

/// cmFlowSecureBlockingEnabled (CM-FACILITY-MIB), TruthValue.
pub const SECURE_BLOCKING: &[u32] = &[1, 3, 6, 1, 4, 1, 2544, 1, 12, 4, 1, 4, 1, 68];
/// entPhysicalSerialNum.1 (RFC 6933).
pub const SERIAL: &[u32] = &[1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1, 11, 1];

/// A ConnectGuard flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Network element (neIndex).
    pub ne: u32,
    /// Number of the flow.
    pub number: u32,
}

impl Flow {
    /// Whether a row of a table that begins with the index of a flow belongs to this one.
    #[must_use]
    pub fn has(self, index: &[u32]) -> bool {
        index.starts_with(&[self.ne, self.number])
    }
}

impl std::fmt::Display for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.ne, self.number)
    }
}

/// A column.
#[must_use]
pub fn column(entry: &[u32], column: u32) -> Oid {
    Oid::from(entry).child(&[column])
}

/// An instance of f3ConnectGuardFlowEntry.
#[must_use]
pub fn of_flow(column: u32, flow: Flow) -> Oid {
    Oid::from(FLOW).child(&[column, flow.ne, flow.number])
}

/// An instance of f3ConnectGuardKeyExchangeProfileEntry.
#[must_use]
pub fn of_profile(column: u32, profile: u32) -> Oid {
    Oid::from(PROFILE).child(&[column, profile])
}
