//! `report.html`: one page that needs nothing else, neither a network nor a script.

use super::{matrix, seconds, symbol, wire::WireLog};
use crate::{
    profile,
    result::{
        AssumptionFacts, CaseResult, Deviation, DeviationUse, Outcome, RequirementResult, Results,
        Run, SuiteInfo, TargetKind, Timing, Verdict,
    },
};
use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use qkd_hal::text::printable;
use serde::Serialize;

/// The page stays below this, in bytes, if showing fewer exchanges of passes makes it so.
const SIZE: usize = 1_000_000;
/// Maximum number of shown exchanges of a pass; fewer if the page would become too large.
const OF_A_PASS: [usize; 6] = [12, 8, 5, 3, 1, 0];

/// The page.
///
/// # Errors
/// If it could not be made, which is a defect of its template.
pub fn render(results: &Results) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let wrong = |e: minijinja::Error| format!("report.html: {e:#}");
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(wrong)?,
    );
    environment
        .add_template("report.html", include_str!("report.html"))
        .map_err(wrong)?;
    let template = environment.get_template("report.html").map_err(wrong)?;
    let mut page = String::new();
    for exchanges in OF_A_PASS {
        page = template
            .render(Serde(&Page::of(results, exchanges)))
            .map_err(wrong)?;
        if page.len() < SIZE {
            break;
        }
    }
    Ok(page)
}

/// Colour, symbol and text of a cell of the matrix, a verdict or a count.
#[derive(Serialize)]
struct Mark {
    class: &'static str,
    symbol: &'static str,
    words: &'static str,
}

impl From<Outcome> for Mark {
    fn from(outcome: Outcome) -> Self {
        let class = match outcome {
            Outcome::Pass => "good",
            Outcome::Fail => "bad",
            Outcome::Error | Outcome::Waived => "doubt",
            Outcome::Disabled | Outcome::NotApplicable => "none",
        };
        Self {
            class,
            symbol: symbol(outcome),
            words: outcome.label(),
        }
    }
}

impl From<Verdict> for Mark {
    fn from(verdict: Verdict) -> Self {
        let (class, symbol) = match verdict {
            Verdict::Conforms => ("good", "✓"),
            Verdict::ConformsAsTested => ("doubt", "◐"),
            Verdict::Inconclusive => ("doubt", "?"),
            Verdict::DoesNotConform => ("bad", "✗"),
        };
        Self {
            class,
            symbol,
            words: verdict.label(),
        }
    }
}

#[derive(Serialize)]
struct Page<'a> {
    css: &'static str,
    suite: &'a SuiteInfo,
    begun: &'a str,
    took: String,
    verdict: Mark,
    legend: Vec<Mark>,
    /// Every failure and error, a line each.
    failures: Vec<Line<'a>>,
    duts: Vec<Dut<'a>>,
    families: Vec<Family<'a>>,
}

#[derive(Serialize)]
struct Family<'a> {
    name: &'a str,
    /// Number and name of each device.
    columns: Vec<(usize, &'a str)>,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    sentence: &'a str,
    cells: Vec<Option<Cell>>,
}

/// Result of one requirement for one device.
#[derive(Serialize)]
struct Cell {
    mark: Mark,
    /// Where the page shows why.
    anchor: String,
}

/// A number, and the part of the page that shows what it counts.
type Count = (usize, String);

/// A failure in a line.
#[derive(Serialize)]
struct Line<'a> {
    mark: Mark,
    number: usize,
    device: &'a str,
    id: &'a str,
    /// Number of further cases that did not start for the same reason.
    more: usize,
    anchor: String,
    cause: String,
}

/// The longest cause of a line, in characters.
const MAX_CAUSE: usize = 160;

/// Where the page shows a case of a device.
fn anchor(number: usize, case: &str) -> String {
    format!("d{number}-{case}")
}

/// A device under test, as the page shows it.
#[derive(Serialize)]
struct Dut<'a> {
    number: usize,
    run: Facts<'a>,
    verdict: Mark,
    /// The verdict with how much was tested.
    headline: String,
    /// Injected faults, shown with the verdict; may be empty.
    faults: String,
    /// Whose the failures can be.
    whose: &'static str,
    /// Sentences with the verdict, the target, and what was not tested.
    says: Vec<String>,
    /// Number of requirements by outcome, and the part of the page that shows them.
    requirements: Vec<(Mark, usize, String)>,
    /// Of positive and of negative cases: a count for each outcome, and of all.
    cases: Vec<(&'static str, Vec<Count>, usize)>,
    failures: Vec<Failure<'a>>,
    waived: Vec<Failure<'a>>,
    deviations: Vec<(&'a Deviation, &'static str)>,
    /// Errors of cases that never began.
    never_began: Vec<Group<'a>>,
    not_run: Vec<Group<'a>>,
    timings: Option<Chart<'a>>,
    passes: Vec<Passed<'a>>,
    opening: WireLog,
}

/// Facts of a run, in words.
#[derive(Serialize)]
struct Facts<'a> {
    name: &'a str,
    /// Data of the device, the driver and the run: terms and definitions.
    lists: Vec<(&'static str, Vec<(&'static str, String)>)>,
    capabilities: &'a [(String, String)],
    assumptions: &'a [AssumptionFacts],
    unknowns: &'a [String],
    on: &'static str,
}

#[derive(Serialize)]
struct Failure<'a> {
    mark: Mark,
    case: Case<'a>,
    sentence: &'a str,
    source: &'a str,
    deviation: Option<&'a Deviation>,
}

/// A case without its transcript's weight.
#[derive(Serialize)]
struct Case<'a> {
    id: &'a str,
    title: &'a str,
    negative: bool,
    impact: &'static str,
    why: &'a str,
    put_back: &'a str,
    took: String,
    wire: WireLog,
}

impl<'a> Case<'a> {
    fn of(case: &'a CaseResult, first: usize, last: usize, bytes: usize) -> Self {
        Self {
            id: &case.id,
            title: &case.title,
            negative: case.negative,
            impact: case.impact.name(),
            why: &case.why,
            put_back: &case.put_back,
            took: seconds(case.seconds),
            wire: WireLog::of(&case.transcript, first, last, bytes),
        }
    }

    fn of_failure(case: &'a CaseResult) -> Self {
        Self {
            wire: WireLog::marked(&case.transcript, case.failed_after, 400),
            ..Self::of(case, 0, 0, 0)
        }
    }
}

/// Cases that ended so for one reason.
#[derive(Serialize)]
struct Group<'a> {
    mark: Mark,
    why: &'a str,
    cases: Vec<(&'a str, &'a str)>,
}

#[derive(Serialize)]
struct Passed<'a> {
    id: &'a str,
    sentence: &'a str,
    source: &'a str,
    cases: Vec<Case<'a>>,
}

/// Times on a logarithmic axis.
#[derive(Serialize)]
struct Chart<'a> {
    from: String,
    to: String,
    rows: Vec<Bar<'a>>,
}

#[derive(Serialize)]
struct Bar<'a> {
    operation: &'a str,
    calls: usize,
    p50: String,
    p99: String,
    max: String,
    /// Per cent of the axis.
    p50_at: f64,
    p99_at: f64,
}

impl<'a> Page<'a> {
    fn of(results: &'a Results, exchanges: usize) -> Self {
        let families = matrix::families(results)
            .into_iter()
            .map(|family| Family {
                name: family.name,
                columns: family
                    .runs
                    .iter()
                    .map(|(i, run)| (i + 1, run.dut.as_str()))
                    .collect(),
                rows: family
                    .rows
                    .into_iter()
                    .map(|(r, found)| Row {
                        id: &r.id,
                        sentence: &r.sentence,
                        cells: found
                            .into_iter()
                            .zip(&family.runs)
                            .map(|(r, (i, _))| r.map(|r| cell(i + 1, r)))
                            .collect(),
                    })
                    .collect(),
            })
            .collect();
        Self {
            css: include_str!("report.css"),
            suite: &results.suite,
            begun: &results.begun,
            took: seconds(results.seconds),
            verdict: results.verdict().into(),
            legend: Outcome::ALL.into_iter().map(Mark::from).collect(),
            failures: lines(results),
            duts: results
                .runs
                .iter()
                .enumerate()
                .map(|(i, run)| Dut::of(i + 1, run, exchanges))
                .collect(),
            families,
        }
    }
}

/// The cell of a requirement; it leads to the first case that made it end so.
fn cell(number: usize, requirement: &RequirementResult) -> Cell {
    let decisive = requirement
        .cases
        .iter()
        .find(|c| requirement.effective_outcome(c) == requirement.outcome)
        .or(requirement.cases.first());
    Cell {
        mark: requirement.outcome.into(),
        anchor: decisive.map_or_else(|| format!("d{number}"), |c| anchor(number, &c.id)),
    }
}

fn lines(results: &Results) -> Vec<Line<'_>> {
    let mut all: Vec<Line<'_>> = Vec::new();
    for (i, run) in results.runs.iter().enumerate() {
        for requirement in &run.requirements {
            for case in &requirement.cases {
                let outcome = requirement.effective_outcome(case);
                if matches!(outcome, Outcome::Fail | Outcome::Error) {
                    let cause = printable(&case.why, MAX_CAUSE).into_owned();
                    // A device that is not there is one line.
                    if never_began(case)
                        && let Some(same) = all
                            .iter_mut()
                            .find(|l| l.number == i + 1 && l.cause == cause)
                    {
                        same.more += 1;
                        continue;
                    }
                    all.push(Line {
                        mark: outcome.into(),
                        number: i + 1,
                        device: &run.dut,
                        id: &case.id,
                        anchor: anchor(i + 1, &case.id),
                        more: 0,
                        cause,
                    });
                }
            }
        }
    }
    // Failures precede undetermined results.
    all.sort_by_key(|line| line.mark.class != "bad");
    all
}

/// The part of a device's section that shows the cases that ended so.
fn part(number: usize, outcome: Outcome) -> String {
    let part = match outcome {
        Outcome::Pass => "passes",
        Outcome::Fail | Outcome::Error => "failures",
        Outcome::Waived => "deviations",
        Outcome::Disabled | Outcome::NotApplicable => "not-run",
    };
    format!("d{number}-{part}")
}

impl<'a> Dut<'a> {
    fn of(number: usize, run: &'a Run, exchanges: usize) -> Self {
        let failure = |requirement: &'a RequirementResult, case: &'a CaseResult| Failure {
            mark: requirement.effective_outcome(case).into(),
            case: Case::of_failure(case),
            sentence: &requirement.sentence,
            source: &requirement.source,
            deviation: run
                .deviations
                .iter()
                .find(|d| d.requirement == requirement.id && d.used == DeviationUse::Waived),
        };
        let of = |outcomes: &'static [Outcome]| {
            let all = run
                .requirements
                .iter()
                .flat_map(|r| r.cases.iter().map(move |c| (r, c)));
            all.filter(|(r, c)| outcomes.contains(&r.effective_outcome(c)) && !never_began(c))
                .map(|(r, c)| failure(r, c))
                .collect::<Vec<_>>()
        };
        Self {
            number,
            run: Facts::of(run),
            verdict: run.verdict().into(),
            headline: run.headline(),
            faults: run.faults.join(", "),
            whose: whose(run),
            says: summary(run),
            requirements: Outcome::ALL
                .into_iter()
                .map(|o| (o.into(), run.count(o), part(number, o)))
                .collect(),
            cases: [("Positive", false), ("Negative", true)]
                .into_iter()
                .map(|(what, negative)| {
                    let of: Vec<_> = run
                        .requirements
                        .iter()
                        .flat_map(|r| {
                            r.cases
                                .iter()
                                .filter(|c| c.negative == negative)
                                .map(|c| r.effective_outcome(c))
                        })
                        .collect();
                    (
                        what,
                        Outcome::ALL
                            .into_iter()
                            .map(|o| (of.iter().filter(|c| **c == o).count(), part(number, o)))
                            .collect(),
                        of.len(),
                    )
                })
                .collect(),
            failures: of(&[Outcome::Fail, Outcome::Error]),
            waived: of(&[Outcome::Waived]),
            deviations: run.deviations.iter().map(|d| (d, used(d.used))).collect(),
            never_began: groups(run, never_began),
            not_run: groups(run, |c| {
                matches!(c.outcome, Outcome::Disabled | Outcome::NotApplicable)
            }),
            timings: (run.on.has_wall_time() && !run.timings.is_empty())
                .then(|| Chart::of(&run.timings)),
            passes: run
                .requirements
                .iter()
                .filter_map(|r| {
                    let cases: Vec<_> = r
                        .cases
                        .iter()
                        .filter(|c| c.outcome == Outcome::Pass)
                        .map(|c| Case::of(c, exchanges, 0, 120))
                        .collect();
                    (!cases.is_empty()).then(|| Passed {
                        id: &r.id,
                        sentence: &r.sentence,
                        source: &r.source,
                        cases,
                    })
                })
                .collect(),
            opening: WireLog::of(&run.opening, 12, 0, 120),
        }
    }
}

impl<'a> Facts<'a> {
    fn of(run: &'a Run) -> Self {
        let title = profile::find(&run.profile).map_or(String::new(), |p| format!(": {}", p.title));
        let text =
            |text: &Option<String>| text.clone().unwrap_or_else(|| "not reported".to_owned());
        let mut device_list = vec![
            ("What answered", run.on.label().to_owned()),
            ("URI", run.uri.clone()),
        ];
        device_list.extend(run.peer.clone().map(|peer| ("URI of the far end", peer)));
        match &run.device {
            Some(device) => device_list.extend([
                ("Vendor", device.vendor.clone()),
                ("Model", text(&device.model)),
                ("Serial number", text(&device.serial)),
                ("Firmware", text(&device.firmware)),
            ]),
            None => device_list.push((
                "Identity",
                "not reported: the device has no identity, or could not be opened".to_owned(),
            )),
        }
        let driver = &run.driver;
        let driver_list = vec![
            (
                "Driver",
                format!(
                    "{} {}, for {} by {}",
                    driver.name, driver.version, driver.family, driver.vendor
                ),
            ),
            (
                "Maturity of the driver before this run",
                driver.maturity.clone(),
            ),
        ];
        let run_list = vec![
            ("Profile", format!("{}{title}", run.profile)),
            (
                "Allowed impact",
                format!("{}: {}", run.allowed, run.allowed.meaning()),
            ),
            (
                "What might be touched",
                run.scope.clone().unwrap_or_else(|| {
                    match run.on {
                        TargetKind::EmulatorInMemory | TargetKind::EmulatorOnWire => {
                            "all of the emulator"
                        }
                        TargetKind::Recording | TargetKind::Device => {
                            "no port and no channel: the file names none"
                        }
                    }
                    .to_owned()
                }),
            ),
            (
                "Injected faults",
                if run.faults.is_empty() {
                    "none".to_owned()
                } else {
                    run.faults.join(", ")
                },
            ),
            ("Time taken (wall time)", seconds(run.seconds)),
        ];
        Self {
            name: &run.dut,
            lists: vec![
                ("The device", device_list),
                ("The driver", driver_list),
                ("The run", run_list),
            ],
            capabilities: &run.capabilities,
            assumptions: &driver.assumptions,
            unknowns: &driver.unknowns,
            on: run.on.label(),
        }
    }
}

/// Whose a failure of a run can be.
fn whose(run: &Run) -> &'static str {
    match (run.on, run.faults.is_empty()) {
        (TargetKind::EmulatorInMemory | TargetKind::EmulatorOnWire, true) => {
            "No device was there: a failure is the driver's, the emulator's or the suite's."
        }
        (TargetKind::EmulatorInMemory | TargetKind::EmulatorOnWire, false) => {
            "No device was there, and faults were injected: a failure is theirs first, then the \
             driver's."
        }
        (TargetKind::Recording, _) => {
            "The replies are those of the recording: a failure is the driver's, which reads them \
             otherwise than before."
        }
        (TargetKind::Device, _) => {
            "A failure is the device's or the driver's: the marked exchange shows what the device \
             replied. A reply that breaks the device's protocol is the device's; a right reply \
             that was taken wrongly is the driver's."
        }
    }
}

/// Returns the meaning of the verdict of a run as sentences.
fn summary(run: &Run) -> Vec<String> {
    let total = run.requirements.len();
    let applicable = run
        .cases()
        .filter(|c| c.outcome != Outcome::NotApplicable)
        .count();
    let not_run = run
        .cases()
        .filter(|c| c.outcome == Outcome::Disabled || never_began(c))
        .count();
    let mut out = vec![match run.verdict() {
        Verdict::Conforms => {
            "Every requirement of its profile that applies was tested, and holds.".to_owned()
        }
        Verdict::ConformsAsTested => {
            "What was tested holds. Something that applies was not tested.".to_owned()
        }
        Verdict::Inconclusive if run.interrupted => {
            "The run was interrupted; no completed case has failed.".to_owned()
        }
        Verdict::Inconclusive => "No completed case has failed, but some results could not be \
                                  determined, or no case ran."
            .to_owned(),
        Verdict::DoesNotConform => {
            let n = run.count(Outcome::Fail);
            format!(
                "Of {total} requirements, {n} {} not hold.",
                if n == 1 { "does" } else { "do" }
            )
        }
    }];
    out.push(
        match run.on {
            TargetKind::EmulatorInMemory => {
                "Tested on an emulator of this project, in memory, under virtual time. That tests \
                 the driver against public facts. The result holds for no real device."
            }
            TargetKind::EmulatorOnWire => {
                "Tested on an emulator of this project, over a real wire. That tests the driver \
                 and its link. The result holds for no real device."
            }
            TargetKind::Recording => {
                "Tested on a recording of an earlier run: the driver still reads what was \
                 recorded. No device was there."
            }
            TargetKind::Device => {
                "Tested on the target at this address: a device or an emulator. The suite cannot \
                 distinguish them; the signer of this report is responsible for this statement."
            }
        }
        .to_owned(),
    );
    out.push(match not_run {
        0 => format!("All {applicable} cases that apply ran."),
        n => format!(
            "Of {applicable} cases that may apply, {n} did not run; the reasons are listed below."
        ),
    });
    if run.interrupted && run.verdict() != Verdict::Inconclusive {
        out.push("The run was ended before its end.".to_owned());
    }
    out
}

fn used(used: DeviationUse) -> &'static str {
    match used {
        DeviationUse::NotNeeded => "not needed: its requirement did not fail in this run",
        DeviationUse::Waived => "in force: it waived a failure",
        DeviationUse::Expired => "expired: the failure counts",
    }
}

/// Groups cases for which `wanted` returns true by reason; those that did not run precede those
/// that do not apply, the largest group first.
fn groups(run: &Run, wanted: impl Fn(&CaseResult) -> bool) -> Vec<Group<'_>> {
    let mut groups: Vec<(Outcome, Group<'_>)> = Vec::new();
    for case in run.cases().filter(|c| wanted(c)) {
        let entry = (case.id.as_str(), case.title.as_str());
        match groups
            .iter_mut()
            .find(|(outcome, group)| *outcome == case.outcome && group.why == case.why)
        {
            Some((_, group)) => group.cases.push(entry),
            None => groups.push((
                case.outcome,
                Group {
                    mark: case.outcome.into(),
                    why: &case.why,
                    cases: vec![entry],
                },
            )),
        }
    }
    groups.sort_by_key(|(outcome, group)| {
        (
            *outcome == Outcome::NotApplicable,
            std::cmp::Reverse(group.cases.len()),
        )
    });
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Returns whether a case failed before anything was sent, as when the device does not respond:
/// then many cases have one reason.
fn never_began(case: &CaseResult) -> bool {
    case.outcome == Outcome::Error && case.transcript.is_empty()
}

impl<'a> Chart<'a> {
    /// The axis covers all times, from a power of ten to another.
    fn of(timings: &'a [Timing]) -> Self {
        // Below one microsecond, the clock has no meaning.
        let power = |s: f64| s.max(1e-6).log10();
        let low = timings
            .iter()
            .map(|t| power(t.p50))
            .fold(f64::INFINITY, f64::min)
            .floor();
        let high = timings
            .iter()
            .map(|t| power(t.p99))
            .fold(f64::NEG_INFINITY, f64::max)
            .ceil()
            .max(low + 1.0);
        let at = |s: f64| (((power(s) - low) / (high - low)) * 1000.0).round() / 10.0;
        Self {
            from: seconds(10f64.powf(low)),
            to: seconds(10f64.powf(high)),
            rows: timings
                .iter()
                .map(|t| Bar {
                    operation: &t.operation,
                    calls: t.calls,
                    p50: seconds(t.p50),
                    p99: seconds(t.p99),
                    max: seconds(t.max),
                    p50_at: at(t.p50),
                    p99_at: at(t.p99),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn all_text_is_escaped_and_nothing_is_loaded() {
        let page = render(&sample::results()).unwrap();
        assert!(!page.contains("<script"), "unescaped");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"));
        // Every field with the hostile text appears in the page: none was omitted, or escaped
        // twice.
        assert!(page.matches("&lt;script&gt;").count() > 100 && !page.contains("&amp;lt;"));
        for load in [
            "http:", "https:", "src=", "<link", "@import", "url(", "<iframe", "<img",
        ] {
            assert!(!page.contains(load), "{load}");
        }
        for needed in [
            "<html lang=\"en\">",
            "<meta name=\"viewport\"",
            "<caption>",
            "prefers-color-scheme: dark",
            "@media print",
            "<h1>",
        ] {
            assert!(page.contains(needed), "{needed}");
        }
    }

    #[test]
    fn the_page_shows_every_failure_and_verdict() {
        let results = sample::results();
        let page = render(&results).unwrap();
        for run in &results.runs {
            assert!(page.contains(&run.headline()), "{}", run.headline());
            for case in run.cases() {
                // Slashes are escaped too.
                assert!(
                    page.contains(&case.id.replace('/', "&#x2f;")),
                    "{}",
                    case.id
                );
                let why = format!("why of {} &amp; ", case.id.replace('/', "&#x2f;"));
                assert!(
                    case.outcome == Outcome::Pass || page.contains(&why),
                    "{why}"
                );
            }
        }
        for text in [
            "reason for DEV-02",
            "2027-03-31",
            "expired: the failure counts",
            "not needed",
            "secret 64 bytes",
            "7 bytes, not recorded",
            "18 more in results.json",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert!(
            page.contains("Times in memory are virtual"),
            "the second run was in memory"
        );
    }

    #[test]
    fn a_missing_device_is_reported_once() {
        let mut results = sample::results();
        let why = "the device could not be opened: no reply";
        for case in results.runs[1]
            .requirements
            .iter_mut()
            .flat_map(|r| &mut r.cases)
        {
            (case.outcome, case.why) = (Outcome::Error, why.to_owned());
            case.transcript.clear();
        }
        let page = render(&results).unwrap();
        // Beside the one line of each case.
        assert_eq!(page.matches(&format!("<p class=\"why\">{why}")).count(), 1);
        assert!(page.contains("RNG-01&#x2f;one"));
    }

    #[test]
    fn every_cell_count_and_line_leads_to_its_evidence() {
        let page = render(&sample::results()).unwrap();
        let ids: Vec<&str> = page
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "each ID is used once");
        let targets: Vec<&str> = page
            .split("href=\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(targets.len() > 30, "{}", targets.len());
        for target in targets {
            assert!(ids.contains(&target), "{target}");
        }
        assert!(page.contains("<tr class=\"failing\">"));
        let failures = page.find("id=\"failures\"").unwrap();
        assert!(
            failures < page.find("id=\"matrix\"").unwrap(),
            "failures come first"
        );
    }

    #[test]
    fn a_verdict_states_the_number_of_tests_and_injected_faults() {
        let mut results = sample::results();
        results.runs.truncate(1);
        let run = &mut results.runs[0];
        run.faults = vec!["drop=0.1".to_owned()];
        run.deviations.clear();
        run.interrupted = false;
        run.requirements.truncate(3);
        for (requirement, outcome) in run.requirements.iter_mut().zip([
            Outcome::Pass,
            Outcome::Disabled,
            Outcome::NotApplicable,
        ]) {
            requirement.outcome = outcome;
            requirement.cases.truncate(1);
            requirement
                .cases
                .iter_mut()
                .for_each(|c| c.outcome = outcome);
        }
        assert_eq!(
            run.headline(),
            "Not tested: 1 of 2 requirements; what was tested holds"
        );
        let page = render(&results).unwrap();
        assert!(page.contains("mark doubt\"><b aria-hidden=\"true\">◐</b> Not tested: 1 of 2"));
        assert!(page.contains("With injected faults: <code>drop=0.1</code>"));
        let run = &mut results.runs[0];
        run.requirements.remove(1);
        assert_eq!(run.headline(), "Conforms: 1 of 1 requirement");
        run.requirements[0].outcome = Outcome::Fail;
        assert_eq!(
            run.headline(),
            "Does not conform: 1 of 1 requirement failed"
        );
    }

    #[test]
    fn the_page_stays_small() {
        let mut results = sample::results();
        let mut run = results.runs[1].clone();
        for n in 0..200 {
            let mut requirement = run.requirements[1].clone();
            requirement.id = format!("RNG-{n}");
            run.requirements.push(requirement);
        }
        for n in 0..5 {
            results.runs.push(Run {
                dut: format!("number {n}"),
                ..run.clone()
            });
        }
        let page = render(&results).unwrap();
        assert!(page.len() < SIZE, "{}", page.len());
    }

    #[test]
    fn the_axis_covers_all_times() {
        let timing = |p50, p99| Timing {
            operation: "x".into(),
            calls: 1,
            p50,
            p99,
            max: p99,
        };
        let all = [timing(0.0, 0.002), timing(0.02, 3.0)];
        let chart = Chart::of(&all);
        assert_eq!((chart.from.as_str(), chart.to.as_str()), ("1 µs", "10 s"));
        assert!(chart.rows.iter().all(|r| (0.0..=100.0).contains(&r.p50_at)
            && r.p50_at <= r.p99_at
            && r.p99_at <= 100.0));
        assert_eq!(Chart::of(&[timing(1.0, 1.0)]).rows[0].p99_at, 0.0);
    }
}
