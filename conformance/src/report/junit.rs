//! `junit.xml`: for continuous integration. The mapping is in `docs/results.md`.

use super::wire::WireLog;
use crate::result::{Outcome, Results, Run};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// The JUnit report.
///
/// # Errors
/// If it could not be written as XML.
pub fn render(results: &Results) -> Result<String, String> {
    let mut report = Report::new(results.suite.name.as_str());
    report.set_time(duration(results.seconds));
    report.add_test_suites(results.runs.iter().map(|run| suite(results, run)));
    report.to_string().map_err(|e| format!("junit.xml: {e}"))
}

fn suite(results: &Results, run: &Run) -> TestSuite {
    let mut suite = TestSuite::new(run.dut.as_str());
    suite.set_time(duration(run.seconds));
    suite
        .extra
        .insert("timestamp".into(), results.begun.as_str().into());
    for (name, value) in [
        ("verdict", run.headline().as_str()),
        ("on", run.on.label()),
        ("profile", &run.profile),
        ("uri", &run.uri),
        (
            "driver",
            &format!("{} {}", run.driver.name, run.driver.version),
        ),
        ("allowed", run.allowed.name()),
        (
            "suite",
            &format!("{} {}", results.suite.name, results.suite.version),
        ),
        ("requirements", &results.suite.requirements),
    ] {
        suite.add_property(Property::new(name, value));
    }
    for requirement in &run.requirements {
        for case in &requirement.cases {
            let outcome = requirement.effective_outcome(case);
            let mut status = match outcome {
                Outcome::Pass => TestCaseStatus::success(),
                Outcome::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Outcome::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
                Outcome::Waived | Outcome::Disabled | Outcome::NotApplicable => {
                    TestCaseStatus::skipped()
                }
            };
            match outcome {
                Outcome::Pass => {}
                Outcome::Fail | Outcome::Error => {
                    status.set_message(case.why.as_str());
                    status.set_description(format!(
                        "{}\n{}\nSource: {}",
                        case.why, requirement.sentence, requirement.source
                    ));
                }
                Outcome::Waived => {
                    let deviation = run
                        .deviations
                        .iter()
                        .find(|d| d.requirement == requirement.id);
                    let accepted = deviation
                        .map(|d| format!(" (accepted until {}: {})", d.expires, d.reason))
                        .unwrap_or_default();
                    status.set_message(format!("waived: {}{accepted}", case.why));
                }
                Outcome::Disabled | Outcome::NotApplicable => {
                    status.set_message(format!("{}: {}", outcome.label(), case.why));
                }
            }
            let failed = matches!(case.outcome, Outcome::Fail | Outcome::Error);
            let mut test = TestCase::new(case.id.as_str(), status);
            test.set_classname(requirement.id.as_str())
                .set_time(duration(case.seconds));
            if failed && !case.transcript.is_empty() {
                test.set_system_out(
                    WireLog::marked(&case.transcript, case.failed_after, 400).lines(),
                );
            }
            suite.add_test_case(test);
        }
    }
    suite
}

/// Converts seconds of a result file, which may be invalid.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn outcomes_map_as_documented() {
        let results = sample::results();
        let read = Report::deserialize_from_str(&render(&results).unwrap()).unwrap();
        let suite = &read.test_suites[0];
        assert_eq!(
            (
                suite.name.as_str(),
                suite.failures,
                suite.errors,
                suite.skipped
            ),
            ("<script>alert(1)</script>", 2, 1, 3)
        );
        let cases: Vec<_> = results.runs[0].cases().collect();
        assert_eq!(suite.test_cases.len(), cases.len());
        for (test, case) in suite.test_cases.iter().zip(cases) {
            assert_eq!(test.name.as_str(), case.id);
            if let TestCaseStatus::NonSuccess { message, .. }
            | TestCaseStatus::Skipped { message, .. } = &test.status
            {
                assert!(
                    message.as_ref().unwrap().as_str().contains(&case.why),
                    "{message:?}"
                );
            }
        }
        assert!(suite.test_cases.iter().any(|t| {
            t.system_out
                .as_ref()
                .is_some_and(|o| o.as_str().contains("secret 64 bytes"))
        }));
    }
}
