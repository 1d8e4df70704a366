//! Holds `docs/results.md` against the types.

use super::sample;
use crate::{
    bundle,
    requirement::Impact,
    result::{DeviationUse, Outcome, Results, SCHEMA_VERSION, TargetKind},
};
use serde::Serialize;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../results.md");

/// Every key of a value, at any depth.
fn keys(value: &serde_json::Value, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            keys(value, into);
        }),
        serde_json::Value::Array(all) => all.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

fn serde_name(value: impl Serialize) -> String {
    serde_json::to_value(value)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_page_names_every_field() {
    let results = sample::results();
    let mut all = BTreeSet::new();
    keys(&serde_json::to_value(&results).unwrap(), &mut all);
    let made = bundle::write(
        &serde_json::to_string(&results).unwrap(),
        &bundle::key::generate().unwrap(),
        "2026-09-02T08:00:00Z",
    )
    .unwrap();
    keys(
        &serde_json::to_value(bundle::verify(&made, None).unwrap().manifest).unwrap(),
        &mut all,
    );
    assert!(
        all.len() > 60,
        "the sample has something of everything: {all:?}"
    );
    // There, keys of parts and results of exchanges are written as JSON.
    let missing: Vec<_> = all
        .iter()
        .filter(|key| {
            !PAGE.contains(&format!("`{key}`")) && !PAGE.contains(&format!("{{\"{key}\": "))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "docs/results.md does not name {missing:?}"
    );
    assert!(PAGE.contains(&format!("schema **{SCHEMA_VERSION}**")));
}

#[test]
fn the_page_names_every_word_of_the_output() {
    let on = [
        TargetKind::EmulatorInMemory,
        TargetKind::EmulatorOnWire,
        TargetKind::Recording,
        TargetKind::Device,
    ]
    .map(serde_name);
    let used = [
        DeviationUse::NotNeeded,
        DeviationUse::Waived,
        DeviationUse::Expired,
    ]
    .map(serde_name);
    for word in on
        .into_iter()
        .chain(used)
        .chain(Outcome::ALL.map(serde_name))
        .chain(Impact::ALL.map(serde_name))
    {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn the_example_is_one() {
    let example = PAGE
        .split("```json\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let results = Results::parse(example).unwrap();
    // It leaves nothing out: written again, it has the same keys.
    let (mut there, mut written) = (BTreeSet::new(), BTreeSet::new());
    keys(&serde_json::from_str(example).unwrap(), &mut there);
    keys(&serde_json::to_value(&results).unwrap(), &mut written);
    assert_eq!(there, written);
}
