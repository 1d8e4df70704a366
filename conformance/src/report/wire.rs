//! Exchanges of a link, formatted for people.

use qkd_driver_kit::transcript::{Outcome, Part, Record};
use serde::Serialize;

/// A piece of a message: what kind of piece it is, and its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Piece {
    /// `text`, `hex`, or `note` for a description of bytes that are not shown.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

/// One formatted exchange.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Exchange {
    pub(crate) at: String,
    pub(crate) took: String,
    pub(crate) name: String,
    pub(crate) changes: bool,
    pub(crate) sent: Vec<Piece>,
    pub(crate) came: Vec<Piece>,
    /// Error of the exchange; empty if it succeeded.
    pub(crate) error: String,
    /// Whether the case failed on it.
    pub(crate) failing: bool,
}

/// A transcript, or the beginning and the end of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct WireLog {
    pub(crate) total: usize,
    pub(crate) first: Vec<Exchange>,
    /// Number of omitted exchanges between `first` and `last`.
    pub(crate) left_out: usize,
    pub(crate) last: Vec<Exchange>,
    /// Number of omitted exchanges after `last`.
    pub(crate) omitted_after: usize,
}

impl WireLog {
    /// Formats at most `first` exchanges from the beginning and `last` from the end, each message
    /// with at most about `bytes` bytes.
    pub(crate) fn of(records: &[Record], first: usize, last: usize, bytes: usize) -> Self {
        let total = records.len();
        let (first, last) = if total <= first + last {
            (total, 0)
        } else {
            (first, last)
        };
        let make = |records: &[Record]| records.iter().map(|r| exchange(r, bytes)).collect();
        Self {
            total,
            first: make(&records[..first]),
            left_out: total - first - last,
            last: make(&records[total - last..]),
            omitted_after: 0,
        }
    }

    /// Formats the exchanges of a case that failed after this number of exchanges: the last of them
    /// is marked, and shown with those around it.
    pub(crate) fn marked(records: &[Record], failed_after: Option<usize>, bytes: usize) -> Self {
        const FIRST: usize = 6;
        const EXCHANGES_BEFORE: usize = 12;
        const EXCHANGES_AFTER: usize = 12;
        let total = records.len();
        let Some(at) = failed_after
            .and_then(|n| n.checked_sub(1))
            .filter(|at| *at < total)
        else {
            return Self::of(records, 12, 24, bytes);
        };
        let shown = &records[..total.min(at + 1 + EXCHANGES_AFTER)];
        let last = (shown.len() - at + EXCHANGES_BEFORE).min(shown.len());
        let mut wire = Self::of(shown, FIRST, last, bytes);
        let from_end = shown.len() - 1 - at;
        let rows = if wire.last.is_empty() {
            &mut wire.first
        } else {
            &mut wire.last
        };
        let row = rows
            .len()
            .checked_sub(from_end + 1)
            .and_then(|n| rows.get_mut(n));
        if let Some(row) = row {
            row.failing = true;
        }
        wire.omitted_after = total - shown.len();
        wire.total = total;
        wire
    }

    /// As lines of text.
    pub(crate) fn lines(&self) -> String {
        let mut out = String::new();
        let text = |pieces: &[Piece]| {
            pieces
                .iter()
                .map(|p| p.text.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let mut add = |all: &[Exchange]| {
            for e in all {
                out.push_str(&format!(
                    "{}{} {}{} (took {}){}\n  > {}\n  < {}\n",
                    if e.failing { "FAILED HERE: " } else { "" },
                    e.at,
                    e.name,
                    if e.changes {
                        ", which may change the device"
                    } else {
                        ""
                    },
                    e.took,
                    if e.error.is_empty() {
                        String::new()
                    } else {
                        format!(": {}", e.error)
                    },
                    text(&e.sent),
                    text(&e.came)
                ));
            }
        };
        add(&self.first);
        if self.left_out > 0 {
            out.push_str(&format!("… {} more in results.json …\n", self.left_out));
            let rest = Self {
                total: self.last.len(),
                first: self.last.clone(),
                ..Self::default()
            };
            out.push_str(&rest.lines());
        }
        if self.omitted_after > 0 {
            out.push_str(&format!(
                "… {} more in results.json …\n",
                self.omitted_after
            ));
        }
        out
    }
}

fn exchange(record: &Record, bytes: usize) -> Exchange {
    Exchange {
        // Always in one unit and with full precision, because the values are listed in a column.
        at: format!("{:.3} ms", record.at_us as f64 / 1e3),
        took: super::seconds(record.took_us as f64 / 1e6),
        name: record.name.clone(),
        changes: record.changes,
        sent: pieces(&record.request, bytes),
        came: pieces(&record.reply, bytes),
        error: match &record.outcome {
            Outcome::Ok => String::new(),
            Outcome::Error(kind) => kind.clone(),
        },
        failing: false,
    }
}

/// The pieces of a message, until it becomes too long.
fn pieces(parts: &[Part], mut room: usize) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let count = |n: usize| {
        if n == 1 {
            "1 byte".to_owned()
        } else {
            format!("{n} bytes")
        }
    };
    for (i, part) in parts.iter().enumerate() {
        let (kind, text) = match part {
            Part::Text(text) => (
                "text",
                text.escape_default()
                    .to_string()
                    .replace("\\\"", "\"")
                    .replace("\\'", "'"),
            ),
            Part::Hex(hex) => ("hex", hex.clone()),
            Part::Secret(n) => ("note", format!("secret {}", count(*n))),
            Part::Length(n) => ("note", format!("{}, not recorded", count(*n))),
        };
        // The text is ASCII here, so any cut is between characters; hexadecimal as in a recording,
        // or as in an external file.
        let shown: String = text.chars().take(room.max(8)).collect();
        let cut = shown.len() < text.len();
        room = room.saturating_sub(shown.len());
        out.push(Piece { kind, text: shown });
        if cut || (room == 0 && i + 1 < parts.len()) {
            out.push(Piece {
                kind: "note",
                text: "more in results.json".to_owned(),
            });
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_part_reads_as_what_it_is() {
        let parts = [
            Part::Text("a\r\n\"b\"".into()),
            Part::Hex("0135".into()),
            Part::Secret(64),
            Part::Length(1),
        ];
        let texts: Vec<_> = pieces(&parts, 100).into_iter().map(|p| p.text).collect();
        assert_eq!(
            texts,
            [
                "a\\r\\n\"b\"",
                "0135",
                "secret 64 bytes",
                "1 byte, not recorded"
            ]
        );
        let long = pieces(&[Part::Text("x".repeat(1000)), Part::Secret(3)], 50);
        assert_eq!(
            (long.len(), long[0].text.len(), long[1].text.as_str()),
            (2, 50, "more in results.json")
        );
    }

    #[test]
    fn the_exchange_on_which_a_case_failed_is_marked_and_shown() {
        let record = |at_us| Record {
            at_us,
            link: "l".into(),
            name: "get".into(),
            changes: false,
            request: vec![],
            reply: vec![],
            outcome: Outcome::Ok,
            took_us: 1,
        };
        for total in 1..60 {
            let records: Vec<_> = (0..total as u64).map(record).collect();
            for failed_after in 1..=total {
                let wire = WireLog::marked(&records, Some(failed_after), 10);
                let at = format!("{:.3} ms", (failed_after - 1) as f64 / 1e3);
                let marked: Vec<_> = wire.first.iter().chain(&wire.last).collect();
                let marked: Vec<_> = marked.iter().filter(|e| e.failing).map(|e| &e.at).collect();
                assert_eq!(marked, [&at], "{failed_after} of {total}");
                let shown = wire.first.len() + wire.last.len();
                assert_eq!(shown + wire.left_out + wire.omitted_after, total);
                assert!(wire.lines().contains(&format!("FAILED HERE: {at}")));
            }
        }
        assert_eq!(WireLog::marked(&[], Some(1), 10).total, 0);
    }

    #[test]
    fn a_long_transcript_keeps_its_ends() {
        let record = |at_us| Record {
            at_us,
            link: "l".into(),
            name: "get".into(),
            changes: false,
            request: vec![],
            reply: vec![],
            outcome: Outcome::Ok,
            took_us: 1,
        };
        let records: Vec<_> = (0..100).map(record).collect();
        let wire = WireLog::of(&records, 3, 2, 10);
        assert_eq!(
            (
                wire.first.len(),
                wire.left_out,
                wire.last.len(),
                wire.last[1].at.as_str()
            ),
            (3, 95, 2, "0.099 ms")
        );
        assert!(wire.lines().contains("… 95 more in results.json …"));
        assert_eq!(WireLog::of(&records, 98, 2, 10).left_out, 0);
    }
}
