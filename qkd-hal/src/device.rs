//! What every device has.
//!
//! # For controller authors
//! A handle is an `Arc<dyn Device>` (or one of the traits above it), shared by many tasks. Calls
//! may run side by side; the driver serialises what the wire cannot interleave. Every call ends
//! within the device's deadline.
//!
//! # For driver authors
//! Methods take `&self`. Answer [`Error::unsupported`](crate::Error::unsupported) for what
//! [`Device::capabilities`] does not list; the check around the handle does so before you are
//! asked.

use crate::{
    Assumption, Capabilities, EventStream, Operation, Result,
    parameter::{ParameterSpec, ParameterValue},
    reading::Reading,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, time::Duration};

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeviceKind {
    /// [`crate::QkdModule`]
    QkdModule,
    /// [`crate::Encryptor`]
    Encryptor,
    /// `qkd_switch_hal::OpticalSwitch`
    OpticalSwitch,
    /// [`crate::RandomSource`]
    RandomSource,
    /// `qkd_switch_hal::Protection`
    ProtectionSwitch,
    /// `qkd_switch_hal::PowerMeter`
    PowerMeter,
    /// `qkd_switch_hal::Attenuator`
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

/// What has answered a driver so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Maturity {
    /// Only our emulator.
    Emulated,
    /// Somebody else's implementation of this vendor's protocol, or a recording of a real box.
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

/// Who a device says that it is. Read again after each reconnect; another answer closes the handle.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[non_exhaustive]
pub struct Identity {
    /// The maker, as the device or its protocol states it.
    pub vendor: String,
    /// The model or product code.
    pub model: Option<String>,
    /// The serial number.
    pub serial: Option<String>,
    /// The firmware's version.
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
    /// Adds the model.
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
    /// Whether this can be the same box: vendor, model and serial agree (the firmware may have been
    /// updated).
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

/// How a device is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// How a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// In one word.
    pub state: HealthState,
    /// The device's own faults, in its words.
    pub faults: Vec<String>,
}

impl Health {
    /// No fault.
    #[must_use]
    pub fn ok() -> Self {
        Self {
            state: HealthState::Ok,
            faults: Vec::new(),
        }
    }
    /// With faults.
    #[must_use]
    pub fn with_faults(state: HealthState, faults: Vec<String>) -> Self {
        Self { state, faults }
    }
}

/// What is known of an opened device without asking it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Descriptor {
    /// The driver's name.
    pub driver: &'static str,
    /// The URI by which it was opened.
    pub uri: String,
    /// The kinds of handle that it opens.
    pub kinds: Vec<DeviceKind>,
    /// What has answered this driver so far.
    pub maturity: Maturity,
    /// The assumptions on which it rests.
    pub assumptions: &'static [Assumption],
    /// Those that were accepted.
    pub accepted: BTreeSet<String>,
    /// Within which each call ends.
    #[serde(
        rename = "deadline_ms",
        serialize_with = "crate::reading::serialize_millis"
    )]
    pub deadline: Duration,
}

impl Descriptor {
    /// A descriptor with the default deadline of 5 s.
    #[must_use]
    pub fn new(driver: &'static str, uri: impl Into<String>, maturity: Maturity) -> Self {
        Self {
            driver,
            uri: uri.into(),
            kinds: Vec::new(),
            maturity,
            assumptions: &[],
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
        assumptions: &'static [Assumption],
        accepted: impl IntoIterator<Item = String>,
    ) -> Self {
        self.assumptions = assumptions;
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
    pub fn blocking_assumption(&self, operation: Operation) -> Option<&'static Assumption> {
        self.assumptions
            .iter()
            .find(|a| a.operations.contains(&operation) && !self.accepted.contains(a.id))
    }
}

/// What every device has.
#[async_trait]
pub trait Device: Send + Sync {
    /// What is known without asking. No I/O.
    fn descriptor(&self) -> &Descriptor;

    /// What the device can do. No I/O.
    fn capabilities(&self) -> &Capabilities;

    /// Asks the device who it is.
    ///
    /// # Errors
    /// Transport errors; `IdentityChanged` if it is another box than at opening.
    async fn identity(&self) -> Result<Identity>;

    /// Asks the device how it is. A device that does not answer is an error, not a [`Health`].
    ///
    /// # Errors
    /// Transport errors.
    async fn health(&self) -> Result<Health>;

    /// Everything the device measures, in the order of the driver's page.
    ///
    /// # Errors
    /// Transport errors. What one item lacks is a reading of quality `Invalid`, not an error.
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
