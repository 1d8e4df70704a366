//! The objects, in the order of their names.

/// An object of the MIBs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A column of cmFlowTable (CM-FACILITY-MIB).
    EthernetFlow(u32),
    /// The last change of the alarms (cmAlmLastChange).
    AlarmChange,
    /// Number of the last notification of an alarm (cmAlmIndex).
    AlarmIndex,
    /// A column of cmNetworkElementAlmTable.
    Alarm(u32),
    /// A column of cmSecurityUserTable.
    User(u32),
    /// A column of f3ConnectGuardFlowTable.
    Flow(u32),
    /// A column of f3ConnectGuardKeyExchangeProfileTable.
    Profile(u32),
    /// A column of f3ConnectGuardTxSCTable.
    TxSc(u32),
    /// A column of f3ConnectGuardRxSCTable.
    RxSc(u32),
    /// A column of f3ConnectGuardTxSATable.
    TxSa(u32),
    /// A column of f3ConnectGuardRxSATable.
    RxSa(u32),
    /// A column of f3FlowExtConnectGuardTable, which is deprecated.
    FlowExtension(u32),
    /// Whether the crypto user approves a reset (f3ConnectGuardRestoreFactoryApproved).
    RestoreApproved,
    /// Whether SETs need the crypto password (f3ConnectGuardCryptoPasswordControl).
    PasswordControl,
    /// The crypto password of a SET (f3ConnectGuardCryptoPassword).
    CryptoPassword,
    /// A column of f3ConnectGuardFlowStatsTable.
    FlowCounter(u32),
    /// A column of f3ConnectGuardTxSCStatsTable.
    TxScCounter(u32),
    /// A column of f3ConnectGuardRxSCStatsTable.
    RxScCounter(u32),
    /// A column of f3ConnectGuardTxSAStatsTable.
    TxSaCounter(u32),
}

/// Prefix 1.3.6.1.4.1.2544.1.12.
macro_rules! f { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 2544, 1, 12, $($id),*] }; }

pub(super) const OBJECTS: &[(&[u32], Object)] = &[
    (f![4, 1, 4, 1, 68], Object::EthernetFlow(68)),
    (f![4, 1, 4, 1, 69], Object::EthernetFlow(69)),
    (f![4, 1, 4, 1, 70], Object::EthernetFlow(70)),
    (f![6, 1, 1, 1], Object::AlarmChange),
    (f![6, 1, 1, 2], Object::AlarmIndex),
    (f![6, 1, 4, 1, 1], Object::Alarm(1)),
    (f![6, 1, 4, 1, 2], Object::Alarm(2)),
    (f![6, 1, 4, 1, 3], Object::Alarm(3)),
    (f![6, 1, 4, 1, 4], Object::Alarm(4)),
    (f![6, 1, 4, 1, 5], Object::Alarm(5)),
    (f![6, 1, 4, 1, 6], Object::Alarm(6)),
    (f![6, 1, 4, 1, 7], Object::Alarm(7)),
    (f![6, 1, 4, 1, 8], Object::Alarm(8)),
    (f![6, 1, 4, 1, 9], Object::Alarm(9)),
    (f![6, 1, 4, 1, 10], Object::Alarm(10)),
    (f![6, 1, 4, 1, 11], Object::Alarm(11)),
    (f![10, 1, 5, 1, 3], Object::User(3)),
    (f![10, 1, 5, 1, 5], Object::User(5)),
    (f![10, 1, 5, 1, 7], Object::User(7)),
    (f![10, 1, 5, 1, 15], Object::User(15)),
    (f![36, 1, 1, 1, 2], Object::Flow(2)),
    (f![36, 1, 1, 1, 3], Object::Flow(3)),
    (f![36, 1, 1, 1, 4], Object::Flow(4)),
    (f![36, 1, 1, 1, 5], Object::Flow(5)),
    (f![36, 1, 1, 1, 7], Object::Flow(7)),
    (f![36, 1, 1, 1, 18], Object::Flow(18)),
    (f![36, 1, 1, 1, 20], Object::Flow(20)),
    (f![36, 1, 1, 1, 21], Object::Flow(21)),
    (f![36, 1, 1, 1, 22], Object::Flow(22)),
    (f![36, 1, 1, 1, 23], Object::Flow(23)),
    (f![36, 1, 1, 1, 24], Object::Flow(24)),
    (f![36, 1, 1, 1, 25], Object::Flow(25)),
    (f![36, 1, 1, 1, 29], Object::Flow(29)),
    (f![36, 1, 2, 1, 2], Object::Profile(2)),
    (f![36, 1, 2, 1, 3], Object::Profile(3)),
    (f![36, 1, 2, 1, 4], Object::Profile(4)),
    (f![36, 1, 2, 1, 5], Object::Profile(5)),
    (f![36, 1, 2, 1, 6], Object::Profile(6)),
    (f![36, 1, 2, 1, 7], Object::Profile(7)),
    (f![36, 1, 2, 1, 8], Object::Profile(8)),
    (f![36, 1, 3, 1, 2], Object::TxSc(2)),
    (f![36, 1, 3, 1, 3], Object::TxSc(3)),
    (f![36, 1, 3, 1, 4], Object::TxSc(4)),
    (f![36, 1, 3, 1, 5], Object::TxSc(5)),
    (f![36, 1, 3, 1, 7], Object::TxSc(7)),
    (f![36, 1, 4, 1, 2], Object::RxSc(2)),
    (f![36, 1, 4, 1, 3], Object::RxSc(3)),
    (f![36, 1, 4, 1, 4], Object::RxSc(4)),
    (f![36, 1, 5, 1, 2], Object::TxSa(2)),
    (f![36, 1, 5, 1, 3], Object::TxSa(3)),
    (f![36, 1, 5, 1, 5], Object::TxSa(5)),
    (f![36, 1, 5, 1, 6], Object::TxSa(6)),
    (f![36, 1, 6, 1, 2], Object::RxSa(2)),
    (f![36, 1, 6, 1, 5], Object::RxSa(5)),
    (f![36, 1, 7, 1, 3], Object::FlowExtension(3)),
    (f![36, 1, 8, 1], Object::RestoreApproved),
    (f![36, 1, 8, 6], Object::PasswordControl),
    (f![36, 1, 9, 1], Object::CryptoPassword),
    (f![36, 2, 1, 1, 5], Object::FlowCounter(5)),
    (f![36, 2, 1, 1, 8], Object::FlowCounter(8)),
    (f![36, 2, 1, 1, 9], Object::FlowCounter(9)),
    (f![36, 2, 4, 1, 5], Object::TxScCounter(5)),
    (f![36, 2, 4, 1, 6], Object::TxScCounter(6)),
    (f![36, 2, 4, 1, 8], Object::TxScCounter(8)),
    (f![36, 2, 7, 1, 8], Object::RxScCounter(8)),
    (f![36, 2, 7, 1, 12], Object::RxScCounter(12)),
    (f![36, 2, 7, 1, 14], Object::RxScCounter(14)),
    (f![36, 2, 10, 1, 2], Object::TxSaCounter(2)),
];
