//! Messages of JDS Uniphase's SB switch on RS-232. No I/O.
//!
//! 1200 8N1, CTS handshake; messages end in CR. A message contains several commands separated by
//! `;`, at most one query, as the last. Source: vendor manual SD000153 Rev. J (May 2000). That
//! replies end in CR LF is inferred: any line end is accepted.

use qkd_driver_kit::link::text::{TextDecodeError, number, text};

/// Speed of the line.
pub const BAUD: u32 = 1_200;

/// The characters that the switch's input buffer takes; later ones are lost where the line has no
/// handshake.
pub const BUFFER: usize = 100;

/// Maximum number of channels that a switch has.
pub const MOST_CHANNELS: u32 = 48;

/// The entries of the error queue.
pub const ERRORS: usize = 5;

/// Query of the identity.
pub const IDENTIFY: &str = "IDN?\r";

/// Query of the channel; 0 is no optical path.
pub const CHANNEL: &str = "CLOSE?\r";

/// Asks for the number of channels.
pub const SIZE: &str = "CLOSE? MAX\r";

/// Asks whether the optics have settled.
pub const CONDITION: &str = "CNB?\r";

/// Asks for the status byte, whose bits stay until it is cleared.
pub const STATUS: &str = "STB?\r";

/// Takes the last error out of the queue.
pub const LAST_ERROR: &str = "LERR?\r";

/// Query of the present error.
pub const ERROR: &str = "ERR?\r";

/// Asks how the self-test went.
pub const TEST: &str = "TST?\r";

/// Asks for the mask of the relay drivers.
pub const DRIVERS: &str = "XDRS?\r";

/// Asks for the mask of service requests.
pub const REQUEST_MASK: &str = "SRE?\r";

/// Asks whether commands are pending.
pub const COMPLETE: &str = "OPC?\r";

/// Asks for the commands that restore the present state.
pub const LEARN: &str = "LRN?\r";

/// Clears the status byte, goes to a channel, and asks for the last error: a set that says whether
/// it came.
#[must_use]
pub fn close(channel: u32) -> String {
    format!("CSB;CLOSE {channel};{LAST_ERROR}")
}

/// Clears the status byte, switches the relay drivers by a mask, and asks for the last error.
#[must_use]
pub fn set_drivers(mask: u8) -> String {
    format!("CSB;XDRS {mask};{LAST_ERROR}")
}

/// The maker, model and firmware in the reply to [`IDENTIFY`].
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_identify(reply: &[u8]) -> Result<[String; 3], TextDecodeError> {
    let text = text(reply)?;
    let mut fields = text.splitn(4, ',').map(|f| f.trim().to_owned());
    match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(maker), Some(model), Some(firmware), None) if !maker.is_empty() => {
            Ok([maker, model, firmware])
        }
        _ => Err(TextDecodeError::unexpected("maker, model, firmware", text)),
    }
}

/// The three digits of a reply to [`LAST_ERROR`] or [`STATUS`].
fn three(expected: &'static str, reply: &[u8]) -> Result<u32, TextDecodeError> {
    let digits = text(reply)?;
    if digits.len() == 3 {
        number(expected, reply)
    } else {
        Err(TextDecodeError::unexpected(expected, digits))
    }
}

/// The channel, or the number of channels.
///
/// # Errors
/// [`TextDecodeError`]; a number of three digits is a status byte or an error.
pub fn decode_channel(reply: &[u8]) -> Result<u32, TextDecodeError> {
    let expected = "a channel";
    if three(expected, reply).is_ok() {
        Err(TextDecodeError::other_reply(expected, text(reply)?))
    } else {
        number(expected, reply)
    }
}

/// Whether the optics have settled: the condition register is 4, or 0 while they move.
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_condition(reply: &[u8]) -> Result<bool, TextDecodeError> {
    match text(reply)? {
        "4" => Ok(true),
        "0" => Ok(false),
        other => Err(TextDecodeError::unexpected("4 or 0", other)),
    }
}

/// Bits of the status byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Bit 7: the self-test has failed.
    pub self_test_failed: bool,
    /// Bit 5: a command was none.
    pub syntax_error: bool,
    /// Bit 2: the optics have settled since it was cleared.
    pub settled: bool,
    /// Bit 0: a parameter was none.
    pub parameter_error: bool,
}

/// The reply to [`STATUS`].
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_status(reply: &[u8]) -> Result<Status, TextDecodeError> {
    let expected = "a status byte of three digits";
    let byte = u8::try_from(three(expected, reply)?)
        .map_err(|_| TextDecodeError::unexpected(expected, &String::from_utf8_lossy(reply)))?;
    let bit = |n: u8| byte & (1 << n) != 0;
    Ok(Status {
        self_test_failed: bit(7),
        syntax_error: bit(5),
        settled: bit(2),
        parameter_error: bit(0),
    })
}

/// Decodes the code in the reply to [`LAST_ERROR`]; 0 is no error. The only other published code is
/// 330, a failed self-test.
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_last_error(reply: &[u8]) -> Result<u32, TextDecodeError> {
    three("an error code of three digits", reply)
}

/// A number: the replies to [`ERROR`], [`DRIVERS`] and [`REQUEST_MASK`].
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_number(reply: &[u8]) -> Result<u32, TextDecodeError> {
    number("a number", reply)
}

/// Whether it is so: the replies to [`TEST`] (0: passed) and [`COMPLETE`] (1: nothing is pending).
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_flag(reply: &[u8]) -> Result<bool, TextDecodeError> {
    match text(reply)? {
        "0" => Ok(false),
        "1" => Ok(true),
        other => Err(TextDecodeError::unexpected("0 or 1", other)),
    }
}

/// The commands in the reply to [`LEARN`].
///
/// # Errors
/// [`TextDecodeError`].
pub fn decode_learn(reply: &[u8]) -> Result<String, TextDecodeError> {
    match text(reply)? {
        learnt if learnt.starts_with("CLOSE ") => Ok(learnt.to_owned()),
        other => Err(TextDecodeError::unexpected("CLOSE and a channel", other)),
    }
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = (
        decode_identify(input),
        decode_channel(input),
        decode_condition(input),
        decode_status(input),
    );
    let _ = (
        decode_last_error(input),
        decode_number(input),
        decode_flag(input),
        decode_learn(input),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn messages_are_those_of_the_manual() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../vectors/jdsu-sb.json")).unwrap();
        let mut seen = 0;
        for v in &vectors {
            let (line, meaning) = (v["ascii"].as_str().unwrap(), &v["meaning"]);
            let n = |field: &str| u32::try_from(meaning[field].as_u64().unwrap()).unwrap();
            let (reply, is) = (line.as_bytes(), |field: &str| {
                meaning[field].as_bool().unwrap()
            });
            // The driver sends its sets together with other commands: that of the manual is one of
            // them.
            let among = |message: String| {
                assert!(
                    message.trim_end().split(';').any(|c| c == line.trim_end()),
                    "{message}"
                )
            };
            match (
                v["direction"].as_str().unwrap(),
                v["to"].as_str().or(meaning["command"].as_str()).unwrap(),
            ) {
                ("request", "identify") => assert_eq!(line, IDENTIFY),
                ("request", "close") => among(close(n("channel"))),
                ("request", "clear-status") => among(close(1)),
                ("request", "drivers") => among(set_drivers(u8::try_from(n("mask")).unwrap())),
                ("request", "channel") => assert_eq!(line, CHANNEL),
                ("request", "size") => assert_eq!(line, SIZE),
                ("request", "drivers?") => assert_eq!(line, DRIVERS),
                ("request", "condition") => assert_eq!(line, CONDITION),
                ("request", "complete") => assert_eq!(line, COMPLETE),
                ("request", "status") => assert_eq!(line, STATUS),
                ("request", "error") => assert_eq!(line, LAST_ERROR),
                ("request", "condition-error") => assert_eq!(line, ERROR),
                ("request", "mask?") => assert_eq!(line, REQUEST_MASK),
                ("request", "test") => assert_eq!(line, TEST),
                ("request", "learn") => assert_eq!(line, LEARN),
                ("reply", "identify") => assert_eq!(
                    decode_identify(reply).unwrap(),
                    ["maker", "model", "firmware"].map(|f| meaning[f].as_str().unwrap())
                ),
                ("reply", "channel") => assert_eq!(decode_channel(reply).unwrap(), n("channel")),
                ("reply", "size") => assert_eq!(decode_channel(reply).unwrap(), n("channels")),
                ("reply", "drivers?" | "mask?") => {
                    assert_eq!(decode_number(reply).unwrap(), n("mask"))
                }
                ("reply", "condition") => {
                    assert_eq!(decode_condition(reply).unwrap(), is("settled"))
                }
                ("reply", "complete") => assert_eq!(decode_flag(reply).unwrap(), is("complete")),
                ("reply", "status") => {
                    assert_eq!(decode_status(reply).unwrap().settled, is("settled"))
                }
                ("reply", "error") => assert_eq!(decode_last_error(reply).unwrap(), n("code")),
                ("reply", "condition-error") => {
                    assert_eq!(decode_number(reply).unwrap(), n("code"))
                }
                ("reply", "test") => assert_eq!(decode_flag(reply).unwrap(), !is("passed")),
                ("reply", "learn") => assert_eq!(decode_learn(reply).unwrap(), line.trim_end()),
                // Not sent by the driver: single relay drivers, masks of service requests, resets.
                (_, "reset" | "driver" | "driver?" | "clear" | "mask") => continue,
                other => panic!("{other:?}"),
            }
            seen += 1;
        }
        assert!(seen >= 34, "{seen}");
    }

    #[test]
    fn no_message_is_longer_than_the_input_buffer() {
        assert!(close(u32::MAX).len() <= BUFFER && set_drivers(u8::MAX).len() <= BUFFER);
    }

    #[test]
    fn a_status_byte_is_not_a_channel() {
        assert!(matches!(
            decode_channel(b"004\r\n"),
            Err(TextDecodeError::OtherReply { .. })
        ));
        assert!(
            decode_status(b"4\r\n").is_err()
                && decode_status(b"256\r\n").is_err()
                && decode_last_error(b"0\r\n").is_err()
        );
        let refused = decode_status(b"161\r\n").unwrap();
        assert!(
            refused.self_test_failed
                && refused.syntax_error
                && refused.parameter_error
                && !refused.settled
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            fuzz(&bytes);
        }
    }
}
