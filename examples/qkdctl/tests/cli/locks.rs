//! Locks: on a device and not on a spelling of its address, among all programs and users of a
//! machine.

use crate::{
    bench::Bench,
    signals::{Running, begun},
};

/// A change that takes a second for each of its exchanges.
fn slow_change(bench: &Bench, switch: &qkd_emulators::profile::RunningEmulator) -> Running {
    switch.fault("delay=1s").unwrap();
    let uri = format!("{}?deadline=60s", switch.ready().uri);
    let change = Running::start(
        bench,
        ["switch", "apply", &uri, "--connect", "1-17", "--yes"],
    );
    bench.until_journal(begun("apply", &switch.ready().uri));
    change
}

#[test]
fn a_device_that_is_changed_is_busy_however_its_address_is_written() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.clone();
    let change = slow_change(&bench, &switch);
    let port = uri.rsplit(':').next().unwrap();
    let out = bench.path("out").display().to_string();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let other = format!("polatis+tcp://{host}:{port}?deadline=7s");
        bench
            .run(["info", &other])
            .exits(4)
            .complains("is changing this device");
    }
    bench
        .run([
            "conform",
            "--uri",
            &uri,
            "--profile",
            "matrix-switch",
            "--out",
            &out,
        ])
        .exits(4)
        .complains("is changing this device");
    switch.fault("clear").unwrap();
    let ended = change.ended();
    ended.exits(0);
    bench.run(["info", &uri]).exits(0);
}

#[test]
fn a_serial_number_is_one_device_at_two_addresses() {
    let bench = Bench::new();
    let options = || qkd_emulators::profile::Options::default().with("serial", "S-1");
    let one = bench.start_with("polatis-16x16", options());
    let same = bench.start_with("polatis-16x16", options());
    let other = bench.start_with(
        "polatis-16x16",
        qkd_emulators::profile::Options::default().with("serial", "S-2"),
    );
    let change = slow_change(&bench, &one);
    let apply = |uri: &str| bench.run(["switch", "apply", uri, "--connect", "2-18", "--yes"]);
    apply(&same.ready().uri)
        .exits(4)
        .complains("by this address or another");
    apply(&other.ready().uri).exits(0);
    one.fault("clear").unwrap();
    change.ended().exits(0);
    apply(&same.ready().uri).exits(0);
}

#[test]
fn readers_share_a_device_and_leave_no_lock() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = format!("{}?deadline=60s", switch.ready().uri);
    switch.fault("delay=1s").unwrap();
    let reader = Running::start(&bench, ["switch", "show", &uri]);
    let locks = || std::fs::read_dir(bench.path("locks")).map_or(0, |all| all.flatten().count());
    bench.until("a lock is held", || locks() > 0);
    bench
        .run(["switch", "apply", &uri, "--connect", "1-17", "--yes"])
        .exits(4)
        .complains("is reading or changing this device");
    switch.fault("clear").unwrap();
    bench.run(["switch", "show", &uri]).exits(0);
    reader.ended().exits(0);
    assert_eq!(locks(), 0, "no lock is left");
}

#[test]
fn a_link_in_the_place_of_a_lock_is_not_followed() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = format!("{}?deadline=60s", switch.ready().uri);
    switch.fault("delay=1s").unwrap();
    let reader = Running::start(&bench, ["switch", "show", &uri]);
    let folder = bench.path("locks");
    let names = || -> Vec<_> {
        std::fs::read_dir(&folder).map_or_else(
            |_| Vec::new(),
            |all| all.flatten().map(|e| e.path()).collect(),
        )
    };
    bench.until("a lock is held", || !names().is_empty());
    let lock = names().remove(0);
    switch.fault("clear").unwrap();
    reader.ended().exits(0);
    let target = bench.path("target");
    std::os::unix::fs::symlink(&target, &lock).unwrap();
    bench
        .run(["switch", "show", &uri])
        .exits(70)
        .complains("it is not a lock that this user can open");
    assert!(!target.exists(), "nothing is made through the link");
}
