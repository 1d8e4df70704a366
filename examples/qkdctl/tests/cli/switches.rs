//! Switches: plans, changes, and lines that break.

use crate::bench::{Bench, Run};
use serde_json::Value;
use tokio::net::TcpSocket;

#[test]
fn a_switch_changes_only_with_yes() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    switch.fault("operator=connect:3-20").unwrap();
    let change = [
        "switch",
        "apply",
        uri,
        "--connect",
        "1-17",
        "--disconnect",
        "3",
    ];
    bench
        .run(change)
        .exits(0)
        .expect_text("dry run: nothing was changed; add --yes to apply")
        .expect_text("digest: ");
    assert_eq!(bench.paths(uri), ["3-20"], "a dry run changes nothing");
    assert_eq!(
        bench.journal(),
        Vec::<Value>::new(),
        "nor is it in the journal"
    );

    let planned = bench
        .run([
            "switch",
            "plan",
            uri,
            "--connect",
            "1-17",
            "--disconnect",
            "3",
        ])
        .exits(0)
        .expect_text("touches ports: 1, 3, 17, 20");
    let applied = bench
        .run(change.iter().chain(&["--yes"]))
        .exits(0)
        .expect_text("read-back matches the plan");
    assert!(
        applied.out.starts_with(&planned.out),
        "what was planned is what was done: {planned:#?} {applied:#?}"
    );
    assert_eq!(bench.paths(uri), ["1-17"]);
    bench
        .run(["switch", "apply", uri, "--connect", "1-17", "--yes"])
        .exits(0)
        .expect_text("nothing to do");
    bench
        .run(change.iter().chain(&["--yes"]))
        .exits(2)
        .complains("port 3 is not connected");

    let journal = bench.journal();
    assert_eq!(journal.len(), 2, "one change, two lines: {journal:#?}");
    for (line, outcome) in journal.iter().zip(["begun", "done"]) {
        assert_eq!(
            (
                line["operation"].as_str(),
                line["outcome"].as_str(),
                line["device"].as_str()
            ),
            (Some("apply"), Some(outcome), Some(uri))
        );
    }
}

#[test]
fn a_plan_is_written_reviewed_and_applied() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let file = bench.path("p.json").display().to_string();
    let plan = ["switch", "plan", uri, "--connect", "1-17", "--out", &file];
    bench
        .run(plan)
        .exits(0)
        .expect_text("1. connect 1-17")
        .expect_text("switch apply --plan");
    bench.run(plan).exits(2).complains("exists");
    let apply = ["switch", "apply", "--plan", &file];
    let dry = bench.run(apply).exits(0).expect_text("dry run");
    assert!(
        dry.err.contains(&format!("the plan is for {uri}")),
        "{dry:#?}"
    );
    assert_eq!(bench.paths(uri), [""; 0], "a dry run changes nothing");

    // A plan that was edited has another digest.
    let edited = bench.path("edited.json").display().to_string();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&edited, text.replace("17", "18")).unwrap();
    bench
        .run(["switch", "apply", "--plan", &edited, "--yes"])
        .exits(2)
        .complains("was changed after it was made");
    let with_change = apply.iter().chain(&["--connect", "2-18"]);
    bench.run(with_change).exits(2).complains("--plan");

    bench
        .run(apply.iter().chain(&["--yes"]))
        .exits(0)
        .expect_text("read-back matches the plan");
    assert_eq!(bench.paths(uri), ["1-17"]);
    // The switch is not in the state for which the plan was made any more.
    for command in [&apply[..], &[&apply[..], &["--yes"]].concat()] {
        let refused = bench.run(command).exits(7);
        refused.complains("the switch has changed since the plan was made");
    }
    let other = bench.start("polatis-16x16");
    other.fault("identity=SN-X").unwrap();
    let elsewhere = ["switch", "apply", &other.ready().uri, "--plan", &file];
    bench
        .run(elsewhere)
        .exits(7)
        .complains("the plan was made for");
}

#[test]
fn the_requests_to_a_device_can_be_limited() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench
        .run(["--rate", "100/s", "switch", "show", uri])
        .exits(0)
        .expect_text("geometry");
    bench
        .run(["--rate", "5", "switch", "show", uri])
        .exits(2)
        .complains("5/s or 30/min");
}

#[test]
fn the_json_option_is_accepted_at_any_position() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let before = bench
        .run([
            "--output",
            "json",
            "switch",
            "plan",
            uri,
            "--connect",
            "1-17",
        ])
        .exits(0);
    let after = bench
        .run([
            "switch",
            "plan",
            uri,
            "--connect",
            "1-17",
            "--output",
            "json",
        ])
        .exits(0);
    let between = bench
        .run([
            "switch",
            "--output",
            "json",
            "plan",
            uri,
            "--connect",
            "1-17",
        ])
        .exits(0);
    assert!(before.json().is_object());
    assert_eq!(before.json(), after.json());
    assert_eq!(before.json(), between.json());
    let wrong = bench
        .run([
            "switch",
            "plan",
            uri,
            "--connect",
            "1-99",
            "--output",
            "json",
        ])
        .exits(2);
    let reported: Value = serde_json::from_str(&wrong.err).unwrap();
    assert_eq!(
        (reported["error"]["kind"].as_str(), wrong.out.as_str()),
        (Some("invalid-input"), "")
    );
}

#[test]
fn an_invalid_change_is_refused_before_anything_is_sent() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench
        .run(["switch", "apply", uri, "--connect", "1-99", "--yes"])
        .exits(2)
        .complains("99");
    bench
        .run(["switch", "apply", uri, "--disconnect", "40", "--yes"])
        .exits(2)
        .complains("40");
    bench
        .run(["switch", "apply", uri, "--yes"])
        .exits(2)
        .complains("--connect 1-17");
    bench
        .run(["switch", "apply", uri, "--connect", "seventeen", "--yes"])
        .exits(2)
        .complains("seventeen");
    bench
        .run([
            "switch",
            "apply",
            uri,
            "--connect",
            "1-17",
            "--ports",
            "1",
            "--yes",
        ])
        .exits(2)
        .complains("17");
    assert_eq!(bench.paths(uri), Vec::<String>::new());
    assert_eq!(bench.journal(), Vec::<Value>::new());
}

#[test]
fn paths_are_saved_and_restored_on_the_same_switch() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench
        .run(["switch", "apply", uri, "--connect", "1-17,2-18", "--yes"])
        .exits(0);
    let file = bench.path("paths.json").display().to_string();
    bench
        .run(["switch", "save", uri, &file])
        .exits(0)
        .expect_text("2 paths saved");
    bench
        .run(["switch", "save", uri, &file])
        .exits(2)
        .complains("paths.json");
    bench
        .run([
            "switch",
            "apply",
            uri,
            "--disconnect",
            "1",
            "--connect",
            "2-19",
            "--yes",
        ])
        .exits(0);
    bench
        .run(["switch", "restore", uri, &file])
        .exits(0)
        .expect_text("dry run");
    assert_eq!(bench.paths(uri), ["2-19"]);
    bench
        .run(["switch", "restore", uri, &file, "--yes"])
        .exits(0)
        .expect_text("read-back matches the plan");
    assert_eq!(bench.paths(uri), ["1-17", "2-18"]);

    switch.fault("identity=999999").unwrap();
    bench
        .run(["switch", "restore", uri, &file, "--yes"])
        .exits(7)
        .complains("another switch");
    let nonsense = bench.private("nonsense.json", "{}");
    bench
        .run(["switch", "restore", uri, &nonsense, "--yes"])
        .exits(2)
        .complains("nonsense.json");
}

#[test]
fn a_plan_for_an_outdated_state_is_not_applied() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    let digest = |run: &Run| {
        run.out
            .lines()
            .find_map(|l| l.strip_prefix("digest: "))
            .unwrap()
            .to_owned()
    };
    let seen = digest(
        &bench
            .run(["switch", "plan", uri, "--connect", "1-17"])
            .exits(0),
    );
    switch.fault("operator=connect:2-17").unwrap();
    bench
        .run([
            "switch",
            "apply",
            uri,
            "--connect",
            "1-17",
            "--digest",
            &seen,
            "--yes",
        ])
        .exits(7)
        .complains("moved on");
    assert_eq!(bench.paths(uri), ["2-17"], "nothing was changed");
    let again = digest(
        &bench
            .run(["switch", "plan", uri, "--connect", "1-17"])
            .exits(0),
    );
    assert_ne!(seen, again);
    bench
        .run([
            "switch",
            "apply",
            uri,
            "--connect",
            "1-17",
            "--digest",
            &again,
            "--yes",
        ])
        .exits(0);
    assert_eq!(bench.paths(uri), ["1-17"]);
}

/// The reported effect is correct for the switch, whichever exchange the line fails at.
#[test]
fn a_line_that_fails_during_a_change_is_reported_with_the_right_effect() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = format!("{}?deadline=2s", switch.ready().uri);
    let mut codes = Vec::new();
    for after in 0.. {
        assert!(after < 40, "the change never succeeds: {codes:?}");
        switch.fault("operator=clear").unwrap();
        switch.fault(&format!("reset@after={after}")).unwrap();
        let run = bench.run(["switch", "apply", &uri, "--connect", "1-17", "--yes"]);
        switch.fault("clear").unwrap();
        let changed = bench.paths(&uri) == ["1-17"];
        match run.code {
            0 => assert!(changed, "{run:#?}"),
            3 => assert!(
                !changed && run.err.contains("the device did not change"),
                "{run:#?}"
            ),
            8 => assert!(
                run.err.contains("the device may have changed")
                    || run.err.contains("the device changed in part"),
                "{run:#?}"
            ),
            _ => panic!("{after}: {run:#?}"),
        }
        if run.code == 8 {
            let last = bench.journal().pop().unwrap();
            assert!(
                last["outcome"].as_str().unwrap().contains("changed"),
                "{last:#}"
            );
        }
        codes.push((run.code, changed));
        if run.code == 0 {
            break;
        }
    }
    assert_eq!(codes[0], (3, false));
    assert!(
        codes.contains(&(8, true)),
        "some break comes when the switch has moved: {codes:?}"
    );
    assert!(
        bench.journal().len().is_multiple_of(2),
        "each change has its two lines"
    );
}

#[test]
fn an_emulator_that_ends_is_reported_as_not_connected() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.clone();
    bench
        .run(["switch", "apply", &uri, "--connect", "1-17", "--yes"])
        .exits(0);
    let address = switch.ready().endpoints[0].address.parse().unwrap();
    drop(switch);
    // The port is free once the emulator has released it, and is reserved here.
    let held = std::iter::repeat_with(|| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).map(|()| socket)
    });
    let _held = held
        .take(100_000)
        .find_map(Result::ok)
        .expect("the emulator ends");
    bench
        .run(["switch", "apply", &uri, "--connect", "2-18", "--yes"])
        .exits(3)
        .complains("the device did not change");
    assert_eq!(
        bench.journal().len(),
        2,
        "what was never begun is not in the journal"
    );
}
