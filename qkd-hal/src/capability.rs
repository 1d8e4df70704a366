//! Capabilities: what a device can do, known before it is called.

use crate::Effect;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

/// Whether a device supports an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
            /// All operations, in declaration order.
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
    /// [`Device::identity`](crate::Device::identity): reads vendor, model, serial number and
    /// firmware.
    Identity = "identity", false;
    /// [`Device::health`](crate::Device::health): reads the overall state and its faults.
    Health = "health", false;
    /// [`Device::telemetry`](crate::Device::telemetry): reads all measured values.
    Telemetry = "telemetry", false;
    /// [`Device::parameter`](crate::Device::parameter): reads one parameter.
    GetParameter = "get-parameter", false;
    /// [`Device::set_parameter`](crate::Device::set_parameter): writes one parameter.
    SetParameter = "set-parameter", true;
    /// [`QkdModule::status`](crate::QkdModule::status): reads state, role and pairing group.
    ModuleStatus = "module-status", false;
    /// [`QkdModule::performance`](crate::QkdModule::performance): reads key rate, QBER and
    /// visibility.
    Performance = "performance", false;
    /// [`QkdModule::key_store`](crate::QkdModule::key_store): reads the number and sizes of stored
    /// keys.
    KeyStore = "key-store", false;
    /// [`QkdModule::start`](crate::QkdModule::start): starts key generation.
    Start = "start", true;
    /// [`QkdModule::stop`](crate::QkdModule::stop): stops key generation.
    Stop = "stop", true;
    /// [`QkdModule::calibrate`](crate::QkdModule::calibrate): calibrates the module; key generation
    /// pauses.
    Calibrate = "calibrate", true;
    /// [`QkdModule::take_keys`](crate::QkdModule::take_keys): takes new keys out of the store.
    TakeKeys = "take-keys", true;
    /// [`QkdModule::take_keys_by_id`](crate::QkdModule::take_keys_by_id): takes the peer's keys by
    /// ID.
    TakeKeysById = "take-keys-by-id", true;
    /// [`Encryptor::channels`](crate::Encryptor::channels): lists the channels.
    Channels = "channels", false;
    /// [`Encryptor::channel`](crate::Encryptor::channel): reads the status of one channel.
    Channel = "channel", false;
    /// [`Encryptor::stage`](crate::Encryptor::stage): writes a key without activating it.
    Stage = "stage", true;
    /// [`Encryptor::activate`](crate::Encryptor::activate): starts the use of a staged key.
    Activate = "activate", true;
    /// [`Encryptor::confirm`](crate::Encryptor::confirm): checks that a key protects traffic.
    Confirm = "confirm", false;
    /// [`Encryptor::retire`](crate::Encryptor::retire): deletes the previous key.
    Retire = "retire", true;
    /// [`Encryptor::zeroize`](crate::Encryptor::zeroize): destroys all keys of a channel.
    Zeroize = "zeroize", true;
    /// [`Encryptor::set_encryption`](crate::Encryptor::set_encryption): enables or disables
    /// encryption.
    SetEncryption = "set-encryption", true;
    /// [`Encryptor::counters`](crate::Encryptor::counters): reads the traffic counters.
    Counters = "counters", false;
    /// [`RandomSource::random`](crate::RandomSource::random): reads random bytes.
    Random = "random", false;
    /// `OpticalSwitch::connections`: reads the cross-connects.
    Connections = "connections", false;
    /// `OpticalSwitch::ports`: reads the state of ports.
    Ports = "ports", false;
    /// `OpticalSwitch::apply`: applies a plan of cross-connects.
    Apply = "apply", true;
    /// `OpticalSwitch::set_port`: enables or disables a port.
    SetPort = "set-port", true;
    /// `PowerMeter::power`: reads optical powers.
    Power = "power", false;
    /// `PowerMeter::monitor`: reads the settings of a power monitor.
    Monitor = "monitor", false;
    /// `PowerMeter::set_monitor`: writes a setting of a power monitor.
    SetMonitor = "set-monitor", true;
    /// `Attenuator::attenuation`: reads an attenuation.
    Attenuation = "attenuation", false;
    /// `Attenuator::set_attenuation`: sets an attenuation.
    SetAttenuation = "set-attenuation", true;
    /// `Protection::groups`: lists the protection groups.
    ProtectionGroups = "protection-groups", false;
    /// `Protection::protection`: reads the status of a protection group.
    ProtectionStatus = "protection-status", false;
    /// `Protection::set_protection`: writes a setting of a protection group.
    SetProtection = "set-protection", true;
    /// `Protection::command`: gives an external command to a protection group.
    ProtectionCommand = "protection-command", true;
}

impl Operation {
    /// Returns the effect of a call that was made and whose answer is not known.
    pub(crate) const fn effect_without_answer(self) -> Effect {
        if self.is_mutating() {
            Effect::Unknown
        } else {
            Effect::None
        }
    }
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

impl FromStr for Operation {
    type Err = crate::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().copied().find(|op| op.name() == name);
        known.ok_or_else(|| {
            crate::Error::invalid(format!(
                "`{}` is not the name of an operation",
                crate::text::printable(name, 40)
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(d)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a device's events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventSupport {
    /// The device publishes no events of its own; only the state of the link is published.
    #[default]
    LinkOnly,
    /// The driver finds them by polling.
    Polled,
    /// The device sends them, and this process receives them: of a device over SNMP, if the
    /// kit's `OpenContext` was given a receiver of notifications.
    Native,
}

/// Operations that a device supports: one entry for each [`Operation`]. The device object holds
/// them; reading them needs no I/O.
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
    /// Creates capabilities in which no operation is supported.
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
    /// Marks `operations` as unsupported.
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
    /// Returns whether `operation` is supported.
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

impl<'de> Deserialize<'de> for Capabilities {
    /// An operation that this version does not know is left out: it cannot be called.
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Form {
            events: EventSupport,
            #[serde(flatten)]
            supports: BTreeMap<String, Support>,
        }
        let form = Form::deserialize(d)?;
        let mut capabilities = Self::none().with_events(form.events);
        for (name, support) in form.supports {
            if let Ok(operation) = name.parse::<Operation>() {
                capabilities.supports[operation as usize] = support;
            }
        }
        Ok(capabilities)
    }
}
