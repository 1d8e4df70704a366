//! The suite, for programs: devices under test in, results out.

pub use crate::runner::{Request, Watcher};
use crate::{
    dut::Dut,
    journal::Journal,
    requirement::{self, Impact},
    result::{self, Results, Run},
    runner,
    session::Session,
};
use qkd_driver_kit::{Registry, credentials::Credentials};
use std::{sync::Arc, time::Instant};

/// The suite: the drivers that it knows, and the credentials that it may use.
#[derive(Clone)]
pub struct Suite {
    registry: Registry,
    credentials: Credentials,
}

/// A device under test, made ready to run.
pub struct Ready(Arc<Session>);

/// Why a run is refused once the device was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The profile is of another kind of device.
    WrongKind(String),
    /// Another device responds at the address, or another make of device.
    OtherDevice(String),
}

impl Suite {
    /// A suite over these drivers.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            credentials: Credentials::from_environment(),
        }
    }
    /// With credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Makes a device ready: starts its emulator or reads its recording, if that is what it is. Sends nothing to a device. `impact`: what is asked for; of a device, no
    /// more than to observe unless it is named, of an emulator, all that its file allows.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file, or that its file does not allow so much.
    pub async fn ready(
        &self,
        dut: Dut,
        impact: Option<Impact>,
        journal: Option<Journal>,
    ) -> Result<Ready, String> {
        let emulated = dut.emulator.is_some();
        let asked = impact.unwrap_or(if emulated {
            dut.impact
        } else {
            Impact::Observe
        });
        if asked > dut.impact {
            return Err(format!(
                "{}: {asked} was asked for, and its file allows {}; write impact = \"{asked}\" into it if that is right",
                dut.name, dut.impact
            ));
        }
        Ok(Ready(Arc::new(
            Session::prepare(&self.registry, &self.credentials, dut, asked, journal).await?,
        )))
    }

    /// Runs all, one after the other. Must be called within a runtime of several threads.
    pub async fn run(&self, all: &[Ready], request: &Request, watcher: &dyn Watcher) -> Results {
        let (begun, clock) = (jiff::Timestamp::now(), Instant::now());
        let mut runs: Vec<Run> = Vec::new();
        for ready in all {
            if !request.stop.load(std::sync::atomic::Ordering::Relaxed) {
                runs.push(runner::run(&ready.0, request, watcher).await);
            }
        }
        Results {
            schema: result::SCHEMA,
            suite: about(),
            begun: format!("{begun:.0}"),
            seconds: clock.elapsed().as_secs_f64(),
            runs,
        }
    }
}

impl Ready {
    /// What a run will do to the device, in words. The device is opened for it, to learn what it declares.
    pub async fn announcement(&self, request: &Request) -> String {
        runner::announce(&self.0, request).await
    }
    /// Checks, once [`announcement`](Self::announcement) has opened the device, that it is of the
    /// kind of its profile, and the one of the run that is resumed.
    ///
    /// # Errors
    /// A [`Refusal`]. Nothing was changed.
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        if let Some(refusal) = self.0.refusal() {
            return Err(refusal.clone());
        }
        runner::check_same_device(&self.0, &request.past)
            .map_err(|error| Refusal::OtherDevice(error.to_string()))
    }
    /// Who answered when it was opened for its announcement.
    #[must_use]
    pub fn identity(&self) -> Option<qkd_hal::Identity> {
        self.0.declared()?.identity.clone()
    }
    /// The device's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.dut.name
    }
}

/// What this suite is.
#[must_use]
pub fn about() -> result::Suite {
    result::Suite {
        name: "qkd-conform".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        requirements: requirement::digest(),
    }
}
