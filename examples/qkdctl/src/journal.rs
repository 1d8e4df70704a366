//! The local journal: one line for each change that was tried, and how it ended. Holds no secrets.

use etcetera::{AppStrategy, AppStrategyArgs, choose_app_strategy};
use qkd_hal::Result;
use serde::Serialize;
use std::{io::Write, path::PathBuf, time::SystemTime};

/// Where this program keeps its files.
pub(crate) fn dirs() -> Option<impl AppStrategy> {
    choose_app_strategy(AppStrategyArgs {
        top_level_domain: "org".to_owned(),
        author: "qkd-hal".to_owned(),
        app_name: "qkdctl".to_owned(),
    })
    .ok()
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    user: String,
    device: &'a str,
    operation: &'a str,
    detail: &'a str,
    outcome: String,
}

fn path() -> Option<PathBuf> {
    std::env::var_os("QKDCTL_JOURNAL")
        .map(PathBuf::from)
        .or_else(|| Some(dirs()?.state_dir()?.join("journal.jsonl")))
}

/// Writes down a change before it is tried, and its outcome after it.
pub(crate) async fn changing<T>(
    device: &str,
    operation: &str,
    detail: &str,
    change: impl Future<Output = Result<T>>,
) -> Result<T> {
    write(device, operation, detail, "begun".to_owned());
    let result = change.await;
    let outcome = match &result {
        Ok(_) => "done".to_owned(),
        Err(e) => format!(
            "{}: {}; {}",
            e.kind().name(),
            e.message(),
            e.effect_on_device()
        ),
    };
    write(device, operation, detail, outcome);
    result
}

fn write(device: &str, operation: &str, detail: &str, outcome: String) {
    let Some(path) = path() else { return };
    let line = Line {
        at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        user: nix::unistd::User::from_uid(nix::unistd::getuid())
            .ok()
            .flatten()
            .map_or_else(|| nix::unistd::getuid().to_string(), |u| u.name),
        device,
        operation,
        detail,
        outcome,
    };
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| {
            let mut file = std::fs::File::options()
                .append(true)
                .create(true)
                .open(&path)?;
            let mut text = serde_json::to_string(&line)?;
            text.push('\n');
            file.write_all(text.as_bytes())
        });
    if let Err(error) = written {
        tracing::warn!(%error, path = %path.display(), "the journal could not be written");
    }
}
