//! Guarantees of the runner: impact checked against the exchanges, changes restored, deviations,
//! recordings, filters, resumption.

use crate::{emulated, mutant::Mutant};
use qkd_conformance::{
    Dut, Results, RunOptions, Suite, Verdict,
    journal::Journal,
    requirement::Impact,
    result::{Deviation, DeviationUse, Outcome, RequirementResult, Run},
};
use qkd_driver_kit::{Registry, transcript::Part};
use std::{path::Path, sync::Arc, sync::atomic::AtomicBool};

fn polatis() -> Dut {
    Dut::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("duts/polatis-16x16.toml")).unwrap()
}

fn only(ids: &[&str]) -> RunOptions {
    RunOptions {
        only: ids.iter().map(ToString::to_string).collect(),
        ..RunOptions::default()
    }
}

fn run(registry: Registry, dut: Dut, request: &RunOptions) -> Results {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let suite = Suite::new(registry);
        let ready = suite
            .ready(dut, None, request.journal.clone())
            .await
            .unwrap();
        suite.run(&[ready], request, &()).await
    })
}

fn of<'a>(run: &'a Run, id: &str) -> &'a RequirementResult {
    run.requirements.iter().find(|r| r.id == id).unwrap()
}

#[test]
fn a_case_that_observes_and_changes_something_is_an_error() {
    // Its health sets a parameter: what the case asks holds, and what it did must not be.
    let results = run(
        Mutant::registry("polatis", "DEV-13"),
        polatis(),
        &only(&["DEV-04"]),
    );
    let case = &of(&results.runs[0], "DEV-04").cases[0];
    assert_eq!(
        (case.outcome, case.impact),
        (Outcome::Error, Impact::Observe),
        "{case:?}"
    );
    assert!(case.why.contains("declared to observe"), "{}", case.why);
    assert_eq!(results.verdict(), Verdict::Inconclusive);
}

#[test]
fn a_state_that_cannot_be_restored_is_reported_with_the_previous_state() {
    let results = run(
        Mutant::registry("polatis", "put-back"),
        polatis(),
        &only(&["DEV-24"]),
    );
    let case = &of(&results.runs[0], "DEV-24").cases[0];
    assert_eq!(case.outcome, Outcome::Error, "{case:?}");
    assert!(
        case.why.contains("NOT RESTORED") && case.why.contains("boot-mode="),
        "{}",
        case.why
    );
}

#[test]
fn changes_of_a_panicked_case_are_restored() {
    let results = run(
        Mutant::registry("polatis", "panics"),
        polatis(),
        &only(&["DEV-24"]),
    );
    let case = &of(&results.runs[0], "DEV-24").cases[0];
    assert_eq!(case.outcome, Outcome::Fail, "{case:?}");
    assert!(
        case.why.contains("in the middle of a change") && case.put_back.contains("boot-mode="),
        "{case:?}"
    );
}

#[test]
fn a_device_that_was_left_changed_is_not_tested_further_and_is_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (request, results) = runtime.block_on(async {
        let emulator = qkd_emulators::profiles::start(
            "polatis-16x16",
            &qkd_emulators::profile::Options::default(),
        )
        .await
        .unwrap();
        let uri = emulator
            .ready()
            .uris
            .iter()
            .find(|uri| uri.contains("+tcp:"))
            .cloned();
        let emulated = polatis();
        let dut = Dut {
            emulator: None,
            uri,
            parameters: vec!["boot-mode".to_owned()],
            ..emulated
        };
        let journal = Journal::begin(&path, "this suite").unwrap();
        let request = RunOptions {
            journal: Some(journal.clone()),
            ..only(&["DEV-24", "DEV-25"])
        };
        let suite = Suite::new(Mutant::registry("polatis", "put-back"));
        let ready = suite
            .ready(dut, Some(Impact::Reversible), Some(journal))
            .await
            .unwrap();
        let results = suite.run(&[ready], &request, &()).await;
        (request, results)
    });
    let run = &results.runs[0];
    assert_eq!(
        (of(run, "DEV-24").outcome, of(run, "DEV-25").outcome),
        (Outcome::Error, Outcome::Disabled)
    );
    assert!(
        of(run, "DEV-25").cases[0]
            .why
            .contains("nothing more was done")
    );
    assert!(
        request
            .left_changed
            .load(std::sync::atomic::Ordering::Relaxed)
    );
    let (_, past) = Journal::resume(&path, "this suite").unwrap();
    let (case, previous) = &past.interrupted[&format!("{} at {}", run.dut, run.uri)];
    assert_eq!(
        (case.as_str(), previous.len()),
        ("DEV-24/written", 1),
        "{previous:?}"
    );
}

#[test]
fn the_ports_of_a_displaced_path_are_among_the_ports_of_the_plan() {
    // The switch is at one of its channels, which is not named: moving it would remove that path.
    for (ports, outcome) in [(vec![2], Outcome::Disabled), (vec![1, 2], Outcome::Pass)] {
        let dut = Dut {
            ports,
            ..Dut::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("duts/agiltron-ff.toml"))
                .unwrap()
        };
        let results = run(qkd_hardware::registry(), dut, &only(&["SWI-11/move"]));
        let cases = &of(&results.runs[0], "SWI-11").cases;
        let case = cases.iter().find(|c| c.id == "SWI-11/move").unwrap();
        assert_eq!(case.outcome, outcome, "{}", case.why);
    }
}

#[test]
fn a_deviation_waives_until_it_expires_and_an_unused_one_is_reported() {
    let deviation = |requirement: &str, expires: &str| Deviation {
        requirement: requirement.to_owned(),
        reason: "known, ticket 4711".to_owned(),
        expires: expires.to_owned(),
        used: DeviationUse::default(),
    };
    for (expires, outcome, used, verdict) in [
        (
            "2999-12-31",
            Outcome::Waived,
            DeviationUse::Waived,
            Verdict::ConformsAsTested,
        ),
        (
            "2020-01-01",
            Outcome::Fail,
            DeviationUse::Expired,
            Verdict::DoesNotConform,
        ),
    ] {
        let dut = Dut {
            deviations: vec![
                deviation("DEV-04", expires),
                deviation("DEV-01", "2999-12-31"),
            ],
            ..polatis()
        };
        let results = run(
            Mutant::registry("polatis", "DEV-04"),
            dut,
            &only(&["DEV-01", "DEV-04"]),
        );
        let run = &results.runs[0];
        assert_eq!(
            (of(run, "DEV-04").outcome, run.verdict()),
            (outcome, verdict),
            "{expires}"
        );
        assert_eq!(
            run.deviations.iter().map(|d| d.used).collect::<Vec<_>>(),
            [used, DeviationUse::NotNeeded]
        );
    }
}

#[test]
fn more_than_the_file_allows_is_refused_before_anything_is_sent() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dut = Dut {
        impact: Impact::Reversible,
        ..polatis()
    };
    let suite = Suite::new(qkd_hardware::registry());
    let error = runtime
        .block_on(suite.ready(dut, Some(Impact::Disruptive), None))
        .err()
        .unwrap();
    assert!(
        error.contains("disruptive was asked for, and its file allows reversible"),
        "{error}"
    );
    // Of a device, no more than to observe unless it is named.
    let device = Dut {
        name: "device".to_owned(),
        profile: "matrix-switch".to_owned(),
        uri: Some("polatis+tcp://127.0.0.1:1".to_owned()),
        impact: Impact::Destructive,
        ..Dut::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let results = runtime.block_on(async {
        suite
            .run(
                &[suite.ready(device, None, None).await.unwrap()],
                &RunOptions::default(),
                &(),
            )
            .await
    });
    assert_eq!(
        (results.runs[0].allowed, results.verdict()),
        (Impact::Observe, Verdict::Inconclusive),
        "no device responds, and that is not a pass"
    );
}

#[test]
fn a_recording_answers_for_the_device_and_a_changed_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    for file in emulated() {
        let dut = Dut::read(&file).unwrap();
        let mut results = run(
            qkd_hardware::registry(),
            Dut {
                impact: Impact::Observe,
                ..dut.clone()
            },
            &RunOptions::default(),
        );
        let path = folder.path().join("recording.json");
        let recording = Dut {
            name: results.runs[0].dut.clone(),
            profile: dut.profile.clone(),
            accept: dut.accept.clone(),
            deadline: dut.deadline.clone(),
            recording: Some(path.clone()),
            ..Dut::default()
        };
        std::fs::write(&path, serde_json::to_string(&results).unwrap()).unwrap();
        let replayed = run(
            qkd_hardware::registry(),
            recording.clone(),
            &RunOptions::default(),
        );
        let wrong: Vec<_> = replayed.runs[0]
            .cases()
            .filter(|c| matches!(c.outcome, Outcome::Fail | Outcome::Error))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", dut.name);
        let passed = replayed.runs[0].count(Outcome::Pass);
        assert!(passed >= 12, "{}: {passed}", dut.name);
        if dut.name == "Polatis 16×16, emulated" {
            // The recorded reply of the device was altered.
            for case in results.runs[0]
                .requirements
                .iter_mut()
                .filter(|r| r.id == "DEV-01")
                .flat_map(|r| &mut r.cases)
            {
                for part in case.transcript.iter_mut().flat_map(|r| &mut r.reply) {
                    if let Part::Text(text) = part {
                        *text = text.replace("Polatis", "Nobody");
                    }
                }
            }
            std::fs::write(&path, serde_json::to_string(&results).unwrap()).unwrap();
            let touched = run(qkd_hardware::registry(), recording, &only(&["DEV-01"]));
            assert_eq!(of(&touched.runs[0], "DEV-01").outcome, Outcome::Fail);
        }
    }
}

#[test]
fn an_interrupted_run_resumes_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let mut request = only(&["DEV-01", "DEV-02", "DEV-03"]);
    request.journal = Some(Journal::begin(&path, "this suite").unwrap());
    request.stop = Arc::new(AtomicBool::new(false));
    // The first half.
    let first = run(
        qkd_hardware::registry(),
        polatis(),
        &RunOptions {
            only: vec!["DEV-01".to_owned()],
            ..request.clone()
        },
    );
    assert_eq!(first.runs[0].count(Outcome::Pass), 1);
    assert!(
        Journal::begin(&path, "this suite")
            .unwrap_err()
            .contains("--resume")
    );
    assert!(
        Journal::resume(&path, "another suite")
            .unwrap_err()
            .contains("`this suite` wrote it")
    );
    // What was found before is taken over: even a failure, here put in its place.
    let (journal, mut past) = Journal::resume(&path, "this suite").unwrap();
    for result in past.ended.values_mut().flatten() {
        result.outcome = Outcome::Fail;
    }
    let second = run(
        qkd_hardware::registry(),
        polatis(),
        &RunOptions {
            journal: Some(journal),
            past,
            ..request
        },
    );
    let outcomes: Vec<_> = ["DEV-01", "DEV-02", "DEV-03"]
        .map(|id| of(&second.runs[0], id).outcome)
        .into();
    assert_eq!(outcomes, [Outcome::Fail, Outcome::Pass, Outcome::Pass]);
    assert_eq!(
        of(&second.runs[0], "DEV-05").outcome,
        Outcome::Disabled,
        "filtered out"
    );
}

/// One wire, and the device as the last word.
#[test]
fn the_fault_matrix_notices_a_driver_that_denies_a_change() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    for (breaks, says) in [
        ("SWI-17", "denies"),
        ("DEV-26", "next call fails"),
        ("DEV-32", "the call took"),
    ] {
        let cells = runtime
            .block_on(qkd_conformance::faults::run(
                &Mutant::registry("polatis", breaks),
                vec![polatis()],
            ))
            .unwrap();
        assert!(
            cells
                .iter()
                .flat_map(|c| &c.wrong)
                .any(|why| why.contains(says)),
            "{breaks}"
        );
    }
}

/// Whether a disconnected device conforms cannot be determined: this is not a failure.
#[test]
fn a_device_that_disappears_is_inconclusive_and_receives_no_more_requests() {
    struct PullsOut(std::sync::Mutex<Option<qkd_emulators::profile::RunningEmulator>>);
    impl qkd_conformance::RunObserver for PullsOut {
        fn ended(&self, _dut: &str, result: &qkd_conformance::result::CaseResult) {
            if result.id.starts_with("DEV-01") {
                self.0.lock().unwrap().take();
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let results = runtime.block_on(async {
        let emulator = qkd_emulators::profiles::start(
            "polatis-16x16",
            &qkd_emulators::profile::Options::default(),
        )
        .await
        .unwrap();
        let uri = emulator.ready().uris.first().cloned();
        let suite = Suite::new(qkd_hardware::registry());
        let ready = suite
            .ready(
                Dut {
                    emulator: None,
                    uri,
                    ..polatis()
                },
                None,
                None,
            )
            .await
            .unwrap();
        suite
            .run(
                &[ready],
                &only(&["DEV-01", "DEV-02", "DEV-03"]),
                &PullsOut(Some(emulator).into()),
            )
            .await
    });
    let run = &results.runs[0];
    let outcomes = ["DEV-01", "DEV-02", "DEV-03"].map(|id| of(run, id).outcome);
    assert_eq!(
        outcomes,
        [Outcome::Pass, Outcome::Error, Outcome::Disabled],
        "{:?}",
        run.cases().map(|c| &c.why).collect::<Vec<_>>()
    );
    assert!(
        of(run, "DEV-02").cases[0]
            .why
            .contains("does not answer any more")
            && of(run, "DEV-03").cases[0].why.contains("went away")
    );
    assert_eq!(run.verdict(), Verdict::Inconclusive);
}
