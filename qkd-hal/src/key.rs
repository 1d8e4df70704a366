//! Keys and their ids.
//!
//! A [`Key`] zeroizes on drop, never prints, compares in constant time and cannot be cloned. Its bytes are reached only through
//! [`Key::expose`], so that every place where a key leaves its wrapper can be searched for.

use crate::units::Bits;
use std::{fmt, str::FromStr};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The id of a key: opaque bytes, at most [`KeyId::MAX`]. 64-bit ids and UUIDs both exist in the field.
///
/// 16 bytes print as a UUID, anything else as hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId {
    length: u8,
    bytes: [u8; Self::MAX],
}

impl KeyId {
    /// The longest id, in bytes (a CKN of IEEE 802.1X has at most 32).
    pub const MAX: usize = 32;

    /// From bytes; `None` if there are none or more than [`Self::MAX`].
    #[must_use]
    pub fn from_bytes(id: &[u8]) -> Option<Self> {
        if id.is_empty() || id.len() > Self::MAX {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        bytes[..id.len()].copy_from_slice(id);
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        Some(Self {
            length: id.len() as u8,
            bytes,
        })
    }
    /// The id's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl From<uuid::Uuid> for KeyId {
    fn from(id: uuid::Uuid) -> Self {
        let mut bytes = [0; Self::MAX];
        bytes[..16].copy_from_slice(id.as_bytes());
        Self { length: 16, bytes }
    }
}

impl FromStr for KeyId {
    type Err = crate::Error;
    /// A UUID, or 1 to 32 bytes in hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = uuid::Uuid::try_parse(text) {
            return Ok(id.into());
        }
        hex::decode(text)
            .ok()
            .and_then(|bytes| Self::from_bytes(&bytes))
            .ok_or_else(|| {
                crate::Error::invalid(format!(
                    "`{text}` is not a key id: a UUID, or 1 to {} bytes in hexadecimal",
                    Self::MAX
                ))
            })
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match uuid::Uuid::from_slice(self.as_bytes()) {
            Ok(id) => write!(f, "{id}"),
            Err(_) => f.write_str(&hex::encode(self.as_bytes())),
        }
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> serde::Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A symmetric key.
pub struct Key {
    id: KeyId,
    bytes: Zeroizing<Vec<u8>>,
}

impl Key {
    /// Takes over the bytes; they are zeroized when the key is dropped.
    #[must_use]
    pub fn new(id: KeyId, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { id, bytes }
    }
    /// The id, which may be told to anybody.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }
    /// The size.
    #[must_use]
    pub fn size(&self) -> Bits {
        Bits(self.bytes.len() as u64 * 8)
    }
    /// The secret bytes. Copy them only into something that zeroizes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for Key {
    /// Same id and same bytes; the bytes are compared in constant time.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && bool::from(self.bytes.ct_eq(&other.bytes))
    }
}
impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.id, self.size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_prints_its_bytes() {
        let key = Key::new(
            KeyId::from_bytes(&[1, 2]).unwrap(),
            Zeroizing::new(vec![0xab; 32]),
        );
        let text = format!("{key:?}");
        assert_eq!(text, "Key(0102, 256 bit)");
    }

    #[test]
    fn ids_of_both_kinds_round_trip() {
        for text in ["0011223344556677", "6fa459ea-ee8a-4ca4-894e-db77e160355e"] {
            let id: KeyId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
        }
        for bad in ["", "xyz", &"00".repeat(33)] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn equality_needs_id_and_bytes() {
        let key = |id: u8, byte: u8| {
            Key::new(
                KeyId::from_bytes(&[id]).unwrap(),
                Zeroizing::new(vec![byte; 32]),
            )
        };
        assert_eq!(key(1, 2), key(1, 2));
        assert_ne!(key(1, 2), key(1, 3));
        assert_ne!(key(1, 2), key(2, 2));
    }
}
