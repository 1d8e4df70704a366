//! Checks of a roll before a key is taken.

use crate::{EncryptorPair, End, Roll, Step, describe};
use qkd_hal::{
    Descriptor, Error, ErrorKind, KeyId, Operation, Result,
    encryptor::{Activation, ChannelId, ChannelState, ChannelStatus, FailureMode, HalfDoneRoll},
    units::Bits,
};
use serde::Serialize;
use std::{fmt, time::Duration};

/// The largest key that a roll takes unless a size is set: what AES and MACsec use.
const LARGEST_KEY: Bits = Bits(256);

/// The operation of a roll in errors.
const ROLL: &str = "roll";

/// Traffic that a change of the key loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum ExpectedOutage {
    /// None: both ends declare that a roll is hitless, or nothing is activated.
    None,
    /// Traffic drops until both ends have agreed on the new key.
    Drops {
        /// Whether the key exchange is restarted.
        reinitialises: bool,
        /// The longest declared outage of both ends; `None` if neither declares one.
        #[serde(
            rename = "declared_ns",
            serialize_with = "qkd_hal::serial::optional_nanoseconds::serialize"
        )]
        declared: Option<Duration>,
    },
    /// The ends send with different keys, or their key exchange has failed. Traffic passes once
    /// both use the new key.
    Interrupted,
}

impl ExpectedOutage {
    /// Outage of a roll of this pair in this state.
    pub(crate) fn of(pair: &EncryptorPair, status: [&ChannelStatus; 2]) -> Self {
        let active = status.map(|s| s.slots.iter().find(|slot| slot.active)?.key_id.as_ref());
        let differs =
            matches!(active, [Some(near), Some(far)] if near.as_bytes() != far.as_bytes());
        let has_failed = status.iter().any(|s| s.state == ChannelState::Failed);
        Self::declared_by(pair, differs || has_failed)
    }

    /// Outage of a change of the key that both ends declare, unless traffic is interrupted already.
    pub(crate) fn declared_by(pair: &EncryptorPair, is_interrupted: bool) -> Self {
        if is_interrupted {
            return Self::Interrupted;
        }
        if !pair.any(|end| !end.capabilities().hitless.is_hitless()) {
            return Self::None;
        }
        let declared = End::BOTH.map(|end| pair.end(end).capabilities().outage);
        Self::Drops {
            reinitialises: pair.reinitialises(),
            declared: declared.into_iter().flatten().max(),
        }
    }

    /// Whether no outage is expected.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::None
    }

    /// Returns the declared outage; `None` if no outage is expected or none is declared.
    #[must_use]
    pub fn declared(self) -> Option<Duration> {
        match self {
            Self::Drops { declared, .. } => declared,
            Self::None | Self::Interrupted => None,
        }
    }
}

/// Wait of a roll for a key exchange that no command starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum ExchangeWait {
    /// None: a command activates the new key.
    None,
    /// The roll waits for the next key exchange of the encryptors.
    NextExchange {
        /// The longest declared time of both ends; `None` if one of them declares none.
        #[serde(
            rename = "longest_ns",
            serialize_with = "qkd_hal::serial::optional_nanoseconds::serialize"
        )]
        longest: Option<Duration>,
    },
}

impl ExchangeWait {
    fn of(pair: &EncryptorPair) -> Self {
        let waits = End::BOTH.map(|end| match pair.end(end).capabilities().activation {
            Activation::NextExchange { longest } => Some(longest),
            _ => None,
        });
        let longest = match waits {
            [None, None] => return Self::None,
            [Some(one), None] | [None, Some(one)] => one,
            [Some(near), Some(far)] => near.zip(far).map(|(near, far)| near.max(far)),
        };
        Self::NextExchange { longest }
    }
}

impl fmt::Display for ExchangeWait {
    /// A line, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::NextExchange {
                longest: Some(time),
            } => writeln!(
                f,
                "The encryptors use the new key at their next key exchange, within {}.",
                humantime::format_duration(*time)
            ),
            Self::NextExchange { longest: None } => f.write_str(
                "The encryptors use the new key at their next key exchange, at a time that is not \
                 declared.\n",
            ),
        }
    }
}

impl fmt::Display for ExpectedOutage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => {
                f.write_str("No outage expected: both ends declare that a roll is hitless.")
            }
            Self::Drops {
                reinitialises,
                declared,
            } => {
                let while_they = if *reinitialises {
                    "re-initialise"
                } else {
                    "change to the new key"
                };
                write!(f, "Traffic drops while the encryptors {while_they}, ")?;
                match declared {
                    Some(time) => write!(
                        f,
                        "for up to {} (declared).",
                        humantime::format_duration(*time)
                    ),
                    None => f.write_str("for a time that is not declared."),
                }
            }
            Self::Interrupted => f.write_str(
                "The ends use different keys, or their key exchange has failed: traffic does not \
                 pass until both use the new key.",
            ),
        }
    }
}

/// A step of a roll that is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedStep {
    /// End of the step.
    pub end: End,
    /// The step.
    pub step: Step,
}

/// Returns steps as text, such as "activate at the far end, confirm at both ends".
pub(crate) fn steps_text(steps: &[PlannedStep]) -> String {
    let text = |step: Step| {
        let ends: Vec<End> = steps
            .iter()
            .filter(|s| s.step == step)
            .map(|s| s.end)
            .collect();
        match ends.as_slice() {
            [] => None,
            [one] => Some(format!("{step} at the {one}")),
            _ => Some(format!("{step} at both ends")),
        }
    };
    let all: Vec<String> = Step::ALL.into_iter().filter_map(text).collect();
    all.join(", ")
}

/// A reason why a roll cannot start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Obstacle {
    /// Kind of the error that the roll would end with.
    pub kind: ErrorKind,
    /// URI of the device; `None` if the reason is not one device's.
    pub device: Option<String>,
    /// The reason, and what would be right.
    pub reason: String,
}

impl Obstacle {
    fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            device: None,
            reason: reason.into(),
        }
    }

    fn with_device(mut self, device: &str) -> Self {
        self.device = Some(device.to_owned());
        self
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(device) = &self.device {
            write!(f, "{device}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// IDs and statements of the assumptions under these operations that were not accepted.
fn unaccepted(descriptor: &Descriptor, operations: &[Operation]) -> Vec<(String, String)> {
    descriptor
        .assumptions
        .iter()
        .filter(|a| a.operations.iter().any(|op| operations.contains(op)))
        .filter(|a| !descriptor.accepted.iter().any(|id| *id == a.id))
        .map(|a| (a.id.to_string(), a.statement.to_string()))
        .collect()
}

/// Reasons why these steps cannot be carried out: assumptions, missing operations, channels on
/// which encryption is off.
pub(crate) fn obstacles(
    pair: &EncryptorPair,
    status: [&ChannelStatus; 2],
    steps: &[PlannedStep],
) -> Vec<Obstacle> {
    let mut all = Vec::new();
    let [near, far] = End::BOTH.map(|end| pair.end(end));
    if near.device() == far.device() && near.channel() == far.channel() {
        let what = format!("channel {} is both ends of the pair", near.channel());
        all.push(Obstacle::new(ErrorKind::InvalidInput, what).with_device(near.device()));
    }
    for end in End::BOTH {
        let (end, operations) = (pair.end(end), needed(steps, end));
        let missing: Vec<String> = unaccepted(end.encryptor().descriptor(), &operations)
            .into_iter()
            .map(|(id, statement)| format!("`{id}`: {statement}"))
            .collect();
        if !missing.is_empty() {
            let what = format!(
                "a roll rests on assumptions that were not accepted, and no key was taken: {}",
                missing.join(" ")
            );
            all.push(
                Obstacle::new(ErrorKind::AssumptionNotAccepted, what).with_device(end.device()),
            );
        }
        let missing: Vec<String> = operations
            .iter()
            .filter(|op| !end.supports(**op))
            .map(|op| format!("`{op}`"))
            .collect();
        if !missing.is_empty() {
            let what = format!("this device does not support {}", missing.join(", "));
            all.push(Obstacle::new(ErrorKind::Unsupported, what).with_device(end.device()));
        }
    }
    for (end, status) in End::BOTH.into_iter().zip(status) {
        if status.state == ChannelState::Disabled {
            let what = format!(
                "encryption is disabled on channel {}: no key can be confirmed; enable it first",
                status.channel
            );
            all.push(Obstacle::new(ErrorKind::NotReady, what).with_device(pair.end(end).device()));
        }
    }
    all
}

fn needed(steps: &[PlannedStep], end: End) -> Vec<Operation> {
    let mut all = vec![Operation::Channel];
    all.extend(
        steps
            .iter()
            .filter(|s| s.end == end)
            .map(|s| s.step.operation()),
    );
    all
}

/// The error of obstacles: the kind and the device of the first, and all reasons.
///
/// # Errors
/// If there is an obstacle.
pub(crate) fn check(obstacles: &[Obstacle]) -> Result<()> {
    let [first, others @ ..] = obstacles else {
        return Ok(());
    };
    let mut what = first.reason.clone();
    for other in others {
        what.push_str("; ");
        what.push_str(&other.to_string());
    }
    let mut error = Error::new(first.kind, what).with_operation(ROLL);
    if let Some(device) = &first.device {
        error = error.with_device(device.as_str());
    }
    Err(error)
}

/// Text of a warning where an end passes clear traffic while no key is agreed.
pub(crate) fn clear_traffic(status: [&ChannelStatus; 2]) -> Option<String> {
    let ends: Vec<String> = End::BOTH
        .into_iter()
        .zip(status)
        .filter(|(_, status)| status.failure_mode == FailureMode::AllowClear)
        .map(|(end, _)| format!("the {end}"))
        .collect();
    (!ends.is_empty()).then(|| {
        format!(
            "TRAFFIC MAY PASS UNENCRYPTED at {} while no key is agreed.",
            ends.join(" and ")
        )
    })
}

/// An end, as it was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EndStatus {
    /// URI of the encryptor.
    pub device: String,
    /// Channel of the pair.
    pub channel: ChannelId,
    /// Status of the channel.
    pub status: ChannelStatus,
}

impl EndStatus {
    pub(crate) fn both(pair: &EncryptorPair, [near, far]: [ChannelStatus; 2]) -> [Self; 2] {
        let of = |end: End, status| Self {
            device: pair.end(end).device().to_owned(),
            channel: pair.end(end).channel().clone(),
            status,
        };
        [of(End::Near, near), of(End::Far, far)]
    }
}

impl fmt::Display for EndStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, channel {}: {}",
            self.device,
            self.channel,
            describe(&self.status)
        )
    }
}

/// Whether a roll can start, and what it will do. It prints in several lines.
#[derive(Debug, Clone, Serialize)]
#[must_use = "a roll starts with `ready`"]
#[non_exhaustive]
pub struct Readiness {
    /// The near end.
    pub near: EndStatus,
    /// The far end.
    pub far: EndStatus,
    /// Size of the key that is taken; `None` if the ends accept no common size.
    pub size_bits: Option<Bits>,
    /// Steps of the roll, in their order.
    pub steps: Vec<PlannedStep>,
    /// Wait of the roll for a key exchange that no command starts.
    pub exchange_wait: ExchangeWait,
    /// Traffic that the roll loses.
    pub outage: ExpectedOutage,
    /// State of traffic if the roll is not completed.
    pub half_done: HalfDoneRoll,
    /// Keys of interrupted rolls, which the roll replaces and which are never used again.
    pub lost: Vec<KeyId>,
    /// Reasons why the roll cannot start; empty if it can.
    pub obstacles: Vec<Obstacle>,
    #[serde(skip)]
    pair: EncryptorPair,
    /// Those of the lost keys that were not given up before.
    #[serde(skip)]
    to_void: Vec<KeyId>,
}

impl EncryptorPair {
    /// Checks everything that can be known of a roll before a key is taken: reads both channels,
    /// and changes nothing.
    ///
    /// # Errors
    /// Those of [`qkd_hal::Encryptor::channel`]. A roll that cannot start is not an error here, but
    /// at [`Readiness::ready`].
    pub async fn readiness(&self) -> Result<Readiness> {
        Ok(Readiness::of(
            self,
            self.read().await?,
            [Vec::new(), Vec::new()],
        ))
    }
}

impl Readiness {
    /// A roll that replaces these lost keys; those in the second list were not given up before.
    pub(crate) fn of(
        pair: &EncryptorPair,
        status: [ChannelStatus; 2],
        [lost, to_void]: [Vec<KeyId>; 2],
    ) -> Self {
        let steps = all_steps(pair);
        let both = [&status[0], &status[1]];
        let mut obstacles = obstacles(pair, both, &steps);
        let size_bits = match size(pair) {
            Ok(size) => Some(size),
            Err(obstacle) => {
                obstacles.push(obstacle);
                None
            }
        };
        let outage = ExpectedOutage::of(pair, both);
        let [near, far] = EndStatus::both(pair, status);
        Self {
            near,
            far,
            size_bits,
            steps,
            exchange_wait: ExchangeWait::of(pair),
            outage,
            half_done: half_done(pair),
            lost,
            obstacles,
            pair: pair.clone(),
            to_void,
        }
    }

    /// Returns the roll, for which a key may be taken now.
    ///
    /// # Errors
    /// `AssumptionNotAccepted`, `Unsupported`, `InvalidInput` (no common key size, one channel at
    /// both ends) or `NotReady` (encryption is disabled): the kind of the first obstacle. The
    /// message names all.
    pub fn ready(self) -> Result<Roll> {
        check(&self.obstacles)?;
        let size = self
            .size_bits
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a roll without a key size"))?;
        Ok(Roll::new(self.pair, size, self.lost, self.to_void))
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "near end: {}", self.near)?;
        writeln!(f, "far end: {}", self.far)?;
        for id in &self.lost {
            writeln!(
                f,
                "key {id} of an interrupted roll is lost and is never used again"
            )?;
        }
        writeln!(f, "steps: {}", steps_text(&self.steps))?;
        write!(f, "{}{}", self.exchange_wait, self.outage)?;
        if matches!(self.outage, ExpectedOutage::Drops { .. }) {
            let ends = End::BOTH.map(|end| &self.pair.end(end).capabilities().hitless);
            let mut reasons: Vec<&str> = Vec::new();
            for end in ends.into_iter().filter(|end| !end.is_hitless()) {
                if !reasons.contains(&end.evidence()) {
                    reasons.push(end.evidence());
                }
            }
            for reason in reasons {
                write!(f, "\nNot hitless: {reason}.")?;
            }
        }
        if matches!(
            self.half_done,
            HalfDoneRoll::FailsAtNextExchange | HalfDoneRoll::StopsAtActivation
        ) {
            write!(f, "\nIf the roll is interrupted, {}.", self.half_done)?;
        }
        if let Some(warning) = clear_traffic([&self.near.status, &self.far.status]) {
            write!(f, "\n{warning}")?;
        }
        for obstacle in &self.obstacles {
            write!(f, "\ncannot start: {obstacle}")?;
        }
        Ok(())
    }
}

/// Steps of a roll with a new key.
fn all_steps(pair: &EncryptorPair) -> Vec<PlannedStep> {
    let to_activate = pair.ends_to_activate();
    let is_done = |end: End, step: Step| match step {
        Step::Stage | Step::Confirm => true,
        Step::Activate => to_activate.contains(&end),
        Step::Retire => pair.end(end).can_retire(),
    };
    let mut steps = Vec::new();
    for step in Step::ALL {
        let ends = End::BOTH.into_iter().filter(|end| is_done(*end, step));
        steps.extend(ends.map(|end| PlannedStep { end, step }));
    }
    steps
}

/// The worse of the states that both ends declare.
fn half_done(pair: &EncryptorPair) -> HalfDoneRoll {
    let declared = |state| pair.any(|end| end.capabilities().half_done_roll == state);
    [
        HalfDoneRoll::StopsAtActivation,
        HalfDoneRoll::FailsAtNextExchange,
    ]
    .into_iter()
    .find(|state| declared(*state))
    .unwrap_or(pair.end(End::Near).capabilities().half_done_roll)
}

/// The size of the key to take, if both ends take a key of one role.
fn size(pair: &EncryptorPair) -> std::result::Result<Bits, Obstacle> {
    let form = |end: End| {
        let at = pair.end(end);
        at.capabilities().key.as_ref().ok_or_else(|| {
            let what = "this device reports its state and takes no key";
            Obstacle::new(ErrorKind::Unsupported, what).with_device(at.device())
        })
    };
    let (near, far) = (form(End::Near)?, form(End::Far)?);
    if near.role != far.role {
        let what = format!(
            "the near end takes a {}, and the far end a {}: one key cannot serve both",
            near.role, far.role
        );
        return Err(Obstacle::new(ErrorKind::InvalidInput, what));
    }
    let (near, far) = (&near.sizes, &far.sizes);
    let refused = |what: String| {
        let sizes = format!("the near end accepts {near}, the far end {far}");
        Obstacle::new(ErrorKind::InvalidInput, format!("{what}: {sizes}"))
    };
    match pair.named_size() {
        Some(size) if near.allow(size) && far.allow(size) => Ok(size),
        Some(size) => Err(refused(format!("a key of {size} does not fit both ends"))),
        None => near.largest_common(far, LARGEST_KEY).ok_or_else(|| {
            refused("the two encryptors accept no common key size; name one".to_owned())
        }),
    }
}
