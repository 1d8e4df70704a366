//! `matrix.md`: which device meets which requirement.

use super::{family, symbol};
use crate::result::{Outcome, RequirementResult, Results, Run};
use std::fmt::Write as _;

/// A family of requirements, such as `SWI`, with the runs that were held against it.
pub(crate) struct Family<'a> {
    pub(crate) name: &'a str,
    /// Runs, each with its place among all.
    pub(crate) runs: Vec<(usize, &'a Run)>,
    /// Each requirement, with what each run found; `None` where its profile does not ask for it.
    pub(crate) rows: Vec<(&'a RequirementResult, Vec<Option<&'a RequirementResult>>)>,
}

/// Groups the matrix of results by family, in their order.
pub(crate) fn families(results: &Results) -> Vec<Family<'_>> {
    let mut names: Vec<&str> = Vec::new();
    for name in results
        .runs
        .iter()
        .flat_map(|run| &run.requirements)
        .map(|r| family(&r.id))
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let runs: Vec<(usize, &Run)> = results
                .runs
                .iter()
                .enumerate()
                .filter(|(_, run)| run.requirements.iter().any(|r| family(&r.id) == name))
                .collect();
            let mut wanted: Vec<&RequirementResult> = Vec::new();
            for requirement in runs
                .iter()
                .flat_map(|(_, run)| &run.requirements)
                .filter(|r| family(&r.id) == name)
            {
                if !wanted.iter().any(|w| w.id == requirement.id) {
                    wanted.push(requirement);
                }
            }
            let find = |id: &str| {
                runs.iter()
                    .map(|(_, run)| run.requirements.iter().find(|r| r.id == id))
                    .collect()
            };
            let rows = wanted.into_iter().map(|r| (r, find(&r.id))).collect();
            Family { name, runs, rows }
        })
        .collect()
}

/// The matrix in Markdown.
#[must_use]
pub fn render(results: &Results) -> String {
    let mut out = format!(
        "# Conformance matrix\n\n{} {}, begun {}, requirements {}.\n\n| | device under test | \
         verdict | on what |\n|---|---|---|---|\n",
        cell(&results.suite.name),
        cell(&results.suite.version),
        cell(&results.begun),
        results
            .suite
            .requirements
            .get(..12)
            .map(cell)
            .unwrap_or_default()
    );
    for (i, run) in results.runs.iter().enumerate() {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            i + 1,
            cell(&run.dut),
            match run.faults.is_empty() {
                true => run.headline(),
                false => format!(
                    "{}; with injected faults: {}",
                    run.headline(),
                    cell(&run.faults.join(", "))
                ),
            },
            run.on.label()
        );
    }
    let legend: Vec<String> = Outcome::ALL
        .iter()
        .map(|o| format!("{} {}", symbol(*o), o.label()))
        .collect();
    let _ = writeln!(
        out,
        "\n{}; blank: the profile does not ask for it. Columns are the numbers above.",
        legend.join(", ")
    );
    for family in families(results) {
        let _ = write!(out, "\n## {}\n\n| requirement |", cell(family.name));
        family
            .runs
            .iter()
            .for_each(|(i, _)| out.push_str(&format!(" {} |", i + 1)));
        let _ = writeln!(
            out,
            " what is required |\n|---|{}---|",
            ":-:|".repeat(family.runs.len())
        );
        for (requirement, found) in family.rows {
            let _ = write!(out, "| {} |", cell(&requirement.id));
            found
                .iter()
                .for_each(|r| out.push_str(&format!(" {} |", r.map_or("", |r| symbol(r.outcome)))));
            let _ = writeln!(out, " {} |", cell(&requirement.sentence));
        }
    }
    out
}

/// Text for a cell: what Markdown or HTML would take for markup is escaped.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '#' | '~' | '!' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_row_for_each_requirement_a_column_for_each_device() {
        let results = sample::results();
        let text = render(&results);
        assert!(text.contains("| SWI-01 | ✗ |"), "{text}");
        assert!(text.contains("| DEV-01 | ✓ | ✓ |"), "{text}");
        assert!(
            text.contains(
                "| 1 | &lt;script&gt;alert(1)&lt;/script&gt; | Does not conform: 2 of 6 \
                 requirements failed, 1 not tested; with injected faults: drop=0.2"
            ),
            "{text}"
        );
        for line in text.lines().filter(|l| l.starts_with('|')) {
            assert!(line.ends_with('|') && !line.contains("<s"), "{line}");
        }
        let ids: std::collections::BTreeSet<_> = results
            .runs
            .iter()
            .flat_map(|r| &r.requirements)
            .map(|r| &r.id)
            .collect();
        assert_eq!(
            text.lines()
                .filter(|l| l.starts_with("| DEV-")
                    || l.starts_with("| SWI-")
                    || l.starts_with("| RNG-"))
                .count(),
            ids.len()
        );
    }
}
