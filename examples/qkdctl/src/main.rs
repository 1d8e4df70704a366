//! `qkdctl`: finds, probes, inspects and changes the hardware of a quantum-secured network.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod colour;
mod commands;
mod exit;
mod interrupt;
mod inventory;
mod journal;
mod key_transport;
mod optics_argument;
mod output;
mod progress;
mod session;

use clap::Parser;
use interrupt::Interrupt;
use qkd_driver_kit::program::{self, console, log};
use std::{process::ExitCode, time::Duration};

fn main() -> ExitCode {
    program::run(|| match cli::Cli::try_parse() {
        Ok(cli) => run(cli),
        // Help and the version, too, come as an `Err`.
        Err(instead) => {
            if !instead.use_stderr() {
                console::note(instead.print());
            } else if cli::asks_for_json(std::env::args_os()) {
                output::print_usage_error(&instead);
            } else {
                let _ = instead.print();
            }
            u8::try_from(instead.exit_code()).unwrap_or(exit::INTERNAL)
        }
    })
}

fn run(cli: cli::Cli) -> u8 {
    let level = match cli.global.verbose {
        _ if cli.global.quiet => "error",
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let has_colour = colour::shown_on(&std::io::stderr());
    log::begin("QKDCTL_LOG", level, has_colour);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            console::error_line(&format!(
                "error: the async runtime could not be started: {error}"
            ));
            return exit::INTERNAL;
        }
    };
    let code = runtime.block_on(until_ended(cli));
    // Whatever still waits for a device, or for a name, is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

async fn until_ended(cli: cli::Cli) -> u8 {
    let interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            console::error_line(&format!(
                "error: signal handlers could not be installed: {error}"
            ));
            return exit::INTERNAL;
        }
    };
    let output = cli.global.output();
    tokio::select! {
        biased;
        result = commands::run(cli, interrupt.clone()) => match result {
            Ok(code) => code,
            Err(error) => {
                output::print_error(output, &error);
                exit::code(&error)
            }
        },
        signal = interrupt.ended() => {
            output::note(output, &format!("{}: ended; no device was changed", signal.name()));
            signal.exit_code()
        }
    }
}
