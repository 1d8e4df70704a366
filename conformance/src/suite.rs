//! The suite, for programs: devices under test in, results out.

use crate::{
    dut::Dut,
    journal::Journal,
    observer::RunObserver,
    requirement::{self, Impact},
    result::{self, Results, Run, TargetKind},
    runner::{self, RunOptions},
    session::{Refusal, Session},
};
use futures::{StreamExt, stream};
use qkd_driver_kit::{Registry, credentials::Credentials};
use qkd_hal::DeviceUri;
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// Maximum number of devices on which cases run at once.
pub const MAX_DEVICES_AT_ONCE: usize = 8;

/// The suite: the drivers that it knows, and the credentials that it may use.
#[derive(Clone)]
pub struct Suite {
    registry: Registry,
    credentials: Credentials,
}

/// A device under test, made ready to run.
pub struct PreparedDevice(Arc<Session>);

impl Suite {
    /// A suite over these drivers.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            credentials: Credentials::from_environment(),
        }
    }
    /// Sets the credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Prepares a device: starts its emulator or reads its recording. Sends nothing to a device.
    /// `impact`: the requested impact; default for a device: observe, for an emulator: the impact
    /// that its file allows.
    ///
    /// # Errors
    /// Error text, if the file is invalid, or does not allow this impact.
    pub async fn ready(
        &self,
        dut: Dut,
        impact: Option<Impact>,
        journal: Option<Journal>,
    ) -> Result<PreparedDevice, String> {
        let emulated = dut.emulator.is_some();
        let asked = impact.unwrap_or(if emulated {
            dut.impact
        } else {
            Impact::Observe
        });
        if asked > dut.impact {
            return Err(format!(
                "{}: {asked} was asked for, and its file allows {}; write impact = \"{asked}\" \
                 into it if that is right",
                dut.name, dut.impact
            ));
        }
        Ok(PreparedDevice(Arc::new(
            Session::prepare(&self.registry, &self.credentials, dut, asked, journal).await?,
        )))
    }

    /// Runs the suite on all devices. Devices on a wire run in parallel, at most
    /// [`MAX_DEVICES_AT_ONCE`] of them. Files of the same device run one after the other. Must be
    /// called within a multi-threaded runtime.
    pub async fn run(
        &self,
        all: &[PreparedDevice],
        request: &RunOptions,
        watcher: &dyn RunObserver,
    ) -> Results {
        let (begun, clock) = (jiff::Timestamp::now(), Instant::now());
        let one_after_another = async |group: Vec<usize>| {
            let mut runs = Vec::new();
            for n in group {
                if !request.stop.load(Ordering::Relaxed) {
                    runs.push((n, runner::run(&all[n].0, request, watcher).await));
                }
            }
            runs
        };
        // Runs in memory use all threads and block the calling one, so they follow the others.
        let (in_memory, on_wire): (Vec<_>, Vec<_>) =
            (0..all.len()).partition(|n| !all[*n].0.dut.target_kind().has_wall_time());
        let mut runs: Vec<(usize, Run)> = stream::iter(groups(all, &on_wire))
            .map(one_after_another)
            .buffer_unordered(MAX_DEVICES_AT_ONCE)
            .concat()
            .await;
        runs.extend(one_after_another(in_memory).await);
        runs.sort_by_key(|(n, _)| *n);
        let runs = runs.into_iter().map(|(_, run)| run).collect();
        Results {
            schema: result::SCHEMA_VERSION,
            suite: about(),
            begun: format!("{begun:.0}"),
            seconds: clock.elapsed().as_secs_f64(),
            runs,
        }
    }
}

/// Divides devices into groups that can run in parallel. Files with the same address or serial
/// number belong to one device and are in one group.
fn groups(all: &[PreparedDevice], chosen: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(BTreeSet<String>, Vec<usize>)> = Vec::new();
    for n in chosen {
        let mut merged = (all[*n].names(), vec![*n]);
        let (same, others): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|(names, _)| !names.is_disjoint(&merged.0));
        for (names, members) in same {
            merged.0.extend(names);
            merged.1.extend(members);
        }
        merged.1.sort_unstable();
        groups = others;
        groups.push(merged);
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

impl PreparedDevice {
    /// Returns the names of the device and its peer: their addresses, and the serial number once
    /// known.
    fn names(&self) -> BTreeSet<String> {
        let dut = &self.0.dut;
        let uris = dut.uri.iter().chain(&dut.peer);
        let mut names: BTreeSet<String> = uris
            .filter_map(|uri| uri.parse::<DeviceUri>().ok())
            // A path distinguishes serial lines; after a host it belongs to the protocol.
            .map(|uri| match uri.host() {
                "" => format!("{}{}", uri.transport(), uri.path()),
                _ => uri.authority(0),
            })
            .collect();
        let identity = self.0.declared().and_then(|d| d.identity.as_ref());
        if dut.target_kind() == TargetKind::Device
            && let Some(identity) = identity
            && let Some(serial) = &identity.serial
        {
            names.insert(format!("{} {serial}", identity.vendor));
        }
        names
    }

    /// Returns the announcement of a run. The device is opened to read what it declares.
    pub async fn announcement(&self, request: &RunOptions) -> String {
        runner::announce(&self.0, request).await
    }
    /// Checks, once [`announcement`](Self::announcement) has opened the device, that it is of the
    /// kind of its profile, and the one of the run that is resumed.
    ///
    /// # Errors
    /// A [`Refusal`]. Nothing was changed.
    pub fn check(&self, request: &RunOptions) -> Result<(), Refusal> {
        if let Some(refusal) = self.0.refusal() {
            return Err(refusal.clone());
        }
        runner::check_same_device(&self.0, &request.past)
            .map_err(|error| Refusal::OtherDevice(error.to_string()))
    }
    /// Returns the identity at the opening for the announcement.
    #[must_use]
    pub fn identity(&self) -> Option<qkd_hal::Identity> {
        self.0.declared()?.identity.clone()
    }
    /// Returns the name of the device.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.dut.name
    }
}

/// Returns name, version and digest of this suite.
#[must_use]
pub fn about() -> result::SuiteInfo {
    result::SuiteInfo {
        name: "qkd-conform".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        requirements: requirement::digest(),
    }
}
