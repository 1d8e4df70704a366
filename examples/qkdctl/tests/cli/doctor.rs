//! `qkdctl doctor`, on the machine of the test. What it finds of a machine that is made up is in
//! the unit tests.

use crate::bench::Bench;
use std::{fs::Permissions, os::unix::fs::PermissionsExt};

#[test]
fn the_failure_determines_the_exit_code() {
    let bench = Bench::new();
    let credentials = bench.private("credentials.toml", "[noc]\ncommunity = 'hunter22'\n");
    let found = |wanted: &str| {
        let run = bench
            .run(["doctor", "--output", "json", "--credentials", &credentials])
            .never_repeats("hunter22");
        let json = run.json();
        let findings = json["findings"].as_array().unwrap().clone();
        let any_failed = findings.iter().any(|f| f["grade"] == "fail");
        assert_eq!(run.code, i32::from(any_failed), "{run:#?}");
        assert!(
            findings
                .iter()
                .all(|f| f["grade"] == "ok" || f["todo"].is_string()),
            "what is not well comes with what to do: {findings:#?}"
        );
        findings.into_iter().find(|f| f["check"] == wanted).unwrap()
    };
    assert_eq!(found("credentials")["grade"], "ok");
    for check in [
        "serial port",
        "USB",
        "udev rules",
        "notifications",
        "inventory",
        "clock",
        "open files",
    ] {
        found(check);
    }
    std::fs::set_permissions(&credentials, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(found("credentials")["grade"], "fail");
    let table = bench
        .run(["doctor", "--credentials", &credentials])
        .exits(1)
        .expect_text("FAIL  credentials")
        .expect_text("chmod 600");
    assert!(
        !table.out.contains('\u{1b}'),
        "no colours over a pipe: {table:#?}"
    );
}
