//! `qkdctl conform`: `qkd-conform run`, with this program's credentials and inventory.

use crate::{
    cli::Global,
    output,
    session::{self, Session},
};
use qkd_conformance::cli::run::Arguments;
use qkd_hal::{Error, ErrorKind, Result};

pub(crate) async fn run(session: Session, global: &Global, mut arguments: Arguments) -> Result<u8> {
    if global.output().is_json() {
        return Err(Error::invalid(
            "conform writes its results into results.json of the folder --out; --output json has \
             nothing to add",
        ));
    }
    if global.transcript.is_some() {
        return Err(Error::invalid(
            "conform writes its transcripts into results.json of the folder --out; --transcript \
             has nothing to add",
        ));
    }
    if arguments.uri.is_none() && !global.assume.is_empty() {
        return Err(Error::invalid(
            "a device's file says which assumptions hold for it: write accept = [...] into it; \
             --assume goes with --uri",
        ));
    }
    arguments.credentials = session::credentials_file(global);
    if let Some(device) = arguments.uri.take() {
        let uri = session.inventory.resolve(&device)?;
        arguments.uri = Some(
            global
                .assume
                .iter()
                .fold(uri, |uri, id| uri.with_parameter("assume", id))
                .to_string(),
        );
    }
    // The suite has a runtime of its own.
    let ran = tokio::task::spawn_blocking(move || {
        qkd_conformance::cli::run::run(session.registry, &arguments)
    })
    .await;
    let failure = match ran {
        Ok(Ok(code)) => return Ok(code),
        Ok(Err(failure)) => failure,
        Err(_) => return Err(Error::new(ErrorKind::Internal, "the suite ended early")),
    };
    output::error_line(&format!("error: {}", failure.message));
    Ok(failure.code)
}
