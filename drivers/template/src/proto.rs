//! Encodes and decodes messages. No I/O.
//!
//! The protocol of this template is invented and belongs to no product: `P?` queries the position
//! and is answered `P<n>`; `P<n>` sets the position and is answered `OK`. In a real driver, a
//! comment names the public source of each command.

use qkd_driver_kit::link::text::{TextDecodeError, text};

/// Asks for the position.
pub const GET: &str = "P?\n";

/// Goes to a position.
#[must_use]
pub fn set(position: u32) -> String {
    format!("P{position}\n")
}

/// The position in the reply to [`GET`].
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_get(reply: &[u8]) -> Result<u32, TextDecodeError> {
    let got = text(reply)?;
    got.strip_prefix('P')
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| TextDecodeError::unexpected("P and a number", got))
}

/// The reply to [`set`].
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_set(reply: &[u8]) -> Result<(), TextDecodeError> {
    match text(reply)? {
        "OK" => Ok(()),
        got => Err(TextDecodeError::unexpected("OK", got)),
    }
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = (decode_get(input), decode_set(input));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reply_answers_its_own_request_only() {
        assert_eq!(
            (
                set(3).as_str(),
                decode_get(b"P3\r\n"),
                decode_set(b"OK\r\n")
            ),
            ("P3\n", Ok(3), Ok(()))
        );
        assert!(decode_get(b"OK\r\n").is_err() && decode_set(b"P3\r\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            fuzz(&bytes);
        }
    }
}
