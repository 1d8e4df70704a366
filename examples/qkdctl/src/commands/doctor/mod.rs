//! `qkdctl doctor`: what this machine lacks. Reads only, and sends nothing.

mod files;
mod host;
mod notifications;
mod serial;
mod system;
mod udev;
mod usb;

use crate::{
    cli::Global,
    colour::{TextStyle, paint},
    inventory::Inventory,
    output, session,
};
use host::Host;
use qkd_driver_kit::link::usb_host;
use qkd_hal::{DeviceUri, Result};
use serde::Serialize;
use serde_json::json;
use std::time::SystemTime;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Grade {
    /// As it should be.
    Ok,
    /// Something will not work, or not well, if it is needed.
    Warn,
    /// Something that is there does not work.
    Fail,
}

/// A finding, with the recommended action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    grade: Grade,
    found: String,
    /// Recommended action; `None` if there is nothing to do.
    todo: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            grade: Grade::Ok,
            found: found.into(),
            todo: None,
        }
    }
    fn warn(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self {
            check,
            grade: Grade::Warn,
            found: found.into(),
            todo: Some(todo.into()),
        }
    }
    fn fail(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self {
            check,
            grade: Grade::Fail,
            found: found.into(),
            todo: Some(todo.into()),
        }
    }
}

pub(crate) async fn run(global: &Global) -> Result<u8> {
    let machine = Host::this();
    let registry = qkd_hardware::registry();
    let (credentials, inventory) = (
        session::credentials_file(global),
        session::inventory_file(global),
    );
    // A file that does not parse is a finding of its own.
    let known = inventory
        .as_deref()
        .and_then(|path| Inventory::read(path).ok())
        .unwrap_or_default();
    let uris: Vec<DeviceUri> = known
        .devices
        .values()
        .filter_map(|d| d.uri.parse().ok())
        .collect();
    let listed = tokio::task::spawn_blocking(usb_host::list)
        .await
        .unwrap_or_else(|_| Ok(Vec::new()));

    let mut findings = Vec::new();
    findings.extend(serial::check(&machine, &uris));
    findings.extend(usb::check(&machine, &registry, listed));
    findings.extend(udev::check(&machine));
    findings.push(notifications::check(&machine));
    findings.extend(files::check(
        credentials.as_deref(),
        inventory.as_deref(),
        &registry,
    ));
    findings.push(system::clock(&machine, SystemTime::now()));
    findings.push(system::open_files());
    let worst = findings.iter().map(|f| f.grade).max().unwrap_or(Grade::Ok);
    output::print(
        global.output(),
        "doctor",
        &json!({"worst": worst, "findings": findings}),
        || table(&findings),
    )?;
    Ok(u8::from(worst == Grade::Fail))
}

fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for f in findings {
        let (tone, word) = match f.grade {
            Grade::Ok => (TextStyle::Good, "ok  "),
            Grade::Warn => (TextStyle::Caution, "warn"),
            Grade::Fail => (TextStyle::Bad, "FAIL"),
        };
        text.push_str(&format!(
            "{}  {:width$}  {}\n",
            paint(tone, word),
            f.check,
            f.found
        ));
        if let Some(todo) = &f.todo {
            text.push_str(&format!("{:indent$}-> {todo}\n", "", indent = width + 8));
        }
    }
    let many = |grade| findings.iter().filter(|f| f.grade == grade).count();
    text.push_str(&format!(
        "\n{} ok, {} to look at, {} failed",
        many(Grade::Ok),
        many(Grade::Warn),
        many(Grade::Fail)
    ));
    text
}
