//! `qkdctl completions` and `qkdctl man`: each command is in them.

use crate::bench::Bench;

/// The commands that the help lists, but `help` itself.
fn commands(bench: &Bench) -> Vec<String> {
    let help = bench.run(["--help"]).exits(0).out;
    let list = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names = list
        .lines()
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next());
    let names: Vec<String> = names.filter(|n| *n != "help").map(str::to_owned).collect();
    assert!(
        names.len() >= 15 && names.iter().any(|n| n == "watch"),
        "{names:?}"
    );
    names
}

#[test]
fn completions_know_every_command() {
    let bench = Bench::new();
    let commands = commands(&bench);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = bench.run(["completions", shell]).exits(0).out;
        for command in commands
            .iter()
            .map(String::as_str)
            .chain(["apply", "interval"])
        {
            assert!(text.contains(command), "{shell}: {command}");
        }
    }
    bench.run(["completions", "nosh"]).exits(2);
}

#[test]
fn every_command_has_a_manual_page() {
    let bench = Bench::new();
    let folder = bench.path("man/man1");
    bench
        .run(["man", "--to", &folder.display().to_string()])
        .exits(0)
        .expect_text("qkdctl.1");
    for command in commands(&bench).iter().map(String::as_str).chain([
        "switch-apply",
        "encryptor-roll",
        "key-take",
    ]) {
        let page = std::fs::read_to_string(folder.join(format!("qkdctl-{command}.1")))
            .unwrap_or_else(|e| panic!("{command}: {e}"));
        assert!(
            page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"),
            "{command}: {page}"
        );
    }
    bench
        .run(["man"])
        .exits(0)
        .expect_text(".TH qkdctl 1")
        .expect_text("Exit codes");
}
