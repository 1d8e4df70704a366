//! Encryptors without slots: strongSwan and WireGuard on their Unix sockets.

use crate::bench::Bench;
use qkd_emulators::profile::Options;

const KEY: &str = "6fa459ea-ee8a-4ca4-894e-db77e160355e";

fn key_file(bench: &Bench) -> String {
    let hex = "5a".repeat(32);
    bench.private("key.json", &format!(r#"[{{"id":"{KEY}","hex":"{hex}"}}]"#))
}

/// The channel of an end.
fn channel_of(bench: &Bench, uri: &str) -> String {
    let shown = bench.run(["encryptor", "show", uri, "-o", "json"]).exits(0);
    let channel = &shown.json()["channels"][0]["status"]["channel"];
    channel.as_str().unwrap().to_owned()
}

/// Stages the key at an end, and returns the file with what `stage` printed.
fn stage(bench: &Bench, uri: &str, channel: &str, name: &str) -> String {
    let key = key_file(bench);
    let arguments = [
        "encryptor",
        "stage",
        uri,
        "--channel",
        channel,
        "--key",
        &key,
    ];
    let done = bench.run(arguments.iter().chain(&["--yes", "-o", "json"]));
    let file = bench.path(name);
    std::fs::write(&file, done.exits(0).out).unwrap();
    file.display().to_string()
}

#[test]
fn a_key_of_a_second_association_is_staged_activated_confirmed_and_retired() {
    let bench = Bench::new();
    let pair = bench.start("strongswan-pair");
    let [near, far] = [0, 1].map(|end| pair.ready().uris[end].clone());
    let by_id = |verb: &'static str| ["encryptor", verb, &near, "--channel", "net", "--id", KEY];
    stage(&bench, &near, "net", "near.json");
    // The other end has no such key: the association in use stays.
    let refused = bench
        .run(by_id("activate").iter().chain(&["--yes"]))
        .exits(1);
    refused.complains("establishing CHILD_SA 'net' failed");
    let staged = stage(&bench, &far, "net", "far.json");
    let planned = bench.run(by_id("activate")).exits(0);
    planned.expect_text("Traffic may drop: the association before carries traffic");
    let activated = bench
        .run(by_id("activate").iter().chain(&["--yes"]))
        .exits(0);
    activated.expect_text("which this end named");
    let at_far = ["--channel", "net", "--staged", &staged];
    let confirm = ["encryptor", "confirm", &far];
    let confirmed = bench.run(confirm.iter().chain(&at_far)).exits(0);
    confirmed.expect_text("the other end has established association");
    for (uri, key) in [(&near, ["--id", KEY]), (&far, ["--staged", &staged])] {
        let retire = ["encryptor", "retire", uri, "--channel", "net", "--yes"];
        bench.run(retire.iter().chain(&key)).exits(0);
    }
    assert!(!pair.state().contains("IKE SA net[1]"), "{}", pair.state());
}

#[test]
fn a_key_that_waits_for_the_next_handshake_is_confirmed_and_not_activated() {
    let bench = Bench::new();
    // Two minutes are two seconds.
    let options = Options::default().with("time-factor", "60");
    let pair = bench.start_with("wireguard-pair", options);
    let [near, far] = [0, 1].map(|end| pair.ready().uris[end].clone());
    let channels = [&near, &far].map(|uri| channel_of(&bench, uri));
    let staged = stage(&bench, &near, &channels[0], "near.json");
    stage(&bench, &far, &channels[1], "far.json");
    let on_near = ["--channel", &channels[0]];
    let activate = ["encryptor", "activate", &near, "--id", KEY];
    let refused = bench.run(activate.iter().chain(&on_near)).exits(5);
    refused.complains("qkdctl encryptor confirm");
    // The device stores no ids: a key that is only named cannot be confirmed.
    let confirm = [
        "encryptor",
        "confirm",
        &near,
        "--id",
        KEY,
        "--longest",
        "1ms",
    ];
    let unknown = bench.run(confirm.iter().chain(&on_near)).exits(8);
    unknown.expect_text("NOT CONFIRMED: no staging of key");
    let confirm = ["encryptor", "confirm", &near, "--staged", &staged];
    let confirmed = bench.run(confirm.iter().chain(&on_near)).exits(0);
    confirmed.expect_text("the key protects traffic: a handshake");
    let elsewhere = ["encryptor", "confirm", &far, "--staged", &staged];
    let on_far = ["--channel", &channels[1]];
    let refused = bench.run(elsewhere.iter().chain(&on_far)).exits(2);
    refused.complains("it is of channel");
}
