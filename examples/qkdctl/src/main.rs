//! `qkdctl`: finds, probes, inspects and changes the hardware of a quantum-secured network.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cli;
mod colour;
mod commands;
mod exit;
mod inventory;
mod journal;
mod lock;
mod output;
mod progress;
mod roll;
mod session;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A core dump would hold keys.
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    let cli = cli::Cli::parse();
    let level = match cli.global.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("QKDCTL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour::shown_on(&std::io::stderr()))
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::from(exit::INTERNAL);
        }
    };
    let output = cli.global.output;
    match runtime.block_on(commands::run(cli)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::print_error(output, &error);
            ExitCode::from(exit::code(&error))
        }
    }
}
