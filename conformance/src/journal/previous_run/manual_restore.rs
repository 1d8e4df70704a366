//! Instructions to restore manually what a journal contains and this program cannot restore.

use super::{Line, PreviousRun, Snapshot};
use qkd_hal::text::printable;
use std::fmt::Write;

/// Maximum number of characters of a text from a journal in a message.
const MAX_SHOWN: usize = 400;

/// Returns the suite of a journal whose lines have no digests, as older versions wrote it.
pub(super) fn unchained_suite(first_line: &str) -> Option<String> {
    match serde_json::from_str(first_line).ok()? {
        Line::Suite(of) => Some(of),
        _ => None,
    }
}

/// Returns the error text for a journal of another version: why it is not resumed, its snapshots,
/// and how to restore each.
pub(super) fn of_another_version(
    of: &str,
    suite: &str,
    entries: impl IntoIterator<Item = Line>,
) -> String {
    let mut text = format!(
        "`{}` wrote it, and this is `{suite}`: it is not resumed, since the cases may differ",
        printable(of, MAX_SHOWN)
    );
    let past = PreviousRun::of(entries);
    let mut changed = past
        .interrupted
        .iter()
        .filter(|(_, (_, all))| !all.is_empty())
        .peekable();
    if changed.peek().is_none() {
        text.push_str("\n  it left nothing changed: remove it, and run without --resume");
        return text;
    }
    for (dut, (case, all)) in changed {
        let _ = write!(
            text,
            "\n  `{}`: interrupted during {}; before that, the state was:",
            printable(dut, MAX_SHOWN),
            printable(case, MAX_SHOWN)
        );
        if let Some(identity) = past.devices.get(dut).and_then(|d| d.identity.as_ref()) {
            let _ = write!(
                text,
                "\n    of {}; check that this device responds at the address: qkdctl info DEVICE",
                printable(&identity.to_string(), MAX_SHOWN)
            );
        }
        for previous in all {
            let _ = write!(
                text,
                "\n    {}\n      {}",
                printable(&previous.to_string(), MAX_SHOWN),
                printable(&previous.by_hand(), MAX_SHOWN)
            );
        }
    }
    text.push_str(
        "\n  restore it with that version and --resume, or manually as above; then remove the \
         journal",
    );
    text
}

impl Snapshot {
    /// Returns instructions to restore it manually. `DEVICE` is the URI.
    #[must_use]
    pub fn by_hand(&self) -> String {
        match self {
            Self::Connections(paths) if paths == "dark" => {
                "qkdctl switch show DEVICE, then qkdctl switch apply DEVICE --disconnect PORT for \
                 each path that you did not make yourself"
                    .to_owned()
            }
            Self::Connections(paths) => format!(
                "qkdctl switch show DEVICE, then qkdctl switch apply DEVICE --connect {} for \
                 missing paths, and --disconnect PORT for additional ones",
                paths.replace(", ", ",")
            ),
            Self::Parameter(name, value) => format!("qkdctl set DEVICE {name}={value}"),
            Self::Protection {
                group,
                settings,
                active,
            } => format!(
                "qkdctl switch protect clear DEVICE --group {group}; protect force to {active} if \
                 another path is active; protect set DEVICE --group {group} {}",
                settings.join(" ")
            ),
            Self::Port(..) | Self::Monitor { .. } | Self::Attenuation { .. } => {
                "set it at the device, or with the vendor's tool".to_owned()
            }
            Self::Other(_) => "it cannot be restored: read the device's state".to_owned(),
        }
    }
}
