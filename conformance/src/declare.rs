//! Opens a device once, to learn what it declares.

use crate::{
    case_context::CaseContext,
    names, reading,
    result::TargetKind,
    session::{Declared, Measured, Refusal, Session},
    threads::{blocking, virtual_runtime},
};
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{ErrorKind, Operation, Support};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Opens the device once, if that was not done yet.
pub(crate) async fn declare(session: &Arc<Session>) -> Result<(), String> {
    if session.declared().is_some() {
        return Ok(());
    }
    if session.dut.target_kind() == TargetKind::EmulatorInMemory {
        let session = Arc::clone(session);
        blocking(move || virtual_runtime()?.block_on(open(&session))).await
    } else {
        open(session).await
    }
}

async fn open(session: &Arc<Session>) -> Result<(), String> {
    let bench = CaseContext::of(session, None).await.map_err(|why| {
        let why = format!("{}: {why}", session.dut.name);
        session.refuse(Refusal::WrongFile(why.clone()));
        why
    })?;
    let begun = Instant::now();
    let opened = bench.open().await.map_err(|e| {
        if e.kind() == ErrorKind::IdentityChanged {
            session.refuse(Refusal::OtherDevice(e.to_string()));
        }
        if e.kind() == ErrorKind::InvalidInput {
            session.refuse(Refusal::WrongFile(format!("{}: {e}", session.dut.name)));
        }
        e.to_string()
    })?;
    let opening_time = begun.elapsed();
    let device = opened.device();
    // What a driver's family is may depend on the device.
    if let Err(why) = session
        .profile
        .check_kind(&session.dut.profile, &device.descriptor().kinds)
    {
        let why = format!("{}: {why}", session.dut.name);
        let _ = device.close().await;
        session.refuse(Refusal::WrongKind(why.clone()));
        return Err(why);
    }
    if let Err(why) = names::check(&session.dut, &opened).await {
        let why = format!("{}: {why}", session.dut.name);
        let _ = device.close().await;
        session.refuse(Refusal::WrongFile(why.clone()));
        return Err(why);
    }
    let identity = match device.capabilities().supports(Operation::Identity) {
        Support::Unsupported => None,
        _ => Some(device.identity().await.map_err(|e| e.to_string())?),
    };
    let encryptor = opened
        .encryptor()
        .ok()
        .map(|e| e.encryptor_capabilities().clone());
    let module = opened.module().ok().map(|m| m.qkd_capabilities().clone());
    let (descriptor, capabilities) = (device.descriptor().clone(), device.capabilities().clone());
    let opening = bench.records();
    let measured = match session.dut.target_kind().has_wall_time() {
        true => Some(measure(&bench, &opened, opening_time).await),
        false => None,
    };
    let _ = device.close().await;
    session.set_declared(Declared {
        identity,
        descriptor,
        capabilities,
        encryptor,
        module,
        opening,
        measured,
    });
    Ok(())
}

/// Reads the device, which took `opening` to open.
async fn measure(bench: &CaseContext, opened: &OpenedDevice, opening: Duration) -> Measured {
    let (begun, before) = (Instant::now(), bench.script().count());
    // A device that cannot be asked anything has no reading, and one that fails is found by its
    // cases.
    let _ = reading::try_steady(bench, opened).await;
    Measured {
        opening,
        reading: begun.elapsed(),
        exchanges: (bench.script().count() - before).max(1),
    }
}

/// A device under test, opened, for tests of what uses it.
#[cfg(test)]
pub(crate) async fn prepared(dut: &str) -> Arc<Session> {
    let registry = qkd_hardware::registry();
    let credentials = qkd_driver_kit::credentials::Credentials::default();
    let dut = crate::Dut::parse(dut).unwrap();
    let allowed = crate::requirement::Impact::Destructive;
    let session = Session::prepare(&registry, &credentials, dut, allowed, None);
    let session = Arc::new(session.await.unwrap());
    open(&session).await.unwrap();
    session
}
