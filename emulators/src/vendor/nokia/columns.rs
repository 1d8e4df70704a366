//! The objects, in the order of their names.

/// An object of the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// Layout of port IDs (tmnxChassisPortIdScheme).
    PortIdScheme,
    /// tmnxHwSerialNumber of the chassis.
    ChassisSerial,
    /// The last change of the CA, static CAK, PSK and port tables.
    Changed(usize),
    /// A column of tmnxMacsecConnAssocTable.
    Ca(u32),
    /// A column of tmnxMacsecStaticCakTable.
    StaticCak(u32),
    /// A column of tmnxMacsecPreSharedKeyTable.
    Psk(u32),
    /// A column of tmnxMacsecPortTable.
    Port(u32),
    /// A column of tmnxMacsecMkaStatsTable.
    Mka(u32),
    /// A column of tmnxMacsecMkaPeerListTable.
    Peer(u32),
    /// A column of tmnxMacsecPortStatsTable.
    PortStats(u32),
    /// A column of tmnxMacsecTxSAStatsTable.
    TxSa(u32),
    /// A column of tmnxMacsecTxSCStatsTable.
    TxSc(u32),
    /// A column of tmnxMacsecRxSAStatsTable.
    RxSa(u32),
    /// A column of tmnxMacsecRxSCStatsTable.
    RxSc(u32),
}

/// Prefix 1.3.6.1.4.1.6527.3.1.2.
macro_rules! t { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, $($id),*] }; }

pub(super) const OBJECTS: &[(&[u32], Object)] = &[
    // TIMETRA-CHASSIS-MIB tmnxChassisPortIdScheme.
    (t![2, 1, 3, 1, 32], Object::PortIdScheme),
    // TIMETRA-CHASSIS-MIB tmnxHwSerialNumber.
    (t![2, 1, 8, 1, 5], Object::ChassisSerial),
    // TIMETRA-MACSEC-MIB: the scalars of the last changes.
    (t![114, 1, 1], Object::Changed(0)),
    (t![114, 1, 2], Object::Changed(1)),
    (t![114, 1, 3], Object::Changed(2)),
    (t![114, 1, 4], Object::Changed(3)),
    // tmnxMacsecConnAssocTable.
    (t![114, 2, 2, 1, 2], Object::Ca(2)),
    (t![114, 2, 2, 1, 3], Object::Ca(3)),
    (t![114, 2, 2, 1, 4], Object::Ca(4)),
    (t![114, 2, 2, 1, 5], Object::Ca(5)),
    (t![114, 2, 2, 1, 6], Object::Ca(6)),
    (t![114, 2, 2, 1, 7], Object::Ca(7)),
    (t![114, 2, 2, 1, 10], Object::Ca(10)),
    (t![114, 2, 2, 1, 11], Object::Ca(11)),
    (t![114, 2, 2, 1, 12], Object::Ca(12)),
    (t![114, 2, 2, 1, 13], Object::Ca(13)),
    (t![114, 2, 2, 1, 14], Object::Ca(14)),
    // tmnxMacsecStaticCakTable.
    (t![114, 2, 3, 1, 1], Object::StaticCak(1)),
    (t![114, 2, 3, 1, 2], Object::StaticCak(2)),
    (t![114, 2, 3, 1, 3], Object::StaticCak(3)),
    (t![114, 2, 3, 1, 4], Object::StaticCak(4)),
    // tmnxMacsecPreSharedKeyTable.
    (t![114, 2, 4, 1, 2], Object::Psk(2)),
    (t![114, 2, 4, 1, 3], Object::Psk(3)),
    (t![114, 2, 4, 1, 4], Object::Psk(4)),
    (t![114, 2, 4, 1, 5], Object::Psk(5)),
    (t![114, 2, 4, 1, 6], Object::Psk(6)),
    // tmnxMacsecPortTable.
    (t![114, 2, 5, 1, 3], Object::Port(3)),
    (t![114, 2, 5, 1, 4], Object::Port(4)),
    (t![114, 2, 5, 1, 5], Object::Port(5)),
    (t![114, 2, 5, 1, 6], Object::Port(6)),
    (t![114, 2, 5, 1, 7], Object::Port(7)),
    (t![114, 2, 5, 1, 12], Object::Port(12)),
    (t![114, 2, 5, 1, 13], Object::Port(13)),
    (t![114, 2, 5, 1, 14], Object::Port(14)),
    (t![114, 2, 5, 1, 15], Object::Port(15)),
    // tmnxMacsecMkaStatsTable.
    (t![114, 3, 2, 1, 2], Object::Mka(2)),
    (t![114, 3, 2, 1, 3], Object::Mka(3)),
    (t![114, 3, 2, 1, 5], Object::Mka(5)),
    (t![114, 3, 2, 1, 6], Object::Mka(6)),
    (t![114, 3, 2, 1, 7], Object::Mka(7)),
    (t![114, 3, 2, 1, 8], Object::Mka(8)),
    (t![114, 3, 2, 1, 9], Object::Mka(9)),
    (t![114, 3, 2, 1, 10], Object::Mka(10)),
    (t![114, 3, 2, 1, 11], Object::Mka(11)),
    (t![114, 3, 2, 1, 12], Object::Mka(12)),
    (t![114, 3, 2, 1, 13], Object::Mka(13)),
    (t![114, 3, 2, 1, 15], Object::Mka(15)),
    (t![114, 3, 2, 1, 16], Object::Mka(16)),
    (t![114, 3, 2, 1, 17], Object::Mka(17)),
    (t![114, 3, 2, 1, 18], Object::Mka(18)),
    (t![114, 3, 2, 1, 19], Object::Mka(19)),
    (t![114, 3, 2, 1, 29], Object::Mka(29)),
    (t![114, 3, 2, 1, 33], Object::Mka(33)),
    (t![114, 3, 2, 1, 36], Object::Mka(36)),
    (t![114, 3, 2, 1, 37], Object::Mka(37)),
    (t![114, 3, 2, 1, 39], Object::Mka(39)),
    (t![114, 3, 2, 1, 41], Object::Mka(41)),
    // tmnxMacsecMkaPeerListTable.
    (t![114, 3, 3, 1, 3], Object::Peer(3)),
    (t![114, 3, 3, 1, 4], Object::Peer(4)),
    // tmnxMacsecPortStatsTable.
    (t![114, 3, 4, 1, 1], Object::PortStats(1)),
    (t![114, 3, 4, 1, 3], Object::PortStats(3)),
    (t![114, 3, 4, 1, 4], Object::PortStats(4)),
    (t![114, 3, 4, 1, 7], Object::PortStats(7)),
    // tmnxMacsecTxSAStatsTable.
    (t![114, 3, 5, 1, 2], Object::TxSa(2)),
    (t![114, 3, 5, 1, 3], Object::TxSa(3)),
    // tmnxMacsecTxSCStatsTable.
    (t![114, 3, 6, 1, 1], Object::TxSc(1)),
    (t![114, 3, 6, 1, 4], Object::TxSc(4)),
    (t![114, 3, 6, 1, 5], Object::TxSc(5)),
    (t![114, 3, 6, 1, 6], Object::TxSc(6)),
    // tmnxMacsecRxSAStatsTable.
    (t![114, 3, 7, 1, 5], Object::RxSa(5)),
    // tmnxMacsecRxSCStatsTable.
    (t![114, 3, 8, 1, 2], Object::RxSc(2)),
    (t![114, 3, 8, 1, 3], Object::RxSc(3)),
    (t![114, 3, 8, 1, 6], Object::RxSc(6)),
    (t![114, 3, 8, 1, 7], Object::RxSc(7)),
    (t![114, 3, 8, 1, 8], Object::RxSc(8)),
];
