//! The README shows what the program prints.

use crate::bench::Bench;
use std::{fs::File, path::Path};

/// Text in which the time that something took is replaced.
fn without_times(text: &str) -> String {
    let words = text.split(' ').collect::<Vec<_>>();
    let mut out = words.clone();
    for (at, pair) in words.windows(2).enumerate() {
        if pair[1].starts_with("ms;") && pair[0].parse::<u64>().is_ok() {
            out[at] = "N";
        }
    }
    out.join(" ")
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    const ADDRESS: &str = "127.0.0.1:5025";
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let sample = text
        .split_once("```console\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .unwrap()
        .0;
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let address = &switch.ready().endpoints[0].address;
    let mut commands = 0;
    for part in sample.split("$ ").skip(1) {
        let (command, shown) = part.split_once('\n').unwrap();
        let command = command.replace(ADDRESS, address);
        let mut words = command.split(' ');
        assert_eq!(words.next(), Some("qkdctl"), "{command}");
        // As on a terminal: what goes to standard output and to standard error, in its order.
        let path = bench.path("shown");
        let file = File::create(&path).unwrap();
        let status = bench
            .command(words)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .status();
        assert!(status.unwrap().success(), "{command}");
        let printed = std::fs::read_to_string(&path).unwrap();
        assert_eq!(without_times(&printed), without_times(shown), "{command}");
        commands += 1;
    }
    assert_eq!(commands, 2, "a dry run and an apply");
}
