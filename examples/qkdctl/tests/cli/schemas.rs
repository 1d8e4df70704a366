//! JSON output: each document names its schema, and is as `docs/schemas` says.

use crate::bench::{Bench, closed_port};
use boon::{Compiler, Schemas};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas")
}

/// The file of the schema that a document names.
fn file_of(document: &Value) -> String {
    let schema = document["schema"].as_str().unwrap_or_default();
    let command = schema
        .strip_prefix("qkdctl/")
        .and_then(|rest| rest.strip_suffix("/2"))
        .unwrap_or_else(|| panic!("no schema of this program: {document:#}"));
    format!("{}.json", command.replace('/', "-"))
}

/// Checks a document against the schema that it names.
#[track_caller]
pub(crate) fn check(document: &Value) {
    let file = folder().join(file_of(document));
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.enable_format_assertions();
    let schema = compiler
        .compile(&file.display().to_string(), &mut schemas)
        .unwrap_or_else(|e| panic!("{}: {e:#}", file.display()));
    if let Err(error) = schemas.validate(document, schema) {
        panic!("{error:#}\n{document:#}");
    }
}

#[test]
fn every_command_that_prints_json_has_a_schema_that_its_output_meets() {
    let bench = Bench::new();
    let (switch, encryptors, keys) = (
        bench.start("polatis-16x16"),
        bench.start("nokia-sros-macsec-pair"),
        bench.start_stored("veriqloud-qline-pair"),
    );
    let line = bench.start("packetlight-pair");
    let (group, random) = (bench.start("fs-olp"), bench.start("idq-quantis"));
    let credentials = bench.credentials("credentials.toml", &[&encryptors]);
    let others = bench.credentials("others.toml", &[&group]);
    let key = bench.private(
        "key.json",
        &format!(
            r#"[{{"id":"6fa459ea-ee8a-4ca4-894e-db77e160355e","hex":"{}"}}]"#,
            "5a".repeat(16)
        ),
    );
    let (sw, enc) = (switch.ready().uri.as_str(), &encryptors.ready().uris);
    let module = &keys.ready().uris;
    // With monitors and attenuators.
    let optics = &switch.ready().uris[3];
    let olp = group.ready().uri.as_str();
    let saved = bench.path("saved.json").display().to_string();
    let taken = bench.path("taken.json").display().to_string();
    let id = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
    let on_channel = ["--channel", "ca1"];
    let mut seen = BTreeSet::new();
    let mut run = |arguments: &[&str], credentials: &str| {
        let accepted = crate::encryptors::NOKIA.map(|id| ["--assume", id]).concat();
        let common = ["-o", "json", "--credentials", credentials];
        let done = bench.run(arguments.iter().chain(&common).chain(&accepted));
        assert!(done.code == 0 || done.code == 10, "{done:#?}");
        seen.insert(file_of(&done.json()));
    };
    let own = credentials.as_str();
    run(&["drivers"], own);
    run(&["drivers", "polatis"], own);
    run(&["list"], own);
    run(&["probe"], own);
    for device in [sw, &enc[0], &module[0], &random.ready().uri] {
        run(&["info", device], own);
        run(&["get", device], own);
    }
    run(&["set", sw, "boot-mode=autosave"], own);
    run(&["random", &random.ready().uri, "--bytes", "16"], own);
    for change in [&["--yes"][..], &[]] {
        let apply = ["switch", "apply", sw, "--connect", "1-17"];
        run(&[&apply[..], change].concat(), own);
    }
    run(&["switch", "show", sw], own);
    run(&["switch", "plan", sw, "--disconnect", "1"], own);
    run(&["switch", "save", sw, &saved], own);
    run(&["switch", "restore", sw, &saved], own);
    run(&["switch", "port", sw, "3", "disable", "--yes"], own);
    run(&["info", optics], own);
    run(&["info", olp], &others);
    run(&["switch", "attenuate", optics, "17"], own);
    run(&["switch", "monitor", optics, "17"], own);
    let on_group = ["--group", "1"];
    run(&["switch", "protect", "show", olp], &others);
    for arguments in [
        &["set", olp, "mode=manual"][..],
        &["manual", olp, "backup"],
        &["force", olp, "backup"],
        &["lockout", olp],
        &["clear", olp],
    ] {
        let all = [&["switch", "protect"][..], arguments, &on_group].concat();
        let accepted = ["-o", "json", "--credentials", &others];
        let done = bench.run(all.iter().chain(&accepted));
        if done.code == 0 {
            seen.insert(file_of(&done.json()));
        } else {
            // What this group does not have is refused, as a document.
            seen.insert(file_of(&done.error_json()));
            seen.insert(format!("switch-protect-{}.json", arguments[0]));
        }
    }
    let mut run = |arguments: &[&str]| {
        let accepted = crate::encryptors::NOKIA.map(|id| ["--assume", id]).concat();
        let common = ["-o", "json", "--credentials", own];
        let done = bench
            .run(arguments.iter().chain(&common).chain(&accepted))
            .exits(0);
        seen.insert(file_of(&done.json()));
    };
    run(&["key", "status", &module[0]]);
    run(&["key", "take", &module[0], "--plain-http", "--to", &taken]);
    run(&[
        "key",
        "take",
        &module[0],
        "--plain-http",
        "--to",
        &taken,
        "--yes",
    ]);
    run(&["key", "start", &module[0], "--yes"]);
    run(&["key", "calibrate", &module[0]]);
    run(&["encryptor", "show", &enc[0]]);
    let stage = ["encryptor", "stage", &enc[0], "--key", &key, "--yes"];
    run(&[&stage[..], &on_channel].concat());
    let activate = ["encryptor", "activate", &enc[0], "--id", id];
    run(&[&activate[..], &on_channel].concat());
    let retire = ["encryptor", "retire", &enc[0], "--id", id];
    run(&[&retire[..], &on_channel].concat());
    run(&[&["encryptor", "zeroize", &enc[0]][..], &on_channel].concat());
    let shown = bench.run([
        "encryptor",
        "show",
        &line.ready().uri,
        "-o",
        "json",
        "--credentials",
        own,
    ]);
    let channel = shown.exits(0).json()["channels"][0]["status"]["channel"].clone();
    let encryption = ["encryptor", "encryption", &line.ready().uri, "off"];
    run(&[&encryption[..], &["--channel", channel.as_str().unwrap()]].concat());
    let roll = ["encryptor", "roll", &enc[0], "--peer", &enc[1]];
    let sources = ["--source", &module[0], "--peer-source", &module[1]];
    let plain = ["--plain-http"];
    run(&[&roll[..], &sources, &plain].concat());
    run(&[&roll[..], &sources, &plain, &["--yes"]].concat());
    run(&["journal"]);
    // The key has been destroyed.
    let confirm = [
        "encryptor",
        "confirm",
        &enc[0],
        "--id",
        id,
        "--longest",
        "1ms",
    ];
    let common = ["-o", "json", "--credentials", own];
    let confirmed = bench.run(confirm.iter().chain(&on_channel).chain(&common));
    seen.insert(file_of(&confirmed.exits(8).json()));
    let doctor = bench.run(["doctor", "-o", "json"]);
    seen.insert(file_of(&doctor.json()));
    let watch = bench
        .run(["watch", sw, "--count", "1", "-o", "json"])
        .exits(0);
    for line in watch.out.lines() {
        let document = serde_json::from_str(line).unwrap();
        check(&document);
        seen.insert(file_of(&document));
    }
    let (address, _held) = closed_port();
    let gone = format!("polatis+tcp://{address}");
    let error = bench.run(["info", &gone, "-o", "json"]).exits(3);
    assert_eq!(error.error_json()["error"]["exit_code"], 3);
    seen.insert(file_of(&error.error_json()));
    // No family stops key generation; the document is that of `key start`. `demo` runs for half a
    // minute.
    seen.extend(["key-stop.json".to_owned(), "demo.json".to_owned()]);
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "common.json")
        .collect();
    assert_eq!(seen, files);
}

#[test]
fn an_invalid_command_line_is_reported_as_json_if_json_was_requested() {
    let bench = Bench::new();
    for json in [
        &["--output", "json"][..],
        &["--output=json"],
        &["-o", "json"],
        &["-ojson"],
        &["-o=json"],
        &["-vo", "json"],
    ] {
        let wrong = ["switch", "apply", "--no-such-option"];
        let run = bench.run(json.iter().chain(&wrong)).exits(2);
        let document = run.error_json();
        assert_eq!(document["schema"], "qkdctl/error/2");
        assert_eq!(document["error"]["kind"], "invalid-input");
        let message = document["error"]["message"].as_str().unwrap();
        assert!(message.contains("--no-such-option"), "{message}");
        assert_eq!(run.out, "");
    }
    let plain = bench.run(["switch", "apply", "--no-such-option"]).exits(2);
    assert!(plain.err.starts_with("error: "), "{plain:#?}");
}

#[test]
fn shapes_are_the_same_in_every_command() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let run = |arguments: &[&str]| {
        bench
            .run(arguments.iter().chain(&["-o", "json"]))
            .exits(0)
            .json()
    };
    let path = serde_json::json!({"ingress": 1, "egress": 17});
    let apply = ["switch", "apply", uri, "--connect", "1-17"];
    let dry = run(&apply);
    assert_eq!(dry["result"], "dry_run");
    let step = serde_json::json!({"action": "connect", "ingress": 1, "egress": 17});
    assert_eq!(dry["plan"]["steps"][0], step);
    let done = run(&[&apply[..], &["--yes"]].concat());
    assert_eq!(done["result"], "applied");
    assert!(done["report"]["duration_ns"].as_u64().unwrap() > 0);
    assert_eq!(run(&[&apply[..], &["--yes"]].concat())["result"], "already");
    let shown = run(&["switch", "show", uri]);
    assert_eq!(shown["connections"][0], path);
    let info = run(&["info", uri]);
    assert_eq!(shown["geometry"], info["switch"]["geometry"]);
    assert_eq!(info["descriptor"]["deadline_ns"], 5_000_000_000_u64);
    let power = &shown["ports"][16]["power_dbm"];
    let at = power["at"].as_str().unwrap();
    assert!(
        at.len() == "2026-01-31T12:00:00.000000000Z".len() && at.ends_with('Z'),
        "{power:#}"
    );
}
