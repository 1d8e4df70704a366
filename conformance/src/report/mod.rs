//! Reports: all are generated from one result file and nothing else, so that everyone with the
//! results can generate them again and compare.

pub mod html;
pub mod junit;
pub mod matrix;
mod wire;

use crate::result::{Outcome, Results};
use qkd_driver_kit::program::files;
use qkd_hal::text::{json_text, printable_lines};
use std::path::{Path, PathBuf};

/// The name of the result file.
pub const RESULTS: &str = "results.json";

/// The reports on results: each with its file name. What came from outside is made visible here,
/// whatever form the report has, so that a bundle holds the same.
///
/// # Errors
/// Error text, if a report could not be made.
pub fn render(results: &Results) -> Result<Vec<(&'static str, String)>, String> {
    let reports = [
        ("report.html", html::render(results)?),
        ("matrix.md", matrix::render(results)),
        ("junit.xml", junit::render(results)?),
    ];
    Ok(reports
        .map(|(name, text)| (name, printable_lines(&text).into_owned()))
        .into())
}

/// Writes the result file and every report into a folder; returns the paths.
///
/// # Errors
/// Error text that names the file that could not be written.
pub fn write_all(results: &Results, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let json = serde_json::to_string(results).map_err(|e| e.to_string())?;
    let json = json_text(&json).into_owned() + "\n";
    // The results first: whatever comes of the reports, they are kept.
    let results_file = write(folder, RESULTS, &json)?;
    // Made from what was written, so that a reader of the file makes the same.
    let results = Results::parse(&json)?;
    std::iter::once(Ok(results_file))
        .chain(
            render(&results)?
                .iter()
                .map(|(name, text)| write(folder, name, text)),
        )
        .collect()
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    files::replace(&path, 0o644, text.as_bytes())
        .map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// Merges several result files.
///
/// # Errors
/// If `all` is empty, a device under test is in two of them, or they were made by different suites,
/// whose requirements may differ.
pub fn merge(all: Vec<Results>) -> Result<Results, String> {
    let mut all = all.into_iter();
    let mut merged = all.next().ok_or("there is no result file")?;
    let mut spans = vec![span(&merged)];
    for next in all {
        if next.suite != merged.suite {
            let name = |r: &Results| {
                format!(
                    "{} {} with requirements {}",
                    r.suite.name, r.suite.version, r.suite.requirements
                )
            };
            return Err(format!(
                "these results were made by different suites, {} and {}: a matrix of both would \
                 mislead",
                name(&merged),
                name(&next)
            ));
        }
        if let Some(twice) = next
            .runs
            .iter()
            .find(|run| merged.runs.iter().any(|other| other.dut == run.dut))
        {
            return Err(format!("`{}` is in two of the result files", twice.dut));
        }
        spans.push(span(&next));
        merged.begun = merged.begun.min(next.begun);
        merged.runs.extend(next.runs);
    }
    if spans.len() > 1 {
        merged.seconds = wall_time(spans);
    }
    if let Some(run) = merged
        .runs
        .iter()
        .enumerate()
        .find(|(i, run)| merged.runs[..*i].iter().any(|other| other.dut == run.dut))
    {
        return Err(format!("`{}` is twice in the result file", run.1.dut));
    }
    Ok(merged)
}

/// When results were made, from and to, in seconds.
fn span(results: &Results) -> (f64, f64) {
    let begun = results.begun.parse::<jiff::Timestamp>();
    let from = begun.map_or(0.0, |t| t.as_duration().as_secs_f64());
    (from, from + results.seconds)
}

/// Returns the time that at least one span covers, in seconds: parallel runs count once.
fn wall_time(mut spans: Vec<(f64, f64)>) -> f64 {
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut total, mut end) = (0.0, f64::NEG_INFINITY);
    for (from, to) in spans {
        total += (to - from.max(end)).max(0.0);
        end = end.max(to);
    }
    total
}

/// One character for an outcome; no two look alike without colour.
#[must_use]
pub fn symbol(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "✓",
        Outcome::Fail => "✗",
        Outcome::Error => "!",
        Outcome::Waived => "~",
        Outcome::Disabled => "·",
        Outcome::NotApplicable => "–",
    }
}

/// Returns the family of a requirement: the letters before the number in its ID.
pub(crate) fn family(id: &str) -> &str {
    id.split('-').next().unwrap_or(id)
}

/// A time in seconds, with its unit: three figures at most.
pub(crate) fn seconds(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    let decimals = if value >= 100.0 {
        0
    } else {
        usize::from(value < 10.0) + 1
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} {unit}")
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod schema;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_unit() {
        for (s, text) in [
            (0.0, "0 µs"),
            (0.000_012_3, "12.3 µs"),
            (0.25, "250 ms"),
            (1.0, "1 s"),
            (3060.0, "3060 s"),
            (0.0015, "1.5 ms"),
        ] {
            assert_eq!(seconds(s), text);
        }
    }

    #[test]
    fn time_that_runs_share_is_counted_once() {
        assert_eq!(
            wall_time(vec![(10.0, 20.0), (0.0, 5.0), (12.0, 25.0), (13.0, 14.0)]),
            20.0
        );
        assert_eq!(wall_time(vec![]), 0.0);
    }

    #[test]
    fn results_merge_unless_that_would_mislead() {
        let one = sample::results();
        let mut other = sample::results();
        assert!(
            merge(vec![one.clone(), other.clone()])
                .unwrap_err()
                .contains(&one.runs[0].dut)
        );
        other.runs.iter_mut().for_each(|run| run.dut.push_str(" 2"));
        other.begun = "2026-01-01T00:00:00Z".to_owned();
        let merged = merge(vec![one.clone(), other.clone()]).unwrap();
        assert_eq!(
            (merged.runs.len(), merged.begun),
            (one.runs.len() * 2, other.begun.clone())
        );
        other.suite.version = "9".to_owned();
        assert!(
            merge(vec![one, other])
                .unwrap_err()
                .contains("different suites")
        );
        assert!(merge(Vec::new()).is_err());
    }

    #[test]
    fn written_results_can_be_read_and_rendered_again() {
        let folder = tempfile::tempdir().unwrap();
        let written = write_all(&sample::results(), folder.path()).unwrap();
        let names: Vec<_> = written
            .iter()
            .map(|p| p.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            ["results.json", "report.html", "matrix.md", "junit.xml"]
        );
        let read = Results::parse(&std::fs::read_to_string(&written[0]).unwrap()).unwrap();
        assert_eq!(read, sample::results());
        for (name, text) in render(&read).unwrap() {
            assert_eq!(
                text,
                std::fs::read_to_string(folder.path().join(name)).unwrap(),
                "{name}"
            );
        }
    }
}
