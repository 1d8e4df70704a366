//! Behaviour of every device: URIs, names, parameters, and failures.

use crate::bench::{Bench, closed_port};
use std::{fs::Permissions, os::unix::fs::PermissionsExt};

#[test]
fn an_invalid_uri_is_reported_with_the_valid_form() {
    let bench = Bench::new();
    for (uri, right) in [
        ("polatis://192.0.2.7", "driver+transport://address"),
        ("polatis+tcp://192.0.2.7:0", "1 to 65535"),
        ("polatis+tcp://192.0.2.7#here", "driver+transport://address"),
        ("sw1", "driver+transport://address"),
        ("polatis+avian://192.0.2.7", "polatis+tcp://192.0.2.7:5025"),
        ("nobody+tcp://192.0.2.7", "polatis"),
        ("polatis+tcp://192.0.2.7?speed=1", "deadline"),
        (
            "polatis+tcp://192.0.2.7?assume=x",
            "polatis.error-codes-scpi99",
        ),
        ("agiltron+serial:///dev/null?model=ff", "number of channels"),
    ] {
        bench.run(["info", uri]).exits(2).complains(right);
    }
    bench
        .run([
            "--assume",
            "polatis.error-codes",
            "info",
            "polatis+tcp://192.0.2.7",
        ])
        .exits(2)
        .complains("polatis.error-codes-scpi99");
}

#[test]
fn a_secret_in_a_uri_is_refused_and_never_repeated() {
    let bench = Bench::new();
    for uri in [
        "polatis+tcp://192.0.2.7?password=hunter22",
        "nokia-sros-macsec+snmp://192.0.2.7?auth_password=hunter22",
        "packetlight+snmp://192.0.2.7?priv-password=hunter22",
        "polatis+tcp://admin:hunter22@192.0.2.7",
    ] {
        for output in ["table", "json"] {
            bench
                .run(["info", uri, "-vv", "--output", output])
                .exits(2)
                .never_repeats("hunter22")
                .complains("credentials=");
            bench
                .run(["probe", uri, "--output", output])
                .exits(2)
                .never_repeats("hunter22")
                .complains("credentials=");
        }
    }
    // Not even where it is no URI at all.
    for text in [
        "polatis+tcp:192.0.2.7?password=hunter22",
        "admin:hunter22@192.0.2.7",
        "polatis+tcp://192.0.2.7 ?password=hunter22",
    ] {
        bench.run(["info", text]).exits(2).never_repeats("hunter22");
        bench
            .run(["probe", text])
            .exits(2)
            .never_repeats("hunter22");
    }
    let inventory = bench.private(
        "inventory.toml",
        "[devices.sw1]\nuri = 'polatis+tcp://192.0.2.7?password=hunter22'\n",
    );
    bench
        .run(["--inventory", &inventory, "info", "sw1"])
        .exits(2)
        .never_repeats("hunter22")
        .complains("sw1");
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    let bench = Bench::new();
    let (address, _held) = closed_port();
    let gone = format!("polatis+tcp://{address}");
    bench
        .run(["switch", "apply", &gone, "--connect", "1-17", "--yes"])
        .exits(3)
        .complains("the device did not change");

    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench.run(["key", "status", uri]).exits(5);
    bench.run(["encryptor", "show", uri]).exits(5);
    bench
        .run(["set", uri, "network-address=192.0.2.9", "--yes"])
        .exits(5)
        .complains("can only be read");
    bench
        .run(["set", uri, "no-such=1", "--yes"])
        .exits(2)
        .complains("boot-mode");
    switch.fault("refuse=1").unwrap();
    bench
        .run(["switch", "apply", uri, "--connect", "1-17", "--yes"])
        .exits(1)
        .complains("the device did not change");
    assert_eq!(bench.paths(uri), Vec::<String>::new());

    let pair = bench.start("nokia-sros-macsec-pair");
    let uri = pair.ready().uri.as_str();
    let good = bench.credentials("good.toml", &[&pair]);
    bench
        .run(["info", uri, "--credentials", &good])
        .exits(0)
        .expect_text("Nokia");
    let secret = pair
        .ready()
        .credentials
        .as_ref()
        .unwrap()
        .auth_password
        .clone();
    let text = std::fs::read_to_string(&good)
        .unwrap()
        .replace(&secret, "another-password");
    let wrong = bench.private("wrong.toml", &text);
    bench
        .run(["info", uri, "--credentials", &wrong])
        .exits(6)
        .never_repeats("another-password");
    bench.run(["info", uri]).exits(6).complains("noc");
    std::fs::set_permissions(&good, Permissions::from_mode(0o644)).unwrap();
    bench
        .run(["info", uri, "--credentials", &good])
        .exits(6)
        .never_repeats(&secret)
        .complains("good.toml");
}

#[test]
fn a_probe_shows_its_bytes_before_it_sends_them() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let target = format!("tcp:{}", switch.ready().endpoints[0].address);
    bench
        .run(["probe", &target, "--driver", "polatis"])
        .exits(10)
        .expect_text("--active would send")
        .expect_text("*idn?")
        .expect_text("no driver was recognised");
    let active = bench
        .run(["probe", &target, "--driver", "polatis", "--active"])
        .exits(0)
        .expect_text("fits: polatis");
    let (sending, answered) = (
        active.out.find("sending for polatis: ").unwrap(),
        active.out.find("polatis answered").unwrap(),
    );
    assert!(
        sending < answered && active.out[sending..answered].contains("*idn?"),
        "{active:#?}"
    );
    let json = bench
        .run([
            "probe", &target, "--driver", "polatis", "--active", "--output", "json",
        ])
        .exits(0);
    assert_eq!(json.json()["drivers"][0], "polatis");
    assert!(json.err.contains("sending for polatis: *idn?"), "{json:#?}");
    // Told before, also where nothing can be sent.
    let (address, _held) = closed_port();
    let nobody = bench
        .run([
            "probe",
            &format!("tcp:{address}"),
            "--driver",
            "polatis",
            "--active",
        ])
        .exits(3);
    assert!(
        nobody.out.starts_with("sending for polatis: *idn?"),
        "{nobody:#?}"
    );
}

#[test]
fn a_probe_over_snmp_finds_a_chassis_as_recorded_ones_respond() {
    let bench = Bench::new();
    for (profile, driver, says) in [
        ("fs-olp", "fs-olp", "sysDescr GLCY SNMP"),
        (
            "packetlight-pair",
            "packetlight",
            "sysObjectID 1.3.6.1.4.1.4515.",
        ),
        (
            "adva-fsp3000r7-pair",
            "adva-fsp3000r7",
            "sysObjectID 1.3.6.1.4.1.2544.1.11.",
        ),
        (
            "adva-fsp150-pair",
            "adva-fsp150",
            "sysObjectID 1.3.6.1.4.1.2544.1.12.",
        ),
        (
            "ciena-waveserver-pair",
            "ciena-waveserver",
            "sysObjectID 1.3.6.1.4.1.1271.3",
        ),
        (
            "infinera-xtm-pair",
            "infinera-xtm",
            "sysObjectID 1.3.6.1.4.1.8708.",
        ),
        ("atmedia", "atmedia", "sysObjectID 1.3.6.1.4.1.13458."),
    ] {
        let running = bench.start(profile);
        let credentials = bench.credentials(&format!("{profile}.toml"), &[&running]);
        let target = format!("snmp:{}", running.ready().endpoints[0].address);
        bench
            .run([
                "probe",
                &target,
                "--login",
                "noc",
                "--credentials",
                &credentials,
            ])
            .exits(0)
            .expect_text(says)
            .expect_text(&format!("fits: {driver}"));
    }
}

#[test]
fn a_device_of_another_vendor_at_an_address_exits_with_7() {
    let bench = Bench::new();
    let running = bench.start("fs-olp");
    let credentials = bench.credentials("olp.toml", &[&running]);
    let address = &running.ready().endpoints[0].address;
    bench
        .run([
            "info",
            &format!("nokia-sros-macsec+snmp://{address}?credentials=noc"),
            "--credentials",
            &credentials,
        ])
        .exits(7)
        .complains("a device of another vendor responds")
        .complains("correct the address or the driver");
}

#[test]
fn devices_are_named_listed_and_described() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let inventory = bench.private(
        "inventory.toml",
        &format!(
            "[devices.sw1]\nuri = {:?}\nassume = ['polatis.error-codes-scpi99']\n",
            switch.ready().uri
        ),
    );
    let run = |arguments: &[&str]| bench.run(["--inventory", &inventory].iter().chain(arguments));
    let listed = run(&["list", "--output", "json"]).exits(0).json();
    assert_eq!(
        (
            listed["inventory"][0]["name"].as_str(),
            listed["inventory"][0]["uri"].as_str()
        ),
        (Some("sw1"), Some(switch.ready().uri.as_str()))
    );
    run(&["list"]).exits(0).expect_text("sw1");
    run(&["info", "sw1"])
        .exits(0)
        .expect_text("002414")
        .expect_text("polatis.error-codes-scpi99 (accepted)")
        .expect_text("polatis.serial-38400 (not accepted)");
    assert_eq!(
        run(&["info", "sw1", "--output", "json"]).exits(0).json()["identity"]["serial"],
        "002414"
    );
    run(&["info", "sw2"]).exits(2).complains("it names: sw1");

    let drivers = bench.run(["drivers", "--output", "json"]).exits(0).json();
    let names: Vec<_> = drivers["drivers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["name"].as_str().unwrap())
        .collect();
    for name in [
        "adva-fsp150",
        "adva-fsp3000r7",
        "agiltron",
        "atmedia",
        "ciena-waveserver",
        "etsi014",
        "idq-quantis",
        "ieee-macsec",
        "infinera-xtm",
        "nokia-sros-macsec",
        "packetlight",
        "polatis",
        "veriqloud-qline",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    bench
        .run(["drivers", "polatis"])
        .exits(0)
        .expect_text("polatis.error-codes-scpi99")
        .expect_text("Parameters of every driver over snmp")
        .expect_text("  varbinds: ");
    bench
        .run(["drivers", "nobody"])
        .exits(2)
        .complains("polatis");
}

#[test]
fn a_parameter_is_read_and_written() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let value = || {
        bench
            .run(["get", uri, "boot-mode"])
            .exits(0)
            .out
            .trim()
            .to_owned()
    };
    let before = value();
    let spec = bench
        .run(["get", uri, "boot-mode", "--output", "json"])
        .exits(0)
        .json();
    let other = ["dark", "autosave"]
        .into_iter()
        .find(|v| *v != before)
        .unwrap();
    let allowed = spec["parameters"][0]["values"]["allowed"].as_array();
    assert!(allowed.unwrap().iter().any(|v| v == other), "{spec:#}");
    let assignment = format!("boot-mode={other}");
    bench
        .run(["set", uri, &assignment])
        .exits(0)
        .expect_text("dry run");
    assert_eq!((value(), bench.journal()), (before, Vec::new()));
    bench
        .run(["set", uri, &assignment, "--yes"])
        .exits(0)
        .expect_text(&format!("-> {other}"));
    assert_eq!(value(), other);
    bench
        .run(["set", uri, "boot-mode=sideways", "--yes"])
        .exits(2)
        .complains("autosave");
    bench
        .run(["set", uri, "boot-mode", "--yes"])
        .exits(2)
        .complains("name=value");
    let journal = bench.journal();
    assert_eq!(
        journal
            .iter()
            .map(|l| l["outcome"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["begun", "done"]
    );
    bench
        .run(["get", uri])
        .exits(0)
        .expect_text("boot-mode")
        .expect_text("Telemetry");
}
