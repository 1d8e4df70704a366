//! `report.html`: one page that needs nothing else, neither a network nor a script.

use super::{matrix, seconds, symbol, wire::Wire};
use crate::{
    profile,
    result::{
        AssumptionFacts, CaseResult, Deviation, On, Outcome, RequirementResult, Results, Run,
        Suite, Timing, Use, Verdict,
    },
};
use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

/// The page stays below this, in bytes, if showing fewer exchanges of passes makes it so.
const SIZE: usize = 1_000_000;
/// How many exchanges of a pass are shown at most; fewer, if the page would become too large.
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

/// What a cell of the matrix, a verdict or a count shows: its colour, a symbol, and words.
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
            words: outcome.words(),
        }
    }
}

impl From<Verdict> for Mark {
    fn from(verdict: Verdict) -> Self {
        let (class, symbol) = match verdict {
            Verdict::Conforms => ("good", "✓"),
            Verdict::ConformsAsTested => ("good", "(✓)"),
            Verdict::Inconclusive => ("doubt", "?"),
            Verdict::DoesNotConform => ("bad", "✗"),
        };
        Self {
            class,
            symbol,
            words: verdict.words(),
        }
    }
}

#[derive(Serialize)]
struct Page<'a> {
    css: &'static str,
    suite: &'a Suite,
    begun: &'a str,
    took: String,
    verdict: Mark,
    legend: Vec<Mark>,
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
    cells: Vec<Option<Mark>>,
}

/// A device under test, as the page shows it.
#[derive(Serialize)]
struct Dut<'a> {
    number: usize,
    run: Facts<'a>,
    verdict: Mark,
    /// What the verdict is, on what, and what was not tested: sentences.
    says: Vec<String>,
    requirements: Vec<(Mark, usize)>,
    /// Of positive and of negative cases: a count for each outcome, and of all.
    cases: Vec<(&'static str, Vec<usize>, usize)>,
    failures: Vec<Failure<'a>>,
    waived: Vec<Failure<'a>>,
    deviations: Vec<(&'a Deviation, &'static str)>,
    /// Errors of cases that never began.
    never_began: Vec<Group<'a>>,
    not_run: Vec<Group<'a>>,
    timings: Option<Chart<'a>>,
    passes: Vec<Passed<'a>>,
    opening: Wire,
}

/// Facts of a run, in words.
#[derive(Serialize)]
struct Facts<'a> {
    name: &'a str,
    /// Term and definition.
    list: Vec<(&'static str, String)>,
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
    wire: Wire,
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
            wire: Wire::of(&case.transcript, first, last, bytes),
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
                            .map(|r| r.map(|r| r.outcome.into()))
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

impl<'a> Dut<'a> {
    fn of(number: usize, run: &'a Run, exchanges: usize) -> Self {
        let failure = |requirement: &'a RequirementResult, case: &'a CaseResult| Failure {
            mark: requirement.counts(case).into(),
            case: Case::of(case, 12, 24, 400),
            sentence: &requirement.sentence,
            source: &requirement.source,
            deviation: run
                .deviations
                .iter()
                .find(|d| d.requirement == requirement.id && d.used == Use::Waived),
        };
        let of = |outcomes: &'static [Outcome]| {
            let all = run
                .requirements
                .iter()
                .flat_map(|r| r.cases.iter().map(move |c| (r, c)));
            all.filter(|(r, c)| outcomes.contains(&r.counts(c)) && !never_began(c))
                .map(|(r, c)| failure(r, c))
                .collect::<Vec<_>>()
        };
        Self {
            number,
            run: Facts::of(run),
            verdict: run.verdict().into(),
            says: says(run),
            requirements: Outcome::ALL
                .into_iter()
                .map(|o| (o.into(), run.count(o)))
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
                                .map(|c| r.counts(c))
                        })
                        .collect();
                    (
                        what,
                        Outcome::ALL
                            .into_iter()
                            .map(|o| of.iter().filter(|c| **c == o).count())
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
            opening: Wire::of(&run.opening, 12, 0, 120),
        }
    }
}

impl<'a> Facts<'a> {
    fn of(run: &'a Run) -> Self {
        let title = profile::find(&run.profile).map_or(String::new(), |p| format!(": {}", p.title));
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "not told".to_owned());
        let mut list = vec![
            ("Profile", format!("{}{title}", run.profile)),
            ("What answered", run.on.words().to_owned()),
            ("URI", run.uri.clone()),
        ];
        list.extend(run.peer.clone().map(|peer| ("URI of the far end", peer)));
        match &run.device {
            Some(device) => list.extend([
                ("Vendor", device.vendor.clone()),
                ("Model", text(&device.model)),
                ("Serial number", text(&device.serial)),
                ("Firmware", text(&device.firmware)),
            ]),
            None => list.push((
                "Identity",
                "not told: the device cannot say who it is, or could not be opened".to_owned(),
            )),
        }
        let driver = &run.driver;
        list.extend([
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
            (
                "Allowed impact",
                format!("{}: {}", run.allowed, run.allowed.meaning()),
            ),
            (
                "What might be touched",
                run.scope.clone().unwrap_or_else(|| {
                    match run.on {
                        On::EmulatorInMemory | On::EmulatorOnWire => "all of the emulator",
                        On::Recording | On::Device => "no port and no channel: the file names none",
                    }
                    .to_owned()
                }),
            ),
            (
                "Faults set by hand",
                if run.faults.is_empty() {
                    "none".to_owned()
                } else {
                    run.faults.join(", ")
                },
            ),
            ("Time taken", seconds(run.seconds)),
        ]);
        Self {
            name: &run.dut,
            list,
            capabilities: &run.capabilities,
            assumptions: &driver.assumptions,
            unknowns: &driver.unknowns,
            on: run.on.words(),
        }
    }
}

/// What the verdict on a run means, in sentences.
fn says(run: &Run) -> Vec<String> {
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
            "The run was ended before its end; what did run holds, or could not be told.".to_owned()
        }
        Verdict::Inconclusive => {
            "Nothing that ran failed, but the suite could not tell in every case, or nothing ran."
                .to_owned()
        }
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
            On::EmulatorInMemory => {
                "Tested on an emulator of this project, in memory, under virtual time. That tests the driver against public facts; no device of the vendor was there, and nothing is said of one."
            }
            On::EmulatorOnWire => {
                "Tested on an emulator of this project, over a real wire. That tests the driver and its link; no device of the vendor was there, and nothing is said of one."
            }
            On::Recording => "Tested on a recording of an earlier run: the driver still reads what was recorded. No device was there.",
            On::Device => {
                "Tested on whatever answers at the address: a device, or something that stands in for one. The suite cannot tell which; whoever signs this report vouches for it."
            }
        }
        .to_owned(),
    );
    out.push(match not_run {
        0 => format!("All {applicable} cases that apply ran."),
        n => format!(
            "Of {applicable} cases that may apply, {n} did not run; the reasons stand below."
        ),
    });
    if run.interrupted && run.verdict() != Verdict::Inconclusive {
        out.push("The run was ended before its end.".to_owned());
    }
    out
}

fn used(used: Use) -> &'static str {
    match used {
        Use::NotNeeded => "not needed: its requirement did not fail in this run",
        Use::Waived => "in force: it waived a failure",
        Use::Expired => "expired: the failure stands",
    }
}

/// Cases by reason, of those that are `wanted`; those that did not run before those that do not apply, the largest group first.
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

/// Whether a case could not tell before anything was sent, as when the device is not there: many then have one reason.
fn never_began(case: &CaseResult) -> bool {
    case.outcome == Outcome::Error && case.transcript.is_empty()
}

impl<'a> Chart<'a> {
    /// The axis covers all times, from a power of ten to another.
    fn of(timings: &'a [Timing]) -> Self {
        // Below a microsecond no clock here tells anything.
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
        // Every field that holds the hostile text comes out somewhere: none was forgotten, or escaped twice.
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
    fn the_page_tells_every_failure_and_verdict() {
        let results = sample::results();
        let page = render(&results).unwrap();
        for run in &results.runs {
            assert!(page.contains(run.verdict().words()));
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
            "expired: the failure stands",
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
    fn a_device_that_is_not_there_is_told_once() {
        let mut results = sample::results();
        let why = "the device could not be opened: nobody answers";
        for case in results.runs[1]
            .requirements
            .iter_mut()
            .flat_map(|r| &mut r.cases)
        {
            (case.outcome, case.why) = (Outcome::Error, why.to_owned());
            case.transcript.clear();
        }
        let page = render(&results).unwrap();
        assert_eq!(page.matches(why).count(), 1);
        assert!(page.contains("RNG-01&#x2f;one"));
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
