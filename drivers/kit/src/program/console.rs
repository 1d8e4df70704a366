//! Standard output and standard error, without the macros that panic if output cannot be written.

use qkd_hal::text::{printable, printable_lines};
use std::{
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

/// The longest line that holds text from outside, in characters.
pub const MAX_LINE: usize = 8_000;

/// Writes one line, whatever its text from outside holds, to standard output: line ends in it are
/// made visible, and it is cut after [`MAX_LINE`] characters.
pub fn one_line(text: &str) {
    line_to(io::stdout().lock(), &printable(text, MAX_LINE));
}

/// As [`one_line`], to standard error.
pub fn one_error_line(text: &str) {
    error_line_to(io::stderr().lock(), &printable(text, MAX_LINE));
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

/// Writes a line to standard error. A failure is ignored, because there is no other place to report
/// it.
pub fn error_line(text: &str) {
    error_line_to(io::stderr().lock(), &printable_lines(text));
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
