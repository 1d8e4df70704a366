//! Implementation of the commands.

mod change;
mod conform;
mod demo;
mod device;
mod doctor;
mod documents;
mod drivers;
mod encryptor;
mod journal;
mod key;
mod list;
mod probe;
mod random;
mod secret_file;
pub(crate) mod switch;
mod watch;

use crate::{
    cli::{Cli, Command},
    interrupt::{Interrupt, Work},
    session::Session,
};
use qkd_hal::Result;

/// Carries out a command; returns the exit code.
pub(crate) async fn run(cli: Cli, interrupt: Interrupt) -> Result<u8> {
    // The demo brings its own devices, and reads nothing of this machine's.
    let session = || Session::new(&cli.global, interrupt.clone());
    let output = cli.global.output();
    match cli.command {
        Command::Conform(arguments) => {
            // The suite listens for signals itself.
            let _guard = interrupt.begin(Work::Other)?;
            conform::run(session()?, &cli.global, arguments).await
        }
        Command::Watch(arguments) => watch::run(session()?, output, arguments).await,
        Command::Doctor => doctor::run(&cli.global).await,
        Command::Completions { shell } => documents::completions(shell),
        Command::Man { to } => documents::man(to.as_deref()),
        Command::Drivers { name } => drivers::run(&session()?, output, name.as_deref()),
        Command::List => list::run(&session()?, output).await,
        Command::Probe {
            target,
            active,
            driver,
            login,
        } => {
            probe::run(
                &session()?,
                output,
                target.as_deref(),
                active,
                &driver,
                login.as_deref(),
            )
            .await
        }
        Command::Info { device } => device::info(&session()?, output, &device).await,
        Command::Journal(wanted) => journal::run(&session()?, output, &wanted),
        Command::Get { device, name } => {
            device::get(&session()?, output, &device, name.as_deref()).await
        }
        Command::Set {
            device,
            assignment,
            yes,
        } => device::set(&session()?, output, &device, &assignment, yes).await,
        Command::Switch(command) => switch::run(&session()?, output, command).await,
        Command::Key(command) => key::run(&session()?, output, command).await,
        Command::Encryptor(command) => encryptor::run(&session()?, output, command).await,
        Command::Demo { seed, report } => demo::run(output, seed, &report).await,
        Command::Random { device, bytes, to } => {
            random::run(&session()?, output, &device, bytes, to.as_deref()).await
        }
    }
}

/// Last line of a dry run.
const DRY_RUN: &str = "dry run: nothing was changed; add --yes to apply";
