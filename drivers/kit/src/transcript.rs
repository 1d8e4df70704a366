//! Transcripts: the exchanges of a link without secrets, and their replay as a link.
//!
//! A transcript has one JSON object per line. A message is a list of parts: `{"text":…}` or
//! `{"hex":…}` for public bytes, `{"secret":n}` for n secret bytes, and only `{"length":n}` for a
//! message without a declaration. A replay inserts seeded values in place of secrets.
//! `"changes":true` marks an exchange that may have changed the device.

mod replay;
pub(crate) mod varbind;

pub use replay::Replay;

use crate::link::Disclosure;
use qkd_hal::text::json_text;
use serde::{Deserialize, Serialize};
use std::{
    io::Write,
    ops::Range,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Printable ASCII and line ends.
    Text(String),
    /// Bytes that are not text.
    Hex(String),
    /// So many secret bytes.
    Secret(usize),
    /// So many bytes of which nothing was declared.
    Length(usize),
}

/// Result of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// With a reply (or none was due).
    Ok,
    /// With this kind of error.
    Error(String),
}

/// One recorded exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Microseconds since the transcript began.
    pub at_us: u64,
    /// Address of the peer.
    pub link: String,
    /// Operation that made the exchange.
    pub name: String,
    /// Whether it may have changed the device, as its driver declared it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changes: bool,
    /// Sent message, without secrets.
    pub request: Vec<Part>,
    /// Received message, without secrets.
    pub reply: Vec<Part>,
    /// Result of the exchange.
    pub outcome: Outcome,
    /// Duration of the exchange, in microseconds.
    pub took_us: u64,
}

impl Record {
    /// The record as a line of a transcript, without its end.
    ///
    /// # Errors
    /// Those of writing JSON.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| json_text(&line).into_owned())
    }
}

/// Cuts a message into parts.
#[must_use]
pub fn parts(message: &[u8], disclosure: Disclosure) -> Vec<Part> {
    let mut secret: Vec<Range<usize>> = match disclosure {
        Disclosure::Undeclared => {
            return if message.is_empty() {
                Vec::new()
            } else {
                vec![Part::Length(message.len())]
            };
        }
        Disclosure::Public => Vec::new(),
        Disclosure::Secret(spans) => spans(message),
    };
    secret.retain(|span| span.start < span.end && span.start < message.len());
    secret.sort_by_key(|span| span.start);
    let mut out = Vec::new();
    let mut at = 0;
    for span in secret {
        let (start, mut end) = (span.start.max(at), span.end.min(message.len()));
        if start >= end {
            continue;
        }
        out.extend(public(&message[at..start]));
        at = end;
        // Base64 padding contains no secret, and a replayed secret needs it at the same place.
        while end > start + 1 && message[end - 1] == b'=' {
            end -= 1;
        }
        out.push(Part::Secret(end - start));
        out.extend(public(&message[end..at]));
    }
    out.extend(public(&message[at..]));
    out
}

fn public(bytes: &[u8]) -> Option<Part> {
    if bytes.is_empty() {
        return None;
    }
    let printable = bytes
        .iter()
        .all(|b| matches!(b, b' '..=b'~' | b'\r' | b'\n' | b'\t'));
    Some(match std::str::from_utf8(bytes) {
        Ok(text) if printable => Part::Text(text.to_owned()),
        _ => Part::Hex(hex::encode(bytes)),
    })
}

/// A recorder. Cheap to clone; all clones write to one place.
#[derive(Clone)]
pub struct Transcript {
    begun: SystemTime,
    sink: Arc<Mutex<Sink>>,
}

enum Sink {
    Memory(Vec<Record>),
    File(FileSink),
}

/// A file of which nothing stays unless an exchange was written into it.
struct FileSink {
    file: std::fs::File,
    path: PathBuf,
    is_empty: bool,
    /// Said once, and not at each exchange.
    has_failed: bool,
}

impl FileSink {
    fn write(&mut self, record: &Record) -> std::io::Result<()> {
        let line = format!("{}\n", record.to_line()?);
        self.file.write_all(line.as_bytes())?;
        self.is_empty = false;
        Ok(())
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if self.is_empty {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Transcript {
    /// Into memory; see [`records`](Self::records).
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            begun: SystemTime::now(),
            sink: Arc::new(Mutex::new(Sink::Memory(Vec::new()))),
        }
    }
    /// Into a new file that only its owner may read, a line for each exchange. It goes again if no
    /// exchange was written.
    ///
    /// # Errors
    /// `AlreadyExists` if there is something of that name; what making the file answers.
    pub fn to_file(path: impl AsRef<Path>) -> std::io::Result<Self> {
        let path = path.as_ref().to_owned();
        let file = std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let sink = FileSink {
            file,
            path,
            is_empty: true,
            has_failed: false,
        };
        Ok(Self {
            begun: SystemTime::now(),
            sink: Arc::new(Mutex::new(Sink::File(sink))),
        })
    }
    /// Since it began, in microseconds.
    pub(crate) fn now(&self) -> u64 {
        self.begun
            .elapsed()
            .map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
    }
    /// Appends an exchange.
    pub fn push(&self, record: Record) {
        match &mut *self.sink.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Memory(records) => records.push(record),
            Sink::File(file) => {
                if let Err(error) = file.write(&record)
                    && !std::mem::replace(&mut file.has_failed, true)
                {
                    let path = file.path.display();
                    tracing::error!(%error, %path, "the transcript is not complete");
                }
            }
        }
    }
    /// Returns the exchanges recorded in memory.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        match &*self.sink.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Memory(records) => records.clone(),
            Sink::File(_) => Vec::new(),
        }
    }
}

/// Reads a transcript.
///
/// # Errors
/// Error text that names the line.
pub fn parse(text: &str) -> Result<Vec<Record>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            serde_json::from_str(line)
                .map_err(|e| format!("line {} is not a record of a transcript: {e}", i + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_their_length_only() {
        let disclosure = Disclosure::Secret(|m| {
            m.windows(4)
                .position(|w| w == b"key:")
                .map(|at| at + 4..m.len())
                .into_iter()
                .collect()
        });
        assert_eq!(
            parts(b"id:7 key:AAAA==", disclosure),
            [
                Part::Text("id:7 key:".into()),
                Part::Secret(4),
                Part::Text("==".into())
            ]
        );
        assert_eq!(
            parts(b"anything", Disclosure::Undeclared),
            [Part::Length(8)]
        );
        assert_eq!(
            parts(&[1, 0x35], Disclosure::Public),
            [Part::Hex("0135".into())]
        );
    }

    #[test]
    fn spans_beyond_the_message_are_ignored() {
        #[allow(clippy::single_range_in_vec_init, reason = "these are spans")]
        let disclosure = Disclosure::Secret(|_| vec![5..9, 0..2, 1..3, 100..200]);
        assert_eq!(
            parts(b"abcdefg", disclosure),
            [
                Part::Secret(2),
                Part::Secret(1),
                Part::Text("de".into()),
                Part::Secret(2)
            ]
        );
    }

    fn record() -> Record {
        Record {
            at_us: 0,
            link: "x".to_owned(),
            name: "y".to_owned(),
            changes: false,
            request: Vec::new(),
            reply: Vec::new(),
            outcome: Outcome::Ok,
            took_us: 1,
        }
    }

    #[test]
    fn a_file_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.jsonl");
        let transcript = Transcript::to_file(&path).unwrap();
        transcript.push(record());
        drop(transcript);
        let kept = std::fs::read(&path).unwrap();
        assert!(!kept.is_empty());
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let refused = Transcript::to_file(&path).err().unwrap();
        assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), kept);
    }

    #[test]
    fn a_file_without_an_exchange_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.jsonl");
        drop(Transcript::to_file(&path).unwrap());
        assert!(!path.exists(), "it would block the next try");
    }
}
