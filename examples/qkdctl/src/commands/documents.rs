//! `qkdctl completions` and `qkdctl man`: what is known of the command line, for shells and
//! readers.

use crate::{cli::Cli, output};
use clap::CommandFactory;
use clap_complete::Shell;
use qkd_driver_kit::program::console;
use qkd_hal::{Error, ErrorKind, Result};
use std::{io::Write, path::Path};

fn print(text: &[u8]) -> u8 {
    console::note(std::io::stdout().write_all(text));
    0
}

/// Prints the completions of a shell.
pub(crate) fn completions(shell: Shell) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "qkdctl", &mut text);
    Ok(print(&text))
}

/// Prints the manual page, or writes one for each command into a folder.
pub(crate) fn man(to: Option<&Path>) -> Result<u8> {
    match to {
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut text)
                .map_err(|e| Error::new(ErrorKind::Internal, format!("no manual page: {e}")))?;
            return Ok(print(&text));
        }
        Some(folder) => {
            let problem =
                |e: std::io::Error| Error::invalid(format!("folder {}: {e}", folder.display()));
            std::fs::create_dir_all(folder).map_err(problem)?;
            // Each page is created in a temporary folder next to them, so that none is ever
            // truncated.
            let temporary = tempfile::tempdir_in(folder).map_err(problem)?;
            clap_mangen::generate_to(Cli::command(), &temporary).map_err(problem)?;
            for page in std::fs::read_dir(&temporary).map_err(problem)? {
                let page = page.map_err(problem)?;
                std::fs::rename(page.path(), folder.join(page.file_name())).map_err(problem)?;
            }
            output::line(&format!(
                "manual pages are in {}; read one with: man -l {}",
                folder.display(),
                folder.join("qkdctl.1").display()
            ));
        }
    }
    Ok(0)
}
