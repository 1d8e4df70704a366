//! Pairs of the inventory, and testbeds of `qkd-emu up`, which name them.

use crate::bench::Bench;
use qkd_emulators::testbed::{ClientFiles, Testbed};

const TESTBED: &str = "\
seed = 7

[emulators.backbone]
profile = 'nokia-sros-macsec-pair'

[emulators.link]
profile = 'veriqloud-qline-pair'
set = { running = false }

[emulators.rack]
profile = 'polatis-16x16'

[emulators.kme]
profile = 'etsi014-pair'
";

#[test]
fn a_testbed_is_driven_by_the_files_that_it_writes() {
    let bench = Bench::new();
    let running = bench
        .runtime
        .block_on(Testbed::parse(TESTBED).unwrap().start())
        .unwrap();
    let files = ClientFiles::write(&running).unwrap();
    let (credentials, inventory) = (
        files.credentials().display().to_string(),
        files.inventory().display().to_string(),
    );
    let run = |arguments: &[&str]| {
        let with = ["--credentials", &credentials, "--inventory", &inventory];
        bench.run(with.iter().chain(arguments))
    };
    run(&["list"])
        .exits(0)
        .expect_text("rack")
        .expect_text("Pairs");
    for name in [
        "backbone-1",
        "backbone-2",
        "link-1",
        "link-2",
        "rack",
        "kme-1",
        "kme-2",
    ] {
        run(&["info", name]).exits(0).expect_text("health");
    }
    run(&["info", "backbone"])
        .exits(2)
        .complains("`backbone` names a pair");
    // A device is shown by its name where its URI was given.
    let uri = running["rack"].ready().uri.as_str();
    run(&["watch", uri, "--count", "1"])
        .exits(0)
        .expect_text(" rack health: ok");
}

#[test]
fn a_pair_rolls_by_name_with_the_assumptions_that_it_accepts() {
    let bench = Bench::new();
    let running = bench
        .runtime
        .block_on(Testbed::parse(TESTBED).unwrap().start())
        .unwrap();
    let files = ClientFiles::write(&running).unwrap();
    let plain = std::fs::read_to_string(files.inventory()).unwrap();
    let credentials = files.credentials().display().to_string();
    let with = |accepted: &str| {
        let text = plain.replace("[pair.backbone]", &format!("[pair.backbone]\n{accepted}"));
        bench.private("inventory.toml", &text)
    };
    let roll = |inventory: &str, more: &[&str]| {
        let common = [
            "--credentials",
            &credentials,
            "--inventory",
            inventory,
            "encryptor",
            "roll",
        ];
        bench.run(common.iter().chain(more))
    };
    let by_name = ["backbone", "--source", "link", "--plain-http", "--yes"];
    roll(&with(""), &by_name).exits(5).complains("nokia-sros");
    let ids = crate::encryptors::NOKIA
        .map(|id| format!("'{id}'"))
        .join(", ");
    let accepting = with(&format!("channel = 'ca1'\nassume = [{ids}]"));
    roll(&accepting, &by_name[..4])
        .exits(0)
        .expect_text("would take one key")
        .expect_text("No outage expected");
    roll(&accepting, &by_name)
        .exits(0)
        .expect_text("outage")
        .expect_text("none: hitless at both ends")
        .expect_text("confirmed");
    roll(
        &accepting,
        &["backbone", "--peer", "rack", "--source", "link"],
    )
    .exits(2)
    .complains("leave --peer out");
    roll(&accepting, &["backbone-1", "--source", "link"])
        .exits(2)
        .complains("--peer must name the other end");
    roll(&with("assume = ['polatis.error-codes-scpi99']"), &by_name)
        .exits(2)
        .complains("polatis.error-codes-scpi99");
}
