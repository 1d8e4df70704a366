//! Results that have something of everything, hostile text included.

use crate::{
    requirement::Impact,
    result::{
        AssumptionFacts, CaseResult, Deviation, DeviationUse, DeviceFacts, DriverFacts, Outcome,
        RequirementResult, Results, Run, SCHEMA_VERSION, SuiteInfo, TargetKind, Timing,
    },
};
use qkd_driver_kit::transcript::{Outcome as Ended, Part, Record};

/// Text that would be markup if it were not escaped.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>";

fn record(at_us: u64) -> Record {
    Record {
        at_us,
        link: format!("link {HOSTILE}"),
        name: format!("set {HOSTILE}"),
        changes: at_us > 0,
        request: vec![
            Part::Text(format!(":key {HOSTILE} ")),
            Part::Secret(64),
            Part::Text("\r\n".into()),
        ],
        reply: vec![Part::Hex("0135".into()), Part::Length(7)],
        outcome: if at_us > 0 {
            Ended::Error(format!("refused {HOSTILE}"))
        } else {
            Ended::Ok
        },
        took_us: 250,
    }
}

fn case(id: &str, outcome: Outcome, negative: bool) -> CaseResult {
    let ran = matches!(outcome, Outcome::Pass | Outcome::Fail | Outcome::Error);
    CaseResult {
        id: id.to_owned(),
        title: format!("title of {id} {HOSTILE}"),
        negative,
        impact: Impact::Reversible,
        outcome,
        why: if outcome == Outcome::Pass {
            String::new()
        } else {
            format!("why of {id} & {HOSTILE}")
        },
        put_back: if ran {
            format!("port 1 enabled {HOSTILE}")
        } else {
            String::new()
        },
        seconds: 0.125,
        transcript: if ran {
            (0..30).map(record).collect()
        } else {
            Vec::new()
        },
        failed_after: (outcome == Outcome::Fail).then_some(20),
    }
}

fn requirement(id: &str, outcome: Outcome, cases: Vec<CaseResult>) -> RequirementResult {
    RequirementResult {
        id: id.to_owned(),
        sentence: format!("Sentence of {id} {HOSTILE}."),
        source: format!("source of {id} {HOSTILE}"),
        impact: Impact::Reversible,
        outcome,
        cases,
    }
}

fn deviation(requirement: &str, used: DeviationUse) -> Deviation {
    Deviation {
        requirement: requirement.to_owned(),
        reason: format!("reason for {requirement} {HOSTILE}"),
        expires: "2027-03-31".to_owned(),
        used,
    }
}

/// Results of a device that does not conform, and of an emulator that does.
pub(crate) fn results() -> Results {
    let of = |id: &str, outcome| {
        requirement(id, outcome, vec![case(&format!("{id}/one"), outcome, true)])
    };
    let broken = Run {
        dut: HOSTILE.to_owned(),
        profile: "matrix-switch".to_owned(),
        on: TargetKind::Device,
        uri: format!("polatis+tcp://192.0.2.7?{HOSTILE}"),
        peer: Some(format!("peer {HOSTILE}")),
        allowed: Impact::Reversible,
        scope: Some(format!("ports 1, 17 {HOSTILE}")),
        faults: vec![format!("drop=0.2 {HOSTILE}")],
        device: Some(DeviceFacts {
            vendor: format!("Vendor {HOSTILE}"),
            model: Some(format!("Model {HOSTILE}")),
            serial: Some(format!("Serial {HOSTILE}")),
            firmware: Some(format!("Firmware {HOSTILE}")),
        }),
        driver: DriverFacts {
            name: format!("polatis {HOSTILE}"),
            version: "0.1.0".to_owned(),
            family: format!("Family {HOSTILE}"),
            vendor: format!("Maker {HOSTILE}"),
            maturity: "Emulated".to_owned(),
            assumptions: vec![AssumptionFacts {
                id: format!("polatis.x {HOSTILE}"),
                statement: format!("assumed {HOSTILE}"),
                disproved_by: format!("disproved {HOSTILE}"),
                accepted: true,
            }],
            unknowns: vec![format!("unknown {HOSTILE}")],
        },
        capabilities: vec![(format!("identity {HOSTILE}"), format!("applied {HOSTILE}"))],
        opening: vec![record(0)],
        requirements: vec![
            of("DEV-01", Outcome::Pass),
            requirement(
                "DEV-02",
                Outcome::Waived,
                vec![case("DEV-02/one", Outcome::Fail, false)],
            ),
            of("DEV-03", Outcome::Error),
            of("DEV-04", Outcome::NotApplicable),
            of("DEV-05", Outcome::Disabled),
            requirement(
                "SWI-01",
                Outcome::Fail,
                vec![
                    case("SWI-01/one", Outcome::Fail, false),
                    case("SWI-01/two", Outcome::Pass, true),
                ],
            ),
            of("SWI-02", Outcome::Fail),
        ],
        timings: vec![Timing {
            operation: format!("apply {HOSTILE}"),
            calls: 12,
            p50: 0.02,
            p99: 0.9,
            max: 1.5,
        }],
        deviations: vec![
            deviation("DEV-02", DeviationUse::Waived),
            deviation("SWI-01", DeviationUse::Expired),
            deviation("DEV-01", DeviationUse::NotNeeded),
        ],
        seconds: 12.5,
        interrupted: false,
    };
    let mut sound = broken.clone();
    sound.dut = "sound & emulated".to_owned();
    sound.profile = "random-source".to_owned();
    sound.on = TargetKind::EmulatorInMemory;
    (sound.peer, sound.scope, sound.device) = (None, None, None);
    sound.requirements = vec![of("DEV-01", Outcome::Pass), of("RNG-01", Outcome::Pass)];
    (sound.deviations, sound.faults) = (Vec::new(), Vec::new());
    Results {
        schema: SCHEMA_VERSION,
        suite: SuiteInfo {
            name: "qkd-conform".to_owned(),
            version: "0.1.0".to_owned(),
            requirements: "ab".repeat(32),
        },
        begun: "2026-09-01T12:00:00Z".to_owned(),
        seconds: 25.0,
        runs: vec![broken, sound],
    }
}
