//! The local journal of changes. The start and the end of each change, and of each of its steps,
//! are one line each, with the IDs of the keys. The journal contains no secrets, and only its owner
//! can read it.

use etcetera::{AppStrategy, AppStrategyArgs, choose_app_strategy};
use qkd_hal::{Error, ErrorKind, Key, KeyId, Result, text::json_text};
use qkd_keyflow::RollRecord;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::LazyLock,
    time::SystemTime,
};

/// Outcome in the line that records the start of a change or a step.
const BEGUN: &str = "begun";

/// Outcome in the line that records the end of a change that was applied.
const DONE: &str = "done";

/// Maximum length of a line, in bytes. The plan of a large switch has about 10,000.
const MAX_LINE: u64 = 1 << 20;

/// Maximum number of bytes that [`read`] reads, from the end of the journal.
const MAX_READ: u64 = 1 << 20;

/// ID of this run of the program, which each line contains: start time and process ID.
static INVOCATION: LazyLock<String> = LazyLock::new(|| {
    let now = humantime::format_rfc3339_millis(SystemTime::now());
    format!("{now}/{}", std::process::id())
});

/// Result of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The change was applied.
    Done,
    /// The change failed, or a signal interrupted it.
    Failed,
    /// The journal has no end of the change: the program was killed, or is still running.
    Unfinished,
}

/// A change, or a step of one, with its outcome.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Change {
    /// Start of the change (RFC 3339, UTC).
    pub(crate) begun_at: String,
    /// End of the change (RFC 3339, UTC); `None` if unfinished.
    pub(crate) ended_at: Option<String>,
    /// ID of the run of the program that made the change.
    pub(crate) invocation: String,
    pub(crate) user: String,
    /// URI of the device.
    pub(crate) device: String,
    pub(crate) operation: String,
    /// Arguments of the operation, such as the steps of a plan.
    pub(crate) detail: String,
    /// IDs of the keys that the change concerns.
    pub(crate) key_ids: Vec<String>,
    pub(crate) outcome: Outcome,
    /// Result as text; `None` if unfinished.
    pub(crate) message: Option<String>,
}

impl From<Line> for Change {
    fn from(line: Line) -> Self {
        Self {
            begun_at: line.at,
            ended_at: None,
            invocation: line.invocation,
            user: line.user,
            device: line.device,
            operation: line.operation,
            detail: line.detail,
            key_ids: line.key_ids,
            outcome: Outcome::Unfinished,
            message: None,
        }
    }
}

impl Change {
    /// Returns whether a line records the end of this change.
    fn is_ended_by(&self, line: &Line) -> bool {
        self.outcome == Outcome::Unfinished
            && (
                &self.invocation,
                &self.device,
                &self.operation,
                &self.detail,
            ) == (
                &line.invocation,
                &line.device,
                &line.operation,
                &line.detail,
            )
    }

    /// Takes outcome, time and keys from the line that records the end of this change.
    fn end(&mut self, line: Line) {
        self.outcome = if line.outcome == DONE || line.outcome.starts_with("done, after ") {
            Outcome::Done
        } else {
            Outcome::Failed
        };
        self.ended_at = Some(line.at);
        self.key_ids = line.key_ids;
        self.message = Some(line.outcome);
    }
}

/// Maximum number of changes without an end while the journal is read. Beyond it, the oldest is
/// returned as unfinished.
const MAX_OPEN: usize = 1000;

/// Returns the last changes for which `is_wanted` returns `true`, at most `max_count`, oldest
/// first, and the number of lines that could not be parsed. A missing journal counts as empty.
///
/// # Errors
/// `Internal` if the file cannot be read.
pub(crate) fn changes(
    max_count: usize,
    is_wanted: impl Fn(&Change) -> bool,
) -> Result<(Vec<Change>, u64)> {
    let Some(path) = path() else {
        return Ok((Vec::new(), 0));
    };
    let read_error = |e: std::io::Error| {
        Error::new(
            ErrorKind::Internal,
            format!("journal {}: {e}", path.display()),
        )
    };
    let mut file = match File::open(&path) {
        Ok(file) => BufReader::new(file),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(e) => return Err(read_error(e)),
    };
    let (mut kept, mut open) = (VecDeque::new(), VecDeque::<Change>::new());
    let mut keep = |change: Change| {
        if is_wanted(&change) {
            kept.push_back(change);
            if kept.len() > max_count {
                kept.pop_front();
            }
        }
    };
    let mut unreadable = 0;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = (&mut file)
            .take(MAX_LINE)
            .read_until(b'\n', &mut bytes)
            .map_err(read_error)?;
        if read == 0 {
            break;
        }
        let Ok(line) = serde_json::from_slice::<Line>(&bytes) else {
            unreadable += 1;
            continue;
        };
        if line.is_begun() {
            open.push_back(line.into());
            if open.len() > MAX_OPEN
                && let Some(oldest) = open.pop_front()
            {
                keep(oldest);
            }
        } else if let Some(index) = open.iter().rposition(|c| c.is_ended_by(&line))
            && let Some(mut change) = open.remove(index)
        {
            change.end(line);
            keep(change);
        }
    }
    open.into_iter().for_each(keep);
    let mut all = Vec::from(kept);
    all.sort_by(|a, b| a.begun_at.cmp(&b.begun_at));
    Ok((all, unreadable))
}

/// Returns the folders of this program; `None` if the user has no home directory.
pub(crate) fn dirs() -> Option<impl AppStrategy> {
    choose_app_strategy(AppStrategyArgs {
        top_level_domain: "org".to_owned(),
        author: "qkd-hal".to_owned(),
        app_name: "qkdctl".to_owned(),
    })
    .ok()
}

/// A line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Time of the line (RFC 3339, UTC).
    pub(crate) at: String,
    #[serde(default)]
    pub(crate) invocation: String,
    pub(crate) user: String,
    pub(crate) device: String,
    pub(crate) operation: String,
    pub(crate) detail: String,
    /// IDs of the keys that the change concerns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) key_ids: Vec<String>,
    /// `begun` at the start of a change; its result at the end, as of [`outcome`].
    pub(crate) outcome: String,
    /// A record of `qkd-keyflow`. That of another version is kept as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<serde_json::Value>,
}

impl Line {
    /// Returns the record of a roll; `None` if the line has none, or one that is not known.
    pub(crate) fn roll_record(&self) -> Option<RollRecord> {
        serde_json::from_value(self.record.clone()?).ok()
    }

    /// Returns whether the line records the start of a change, not its end.
    pub(crate) fn is_begun(&self) -> bool {
        self.outcome == BEGUN
    }
}

/// Returns the path of the journal: `QKDCTL_JOURNAL`, or a file in the state folder of the user.
fn path() -> Option<PathBuf> {
    std::env::var_os("QKDCTL_JOURNAL")
        .map(PathBuf::from)
        .or_else(|| Some(dirs()?.state_dir()?.join("journal.jsonl")))
}

/// A change, or a step of one, to record.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    device: String,
    operation: &'static str,
    detail: String,
    key_ids: Vec<String>,
    record: Option<RollRecord>,
}

impl Entry {
    pub(crate) fn new(
        device: impl ToString,
        operation: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            device: device.to_string(),
            operation,
            detail: detail.into(),
            key_ids: Vec::new(),
            record: None,
        }
    }

    /// Adds the record of a roll, from which an interrupted roll is finished.
    pub(crate) fn with_record<'a>(mut self, record: impl Into<Option<&'a RollRecord>>) -> Self {
        self.record = record.into().cloned();
        self
    }

    /// Adds the IDs of keys that the change concerns.
    pub(crate) fn with_keys<'a>(mut self, ids: impl IntoIterator<Item = &'a KeyId>) -> Self {
        self.key_ids
            .extend(ids.into_iter().map(ToString::to_string));
        self
    }

    /// Records the start of the change. Returns whether the line was written.
    pub(crate) fn begin(&self) -> bool {
        self.write(BEGUN.to_owned())
    }

    /// Records the end of the change. Returns whether the line was written.
    pub(crate) fn end(&self, outcome: String) -> bool {
        self.write(outcome)
    }

    /// Records that the change was made. Returns whether the line was written.
    pub(crate) fn end_done(&self) -> bool {
        self.write(DONE.to_owned())
    }

    /// Runs a change, and records its start and its outcome.
    pub(crate) async fn run<T>(self, change: impl Future<Output = Result<T>>) -> Result<T> {
        self.begin();
        let result = change.await;
        self.end(outcome(result.as_ref().err()));
        result
    }

    /// As [`run`](Self::run), for a change that takes keys: the line of the end has their IDs.
    pub(crate) async fn run_taking(
        self,
        taking: impl Future<Output = Result<Vec<Key>>>,
    ) -> Result<Vec<Key>> {
        self.begin();
        let result = taking.await;
        let taken = result.iter().flatten().map(Key::id);
        let mut ended = self;
        ended.key_ids.clear();
        ended.with_keys(taken).end(outcome(result.as_ref().err()));
        result
    }

    /// Without a home directory there is no journal, and nothing fails.
    fn write(&self, outcome: String) -> bool {
        let Some(path) = path() else { return true };
        let line = Line {
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            invocation: INVOCATION.clone(),
            user: nix::unistd::User::from_uid(nix::unistd::getuid())
                .ok()
                .flatten()
                .map_or_else(|| nix::unistd::getuid().to_string(), |u| u.name),
            device: self.device.clone(),
            operation: self.operation.to_owned(),
            detail: self.detail.clone(),
            key_ids: self.key_ids.clone(),
            outcome,
            record: self
                .record
                .as_ref()
                .and_then(|r| serde_json::to_value(r).ok()),
        };
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| {
                let mut file = File::options()
                    .read(true)
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .open(&path)?;
                let line = serde_json::to_string(&line)?;
                let before = if is_cut(&mut file) { "\n" } else { "" };
                let text = format!("{before}{}\n", json_text(&line));
                file.write_all(text.as_bytes())?;
                file.sync_data()
            });
        if let Err(error) = &written {
            tracing::warn!(%error, path = %path.display(), "the journal could not be written");
        }
        written.is_ok()
    }
}

/// Whether the last line of a file has no end, because it was not written in full. The next line
/// would be lost with it. A file that cannot be read, such as a pipe, counts as complete.
fn is_cut(file: &mut File) -> bool {
    let mut last = [b'\n'];
    let read = file
        .seek(SeekFrom::End(-1))
        .and_then(|_| file.read_exact(&mut last));
    read.is_ok() && last != *b"\n"
}

/// Returns the text of a result in the journal: `done`, or kind, message and effect of the error.
pub(crate) fn outcome(error: Option<&Error>) -> String {
    error.map_or_else(
        || DONE.to_owned(),
        |e| format!("{}: {}; {}", e.kind().name(), e.message(), e.effect()),
    )
}

/// Returns the lines in the last [`MAX_READ`] bytes of the journal, oldest first; empty if there is
/// no journal. Lines that cannot be parsed are omitted.
pub(crate) fn read() -> Vec<Line> {
    let text = path().and_then(|path| {
        let mut file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MAX_READ)))
            .ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_READ).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    });
    text.unwrap_or_default()
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
