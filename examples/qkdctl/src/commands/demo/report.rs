//! The last chapter: the conformance suite over the testbed's wires, and the page that it writes.

use super::{log::DemoLog, testbed::Testbed};
use crate::{output::Output, progress::Progress};
use qkd_conformance::{
    Dut, RunObserver, RunOptions, Suite, Verdict, report,
    requirement::Impact,
    result::{CaseResult, Outcome, Run},
};
use qkd_hal::{Error, ErrorKind, Result};
use qkd_keyflow::find_channel;
use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

/// The page, among the reports that are written.
const PAGE: &str = "report.html";

/// No filter: all requirements.
const ALL_REQUIREMENTS: &[&str] = &[];
/// Without the line faults that this family needs seconds each to resynchronise from: a demo does
/// not wait for those.
const QUICK: &[&str] = &["DEV-0", "DEV-1", "DEV-2", "ENC", "SWI"];

/// Tested emulators (of a pair, its first end), with profile and cases.
const TESTED: [(&str, &str, &[&str]); 9] = [
    ("polatis-16x16", "matrix-switch", ALL_REQUIREMENTS),
    ("agiltron-ff", "one-by-n-switch", QUICK),
    ("agiltron-selfalign", "one-by-n-switch", ALL_REQUIREMENTS),
    ("etsi014-pair", "key-delivery", ALL_REQUIREMENTS),
    ("veriqloud-qline-pair", "qkd-module", ALL_REQUIREMENTS),
    ("packetlight-pair", "encryptor-forced", QUICK),
    (
        "nokia-sros-macsec-pair",
        "encryptor-slots",
        ALL_REQUIREMENTS,
    ),
    ("idq-quantis", "random-source", ALL_REQUIREMENTS),
    ("scte-hms-ab", "protection-switch", ALL_REQUIREMENTS),
];

/// Shows the progress to the user, and keeps the warnings for the end.
struct Screen {
    bar: Progress,
    warnings: Mutex<Vec<String>>,
}

impl RunObserver for Screen {
    fn total(&self, cases: usize) {
        self.bar.extend_by(cases);
    }
    fn ended(&self, _dut: &str, result: &CaseResult) {
        self.bar.step(&result.id);
    }
    fn warn(&self, line: &str) {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.to_owned());
    }
}

/// A device under test as a laboratory would write it down: by its URI, with what may be touched.
async fn dut(testbed: &Testbed, emulator: &str, profile: &str) -> Result<Dut> {
    let uri = testbed.uri(emulator, 0)?;
    let is_pair = emulator.ends_with("-pair");
    let mut dut = Dut {
        name: format!("{emulator}, emulated"),
        profile: profile.to_owned(),
        peer: if is_pair {
            Some(testbed.uri(emulator, 1)?)
        } else {
            None
        },
        impact: Impact::Destructive,
        accept: testbed.assumptions(&uri)?,
        ports: match profile {
            "matrix-switch" => vec![9, 10, 27, 28],
            "one-by-n-switch" => vec![2, 3, 4],
            _ => Vec::new(),
        },
        keys: true,
        generation: true,
        // The Agiltron link is resynchronised after 0.6 s of silence, which its deadline must
        // include.
        deadline: Some(
            if profile == "one-by-n-switch" {
                "2s"
            } else {
                "1s"
            }
            .to_owned(),
        ),
        uri: Some(uri),
        ..Dut::default()
    };
    if profile.starts_with("encryptor") {
        let encryptor = testbed.open(emulator, 0).await?.encryptor()?;
        dut.channel = Some(find_channel(&*encryptor, None).await?.0);
        encryptor.close().await?;
    }
    Ok(dut)
}

/// Runs the suite on the testbed, and writes its reports into a folder.
pub(super) async fn written(
    testbed: &Testbed,
    story: &mut DemoLog,
    output: Output,
    folder: &Path,
) -> Result<()> {
    story.section("The conformance suite on these devices, by their URIs, and its report");
    let suite = Suite::new(testbed.registry()).with_credentials(testbed.credentials());
    let mut ready = Vec::new();
    for (emulator, profile, only) in TESTED {
        match suite
            .ready(
                dut(testbed, emulator, profile).await?,
                Some(Impact::Destructive),
                None,
            )
            .await
        {
            Ok(one) => ready.push((
                [one],
                RunOptions {
                    only: only.iter().map(|id| (*id).to_owned()).collect(),
                    ..RunOptions::default()
                },
            )),
            Err(why) => story.check(false, why),
        }
    }
    let screen = Screen {
        bar: Progress::cases(output),
        warnings: Mutex::default(),
    };
    // Each device has a wire of its own, so parallel runs take no longer than the slowest.
    let runs = ready
        .iter()
        .map(|(one, request)| suite.run(one, request, &screen));
    let results = report::merge(futures::future::join_all(runs).await)
        .map_err(|e| Error::new(ErrorKind::Internal, e))?;
    let Screen { bar, warnings } = screen;
    drop(bar);
    for line in warnings
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        story.log(line);
    }
    for run in &results.runs {
        let verdict = run.verdict();
        story.check(
            matches!(verdict, Verdict::Conforms | Verdict::ConformsAsTested),
            line(run),
        );
    }
    let written = std::fs::create_dir_all(folder)
        .map_err(|e| format!("{}: {e}", folder.display()))
        .and_then(|()| report::write_all(&results, folder));
    match written {
        Ok(_) => {
            let page = folder.join(PAGE);
            story.check(
                page.exists(),
                format!(
                    "the report is written: {}",
                    std::path::absolute(&page).unwrap_or(page).display()
                ),
            );
        }
        Err(why) => story.check(false, format!("the report is not written: {why}")),
    }
    Ok(())
}

/// A run in a line; what does not hold, by its id.
fn line(run: &Run) -> String {
    let counts: Vec<String> = Outcome::ALL
        .iter()
        .map(|o| (*o, run.count(*o)))
        .filter(|(_, n)| *n > 0)
        .map(|(o, n)| format!("{n} {}", o.label()))
        .collect();
    let wrong: Vec<&str> = run
        .cases()
        .filter(|c| matches!(c.outcome, Outcome::Fail | Outcome::Error))
        .map(|c| c.id.as_str())
        .collect();
    let wrong = if wrong.is_empty() {
        String::new()
    } else {
        format!(": {}", wrong.join(", "))
    };
    format!(
        "{}: {}, in {:.1} s: {}{wrong}",
        run.dut,
        run.verdict().label().to_lowercase(),
        run.seconds,
        counts.join(", ")
    )
}
