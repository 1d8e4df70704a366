//! The lines of Thorlabs OSW switches. No I/O.
//!
//! 115200 8N1; the host ends lines with LF, the switch with CR LF. Sources:
//! `moonshot-nagayama-pj/PnPQ` `switch_thorlabs_osw_e.py` (tested on an OSW22-1310E) and
//! `Ulm-IQO/qudi` `hardware/switches/osw12.py`. These four commands are all that public code uses.

use qkd_driver_kit::link::text::{TextDecodeError, number, text};

/// Speed of the line.
pub const BAUD: u32 = 115_200;

/// Asks for the board's name and firmware.
pub const IDENTIFY: &str = "I?\n";

/// Asks for the code of the board's type.
pub const TYPE: &str = "T?\n";

/// Asks for the position.
pub const POSITION: &str = "S?\n";

/// Goes to a position: 1 is port 1, or bar; 2 is port 2, or cross. Not answered.
#[must_use]
pub fn set(position: u32) -> String {
    format!("S {position}\n")
}

/// The position in the reply to [`POSITION`].
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_position(reply: &[u8]) -> Result<u32, TextDecodeError> {
    number("position 1 or 2", reply)
}

/// The free text in the reply to [`IDENTIFY`]. A bare number is the reply to [`POSITION`].
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_identify(reply: &[u8]) -> Result<String, TextDecodeError> {
    let expected = "a board's name";
    match text(reply)? {
        "" => Err(TextDecodeError::unexpected(expected, "")),
        number if decode_position(reply).is_ok() => {
            Err(TextDecodeError::other_reply(expected, number))
        }
        name => Ok(name.to_owned()),
    }
}

/// The free text in the reply to [`TYPE`].
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_type(reply: &[u8]) -> Result<String, TextDecodeError> {
    text(reply).map(str::to_owned)
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = (
        decode_position(input),
        decode_identify(input),
        decode_type(input),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn lines_are_those_of_the_sources() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../vectors/thorlabs-osw.json")).unwrap();
        for v in &vectors {
            let line = v["ascii"].as_str().unwrap();
            let position = v["meaning"]["position"]
                .as_u64()
                .map(|p| u32::try_from(p).unwrap());
            match (
                v["direction"].as_str().unwrap(),
                v["meaning"]["command"]
                    .as_str()
                    .or(v["to"].as_str())
                    .unwrap(),
            ) {
                ("request", "identify") => assert_eq!(line, IDENTIFY),
                ("request", "type") => assert_eq!(line, TYPE),
                ("request", "position") => assert_eq!(line, POSITION),
                ("request", "set") => assert_eq!(line, set(position.unwrap())),
                ("reply", "position") => {
                    assert_eq!(decode_position(line.as_bytes()).ok(), position)
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(vectors.len(), 7);
    }

    #[test]
    fn a_position_is_not_a_name() {
        assert!(matches!(
            decode_identify(b"2\r\n"),
            Err(TextDecodeError::OtherReply { .. })
        ));
        assert!(decode_position(b"OSW22 1.0\r\n").is_err() && decode_identify(b"\r\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            fuzz(&bytes);
        }
    }
}
