//! Keys and random bytes: into private files, and nowhere else.

use crate::bench::{Bench, mode};
use serde_json::Value;

#[test]
fn keys_are_written_to_files_and_never_printed() {
    let bench = Bench::new();
    let pair = bench.start_stored("etsi014-pair");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    let [near, far] = [0, 1].map(|n| pair.ready().uris[n].clone());
    let [key, twin] = ["key.json", "twin.json"].map(|n| bench.path(n));
    let [key_file, twin_file] = [&key, &twin].map(|p| p.display().to_string());
    let run = |arguments: &[&str]| {
        bench.run(
            arguments
                .iter()
                .chain(&["--credentials", credentials.as_str(), "-vv"]),
        )
    };
    let stored = || {
        run(&["key", "status", &near, "--output", "json"])
            .exits(0)
            .json()["key_store"]["stored"]
            .as_u64()
            .unwrap()
    };

    let at_first = stored();
    run(&["key", "take", &near, "--size", "256", "--to", &key_file])
        .exits(0)
        .expect_text("dry run");
    assert!(!key.exists() && bench.journal().is_empty());
    assert_eq!(stored(), at_first, "a dry run takes nothing");

    let taken = run(&[
        "key", "take", &near, "--size", "256", "--to", &key_file, "--yes",
    ])
    .exits(0);
    assert_eq!((mode(&key), stored()), (0o600, at_first - 1));
    let entries: Value = serde_json::from_slice(&std::fs::read(&key).unwrap()).unwrap();
    let (id, hex) = (
        entries[0]["id"].as_str().unwrap(),
        entries[0]["hex"].as_str().unwrap(),
    );
    assert_eq!(hex.len(), 64);
    let taken = taken.expect_text(id);

    let before = std::fs::read(&key).unwrap();
    run(&["key", "take", &near, "--to", &key_file, "--yes"]).exits(2);
    assert_eq!(
        (std::fs::read(&key).unwrap(), stored()),
        (before, at_first - 1),
        "a file that exists is kept, and no key is taken for it"
    );

    let same = run(&["key", "take", &far, "--id", id, "--to", &twin_file, "--yes"])
        .exits(0)
        .expect_text(id);
    let twins: Value = serde_json::from_slice(&std::fs::read(&twin).unwrap()).unwrap();
    assert_eq!(
        (twins, mode(&twin)),
        (entries.clone(), 0o600),
        "the twin is the same key, by id and by value"
    );
    let spent = bench.path("spent.json");
    let again = run(&[
        "key",
        "take",
        &far,
        "--id",
        id,
        "--to",
        &spent.display().to_string(),
        "--yes",
    ]);
    assert_ne!(again.code, 0, "a twin comes once: {again:#?}");
    assert!(!spent.exists(), "no key, no file");

    let journal = bench.journal_text();
    for text in [&taken.out, &taken.err, &same.out, &same.err, &journal] {
        assert!(!text.to_ascii_lowercase().contains(&hex[..16]), "{text}");
    }
    let outcomes: Vec<_> = bench
        .journal()
        .iter()
        .map(|l| {
            l["outcome"]
                .as_str()
                .unwrap()
                .split(':')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        outcomes,
        ["begun", "done", "begun", "done", "begun", "not-found"]
    );
}

#[test]
fn random_bytes_go_into_a_new_private_file() {
    let bench = Bench::new();
    let source = bench.start("idq-quantis");
    let uri = source.ready().uri.as_str();
    let path = bench.path("random.bin");
    let file = path.display().to_string();
    bench
        .run(["random", uri, "--bytes", "5000", "--to", &file])
        .exits(0)
        .expect_text("5000 random bytes");
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((bytes.len(), mode(&path)), (5000, 0o600));
    assert!(bytes.iter().any(|b| *b != bytes[0]));
    bench
        .run(["random", uri, "--bytes", "16", "--to", &file])
        .exits(2)
        .complains("never overwritten");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    bench
        .run(["random", uri, "--bytes", "16"])
        .exits(0)
        .expect_text("forgotten");
    source.fault("constant=90").unwrap();
    let constant = bench.path("constant.bin");
    let refused = bench
        .run([
            "random",
            uri,
            "--bytes",
            "16",
            "--to",
            &constant.display().to_string(),
        ])
        .exits(1)
        .complains("the health test of NIST SP 800-90B");
    assert!(!constant.exists(), "{refused:#?}");
    source.fault("clear").unwrap();
    source.fault("short").unwrap();
    bench
        .run(["random", uri, "--bytes", "512"])
        .exits(1)
        .complains("the device did not change");
    source.fault("unplug").unwrap();
    let none = bench.path("none.bin");
    bench
        .run([
            "random",
            uri,
            "--bytes",
            "16",
            "--to",
            &none.display().to_string(),
        ])
        .exits(3);
    assert!(!none.exists(), "no bytes, no file");
}

#[test]
fn keys_over_plain_http_need_an_explicit_option() {
    let bench = Bench::new();
    let qline = bench.start_stored("veriqloud-qline-pair");
    let (path, uri) = (bench.path("keys.json"), &qline.ready().uris[0]);
    let file = path.display().to_string();
    let take = ["key", "take", uri, "--to", &file, "--yes"];
    bench.run(take).exits(2).complains("--plain-http");
    assert!(!path.exists() && bench.journal().is_empty());
    let by_http = "etsi014+http://192.0.2.1/?peer=sae-bob";
    bench
        .run(["key", "take", by_http, "--to", &file])
        .exits(2)
        .complains("nothing was taken");
    bench.run(take.iter().chain(&["--plain-http"])).exits(0);
    assert!(path.exists());
}

#[test]
fn a_roll_with_a_key_over_plain_http_needs_an_explicit_option() {
    let bench = Bench::new();
    let (encryptors, keys) = (
        bench.start("nokia-sros-macsec-pair"),
        bench.start_stored("etsi014-pair"),
    );
    let credentials = bench.credentials("credentials.toml", &[&encryptors, &keys]);
    let (b, k) = (&encryptors.ready().uris, &keys.ready().uris);
    let by_http = "etsi014+http://192.0.2.1/?peer=sae-bob";
    // Either end, by URI or by the name of a pair, as a dry run or not.
    let inventory = format!("[pair.link]\nnear = '{}'\nfar = '{by_http}'\n", k[0]);
    let inventory = bench.private("inventory.toml", &inventory);
    for sources in [
        &["--source", by_http, "--peer-source", &k[1]][..],
        &["--source", &k[0], "--peer-source", by_http],
        &["--source", "link"],
    ] {
        for yes in [&[][..], &["--yes"]] {
            let ends = ["encryptor", "roll", &b[0], "--peer", &b[1]];
            let files = ["--credentials", &credentials, "--inventory", &inventory];
            bench
                .run(ends.iter().chain(&files).chain(sources).chain(yes))
                .exits(2)
                .complains("accept it with --plain-http");
        }
    }
    assert_eq!(bench.journal(), Vec::<serde_json::Value>::new());
}
