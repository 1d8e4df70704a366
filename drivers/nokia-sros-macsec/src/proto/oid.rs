//! Names of TIMETRA-MACSEC-MIB and the indexes of its tables.

use super::ProtoError;
use qkd_driver_kit::link::snmp::Oid;
use qkd_hal::KeyId;

/// A table and its columns.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident = [$($tail:literal),*] {
        $($(#[$cdoc:meta])* $column:ident = $n:literal;)*
    }) => {
        $(#[$doc])*
        pub mod $name {
            /// OID of the table entry.
            pub const ENTRY: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, $($tail),*];
            $($(#[$cdoc])* pub const $column: u32 = $n;)*
        }
    };
}

table!(
    /// tmnxMacsecConnAssocEntry, indexed by name.
    ca = [2, 2, 1] {
        /// Column RowStatus of the table.
        ROW_STATUS = 3;
        /// TmnxAdminState, outOfService by default
        ADMIN_STATE = 4;
        /// TruthValue: encrypt, or authenticate only
        ENCRYPT = 6;
        /// Cipher suite of the data.
        CIPHER_SUITE = 12;
    }
);
table!(
    /// tmnxMacsecStaticCakEntry, one for each connectivity association.
    static_cak = [2, 3, 1] {
        /// which slot protects outgoing MKA PDUs, 1 or 2
        ACTIVE_PSK = 3;
    }
);
table!(
    /// tmnxMacsecPreSharedKeyEntry, indexed by name and slot.
    psk = [2, 4, 1] {
        /// Time of the last change (TimeStamp).
        LAST_CHANGED = 2;
        /// RowStatus; destroy zeroizes the slot
        ROW_STATUS = 3;
        /// Cipher: aes-128-cmac(1), aes-256-cmac(2)
        ENCRYPT_TYPE = 4;
        /// KEY MATERIAL; reads back empty
        CAK = 5;
        /// CKN as hexadecimal text.
        CAK_NAME = 6;
    }
);
table!(
    /// tmnxMacsecPortEntry, indexed by port and sub-port.
    port = [2, 5, 1] {
        /// the connectivity association of this port
        CA_NAME = 5;
        /// Administrative state (TmnxAdminState).
        ADMIN_STATE = 6;
        /// obsolete: drop clear traffic that is received
        RX_TRAFFIC_ENCRYPTION = 12;
    }
);
table!(
    /// tmnxMacsecMkaStatsEntry, indexed by port, sub-port and CKN.
    mka = [3, 2, 1] {
        /// TruthValue: this end is the key server
        KEY_SERVER = 8;
        /// key identifier of the latest SAK, 16 octets
        LATEST_SAK_KI = 11;
        /// MKPDUs with an unknown CKN
        CKN_NOT_FOUND = 15;
        /// SAKs installed for sending
        SAK_INSTALLED_TX = 18;
        /// SAKs installed for receiving
        SAK_INSTALLED_RX = 19;
        /// MKPDUs with a wrong integrity check value: another CAK
        ICV_CHECK_FAILED = 29;
        /// TmnxOperState of this MKA instance
        OPER_STATE = 39;
        /// cipher suite in use
        OPER_CIPHER = 41;
    }
);
table!(
    /// tmnxMacsecPortStatsEntry, indexed by port and sub-port.
    port_stats = [3, 4, 1] {
        /// frames sent without SecTAG: must not grow
        TX_UNTAGGED = 1;
        /// Dropped packets without a SecTAG.
        RX_NO_TAG = 3;
        /// dropped: wrong SecTAG or ICV
        RX_BAD_TAG = 4;
    }
);
table!(
    /// tmnxMacsecTxSCStatsEntry, indexed by port and sub-port.
    tx_sc = [3, 6, 1] {
        /// Packets with integrity protection only.
        PROTECTED = 1;
        /// Packets sent encrypted.
        ENCRYPTED = 4;
    }
);
table!(
    /// tmnxMacsecRxSCStatsEntry, indexed by port, sub-port and SCI (8 octets without length).
    rx_sc = [3, 8, 1] {
        /// Packets that were not valid.
        NOT_VALID = 3;
        /// Packets received without error.
        OK = 6;
    }
);

/// Notifications of the MIB.
pub const NOTIFICATIONS: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 3, 114, 1];
/// Port of a notification: tmnxMacsecNotifyPortId.
pub const NOTIFY_PORT: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 4, 1];
/// VLAN of a notification: tmnxMacsecNotifyVlanId.
pub const NOTIFY_VLAN: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 4, 2];
/// Association number of a notification: tmnxMacsecNotifyAssociationNum.
pub const NOTIFY_AN: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 4, 5];
/// tmnxChassisPortIdScheme (TIMETRA-CHASSIS-MIB), indexed by chassis.
pub const PORT_ID_SCHEME: &[u32] = &[1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 2, 1, 3, 1, 32];
/// Name of sysDescr.0 (RFC 3418).
pub const SYS_DESCR: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 1, 0];
/// Name of sysObjectID.0 (RFC 3418).
pub const SYS_OBJECT_ID: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 2, 0];
/// tmnxHwSerialNumber (TIMETRA-CHASSIS-MIB) of the chassis: chassis 1, hardware index 50331649.
pub const CHASSIS_SERIAL: &[u32] = &[
    1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 2, 1, 8, 1, 5, 1, 50_331_649,
];
/// The vendor's number (IANA private enterprise 6527).
pub const ENTERPRISE: &[u32] = &[1, 3, 6, 1, 4, 1, 6527];

/// The longest name of a connectivity association (TNamedItem).
pub const NAME_LIMIT: usize = 32;

/// A column of a table.
#[must_use]
pub fn column(entry: &[u32], column: u32) -> Oid {
    Oid::from(entry).child(&[column])
}

/// The index of a connectivity association: its name, with its length before it. `None` for names
/// that are empty, too long or not ASCII.
#[must_use]
pub fn ca_index(name: &str) -> Option<Vec<u32>> {
    if name.is_empty() || name.len() > NAME_LIMIT || !name.is_ascii() {
        return None;
    }
    Some(prefixed(name.as_bytes()))
}

fn prefixed(bytes: &[u8]) -> Vec<u32> {
    std::iter::once(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
        .chain(bytes.iter().map(|b| u32::from(*b)))
        .collect()
}

/// An instance in a table of connectivity associations.
#[must_use]
pub fn of_ca(entry: &[u32], column: u32, ca: &[u32]) -> Oid {
    self::column(entry, column).child(ca)
}

/// An instance in the table of pre-shared keys.
#[must_use]
pub fn of_slot(column: u32, ca: &[u32], slot: u8) -> Oid {
    self::column(psk::ENTRY, column)
        .child(ca)
        .child(&[u32::from(slot)])
}

/// An instance in a table of ports.
#[must_use]
pub fn of_port(entry: &[u32], column: u32, port: Port) -> Oid {
    self::column(entry, column).child(&[port.id, port.sub])
}

/// An instance in the table of MKA instances.
#[must_use]
pub fn of_mka(column: u32, port: Port, ckn: &KeyId) -> Oid {
    self::column(mka::ENTRY, column)
        .child(&[port.id, port.sub])
        .child(&prefixed(ckn.as_bytes()))
}

/// A port and sub-port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// Port ID (TmnxPortID).
    pub id: u32,
    /// tmnxMacsecVlanId, 1 in release 16.0.
    pub sub: u32,
}

fn octets(ids: &[u32]) -> Result<Vec<u8>, ProtoError> {
    ids.iter()
        .map(|id| u8::try_from(*id).map_err(|_| ProtoError::Index))
        .collect()
}

/// Takes a length-prefixed string off an index.
fn split(index: &[u32], limit: usize) -> Result<(Vec<u8>, &[u32]), ProtoError> {
    let (length, rest) = index.split_first().ok_or(ProtoError::Index)?;
    let length = usize::try_from(*length)
        .ok()
        .filter(|n| (1..=limit).contains(n) && *n <= rest.len())
        .ok_or(ProtoError::Index)?;
    Ok((octets(&rest[..length])?, &rest[length..]))
}

/// The name in an index.
///
/// # Errors
/// [`ProtoError::Index`].
pub fn decode_ca(index: &[u32]) -> Result<String, ProtoError> {
    match split(index, NAME_LIMIT)? {
        (name, []) if name.iter().all(u8::is_ascii_graphic) => {
            String::from_utf8(name).map_err(|_| ProtoError::Index)
        }
        _ => Err(ProtoError::Index),
    }
}

/// Name and slot in an index.
///
/// # Errors
/// [`ProtoError::Index`].
pub fn decode_ca_slot(index: &[u32]) -> Result<(String, u8), ProtoError> {
    let (slot, ca) = index.split_last().ok_or(ProtoError::Index)?;
    match slot {
        1 => Ok((decode_ca(ca)?, 1)),
        2 => Ok((decode_ca(ca)?, 2)),
        _ => Err(ProtoError::Index),
    }
}

/// Port and sub-port in an index.
///
/// # Errors
/// [`ProtoError::Index`].
pub fn decode_port(index: &[u32]) -> Result<Port, ProtoError> {
    match *index {
        [id, sub] => Ok(Port { id, sub }),
        _ => Err(ProtoError::Index),
    }
}

/// Port, sub-port and CKN in an index.
///
/// # Errors
/// [`ProtoError::Index`].
pub fn decode_mka(index: &[u32]) -> Result<(Port, KeyId), ProtoError> {
    let (port, rest) = index.split_at_checked(2).ok_or(ProtoError::Index)?;
    match split(rest, KeyId::MAX)? {
        (ckn, []) => Ok((
            decode_port(port)?,
            KeyId::from_bytes(&ckn).ok_or(ProtoError::Index)?,
        )),
        _ => Err(ProtoError::Index),
    }
}
