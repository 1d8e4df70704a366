//! Interfaces of a switch: each gives access to the same state.

use async_trait::async_trait;
use qkd_driver_kit::protection::ProtectionBackend;
use qkd_hal::{
    DeviceMisbehaved, Effect, Error, Identity, Operation, Result,
    capability::EventSupport,
    parameter::{ParameterSpec, ParameterValue},
    units::{DecibelMilliwatts, Nanometres},
};
use qkd_switch_hal::{
    Attenuation, AttenuatorCapabilities, Geometry, MonitorSetting, MonitorStatus, Port, PortState,
    PowerMeterCapabilities,
    protection::{GroupId, ProtectionCapabilities, ProtectionSetting},
};
use std::{fmt::Display, ops::RangeInclusive, time::Duration};
use tokio::time::Instant;

/// A pair of ingress and egress port.
pub(crate) type Pair = (u32, u32);

/// Averaging times of the monitors: codes 1 to 8 of TL1 and SNMP alike.
const AVERAGING_MS: [u64; 8] = [10, 20, 50, 100, 200, 500, 1000, 2000];

/// The averaging time of a code.
pub(crate) fn averaging(code: i64) -> Option<Duration> {
    let at = usize::try_from(code.checked_sub(1)?).ok()?;
    AVERAGING_MS.get(at).copied().map(Duration::from_millis)
}

/// The code of an averaging time.
pub(crate) fn averaging_code(time: Duration) -> Result<u8> {
    let at = AVERAGING_MS
        .iter()
        .position(|ms| Duration::from_millis(*ms) == time);
    at.and_then(|i| u8::try_from(i + 1).ok())
        .ok_or_else(|| Error::invalid(format!("no code exists for {} ms", time.as_millis())))
}

/// The most that 32 bits of thousandths hold; narrower bounds are not public.
pub(crate) const MAX_LEVEL_DB: f64 = i32::MAX as f64 / 1000.0;

/// The powers to which thresholds and attenuators can be set.
pub(crate) fn powers() -> RangeInclusive<DecibelMilliwatts> {
    DecibelMilliwatts(-MAX_LEVEL_DB)..=DecibelMilliwatts(MAX_LEVEL_DB)
}

/// Returns the monitor settings that TL1 and SNMP support.
pub(crate) fn meter(ports: impl IntoIterator<Item = Port>) -> PowerMeterCapabilities {
    PowerMeterCapabilities::for_ports(ports)
        .with_averaging((1..=8).filter_map(averaging))
        .with_wavelengths(Nanometres(0.0)..=Nanometres(MAX_LEVEL_DB))
        .with_alarms(powers())
}

/// One command that changes paths.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'a> {
    /// Makes these; the others stay.
    Add(&'a [Pair]),
    /// Removes these cross-connects.
    Remove(&'a [Pair]),
    /// Makes these and ends all others.
    Only(&'a [Pair]),
}

/// Features of a switch in addition to its paths, as reported by an interface.
#[derive(Debug, Default)]
pub(crate) struct Features {
    pub(crate) meter: PowerMeterCapabilities,
    pub(crate) attenuator: AttenuatorCapabilities,
    /// Of groups that this interface serves.
    pub(crate) protection: Option<ProtectionCapabilities>,
    /// Beyond those of every interface.
    pub(crate) operations: Vec<Operation>,
    pub(crate) events: EventSupport,
}

fn unserved<T>(operation: Operation) -> Result<T> {
    Err(Error::unsupported(
        operation.name(),
        "this interface of the switch does not serve it",
    ))
}

/// Creates the error of a change that was accepted but not applied.
pub(crate) fn not_applied(what: impl Display, shows: impl Display) -> Error {
    let why = format!("{what} was accepted, and the switch shows {shows}");
    Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why).with_effect(Effect::Unknown)
}

/// The protection groups that an interface serves. Each call ends by `until`.
#[async_trait]
pub(crate) trait ProtectionGroups: ProtectionBackend {
    /// Reads which groups there are.
    async fn list(&self, until: Instant) -> Result<Vec<GroupId>>;
    /// Changes a setting of a group, and reads back.
    async fn set(&self, group: &GroupId, setting: &ProtectionSetting, until: Instant)
    -> Result<()>;
}

/// One of the interfaces. Ports are checked by the caller; each call ends by `until`.
#[async_trait]
pub(crate) trait Interface: Send + Sync {
    /// Reads the identity of the switch.
    async fn identity(&self, until: Instant) -> Result<Identity>;
    /// Ingress and egress ports.
    async fn size(&self, until: Instant) -> Result<(u32, u32)>;
    /// Reads the features of the switch in addition to its paths.
    async fn fitted(&self, model: &str, geometry: &Geometry, until: Instant) -> Result<Features>;

    /// Reads the cross-connects, in any order.
    async fn paths(&self, until: Instant) -> Result<Vec<Pair>>;
    /// Reads the states of ports, in the requested order.
    async fn states(&self, ports: &[Port], until: Instant) -> Result<Vec<PortState>>;
    /// Maximum number of pairs of one command.
    fn pairs_per_command(&self) -> usize;
    /// Whether it takes [`Change::Only`].
    fn replaces(&self) -> bool {
        false
    }
    /// Before the commands of a plan.
    async fn begin(&self, _until: Instant) -> Result<()> {
        Ok(())
    }
    /// Changes paths, all of them or none.
    async fn change(&self, change: Change<'_>, until: Instant) -> Result<()>;
    /// Opens or closes a shutter; not read back.
    async fn set_port(&self, port: Port, enabled: bool, until: Instant) -> Result<()>;

    /// Reads the power at ports with a monitor, in the requested order.
    async fn power(&self, ports: &[Port], until: Instant) -> Result<Vec<DecibelMilliwatts>>;
    /// Reads the settings of a monitor.
    async fn monitor(&self, _port: Port, _until: Instant) -> Result<MonitorStatus> {
        unserved(Operation::Monitor)
    }
    /// Sets a monitor, and reads back.
    async fn set_monitor(
        &self,
        _port: Port,
        _change: &MonitorSetting,
        _until: Instant,
    ) -> Result<()> {
        unserved(Operation::SetMonitor)
    }
    /// To what an attenuator is set.
    async fn attenuation(&self, _port: Port, _until: Instant) -> Result<Attenuation> {
        unserved(Operation::Attenuation)
    }
    /// Sets an attenuator; not read back.
    async fn set_attenuation(
        &self,
        _port: Port,
        _wanted: &Attenuation,
        _until: Instant,
    ) -> Result<()> {
        unserved(Operation::SetAttenuation)
    }
    /// Returns the resolution of the protocol, in dB or nm.
    fn resolution(&self) -> f64;

    /// Returns the parameters of the switch.
    fn parameters(&self) -> &'static [ParameterSpec] {
        &[]
    }
    /// Reads one of them.
    async fn parameter(&self, _name: &str, _until: Instant) -> Result<ParameterValue> {
        unserved(Operation::GetParameter)
    }
    /// Writes one that is writable and takes this value, and reads back.
    async fn set_parameter(
        &self,
        _name: &str,
        _value: &ParameterValue,
        _until: Instant,
    ) -> Result<()> {
        unserved(Operation::SetParameter)
    }

    /// The protection groups, if this interface serves them.
    fn groups(&self) -> Option<&dyn ProtectionGroups> {
        None
    }

    /// Closes the interface. Later calls fail with `Closed`.
    async fn close(&self);
}
