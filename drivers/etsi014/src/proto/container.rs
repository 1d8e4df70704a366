//! The key container (6.3). Keys go from the body straight into buffers that zeroize.

use super::ProtoError;
use base64::{Engine, engine::general_purpose::STANDARD};
use qkd_hal::KeyId;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;
use zeroize::Zeroizing;

/// A key of a container.
pub struct DeliveredKey {
    /// ID of the key.
    pub id: KeyId,
    /// Bytes of the key.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for DeliveredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeliveredKey({}, {} bytes)", self.id, self.bytes.len())
    }
}

/// A key's text, decoded while it is read; `None` where it is not Base64.
struct Secret(Option<Zeroizing<Vec<u8>>>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key in Base64")
            }
            fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
                let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
                Ok(Secret(decode_joined(text, &mut bytes).map(|n| {
                    bytes.truncate(n);
                    bytes
                })))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Decodes Base64 into `out` and returns the length; `None` if it is not Base64.
///
/// The pQKD joins several padded texts to one, so padding also occurs in the middle.
fn decode_joined(text: &str, out: &mut [u8]) -> Option<usize> {
    let (mut rest, mut length) = (text, 0);
    while !rest.is_empty() {
        // A padded text ends with the group of four that has the padding.
        let end = rest.find('=').map_or(rest.len(), |at| (at / 4 + 1) * 4);
        let (part, more) = rest.split_at_checked(end)?;
        length += STANDARD.decode_slice(part, out.get_mut(length..)?).ok()?;
        rest = more;
    }
    Some(length)
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "key_ID")]
    id: String,
    key: Secret,
}

/// The `keys` of a container, at any position among other items. The visitor is written by hand, so
/// that `Keys` is accepted too and nothing is buffered.
struct Container(Vec<Entry>);

impl<'de> Deserialize<'de> for Container {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Container;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key container")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Container, A::Error> {
                let mut keys = None;
                while let Some(name) = map.next_key::<String>()? {
                    if name == "keys" || name == "Keys" {
                        keys = Some(map.next_value::<Entries>()?.0);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                keys.map(Container)
                    .ok_or_else(|| serde::de::Error::missing_field("keys"))
            }
        }
        deserializer.deserialize_map(Items)
    }
}

/// Entries, without trust in a size hint.
struct Entries(Vec<Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of keys")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entries, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = items.next_element()? {
                    all.push(entry);
                }
                Ok(Entries(all))
            }
        }
        deserializer.deserialize_seq(All)
    }
}

/// Reads a key container.
///
/// # Errors
/// [`ProtoError::Json`], [`ProtoError::NotBase64`], [`ProtoError::NotAnId`]. No error repeats a
/// part of the body.
pub fn decode_container(body: &[u8]) -> Result<Vec<DeliveredKey>, ProtoError> {
    let Container(entries) = serde_json::from_slice(body)?;
    entries
        .into_iter()
        .enumerate()
        .map(|(i, entry)| {
            let id = entry.id.parse().map_err(|_| ProtoError::NotAnId(i))?;
            let bytes = entry
                .key
                .0
                .filter(|bytes| !bytes.is_empty())
                .ok_or(ProtoError::NotBase64(i))?;
            Ok(DeliveredKey { id, bytes })
        })
        .collect()
}
