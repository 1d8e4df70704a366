//! The fault matrix: every device × every operation × every fault of the link, at each exchange,
//! and of the device; in memory, in virtual time.
//!
//! A cell has no violation if each call ended within its time, with the correct result or a typed
//! error whose effect does not deny a change that the model has made, and if the next call after
//! the fault succeeded.

mod cell;
mod table;

pub use table::markdown;

use crate::{declare::declare, dut::Dut, session::Session, threads::run_parallel};
use qkd_driver_kit::{Registry, credentials::Credentials, wrap::fault::LinkFault};
use qkd_hal::{Operation, Support};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// A fault of the matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MatrixFault {
    /// Of the link, at one exchange of the call.
    Link(LinkFault),
    /// Of the device, in the emulators' grammar, as the call begins.
    Device(&'static str),
}

impl MatrixFault {
    /// Its name in the table.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Link(fault) => fault.name(),
            Self::Device(name) => name,
        }
    }
}

/// All faults, in the order of the table. Times are for devices with a deadline of 2 s.
pub const FAULTS: [MatrixFault; 24] = [
    MatrixFault::Link(LinkFault::Drop),
    MatrixFault::Link(LinkFault::Delay(Duration::from_millis(300))),
    MatrixFault::Link(LinkFault::Reorder(Duration::from_millis(2500))),
    MatrixFault::Link(LinkFault::Duplicate),
    MatrixFault::Link(LinkFault::Truncate),
    MatrixFault::Link(LinkFault::Corrupt),
    MatrixFault::Link(LinkFault::Reset),
    MatrixFault::Link(LinkFault::Throttle(1)),
    MatrixFault::Link(LinkFault::Flood),
    MatrixFault::Device("reboot"),
    MatrixFault::Device("refuse=1"),
    MatrixFault::Device("full"),
    MatrixFault::Device("identity=SN-X"),
    MatrixFault::Device("fail"),
    MatrixFault::Device("port-fails=1"),
    MatrixFault::Device("alarm=223"),
    MatrixFault::Device("unplug"),
    MatrixFault::Device("stall"),
    MatrixFault::Device("short"),
    MatrixFault::Device("cut"),
    MatrixFault::Device("loss-db=9"),
    MatrixFault::Device("leak=-40"),
    MatrixFault::Device("operator=clear"),
    MatrixFault::Device("operator=disable"),
];

/// Result of one fault at one operation of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixCell {
    /// The device under test.
    pub dut: String,
    /// Operation under test.
    pub operation: Operation,
    /// Injected fault.
    pub fault: &'static str,
    /// Results of the calls: `ok`, or the kind of the error; empty if the device does not have such
    /// a fault.
    pub endings: BTreeSet<String>,
    /// Number of trials: one for each exchange to which the fault applies.
    pub trials: usize,
    /// Violations, one sentence each.
    pub wrong: Vec<String>,
}

/// Runs the matrix on emulators in memory. Returns the cells in the order of devices, operations
/// and faults.
///
/// # Errors
/// Error text, if a file is invalid or an emulator cannot be opened.
pub async fn run(registry: &Registry, duts: Vec<Dut>) -> Result<Vec<MatrixCell>, String> {
    let mut work = Vec::new();
    for dut in duts {
        if dut.emulator.is_none() || dut.on_wire {
            return Err(format!(
                "{}: the fault matrix runs on emulators in memory only",
                dut.name
            ));
        }
        let allowed = dut.impact;
        let session = Arc::new(
            Session::prepare(registry, &Credentials::default(), dut, allowed, None).await?,
        );
        declare(&session).await?;
        let capabilities = session
            .declared()
            .map(|d| d.capabilities.clone())
            .ok_or("the device was not opened")?;
        for operation in Operation::ALL
            .iter()
            .copied()
            .filter(|op| capabilities.supports(*op) != Support::Unsupported)
        {
            for fault in FAULTS {
                work.push((Arc::clone(&session), operation, fault));
            }
        }
    }
    Ok(run_parallel(work.len(), |n| {
        work.get(n)
            .map(|(session, operation, fault)| cell::cell(session, *operation, *fault))
    }))
}
