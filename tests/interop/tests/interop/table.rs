//! The drivers' table, generated from the code; `QKD_UPDATE=1 cargo test -p qkd-interop` writes it.

use qkd_driver_kit::{
    DriverInfo,
    driver_info::{COMMON_PARAMETERS, VerificationScope},
};
use qkd_hal::DeviceKind;
use std::{collections::BTreeSet, fmt::Write, path::Path};

fn infos() -> Vec<&'static DriverInfo> {
    qkd_hardware::registry()
        .drivers()
        .map(|d| d.info())
        .collect()
}

fn table() -> String {
    let mut out = String::from(
        "# The drivers\n\nA test generates this page from the code; do not edit it. \
         Maturity:\n\n- **Emulated**: tested with our emulator only.\n- **Cross-checked**: also \
         tested with an independent implementation of the vendor's protocol, or\n  with a \
         recording of a real device.\n- **LabVerified**: also tested with a real device, with a \
         signed report.\n\nEvidence of the transport or of the emulator does not raise the \
         maturity.\n\n| driver | family | kinds | buses | maturity | evidence | assumptions | \
         unknown |\n|---|---|---|---|---|---|---|---|\n",
    );
    let cell = |items: Vec<String>| {
        if items.is_empty() {
            "none".to_owned()
        } else {
            items.join("<br>").replace('|', "\\|")
        }
    };
    for i in infos() {
        let _ = writeln!(
            out,
            "| [`{}`]({}/src/docs.md) | {} | {} | {} | {} | {} | {} | {} |",
            i.name,
            i.name,
            i.family,
            i.kinds
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            i.transports
                .iter()
                .map(|t| t.name)
                .collect::<Vec<_>>()
                .join(", "),
            i.maturity,
            cell(
                i.evidence
                    .iter()
                    .map(|e| format!("{}: {}", of(e.of), e.what))
                    .collect()
            ),
            cell(
                i.assumptions
                    .iter()
                    .map(|a| format!("`{}`", a.id))
                    .collect()
            ),
            cell(i.unknowns.iter().map(|u| (*u).to_owned()).collect()),
        );
    }
    out.push_str(
        "\n## Assumptions\n\nAn operation that changes a device and rests on an assumption is \
         refused unless the\nURI, the inventory or the DUT file accepts the assumption by \
         id.\n\n| id | assumption | source | disproved by | operations |\n|---|---|---|---|---|\n",
    );
    for a in infos().iter().flat_map(|i| i.assumptions) {
        let operations: Vec<_> = a.operations.iter().map(|o| o.name()).collect();
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} |",
            a.id,
            a.statement,
            a.source,
            a.disproof,
            operations.join(", ")
        );
    }
    out.push_str("\n## Resynchronisation\n\n| driver | how, and why that is enough |\n|---|---|\n");
    for i in infos() {
        let _ = writeln!(out, "| `{}` | {} |", i.name, i.resynchronises);
    }
    out
}

fn of(what: VerificationScope) -> &'static str {
    match what {
        VerificationScope::Protocol => "protocol",
        VerificationScope::Transport => "transport only",
        VerificationScope::Emulator => "emulator only",
    }
}

/// The short table of the README.
fn readme_table() -> String {
    let mut out = String::from(
        "\n| driver | family | kinds | transports | maturity |\n|---|---|---|---|---|\n",
    );
    for i in infos() {
        let kinds: Vec<_> = i.kinds.iter().map(ToString::to_string).collect();
        let transports: Vec<_> = i.transports.iter().map(|t| t.name).collect();
        let _ = writeln!(
            out,
            "| [`{}`](drivers/{}/src/docs.md) | {} | {} | {} | {} |",
            i.name,
            i.name,
            i.family,
            kinds.join(", "),
            transports.join(", "),
            i.maturity
        );
    }
    out.push('\n');
    out
}

#[test]
fn the_table_of_the_readme_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (start, rest) = text.split_once("<!-- drivers:").unwrap();
    let (comment, rest) = rest.split_once("-->\n").unwrap();
    let (table, end) = rest.split_once("<!-- end of drivers -->").unwrap();
    if std::env::var_os("QKD_UPDATE").is_some() {
        let made = readme_table();
        let text = format!("{start}<!-- drivers:{comment}-->\n{made}<!-- end of drivers -->{end}");
        std::fs::write(&path, text).unwrap();
        return;
    }
    assert!(
        table == readme_table(),
        "the drivers in README.md are out of date: run QKD_UPDATE=1 cargo test -p qkd-interop"
    );
    let count = infos().len();
    assert!(
        start.contains(&format!(" {count} driver families")),
        "README.md does not say that there are {count} driver families"
    );
}

#[test]
fn the_table_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/README.md");
    if std::env::var_os("QKD_UPDATE").is_some() {
        std::fs::write(&path, table()).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == table(),
        "drivers/README.md is out of date: run QKD_UPDATE=1 cargo test -p qkd-interop"
    );
}

/// The page of a family for people who don't read crates: the driver's own, its headings a level
/// lower.
fn page(info: &DriverInfo) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../drivers/{}/src/docs.md", info.name));
    let (mut out, mut code) = (
        format!(
            "# {}\n\nMade from the driver's page by a test; do not edit.\n\n",
            info.family
        ),
        false,
    );
    for line in std::fs::read_to_string(path).unwrap().lines() {
        if let Some(fence) = line.strip_prefix("```") {
            code = !code;
            out.push_str(if code && fence.starts_with("no_run") {
                "```rust"
            } else {
                line
            });
        } else if line.starts_with('#') && !code {
            out.push_str(&format!("#{line}"));
        } else if !(code && line.starts_with("# ")) {
            out.push_str(line);
        } else {
            continue;
        }
        out.push('\n');
    }
    out
}

#[test]
fn every_family_of_switches_has_its_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/switches");
    let of_switches = |i: &&DriverInfo| {
        i.kinds
            .iter()
            .any(|k| matches!(k, DeviceKind::OpticalSwitch | DeviceKind::ProtectionSwitch))
    };
    for info in infos().into_iter().filter(of_switches) {
        let path = folder.join(format!("{}.md", info.name));
        if std::env::var_os("QKD_UPDATE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, page(info)).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page(info),
            "docs/switches/{}.md is out of date: run QKD_UPDATE=1 cargo test -p qkd-interop",
            info.name
        );
        let overview = std::fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        assert!(
            overview.contains(&format!("({}.md)", info.name)),
            "docs/switches/README.md does not name {}",
            info.name
        );
    }
}

#[test]
fn every_driver_reports_the_truth_about_itself() {
    let mut ids = BTreeSet::new();
    for i in infos() {
        let name = i.name;
        assert!(
            !i.transports.is_empty()
                && !i.kinds.is_empty()
                && !i.evidence.is_empty()
                && !i.resynchronises.is_empty(),
            "{name}"
        );
        for t in i.transports {
            let uri: qkd_hal::DeviceUri = t.example.parse().unwrap();
            assert_eq!(
                (uri.driver(), uri.transport()),
                (name, t.name),
                "{}",
                t.example
            );
            for p in i.parameters.iter().filter(|p| p.required) {
                assert!(
                    uri.parameter(p.name).is_some(),
                    "the example {} lacks the required {}",
                    t.example,
                    p.name
                );
            }
        }
        for p in i.parameters {
            assert!(
                !COMMON_PARAMETERS.iter().any(|c| c.name == p.name),
                "{name}: {} is every driver's",
                p.name
            );
        }
        for a in i.assumptions {
            assert!(a.id.starts_with(&format!("{name}.")), "{}", a.id);
            assert!(ids.insert(&*a.id), "{} is listed twice", a.id);
            assert!(
                !a.source.is_empty() && !a.disproof.is_empty() && !a.statement.is_empty(),
                "{}",
                a.id
            );
        }
        let protocol = i
            .evidence
            .iter()
            .any(|e| e.of == VerificationScope::Protocol);
        assert!(
            i.maturity == qkd_hal::Maturity::Emulated || protocol,
            "{name} claims more than its evidence"
        );
    }
}
