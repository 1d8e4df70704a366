//! The objects, in the order of their names.

/// An object of the MIBs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A column of secyIfTable.
    SecyIf(u32),
    /// A column of secyTxSCTable.
    TxSc(u32),
    /// A column of secyTxSATable.
    TxSa(u32),
    /// A column of secyRxSCTable.
    RxSc(u32),
    /// A column of secyRxSATable.
    RxSa(u32),
    /// A column of secyCipherSuiteTable.
    Cipher(u32),
    /// A column of secyTxSAStatsTable.
    TxSaCounter(u32),
    /// A column of secyTxSCStatsTable.
    TxScCounter(u32),
    /// A column of secyRxSAStatsTable.
    RxSaCounter(u32),
    /// A column of secyRxSCStatsTable.
    RxScCounter(u32),
    /// A column of secyStatsTable.
    SecyCounter(u32),
    /// A column of ifTable, in addition to the columns of every agent.
    If(u32),
    /// A column of ieee8021XPaePortTable.
    Port(u32),
    /// A column of ieee8021XPaePortLogonTable.
    Logon(u32),
    /// A column of ieee8021XKayMkaTable.
    Kay(u32),
    /// A column of ieee8021XKayMkaParticipantTable.
    Participant(u32),
    /// A column of ieee8021XKayMkaPeerListTable.
    Peer(u32),
    /// A column of ieee8021XNidConfigTable.
    Network(u32),
}

/// Prefix 1.0.8802.1.1.3.1, IEEE8021-SECY-MIB.
macro_rules! s { ($($id:literal),*) => { &[1, 0, 8802, 1, 1, 3, 1, $($id),*] }; }
/// Prefix 1.3.6.1.2.1.2.2, IF-MIB.
macro_rules! i { ($($id:literal),*) => { &[1, 3, 6, 1, 2, 1, 2, 2, $($id),*] }; }
/// Prefix 1.3.111.2.802.1.1.15.1, IEEE8021X-PAE-MIB.
macro_rules! p { ($($id:literal),*) => { &[1, 3, 111, 2, 802, 1, 1, 15, 1, $($id),*] }; }

pub(super) const OBJECTS: &[(&[u32], Object)] = &[
    (s![1, 1, 1, 2], Object::SecyIf(2)),
    (s![1, 1, 1, 3], Object::SecyIf(3)),
    (s![1, 1, 1, 4], Object::SecyIf(4)),
    (s![1, 1, 1, 5], Object::SecyIf(5)),
    (s![1, 1, 1, 6], Object::SecyIf(6)),
    (s![1, 1, 1, 7], Object::SecyIf(7)),
    (s![1, 1, 1, 8], Object::SecyIf(8)),
    (s![1, 1, 1, 9], Object::SecyIf(9)),
    (s![1, 1, 1, 11], Object::SecyIf(11)),
    (s![1, 1, 1, 12], Object::SecyIf(12)),
    (s![1, 1, 1, 15], Object::SecyIf(15)),
    (s![1, 2, 1, 1], Object::TxSc(1)),
    (s![1, 2, 1, 2], Object::TxSc(2)),
    (s![1, 2, 1, 3], Object::TxSc(3)),
    (s![1, 2, 1, 4], Object::TxSc(4)),
    (s![1, 2, 1, 5], Object::TxSc(5)),
    (s![1, 2, 1, 6], Object::TxSc(6)),
    (s![1, 2, 1, 7], Object::TxSc(7)),
    (s![1, 3, 1, 2], Object::TxSa(2)),
    (s![1, 3, 1, 3], Object::TxSa(3)),
    (s![1, 3, 1, 4], Object::TxSa(4)),
    (s![1, 3, 1, 5], Object::TxSa(5)),
    (s![1, 3, 1, 6], Object::TxSa(6)),
    (s![1, 3, 1, 7], Object::TxSa(7)),
    (s![1, 3, 1, 8], Object::TxSa(8)),
    (s![1, 4, 1, 2], Object::RxSc(2)),
    (s![1, 4, 1, 3], Object::RxSc(3)),
    (s![1, 4, 1, 4], Object::RxSc(4)),
    (s![1, 4, 1, 5], Object::RxSc(5)),
    (s![1, 4, 1, 6], Object::RxSc(6)),
    (s![1, 5, 1, 2], Object::RxSa(2)),
    (s![1, 5, 1, 3], Object::RxSa(3)),
    (s![1, 5, 1, 4], Object::RxSa(4)),
    (s![1, 5, 1, 5], Object::RxSa(5)),
    (s![1, 5, 1, 6], Object::RxSa(6)),
    (s![1, 5, 1, 7], Object::RxSa(7)),
    (s![1, 6, 1, 2], Object::Cipher(2)),
    (s![1, 6, 1, 3], Object::Cipher(3)),
    (s![1, 6, 1, 7], Object::Cipher(7)),
    (s![1, 6, 1, 8], Object::Cipher(8)),
    (s![1, 6, 1, 9], Object::Cipher(9)),
    (s![2, 1, 1, 1], Object::TxSaCounter(1)),
    (s![2, 1, 1, 2], Object::TxSaCounter(2)),
    (s![2, 2, 1, 1], Object::TxScCounter(1)),
    (s![2, 2, 1, 4], Object::TxScCounter(4)),
    (s![2, 2, 1, 10], Object::TxScCounter(10)),
    (s![2, 2, 1, 11], Object::TxScCounter(11)),
    (s![2, 3, 1, 13], Object::RxSaCounter(13)),
    (s![2, 3, 1, 25], Object::RxSaCounter(25)),
    (s![2, 4, 1, 3], Object::RxScCounter(3)),
    (s![2, 4, 1, 4], Object::RxScCounter(4)),
    (s![2, 4, 1, 8], Object::RxScCounter(8)),
    (s![2, 4, 1, 9], Object::RxScCounter(9)),
    (s![2, 4, 1, 10], Object::RxScCounter(10)),
    (s![2, 5, 1, 1], Object::SecyCounter(1)),
    (s![2, 5, 1, 3], Object::SecyCounter(3)),
    (s![2, 5, 1, 4], Object::SecyCounter(4)),
    (s![2, 5, 1, 5], Object::SecyCounter(5)),
    (s![2, 5, 1, 12], Object::SecyCounter(12)),
    (s![2, 5, 1, 14], Object::SecyCounter(14)),
    (i![1, 3], Object::If(3)),
    (i![1, 7], Object::If(7)),
    (i![1, 8], Object::If(8)),
    (i![1, 9], Object::If(9)),
    (p![1, 5, 1, 2], Object::Port(2)),
    (p![1, 5, 1, 3], Object::Port(3)),
    (p![1, 5, 1, 4], Object::Port(4)),
    (p![1, 5, 1, 5], Object::Port(5)),
    (p![1, 5, 1, 7], Object::Port(7)),
    (p![1, 5, 1, 16], Object::Port(16)),
    (p![2, 1, 1, 1], Object::Logon(1)),
    (p![6, 1, 1, 1], Object::Kay(1)),
    (p![6, 1, 1, 2], Object::Kay(2)),
    (p![6, 1, 1, 3], Object::Kay(3)),
    (p![6, 1, 1, 4], Object::Kay(4)),
    (p![6, 1, 1, 5], Object::Kay(5)),
    (p![6, 1, 1, 6], Object::Kay(6)),
    (p![6, 1, 1, 7], Object::Kay(7)),
    (p![6, 1, 1, 8], Object::Kay(8)),
    (p![6, 1, 1, 12], Object::Kay(12)),
    (p![6, 1, 1, 13], Object::Kay(13)),
    (p![6, 1, 1, 14], Object::Kay(14)),
    (p![6, 1, 1, 15], Object::Kay(15)),
    (p![6, 1, 1, 16], Object::Kay(16)),
    (p![6, 1, 1, 17], Object::Kay(17)),
    (p![6, 1, 1, 18], Object::Kay(18)),
    (p![6, 1, 1, 19], Object::Kay(19)),
    (p![6, 1, 1, 20], Object::Kay(20)),
    (p![6, 1, 1, 21], Object::Kay(21)),
    (p![6, 2, 1, 4], Object::Participant(4)),
    (p![6, 2, 1, 5], Object::Participant(5)),
    (p![6, 2, 1, 6], Object::Participant(6)),
    (p![6, 2, 1, 7], Object::Participant(7)),
    (p![6, 2, 1, 8], Object::Participant(8)),
    (p![6, 2, 1, 9], Object::Participant(9)),
    (p![6, 2, 1, 10], Object::Participant(10)),
    (p![6, 3, 1, 2], Object::Peer(2)),
    (p![6, 3, 1, 3], Object::Peer(3)),
    (p![6, 3, 1, 4], Object::Peer(4)),
    (p![7, 1, 1, 4], Object::Network(4)),
];
