//! The objects, in the order of their names.

/// An object of the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The last change of the configuration (1) and of the state (2).
    Changed(u32),
    /// A column of cryptoAuthTable.
    Auth(u32),
    /// A column of cryptoIKEPeerTable.
    Peer(u32),
    /// A column of cryptoDataplaneEncryptionTable.
    Plane(u32),
    /// A column of cryptoPerformanceTable.
    Counter(u32),
}

impl Object {
    /// Whether a SET may change it: `commands` of the MIB's CommandStrings, too.
    pub(super) fn is_writable(self, commands: bool) -> bool {
        match self {
            Self::Auth(5) | Self::Peer(5..=8 | 11) | Self::Plane(5 | 7..=12) => true,
            Self::Auth(6) | Self::Peer(13) | Self::Plane(22) => commands,
            _ => false,
        }
    }
}

/// Prefix 1.3.6.1.4.1.8708.2.73.2.
macro_rules! x { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 8708, 2, 73, 2, $($id),*] }; }

pub(super) const OBJECTS: &[(&[u32], Object)] = &[
    (x![1, 1], Object::Changed(1)),
    (x![1, 2], Object::Changed(2)),
    (x![2, 1, 1, 3], Object::Auth(3)),
    (x![2, 1, 1, 4], Object::Auth(4)),
    (x![2, 1, 1, 5], Object::Auth(5)),
    (x![2, 1, 1, 6], Object::Auth(6)),
    (x![2, 1, 1, 7], Object::Auth(7)),
    (x![3, 1, 1, 2], Object::Peer(2)),
    (x![3, 1, 1, 3], Object::Peer(3)),
    (x![3, 1, 1, 4], Object::Peer(4)),
    (x![3, 1, 1, 5], Object::Peer(5)),
    (x![3, 1, 1, 6], Object::Peer(6)),
    (x![3, 1, 1, 7], Object::Peer(7)),
    (x![3, 1, 1, 8], Object::Peer(8)),
    (x![3, 1, 1, 9], Object::Peer(9)),
    (x![3, 1, 1, 10], Object::Peer(10)),
    (x![3, 1, 1, 11], Object::Peer(11)),
    (x![3, 1, 1, 12], Object::Peer(12)),
    (x![3, 1, 1, 13], Object::Peer(13)),
    (x![3, 1, 1, 14], Object::Peer(14)),
    (x![3, 1, 1, 15], Object::Peer(15)),
    (x![3, 1, 1, 16], Object::Peer(16)),
    (x![3, 1, 1, 17], Object::Peer(17)),
    (x![4, 1, 1, 3], Object::Plane(3)),
    (x![4, 1, 1, 4], Object::Plane(4)),
    (x![4, 1, 1, 5], Object::Plane(5)),
    (x![4, 1, 1, 6], Object::Plane(6)),
    (x![4, 1, 1, 7], Object::Plane(7)),
    (x![4, 1, 1, 8], Object::Plane(8)),
    (x![4, 1, 1, 9], Object::Plane(9)),
    (x![4, 1, 1, 10], Object::Plane(10)),
    (x![4, 1, 1, 11], Object::Plane(11)),
    (x![4, 1, 1, 12], Object::Plane(12)),
    (x![4, 1, 1, 13], Object::Plane(13)),
    (x![4, 1, 1, 14], Object::Plane(14)),
    (x![4, 1, 1, 15], Object::Plane(15)),
    (x![4, 1, 1, 16], Object::Plane(16)),
    (x![4, 1, 1, 17], Object::Plane(17)),
    (x![4, 1, 1, 18], Object::Plane(18)),
    (x![4, 1, 1, 19], Object::Plane(19)),
    (x![4, 1, 1, 20], Object::Plane(20)),
    (x![4, 1, 1, 21], Object::Plane(21)),
    (x![4, 1, 1, 22], Object::Plane(22)),
    (x![6, 1, 1, 2], Object::Counter(2)),
    (x![6, 1, 1, 5], Object::Counter(5)),
    (x![6, 1, 1, 6], Object::Counter(6)),
    (x![6, 1, 1, 7], Object::Counter(7)),
    (x![6, 1, 1, 8], Object::Counter(8)),
    (x![6, 1, 1, 9], Object::Counter(9)),
    (x![6, 1, 1, 10], Object::Counter(10)),
    (x![6, 1, 1, 11], Object::Counter(11)),
    (x![6, 1, 1, 12], Object::Counter(12)),
    (x![6, 1, 1, 13], Object::Counter(13)),
];
