//! `qkdctl conform`: the suite, with this program's credentials, inventory and locks.

use crate::bench::{Bench, closed_port};
use serde_json::Value;

#[test]
fn a_device_of_the_inventory_is_tested_against_a_profile_without_a_file() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let inventory = bench.private(
        "inventory.toml",
        &format!("[devices.sw1]\nuri = {:?}\n", switch.ready().uri),
    );
    let out = bench.path("out").display().to_string();
    let before = switch.state();
    let conform = [
        "--inventory",
        &inventory,
        "conform",
        "--uri",
        "sw1",
        "--profile",
        "matrix-switch",
        "--only",
        "DEV-0",
        "--only",
        "SWI-0",
        "--out",
        &out,
    ];
    bench
        .run(conform)
        .exits(0)
        .expect_text("Not tested: ")
        .expect_text("report.html");
    let results: Value =
        serde_json::from_slice(&std::fs::read(bench.path("out/results.json")).unwrap()).unwrap();
    assert_eq!(
        (
            results["runs"][0]["uri"].as_str(),
            results["runs"][0]["allowed"].as_str()
        ),
        (Some(switch.ready().uri.as_str()), Some("observe"))
    );
    assert_eq!(switch.state(), before, "it was observed only");
    assert_eq!(bench.journal(), Vec::<Value>::new());
}

#[test]
fn credentials_are_those_of_the_program() {
    let bench = Bench::new();
    let pair = bench.start("nokia-sros-macsec-pair");
    let (uri, out) = (
        pair.ready().uri.as_str(),
        bench.path("out").display().to_string(),
    );
    let conform = [
        "conform",
        "--uri",
        uri,
        "--profile",
        "encryptor-slots",
        "--only",
        "DEV-01",
        "--out",
        &out,
    ];
    bench.run(conform).exits(3).expect_text("Inconclusive");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    bench
        .run(
            conform
                .iter()
                .chain(&["--credentials", credentials.as_str()]),
        )
        .exits(0);
    // The file in the default place works as well.
    std::fs::create_dir_all(bench.path("config/qkdctl")).unwrap();
    std::fs::rename(credentials, bench.path("config/qkdctl/credentials.toml")).unwrap();
    bench.run(conform).exits(0);
}

#[test]
fn an_invalid_argument_is_reported_before_anything_is_sent() {
    let bench = Bench::new();
    let (address, _held) = closed_port();
    let uri = format!("polatis+tcp://{address}");
    let out = bench.path("out").display().to_string();
    bench.run(["conform"]).exits(2);
    bench
        .run(["conform", "--uri", &uri])
        .exits(2)
        .complains("--profile");
    bench
        .run([
            "conform",
            "--uri",
            &uri,
            "--profile",
            "nonsense",
            "--out",
            &out,
        ])
        .exits(2)
        .complains("matrix-switch");
    bench
        .run([
            "conform",
            "--uri",
            "sw1",
            "--profile",
            "matrix-switch",
            "--out",
            &out,
        ])
        .exits(2)
        .complains("inventory");
    bench
        .run([
            "conform",
            "--uri",
            &uri,
            "--profile",
            "matrix-switch",
            "--impact",
            "disruptive",
            "--out",
            &out,
        ])
        .exits(2)
        .complains("disruptive");
    bench
        .run([
            "conform",
            "--uri",
            &uri,
            "--profile",
            "matrix-switch",
            "--output",
            "json",
        ])
        .exits(2)
        .complains("results.json");
    let file = bench.private(
        "sw.toml",
        &format!("profile = 'matrix-switch'\nuri = '{uri}'\n"),
    );
    bench
        .run([
            "conform",
            &file,
            "--assume",
            "polatis.error-codes-scpi99",
            "--out",
            &out,
        ])
        .exits(2)
        .complains("accept");
    assert!(
        !bench.path("out").exists() || !bench.path("out/results.json").exists(),
        "nothing was begun"
    );
    bench
        .run([
            "conform",
            "--uri",
            &uri,
            "--profile",
            "matrix-switch",
            "--only",
            "DEV-01",
            "--out",
            &out,
        ])
        .exits(3)
        .expect_text("Inconclusive");
}
