//! `qkd-emu`: stands in for the hardware, down to the bytes on the wire.

use clap::{Parser, Subcommand, ValueEnum};
use qkd_emulators::{
    profile::{self, Options, Running},
    testbed::Testbed,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};

/// Emulators of the hardware of a quantum-secured network.
#[derive(Debug, Parser)]
#[command(name = "qkd-emu", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Names the profiles.
    List {
        /// How they are printed.
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Runs one. Prints one JSON line when ready, and serves until it is ended or its standard input closes.
    ///
    /// While it runs, a line `fault SPEC` or `set NAME=VALUE` on standard input is applied, and answered with one JSON line.
    #[command(
        after_help = "Examples:\n  qkd-emu run polatis-16x16 --listen 127.0.0.1:5025 --pty-link /tmp/polatis\n  qkd-emu run agiltron-ff --set channels=8 --fault loss=0.1\n  qkd-emu run etsi014-pair --fault 2:delay=200ms@after=10\n\nFaults are listed in docs/emulators.md."
    )]
    Run {
        /// A profile, as `list` names it.
        profile: String,
        /// Where the first endpoint listens; others take the ports behind it.
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
    },
    /// Runs many, from a file. Prints one JSON line for each, with its name, then `{"ready":true}`.
    ///
    /// While they run, a line `NAME fault SPEC` or `NAME set NAME=VALUE` on standard input is applied.
    Up {
        /// The testbed's file; the library's page of `testbed` shows one.
        file: PathBuf,
    },
}

fn assignment(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .ok_or_else(|| format!("`{text}` is no NAME=VALUE"))
}

fn say(value: &impl serde::Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

#[tokio::main]
async fn main() -> ExitCode {
    // A core dump would hold keys.
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    let filter = tracing_subscriber::EnvFilter::try_from_env("QKD_EMU_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read us has gone.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) {
                    2
                } else {
                    1
                },
            )
        }
    }
}

async fn run(command: Command) -> io::Result<()> {
    match command {
        Command::List {
            output: Output::Json,
        } => {
            let all: Vec<_> = profile::all()
                .iter()
                .map(|p| json!({"name": p.name, "title": p.title, "settings": p.settings}))
                .collect();
            say(&all)
        }
        Command::List {
            output: Output::Table,
        } => {
            let mut out = io::stdout().lock();
            for p in profile::all() {
                writeln!(out, "{:26} {}", p.name, p.title)?;
                for s in p.settings {
                    writeln!(
                        out,
                        "    --set {}=…  {}{}",
                        s.name,
                        s.help,
                        if s.live { " (also while running)" } else { "" }
                    )?;
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
        } => {
            let running = profile::start(
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
            say(running.ready())?;
            serve(BTreeMap::from([(String::new(), running)])).await
        }
        Command::Up { file } => {
            let text = std::fs::read_to_string(&file)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
            let all = Testbed::parse(&text)?.start().await?;
            for (name, running) in &all {
                let mut line = serde_json::to_value(running.ready())?;
                line["name"] = json!(name);
                say(&line)?;
            }
            say(&json!({"ready": true}))?;
            serve(all).await
        }
    }
}

/// The lines of standard input, until it closes. Read by a thread of its own, for whoever ends us must not wait for a line: a runtime waits for its threads.
fn orders() -> tokio::sync::mpsc::Receiver<io::Result<String>> {
    let (lines, received) = tokio::sync::mpsc::channel(16);
    std::thread::spawn(move || {
        io::stdin()
            .lines()
            .try_for_each(|line| lines.blocking_send(line))
    });
    received
}

/// Until standard input closes, or somebody ends us.
async fn serve(all: BTreeMap<String, Running>) -> io::Result<()> {
    let mut lines = orders();
    let mut end = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        let line = tokio::select! {
            line = lines.recv() => line.transpose()?,
            _ = end.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        let Some(line) = line else { return Ok(()) };
        if line.trim().is_empty() {
            continue;
        }
        match order(&all, line.trim()) {
            Ok(()) => say(&json!({"done": line.trim()}))?,
            Err(error) => say(&json!({"error": error}))?,
        }
    }
}

fn order(all: &BTreeMap<String, Running>, line: &str) -> Result<(), String> {
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
            "`{rest}` is no order: write `fault SPEC` or `set NAME=VALUE`"
        )),
    }
}
