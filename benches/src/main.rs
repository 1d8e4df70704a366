//! Speed, compared with the raw path or another library in the same run, on the same cores. Prints
//! one table row for each figure; `docs/performance.md` holds a run.
//!
//! `taskset -c 0 qkd-bench …` pins everything, children included, to one core.

mod handle;
mod instructions;
mod keys;
mod open_handles;
mod rolls;
mod scpi;
mod snmp;
mod switches;
mod tool;
mod usb;

use clap::{Parser, ValueEnum};

/// The hidden argument of [`snmp::many_agents`].
const SNMP_AGENTS_ARGUMENT: &str = "snmp-crowd";
/// The hidden argument of [`switches::crowd`].
const SWITCHES: &str = "switch-crowd";
/// The hidden argument of [`rolls::crowd`].
const PAIRS: &str = "pair-crowd";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The checks around a handle, and a whole call over an in-memory link.
    Handle,
    /// SCPI queries over a PTY and over TCP, against a bare C loop.
    Scpi,
    /// SNMP clients against net-snmp's C library.
    SnmpClient,
    /// SNMP agents against snmpsim.
    SnmpAgent,
    /// USB bulk reads, against synchronous libusb.
    Usb,
    /// Keys taken and handed on.
    Keys,
    /// Plans of a large matrix, applied; many switches polled.
    Switches,
    /// Keys rolled over many pairs of encryptors; memory of open encryptors.
    Rolls,
    /// Measure all of them.
    All,
    /// Instructions of one round, counted by valgrind's callgrind; not part of `all`.
    Instructions,
    /// Rounds that `instructions` runs under valgrind.
    #[value(hide = true)]
    Rounds,
    /// SNMP agents that `snmp-agent` runs in a separate process.
    #[value(name = SNMP_AGENTS_ARGUMENT, hide = true)]
    Crowd,
    /// Switches that `switches` runs in a separate process.
    #[value(name = SWITCHES, hide = true)]
    SwitchCrowd,
    /// Pairs of encryptors that `rolls` runs in a separate process.
    #[value(name = PAIRS, hide = true)]
    PairCrowd,
}

/// Speed, compared with other code.
#[derive(Debug, Parser)]
struct Cli {
    /// Measurement to run.
    #[arg(value_enum, default_value = "all")]
    which: Which,
    /// A tenth of the rounds.
    #[arg(long)]
    quick: bool,
    /// Of `rounds`: the case, how many, and a port.
    #[arg(hide = true)]
    rest: Vec<String>,
}

fn main() {
    let cli = Cli::parse();
    let scale = if cli.quick { 10 } else { 1 };
    match cli.which {
        Which::Crowd => return snmp::many_agents(),
        Which::SwitchCrowd => return switches::crowd(),
        Which::PairCrowd => return rolls::crowd(),
        Which::Rounds => return instructions::rounds(&cli.rest),
        Which::Instructions => return instructions::run(),
        _ => {}
    }
    let wants = |which| cli.which == which || cli.which == Which::All;
    println!("| what | ours | reference | ratio | goal |\n|---|---|---|---|---|");
    if wants(Which::Handle) {
        handle::run(scale);
    }
    if wants(Which::Switches) {
        switches::run(scale);
    }
    if wants(Which::Scpi) {
        scpi::run(scale);
    }
    if wants(Which::SnmpClient) {
        snmp::client(scale);
    }
    if wants(Which::SnmpAgent) {
        snmp::agent(scale);
    }
    if wants(Which::Usb) {
        usb::run(scale);
    }
    if wants(Which::Keys) {
        keys::run(scale);
    }
    if wants(Which::Rolls) {
        rolls::run(scale);
        open_handles::run();
    }
}
