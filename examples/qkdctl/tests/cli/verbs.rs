//! Changes of one call: `key start`, `encryptor zeroize`, `switch port` and the like.

use crate::{
    bench::Bench,
    encryptors::{NOKIA, first_channel},
};
use qkd_emulators::profile::Options;
use serde_json::Value;

/// A change is not made without `--yes`, made and journalled with it, and then nothing to do.
#[track_caller]
fn changes(bench: &Bench, change: &[&str], options: &[&str], is_idempotent: bool) -> Value {
    let json = ["-o", "json"];
    let run = |more: &[&str]| {
        bench
            .run(change.iter().chain(options).chain(&json).chain(more))
            .exits(0)
            .json()
    };
    let lines = bench.journal().len();
    let dry = run(&[]);
    assert_eq!(dry["result"], "dry_run", "{dry:#}");
    assert_eq!(bench.journal().len(), lines, "a dry run is not journalled");
    bench
        .run(change.iter().chain(options))
        .exits(0)
        .expect_text("would ")
        .expect_text("dry run: nothing was changed; add --yes to apply");
    let done = run(&["--yes"]);
    assert_eq!(done["result"], "applied", "{done:#}");
    assert_eq!(done["before"], dry["before"], "a dry run changed something");
    let journal = &bench.journal()[lines..];
    let outcomes: Vec<_> = journal.iter().map(|l| l["outcome"].clone()).collect();
    assert_eq!(outcomes, ["begun", "done"], "{journal:#?}");
    assert!(journal.iter().all(|l| l["operation"] == done["operation"]));
    if is_idempotent {
        let again = run(&["--yes"]);
        assert_eq!(again["result"], "already", "{again:#}");
        assert_eq!(bench.journal().len(), lines + 2);
    }
    done
}

#[test]
fn a_module_is_started_and_missing_operations_are_unsupported() {
    let bench = Bench::new();
    let link = bench.start_stored("veriqloud-qline-pair");
    let uri = link.ready().uri.as_str();
    // That it generates keys while it is online is an assumption.
    let id = "veriqloud-qline.online-is-generating";
    bench
        .run(["key", "start", uri, "--assume", id, "--yes"])
        .exits(0)
        .expect_text("nothing to do: state: generating");
    assert_eq!(bench.journal(), Vec::<Value>::new());
    let started = changes(&bench, &["key", "start", uri], &[], false);
    assert_eq!(started["after"]["state"], "calibrating", "{started:#}");
    let waited = bench
        .run(["key", "start", uri, "--wait", "10ms", "--yes"])
        .exits(9)
        .expect_text("done: start key generation");
    assert!(waited.err.contains("not reached"), "{waited:#?}");
    bench
        .run(["key", "stop", uri, "--yes"])
        .exits(5)
        .complains("does not support `stop`");
    let kme = bench.start("etsi014-pair");
    let credentials = bench.credentials("kme.toml", &[&kme]);
    let start = ["key", "start", &kme.ready().uri, "--credentials"];
    bench
        .run(start.iter().copied().chain([credentials.as_str(), "--yes"]))
        .exits(5)
        .complains("does not support");
}

#[test]
fn a_calibration_is_announced_with_its_longest_time() {
    let bench = Bench::new();
    let link = bench.start_stored("veriqloud-qline-pair");
    let uri = link.ready().uri.as_str();
    bench
        .run(["key", "calibrate", uri])
        .exits(0)
        .expect_text("would calibrate the link (the command ends within ")
        .expect_text("Calibration interrupts key generation")
        .expect_text("dry run");
    assert_eq!(bench.journal(), Vec::<Value>::new());
}

#[test]
fn keys_are_destroyed_only_with_yes_and_accepted_assumptions() {
    let bench = Bench::new();
    let pair = bench.start("nokia-sros-macsec-pair");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    let uri = pair.ready().uri.as_str();
    let zeroize = ["encryptor", "zeroize", uri, "--channel", "ca1"];
    let login = ["--credentials", credentials.as_str()];
    bench
        .run(zeroize.iter().chain(&login))
        .exits(5)
        .complains("nokia-sros-macsec.destroy-zeroizes");
    let accepted = NOKIA.map(|id| ["--assume", id]).concat();
    let options = [&login[..], &accepted].concat();
    bench
        .run(zeroize.iter().chain(&options))
        .exits(0)
        .expect_text("would destroy all keys of the channel")
        .expect_text("raffic");
    changes(&bench, &zeroize, &options, false);
}

#[test]
fn encryption_is_switched_off_and_on_again() {
    let bench = Bench::new();
    let pair = bench.start("packetlight-pair");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    let uri = pair.ready().uri.as_str();
    let login = ["--credentials", credentials.as_str()];
    let channel = first_channel(&bench, uri, &credentials);
    let options = ["--channel", &channel, login[0], login[1]];
    bench
        .run(
            ["encryptor", "encryption", uri, "off"]
                .iter()
                .chain(&options),
        )
        .exits(0)
        .expect_text("TRAFFIC MAY PASS UNENCRYPTED");
    // The state would change between the readings while the pair makes its first exchange.
    bench.until("the first exchange ends", || {
        let show = ["encryptor", "show", uri, "-o", "json", login[0], login[1]];
        let shown = bench.run(show).exits(0).json();
        shown["channels"][0]["status"]["state"] == "encrypting"
    });
    for (word, is_disabled) in [("off", true), ("on", false)] {
        let change = ["encryptor", "encryption", uri, word];
        let done = changes(&bench, &change, &options, true);
        let after = &done["after"]["state"];
        assert_eq!(after == "disabled", is_disabled, "{done:#}");
    }
}

#[test]
fn the_previous_key_is_kept_until_the_new_key_is_confirmed() {
    let bench = Bench::new();
    let pair = bench.start("nokia-sros-macsec-pair");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    let uri = pair.ready().uri.as_str();
    let id = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
    let accepted = NOKIA.map(|id| ["--assume", id]).concat();
    let retire = ["encryptor", "retire", uri, "--channel", "ca1", "--id", id];
    let login = [
        "--slot",
        "2",
        "--credentials",
        credentials.as_str(),
        "--yes",
    ];
    let run = bench.run(retire.iter().chain(&login).chain(&accepted));
    assert_ne!(run.code, 0, "{run:#?}");
    assert_ne!(run.code, 8, "nothing was changed: {run:#?}");
    let slots = bench
        .run(
            ["encryptor", "show", uri, "-o", "json"]
                .iter()
                .chain(&login[2..4])
                .chain(&accepted),
        )
        .exits(0)
        .json();
    let slots = slots["channels"][0]["status"]["slots"].as_array().unwrap();
    assert!(slots.iter().any(|s| s["active"] == true), "{slots:#?}");
}

#[test]
fn ports_attenuators_and_monitors_are_set() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let disabled = changes(&bench, &["switch", "port", uri, "3", "disable"], &[], true);
    assert_eq!(disabled["after"]["state"], "disabled");
    changes(&bench, &["switch", "port", uri, "3", "enable"], &[], true);
    bench
        .run(["switch", "port", uri, "99", "disable", "--yes"])
        .exits(2);
    // The wire by which monitors and attenuators are set.
    let credentials = bench.credentials("credentials.toml", &[&switch]);
    let (uri, login) = (
        switch.ready().uris[3].as_str(),
        ["--credentials", credentials.as_str()],
    );
    let run = |arguments: &[&str]| bench.run(arguments.iter().chain(&login));
    run(&["switch", "attenuate", uri, "17"])
        .exits(0)
        .expect_text("port 17: attenuation ");
    let set = ["switch", "attenuate", uri, "17", "maximum"];
    let done = changes(&bench, &set, &login, true);
    assert_eq!(done["after"]["attenuation"]["mode"], "maximum");
    run(&["switch", "attenuate", uri, "17", "loss=much"])
        .exits(2)
        .complains("expected one of");
    run(&["switch", "monitor", uri, "17"])
        .exits(0)
        .expect_text("port 17: ");
    let set = ["switch", "monitor", uri, "17", "alarms=-31.5..10"];
    let done = changes(&bench, &set, &login, true);
    assert_eq!(done["after"]["alarms"]["low_dbm"], -31.5, "{done:#}");
    run(&["switch", "monitor", uri, "17", "averaging=17ms", "--yes"])
        .exits(2)
        .complains("average");
}

#[test]
fn the_journal_is_shown_with_filters() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench
        .run(["journal"])
        .exits(0)
        .expect_text("no change in the journal fits");
    bench
        .run(["switch", "apply", uri, "--connect", "1-17", "--yes"])
        .exits(0);
    switch.fault("refuse=1").unwrap();
    bench
        .run(["switch", "apply", uri, "--connect", "2-18", "--yes"])
        .exits(1);
    bench
        .run(["set", uri, "boot-mode=autosave", "--yes"])
        .exits(0);
    let shown = |filters: &[&str]| {
        let all = bench
            .run(["journal", "-o", "json"].iter().chain(filters))
            .exits(0)
            .json();
        all["changes"].as_array().unwrap().clone()
    };
    let operations = |filters: &[&str]| -> Vec<String> {
        let all = shown(filters);
        let name = |c: &Value| c["operation"].as_str().unwrap().to_owned();
        all.iter().map(name).collect()
    };
    assert_eq!(operations(&[]), ["apply", "apply", "set-parameter"]);
    assert_eq!(operations(&["--operation", "apply"]), ["apply", "apply"]);
    assert_eq!(operations(&["--last", "1"]), ["set-parameter"]);
    assert_eq!(operations(&["--device", uri]).len(), 3);
    let other = "polatis+tcp://192.0.2.1";
    assert_eq!(operations(&["--device", other]).len(), 0);
    let failed = shown(&["--outcome", "failed"]);
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert!(failed[0]["message"].as_str().unwrap().contains("refused"));
    assert_eq!(operations(&["--outcome", "done"]).len(), 2);
    assert_eq!(operations(&["--since", "1h"]).len(), 3);
    assert_eq!(operations(&["--until", "1h"]).len(), 0);
    bench
        .run(["journal", "--since", "soon"])
        .exits(2)
        .complains("24h");
    // A line that was cut, and a change whose program was killed.
    let begun = bench.journal()[0].clone();
    let mut text = bench.journal_text();
    text.push_str(&format!("{{\"at\":\"2026-\n{begun}\n"));
    std::fs::write(bench.path("journal.jsonl"), text).unwrap();
    assert_eq!(operations(&["--outcome", "unfinished"]), ["apply"]);
    bench
        .run(["journal"])
        .exits(0)
        .expect_text("UNFINISHED")
        .expect_text("1 line of the journal could not be read");
}

#[test]
fn quiet_prints_results_and_errors_only() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let quiet = bench.run(["get", uri, "boot-mode", "-q"]).exits(0);
    assert_eq!(quiet.err, "");
    assert!(!quiet.out.is_empty());
    bench
        .run(["get", uri, "no-such", "--quiet"])
        .exits(2)
        .complains("no-such");
    bench.run(["get", uri, "boot-mode", "-q", "-v"]).exits(2);
}

#[test]
fn a_key_id_that_an_encryptor_cannot_store_is_refused_with_the_limit() {
    // A CKN and a description have limits; the others store no id, or any text.
    let (no_limit, usual) = (None, Options::default);
    let own = usual().with("own-profiles", true);
    let profiles = [
        ("adva-fsp150", "adva-fsp150-pair", own, 32, no_limit),
        (
            "adva-fsp3000r7",
            "adva-fsp3000r7-pair",
            usual(),
            32,
            no_limit,
        ),
        (
            "ciena-waveserver",
            "ciena-waveserver-pair",
            usual(),
            16,
            Some(("ab", "it takes at most 60 characters")),
        ),
        ("infinera-xtm", "infinera-xtm-pair", usual(), 32, no_limit),
        (
            "nokia-sros-macsec",
            "nokia-sros-macsec-pair",
            usual(),
            16,
            Some(("", "it takes 1 to 32 bytes")),
        ),
        ("packetlight", "packetlight-pair", usual(), 16, no_limit),
        ("strongswan", "strongswan-pair", usual(), 32, no_limit),
        ("wireguard", "wireguard-pair", usual(), 32, no_limit),
    ];
    let registry = qkd_hardware::registry();
    let encryptors: Vec<_> = registry
        .drivers()
        .map(|driver| driver.info())
        .filter(|info| info.kinds.contains(&qkd_hal::DeviceKind::Encryptor))
        // Netlink cannot be emulated on a wire, and two drivers only read.
        .filter(|info| !["linux-macsec", "atmedia", "ieee-macsec"].contains(&info.name))
        .collect();
    let names: Vec<_> = encryptors.iter().map(|info| info.name).collect();
    assert_eq!(names, profiles.each_ref().map(|(driver, ..)| *driver));
    for (info, (_, profile, settings, size, limit)) in encryptors.iter().zip(profiles) {
        let bench = Bench::new();
        let pair = bench.start_with(profile, settings);
        // A Unix socket needs none.
        let has_credentials = pair.ready().credentials_file.is_some();
        let with_credentials = has_credentials.then_some(&pair);
        let with_credentials: Vec<_> = with_credentials.into_iter().collect();
        let credentials = bench.credentials("credentials.toml", &with_credentials);
        let mut options = vec!["--credentials".to_owned(), credentials.clone()];
        for assumption in info.assumptions {
            options.extend(["--assume".to_owned(), assumption.id.to_string()]);
        }
        let uri = pair.ready().uri.as_str();
        let run = |arguments: &[&str]| {
            let options = options.iter().map(String::as_str);
            bench.run(arguments.iter().copied().chain(options))
        };
        let channel = first_channel(&bench, uri, &credentials);
        // A device that shows a fingerprint takes no key twice under different ids.
        for (id, code, octet) in [
            ("g".repeat(33), 2, "5a"),
            ("ab".repeat(33), 2, "6b"),
            ("g".repeat(32), 0, "7c"),
        ] {
            let state = pair.state();
            let text = format!(r#"[{{"id":"{id}","hex":"{}"}}]"#, octet.repeat(size));
            let file = bench.private("key.json", &text);
            let stage = ["encryptor", "stage", uri, "--channel", &channel];
            let (code, says) = match limit {
                Some((of, says)) if id.starts_with(of) => (code, says),
                _ => (0, ""),
            };
            let run = run(&[&stage[..], &["--key", &file, "--yes"]].concat()).exits(code);
            if code != 0 {
                run.never_repeats(&octet.repeat(3)).complains(says);
                assert_eq!(pair.state(), state, "nothing was sent");
            }
        }
    }
}
