//! For each requirement, a mutant that it fails. And the honest emulators, which it passes.

use crate::mutant::Mutant;
use qkd_conformance::{
    Dut, Results, RunOptions, Suite,
    requirement::{self, Impact},
    result::{Outcome, Run, Verdict},
};
use qkd_driver_kit::Registry;
use std::{path::Path, sync::LazyLock};

/// Device for the mutant of a requirement: a file of `conformance/duts/`.
const ON: &[(&str, &[&str])] = &[
    ("polatis-16x16", &["DEV", "SWI", "PWR"]),
    ("thorlabs-osw12", &["SWI-26"]),
    ("scte-hms-ab", &["PRT"]),
    ("polatis-snmp", &["PWR-05", "PWR-06", "VOA"]),
    ("polatis-tl1", &["PWR-07"]),
    ("packetlight", &["PRT-14", "DEV-40", "ENC-23"]),
    ("agiltron-ff", &["DEV-14", "DEV-16", "SWI-23"]),
    ("agiltron-selfalign", &["SWI-09", "SWI-24"]),
    ("ciena-waveserver", &["ENC-25"]),
    ("ieee-macsec", &["ENC-26"]),
    ("adva-fsp3000r7", &["ENC-27"]),
    ("nokia-sros-macsec", &["DEV-18", "ENC"]),
    (
        "veriqloud-qline-alice",
        &[
            "QKD-01", "QKD-02", "QKD-04", "QKD-05", "QKD-06", "QKD-07", "QKD-08",
        ],
    ),
    ("etsi014", &["QKD"]),
    ("idq-quantis", &["RNG"]),
];

/// The file of the device on which a requirement is tried.
fn device_for(requirement: &str) -> &'static str {
    let exact = ON.iter().find(|(_, all)| all.contains(&requirement));
    let kind = &requirement[..3];
    exact
        .or_else(|| ON.iter().find(|(_, all)| all.contains(&kind)))
        .unwrap()
        .0
}

fn dut(name: &str) -> Dut {
    Dut::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("duts/{name}.toml"))).unwrap()
}

fn run(registry: Registry, dut: Dut, only: &[&str]) -> Run {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let suite = Suite::new(registry);
        let ready = suite.ready(dut, None, None).await.unwrap();
        let request = RunOptions {
            only: only.iter().map(ToString::to_string).collect(),
            ..RunOptions::default()
        };
        suite.run(&[ready], &request, &()).await.runs.remove(0)
    })
}

/// The device, on a real wire where the requirement is of one.
fn device_under_test(requirement: &str) -> Dut {
    let mut dut = dut(device_for(requirement));
    if requirement == "DEV-41" {
        // The serial console: the second of its wires.
        (dut.on_wire, dut.end) = (true, Some(2));
    }
    dut
}

fn driver(dut: &Dut) -> &'static str {
    let emulator = dut.emulator.clone().unwrap();
    qkd_hardware::registry()
        .drivers()
        .map(|d| d.info().name)
        .find(|name| emulator.starts_with(name))
        .unwrap()
}

#[test]
fn every_requirement_fails_its_mutant_and_passes_the_honest_emulator() {
    let mut wrong = Vec::new();
    for requirement in requirement::all() {
        let dut = device_under_test(&requirement.id);
        let of = |registry| {
            let run = run(registry, dut.clone(), &[&requirement.id]);
            let result = run
                .requirements
                .into_iter()
                .find(|r| r.id == requirement.id)
                .unwrap();
            let why: Vec<_> = result
                .cases
                .iter()
                .map(|c| format!("{}: {} {}", c.id, c.outcome.label(), c.why))
                .collect();
            (result.outcome, why)
        };
        let honest = of(qkd_hardware::registry());
        if honest.0 != Outcome::Pass {
            wrong.push(format!(
                "{} does not pass the honest emulator: {honest:?}",
                requirement.id
            ));
        }
        let mutant = of(Mutant::registry(driver(&dut), &requirement.id));
        if mutant.0 != Outcome::Fail {
            wrong.push(format!(
                "{} does not fail its mutant: {mutant:?}",
                requirement.id
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        requirement::all().len(),
        wrong.join("\n")
    );
}

/// Parts of requirements that the mutant of the requirement violates all at once, and requirements
/// on devices of other shapes: device, requirement and mutant.
const PARTS: &[(&str, &str, &str)] = &[
    ("nokia-sros-macsec", "ENC-05", "ENC-05/role"),
    ("nokia-sros-macsec", "ENC-05", "ENC-05/id"),
    ("linux-macsec", "ENC-05", "ENC-05/role"),
    ("linux-macsec", "ENC-05", "ENC-05/id"),
    ("linux-macsec-mka", "ENC-05", "ENC-05/role"),
    ("linux-macsec-mka", "ENC-05", "ENC-05/id"),
    ("strongswan", "ENC-05", "ENC-05/role"),
    ("wireguard", "ENC-05", "ENC-05/role"),
    ("ciena-waveserver", "ENC-25", "ENC-25/late"),
    ("ciena-waveserver", "ENC-25", "ENC-25/commanded"),
    ("infinera-xtm", "ENC-25", "ENC-25"),
    ("wireguard", "ENC-25", "ENC-25"),
    ("atmedia", "ENC-26", "ENC-26"),
    ("adva-fsp150", "ENC-27", "ENC-27"),
    ("nokia-sros-macsec", "DEV-20", "DEV-20/no-staging"),
    ("nokia-sros-macsec", "DEV-20", "DEV-20/no-form"),
    ("nokia-sros-macsec", "DEV-20", "DEV-20/staging"),
    ("nokia-sros-macsec", "DEV-20", "DEV-20/evidence"),
    ("packetlight", "DEV-20", "DEV-20/staging"),
    ("packetlight", "DEV-20", "DEV-20/next-exchange"),
    ("packetlight", "DEV-20", "DEV-20/hitless"),
    ("linux-macsec-mka", "DEV-20", "DEV-20/hitless"),
    ("linux-macsec-mka", "ENC-11", "ENC-11"),
    ("linux-macsec-mka", "ENC-12", "ENC-12"),
    ("strongswan", "DEV-20", "DEV-20/activation"),
    ("strongswan", "DEV-20", "DEV-20/sizes"),
    ("strongswan", "DEV-20", "DEV-20/ids"),
    ("wireguard", "DEV-20", "DEV-20/activation"),
    ("wireguard", "ENC-08", "ENC-08"),
    ("wireguard", "ENC-12", "ENC-12"),
    ("strongswan", "ENC-11", "ENC-11"),
    ("strongswan", "ENC-15", "ENC-15"),
];

#[test]
fn each_part_of_a_requirement_fails_its_mutant() {
    let mut wrong = Vec::new();
    for (device, requirement, breaks) in PARTS {
        let dut = dut(device);
        let registry = Mutant::registry(driver(&dut), breaks);
        let run = run(registry, dut, &[requirement]);
        let result = run.requirements.into_iter().find(|r| r.id == *requirement);
        let result = result.unwrap();
        if result.outcome != Outcome::Fail {
            let why: Vec<_> = result.cases.iter().map(|c| &c.why).collect();
            wrong.push(format!("{device}, {breaks}: {:?}, {why:?}", result.outcome));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

static HONEST: LazyLock<Results> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let suite = Suite::new(qkd_hardware::registry());
        let mut ready = Vec::new();
        for file in crate::emulated() {
            ready.push(
                suite
                    .ready(Dut::read(&file).unwrap(), None, None)
                    .await
                    .unwrap(),
            );
        }
        suite.run(&ready, &RunOptions::default(), &()).await
    })
});

#[test]
fn every_emulator_conforms_as_far_as_it_can_be_tested() {
    for run in &HONEST.runs {
        let wrong: Vec<_> = run
            .cases()
            .filter(|c| matches!(c.outcome, Outcome::Fail | Outcome::Error))
            .map(|c| format!("{}: {}", c.id, c.why))
            .collect();
        assert_eq!(
            run.verdict(),
            Verdict::ConformsAsTested,
            "{}: {wrong:?}",
            run.dut
        );
        assert_eq!(run.allowed, Impact::Destructive);
    }
    assert!(HONEST.runs.len() >= 10);
}

#[test]
fn the_results_can_be_read_again() {
    let text = serde_json::to_string(&*HONEST).unwrap();
    assert_eq!(Results::parse(&text).unwrap(), *HONEST);
}
