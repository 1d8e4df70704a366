//! Capabilities: what a device can do, known before it is called.

use serde::Serialize;
use std::fmt;

/// How far an operation is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// The device, or its public protocol, lacks it.
    #[default]
    Unsupported,
    /// The driver makes it up from other operations; the driver's page says how and what that
    /// costs.
    Emulated,
    /// The device does it.
    Applied,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $changes:literal;)*) => {
        /// Every operation of every trait.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Operation { $($(#[$doc])* $variant,)* }
        impl Operation {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Its name, as errors, spans and tables show it.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
            /// Whether it changes the device, takes something from it, or spends keys.
            #[must_use]
            pub const fn is_mutating(self) -> bool { match self { $(Self::$variant => $changes,)* } }
        }
    };
}

operations! {
    /// `Device::identity`
    Identity = "identity", false;
    /// `Device::health`
    Health = "health", false;
    /// `Device::telemetry`
    Telemetry = "telemetry", false;
    /// `Device::parameter`
    GetParameter = "get-parameter", false;
    /// `Device::set_parameter`
    SetParameter = "set-parameter", true;
    /// `QkdModule::status`
    ModuleStatus = "module-status", false;
    /// `QkdModule::performance`
    Performance = "performance", false;
    /// `QkdModule::key_store`
    KeyStore = "key-store", false;
    /// `QkdModule::start`
    Start = "start", true;
    /// `QkdModule::stop`
    Stop = "stop", true;
    /// `QkdModule::calibrate`
    Calibrate = "calibrate", true;
    /// `QkdModule::take_keys`
    TakeKeys = "take-keys", true;
    /// `QkdModule::take_keys_by_id`
    TakeKeysById = "take-keys-by-id", true;
    /// `Encryptor::channels`
    Channels = "channels", false;
    /// `Encryptor::channel`
    Channel = "channel", false;
    /// `Encryptor::stage`
    Stage = "stage", true;
    /// `Encryptor::activate`
    Activate = "activate", true;
    /// `Encryptor::confirm`
    Confirm = "confirm", false;
    /// `Encryptor::retire`
    Retire = "retire", true;
    /// `Encryptor::zeroize`
    Zeroize = "zeroize", true;
    /// `Encryptor::set_encryption`
    SetEncryption = "set-encryption", true;
    /// `Encryptor::counters`
    Counters = "counters", false;
    /// `RandomSource::random`
    Random = "random", false;
    /// `OpticalSwitch::connections`
    Connections = "connections", false;
    /// `OpticalSwitch::ports`
    Ports = "ports", false;
    /// `OpticalSwitch::apply`
    Apply = "apply", true;
    /// `OpticalSwitch::set_port`
    SetPort = "set-port", true;
    /// `PowerMeter::power`
    Power = "power", false;
    /// `PowerMeter::monitor`
    Monitor = "monitor", false;
    /// `PowerMeter::set_monitor`
    SetMonitor = "set-monitor", true;
    /// `Attenuator::attenuation`
    Attenuation = "attenuation", false;
    /// `Attenuator::set_attenuation`
    SetAttenuation = "set-attenuation", true;
    /// `Protection::groups`
    ProtectionGroups = "protection-groups", false;
    /// `Protection::protection`
    ProtectionStatus = "protection-status", false;
    /// `Protection::set_protection`
    SetProtection = "set-protection", true;
    /// `Protection::command`
    ProtectionCommand = "protection-command", true;
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Operation {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

/// Where a device's events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventSupport {
    /// There are none beyond those of the link.
    #[default]
    LinkOnly,
    /// The driver finds them by polling.
    Polled,
    /// The device sends them, and this process receives them: of a device over SNMP, if the
    /// kit's `OpenContext` was given a receiver of notifications.
    Native,
}

/// What a device can do: one entry for each [`Operation`]. Held by the device; reading it needs no
/// I/O.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    supports: [Support; Operation::ALL.len()],
    /// Where events come from.
    pub events: EventSupport,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            supports: [Support::Unsupported; Operation::ALL.len()],
            events: EventSupport::LinkOnly,
        }
    }
}

impl Capabilities {
    /// Nothing at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }
    /// Adds operations that the device does.
    #[must_use]
    pub fn with(mut self, operations: &[Operation]) -> Self {
        for op in operations {
            self.supports[*op as usize] = Support::Applied;
        }
        self
    }
    /// Adds operations that the driver makes up.
    #[must_use]
    pub fn with_emulated(mut self, operations: &[Operation]) -> Self {
        for op in operations {
            self.supports[*op as usize] = Support::Emulated;
        }
        self
    }
    /// Takes operations away.
    #[must_use]
    pub fn without(mut self, operations: &[Operation]) -> Self {
        for op in operations {
            self.supports[*op as usize] = Support::Unsupported;
        }
        self
    }
    /// Sets where events come from.
    #[must_use]
    pub fn with_events(mut self, events: EventSupport) -> Self {
        self.events = events;
        self
    }
    /// How far `operation` is there.
    #[must_use]
    pub fn supports(&self, operation: Operation) -> Support {
        self.supports[operation as usize]
    }
    /// Every operation that is there.
    pub fn operations(&self) -> impl Iterator<Item = (Operation, Support)> + '_ {
        Operation::ALL
            .iter()
            .map(|op| (*op, self.supports(*op)))
            .filter(|(_, s)| *s != Support::Unsupported)
    }
}

impl Serialize for Capabilities {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("events", &self.events)?;
        for (op, support) in self.operations() {
            map.serialize_entry(op.name(), &support)?;
        }
        map.end()
    }
}
