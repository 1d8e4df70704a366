//! The arrows of the design, from `cargo metadata`; and the one crate that may use `unsafe`.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The packages of the workspace, as cargo reports them.
pub(super) fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// For each package of the workspace: its normal dependencies among the workspace's packages, and
/// all the names it depends on.
fn packages() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<String> = packages
        .iter()
        .map(|p| p["name"].as_str().unwrap().to_owned())
        .collect();
    packages
        .iter()
        .map(|p| {
            let all: BTreeSet<String> = p["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|d| d["kind"].is_null())
                .map(|d| d["name"].as_str().unwrap().to_owned())
                .collect();
            (
                p["name"].as_str().unwrap().to_owned(),
                (all.intersection(&names).cloned().collect(), all),
            )
        })
        .collect()
}

/// The packages in `layers/`.
fn layers() -> BTreeSet<String> {
    let name = |folder: PathBuf| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let name = manifest.lines().find_map(|l| l.strip_prefix("name = "));
        name.unwrap().trim_matches('"').to_owned()
    };
    std::fs::read_dir(root().join("layers"))
        .unwrap()
        .flatten()
        .map(|entry| name(entry.path()))
        .collect()
}

fn is_driver(name: &str) -> bool {
    name.starts_with("qkd-driver-") && name != "qkd-driver-kit"
}

#[test]
fn dependencies_between_crates_point_one_way() {
    for (name, (inside, _)) in packages() {
        let allowed: &dyn Fn(&str) -> bool = match name.as_str() {
            "qkd-hal" => &|_| false,
            "qkd-switch-hal" => &|d| d == "qkd-hal",
            "qkd-driver-kit" => &|d| matches!(d, "qkd-hal" | "qkd-switch-hal"),
            // Qline's keys come through the ETSI GS QKD 014 driver: a standard's, not another
            // vendor's.
            "qkd-driver-veriqloud-qline" => {
                &|d| matches!(d, "qkd-hal" | "qkd-driver-kit" | "qkd-driver-etsi014")
            }
            n if is_driver(n) => &|d| matches!(d, "qkd-hal" | "qkd-switch-hal" | "qkd-driver-kit"),
            "qkd-hardware" => {
                &|d| matches!(d, "qkd-hal" | "qkd-switch-hal" | "qkd-driver-kit") || is_driver(d)
            }
            // They work with any device of the contract, since they are given opened handles.
            n if layers().contains(n) => &|d| d == "qkd-hal",
            "qkd-northbound-etsi014" => &|d| matches!(d, "qkd-hal" | "qkd-switch-hal"),
            // An emulator never shares a codec with its driver, so that the two can disagree.
            "qkd-emulators" => &|d| {
                matches!(
                    d,
                    "qkd-hal" | "qkd-switch-hal" | "qkd-driver-kit" | "qkd-northbound-etsi014"
                )
            },
            "qkd-usbfs" => &|d| d == "qkd-driver-kit",
            "qkd-conformance" => &|d| {
                matches!(
                    d,
                    "qkd-hal"
                        | "qkd-switch-hal"
                        | "qkd-driver-kit"
                        | "qkd-hardware"
                        | "qkd-emulators"
                )
            },
            "qkd-interop" | "qkdctl" | "qkd-benches" => &|_| true,
            other => panic!("{other} is new: say in this test what it may depend on"),
        };
        for dependency in inside {
            assert!(
                allowed(&dependency),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn contracts_and_layers_know_no_runtime_and_no_wire() {
    let (packages, layers) = (packages(), layers());
    assert!(layers.contains("qkd-keyflow"), "{layers:?}");
    let contracts = ["qkd-hal", "qkd-switch-hal"].map(str::to_owned);
    for name in contracts.iter().chain(&layers) {
        let (_, all) = &packages[name];
        // A layer that delays calls needs timers.
        let needs_timers = name == "qkd-layers";
        for foreign in [
            "tokio",
            "snmp2",
            "rusb",
            "serialport",
            "tokio-serial",
            "reqwest",
            "async-snmp",
        ] {
            let allowed = needs_timers && foreign == "tokio";
            assert!(
                allowed || !all.contains(foreign),
                "{name} depends on {foreign}"
            );
        }
    }
}

#[test]
fn driver_and_emulator_stand_on_different_snmp_stacks() {
    let all = packages();
    assert!(
        !all["qkd-emulators"].1.contains("snmp2"),
        "the emulators' agents use async-snmp"
    );
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn unsafe_code_is_in_one_crate() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 50);
    let words = [
        concat!("unsafe", " {"),
        concat!("unsafe", " fn"),
        concat!("unsafe", " impl"),
        concat!("unsafe", " extern"),
        concat!("allow(", "unsafe_code"),
    ];
    let with: BTreeSet<String> = files
        .iter()
        .filter(|f| {
            let text = std::fs::read_to_string(f).unwrap();
            words.iter().any(|w| text.contains(w))
        })
        .map(|f| {
            f.strip_prefix(root())
                .unwrap()
                .components()
                .take(2)
                .map(|c| c.as_os_str().to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join("/")
        })
        .collect();
    assert_eq!(
        with.into_iter().collect::<Vec<_>>(),
        ["tests/usbfs"],
        "only the crate that answers usbfs in process may use unsafe"
    );
}

#[test]
fn every_driver_folder_has_the_same_files() {
    for entry in std::fs::read_dir(root().join("drivers"))
        .unwrap()
        .flatten()
        .filter(|e| e.path().is_dir())
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "kit" {
            continue;
        }
        for file in ["Cargo.toml", "src/lib.rs", "src/docs.md"] {
            assert!(
                entry.path().join(file).is_file(),
                "drivers/{name}/{file} is missing"
            );
        }
        for module in ["proto", "device"] {
            let (one, many) = (
                entry.path().join(format!("src/{module}.rs")),
                entry.path().join(format!("src/{module}")),
            );
            // A driver for several protocols has a codec for each, in the folder of that protocol.
            let folders = std::fs::read_dir(entry.path().join("src"))
                .unwrap()
                .flatten()
                .filter(|e| e.path().is_dir());
            let below = folders
                .filter(|e| e.path().join(format!("{module}.rs")).is_file())
                .count();
            assert!(
                one.is_file() || many.is_dir() || below > 1,
                "drivers/{name} has no {module}"
            );
        }
    }
}
