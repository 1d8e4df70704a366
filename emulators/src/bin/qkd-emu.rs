//! `qkd-emu`: emulates devices at the level of the bytes on the wire.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use clap::{Parser, Subcommand, ValueEnum};
use qkd_driver_kit::program::{self, console, log, signals::EndSignals};
use qkd_emulators::{
    profile::{Options, RunningEmulator},
    profiles,
    testbed::{ClientFiles, Testbed},
};
use qkd_hal::text::json_text;
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

/// The exit codes, for the help.
const EXIT_HELP: &str = "\
Exit codes:
  0   done; an emulator was ended by a signal
  1   an emulator could not be started
  2   wrong argument or file
  70  a defect of this program or this machine
  74  done, and the output could not be written (closed pipe, full disk, lost terminal)";

const UP_HELP: &str = "\
Example:
  qkd-emu up testbed.toml
  qkdctl --credentials FILE --inventory FILE info NAME

Both FILEs are named in the last line of `up`. Of a pair, NAME-1
and NAME-2 are the devices, and NAME is the pair.";

/// Emulators of the hardware of a quantum-secured network.
#[derive(Debug, Parser)]
#[command(name = "qkd-emu", version, after_help = EXIT_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the profiles.
    List {
        /// Output format.
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Run a profile. Print one JSON line when ready, and serve until SIGTERM, SIGINT or SIGHUP.
    ///
    /// With --control, each line `fault SPEC` or `set NAME=VALUE` on standard input is applied and
    /// answered with one JSON line.
    #[command(
        after_help = "Examples:\n  qkd-emu run polatis-16x16 --listen 127.0.0.1:5025 --pty-link \
                      /tmp/polatis\n  qkd-emu run agiltron-ff --set channels=8 --fault drop=0.1\n  \
                      qkd-emu run etsi014-pair --fault 2:delay=200ms@after=10\n\nFaults are \
                      listed in docs/emulators.md."
    )]
    Run {
        /// A profile, as `list` names it.
        profile: String,
        /// Address of the first endpoint; the others use the ports after it.
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// Symbolic link to the pseudo-terminal.
        #[arg(long, value_name = "PATH")]
        pty_link: Option<PathBuf>,
        /// A setting; may be repeated.
        #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
        set: Vec<(String, String)>,
        /// A fault; may be repeated.
        #[arg(long, value_name = "SPEC")]
        fault: Vec<String>,
        /// The seed of everything random.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Applies the lines of standard input, and ends when it closes. Without it, standard input
        /// is never read.
        #[arg(long)]
        control: bool,
    },
    /// Runs many, from a file. Prints one JSON line for each, with its name, then one with
    /// `"ready":true` and the paths of a credentials file and an inventory for qkdctl.
    ///
    /// Both files are readable by you alone, and are removed when the testbed ends.
    ///
    /// With --control, a line `NAME fault SPEC` or `NAME set NAME=VALUE` on standard input is
    /// applied.
    #[command(
        after_help = UP_HELP
    )]
    Up {
        /// The testbed's file; the library's page of `testbed` shows one.
        file: PathBuf,
        /// Applies the lines of standard input, and ends when it closes. Without it, standard input
        /// is never read.
        #[arg(long)]
        control: bool,
    },
}

fn assignment(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .ok_or_else(|| format!("`{text}` is not NAME=VALUE"))
}

/// Prints a JSON line. A closed standard output does not end the emulator.
fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    console::line(&json_text(&serde_json::to_string(value)?));
    Ok(())
}

fn main() -> ExitCode {
    program::run(|| match Cli::try_parse() {
        Ok(cli) => start(cli.command),
        // Help and the version, too, come as an `Err`.
        Err(instead) => {
            let printed = instead.print();
            if !instead.use_stderr() {
                console::note(printed);
            }
            u8::try_from(instead.exit_code()).unwrap_or(program::INTERNAL)
        }
    })
}

fn start(command: Command) -> u8 {
    log::begin("QKD_EMU_LOG", "warn", io::stderr().is_terminal());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = runtime.and_then(|runtime| runtime.block_on(run(command)));
    let Err(error) = result else { return 0 };
    console::error_line(&format!("error: {error}"));
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::NotFound => 2,
        _ => 1,
    }
}

async fn run(command: Command) -> io::Result<()> {
    match command {
        Command::List {
            output: Output::Json,
        } => {
            let all: Vec<_> = profiles::all()
                .iter()
                .map(|p| {
                    json!({
                        "name": p.name,
                        "title": p.title,
                        "settings": p.settings,
                        "has_wire": p.has_wire,
                    })
                })
                .collect();
            print_json(&all)
        }
        Command::List {
            output: Output::Table,
        } => {
            for p in profiles::all() {
                console::line(&format!("{:26} {}", p.name, p.title));
                for s in p.settings {
                    console::line(&format!(
                        "    --set {}=…  {}{}",
                        s.name,
                        s.help,
                        if s.runtime {
                            " (also while running)"
                        } else {
                            ""
                        }
                    ));
                }
            }
            Ok(())
        }
        Command::Run {
            profile,
            listen,
            pty_link,
            set,
            fault,
            seed,
            control,
        } => {
            let signals = EndSignals::listen()?;
            let running = profiles::start(
                &profile,
                &Options {
                    listen,
                    pty_link,
                    set,
                    faults: fault,
                    seed,
                },
            )
            .await?;
            print_json(running.ready())?;
            serve(BTreeMap::from([(String::new(), running)]), signals, control).await
        }
        Command::Up { file, control } => {
            let signals = EndSignals::listen()?;
            let text = std::fs::read_to_string(&file)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
            let all = Testbed::parse(&text)?.start().await?;
            for (name, running) in &all {
                let mut line = serde_json::to_value(running.ready())?;
                line["name"] = json!(name);
                print_json(&line)?;
            }
            let files = ClientFiles::write(&all)?;
            print_json(&json!({
                "ready": true,
                "credentials_file": files.credentials(),
                "inventory_file": files.inventory(),
            }))?;
            serve(all, signals, control).await
        }
    }
}

/// Returns the lines of standard input until it closes. A separate thread reads them, because a
/// runtime waits for its own threads at the end, and the emulator must end without another line.
fn read_commands() -> tokio::sync::mpsc::Receiver<io::Result<String>> {
    let (lines, received) = tokio::sync::mpsc::channel(16);
    std::thread::spawn(move || {
        io::stdin()
            .lines()
            .try_for_each(|line| lines.blocking_send(line))
    });
    received
}

/// Until a signal ends it, or what controls it closes standard input.
async fn serve(
    all: BTreeMap<String, RunningEmulator>,
    mut signals: EndSignals,
    control: bool,
) -> io::Result<()> {
    if !control {
        signals.next().await;
        return Ok(());
    }
    let mut lines = read_commands();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line.transpose()?,
            _ = signals.next() => return Ok(()),
        };
        let Some(line) = line else { return Ok(()) };
        if line.trim().is_empty() {
            continue;
        }
        match run_command(&all, line.trim()) {
            Ok(()) => print_json(&json!({"done": line.trim()}))?,
            Err(error) => print_json(&json!({"error": error}))?,
        }
    }
}

fn run_command(all: &BTreeMap<String, RunningEmulator>, line: &str) -> Result<(), String> {
    let (running, rest) = match all.get("") {
        Some(only) => (only, line),
        None => {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            (
                all.get(name)
                    .ok_or_else(|| format!("there is no emulator `{name}`"))?,
                rest,
            )
        }
    };
    match rest.split_once(' ') {
        Some(("fault", spec)) => running.fault(spec.trim()),
        Some(("set", text)) => {
            let (name, value) = assignment(text.trim())?;
            running.set(&name, &value)
        }
        _ => Err(format!(
            "invalid command `{rest}`: expected `fault SPEC` or `set NAME=VALUE`"
        )),
    }
}
