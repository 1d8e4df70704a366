//! Standard output and standard error, without the macros that panic where nobody can read.

use qkd_hal::text::{is_misleading, printable_lines};
use std::{
    borrow::Cow,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

/// Exit code where all was done and the output could not be written: a closed pipe, a full disk, a
/// lost terminal (`EX_IOERR` of BSD's sysexits).
pub const WRITE_FAILED: u8 = 74;

/// The first error of standard output.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes an output of one or more lines to standard output, with what came from outside made
/// visible ([`printable_lines`]). A failure shows in [`exit_code`].
pub fn line(text: &str) {
    line_to(io::stdout().lock(), &printable_lines(text));
}

/// Writes a line to `out`, which leads to standard output. A failure shows in [`exit_code`].
pub fn line_to(mut out: impl Write, text: &str) {
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    line.push('\n');
    note(out.write_all(line.as_bytes()).and_then(|()| out.flush()));
}

/// Notes how a write to standard output went, for [`exit_code`].
pub fn note(written: io::Result<()>) {
    if let Err(error) = written {
        FAILURE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }
}

/// Writes a line to standard error. Where that fails, nobody is left to be told.
pub fn error_line(text: &str) {
    error_line_to(io::stderr().lock(), &printable_lines(text));
}

/// A JSON document in which every character that a terminal could misread is an escape of JSON. It
/// means the same.
#[must_use]
pub fn json_text(document: &str) -> Cow<'_, str> {
    let is_kept = |c: char| c == '\n' || !is_misleading(c);
    if document.chars().all(is_kept) {
        return Cow::Borrowed(document);
    }
    let mut text = String::with_capacity(document.len() + 32);
    for character in document.chars() {
        if is_kept(character) {
            text.push(character);
        } else {
            // Outside strings there is no such character in a document of ours.
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Cow::Owned(text)
}

/// Writes a line to `out`, which leads to standard error.
pub fn error_line_to(mut out: impl Write, text: &str) {
    let _ = out.write_all(format!("{text}\n").as_bytes());
    let _ = out.flush();
}

/// The exit code of a program whose work ended with `code`: [`WRITE_FAILED`] in place of 0 if
/// standard output could not be written, which standard error then says.
#[must_use]
pub fn exit_code(code: u8) -> u8 {
    let failure = FAILURE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    match failure {
        Some(error) => {
            error_line(&format!(
                "error: the output could not be written: {error}; what was done stays done"
            ));
            if code == 0 { WRITE_FAILED } else { code }
        }
        None => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_without_characters_that_mislead() {
        let value = serde_json::json!({"a": "x\u{1b}[2J\u{9b}\u{202e}\u{feff}\u{e0041}\u{7f}\nü"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json_text(&text);
        assert!(
            !shown.chars().any(|c| c != '\n' && is_misleading(c)),
            "{shown}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
