//! Devices that allow less than others, and conform.

use qkd_conformance::{Dut, RunOptions, Suite, result::Outcome};
use std::path::Path;

#[test]
fn a_kme_that_delivers_one_key_per_request_conforms() {
    let file = "duts/limits/etsi014-one-key.toml";
    let dut = Dut::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let results = runtime.block_on(async {
        let suite = Suite::new(qkd_hardware::registry());
        let ready = suite.ready(dut, None, None).await.unwrap();
        suite.run(&[ready], &RunOptions::default(), &()).await
    });
    let run = &results.runs[0];
    let failed: Vec<_> = run
        .cases()
        .filter(|c| matches!(c.outcome, Outcome::Fail | Outcome::Error))
        .map(|c| format!("{}: {}", c.id, c.why))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let passed = |id: &str| {
        run.cases()
            .any(|c| c.id == id && c.outcome == Outcome::Pass)
    };
    for id in [
        "QKD-09/count-and-size",
        "QKD-11/pairing",
        "QKD-12/order",
        "QKD-18/too-many",
        "QKD-20/drop",
        "QKD-23/side-by-side",
        "QKD-25/spent",
        "QKD-26/random",
    ] {
        assert!(passed(id), "{id} has not passed");
    }
}

/// The refusal of a file for the emulated Polatis, and the exit code of the program.
fn refused(more: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dut.toml");
    let text = format!("profile = 'matrix-switch'\nemulator = 'polatis-16x16'\n{more}\n");
    std::fs::write(&file, text).unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_qkd-conform"))
        .args(["run", "dut.toml", "--only", "DEV-01"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        !folder
            .path()
            .join("conformance-report/journal.jsonl")
            .exists()
    );
    (run.status.code(), String::from_utf8(run.stderr).unwrap())
}

#[test]
fn a_file_that_names_what_the_device_has_not_is_refused() {
    for (more, says) in [
        ("ports = [1, 99]", "has no port `99`"),
        ("parameters = ['boot-mod']", "has no parameter `boot-mod`"),
        ("channel = '1'", "not an encryptor"),
        ("group = '1'", "no protection groups"),
        ("prots = [1]", "unknown field `prots`"),
        ("settings = { ports = '3' }", "settings"),
    ] {
        let (code, said) = refused(more);
        assert_eq!(code, Some(2), "{more}: {said}");
        assert!(says == "settings" || said.contains(says), "{more}: {said}");
    }
    let (code, said) = refused("ports = [1, 17]\nparameters = ['boot-mode']");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_uri_with_an_unknown_parameter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let uri = "polatis+tcp://127.0.0.1:1?colour=red";
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_qkd-conform"))
        .args(["run", "--uri", uri, "--profile", "matrix-switch"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(said.contains("no parameter `colour`"), "{said}");
}

/// Devices on which cases ended, in order.
#[derive(Default)]
struct CallOrder(std::sync::Mutex<Vec<String>>);

impl qkd_conformance::RunObserver for CallOrder {
    fn ended(&self, dut: &str, _result: &qkd_conformance::result::CaseResult) {
        self.0.lock().unwrap().push(dut.to_owned());
    }
}

#[test]
fn devices_on_their_wires_are_tested_side_by_side() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let order = CallOrder::default();
    let results = runtime.block_on(async {
        let suite = Suite::new(qkd_hardware::registry());
        let mut all = Vec::new();
        for name in ["first", "second"] {
            let dut = Dut {
                name: name.to_owned(),
                profile: "matrix-switch".to_owned(),
                emulator: Some("polatis-16x16".to_owned()),
                on_wire: true,
                ..Dut::default()
            };
            all.push(suite.ready(dut, None, None).await.unwrap());
        }
        let request = RunOptions {
            only: vec!["DEV-0".to_owned()],
            ..RunOptions::default()
        };
        suite.run(&all, &request, &order).await
    });
    let names: Vec<_> = results.runs.iter().map(|run| run.dut.as_str()).collect();
    assert_eq!(names, ["first", "second"], "in file order");
    let order = order.0.into_inner().unwrap();
    let first_of_second = order.iter().position(|name| name == "second").unwrap();
    let last_of_first = order.iter().rposition(|name| name == "first").unwrap();
    assert!(first_of_second < last_of_first, "{order:?}");
}
