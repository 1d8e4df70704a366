//! The conformance suite on a real device.

use qkd_conformance::{
    Dut, RunObserver, RunOptions, Suite, Verdict,
    requirement::Impact,
    result::{CaseResult, Outcome},
};
use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Cases that did not hold, or whose result the suite could not determine.
#[derive(Default)]
struct Failures(Mutex<Vec<String>>);

impl RunObserver for Failures {
    fn ended(&self, _: &str, result: &CaseResult) {
        if matches!(result.outcome, Outcome::Fail | Outcome::Error) {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(format!("{}: {}", result.id, result.why));
        }
    }
}

/// Runs all cases on a pair of devices, as the file in `conformance/duts/real` describes them, with
/// these addresses in place of its examples.
pub(crate) async fn run(file: &str, uris: &[String; 2]) -> Result<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/duts/real");
    let mut dut = Dut::read(&folder.join(file))?;
    dut.uri = Some(uris[0].clone());
    dut.peer = Some(uris[1].clone());
    dut.check()?;
    let begun = Instant::now();
    let suite = Suite::new(qkd_hardware::registry());
    let ready = suite.ready(dut, Some(Impact::Destructive), None).await?;
    let (request, failures) = (RunOptions::default(), Failures::default());
    ready.announcement(&request).await;
    ready.check(&request).map_err(|why| format!("{why:?}"))?;
    let results = suite.run(&[ready], &request, &failures).await;
    let failures = failures
        .0
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if !failures.is_empty() {
        return Err(format!(
            "{} cases of the suite do not pass: {}",
            failures.len(),
            failures.join("; ")
        ));
    }
    let run = results.runs.first().ok_or("the suite has no result")?;
    let verdict = run.verdict();
    if !matches!(verdict, Verdict::Conforms | Verdict::ConformsAsTested) {
        return Err(format!("the suite says `{}`", verdict.label()));
    }
    let passed = run.cases().filter(|case| case.outcome == Outcome::Pass);
    Ok(format!(
        "the suite says `{}`, {} of {} cases pass in {} s",
        verdict.label(),
        passed.count(),
        run.cases().count(),
        begun.elapsed().as_secs()
    ))
}
