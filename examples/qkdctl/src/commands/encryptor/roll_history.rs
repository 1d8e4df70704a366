//! Rolls of a pair that did not end, from the journal.

use crate::journal::{self, Line};
use qkd_hal::{DeviceUri, KeyId, encryptor::ChannelId};
use qkd_keyflow::{EncryptorPair, End, RollRecord};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The operation of a roll as a whole in the journal.
pub(super) const ROLL: &str = "roll";

/// Rolls that did not end: the program was killed, or a step failed.
#[derive(Debug, Serialize)]
pub(super) struct InterruptedRoll {
    /// When the first of them began, RFC 3339.
    pub(super) begun_at: String,
    /// The keys that they took.
    pub(super) key_ids: Vec<String>,
    /// Their steps in order.
    pub(super) steps: Vec<JournalStep>,
    #[serde(skip)]
    pub(super) records: Vec<RollRecord>,
}

/// A step of a roll that did not end.
#[derive(Debug, Serialize)]
pub(super) struct JournalStep {
    operation: String,
    device: String,
    /// Result of the step; `begun` if the journal contains none.
    outcome: String,
}

impl fmt::Display for JournalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.operation, self.device, self.outcome)
    }
}

/// The address of a device in the journal: its URI without parameters.
fn address(uri: &str) -> &str {
    uri.split('?').next().unwrap_or(uri)
}

fn detail_of(peer: &DeviceUri, channels: [&ChannelId; 2]) -> String {
    let peer = peer.to_string();
    format!(
        "with {}, channels {} and {}",
        address(&peer),
        channels[0],
        channels[1]
    )
}

fn channels(pair: &EncryptorPair) -> [&ChannelId; 2] {
    End::BOTH.map(|end| pair.end(end).channel())
}

/// The journal's detail of a roll of this pair.
pub(super) fn detail(uris: [&DeviceUri; 2], pair: &EncryptorPair) -> String {
    detail_of(uris[1], channels(pair))
}

/// Whether a line is of a roll of this pair; `Some(true)` if its near end is the far end of it.
fn is_swapped(line: &Line, uris: [&DeviceUri; 2], pair: &EncryptorPair) -> Option<bool> {
    let [near, far] = channels(pair);
    let is_of = |device: &DeviceUri, detail: String| {
        address(&line.device) == address(&device.to_string()) && line.detail == detail
    };
    if line.operation != ROLL {
        None
    } else if is_of(uris[0], detail_of(uris[1], [near, far])) {
        Some(false)
    } else {
        is_of(uris[1], detail_of(uris[0], [far, near])).then_some(true)
    }
}

/// The records of a line.
fn records(line: &Line, is_swapped: bool) -> Vec<RollRecord> {
    let taken = |id: &String| -> Option<RollRecord> {
        let key_id: KeyId = id.parse().ok()?;
        Some(RollRecord::Taken { key_id })
    };
    let mut all = Vec::new();
    if line.operation.starts_with("take-keys") {
        all.extend(line.key_ids.iter().filter_map(taken));
    }
    all.extend(line.roll_record());
    if is_swapped {
        all = all.into_iter().map(RollRecord::with_ends_swapped).collect();
    }
    all
}

/// Returns the rolls of this pair that did not end; `None` if the last one did.
pub(super) fn interrupted(uris: [&DeviceUri; 2], pair: &EncryptorPair) -> Option<InterruptedRoll> {
    let lines = journal::read();
    let (mut invocations, mut open) = (BTreeMap::new(), Vec::new());
    let mut open_records = Vec::new();
    for line in &lines {
        let whole = is_swapped(line, uris, pair);
        if let Some(is_swapped) = whole {
            invocations.insert(&line.invocation, is_swapped);
        }
        let Some(is_swapped) = invocations.get(&line.invocation) else {
            continue;
        };
        open.push(line);
        open_records.extend(records(line, *is_swapped));
        let has_ended = whole.is_some() && !line.is_begun();
        if has_ended && RollRecord::open_keys(&open_records).is_empty() {
            open.clear();
            open_records.clear();
        }
    }
    let begun_at = open.first()?.at.clone();
    let key_ids: BTreeSet<&String> = open.iter().flat_map(|line| &line.key_ids).collect();
    let mut steps: Vec<JournalStep> = Vec::new();
    for line in open.iter().filter(|line| line.operation != ROLL) {
        let device = address(&line.device);
        match steps.last_mut() {
            Some(step) if step.operation == line.operation && step.device == device => {
                step.outcome.clone_from(&line.outcome);
            }
            _ => steps.push(JournalStep {
                operation: line.operation.clone(),
                device: device.to_owned(),
                outcome: line.outcome.clone(),
            }),
        }
    }
    Some(InterruptedRoll {
        begun_at,
        key_ids: key_ids.into_iter().cloned().collect(),
        steps,
        records: open_records,
    })
}
