//! The objects, in the order of their names.

/// An object of the MIBs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// Number of a port (cwsPortPortsPortId).
    PortId,
    /// Name of a port (cwsPortIdName).
    PortName,
    /// A column of cwsPortStateTable.
    PortState(u32),
    /// Status of the peer (cwsEncryptionPortEncryptionPeerAuthenticationStatus).
    PeerStatus,
    /// A column of cwsEncryptionPreSharedKeyTable.
    PreSharedKey(u32),
    /// A column of cwsEncryptionReAuthenticationTable.
    ReAuthentication(u32),
    /// A column of cwsEncryptionEncryptionStateTable.
    EncryptionState(u32),
    /// A column of cwsEncryptionRPCClearCSPTable.
    ClearCsp(u32),
    /// A column of cwsEncryptionRPCEnableEncryptionTable.
    EnableEncryption(u32),
}

impl Object {
    /// Whether a SET may change it.
    pub(super) fn is_writable(self) -> bool {
        matches!(
            self,
            Self::PortState(2)
                | Self::PreSharedKey(2 | 5)
                | Self::ReAuthentication(_)
                | Self::ClearCsp(2)
                | Self::EnableEncryption(2)
        )
    }
}

/// Prefix 1.3.6.1.4.1.1271.3.
macro_rules! w { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 1271, 3, $($id),*] }; }

pub(super) const OBJECTS: &[(&[u32], Object)] = &[
    (w![4, 7, 3, 1, 1], Object::PortId),
    (w![4, 7, 4, 1, 2], Object::PortName),
    (w![4, 7, 5, 1, 2], Object::PortState(2)),
    (w![4, 7, 5, 1, 3], Object::PortState(3)),
    (w![4, 23, 3, 1, 2], Object::PeerStatus),
    (w![4, 23, 4, 1, 2], Object::PreSharedKey(2)),
    (w![4, 23, 4, 1, 3], Object::PreSharedKey(3)),
    (w![4, 23, 4, 1, 4], Object::PreSharedKey(4)),
    (w![4, 23, 4, 1, 5], Object::PreSharedKey(5)),
    (w![4, 23, 5, 1, 2], Object::ReAuthentication(2)),
    (w![4, 23, 5, 1, 3], Object::ReAuthentication(3)),
    (w![4, 23, 6, 1, 2], Object::EncryptionState(2)),
    (w![4, 23, 6, 1, 3], Object::EncryptionState(3)),
    (w![4, 24, 3, 1, 2], Object::ClearCsp(2)),
    (w![4, 24, 3, 1, 3], Object::ClearCsp(3)),
    (w![4, 24, 3, 1, 4], Object::ClearCsp(4)),
    (w![4, 24, 3, 1, 5], Object::ClearCsp(5)),
    (w![4, 24, 4, 1, 2], Object::EnableEncryption(2)),
    (w![4, 24, 4, 1, 4], Object::EnableEncryption(4)),
    (w![4, 24, 4, 1, 5], Object::EnableEncryption(5)),
];
