//! Reading the journal of an earlier run.

use super::{Line, Snapshot, chain::Chain, manual_restore};
use crate::result::{CaseResult, DeviceFacts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A device as an earlier run knew it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevice {
    /// Its identity; `None` if the device does not report one.
    pub identity: Option<DeviceFacts>,
    /// Ports that its file allowed to be changed; empty if the file named none.
    pub ports: Vec<u32>,
}

/// State of an earlier run according to its journal. Devices are named by [`crate::Dut::key`].
#[derive(Debug, Clone, Default)]
pub struct PreviousRun {
    /// Devices that were opened.
    pub devices: BTreeMap<String, KnownDevice>,
    /// Cases that ended, by device.
    pub ended: BTreeMap<String, Vec<CaseResult>>,
    /// Interrupted case and the state of the items that it changed, by device.
    pub interrupted: BTreeMap<String, (String, Vec<Snapshot>)>,
}

impl PreviousRun {
    /// Whether no case began.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.interrupted.is_empty()
    }

    /// Reads whole lines, and returns the chain that the next line continues.
    pub(super) fn read(text: &str, suite: &str) -> Result<(Self, Chain), String> {
        let mut lines = text.lines().enumerate();
        let mut chain = Chain::new();
        let Some((_, head)) = lines.next() else {
            return Err(
                "the journal is empty: the run was interrupted before its first entry; remove \
                 the file"
                    .to_owned(),
            );
        };
        let Some((Line::Suite(of), next)) = entry(&chain, head) else {
            return Err(match manual_restore::unchained_suite(head) {
                Some(of) => manual_restore::of_another_version(
                    &of,
                    suite,
                    text.lines()
                        .filter_map(|line| serde_json::from_str(line).ok()),
                ),
                None => "this is not a journal, or its first line is missing or was edited; \
                         nothing was restored: read the device's state and restore it by hand"
                    .to_owned(),
            });
        };
        chain = next;
        let mut entries = Vec::new();
        for (n, line) in lines {
            let Some((line, next)) = entry(&chain, line) else {
                return Err(format!(
                    "line {} was edited, or lines before it were removed or added; nothing was \
                     restored: read the device's state and restore it by hand",
                    n + 1
                ));
            };
            chain = next;
            entries.push(line);
        }
        if of != suite {
            return Err(manual_restore::of_another_version(&of, suite, entries));
        }
        Ok((Self::of(entries), chain))
    }

    /// Reads the state from these entries.
    pub(super) fn of(entries: impl IntoIterator<Item = Line>) -> Self {
        let mut past = Self::default();
        for line in entries {
            match line {
                Line::Suite(_) => {}
                Line::Device(dut, device) => {
                    past.devices.insert(dut, device);
                }
                Line::Begin(dut, case) => {
                    past.interrupted.insert(dut, (case, Vec::new()));
                }
                Line::Snapshot(dut, previous) => {
                    if let Some((_, all)) = past.interrupted.get_mut(&dut) {
                        all.push(previous);
                    }
                }
                Line::End(dut, result) => {
                    if past
                        .interrupted
                        .get(&dut)
                        .is_some_and(|(case, _)| *case == result.id)
                    {
                        past.interrupted.remove(&dut);
                    }
                    past.ended.entry(dut).or_default().push(*result);
                }
            }
        }
        past
    }
}

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
        let (past, _) = PreviousRun::read(&journal(&ENTRIES), "qkd-conform 1").unwrap();
        assert_eq!(
            past.interrupted["a"],
            (
                "SWI-08/x".to_owned(),
                vec![Snapshot::Connections("1-17".to_owned())]
            )
        );
        assert_eq!(past.devices["a"].ports, [1, 17]);
    }

    #[test]
    fn an_edited_journal_and_one_without_its_head_are_refused() {
        let text = journal(&ENTRIES);
        let edited = text.replace("1-17", "1-18");
        let error = PreviousRun::read(&edited, "qkd-conform 1").unwrap_err();
        assert!(error.contains("line 4 was edited"), "{error}");
        let headless: String = text.split_inclusive('\n').skip(1).collect();
        let rechained = journal(&ENTRIES[1..]);
        for headless in [headless.as_str(), &rechained, "hello", "{}"] {
            let error = PreviousRun::read(headless, "qkd-conform 1").unwrap_err();
            assert!(error.contains("first line is missing"), "{error}");
        }
        assert!(PreviousRun::read("", "x").unwrap_err().contains("is empty"));
    }

    #[test]
    fn a_journal_of_another_version_is_shown_with_how_to_restore_by_hand() {
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
            assert!(!error.contains("begin anew"), "{error}");
        }
    }
}
