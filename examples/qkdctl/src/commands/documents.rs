//! `qkdctl completions` and `qkdctl man`: what is known of the command line, for shells and readers.

use crate::{cli::Cli, output};
use clap::CommandFactory;
use clap_complete::Shell;
use qkd_hal::{Error, Result};
use std::{io::Write, path::Path};

fn problem(error: std::io::Error) -> Error {
    Error::invalid(format!("it cannot be written: {error}"))
}

/// Prints the completions of a shell.
pub(crate) fn completions(shell: Shell) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "qkdctl", &mut text);
    std::io::stdout().write_all(&text).map_err(problem)?;
    Ok(0)
}

/// Prints the manual page, or writes one for each command into a folder.
pub(crate) fn man(to: Option<&Path>) -> Result<u8> {
    match to {
        None => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout()).map_err(problem)?,
        Some(folder) => {
            let problem = |e: std::io::Error| Error::invalid(format!("folder {}: {e}", folder.display()));
            std::fs::create_dir_all(folder).map_err(problem)?;
            clap_mangen::generate_to(Cli::command(), folder).map_err(problem)?;
            output::line(&format!("manual pages are in {}; read one with: man -l {}", folder.display(), folder.join("qkdctl.1").display()));
        }
    }
    Ok(0)
}
