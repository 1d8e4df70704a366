//! The command line of `qkd-conform`, and of any vendor's own.

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

/// Exit codes, for the help.
pub const EXIT_HELP: &str = "\
Exit codes of run (report, keygen and bundle end with 0 or 2; verify has its own):
  0  what was tested conforms
  1  something does not conform
  2  wrong argument or file; nothing was sent to a device
  3  inconclusive: a device did not respond, a case was undetermined, or nothing ran
  4  busy: another program uses a device; nothing was sent to it
  7  another device responds at the address, or a device of another vendor; nothing was changed
  70  a defect of this program or this machine
  74  done, and results, reports or output could not be written; devices are as the journal says
  129, 130, 143  ended by SIGHUP, SIGINT, SIGTERM before its end; go on with --resume

The first signal lets the case that runs end; a second one ends at once, and --resume puts back
what that case had changed.";

/// Exit codes of `verify`, for the help.
const VERIFY_HELP: &str = "\
Exit codes:
  0  it is what the owner of the key signed, whatever the verdict in it
  1  it is not; what was changed is said
  2  wrong argument or file
  3  the bundle is complete, but without --key its signer is not verified

Example:
  qkd-conform verify lab.qkdreport --key lab.pub";

/// Test devices of a quantum-secured network against requirements.
///
/// A run only reads, unless --impact names a higher impact and the file of the device allows it. It
/// announces what it will do and restores what it changed.
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
    /// Run the fault matrix of emulators: every operation under every fault of the link and of the
    /// device.
    Faults(faults::Arguments),
    /// Makes the reports of one or more result files: a page, a matrix, JUnit XML.
    #[command(
        after_help = "Example:\n  qkd-conform report rack3/results.json rack4/results.json --out \
                      both"
    )]
    Report(report::Arguments),
    /// Makes a key that signs bundles.
    Keygen(bundle::Keygen),
    /// Packs results, reports and transcripts into one signed file.
    #[command(
        after_help = "Example:\n  qkd-conform bundle disruptive/results.json --key keys/lab.key \
                      --out lab.qkdreport"
    )]
    Bundle(bundle::Bundle),
    /// Says whether a bundle is what its signer made, without a network.
    #[command(after_help = VERIFY_HELP)]
    Verify(bundle::Verify),
}

/// The whole program, over the drivers of a registry: what a vendor's own binary calls.
#[must_use]
pub fn main(registry: Registry) -> ExitCode {
    program::run(|| match Cli::try_parse() {
        Ok(cli) => command(registry, cli.command),
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
    /// Something that was made could not be written.
    fn not_written(message: String) -> Self {
        Self {
            code: console::WRITE_FAILED,
            message,
        }
    }
}

impl From<String> for Failure {
    /// A wrong argument or file: nothing was sent to a device.
    fn from(message: String) -> Self {
        Self { code: 2, message }
    }
}
