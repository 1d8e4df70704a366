//! `qkdctl journal`: the changes that were tried on this account, and how they ended.

use crate::{
    cli::Journal,
    journal::{self, Change, Outcome},
    output::{self, Output},
    session::Session,
};
use qkd_hal::Result;
use serde_json::json;
use std::time::SystemTime;

pub(crate) fn run(session: &Session, output: Output, wanted: &Journal) -> Result<u8> {
    let device = wanted
        .device
        .as_deref()
        .map(|device| session.inventory.resolve(device))
        .transpose()?
        .map(|uri| address(&uri.to_string()).to_owned());
    let is_wanted = |change: &Change| {
        let begun =
            humantime::parse_rfc3339_weak(&change.begun_at).unwrap_or(SystemTime::UNIX_EPOCH);
        device
            .as_deref()
            .is_none_or(|device| address(&change.device) == device)
            && wanted
                .operation
                .as_ref()
                .is_none_or(|name| *name == change.operation)
            && wanted.since.is_none_or(|since| begun >= since)
            && wanted.until.is_none_or(|until| begun < until)
            && wanted
                .outcome
                .is_none_or(|outcome| outcome == change.outcome)
    };
    let most = usize::try_from(wanted.last).unwrap_or(usize::MAX);
    let (changes, unreadable) = journal::changes(most, is_wanted)?;
    let report = json!({"changes": changes, "unreadable_lines": unreadable});
    output::print(output, "journal", &report, || text(&changes, unreadable))?;
    Ok(0)
}

/// A URI without its parameters.
fn address(uri: &str) -> &str {
    uri.split('?').next().unwrap_or(uri)
}

fn text(changes: &[Change], unreadable: u64) -> String {
    let mut text = String::new();
    if changes.is_empty() {
        text.push_str("no change in the journal fits\n");
    }
    for change in changes {
        let outcome = match (change.outcome, change.message.as_deref()) {
            (Outcome::Unfinished, _) => "UNFINISHED: the journal has no end of this change",
            (_, message) => message.unwrap_or_default(),
        };
        let mut rows = vec![
            ("device", address(&change.device).to_owned()),
            ("change", change.detail.clone()),
            ("user", change.user.clone()),
            ("outcome", outcome.to_owned()),
        ];
        if !change.key_ids.is_empty() {
            rows.insert(2, ("keys", change.key_ids.join(", ")));
        }
        text.push_str(&format!("{} {}\n", change.begun_at, change.operation));
        text.push_str(&output::indented_pairs(2, &rows));
    }
    if unreadable > 0 {
        text.push_str(&format!(
            "{} could not be read\n",
            output::count(unreadable, "line of the journal", "lines of the journal")
        ));
    }
    text
}
