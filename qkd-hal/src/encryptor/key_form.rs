//! The form of the keys that an encryptor takes: role, size, alphabet and id.

use crate::{Error, Key, KeyId, Result, key::KeyRole, units::Bits};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The key sizes that an encryptor takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeySizes {
    /// Any whole number of bytes, up to this size.
    AnyUpTo(Bits),
    /// Any whole number of bytes within these sizes, which are included.
    Within {
        /// The smallest size.
        #[serde(rename = "least_bits")]
        least: Bits,
        /// The largest size.
        #[serde(rename = "most_bits")]
        most: Bits,
    },
    /// One of these sizes.
    OneOf(Vec<Bits>),
    /// The public facts do not say. A key is sent as it is, and the device accepts or refuses it.
    Unknown,
}

impl KeySizes {
    /// One of these sizes.
    #[must_use]
    pub fn one_of(sizes: &[Bits]) -> Self {
        Self::OneOf(sizes.to_vec())
    }

    /// Whether a key of this size is taken, as far as is known.
    #[must_use]
    pub fn allow(&self, size: Bits) -> bool {
        let is_whole = size.to_bytes().is_some() && size.0 > 0;
        match self {
            Self::AnyUpTo(most) => is_whole && size <= *most,
            Self::Within { least, most } => is_whole && (*least..=*most).contains(&size),
            Self::OneOf(sizes) => sizes.contains(&size),
            Self::Unknown => true,
        }
    }

    /// The largest size that both take, at most `limit`. Sizes that only one of two encryptors
    /// lists are left out; where neither lists sizes, the smaller bound decides.
    #[must_use]
    pub fn largest_common(&self, other: &Self, limit: Bits) -> Option<Bits> {
        let listed = |sizes: &Self| match sizes {
            Self::OneOf(sizes) => sizes.clone(),
            Self::AnyUpTo(most) | Self::Within { most, .. } => vec![*most],
            Self::Unknown => Vec::new(),
        };
        let mut candidates = listed(self);
        candidates.extend(listed(other));
        candidates.push(limit);
        candidates.sort_by_key(|size| size.0);
        candidates
            .into_iter()
            .rev()
            .find(|size| *size <= limit && self.allow(*size) && other.allow(*size))
    }
}

impl fmt::Display for KeySizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyUpTo(most) => write!(f, "up to {most}"),
            Self::Within { least, most } => write!(f, "{least} to {most}"),
            Self::OneOf(sizes) => {
                let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
                f.write_str(&sizes.join(", "))
            }
            Self::Unknown => f.write_str("not known"),
        }
    }
}

/// The byte values that a key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyAlphabet {
    /// Any byte. If the protocol carries text, the driver encodes the key, for example as
    /// hexadecimal digits; [`KeyForm::sizes`] are those of the key before that.
    AnyByte,
    /// Printable ASCII characters and space: the bytes of the key are sent as text.
    PrintableAscii,
}

impl KeyAlphabet {
    /// Whether every byte is in the alphabet.
    #[must_use]
    pub fn allows(self, bytes: &[u8]) -> bool {
        match self {
            Self::AnyByte => true,
            // Without an early end, so that the time does not depend on the key.
            Self::PrintableAscii => bytes
                .iter()
                .fold(true, |all, b| all & matches!(b, b' '..=b'~')),
        }
    }
}

impl fmt::Display for KeyAlphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnyByte => "any byte",
            Self::PrintableAscii => "printable ASCII characters",
        })
    }
}

/// The form in which an encryptor stores the id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyIdForm {
    /// It stores none: it cannot report which key it has.
    None,
    /// The bytes of the id ([`KeyId::as_bytes`]), of which there shall be this many.
    Bytes {
        /// The smallest number of bytes.
        least: u8,
        /// The largest number of bytes.
        most: u8,
    },
    /// The spelling of the id, of at most this many characters.
    Text {
        /// The largest number of characters.
        most: u8,
    },
}

impl KeyIdForm {
    /// Whether the device can store this id.
    #[must_use]
    pub fn allows(self, id: &KeyId) -> bool {
        match self {
            Self::None => true,
            Self::Bytes { least, most } => {
                (usize::from(least)..=usize::from(most)).contains(&id.as_bytes().len())
            }
            Self::Text { most } => id.to_string().len() <= usize::from(most),
        }
    }
}

impl fmt::Display for KeyIdForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no id"),
            Self::Bytes { least, most } if least == most => write!(f, "exactly {most} bytes"),
            Self::Bytes { least, most } => write!(f, "{least} to {most} bytes"),
            Self::Text { most } => write!(f, "at most {most} characters"),
        }
    }
}

/// The form of the keys that the channels of an encryptor take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyForm {
    /// Purpose of the key.
    pub role: KeyRole,
    /// Sizes of the key.
    pub sizes: KeySizes,
    /// Byte values of the key.
    pub alphabet: KeyAlphabet,
    /// Form of the id of the key.
    pub id: KeyIdForm,
}

impl KeyForm {
    /// Creates the form of keys of any bytes.
    #[must_use]
    pub fn new(role: KeyRole, sizes: KeySizes, id: KeyIdForm) -> Self {
        Self {
            role,
            sizes,
            alphabet: KeyAlphabet::AnyByte,
            id,
        }
    }

    /// Sets the byte values of the key.
    #[must_use]
    pub fn with_alphabet(mut self, alphabet: KeyAlphabet) -> Self {
        self.alphabet = alphabet;
        self
    }

    /// Checks the size of a key, its id, and the role for which it was assigned, if any.
    ///
    /// # Errors
    /// `InvalidInput`: what does not fit, and what would. The message holds no part of the key.
    pub fn check_label(&self, id: &KeyId, size: Bits, role: Option<KeyRole>) -> Result<()> {
        if let Some(role) = role.filter(|role| *role != self.role) {
            return Err(Error::invalid(format!(
                "key {id} was assigned as {role}, and this device takes a {}",
                self.role
            )));
        }
        if !self.sizes.allow(size) {
            return Err(Error::invalid(format!(
                "unsupported key size {size}; this device accepts {}",
                self.sizes
            )));
        }
        if !self.id.allows(id) {
            return Err(Error::invalid(format!(
                "the device cannot store the key id `{id}`: it takes {}; use a key with another id",
                self.id
            )));
        }
        Ok(())
    }

    /// Checks a key.
    ///
    /// # Errors
    /// As [`check_label`](Self::check_label), and `InvalidInput` for bytes outside the alphabet.
    pub fn check(&self, key: &Key) -> Result<()> {
        self.check_label(key.id(), key.size(), key.role())?;
        if !self.alphabet.allows(key.expose()) {
            return Err(Error::invalid(format!(
                "key {} has bytes that this device does not accept; it takes {}",
                key.id(),
                self.alphabet
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use zeroize::Zeroizing;

    fn key(id: &str, bytes: &[u8]) -> Key {
        Key::new(id.parse().unwrap(), Zeroizing::new(bytes.to_vec()))
    }

    #[test]
    fn key_sizes_mean_one_thing_each() {
        let any = KeySizes::AnyUpTo(Bits(512));
        let one = KeySizes::one_of(&[Bits(128), Bits(256)]);
        let within = KeySizes::Within {
            least: Bits(256),
            most: Bits(512),
        };
        assert!(any.allow(Bits(8)) && any.allow(Bits(512)));
        assert!(!any.allow(Bits(520)) && !any.allow(Bits(12)) && !any.allow(Bits(0)));
        assert!(one.allow(Bits(256)) && !one.allow(Bits(192)));
        assert!(within.allow(Bits(256)) && within.allow(Bits(512)) && within.allow(Bits(264)));
        assert!(!within.allow(Bits(248)) && !within.allow(Bits(520)) && !within.allow(Bits(260)));
        assert!(!KeySizes::OneOf(Vec::new()).allow(Bits(256)));
        assert!(KeySizes::Unknown.allow(Bits(99)));
        let limit = Bits(256);
        assert_eq!(one.largest_common(&any, limit), Some(Bits(256)));
        assert_eq!(
            one.largest_common(&KeySizes::Unknown, Bits(200)),
            Some(Bits(128))
        );
        assert_eq!(any.largest_common(&KeySizes::Unknown, limit), Some(limit));
        assert_eq!(within.largest_common(&any, limit), Some(limit));
        assert_eq!(within.largest_common(&any, Bits(248)), None);
        assert_eq!(
            one.largest_common(&KeySizes::one_of(&[Bits(64)]), limit),
            None
        );
    }

    #[test]
    fn a_key_of_another_form_is_refused() {
        let sizes = KeySizes::one_of(&[Bits(128)]);
        let ckn = KeyIdForm::Bytes { least: 1, most: 16 };
        let cak = KeyForm::new(KeyRole::Cak, sizes.clone(), ckn);
        let good = || key("00112233445566778899aabbccddeeff", &[0xab; 16]);
        cak.check(&good()).unwrap();
        cak.check(&good().with_role(KeyRole::Cak)).unwrap();
        let text = KeyForm::new(KeyRole::Psk, sizes, KeyIdForm::Text { most: 8 })
            .with_alphabet(KeyAlphabet::PrintableAscii);
        text.check(&key("roll-1", b"sixteen letters.")).unwrap();
        for (form, key, word) in [
            (&cak, good().with_role(KeyRole::Sak), "assigned as SAK"),
            (&cak, key("01", &[0xab; 17]), "136"),
            (&cak, key(&"01".repeat(17), &[0xab; 16]), "1 to 16 bytes"),
            (&text, key("roll-1", &[0xab; 16]), "printable ASCII"),
            (
                &text,
                key("roll-1000", b"sixteen letters."),
                "at most 8 characters",
            ),
        ] {
            let error = form.check(&key).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.message().contains(word), "{error}");
            assert!(!error.to_string().contains("abab"), "{error}");
        }
    }
}
