//! Operations that every device has.
//!
//! # For controller authors
//!
//! A handle is an `Arc<dyn Device>`, or one of the traits that extend it, shared by many tasks.
//! Calls may run concurrently; the driver serialises what the link cannot interleave. Every call
//! ends within the deadline of the device.
//!
//! ```text
//! controller            handle                       device
//!     |--- open(uri) ------>|--- identity request ------>|   reference identity
//!     |                     |<-- identity ---------------|
//!     |--- health() ------->|--- request --------------->|
//!     |<-- Health ----------|<-- reply ------------------|
//!     |                     X        (link lost)         |
//!     |<-- event LinkLost --|                            |
//!     |--- health() ------->|--- reconnect, identity --->|   compared with the reference
//!     |<-- Health ----------|<-- reply ------------------|
//!     |--- close() -------->|   later calls: Closed
//! ```
//!
//! # For driver authors
//!
//! Methods take `&self`. Return [`Error::unsupported`](crate::Error::unsupported) for operations
//! that [`Device::capabilities`] does not list; the check in front of the handle refuses them
//! before the driver is called.

use crate::{
    Assumption, Capabilities, EventStream, Operation, Result,
    parameter::{ParameterSpec, ParameterValue},
    reading::Reading,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeSet, fmt, time::Duration};

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeviceKind {
    /// A QKD module or its key delivery: [`crate::QkdModule`].
    QkdModule,
    /// An encryptor: [`crate::Encryptor`].
    Encryptor,
    /// An optical switch: `qkd_switch_hal::OpticalSwitch`.
    OpticalSwitch,
    /// A random number generator: [`crate::RandomSource`].
    RandomSource,
    /// A protection switch: `qkd_switch_hal::Protection`.
    ProtectionSwitch,
    /// A power meter: `qkd_switch_hal::PowerMeter`.
    PowerMeter,
    /// A variable optical attenuator: `qkd_switch_hal::Attenuator`.
    Attenuator,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QkdModule => "QKD module",
            Self::Encryptor => "encryptor",
            Self::OpticalSwitch => "optical switch",
            Self::RandomSource => "random source",
            Self::ProtectionSwitch => "protection switch",
            Self::PowerMeter => "power meter",
            Self::Attenuator => "attenuator",
        })
    }
}

/// The strongest evidence for a driver so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Maturity {
    /// Tested only against the emulator of this project.
    Emulated,
    /// Tested against third-party software that implements the vendor's protocol, or against a
    /// recording of a real device.
    CrossChecked,
    /// A real device, with a signed report.
    LabVerified,
}

impl fmt::Display for Maturity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Emulated => "Emulated",
            Self::CrossChecked => "Cross-checked",
            Self::LabVerified => "LabVerified",
        })
    }
}

/// Identity as reported by a device. It is read again after each reconnect; a different identity
/// closes the handle.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// The maker, as the device or its protocol states it.
    pub vendor: String,
    /// The model or product code.
    pub model: Option<String>,
    /// Serial number; `None` if the device does not report it.
    pub serial: Option<String>,
    /// Firmware version; `None` if the device does not report it.
    pub firmware: Option<String>,
}

impl Identity {
    /// An identity with a vendor only.
    #[must_use]
    pub fn new(vendor: impl Into<String>) -> Self {
        Self {
            vendor: vendor.into(),
            ..Self::default()
        }
    }
    /// Sets the model name.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
    /// Adds the serial number.
    #[must_use]
    pub fn with_serial(mut self, serial: impl Into<String>) -> Self {
        self.serial = Some(serial.into());
        self
    }
    /// Adds the firmware's version.
    #[must_use]
    pub fn with_firmware(mut self, firmware: impl Into<String>) -> Self {
        self.firmware = Some(firmware.into());
        self
    }
    /// Returns whether both identities can belong to one device: vendor, model and serial number
    /// are equal. The firmware may differ after an update.
    #[must_use]
    pub fn is_same_device(&self, other: &Self) -> bool {
        (&self.vendor, &self.model, &self.serial) == (&other.vendor, &other.model, &other.serial)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.vendor)?;
        if let Some(model) = &self.model {
            write!(f, " {model}")?;
        }
        if let Some(serial) = &self.serial {
            write!(f, ", serial {serial}")?;
        }
        if let Some(firmware) = &self.firmware {
            write!(f, ", firmware {firmware}")?;
        }
        Ok(())
    }
}

/// Overall state of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HealthState {
    /// It answers and reports no fault.
    Ok,
    /// It answers and reports a fault that leaves it working.
    Degraded,
    /// It answers and reports that it does not work.
    Failed,
}

/// Health of a device: overall state and faults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// Overall state.
    pub state: HealthState,
    /// The device's own faults, in its words.
    pub faults: Vec<String>,
}

impl Health {
    /// Creates a health without faults.
    #[must_use]
    pub fn ok() -> Self {
        Self {
            state: HealthState::Ok,
            faults: Vec::new(),
        }
    }
    /// Creates a health with the given state and faults.
    #[must_use]
    pub fn with_faults(state: HealthState, faults: Vec<String>) -> Self {
        Self { state, faults }
    }
    /// Creates a health with the given state if there are faults, and one that is `Ok` otherwise.
    #[must_use]
    pub fn from_faults(state: HealthState, faults: Vec<String>) -> Self {
        if faults.is_empty() {
            Self::ok()
        } else {
            Self::with_faults(state, faults)
        }
    }
}

/// Facts about an opened device that need no I/O.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Descriptor {
    /// Name of the driver, such as `polatis`.
    pub driver: Cow<'static, str>,
    /// The URI by which it was opened.
    pub uri: String,
    /// The kinds of handle that it opens.
    pub kinds: Vec<DeviceKind>,
    /// Strongest evidence for the driver so far.
    pub maturity: Maturity,
    /// The assumptions on which it rests.
    pub assumptions: Cow<'static, [Assumption]>,
    /// Those that were accepted.
    pub accepted: BTreeSet<String>,
    /// Within which each call ends.
    #[serde(rename = "deadline_ns", with = "crate::serial::nanoseconds")]
    pub deadline: Duration,
}

impl Descriptor {
    /// A descriptor with the default deadline of 5 s.
    #[must_use]
    pub fn new(
        driver: impl Into<Cow<'static, str>>,
        uri: impl Into<String>,
        maturity: Maturity,
    ) -> Self {
        Self {
            driver: driver.into(),
            uri: uri.into(),
            kinds: Vec::new(),
            maturity,
            assumptions: Cow::Borrowed(&[]),
            accepted: BTreeSet::new(),
            deadline: Duration::from_secs(5),
        }
    }
    /// The kinds of handle.
    #[must_use]
    pub fn with_kinds(mut self, kinds: &[DeviceKind]) -> Self {
        self.kinds = kinds.to_vec();
        self
    }
    /// Its assumptions, and those accepted.
    #[must_use]
    pub fn with_assumptions(
        mut self,
        assumptions: impl Into<Cow<'static, [Assumption]>>,
        accepted: impl IntoIterator<Item = String>,
    ) -> Self {
        self.assumptions = assumptions.into();
        self.accepted = accepted.into_iter().collect();
        self
    }
    /// The deadline of each call.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
    /// The first assumption under `operation` that was not accepted.
    #[must_use]
    pub fn blocking_assumption(&self, operation: Operation) -> Option<&Assumption> {
        self.assumptions
            .iter()
            .find(|a| self.is_blocked_by(a, operation))
    }
    /// Whether `operation` rests on this assumption, and the assumption was not accepted.
    pub(crate) fn is_blocked_by(&self, assumption: &Assumption, operation: Operation) -> bool {
        assumption.operations.contains(&operation) && !self.accepted.contains(&*assumption.id)
    }
}

/// Operations that every device has.
#[async_trait]
pub trait Device: Send + Sync {
    /// Returns the facts about this device that need no I/O.
    fn descriptor(&self) -> &Descriptor;

    /// Returns the operations that the device supports, without I/O.
    fn capabilities(&self) -> &Capabilities;

    /// Reads the identity of the device.
    ///
    /// # Errors
    /// Transport errors; `IdentityChanged` if another device responds than the one that was opened.
    async fn identity(&self) -> Result<Identity>;

    /// Asks the device how it is. A device that does not answer is an error, not a [`Health`].
    ///
    /// # Errors
    /// Transport errors.
    async fn health(&self) -> Result<Health>;

    /// Reads all measured values, in the order given in the driver's page.
    ///
    /// # Errors
    /// Transport errors. A value that cannot be read is a reading of quality `Invalid` and not an
    /// error.
    async fn telemetry(&self) -> Result<Vec<Reading>> {
        Err(crate::Error::unsupported(
            Operation::Telemetry.name(),
            "this family has no telemetry",
        ))
    }

    /// The vendor's settings that can be reached by name. No I/O.
    fn parameters(&self) -> &[ParameterSpec] {
        &[]
    }

    /// Reads a setting.
    ///
    /// # Errors
    /// `NotFound` for a name that [`parameters`](Self::parameters) lacks; transport errors.
    async fn parameter(&self, name: &str) -> Result<ParameterValue> {
        Err(crate::Error::unsupported(
            Operation::GetParameter.name(),
            format!("this family has no parameter `{name}`"),
        ))
    }

    /// Writes a setting and reads it back where the device lets it be read.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` for a value outside the specification, before anything is sent;
    /// `Misbehaved(ChangeNotApplied)` if the device then shows another value; transport errors.
    async fn set_parameter(&self, name: &str, _value: &ParameterValue) -> Result<()> {
        Err(crate::Error::unsupported(
            Operation::SetParameter.name(),
            format!("this family has no parameter `{name}`"),
        ))
    }

    /// Events from now on.
    fn events(&self) -> EventStream;

    /// Ends the handle and its link; later calls answer `Closed`. A second call does nothing.
    ///
    /// # Errors
    /// None that a caller must act on.
    async fn close(&self) -> Result<()>;
}
