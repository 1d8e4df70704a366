//! The objects, in the order of their names.

/// An object of the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// Password of the crypto officer, for this SET (cryptoOfficerPassword).
    OfficerPassword,
    /// Result of the last password (cryptoOfficerPasswordError).
    PasswordError,
    /// Request ID of the SET with that password (cryptoOfficerPasswordReqId).
    PasswordRequest,
    /// A column of cryptoModuleConfigTable.
    Module(u32),
    /// A column of cryptoModuleStatusTable.
    ModuleStatus(u32),
    /// A column of cryptoPortConfigTable.
    Port(u32),
    /// A column of cryptoPortStatusTable.
    PortStatus(u32),
    /// A column of currentEncryptionSublayerPm15minTable.
    Quarter(u32),
    /// A column of currentEncryptionSublayerPm1dayTable.
    Day(u32),
    /// Number of events (neEventsLogged).
    EventsLogged,
    /// A column of neEventLogTable.
    Event(u32),
}

/// Prefix 1.3.6.1.4.1.2544.1.11.5.1.
macro_rules! e { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 2544, 1, 11, 5, 1, $($id),*] }; }
/// Prefix 1.3.6.1.4.1.2544.2.3.
macro_rules! log { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 2544, 2, 3, $($id),*] }; }

pub(super) const OBJECTS: &[(&[u32], Object)] = &[
    // ADVA-FSPR7-MODULE-ENCRYPTION-MIB: the officer's password.
    (e![2, 1], Object::OfficerPassword),
    (e![2, 2], Object::PasswordError),
    (e![2, 3], Object::PasswordRequest),
    (e![2, 10, 1, 2], Object::Module(2)),
    (e![2, 10, 1, 3], Object::Module(3)),
    (e![2, 10, 1, 4], Object::Module(4)),
    (e![2, 10, 1, 5], Object::Module(5)),
    (e![2, 10, 1, 6], Object::Module(6)),
    (e![2, 11, 1, 2], Object::ModuleStatus(2)),
    (e![2, 11, 1, 3], Object::ModuleStatus(3)),
    (e![2, 11, 1, 4], Object::ModuleStatus(4)),
    (e![2, 11, 1, 5], Object::ModuleStatus(5)),
    (e![3, 12, 1, 2], Object::Port(2)),
    (e![3, 12, 1, 3], Object::Port(3)),
    (e![3, 12, 1, 4], Object::Port(4)),
    (e![3, 12, 1, 5], Object::Port(5)),
    (e![3, 12, 1, 6], Object::Port(6)),
    (e![3, 12, 1, 7], Object::Port(7)),
    (e![3, 13, 1, 2], Object::PortStatus(2)),
    (e![3, 13, 1, 3], Object::PortStatus(3)),
    (e![3, 13, 1, 4], Object::PortStatus(4)),
    (e![3, 13, 1, 5], Object::PortStatus(5)),
    (e![3, 13, 1, 6], Object::PortStatus(6)),
    (e![3, 13, 1, 7], Object::PortStatus(7)),
    (e![4, 3, 1, 1], Object::Quarter(1)),
    (e![4, 3, 1, 2], Object::Quarter(2)),
    (e![4, 3, 1, 3], Object::Quarter(3)),
    (e![4, 3, 1, 4], Object::Quarter(4)),
    (e![4, 4, 1, 1], Object::Day(1)),
    (e![4, 4, 1, 4], Object::Day(4)),
    // ADVA-MIB: the event log.
    (log![1], Object::EventsLogged),
    (log![2, 1, 2], Object::Event(2)),
    (log![2, 1, 3], Object::Event(3)),
    (log![2, 1, 4], Object::Event(4)),
];
