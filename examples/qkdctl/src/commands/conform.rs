//! `qkdctl conform`: `qkd-conform run`, with this program's credentials, inventory and locks.

use crate::{
    cli::{Global, Output},
    lock::{self, Use},
    session::{self, Session},
};
use qkd_conformance::{Dut, cli::run::Arguments, requirement::Impact};
use qkd_hal::{DeviceUri, Error, ErrorKind, Result};

pub(crate) async fn run(session: Session, global: &Global, mut arguments: Arguments) -> Result<u8> {
    if global.output == Output::Json {
        return Err(Error::invalid(
            "conform writes its results into results.json of the folder --out; --output json has nothing to add",
        ));
    }
    if global.transcript.is_some() {
        return Err(Error::invalid(
            "conform writes its transcripts into results.json of the folder --out; --transcript has nothing to add",
        ));
    }
    if arguments.uri.is_none() && !global.assume.is_empty() {
        return Err(Error::invalid(
            "a device's file says which assumptions hold for it: write accept = [...] into it; --assume goes with --uri",
        ));
    }
    arguments.credentials = session::credentials_file(global);
    let mut locks = Vec::new();
    if let Some(device) = arguments.uri.take() {
        let uri = session.inventory.resolve(&device)?;
        locks.push(lock::take(&uri, Use::Read)?);
        arguments.uri = Some(
            global
                .assume
                .iter()
                .fold(uri, |uri, id| uri.with_parameter("assume", id))
                .to_string(),
        );
    }
    for path in &arguments.duts {
        let dut = Dut::read(path).map_err(Error::invalid)?;
        let what = if dut.impact > Impact::Observe {
            Use::Change
        } else {
            Use::Read
        };
        for uri in dut.uri.iter().chain(&dut.peer) {
            locks.push(lock::take(&uri.parse::<DeviceUri>()?, what)?);
        }
    }
    // The suite has a runtime of its own.
    let ran = tokio::task::spawn_blocking(move || {
        qkd_conformance::cli::run::run(session.registry, &arguments)
    })
    .await;
    drop(locks);
    ran.map_err(|_| Error::new(ErrorKind::Internal, "the suite ended early"))?
        .map_err(Error::invalid)
}
