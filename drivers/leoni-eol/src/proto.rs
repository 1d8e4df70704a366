//! Bytes to typed messages and back, as the manual REV07a (eol 1x2), p. 8, has them.

use qkd_driver_kit::link::text::{TextDecodeError, number, text};

/// Line speed, with 8 data bits, no parity and 1 stop bit.
pub const BAUD: u32 = 57_600;
/// Asks for the firmware; answered `ver3.27`, or `v8.09` by newer devices.
pub const FIRMWARE: &str = "firmware?\r\n";
/// Asks for the type; answered `eol 1x4` or `mol 1x4`. The manual REV07a does not have its
/// spelling, and a device of its age may not answer.
pub const TYPE: &str = "type?\r\n";
/// Asks for the channel; answered `2`.
pub const CHANNEL: &str = "ch?\r\n";

/// Goes to a channel.
#[must_use]
pub fn set(channel: u32) -> String {
    format!("ch{channel}\r\n")
}

/// The reply to [`FIRMWARE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// The version, such as `3.27`.
    pub version: String,
    /// Whether the device answers [`TYPE`]: those that write `v8.09` do, those that write `ver3.27`
    /// are not known to.
    pub has_type: bool,
}

/// The firmware in the reply to [`FIRMWARE`].
///
/// # Errors
/// [`TextDecodeError`]; so for all decoders.
pub fn decode_firmware(reply: &[u8]) -> Result<Firmware, TextDecodeError> {
    let got = text(reply)?;
    let (version, has_type) = match got.strip_prefix("ver") {
        Some(version) => (Some(version), false),
        None => (got.strip_prefix('v'), true),
    };
    version
        .filter(|v| v.starts_with(|c: char| c.is_ascii_digit()))
        .map(|version| Firmware {
            version: version.to_owned(),
            has_type,
        })
        .ok_or_else(|| TextDecodeError::unexpected("ver or v and a number", got))
}

/// The type in the reply to [`TYPE`], such as `eol 1x4` or `mol 1x4`.
pub fn decode_type(reply: &[u8]) -> Result<String, TextDecodeError> {
    let got = text(reply)?;
    let known = |ports: &str| {
        ports.split_once('x').is_some_and(|(n, m)| {
            [n, m].iter().all(|part| {
                !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit())
            })
        })
    };
    match got.split_once(' ') {
        Some(("eol" | "mol", ports)) if known(ports) => Ok(got.to_owned()),
        _ => Err(TextDecodeError::unexpected("eol or mol and its ports", got)),
    }
}

/// The channel in the reply to [`CHANNEL`].
pub fn decode_channel(reply: &[u8]) -> Result<u32, TextDecodeError> {
    number("a channel", reply)
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = (
        decode_firmware(input),
        decode_type(input),
        decode_channel(input),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vectors() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/leoni-eol.json");
        let vectors: Vec<serde_json::Value> =
            serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        for vector in &vectors {
            let (ascii, meaning) = (vector["ascii"].as_str().unwrap(), &vector["meaning"]);
            match (
                vector["direction"].as_str().unwrap(),
                meaning["command"].as_str(),
                vector["to"].as_str(),
            ) {
                ("request", Some("firmware"), _) => assert_eq!(ascii, FIRMWARE),
                ("request", Some("type"), _) => assert_eq!(ascii, TYPE),
                ("request", Some("channel"), _) => assert_eq!(ascii, CHANNEL),
                ("request", Some("set"), _) => assert_eq!(
                    ascii,
                    set(meaning["channel"].as_u64().unwrap().try_into().unwrap())
                ),
                ("reply", _, Some("firmware")) => assert_eq!(
                    decode_firmware(ascii.as_bytes()).unwrap().version,
                    meaning["firmware"].as_str().unwrap()
                ),
                ("reply", _, Some("type")) => assert_eq!(
                    decode_type(ascii.as_bytes()).unwrap(),
                    meaning["type"].as_str().unwrap()
                ),
                ("reply", _, Some("channel")) => assert_eq!(
                    u64::from(decode_channel(ascii.as_bytes()).unwrap()),
                    meaning["channel"].as_u64().unwrap()
                ),
                other => panic!("nothing reads {other:?}"),
            }
        }
        assert_eq!(vectors.len(), 10);
        for wrong in ["v\r\n", "vx\r\n", "version 1\r\n", "eol 1x4\r\n"] {
            assert!(decode_firmware(wrong.as_bytes()).is_err(), "{wrong}");
        }
        for wrong in [
            "eol\r\n",
            "eol 1x\r\n",
            "pol 1x4\r\n",
            "v8.09\r\n",
            "eol 1x4 b\r\n",
        ] {
            assert!(decode_type(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(
            decode_firmware(b"2\r\n").is_err()
                && decode_channel(b"ver3.27\r\n").is_err()
                && decode_firmware(b"ver\r\n").is_err()
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            fuzz(&bytes);
        }
    }
}
