//! The objects, in the order of their names.

/// An object of the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A scalar of acMachine.
    Machine(u32),
    /// A scalar of acSoftware.
    Software(u32),
    /// A scalar of acHardware.
    Hardware(u32),
    /// Number of interfaces (acIfNumber).
    IfNumber,
    /// A column of acIfTable.
    If(u32),
    /// Number of encryptor engines (acEcNumber).
    EngineNumber,
    /// A column of acEcTable.
    Engine(u32),
    /// Number of rows (acInterfaceStatusNumber).
    IfStatusNumber,
    /// A column of acInterfaceStatusTable.
    IfStatus(u32),
    /// Number of rows (acEncryptorStatusNumber).
    EngineStatusNumber,
    /// A column of acEncryptorStatusTable.
    EngineStatus(u32),
    /// A scalar of acMaintenance.
    Maintenance(u32),
    /// Number of rows (acGigabitStatusNumber).
    GigabitStatusNumber,
    /// A column of acGigabitStatusTable.
    GigabitStatus(u32),
    /// Number of rows (acGigabitAlarmsNumber).
    GigabitAlarmsNumber,
    /// A column of acGigabitAlarmsTable.
    GigabitAlarms(u32),
    /// Number of rows (acGigabitErrCounterNumber).
    GigabitErrorsNumber,
    /// A column of acGigabitErrCounterTable.
    GigabitErrors(u32),
}

/// Prefix 1.3.6.1.4.1.13458.1.
macro_rules! a { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 13458, 1, $($id),*] }; }

pub(super) const OBJECTS: &[(&[u32], Object)] = &[
    (a![1, 1], Object::Machine(1)),
    (a![1, 2], Object::Machine(2)),
    (a![1, 3], Object::Machine(3)),
    (a![1, 4], Object::Machine(4)),
    (a![1, 5], Object::Machine(5)),
    (a![1, 6], Object::Machine(6)),
    (a![2, 1], Object::Software(1)),
    (a![2, 2], Object::Software(2)),
    (a![3, 1], Object::Hardware(1)),
    (a![3, 2], Object::Hardware(2)),
    (a![3, 3, 1], Object::IfNumber),
    (a![3, 3, 2, 1, 1], Object::If(1)),
    (a![3, 3, 2, 1, 2], Object::If(2)),
    (a![3, 3, 2, 1, 3], Object::If(3)),
    (a![3, 3, 2, 1, 4], Object::If(4)),
    (a![3, 3, 2, 1, 5], Object::If(5)),
    (a![3, 4, 1], Object::EngineNumber),
    (a![3, 4, 2, 1, 1], Object::Engine(1)),
    (a![3, 4, 2, 1, 2], Object::Engine(2)),
    (a![3, 4, 2, 1, 3], Object::Engine(3)),
    (a![4, 1, 1], Object::IfStatusNumber),
    (a![4, 1, 2, 1, 1], Object::IfStatus(1)),
    (a![4, 1, 2, 1, 2], Object::IfStatus(2)),
    (a![4, 1, 2, 1, 3], Object::IfStatus(3)),
    (a![4, 1, 2, 1, 4], Object::IfStatus(4)),
    (a![4, 1, 2, 1, 7], Object::IfStatus(7)),
    (a![4, 1, 2, 1, 8], Object::IfStatus(8)),
    (a![4, 2, 1], Object::EngineStatusNumber),
    (a![4, 2, 2, 1, 1], Object::EngineStatus(1)),
    (a![4, 2, 2, 1, 2], Object::EngineStatus(2)),
    (a![4, 2, 2, 1, 3], Object::EngineStatus(3)),
    (a![4, 2, 2, 1, 4], Object::EngineStatus(4)),
    (a![5, 1], Object::Maintenance(1)),
    (a![5, 3], Object::Maintenance(3)),
    (a![5, 4], Object::Maintenance(4)),
    (a![5, 11], Object::Maintenance(11)),
    (a![5, 12], Object::Maintenance(12)),
    (a![6, 4, 1, 1], Object::GigabitStatusNumber),
    (a![6, 4, 1, 2, 1, 1], Object::GigabitStatus(1)),
    (a![6, 4, 1, 2, 1, 2], Object::GigabitStatus(2)),
    (a![6, 4, 1, 2, 1, 3], Object::GigabitStatus(3)),
    (a![6, 4, 1, 2, 1, 4], Object::GigabitStatus(4)),
    (a![6, 4, 1, 2, 1, 5], Object::GigabitStatus(5)),
    (a![6, 4, 1, 2, 1, 7], Object::GigabitStatus(7)),
    (a![6, 4, 2, 1], Object::GigabitAlarmsNumber),
    (a![6, 4, 2, 2, 1, 1], Object::GigabitAlarms(1)),
    (a![6, 4, 2, 2, 1, 2], Object::GigabitAlarms(2)),
    (a![6, 4, 2, 2, 1, 3], Object::GigabitAlarms(3)),
    (a![6, 4, 3, 1], Object::GigabitErrorsNumber),
    (a![6, 4, 3, 2, 1, 1], Object::GigabitErrors(1)),
    (a![6, 4, 3, 2, 1, 2], Object::GigabitErrors(2)),
    (a![6, 4, 3, 2, 1, 3], Object::GigabitErrors(3)),
    (a![6, 4, 3, 2, 1, 5], Object::GigabitErrors(5)),
];
