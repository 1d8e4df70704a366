//! Mutants: a correct emulator with one deliberate fault, named by the requirement that it
//! violates.
//!
//! The fault is in the handle, where faults of a device and of a driver look the same. A [`Mutant`]
//! replaces a driver of the registry, opens the correct one, and returns wrong results where its
//! requirement is tested.

mod attenuator;
mod device;
mod encryptor;
mod module;
mod power;
mod protection;
mod random;
mod switch;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice, Registry, driver_info::UriParameter,
    opened_device::DeviceHandles,
};
use qkd_hal::{
    Capabilities, Descriptor, DeviceKind, DeviceUri, Effect, Error, ErrorKind, Operation as Op,
    Result,
    encryptor::EncryptorCapabilities,
    event::{EventHub, Origin},
    parameter::{ParameterSpec, ParameterType},
    qkd::{QkdCapabilities, Redelivery, Role},
    random::RandomCapabilities,
};
use qkd_switch_hal::{
    AttenuatorCapabilities, Port, PowerMeterCapabilities, SwitchCapabilities,
    protection::ProtectionCapabilities,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use zeroize::Zeroizing;

/// Mutants of the check in front of the handle: only a handle without this check can have these
/// faults.
const UNCHECKED: [&str; 21] = [
    "DEV-10", "DEV-11", "DEV-12", "DEV-16", "DEV-18", "DEV-22", "DEV-23", "DEV-25", "SWI-07",
    "PWR-01", "PWR-02", "PWR-06", "VOA-02", "VOA-03", "PRT-02", "PRT-05", "ENC-05", "QKD-15",
    "QKD-16", "QKD-17", "RNG-04",
];

/// A driver that opens broken handles.
pub(crate) struct Mutant {
    honest: Registry,
    info: &'static DriverInfo,
    breaks: &'static str,
    /// The first device that was opened, for the one that shares what is exclusive.
    first: Mutex<Option<Arc<OpenedDevice>>>,
    opened: AtomicUsize,
}

impl Mutant {
    /// A registry in which this driver breaks this requirement.
    pub(crate) fn registry(driver: &str, breaks: &'static str) -> Registry {
        let honest = qkd_hardware::registry();
        let mut info = *honest.driver(driver).unwrap().info();
        if breaks == "DEV-19" {
            info.parameters = Box::leak(
                [
                    info.parameters,
                    &[UriParameter {
                        name: "colour",
                        help: "any",
                        required: false,
                    }],
                ]
                .concat()
                .into_boxed_slice(),
            );
        }
        let info: &'static DriverInfo = Box::leak(Box::new(info));
        honest.clone().with(Self {
            honest,
            info,
            breaks,
            first: Mutex::default(),
            opened: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Driver for Mutant {
    fn info(&self) -> &'static DriverInfo {
        self.info
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let mut context = context.clone();
        if self.breaks == "DEV-18" {
            context = context
                .with_accepted_assumptions(self.info.assumptions.iter().map(|a| a.id.to_string()));
        }
        let result = self
            .honest
            .driver(self.info.name)?
            .open(uri, &context)
            .await;
        let nth = self.opened.fetch_add(1, Ordering::Relaxed);
        let opened = match (self.breaks, result) {
            ("DEV-35", Err(error)) => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return Err(error);
            }
            ("DEV-41", Err(_)) => Arc::clone(self.first.lock().unwrap().as_ref().unwrap()),
            (_, result) => Arc::new(result?),
        };
        self.first
            .lock()
            .unwrap()
            .get_or_insert_with(|| Arc::clone(&opened));
        let broken = Arc::new(Broken::new(opened, self.breaks, nth));
        let kinds = broken.opened.device().descriptor().kinds.clone();
        let is = |kind| kinds.contains(&kind);
        let handles = DeviceHandles {
            module: is(DeviceKind::QkdModule).then(|| Arc::clone(&broken) as _),
            encryptor: is(DeviceKind::Encryptor).then(|| Arc::clone(&broken) as _),
            switch: is(DeviceKind::OpticalSwitch).then(|| Arc::clone(&broken) as _),
            random: is(DeviceKind::RandomSource).then(|| Arc::clone(&broken) as _),
            protection: is(DeviceKind::ProtectionSwitch).then(|| Arc::clone(&broken) as _),
            meter: is(DeviceKind::PowerMeter).then(|| Arc::clone(&broken) as _),
            attenuator: is(DeviceKind::Attenuator).then(|| Arc::clone(&broken) as _),
        };
        if UNCHECKED.contains(&self.breaks) {
            return Ok(OpenedDevice::unchecked(broken, handles));
        }
        let mut opened = OpenedDevice::new(broken);
        if let Some(module) = handles.module {
            opened = opened.with_module(module);
        }
        if let Some(encryptor) = handles.encryptor {
            opened = opened.with_encryptor(encryptor);
        }
        if let Some(switch) = handles.switch {
            opened = opened.with_switch(switch);
        }
        if let Some(random) = handles.random {
            opened = opened.with_random(random);
        }
        if let Some(protection) = handles.protection {
            opened = opened.with_protection(protection);
        }
        if let Some(meter) = handles.meter {
            opened = opened.with_power_meter(meter);
        }
        if let Some(attenuator) = handles.attenuator {
            opened = opened.with_attenuator(attenuator);
        }
        Ok(opened)
    }
}

#[derive(Default)]
struct Past {
    calls: usize,
    errors: usize,
    /// It has given up for good.
    dead: bool,
    /// A caller went away in the middle of a call.
    dropped: bool,
    /// Something that was kept, to be given a second time.
    kept: Vec<Zeroizing<Vec<u8>>>,
    kept_ids: Vec<qkd_hal::KeyId>,
    state: String,
    /// Cross-connects before the last change; returned once more, as a stale reading.
    stale: Option<qkd_switch_hal::CrossConnects>,
    /// Where the signal of a group was first.
    kept_path: Option<qkd_switch_hal::protection::PathId>,
    identity: Option<qkd_hal::Identity>,
    stopped: bool,
}

/// A handle with something broken.
pub(crate) struct Broken {
    opened: Arc<OpenedDevice>,
    breaks: &'static str,
    nth: usize,
    capabilities: Capabilities,
    descriptor: Descriptor,
    parameters: Vec<ParameterSpec>,
    switch: Option<SwitchCapabilities>,
    meter: Option<PowerMeterCapabilities>,
    attenuator: Option<AttenuatorCapabilities>,
    protection: Option<ProtectionCapabilities>,
    encryptor: Option<EncryptorCapabilities>,
    qkd: Option<QkdCapabilities>,
    random: Option<RandomCapabilities>,
    events: EventHub,
    /// Events of the correct device.
    reported: Mutex<qkd_hal::EventStream>,
    printed: OnceLock<Descriptor>,
    past: Mutex<Past>,
    busy: AtomicUsize,
}

/// Counts a running call, and detects its cancellation.
struct Running<'a> {
    broken: &'a Broken,
    done: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.broken.busy.fetch_sub(1, Ordering::Relaxed);
        if !self.done {
            self.broken.past().dropped = true;
        }
    }
}

impl Broken {
    fn new(opened: Arc<OpenedDevice>, breaks: &'static str, nth: usize) -> Self {
        let device = opened.device();
        let mut capabilities = device.capabilities().clone();
        let mut descriptor = device.descriptor().clone();
        let mut parameters = device.parameters().to_vec();
        let mut meter = opened
            .power_meter()
            .ok()
            .map(|m| m.meter_capabilities().clone());
        let mut qkd = opened.module().ok().map(|m| m.qkd_capabilities().clone());
        match breaks {
            "DEV-03" => descriptor.kinds.push(DeviceKind::RandomSource),
            "DEV-14" => capabilities = capabilities.with(&[Op::Ports]),
            "DEV-15" => capabilities = capabilities.without(&[Op::Health]),
            "DEV-17" => capabilities = capabilities.without(&[Op::Apply]),
            "DEV-18" => descriptor.accepted.clear(),
            "DEV-20" => meter = meter.map(|_| PowerMeterCapabilities::for_ports([])),
            "PWR-02" => meter = meter.map(|_| PowerMeterCapabilities::for_ports([Port(17)])),
            "QKD-04" => {
                qkd =
                    qkd.map(|q| QkdCapabilities::new(Role::Receiver).with_redelivery(q.redelivery))
            }
            "QKD-13" => qkd = qkd.map(|q| q.with_redelivery(Redelivery::Refused)),
            _ => {}
        }
        // A specification that is never right: each value is outside it.
        if breaks == "DEV-21" {
            parameters
                .iter_mut()
                .for_each(|p| p.values = ParameterType::Integer { min: 7, max: 7 });
        }
        Self {
            breaks,
            nth,
            capabilities,
            descriptor,
            parameters,
            switch: opened
                .switch()
                .ok()
                .map(|s| s.switch_capabilities().clone()),
            meter,
            attenuator: opened
                .attenuator()
                .ok()
                .map(|a| a.attenuator_capabilities().clone()),
            protection: opened
                .protection()
                .ok()
                .map(|p| p.protection_capabilities().clone()),
            encryptor: opened
                .encryptor()
                .ok()
                .map(|e| e.encryptor_capabilities().clone()),
            qkd,
            random: opened
                .random()
                .ok()
                .map(|r| r.random_capabilities().clone()),
            events: EventHub::default(),
            reported: Mutex::new(device.events()),
            printed: OnceLock::new(),
            past: Mutex::default(),
            busy: AtomicUsize::new(0),
            opened,
        }
    }

    fn is(&self, requirement: &str) -> bool {
        self.breaks == requirement
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of calls before this one.
    fn count(&self) -> usize {
        let mut past = self.past();
        past.calls += 1;
        past.calls - 1
    }

    /// Whether the present answer shall be a wrong one.
    fn is_faulty(&self) -> bool {
        match self.breaks {
            // To the second of two callers at once.
            "DEV-08" => self.busy.load(Ordering::Relaxed) > 1,
            "DEV-09" => std::mem::take(&mut self.past().dropped),
            // The call after a late reply receives it.
            "DEV-27" => std::mem::take(&mut self.past().errors) > 0,
            // A doubled reply is taken for that of the next request.
            "DEV-28" => self.count() % 3 == 1,
            _ => false,
        }
    }

    /// A call of the honest device, with what is broken about failures.
    async fn through<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        // Once its link has been lost, it never looks for it again.
        if self.is("DEV-36") && self.reported.lock().unwrap().try_next().is_some() {
            self.past().dead = true;
        }
        if self.past().dead {
            return Err(Error::new(ErrorKind::Timeout, "it has given up"));
        }
        self.busy.fetch_add(1, Ordering::Relaxed);
        let mut running = Running {
            broken: self,
            done: false,
        };
        let result = if self.is("DEV-34") {
            let patience = self.descriptor.deadline / 20;
            tokio::time::timeout(patience, call)
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "it has no patience")))
        } else {
            call.await
        };
        running.done = true;
        drop(running);
        let Err(error) = result else { return result };
        self.past().errors += 1;
        match self.breaks {
            "DEV-26" | "DEV-30" | "DEV-31" | "DEV-36" | "RNG-08" | "RNG-09" | "RNG-12" => {
                self.past().dead = true
            }
            "DEV-32" | "DEV-33" => tokio::time::sleep(self.descriptor.deadline * 3).await,
            "DEV-12" => return Err(Error::new(error.kind(), "")),
            "DEV-38" => (0..3).for_each(|_| {
                self.events.publish(
                    Origin::Driver,
                    qkd_hal::EventKind::LinkLost {
                        reason: "again".to_owned(),
                    },
                );
            }),
            "DEV-39" => {
                self.events
                    .publish(Origin::Driver, qkd_hal::EventKind::LinkRestored);
                if self.past().errors > 100 {
                    self.events.close();
                }
            }
            _ => {}
        }
        Err(error)
    }
}

/// The same error, with another word on what happened to the device.
fn with_effect(error: &Error, effect: Effect) -> Error {
    Error::new(error.kind(), error.message()).with_effect(effect)
}
