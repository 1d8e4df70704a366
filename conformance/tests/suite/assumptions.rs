//! Cases that rest on an assumption that was not accepted are not run, and a profile of another
//! kind of device is refused.

use crate::emulated;
use qkd_conformance::{Dut, Refusal, RunOptions, Suite, Verdict, result::Outcome};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_healthy_device_without_accepted_assumptions_does_not_fail() {
    let mut skipped = 0;
    for file in emulated() {
        let dut = Dut {
            accept: Vec::new(),
            ..Dut::read(&file).unwrap()
        };
        let name = dut.name.clone();
        let results = runtime().block_on(async {
            let suite = Suite::new(qkd_hardware::registry());
            let ready = suite.ready(dut, None, None).await.unwrap();
            suite.run(&[ready], &RunOptions::default(), &()).await
        });
        let wrong: Vec<_> = results.runs[0]
            .cases()
            .filter(|c| matches!(c.outcome, Outcome::Fail | Outcome::Error))
            .map(|c| format!("{}: {}", c.id, c.why))
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        assert!(results.verdict() < Verdict::Inconclusive, "{name}");
        skipped += results.runs[0]
            .cases()
            .filter(|c| c.outcome == Outcome::Disabled && c.why.contains("assumption"))
            .count();
    }
    assert!(skipped > 50, "{skipped}");
}

/// Before anything is sent where the driver opens no such device, and else before any case.
#[test]
fn a_profile_of_another_kind_of_device_is_refused() {
    for (uri, profile, says) in [
        (
            "polatis+tcp://127.0.0.1:1",
            "encryptor-slots",
            "is for devices of the kind encryptor",
        ),
        (
            "etsi014+https://127.0.0.1:1",
            "matrix-switch",
            "expected profile: ",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_qkd-conform"))
            .args(["run", "--uri", uri, "--profile", profile, "--out", "out"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(2), "{said}");
        assert!(
            said.contains(says) && !said.contains("no connection"),
            "{said}"
        );
        assert!(!folder.path().join("out/journal.jsonl").exists());
    }
    // Whether a PacketLight protects its lines is known once it is opened.
    let dut = Dut {
        name: "device".to_owned(),
        profile: "protection-switch".to_owned(),
        emulator: Some("packetlight-pair".to_owned()),
        settings: [("aps".to_owned(), toml::Value::from("false"))].into(),
        ..Dut::default()
    };
    runtime().block_on(async {
        let suite = Suite::new(qkd_hardware::registry());
        let ready = suite.ready(dut, None, None).await.unwrap();
        let request = RunOptions::default();
        ready.announcement(&request).await;
        let refusal = ready.check(&request).unwrap_err();
        assert!(matches!(refusal, Refusal::WrongKind(_)), "{refusal:?}");
        let results = suite.run(&[ready], &request, &()).await;
        assert_eq!(results.verdict(), Verdict::Inconclusive);
    });
}
