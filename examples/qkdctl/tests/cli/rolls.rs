//! Rolls after a roll that did not end.

use crate::{
    bench::Run,
    signals::{Pair, begun},
};
use nix::sys::signal::Signal;
use qkd_emulators::profile::Options;
use serde_json::Value;

impl Pair {
    /// Kills a roll as soon as a step has begun at a device. Returns the ID of its key.
    fn kill_at(&self, operation: &str, uri: &str) -> String {
        let before = self.key_ids();
        let earlier = self.bench.journal().len();
        let running = self.roll();
        let is_begun = begun(operation, uri);
        self.bench.until("the step begins", || {
            self.bench.journal()[earlier..].iter().any(&is_begun)
        });
        running.signal(Signal::SIGKILL);
        running.ended().exits(-1);
        for emulator in [&self.encryptors, &self.keys] {
            emulator.fault("clear").unwrap();
        }
        let mut new = self.key_ids();
        new.retain(|id| !before.contains(id));
        assert_eq!(new.len(), 1, "{new:?}");
        new.remove(0)
    }

    /// Runs the roll with these arguments in place of `--yes`.
    fn run(&self, change: &[&str]) -> Run {
        let arguments = self.arguments.iter().map(String::as_str);
        let arguments = arguments
            .filter(|a| *a != "--yes")
            .chain(change.iter().copied());
        self.bench.run(arguments)
    }

    /// The ID of the active key at each end, and the number of keys of each.
    fn active_keys(&self) -> Vec<(String, usize)> {
        let of = |slots: &Value| {
            let slots = slots.as_array().unwrap();
            let active = slots.iter().find(|s| s["active"] == true).unwrap();
            (active["key_id"].as_str().unwrap().to_owned(), slots.len())
        };
        self.slots().iter().map(of).collect()
    }

    fn far(&self) -> String {
        self.encryptors.ready().uris[1].clone()
    }
}

#[test]
fn a_roll_is_finished_with_its_key_where_both_ends_have_it() {
    let pair = Pair::nokia();
    pair.roll().ended().exits(0);
    pair.encryptors.fault("2:delay=150ms").unwrap();
    let cut = pair.kill_at("activate", &pair.far());
    // No key is needed: the QKD modules may be out of reach.
    pair.keys.fault("reset").unwrap();
    let journal = pair.bench.journal_text();
    let dry = pair.run(&[]).exits(0);
    for what in [
        "did not end",
        &cut,
        "stage at",
        "activate at",
        "no key is taken",
        "No outage",
    ] {
        assert!(dry.err.contains(what), "no `{what}`: {dry:#?}");
    }
    let dry = dry
        .expect_text("would finish the roll")
        .expect_text("confirm at both ends, retire at both ends")
        .expect_text("dry run");
    assert!(dry.out.contains(&cut), "{dry:#?}");
    let document = pair.run(&["--output", "json"]).exits(0).json();
    assert_eq!(document["result"], "dry_run");
    assert_eq!(document["found"]["recovery"], "forward");
    assert_eq!(document["key_id"], cut);
    assert_eq!(document["size_bits"], Value::Null);
    crate::schemas::check(&document);
    // The roll is found whichever end is named first.
    let mut swapped = pair.arguments.clone();
    swapped.retain(|a| a != "--yes");
    let place = swapped.iter().position(|a| a == "--peer").unwrap();
    swapped.swap(place - 1, place + 1);
    let dry = pair.bench.run(&swapped).exits(0);
    assert!(dry.err.contains("is finished with its key"), "{dry:#?}");
    assert_eq!(
        pair.bench.journal_text(),
        journal,
        "a dry run writes nothing"
    );

    let finished = pair.run(&["--yes", "--output", "json"]).exits(0).json();
    crate::schemas::check(&finished);
    assert_eq!(finished["result"], "applied");
    assert_eq!(finished["key_id"], cut);
    assert_eq!(finished["retired"], true);
    assert_eq!(pair.active_keys(), [(cut.clone(), 1), (cut.clone(), 1)]);
    pair.keys.fault("clear").unwrap();
    let next = pair.roll().ended().exits(0);
    assert!(!next.err.contains("did not end"), "{next:#?}");
    assert!(pair.active_keys().iter().all(|(id, _)| *id != cut));
}

#[test]
fn a_roll_whose_key_did_not_reach_an_encryptor_is_followed_by_another() {
    let pair = Pair::nokia();
    pair.keys.fault("delay=500ms").unwrap();
    let cut = pair.kill_at("take-keys-by-id", &pair.keys.ready().uris[1]);
    let document = pair.run(&["--yes", "--output", "json"]).exits(0).json();
    crate::schemas::check(&document);
    assert_eq!(document["found"]["recovery"], "nothing");
    assert_eq!(document["void_key_ids"], serde_json::json!([cut]));
    let key = document["key_id"].as_str().unwrap().to_owned();
    assert_eq!(pair.active_keys(), [(key.clone(), 1), (key, 1)]);
}

#[test]
fn a_secret_that_was_overwritten_is_overwritten_by_a_fresh_key() {
    let pair = Pair::packetlight();
    pair.encryptors.fault("2:delay=150ms").unwrap();
    let cut = pair.kill_at("stage", &pair.far());
    let dry = pair.run(&[]).exits(0);
    for what in [
        "a fresh key is staged at both ends",
        "Traffic drops while the encryptors",
    ] {
        assert!(dry.err.contains(what), "no `{what}`: {dry:#?}");
    }
    let document = pair.run(&["--yes", "--output", "json"]).exits(0).json();
    crate::schemas::check(&document);
    assert_eq!(document["found"]["recovery"], "fresh-key");
    assert_eq!(document["result"], "applied");
    assert_eq!(document["void_key_ids"], serde_json::json!([cut]));
    assert_ne!(document["key_id"], cut);
    let voided: Vec<Value> = pair
        .bench
        .journal()
        .into_iter()
        .filter(|line| line["operation"] == "void-key")
        .collect();
    assert!(
        voided
            .iter()
            .all(|l| l["key_ids"] == serde_json::json!([cut])),
        "{voided:#?}"
    );
    assert_eq!(voided.len(), 2, "its begin and its end: {voided:#?}");
}

/// A key exchange on command, of one of two flows too, and one that has to be waited for.
#[test]
fn a_secret_that_authenticates_a_key_exchange_is_rolled() {
    let usual = Options::default;
    let flows = usual().with("own-profiles", true);
    // A day is a second.
    let fast = usual().with("time-factor", 86_400);
    for (driver, options, channel, says) in [
        (
            "adva-fsp3000r7",
            usual(),
            None,
            "a key exchange has succeeded",
        ),
        ("adva-fsp150", flows, Some("1.2"), "the flow has new SAs"),
        ("infinera-xtm", fast, None, "the peer was authenticated at"),
    ] {
        let mut pair = Pair::of_driver(driver, options);
        for option in ["--channel", "--peer-channel"] {
            let named = channel.into_iter().flat_map(|channel| [option, channel]);
            pair.arguments.extend(named.map(str::to_owned));
        }
        let before = pair.encryptors.state();
        let document = pair.run(&["--yes", "--output", "json"]).exits(0).json();
        crate::schemas::check(&document);
        assert_eq!(document["result"], "applied", "{driver}: {document}");
        assert!(document.to_string().contains(says), "{driver}: {document}");
        assert_ne!(pair.encryptors.state(), before, "{driver}");
        let text = pair.bench.journal_text();
        assert!(!text.contains("Emulated-Officer"), "{driver}");
    }
}

#[test]
fn an_exchange_on_command_that_was_interrupted_is_repeated_with_a_fresh_key() {
    let pair = Pair::of_driver("adva-fsp3000r7", Options::default());
    pair.encryptors.fault("2:delay=150ms").unwrap();
    let cut = pair.kill_at("stage", &pair.far());
    let document = pair.run(&["--yes", "--output", "json"]).exits(0).json();
    assert_eq!(document["found"]["recovery"], "fresh-key");
    assert_eq!(document["result"], "applied");
    assert_eq!(document["void_key_ids"], serde_json::json!([cut]));
}

#[test]
fn a_roll_that_failed_is_found_by_the_next_one() {
    let pair = Pair::nokia();
    pair.roll().ended().exits(0);
    pair.encryptors.fault("2:refuse=1").unwrap();
    let failed = pair.roll().ended().exits(8);
    assert!(
        failed.err.contains("the first end has the new key staged"),
        "{failed:#?}"
    );
    let cut = pair.key_ids();
    let next = pair.roll().ended().exits(0);
    for what in ["did not end", "a fresh key is staged at both ends"] {
        assert!(next.err.contains(what), "no `{what}`: {next:#?}");
    }
    assert!(
        pair.active_keys()
            .iter()
            .all(|(id, keys)| *keys == 1 && !cut.contains(id))
    );
    let third = pair.roll().ended().exits(0);
    assert!(!third.err.contains("did not end"), "{third:#?}");
}

#[test]
fn a_record_that_was_cut_takes_no_other_one_with_it() {
    let pair = Pair::nokia();
    pair.encryptors.fault("2:delay=150ms").unwrap();
    let cut = pair.kill_at("activate", &pair.far());
    // A power failure in the middle of a line.
    let path = pair.bench.path("journal.jsonl");
    let text = pair.bench.journal_text();
    let last = text.lines().last().unwrap();
    let torn = format!("{text}{}", &last[..last.len() / 2]);
    std::fs::write(&path, &torn).unwrap();
    let finished = pair.run(&["--yes", "--output", "json"]).exits(0).json();
    assert_eq!(finished["key_id"], cut);
    let text = pair.bench.journal_text();
    let after = text.strip_prefix(&torn).unwrap();
    let after = after.strip_prefix('\n').unwrap();
    let begun: Value = serde_json::from_str(after.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&begun["operation"], &begun["outcome"]),
        (&"roll".into(), &"begun".into())
    );
    let next = pair.roll().ended().exits(0);
    assert!(!next.err.contains("did not end"), "{next:#?}");
}

#[test]
fn a_roll_whose_journal_cannot_be_written_sends_nothing() {
    let pair = Pair::nokia();
    let slots = pair.slots();
    let output = pair
        .bench
        .command(&pair.arguments)
        .env("QKDCTL_JOURNAL", "/dev/full")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(70), "{error}");
    assert!(
        error.contains("the journal could not be written"),
        "{error}"
    );
    assert_eq!(pair.slots(), slots);
}
