//! The command `qkdctl drivers`.

use crate::{
    output::{self, Output},
    session::Session,
};
use qkd_driver_kit::{
    DriverInfo,
    driver_info::{UriParameter, common_parameters},
};
use qkd_hal::Result;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) fn run(session: &Session, output: Output, name: Option<&str>) -> Result<u8> {
    match name {
        Some(name) => {
            let info = session.registry.driver(name)?.info();
            let documented = Documented::new(info);
            output::print(output, "drivers/show", &documented, || one(info))?;
        }
        None => {
            let all: Vec<_> = session.registry.drivers().map(|d| d.info()).collect();
            let documented: Vec<_> = all.iter().copied().map(Documented::new).collect();
            output::print(output, "drivers", &json!({"drivers": documented}), || {
                many(&all)
            })?;
        }
    }
    Ok(0)
}

/// A driver, with the parameters that its transports give every driver.
#[derive(Serialize)]
struct Documented {
    #[serde(flatten)]
    info: &'static DriverInfo,
    /// Parameters of every driver, by transport.
    common_parameters: BTreeMap<&'static str, Vec<&'static UriParameter>>,
}

impl Documented {
    fn new(info: &'static DriverInfo) -> Self {
        let transports = info.transports.iter();
        Self {
            info,
            common_parameters: transports
                .map(|t| (t.name, common_parameters(t.name).collect()))
                .collect(),
        }
    }
}

fn parameter(parameter: &UriParameter) -> String {
    let required = if parameter.required {
        " (required)"
    } else {
        ""
    };
    format!("{}{required}: {}", parameter.name, parameter.help)
}

fn many(all: &[&DriverInfo]) -> String {
    let mut table = output::table(&["driver", "vendor", "kinds", "transports", "maturity"]);
    for info in all {
        table.add_row(output::cells([
            info.name.to_owned(),
            info.vendor.to_owned(),
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
        ]));
    }
    output::table_text(table)
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
        info.parameters.iter().map(parameter).collect(),
    );
    for transport in info.transports {
        section(
            &format!("Parameters of every driver over {}", transport.name),
            common_parameters(transport.name).map(parameter).collect(),
        );
    }
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
            .map(|e| format!("{}: {}", output::serde_name(e.of), e.what))
            .collect(),
    );
    text
}
