//! Text from devices and from files of others: nothing of it reaches a terminal or a file as it is.

use qkd_conformance::bundle;
use qkd_hal::text::is_misleading;
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output},
};

const HOSTILE: &str = "\u{1b}[2J\u{9b}1m\u{202e}\u{2066}\u{fffe}\u{7f}\0\nforged line";

fn conform(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qkd-conform"))
        .args(arguments)
        .env("QKD_CONFORM_LOG", "debug")
        .output()
        .unwrap()
}

#[track_caller]
fn assert_clean(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    let found = text
        .char_indices()
        .find(|(_, c)| *c != '\n' && is_misleading(*c));
    let place = found.map(|(at, c)| (c, text.get(at.saturating_sub(200)..at)));
    assert_eq!(place, None, "{what}");
}

/// Checks the output of a program.
#[track_caller]
fn assert_output(what: &str, output: &Output) {
    assert_clean(what, &output.stdout);
    assert_clean(what, &output.stderr);
    for text in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(text);
        assert!(
            !text.lines().any(|l| l.starts_with("forged")),
            "{what}: {text}"
        );
        assert!(text.lines().all(|l| l.chars().count() < 20_000), "{what}");
    }
}

/// Every file of a folder; how many there are.
#[track_caller]
fn assert_files(what: &str, folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).map_or_else(|_| Vec::new(), |f| f.collect());
    for file in &files {
        let path = file.as_ref().unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert_clean(&format!("{what}: {}", path.display()), &bytes);
    }
    files.len()
}

/// Three cases of what every device has keep the time short: who it is, its health, its parameters.
#[test]
fn hostile_text_of_a_device_is_cleaned_in_results_and_reports() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("duts/wire");
    let mut seen = String::new();
    for file in std::fs::read_dir(files).unwrap() {
        let file = file.unwrap().path();
        // It opens for a second each time, and its text is that of the others.
        if file.display().to_string().contains("thorlabs") {
            continue;
        }
        for spec in ["control:1", "marks:2", "bytes:3", "long"] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().display().to_string();
            let fault = format!("hostile-text={spec}");
            let file = file.display().to_string();
            let what = format!("{file} {spec}");
            let output = conform(&[
                "run", &file, "--fault", &fault, "--impact", "observe", "--out", &out, "--only",
                "DEV-01", "--only", "DEV-04",
            ]);
            assert_output(&what, &output);
            // Exit code 7: another device responds, so the run has no results.
            let written = if output.status.code() == Some(7) {
                0
            } else {
                4
            };
            assert_eq!(assert_files(&what, folder.path()), written, "{what}");
            let report = std::fs::read_to_string(folder.path().join("report.html"));
            seen += &report.unwrap_or_default();
            seen += &String::from_utf8_lossy(&output.stderr);
        }
    }
    assert!(
        seen.contains("\\x1b[2J"),
        "some of it is shown, made visible"
    );
}

/// The places of all strings of a document.
fn strings(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::String(_) => all.push(at.to_owned()),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate().take(1) {
                strings(item, &format!("{at}/{n}"), all);
            }
        }
        Value::Object(items) => {
            for (name, item) in items {
                strings(item, &format!("{at}/{name}"), all);
            }
        }
        _ => {}
    }
}

#[test]
fn hostile_results_and_bundles_are_cleaned_in_every_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let dut = Path::new(env!("CARGO_MANIFEST_DIR")).join("duts/polatis-16x16.toml");
    let (dut, made) = (dut.display().to_string(), path("made"));
    let output = conform(&["run", &dut, "--only", "DEV-01", "--out", &made]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(path("made/results.json")).unwrap();
    let clean: Value = serde_json::from_str(&text).unwrap();
    let key = bundle::key::generate().unwrap();
    let mut places = Vec::new();
    strings(&clean, "", &mut places);
    let (mut read, mut verified) = (0, 0);
    for place in &places {
        let mut results = clean.clone();
        let field = results.pointer_mut(place).unwrap();
        *field = Value::String(format!(
            "{}{HOSTILE}{}",
            field.as_str().unwrap(),
            "x".repeat(9000)
        ));
        let (file, out) = (path("hostile.json"), path("out"));
        // Another program wrote it, with as few escapes as JSON needs.
        let hostile = results.to_string();
        std::fs::write(&file, &hostile).unwrap();
        let output = conform(&["report", &file, "--out", &out]);
        assert_output(place, &output);
        read += usize::from(output.status.success());
        assert_files(place, Path::new(&out));
        let Ok(bytes) = bundle::write(&hostile, &key, &format!("today{HOSTILE}")) else {
            continue;
        };
        let bundle = path("hostile.qkdreport");
        std::fs::write(&bundle, bytes).unwrap();
        let output = conform(&["verify", &bundle]);
        assert_output(place, &output);
        // Complete, with a key whose owner is not verified.
        verified += usize::from(output.status.code() == Some(3));
    }
    assert!(places.len() >= 20, "{places:?}");
    assert!(read >= 10 && verified == read, "{read} {verified}");
}
