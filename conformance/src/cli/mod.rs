//! The command line of `qkd-conform`, and of a conformance program that a vendor builds from this
//! crate with its own drivers.

mod bundle;
mod faults;
mod list;
mod report;
pub mod run;

use clap::{Parser, Subcommand};
use qkd_driver_kit::{
    Registry,
    program::{self, console, log},
};
use std::{io::IsTerminal, process::ExitCode};

/// Section of the help on the exit codes.
pub const EXIT_HELP: &str = "\
Exit codes of run (verify has its own; faults ends with 0, 1, 2 or 74, the others with 0, 2 or 74):
  0  all devices conform, as far as they were tested
  1  a device does not conform
  2  wrong argument or file; nothing was sent to a device
  3  inconclusive: a device did not respond, a case was undetermined, or nothing ran
  4  busy: another program uses a device; nothing was sent to it
  7  another device responds at the address, or a device of another vendor; nothing was changed
  70  a defect of this program or this machine
  74  the run is complete, but results, reports or output could not be written
  129, 130, 143  interrupted by SIGHUP, SIGINT, SIGTERM; continue with --resume

After the first signal, the run ends with the present case. A second signal ends the program
immediately; --resume then restores what the case had changed.";

/// Section of the help on the exit codes of `verify`.
const VERIFY_HELP: &str = "\
Exit codes:
  0  the owner of the key signed the bundle, and it was not changed; its verdict may be any
  1  the bundle is invalid; the reasons are printed
  2  wrong argument or file
  3  the bundle was not changed, but without --key its signer is not verified

Example:
  qkd-conform verify lab.qkdreport --key lab.pub";

/// Test devices of a quantum-secured network against requirements.
///
/// A run only reads, unless --impact names a higher impact and the file of the device allows it. It
/// prints its cases before it starts, and restores what it changed.
#[derive(Debug, Parser)]
#[command(name = "qkd-conform", version, after_help = EXIT_HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the suite on devices under test, and writes results and reports.
    #[command(
        after_help = "Examples:\n  qkd-conform run polatis-rack3.toml --list\n  qkd-conform run \
                      polatis-rack3.toml --out observe\n  qkd-conform run polatis-rack3.toml \
                      --impact disruptive --out disruptive"
    )]
    Run(run::Arguments),
    /// Lists profiles, requirements and cases.
    List(list::Arguments),
    /// Runs the fault matrix of emulators: every operation under every fault of the link and of the
    /// device.
    Faults(faults::Arguments),
    /// Writes the reports of one or more result files: HTML page, matrix in Markdown, JUnit XML.
    #[command(
        after_help = "Example:\n  qkd-conform report rack3/results.json rack4/results.json --out \
                      both"
    )]
    Report(report::Arguments),
    /// Generates a key pair that signs bundles.
    Keygen(bundle::Keygen),
    /// Packs results, reports and transcripts into one signed file.
    #[command(
        after_help = "Example:\n  qkd-conform bundle disruptive/results.json --key keys/lab.key \
                      --out lab.qkdreport"
    )]
    Bundle(bundle::Bundle),
    /// Verifies offline that a bundle is unchanged since it was signed.
    #[command(after_help = VERIFY_HELP)]
    Verify(bundle::Verify),
}

/// Runs the program with the drivers of this registry. A vendor's own binary calls this in `main`.
#[must_use]
pub fn main(registry: Registry) -> ExitCode {
    program::run(|| match Cli::try_parse() {
        Ok(cli) => command(registry, cli.command),
        // clap also returns the texts of --help and --version as an `Err`.
        Err(error) => {
            let printed = error.print();
            if !error.use_stderr() {
                console::note(printed);
            }
            u8::try_from(error.exit_code()).unwrap_or(program::INTERNAL)
        }
    })
}

fn command(registry: Registry, command: Command) -> u8 {
    log::begin("QKD_CONFORM_LOG", "error", std::io::stderr().is_terminal());
    let result = match command {
        Command::Run(arguments) => run::run(registry, &arguments),
        Command::List(arguments) => list::run(&arguments).map_err(Failure::from),
        Command::Faults(arguments) => faults::run(&registry, &arguments).map_err(Failure::from),
        Command::Report(arguments) => report::run(&arguments),
        Command::Keygen(arguments) => bundle::keygen(&arguments),
        Command::Bundle(arguments) => bundle::bundle(&arguments),
        Command::Verify(arguments) => bundle::verify(&arguments).map_err(Failure::from),
    };
    result.unwrap_or_else(|failure| {
        console::error_line(&format!("error: {}", failure.message));
        failure.code
    })
}

/// Why a command ended without a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code: 2, 4, 70 or 74 of [`EXIT_HELP`].
    pub code: u8,
    /// Error message for the user.
    pub message: String,
}

impl Failure {
    /// Failure to write an output file: exit code 74.
    fn not_written(message: String) -> Self {
        Self {
            code: console::WRITE_FAILED,
            message,
        }
    }
}

impl From<String> for Failure {
    /// Failure of an argument or an input file: exit code 2. Nothing was sent to a device.
    fn from(message: String) -> Self {
        Self { code: 2, message }
    }
}
