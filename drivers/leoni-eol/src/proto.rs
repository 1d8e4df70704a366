//! Bytes to typed messages and back, as the manual REV07a (eol 1x2), p. 8, has them.

use qkd_driver_kit::link::text::{Misread, number, text};

/// 57600 8N1.
pub const BAUD: u32 = 57_600;
/// Asks for the firmware; answered `ver3.27`.
pub const FIRMWARE: &str = "firmware?\r\n";
/// Asks for the channel; answered `2`.
pub const CHANNEL: &str = "ch?\r\n";

/// Goes to a channel.
#[must_use]
pub fn set(channel: u32) -> String {
    format!("ch{channel}\r\n")
}

/// The version in the reply to [`FIRMWARE`].
///
/// # Errors
/// [`Misread`]; so for both decoders.
pub fn decode_firmware(reply: &[u8]) -> Result<String, Misread> {
    let got = text(reply)?;
    got.strip_prefix("ver")
        .filter(|v| !v.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| Misread::unexpected("ver and a number", got))
}

/// The channel in the reply to [`CHANNEL`].
pub fn decode_channel(reply: &[u8]) -> Result<u32, Misread> {
    number("a channel", reply)
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = (decode_firmware(input), decode_channel(input));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vectors() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/leoni-eol.json");
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
                ("request", Some("channel"), _) => assert_eq!(ascii, CHANNEL),
                ("request", Some("set"), _) => assert_eq!(
                    ascii,
                    set(meaning["channel"].as_u64().unwrap().try_into().unwrap())
                ),
                ("reply", _, Some("firmware")) => assert_eq!(
                    decode_firmware(ascii.as_bytes()).unwrap(),
                    meaning["firmware"].as_str().unwrap()
                ),
                ("reply", _, Some("channel")) => assert_eq!(
                    u64::from(decode_channel(ascii.as_bytes()).unwrap()),
                    meaning["channel"].as_u64().unwrap()
                ),
                other => panic!("nothing reads {other:?}"),
            }
        }
        assert_eq!(vectors.len(), 5);
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
