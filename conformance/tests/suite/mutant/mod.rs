//! Mutants: a correct emulator with one deliberate fault, named by the requirement that it
//! violates.
//!
//! The fault is in the answers to requests, where faults of a device and of a driver look the same.
//! A [`Mutant`] replaces a driver of the registry, opens the correct one, and returns wrong results
//! where its requirement is tested.

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
};
use qkd_hal::{
    Declarations, DeviceKind, DeviceMisbehaved, DeviceUri, Effect, Error, ErrorKind, EventKind,
    EventStream, Identity, Key, Operation as Op, Outcome, Request, Result,
    event::{EventHub, Origin},
    parameter::ParameterType,
    qkd::{QkdCapabilities, Redelivery, Role},
    reading::Measured,
    request::{Answer, Caller},
};
use qkd_switch_hal::{
    CrossConnect, CrossConnects, Port, PowerMeterCapabilities, protection::PathId,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use zeroize::Zeroizing;

/// Mutants of the check in front of the handle: only a handle without this check can have these
/// faults.
const UNCHECKED: [&str; 25] = [
    "DEV-10",
    "DEV-11",
    "DEV-12",
    "DEV-16",
    "DEV-18",
    "DEV-22",
    "DEV-23",
    "DEV-25",
    "SWI-07",
    "PWR-01",
    "PWR-02",
    "PWR-06",
    "VOA-02",
    "VOA-03",
    "PRT-02",
    "PRT-05",
    "ENC-05",
    "ENC-05/role",
    "ENC-05/id",
    "ENC-25/commanded",
    "ENC-26",
    "QKD-15",
    "QKD-16",
    "QKD-17",
    "RNG-04",
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
        let declarations = broken.declarations.clone();
        Ok(if UNCHECKED.contains(&self.breaks) {
            OpenedDevice::unchecked_from_caller(&declarations, broken)
        } else {
            OpenedDevice::from_caller(&declarations, broken)
        })
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
    /// The first key and the first random bytes that were given, to be given a second time.
    key: Option<Key>,
    bytes: Option<Zeroizing<Vec<u8>>>,
    /// Cross-connects that were read last.
    seen: Option<CrossConnects>,
    /// Cross-connects before the last change; returned once more, as a stale reading.
    stale: Option<CrossConnects>,
    /// The first active path of a group.
    path: Option<PathId>,
    identity: Option<Identity>,
    stopped: bool,
}

/// A device with one fault: it answers every request as the honest device does, except those that
/// the fault concerns. The first three letters of the requirement name the file of the fault.
struct Broken {
    opened: Arc<OpenedDevice>,
    breaks: &'static str,
    nth: usize,
    declarations: Declarations,
    events: EventHub,
    /// Events of the correct device.
    reported: Mutex<EventStream>,
    past: Mutex<Past>,
    busy: AtomicUsize,
}

#[async_trait]
impl Caller for Broken {
    async fn call(&self, request: &Request<'_>) -> Result<Outcome> {
        match &self.breaks[..3] {
            "SWI" => self.switch_call(request).await,
            "PWR" => self.meter_call(request).await,
            "VOA" => self.attenuator_call(request).await,
            "PRT" => self.protection_call(request).await,
            "ENC" => self.encryptor_call(request).await,
            "QKD" => self.module_call(request).await,
            "RNG" => self.random_call(request).await,
            _ => self.device_call(request).await,
        }
    }

    fn events(&self) -> EventStream {
        match self.breaks {
            "DEV-11" | "DEV-38" | "DEV-39" | "DEV-40" | "PRT-08" | "ENC-24" | "QKD-20" => {
                self.events.subscribe()
            }
            _ => self.opened.events(),
        }
    }

    async fn close(&self) -> Result<()> {
        match self.breaks {
            "DEV-10" => Ok(()),
            _ => self.opened.close().await,
        }
    }
}

/// The declarations of the honest device, with the fault.
fn altered(mut all: Declarations, breaks: &str) -> Declarations {
    match breaks {
        "DEV-03" => all.descriptor.kinds.push(DeviceKind::RandomSource),
        "DEV-14" => all.capabilities = all.capabilities.with(&[Op::Ports]),
        "DEV-15" => all.capabilities = all.capabilities.without(&[Op::Health]),
        "DEV-17" => all.capabilities = all.capabilities.without(&[Op::Apply]),
        "DEV-18" => all.descriptor.accepted.clear(),
        "DEV-20" => all.meter = Some(PowerMeterCapabilities::for_ports([])),
        _ if breaks.starts_with("DEV-20/") => {
            encryptor::contradict(all.encryptor.as_mut().unwrap(), breaks);
        }
        // A specification that is never right: each value is outside it.
        "DEV-21" => all
            .parameters
            .iter_mut()
            .for_each(|p| p.values = ParameterType::Integer { min: 7, max: 7 }),
        "PWR-02" => all.meter = Some(PowerMeterCapabilities::for_ports([Port(17)])),
        "QKD-04" => {
            let receiver = QkdCapabilities::new(Role::Receiver);
            all.module = all.module.map(|m| receiver.with_redelivery(m.redelivery));
        }
        "QKD-13" => all.module = all.module.map(|m| m.with_redelivery(Redelivery::Refused)),
        "RNG-10" => {
            let shown = hex::encode(random::SHOWN);
            all.descriptor.uri = format!("{}?seed={shown}", all.descriptor.uri);
        }
        _ => {}
    }
    all
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
        Self {
            breaks,
            nth,
            declarations: altered(opened.declarations(), breaks),
            events: EventHub::default(),
            reported: Mutex::new(opened.events()),
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

    /// Has the honest device answer, with what is broken about failures.
    async fn honest(&self, request: &Request<'_>) -> Result<Outcome> {
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
        let call = self.opened.call(request);
        let result = match self.breaks {
            "DEV-34" => {
                let patience = self.declarations.descriptor.deadline / 20;
                let no_patience = |_| Err(Error::new(ErrorKind::Timeout, "it has no patience"));
                let answer = tokio::time::timeout(patience, call).await;
                answer.unwrap_or_else(no_patience)
            }
            // Another caller comes in between.
            "RNG-11" => {
                tokio::task::yield_now().await;
                call.await
            }
            _ => call.await,
        };
        running.done = true;
        drop(running);
        let Err(error) = result else { return result };
        self.past().errors += 1;
        match self.breaks {
            "DEV-26" | "DEV-30" | "DEV-31" | "DEV-36" | "RNG-08" | "RNG-09" | "RNG-12" => {
                self.past().dead = true
            }
            "DEV-32" | "DEV-33" => {
                tokio::time::sleep(self.declarations.descriptor.deadline * 3).await
            }
            "DEV-12" => return Err(Error::new(error.kind(), "")),
            "DEV-38" => (0..3).for_each(|_| {
                let reason = "again".to_owned();
                let lost = EventKind::LinkLost { reason };
                self.events.publish(Origin::Driver, lost);
            }),
            "DEV-39" => {
                self.events.publish(Origin::Driver, EventKind::LinkRestored);
                if self.past().errors > 100 {
                    self.events.close();
                }
            }
            _ => {}
        }
        Err(error)
    }

    /// As [`Self::honest`], with the value of the outcome.
    async fn ask<T: Answer>(&self, request: &Request<'_>) -> Result<T> {
        T::from_outcome(self.honest(request).await?)
    }
}

/// The error of a device that did not apply a change.
const NOT_APPLIED: ErrorKind = ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied);

/// The answer of a switch with one cross-connect.
fn connections(ingress: u32, egress: u32) -> Outcome {
    let one = std::iter::once(CrossConnect::new(ingress, egress));
    let one: CrossConnects = one.collect::<Result<_>>().unwrap();
    Outcome::Connections(Measured::now(one))
}

/// The same error, with another word on what happened to the device.
fn with_effect(error: &Error, effect: Effect) -> Error {
    Error::new(error.kind(), error.message()).with_effect(effect)
}
