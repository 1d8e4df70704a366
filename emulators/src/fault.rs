//! Faults as data: of the link, in the device, in the optics, by a second operator. The grammar is
//! in `docs/emulators.md`.

mod agent;
mod text;

pub use agent::{AgentFault, InvalidValue};
pub use text::{HostileText, TextFault, TextFormat};

use qkd_driver_kit::wrap::fault::LinkFault;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// A fault that can be injected.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A fault of the link, in one reply.
    Link(LinkFault),
    /// Hostile text is appended to each text of a reply, or to one of its fields.
    HostileText(TextFault),
    /// A fault of the device itself.
    Device(DeviceFault),
    /// A fault of the SNMP agent of the device.
    Agent(AgentFault),
}

/// A fault in the device or its environment. A device to which it does not apply returns an error.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DeviceFault {
    /// The device restarts.
    Reboot,
    /// It raises this alarm.
    Alarm(String),
    /// The device refuses this number of changes.
    Refuse(u32),
    /// The device accepts this number of changes without an error and does not apply them.
    Ignore(u32),
    /// The device refuses all changes for lack of capacity, until the fault is cleared.
    Full,
    /// Another device with this serial number responds.
    Identity(String),
    /// It gives up: not enabled, or in an error state.
    Fail,
    /// The port with this number fails.
    PortFails(u32),
    /// It is pulled out.
    Unplug,
    /// The next data transfer stalls.
    Stall,
    /// The next data transfer is short.
    Short,
    /// Its random bytes are all of this value.
    Constant(u8),
    /// A line is cut; all of them without a name.
    Cut(Option<String>),
    /// So much more loss, in dB.
    LossDb(f64),
    /// Stray light of this power, in dBm, reaches the receiver.
    Leak(f64),
    /// Somebody else does this at the device.
    Operator(String),
    /// All faults end; lines are mended.
    Clear,
}

/// When it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trigger {
    /// Number of exchanges before the fault.
    pub after: u64,
    /// So long after it was applied.
    pub at: Option<Duration>,
    /// Whether the fault applies only once.
    pub once: bool,
    /// Probability of a fault of the link at each reply, from 0 to 1.
    pub probability: f64,
}

impl Default for Trigger {
    /// At once, and at each reply.
    fn default() -> Self {
        Self {
            after: 0,
            at: None,
            once: false,
            probability: 1.0,
        }
    }
}

/// A fault and its trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultSpec {
    /// Kind of the fault.
    pub fault: Fault,
    /// Condition under which the fault applies.
    pub trigger: Trigger,
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("invalid number `{text}` for {name}"))
}

fn probability(name: &str, value: Option<&str>) -> Result<f64, String> {
    let p = value.map_or(Ok(1.0), |v| number(name, v))?;
    if (0.0..=1.0).contains(&p) {
        Ok(p)
    } else {
        Err(format!("{name} takes a probability from 0 to 1, not {p}"))
    }
}

fn duration(name: &str, value: Option<&str>) -> Result<Duration, String> {
    let text = value.ok_or_else(|| format!("{name} needs a time, such as {name}=200ms"))?;
    humantime::parse_duration(text)
        .map_err(|e| format!("invalid duration `{text}` for {name}: {e}"))
}

fn decibels(name: &str, value: Option<&str>) -> Result<f64, String> {
    let v: f64 = number(
        name,
        value.ok_or_else(|| format!("{name} needs a number, such as {name}=3"))?,
    )?;
    if v.is_finite() && v.abs() <= 200.0 {
        Ok(v)
    } else {
        Err(format!("{name} takes a number from -200 to 200, not {v}"))
    }
}

impl FromStr for FaultSpec {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('@');
        let fault = parts.next().unwrap_or_default();
        let mut trigger = Trigger::default();
        for part in parts {
            match part.split_once('=') {
                Some(("after", n)) => trigger.after = number("after", n)?,
                Some(("at", t)) => trigger.at = Some(duration("at", Some(t))?),
                None if part == "once" => trigger.once = true,
                _ => {
                    return Err(format!(
                        "invalid trigger `@{part}`: expected @after=N, @at=TIME or @once"
                    ));
                }
            }
        }
        let (name, value) = fault
            .split_once('=')
            .map_or((fault, None), |(n, v)| (n, Some(v)));
        let text = || {
            value
                .filter(|v| !v.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| format!("{name} needs a value"))
        };
        let bare = |fault| {
            if value.is_none() {
                Ok(fault)
            } else {
                Err(format!("{name} takes no value"))
            }
        };
        let mut random = |fault| {
            trigger.probability = probability(name, value)?;
            Ok::<_, String>(Fault::Link(fault))
        };
        use DeviceFault as D;
        if let Some(fault) = AgentFault::parse(name, value) {
            return Ok(Self {
                fault: Fault::Agent(fault?),
                trigger,
            });
        }
        let fault = match name {
            "drop" => random(LinkFault::Drop)?,
            "delay" => Fault::Link(LinkFault::Delay(duration(name, value)?)),
            "reorder" => Fault::Link(LinkFault::Reorder(duration(name, value)?)),
            "duplicate" => random(LinkFault::Duplicate)?,
            "truncate" => random(LinkFault::Truncate)?,
            "corrupt" => random(LinkFault::Corrupt)?,
            "reset" => bare(Fault::Link(LinkFault::Reset))?,
            "throttle" => bare(Fault::Link(LinkFault::Throttle(1)))?,
            "flood" => bare(Fault::Link(LinkFault::Flood))?,
            "hostile-text" => Fault::HostileText(value.unwrap_or_default().parse()?),
            "reboot" => Fault::Device(bare(Fault::Device(D::Reboot)).map(|_| D::Reboot)?),
            "alarm" => Fault::Device(D::Alarm(text()?)),
            "ignore" => Fault::Device(D::Ignore(value.map_or(Ok(1), |v| number(name, v))?)),
            "refuse" => Fault::Device(D::Refuse(value.map_or(Ok(1), |v| number(name, v))?)),
            "full" => bare(Fault::Device(D::Full))?,
            "identity" => Fault::Device(D::Identity(text()?)),
            "fail" => bare(Fault::Device(D::Fail))?,
            "port-fails" => Fault::Device(D::PortFails(number(name, value.unwrap_or_default())?)),
            "unplug" => bare(Fault::Device(D::Unplug))?,
            "stall" => bare(Fault::Device(D::Stall))?,
            "short" => bare(Fault::Device(D::Short))?,
            "constant" => Fault::Device(D::Constant(value.map_or(Ok(0), |v| number(name, v))?)),
            "cut" => Fault::Device(D::Cut(value.map(str::to_owned))),
            "loss-db" => Fault::Device(D::LossDb(decibels(name, value)?)),
            "leak" => Fault::Device(D::Leak(
                value.map_or(Ok(-40.0), |v| decibels(name, Some(v)))?,
            )),
            "operator" => Fault::Device(D::Operator(text()?)),
            "clear" => bare(Fault::Device(D::Clear))?,
            _ => {
                return Err(format!(
                    "unknown fault `{name}`; docs/emulators.md lists the faults"
                ));
            }
        };
        Ok(Self { fault, trigger })
    }
}

/// Applies device faults to a model.
pub trait ApplyDeviceFault: Send + Sync {
    /// Applies the fault, or says why it cannot.
    ///
    /// # Errors
    /// Error text for the user.
    fn apply(&self, fault: &DeviceFault) -> Result<(), String>;
}

/// Messages and timing with which a reply is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyDelivery {
    /// Delay before the first byte.
    pub delay: Duration,
    /// Messages that are sent after the delay; empty if the reply is dropped.
    pub now: Vec<Vec<u8>>,
    /// Message that is sent after later ones, and its additional delay.
    pub reordered: Option<(Duration, Vec<u8>)>,
    /// Time between bytes.
    pub pace: Duration,
    /// Whether nonsense follows without end.
    pub flood: bool,
    /// Whether the connection ends then.
    pub reset: bool,
}

struct Active {
    spec: FaultSpec,
    seen: u64,
}

struct Inner {
    active: Vec<Active>,
    random: ChaCha12Rng,
    device: Option<Arc<dyn ApplyDeviceFault>>,
    /// Number of restarts of the device.
    restarts: watch::Sender<u64>,
    /// Whether the wire is that of an SNMP agent.
    has_agent: bool,
    /// The text fields that went out since a `hostile-text` was applied.
    fields: text::Fields,
}

impl Inner {
    fn text_faults(&self) -> Vec<TextFault> {
        self.active
            .iter()
            .filter(|a| a.seen >= a.spec.trigger.after)
            .filter_map(|a| match a.spec.fault {
                Fault::HostileText(fault) => Some(fault),
                _ => None,
            })
            .collect()
    }
}

/// The faults of one emulator. Clones are the same.
#[derive(Clone)]
pub struct FaultInjector(Arc<Mutex<Inner>>);

impl fmt::Debug for FaultInjector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({})", self.lock().active.len())
    }
}

impl FaultInjector {
    /// None yet; what is random follows from the seed.
    #[must_use]
    pub fn new(seed: u64, device: Option<Arc<dyn ApplyDeviceFault>>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            active: Vec::new(),
            random: ChaCha12Rng::seed_from_u64(seed),
            device,
            restarts: watch::Sender::new(0),
            has_agent: false,
            fields: text::Fields::default(),
        })))
    }

    /// Admits faults of an SNMP agent.
    pub fn admit_agent_faults(&self) {
        self.lock().has_agent = true;
    }

    /// The active faults of the SNMP agent.
    #[must_use]
    pub fn agent_faults(&self) -> Vec<AgentFault> {
        let faults = self.lock();
        let active = faults
            .active
            .iter()
            .filter(|a| a.seen >= a.spec.trigger.after);
        active
            .filter_map(|a| match &a.spec.fault {
                Fault::Agent(fault) => Some(fault.clone()),
                _ => None,
            })
            .collect()
    }

    /// Whether hostile text is appended to texts.
    #[must_use]
    pub fn has_hostile_text(&self) -> bool {
        !self.lock().text_faults().is_empty()
    }

    /// The reply with the hostile text that the active faults append.
    #[must_use]
    pub fn insert_hostile_text(&self, reply: Vec<u8>, format: TextFormat) -> Vec<u8> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let faults = inner.text_faults();
        if faults.is_empty() {
            return reply;
        }
        let fields = &mut inner.fields;
        let faults = &faults;
        text::Inserter { faults, fields }.insert(&reply, format)
    }

    /// Returns the text fields that were sent since a `hostile-text` was applied, in order, each as
    /// its first text with `#` in place of numbers.
    #[must_use]
    pub fn text_fields(&self) -> Vec<String> {
        self.lock().fields.names().to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a fault now, or when its trigger is met.
    ///
    /// # Errors
    /// If the fault does not apply to the device. The error of a device fault with a trigger is
    /// only logged.
    pub fn add(&self, spec: FaultSpec) -> Result<(), String> {
        if spec.fault == Fault::Device(DeviceFault::Clear) {
            self.lock().active.clear();
        }
        if let Some(at) = spec.trigger.at {
            let (faults, spec) = (
                self.clone(),
                FaultSpec {
                    trigger: Trigger {
                        at: None,
                        ..spec.trigger
                    },
                    ..spec
                },
            );
            let handle = tokio::runtime::Handle::try_current()
                .map_err(|_| "@at needs a running emulator".to_owned())?;
            handle.spawn(async move {
                tokio::time::sleep(at).await;
                if let Err(error) = faults.add(spec) {
                    tracing::warn!(error, "a fault could not be applied");
                }
            });
            return Ok(());
        }
        match (&spec.fault, spec.trigger.after) {
            (Fault::Device(fault), 0) => {
                let device = self.lock().device.clone();
                device.ok_or("this wire has no device")?.apply(fault)?;
                if *fault == DeviceFault::Reboot {
                    self.lock().restarts.send_modify(|n| *n += 1);
                }
                Ok(())
            }
            (Fault::Agent(_), _) if !self.lock().has_agent => {
                Err("there is no SNMP agent on this wire".to_owned())
            }
            _ => {
                let mut inner = self.lock();
                if matches!(spec.fault, Fault::HostileText(_)) {
                    inner.fields.clear();
                }
                inner.active.push(Active { spec, seen: 0 });
                Ok(())
            }
        }
    }

    /// Waits for the next restart of the device, which ends its connections.
    pub async fn restart(&self) {
        let mut restarts = self.lock().restarts.subscribe();
        if restarts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether no fault waits or works: a shell may then take its short way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.lock().active.is_empty()
    }

    /// Counts an exchange and says how its reply goes out.
    #[must_use]
    pub fn deliver(&self, reply: Vec<u8>) -> ReplyDelivery {
        let mut delivery = ReplyDelivery {
            delay: Duration::ZERO,
            now: Vec::new(),
            reordered: None,
            pace: Duration::ZERO,
            flood: false,
            reset: false,
        };
        let mut due = Vec::new();
        let mut guard = self.lock();
        let inner = &mut *guard;
        let (mut copies, mut dropped, mut reordered, mut bytes) = (1, false, None, reply);
        inner.active.retain_mut(|active| {
            active.seen += 1;
            if active.seen <= active.spec.trigger.after {
                return true;
            }
            let p = active.spec.trigger.probability;
            let happened = match &active.spec.fault {
                Fault::Link(LinkFault::Corrupt) if bytes.is_empty() => false,
                Fault::Link(fault) if p >= 1.0 || inner.random.random::<f64>() < p => {
                    match *fault {
                        LinkFault::Drop => dropped = true,
                        LinkFault::Delay(time) => delivery.delay += time,
                        LinkFault::Reorder(time) => reordered = Some(time),
                        LinkFault::Duplicate => copies = 2,
                        LinkFault::Truncate => bytes.truncate(bytes.len() / 2),
                        LinkFault::Corrupt => {
                            let bit = inner.random.random_range(0..bytes.len() * 8);
                            bytes[bit / 8] ^= 1 << (bit % 8);
                        }
                        LinkFault::Reset => (dropped, delivery.reset) = (true, true),
                        LinkFault::Throttle(speed) => {
                            delivery.pace = Duration::from_secs(1) / speed.max(1);
                        }
                        LinkFault::Flood => delivery.flood = true,
                    }
                    true
                }
                Fault::Link(_) => false,
                // The relay, and whoever knows where a reply has its text, ask for these.
                Fault::Agent(_) | Fault::HostileText(_) => true,
                Fault::Device(fault) => {
                    due.push(fault.clone());
                    return false;
                }
            };
            !(happened && active.spec.trigger.once)
        });
        let device = inner.device.clone();
        drop(guard);
        if !dropped && !bytes.is_empty() {
            match reordered {
                Some(time) => delivery.reordered = Some((time, bytes)),
                None => delivery.now = vec![bytes; copies],
            }
        }
        for fault in due {
            if let Some(Err(error)) = device.as_ref().map(|d| d.apply(&fault)) {
                tracing::warn!(error, "a fault could not be applied");
            }
        }
        delivery
    }

    /// Noise, as a line at the wrong speed gives it.
    pub fn corrupt_input(&self, bytes: &mut [u8]) {
        let mut inner = self.lock();
        for byte in bytes {
            *byte = inner.random.random();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(specs: &[&str]) -> FaultInjector {
        let faults = FaultInjector::new(7, None);
        specs
            .iter()
            .for_each(|s| faults.add(s.parse().unwrap()).unwrap());
        faults
    }

    #[test]
    fn fault_specifications_parse_or_are_refused_with_the_reason() {
        let spec: FaultSpec = "delay=200ms@after=3@once".parse().unwrap();
        assert_eq!(
            spec.fault,
            Fault::Link(LinkFault::Delay(Duration::from_millis(200)))
        );
        assert_eq!(
            spec.trigger,
            Trigger {
                after: 3,
                once: true,
                ..Trigger::default()
            }
        );
        assert_eq!(
            "operator=connect:1-17@at=5s"
                .parse::<FaultSpec>()
                .unwrap()
                .trigger
                .at,
            Some(Duration::from_secs(5))
        );
        let spec: FaultSpec = "drop=0.25".parse().unwrap();
        assert_eq!(spec.fault, Fault::Link(LinkFault::Drop));
        assert_eq!(spec.trigger.probability, 0.25);
        for (bad, says) in [
            ("drop=2", "from 0 to 1"),
            ("drop=NaN", "from 0 to 1"),
            ("delay", "needs a time"),
            ("delay=x", "invalid duration"),
            ("reset=1", "takes no value"),
            ("throttle@never", "invalid trigger"),
            ("nonsense", "docs/emulators.md"),
            ("", "unknown fault"),
            ("alarm", "needs a value"),
            ("loss-db=inf", "-200 to 200"),
            ("port-fails", "number"),
        ] {
            assert!(
                bad.parse::<FaultSpec>().unwrap_err().contains(says),
                "{bad}"
            );
        }
    }

    #[test]
    fn faults_of_the_link_are_written_by_their_names() {
        for fault in [
            LinkFault::Drop,
            LinkFault::Delay(Duration::from_secs(1)),
            LinkFault::Reorder(Duration::from_secs(1)),
            LinkFault::Duplicate,
            LinkFault::Truncate,
            LinkFault::Corrupt,
            LinkFault::Reset,
            LinkFault::Throttle(1),
            LinkFault::Flood,
        ] {
            let value = match fault {
                LinkFault::Delay(_) | LinkFault::Reorder(_) => "=1s",
                _ => "",
            };
            let spec: FaultSpec = format!("{}{value}", fault.name()).parse().unwrap();
            assert_eq!(spec.fault, Fault::Link(fault));
        }
    }

    #[test]
    fn without_faults_a_reply_is_sent_unchanged() {
        let delivery = faults(&[]).deliver(b"abc".to_vec());
        assert_eq!(delivery.now, [b"abc"]);
        assert!(!delivery.flood && !delivery.reset && delivery.reordered.is_none());
    }

    #[test]
    fn triggers_count_exchanges() {
        let f = faults(&["drop@after=2@once"]);
        let sent: Vec<_> = (0..5).map(|_| f.deliver(vec![1]).now.len()).collect();
        assert_eq!(sent, [1, 1, 0, 1, 1]);
        assert!(f.is_quiet());
    }

    #[test]
    fn corrupt_changes_one_bit_and_truncate_halves() {
        let sent = &faults(&["corrupt"]).deliver(vec![0; 8]).now[0];
        assert_eq!(sent.iter().map(|b| b.count_ones()).sum::<u32>(), 1);
        assert_eq!(faults(&["truncate"]).deliver(vec![9; 8]).now, [[9; 4]]);
        assert_eq!(faults(&["duplicate"]).deliver(vec![9]).now.len(), 2);
        assert!(faults(&["corrupt"]).deliver(Vec::new()).now.is_empty());
    }

    #[test]
    fn a_seed_repeats_a_run() {
        let run = || {
            let f = faults(&["drop=0.5"]);
            (0..64)
                .map(|_| f.deliver(vec![1]).now.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        let kept: usize = run().iter().sum();
        assert!((16..48).contains(&kept), "{kept}");
    }

    #[test]
    fn clear_cancels_all_faults_and_reset_drops_a_reordered_reply() {
        let f = faults(&["reorder=1s", "reset"]);
        let delivery = f.deliver(vec![1]);
        assert!(delivery.reset && delivery.now.is_empty() && delivery.reordered.is_none());
        assert!(f.add("clear".parse().unwrap()).is_err(), "no device here");
        assert!(f.is_quiet());
    }
}
