//! Keys and key IDs that no device has.

use qkd_hal::{Key, KeyId};
use zeroize::Zeroizing;

/// A key of no device.
pub(crate) fn synthetic_key(bytes: usize) -> Key {
    let random: Vec<u8> = std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes())
        .flatten()
        .take(bytes)
        .collect();
    Key::new(uuid::Uuid::new_v4().into(), Zeroizing::new(random))
}

/// Returns a key ID that was never assigned.
pub(crate) fn made_up_id() -> KeyId {
    uuid::Uuid::new_v4().into()
}
