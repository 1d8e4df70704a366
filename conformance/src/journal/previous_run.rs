//! State of an earlier run, read from its journal.

mod manual_restore;

use super::{Line, Snapshot, chain::Chain};
use crate::result::{CaseResult, DeviceFacts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A device as recorded in the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevice {
    /// Identity; `None` if the device does not report one.
    pub identity: Option<DeviceFacts>,
    /// Ports that the file of the device allowed the run to change; empty if it named none.
    pub ports: Vec<u32>,
}

/// State of an earlier run according to its journal. Devices are named by [`crate::Dut::key`].
#[derive(Debug, Clone, Default)]
pub struct PreviousRun {
    /// Devices that were opened.
    pub devices: BTreeMap<String, KnownDevice>,
    /// Cases that ended, by device.
    pub ended: BTreeMap<String, Vec<CaseResult>>,
    /// By device: ID of the interrupted case, and the state of each item before its change.
    pub interrupted: BTreeMap<String, (String, Vec<Snapshot>)>,
}

impl PreviousRun {
    /// Whether no case began.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.interrupted.is_empty()
    }

    /// Reads complete lines of a journal. Returns the state, and the chain that the next line
    /// continues. `suite`: the suite that reads, as in [`Line::Suite`].
    ///
    /// # Errors
    /// Error text, if a line is not valid or another version of the suite wrote the journal.
    pub(super) fn read(text: &str, suite: &str) -> Result<(Self, Chain), String> {
        let mut lines = text.lines().enumerate();
        let mut chain = Chain::new();
        let Some((_, first_line)) = lines.next() else {
            return Err(
                "the journal is empty: the run was interrupted before its first entry; remove \
                 the file"
                    .to_owned(),
            );
        };
        let Some((Line::Suite(written_by), next)) = entry(&chain, first_line) else {
            return Err(match manual_restore::unchained_suite(first_line) {
                Some(written_by) => manual_restore::of_another_version(
                    &written_by,
                    suite,
                    text.lines()
                        .filter_map(|line| serde_json::from_str(line).ok()),
                ),
                None => "this is not a journal, or its first line is missing or was edited; \
                         nothing was restored: read the device's state and restore it manually"
                    .to_owned(),
            });
        };
        chain = next;
        let mut entries = Vec::new();
        for (n, line) in lines {
            let Some((line, next)) = entry(&chain, line) else {
                return Err(format!(
                    "line {} was edited, or lines before it were removed or added; nothing was \
                     restored: read the device's state and restore it manually",
                    n + 1
                ));
            };
            chain = next;
            entries.push(line);
        }
        if written_by != suite {
            return Err(manual_restore::of_another_version(
                &written_by,
                suite,
                entries,
            ));
        }
        Ok((Self::of(entries), chain))
    }

    /// Derives the state from these entries.
    pub(super) fn of(entries: impl IntoIterator<Item = Line>) -> Self {
        let mut state = Self::default();
        for line in entries {
            match line {
                Line::Suite(_) => {}
                Line::Device(dut, device) => {
                    state.devices.insert(dut, device);
                }
                Line::Begin(dut, case) => {
                    state.interrupted.insert(dut, (case, Vec::new()));
                }
                Line::Snapshot(dut, previous) => {
                    if let Some((_, snapshots)) = state.interrupted.get_mut(&dut) {
                        snapshots.push(previous);
                    }
                }
                Line::End(dut, result) => {
                    if state
                        .interrupted
                        .get(&dut)
                        .is_some_and(|(case, _)| *case == result.id)
                    {
                        state.interrupted.remove(&dut);
                    }
                    state.ended.entry(dut).or_default().push(*result);
                }
            }
        }
        state
    }
}

/// Returns the entry of a line, and the chain after it; `None` if digest or entry is invalid.
fn entry(chain: &Chain, line: &str) -> Option<(Line, Chain)> {
    let (entry, next) = chain.verify(line)?;
    Some((serde_json::from_str(entry).ok()?, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(entries: &[&str]) -> String {
        let mut chain = Chain::new();
        entries
            .iter()
            .map(|entry| {
                let (line, next) = chain.append(entry);
                chain = next;
                line
            })
            .collect()
    }

    const ENTRIES: [&str; 4] = [
        r#"{"suite":"qkd-conform 1"}"#,
        r#"{"device":["a",{"identity":null,"ports":[1,17]}]}"#,
        r#"{"begin":["a","SWI-08/x"]}"#,
        r#"{"snapshot":["a",{"connections":"1-17"}]}"#,
    ];

    #[test]
    fn an_interrupted_case_is_listed_with_its_changes() {
        let (state, _) = PreviousRun::read(&journal(&ENTRIES), "qkd-conform 1").unwrap();
        assert_eq!(
            state.interrupted["a"],
            (
                "SWI-08/x".to_owned(),
                vec![Snapshot::Connections("1-17".to_owned())]
            )
        );
        assert_eq!(state.devices["a"].ports, [1, 17]);
    }

    #[test]
    fn an_edited_journal_and_one_without_its_first_line_are_refused() {
        let text = journal(&ENTRIES);
        let edited = text.replace("1-17", "1-18");
        let error = PreviousRun::read(&edited, "qkd-conform 1").unwrap_err();
        assert!(error.contains("line 4 was edited"), "{error}");
        let truncated: String = text.split_inclusive('\n').skip(1).collect();
        let rechained = journal(&ENTRIES[1..]);
        for invalid in [truncated.as_str(), &rechained, "hello", "{}"] {
            let error = PreviousRun::read(invalid, "qkd-conform 1").unwrap_err();
            assert!(error.contains("first line is missing"), "{error}");
        }
        assert!(PreviousRun::read("", "x").unwrap_err().contains("is empty"));
    }

    #[test]
    fn a_journal_of_another_version_is_listed_with_commands_that_restore_it() {
        let unchained = ENTRIES.join("\n");
        for text in [&journal(&ENTRIES), &unchained] {
            let error = PreviousRun::read(text, "qkd-conform 2").unwrap_err();
            for part in [
                "`qkd-conform 1` wrote it, and this is `qkd-conform 2`",
                "`a`: interrupted during SWI-08/x",
                "connections 1-17",
                "qkdctl switch apply",
            ] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }
}
