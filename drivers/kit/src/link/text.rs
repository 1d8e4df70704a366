//! Replies that are one line of text: what the codecs of such devices share.

use qkd_hal::{
    DeviceMisbehaved, Error, ErrorKind, TransportFault,
    text::{MAX_TEXT, printable},
};

/// Number of characters of a reply that an error quotes.
const QUOTED: usize = 40;

/// Reason for which a reply is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextDecodeError {
    /// The reply is not printable ASCII.
    #[error("the reply is not printable text: {0:?}")]
    NotText(String),
    /// Not what this request is answered with.
    #[error("expected {expected}, got {got:?}")]
    Unexpected {
        /// Expected form of the reply.
        expected: &'static str,
        /// The beginning of what came.
        got: String,
    },
    /// The reply belongs to another request.
    #[error("expected {expected}, and {got:?} answers another request")]
    OtherReply {
        /// Expected form of the reply.
        expected: &'static str,
        /// The beginning of what came.
        got: String,
    },
}

impl TextDecodeError {
    /// Of a reply that is not what was expected.
    #[must_use]
    pub fn unexpected(expected: &'static str, got: &str) -> Self {
        Self::Unexpected {
            expected,
            got: got.chars().take(QUOTED).collect(),
        }
    }
    /// Of a reply to another request.
    #[must_use]
    pub fn other_reply(expected: &'static str, got: &str) -> Self {
        Self::OtherReply {
            expected,
            got: got.chars().take(QUOTED).collect(),
        }
    }
}

impl From<TextDecodeError> for Error {
    fn from(misread: TextDecodeError) -> Self {
        let message = misread.to_string();
        match misread {
            TextDecodeError::NotText(_) => {
                Self::new(ErrorKind::Transport(TransportFault::Framing), message)
            }
            TextDecodeError::Unexpected { .. } => {
                Self::misbehaved(DeviceMisbehaved::UnexpectedReply, message)
            }
            TextDecodeError::OtherReply { .. } => {
                Self::misbehaved(DeviceMisbehaved::ReplyForAnotherRequest, message)
            }
        }
    }
}

/// The printable ASCII text of a reply, without the white space around it.
///
/// # Errors
/// [`TextDecodeError::NotText`].
pub fn text(reply: &[u8]) -> Result<&str, TextDecodeError> {
    let inner = reply.trim_ascii();
    match std::str::from_utf8(inner) {
        Ok(text) if inner.iter().all(|b| matches!(b, b' '..=b'~')) => Ok(text),
        _ => Err(TextDecodeError::NotText(
            String::from_utf8_lossy(&inner[..inner.len().min(QUOTED)]).into_owned(),
        )),
    }
}

/// A text of a device, whatever its bytes, as it may be shown: without the white space and the NULs
/// around it, and as [`printable`] makes it, of [`MAX_TEXT`] characters.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let is_padding = |c: char| c == '\0' || c.is_whitespace();
    printable(text.trim_matches(is_padding), MAX_TEXT).into_owned()
}

/// The whole number that a reply is: decimal digits and nothing else.
///
/// # Errors
/// [`TextDecodeError`].
pub fn number(expected: &'static str, reply: &[u8]) -> Result<u32, TextDecodeError> {
    let text = text(reply)?;
    // `parse` would take a sign.
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
        .ok_or_else(|| TextDecodeError::unexpected(expected, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_only() {
        assert_eq!(number("a channel", b"\n12\r\n"), Ok(12));
        for wrong in ["+1", "-1", "1.0", "", "1 2", "99999999999"] {
            assert_eq!(
                number("a channel", wrong.as_bytes()),
                Err(TextDecodeError::unexpected("a channel", wrong))
            );
        }
        assert!(matches!(
            number("a channel", b"\xb1\r\n"),
            Err(TextDecodeError::NotText(_))
        ));
    }

    #[test]
    fn texts_of_devices_are_cleaned_and_bounded_in_every_output() {
        assert_eq!(shown(b" name\0\0"), "name");
        assert_eq!(shown(b"a\x1b[2Jb\0c\xff"), "a\\x1b[2Jb\\x00c\u{fffd}");
        assert!(shown(&[b'x'; 5000]).ends_with("(4600 more characters)"));
    }
}
