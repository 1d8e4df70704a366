//! Messages: where one ends, whose reply it is, and what it says.

use super::TextDecodeError;
use qkd_driver_kit::link::{bytes::Frame, text::text};

/// Maximum number of bytes of a reply: 576 ports with their power need under 16 KiB.
pub const MESSAGE_LIMIT: usize = 64 * 1024;

/// Why the switch does not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Four letters, such as `IIAC`.
    pub code: String,
    /// Error text of the switch.
    pub text: String,
}

/// Content of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// COMPLD, with its lines without their quotation marks.
    Done(Vec<String>),
    /// DENY: it was not done.
    Denied(Denial),
}

/// The first message in some bytes: its lines, and where it ends.
fn message(seen: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let (mut lines, mut at) = (Vec::new(), 0);
    while at < seen.len() {
        let end = seen[at..]
            .iter()
            .position(|b| *b == b'\n')
            .map(|n| at + n + 1);
        let line = &seen[at..end.unwrap_or(seen.len())];
        // A semicolon alone on its line; texts are indented.
        if line.first() == Some(&b';') && line.trim_ascii().len() == 1 {
            return Some((lines, end.unwrap_or(at + 1)));
        }
        lines.push(line);
        at = end?;
    }
    None
}

/// Returns whether a message is unsolicited: the header of a reply begins with M.
fn is_unasked(lines: &[&[u8]]) -> bool {
    !lines.iter().any(|l| l.starts_with(b"M "))
        && lines
            .iter()
            .any(|l| l.starts_with(b"A ") || l.starts_with(b"*"))
}

/// Returns a framer that finds the end of a reply after unsolicited messages.
pub fn frame() -> impl FnMut(&[u8]) -> Frame + Send {
    |seen| {
        let mut at = 0;
        while let Some((lines, end)) = message(&seen[at..]) {
            at += end;
            if !is_unasked(&lines) {
                return Frame::Complete(at);
            }
        }
        Frame::Incomplete
    }
}

/// Reads the reply with a tag, skipping what came unasked before it.
///
/// # Errors
/// [`TextDecodeError`]: other text, or a reply with another tag.
pub fn decode(reply: &[u8], tag: u32) -> Result<Answer, TextDecodeError> {
    read(reply, Some(tag))
}

/// Decodes a reply with any tag: a greeting is recognised by its lines.
///
/// # Errors
/// As [`decode`].
pub fn decode_any(reply: &[u8]) -> Result<Answer, TextDecodeError> {
    read(reply, None)
}

fn read(reply: &[u8], tag: Option<u32>) -> Result<Answer, TextDecodeError> {
    const SHAPE: &str = "a reply (M, tag, COMPLD or DENY)";
    let mut at = 0;
    while let Some((lines, end)) = message(&reply[at..]) {
        at += end;
        if is_unasked(&lines) {
            continue;
        }
        let head = lines.iter().position(|l| l.starts_with(b"M "));
        let lines: Vec<&str> = lines.into_iter().map(text).collect::<Result<_, _>>()?;
        let Some(head) = head else {
            return Err(TextDecodeError::unexpected(
                SHAPE,
                lines.iter().find(|l| !l.is_empty()).unwrap_or(&""),
            ));
        };
        let rest: Vec<&str> = lines[head + 1..]
            .iter()
            .copied()
            .filter(|l| !l.is_empty())
            .collect();
        let words: Vec<&str> = lines[head].split_ascii_whitespace().collect();
        return match words[..] {
            [_, other, _] if tag.is_some_and(|tag| other != tag.to_string()) => Err(
                TextDecodeError::other_reply("a reply with the tag of the request", lines[head]),
            ),
            [_, _, "COMPLD"] => rest
                .iter()
                .map(|l| unquoted(l).map(str::to_owned))
                .collect::<Result<_, _>>()
                .map(Answer::Done),
            [_, _, "DENY"] => {
                let code = rest
                    .first()
                    .copied()
                    .filter(|c| c.len() == 4 && c.bytes().all(|b| b.is_ascii_uppercase()));
                let code = code.ok_or_else(|| {
                    TextDecodeError::unexpected(
                        "the four letters of a denial",
                        rest.first().unwrap_or(&""),
                    )
                })?;
                let text = rest.get(1).map_or("", |l| {
                    l.trim_start_matches("/*").trim_end_matches("*/").trim()
                });
                Ok(Answer::Denied(Denial {
                    code: code.to_owned(),
                    text: text.to_owned(),
                }))
            }
            _ => Err(TextDecodeError::unexpected(SHAPE, lines[head])),
        };
    }
    Err(TextDecodeError::unexpected(
        SHAPE,
        &String::from_utf8_lossy(reply),
    ))
}

fn unquoted(line: &str) -> Result<&str, TextDecodeError> {
    line.strip_prefix('"')
        .and_then(|l| l.strip_suffix('"'))
        .ok_or_else(|| TextDecodeError::unexpected("a line in quotation marks", line))
}
