//! `qkdctl drivers`

use crate::{cli::Output, output, session::Session};
use qkd_driver_kit::{DriverInfo, driver::COMMON_PARAMETERS};
use qkd_hal::Result;

pub(crate) fn run(session: &Session, output: Output, name: Option<&str>) -> Result<u8> {
    match name {
        Some(name) => {
            let info = session.registry.driver(name)?.info();
            output::print(output, info, || one(info))?;
        }
        None => {
            let all: Vec<_> = session.registry.drivers().map(|d| d.info()).collect();
            output::print(output, &all, || many(&all))?;
        }
    }
    Ok(0)
}

fn many(all: &[&DriverInfo]) -> String {
    let mut table = output::table(&[
        "driver",
        "family",
        "kinds",
        "transports",
        "maturity",
        "assumptions",
    ]);
    for info in all {
        table.add_row(output::cells([
            info.name.to_owned(),
            info.family.to_owned(),
            info.kinds
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            info.transports
                .iter()
                .map(|t| t.name)
                .collect::<Vec<_>>()
                .join(", "),
            info.maturity.to_string(),
            info.assumptions.len().to_string(),
        ]));
    }
    table.to_string()
}

fn one(info: &DriverInfo) -> String {
    let mut text = output::pairs(&[
        ("driver", info.name.to_owned()),
        ("family", info.family.to_owned()),
        ("vendor", info.vendor.to_owned()),
        (
            "kinds",
            info.kinds
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        ),
        ("maturity", info.maturity.to_string()),
        ("resynchronises", info.resynchronises.to_owned()),
    ]);
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            lines
                .iter()
                .for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    };
    section(
        "URIs",
        info.transports
            .iter()
            .map(|t| t.example.to_owned())
            .collect(),
    );
    section(
        "Parameters",
        info.parameters
            .iter()
            .chain(COMMON_PARAMETERS)
            .map(|p| {
                format!(
                    "{}{}: {}",
                    p.name,
                    if p.required { " (required)" } else { "" },
                    p.help
                )
            })
            .collect(),
    );
    section(
        "Assumptions",
        info.assumptions
            .iter()
            .map(|a| {
                format!(
                    "{}: {} Source: {} Disproved if: {}",
                    a.id, a.statement, a.source, a.disproof
                )
            })
            .collect(),
    );
    section(
        "Unknown",
        info.unknowns.iter().map(|u| (*u).to_owned()).collect(),
    );
    section(
        "Evidence",
        info.evidence
            .iter()
            .map(|e| format!("{:?}: {}", e.of, e.what))
            .collect(),
    );
    text
}
