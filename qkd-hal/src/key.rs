//! Keys and their ids.
//!
//! A [`Key`] zeroizes on drop, never prints, compares in constant time and cannot be cloned. Its
//! bytes are reached only through [`Key::expose`], so that every place where a key leaves its
//! wrapper can be searched for.

use crate::units::Bits;
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Identifier of a key: an opaque token, shown and sent back exactly as it came.
///
/// UUIDs, 64-bit numbers in hexadecimal and free-form names all exist in the field. Two ids are
/// equal if they hold the same value: the spellings of one UUID or hexadecimal number are one id,
/// any other token is compared character by character.
#[derive(Clone)]
pub struct KeyId {
    /// The value of a UUID or hexadecimal number, the characters of any other token.
    bytes: Arc<[u8]>,
    /// The spelling, where it is not the usual one of these bytes.
    spelling: Option<Arc<str>>,
    is_number: bool,
}

impl KeyId {
    /// The longest binary id, in bytes (a CKN of IEEE 802.1X has at most 32).
    pub const MAX: usize = 32;
    /// The longest spelling, in characters.
    pub const MAX_TEXT: usize = 128;

    /// Returns the ID of these bytes; `None` if `id` is empty or longer than [`Self::MAX`].
    ///
    /// 16 bytes are formatted as a UUID, any other number of bytes as hexadecimal digits.
    #[must_use]
    pub fn from_bytes(id: &[u8]) -> Option<Self> {
        (!id.is_empty() && id.len() <= Self::MAX).then(|| Self {
            bytes: id.into(),
            spelling: None,
            is_number: true,
        })
    }
    /// The value: the bytes of a UUID or hexadecimal number, at most [`Self::MAX`], or the
    /// characters of any other token, at most [`Self::MAX_TEXT`].
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
    fn value(&self) -> (bool, &[u8]) {
        (self.is_number, &self.bytes)
    }
}

impl PartialEq for KeyId {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}
impl Eq for KeyId {}

impl Hash for KeyId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value().hash(state);
    }
}

impl PartialOrd for KeyId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for KeyId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value().cmp(&other.value())
    }
}

impl From<uuid::Uuid> for KeyId {
    fn from(id: uuid::Uuid) -> Self {
        Self {
            bytes: id.as_bytes().as_slice().into(),
            spelling: None,
            is_number: true,
        }
    }
}

impl FromStr for KeyId {
    type Err = crate::Error;
    /// Accepts 1 to [`KeyId::MAX_TEXT`] visible ASCII characters, and keeps their spelling.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !(1..=Self::MAX_TEXT).contains(&text.len())
            || !text.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(crate::Error::invalid(format!(
                "`{}` is not a key id: it has 1 to {} visible ASCII characters",
                crate::text::printable(text, 40),
                Self::MAX_TEXT
            )));
        }
        let number = uuid::Uuid::try_parse(text).map(Self::from).ok();
        let number = number.or_else(|| Self::from_bytes(&hex::decode(text).ok()?));
        let mut id = number.unwrap_or_else(|| Self {
            bytes: text.as_bytes().into(),
            spelling: None,
            is_number: false,
        });
        if id.to_string() != text {
            id.spelling = Some(text.into());
        }
        Ok(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spelling {
            Some(spelling) => f.write_str(spelling),
            None if !self.is_number => f.write_str(&String::from_utf8_lossy(&self.bytes)),
            None => match uuid::Uuid::from_slice(&self.bytes) {
                Ok(id) => write!(f, "{id}"),
                Err(_) => f.write_str(&hex::encode(&self.bytes)),
            },
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

/// Purpose of a key in an encryptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyRole {
    /// Connectivity association key of MKA (IEEE 802.1X), with its name, the CKN. Traffic keys are
    /// derived and distributed under it.
    Cak,
    /// Secure association key of MACsec (IEEE 802.1AE): it encrypts traffic itself. It shall be
    /// used once.
    Sak,
    /// Post-quantum pre-shared key of IKEv2 (RFC 8784), with its PPK id. It is mixed into the keys
    /// that IKE agrees.
    Ppk,
    /// Pre-shared key: it is mixed into, or authenticates, the key agreement of the device.
    Psk,
    /// Password that authenticates the key exchange of the device, or from which the device derives
    /// the key that encrypts it.
    KeyEncryptionPassword,
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cak => "CAK",
            Self::Sak => "SAK",
            Self::Ppk => "PPK",
            Self::Psk => "pre-shared key",
            Self::KeyEncryptionPassword => "key encryption password",
        })
    }
}

/// A symmetric key with its ID. The bytes are zeroized on drop and never printed.
pub struct Key {
    id: KeyId,
    role: Option<KeyRole>,
    bytes: Zeroizing<Vec<u8>>,
}

impl Key {
    /// Takes over the bytes; they are zeroized when the key is dropped.
    #[must_use]
    pub fn new(id: KeyId, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self {
            id,
            role: None,
            bytes,
        }
    }
    /// Returns the key ID, which is not secret.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }
    /// Assigns the key to a purpose: an encryptor that needs a key of another role refuses it. A
    /// key of a QKD module has no role.
    #[must_use]
    pub fn with_role(mut self, role: KeyRole) -> Self {
        self.role = Some(role);
        self
    }
    /// Returns the purpose of the key; `None` if it was not assigned.
    #[must_use]
    pub fn role(&self) -> Option<KeyRole> {
        self.role
    }
    /// Returns the key size in bits.
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
    /// Same id and same bytes, whatever the role; the bytes are compared in constant time.
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
        for bad in ["", "two words", "\u{1b}[2J", "ä", &"0".repeat(129)] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_keeps_the_spelling_that_it_came_with() {
        let id = |text: &str| text.parse::<KeyId>().unwrap();
        let uuid = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
        for text in [
            uuid,
            &uuid.replace('-', ""),
            &uuid.to_uppercase(),
            "00112233AAbb",
            "7-B00c",
            "abc",
            &"k".repeat(128),
        ] {
            assert_eq!(id(text).to_string(), text);
            assert_eq!(format!("{:?}", id(text)), text);
        }
        // Spellings of one number are one id; a token is compared by its characters.
        assert_eq!(id(uuid), id(&uuid.replace('-', "").to_uppercase()));
        assert_ne!(id("7-B00c"), id("7-b00c"));
        assert_ne!(id("3a"), id(":"));
        assert_eq!(id(":").as_bytes(), b":");
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
