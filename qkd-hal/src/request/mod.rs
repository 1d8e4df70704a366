//! Calls as values: a [`Request`] names an operation with its arguments, an [`Outcome`] holds what
//! the operation returned.
//!
//! Each method of each trait that does I/O has one request. A handle makes the request, and the
//! check and the [layers](crate::layer) see it before the driver is called.
//!
//! ```text
//! controller      handle             layers          check           driver
//!     |- method() -->|- Request ------->|- before() ---->|- method() --->|
//!     |              |                  |                |<-- value -----|
//!     |<-- value ----|<-- Outcome ------|<-- after() ----|   checked     |
//! ```
//!
//! A request and an outcome also travel: both serialise and deserialise, in formats that describe
//! themselves, such as JSON. [`Caller`] is the other side of a transport, and [`Proxy`] makes
//! handles of a `Caller`.
//!
//! Declarations (`capabilities()` and the like) need no I/O. They are not requests and travel once,
//! when a device is opened. Events are a stream. `close` is not a request: a layer cannot refuse
//! it.
//!
//! # Keys
//!
//! Key bytes are not part of a serialised request or outcome. A transport that protects them
//! (mutual TLS) carries them in addition: it takes them with [`Request::key`] and
//! [`Outcome::secrets`], and attaches them with [`Request::with_key`] and
//! [`Outcome::with_secrets`]. Without them, the operation fails at the other side.

mod answer;
mod caller;
mod display;
mod outcome;
mod proxy;

pub use answer::Answer;
pub use caller::Caller;
pub use outcome::{KeyLabel, Keys, Outcome, RandomBytes};
pub use proxy::{Proxy, ProxyDevice};

use crate::{
    Key, KeyId, Operation,
    encryptor::{ChannelId, Confirmed, KeyRole, Staged},
    optics::{
        Attenuation, MonitorSetting, Plan, Port,
        protection::{ExternalCommand, GroupId, ProtectionSetting},
    },
    parameter::ParameterValue,
    qkd::KeyRequest,
    units::Bits,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, time::Duration};

/// A call of one operation with its arguments.
///
/// Each variant has the name of its [`Operation`]. Arguments are borrowed when a handle makes the
/// request, and owned after it was deserialised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "operation", content = "arguments")]
#[allow(
    missing_docs,
    reason = "each argument has the name that it has in the method"
)]
pub enum Request<'a> {
    /// [`Device::identity`](crate::Device::identity).
    Identity,
    /// [`Device::health`](crate::Device::health).
    Health,
    /// [`Device::telemetry`](crate::Device::telemetry).
    Telemetry,
    /// [`Device::parameter`](crate::Device::parameter).
    GetParameter { name: Cow<'a, str> },
    /// [`Device::set_parameter`](crate::Device::set_parameter).
    SetParameter {
        name: Cow<'a, str>,
        value: Cow<'a, ParameterValue>,
    },
    /// [`QkdModule::status`](crate::QkdModule::status).
    ModuleStatus,
    /// [`QkdModule::performance`](crate::QkdModule::performance).
    Performance,
    /// [`QkdModule::key_store`](crate::QkdModule::key_store).
    KeyStore,
    /// [`QkdModule::start`](crate::QkdModule::start).
    Start,
    /// [`QkdModule::stop`](crate::QkdModule::stop).
    Stop,
    /// [`QkdModule::calibrate`](crate::QkdModule::calibrate).
    Calibrate,
    /// [`QkdModule::take_keys`](crate::QkdModule::take_keys).
    TakeKeys { request: Cow<'a, KeyRequest> },
    /// [`QkdModule::take_keys_by_id`](crate::QkdModule::take_keys_by_id).
    TakeKeysById { ids: Cow<'a, [KeyId]> },
    /// [`Encryptor::channels`](crate::Encryptor::channels).
    Channels,
    /// [`Encryptor::channel`](crate::Encryptor::channel).
    Channel { channel: Cow<'a, ChannelId> },
    /// [`Encryptor::stage`](crate::Encryptor::stage).
    Stage {
        channel: Cow<'a, ChannelId>,
        key: KeyArgument<'a>,
    },
    /// [`Encryptor::activate`](crate::Encryptor::activate).
    Activate { staged: Cow<'a, Staged> },
    /// [`Encryptor::confirm`](crate::Encryptor::confirm).
    Confirm {
        staged: Cow<'a, Staged>,
        #[serde(rename = "longest_ns", with = "crate::serial::nanoseconds")]
        longest: Duration,
    },
    /// [`Encryptor::retire`](crate::Encryptor::retire).
    Retire { confirmed: Cow<'a, Confirmed> },
    /// [`Encryptor::zeroize`](crate::Encryptor::zeroize).
    Zeroize { channel: Cow<'a, ChannelId> },
    /// [`Encryptor::set_encryption`](crate::Encryptor::set_encryption).
    SetEncryption {
        channel: Cow<'a, ChannelId>,
        on: bool,
    },
    /// [`Encryptor::counters`](crate::Encryptor::counters).
    Counters { channel: Cow<'a, ChannelId> },
    /// [`RandomSource::random`](crate::RandomSource::random).
    Random { length: usize },
    /// `OpticalSwitch::connections`.
    Connections,
    /// `OpticalSwitch::ports`.
    Ports { ports: Cow<'a, [Port]> },
    /// `OpticalSwitch::apply`.
    Apply { plan: Cow<'a, Plan> },
    /// `OpticalSwitch::set_port`.
    SetPort { port: Port, enabled: bool },
    /// `PowerMeter::power`.
    Power { ports: Cow<'a, [Port]> },
    /// `PowerMeter::monitor`.
    Monitor { port: Port },
    /// `PowerMeter::set_monitor`.
    SetMonitor { port: Port, change: MonitorSetting },
    /// `Attenuator::attenuation`.
    Attenuation { port: Port },
    /// `Attenuator::set_attenuation`.
    SetAttenuation {
        port: Port,
        wanted: Cow<'a, Attenuation>,
    },
    /// `Protection::groups`.
    ProtectionGroups,
    /// `Protection::protection`.
    ProtectionStatus { group: Cow<'a, GroupId> },
    /// `Protection::set_protection`.
    SetProtection {
        group: Cow<'a, GroupId>,
        setting: Cow<'a, ProtectionSetting>,
    },
    /// `Protection::command`.
    ProtectionCommand {
        group: Cow<'a, GroupId>,
        command: Cow<'a, ExternalCommand>,
    },
}

/// The key of a request: its id, size and role and, on the side that has it, the key.
///
/// It serialises without the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyArgument<'a> {
    id: Cow<'a, KeyId>,
    #[serde(rename = "size_bits")]
    size: Bits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<KeyRole>,
    #[serde(skip)]
    key: Option<&'a Key>,
}

impl<'a> KeyArgument<'a> {
    /// Returns the key ID.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }
    /// Returns the key size.
    #[must_use]
    pub fn size(&self) -> Bits {
        self.size
    }
    /// Returns the purpose of the key; `None` if it was not assigned.
    #[must_use]
    pub fn role(&self) -> Option<KeyRole> {
        self.role
    }
    /// Returns the key; `None` if the request has travelled without it.
    #[must_use]
    pub fn key(&self) -> Option<&'a Key> {
        self.key
    }
}

impl<'a> From<&'a Key> for KeyArgument<'a> {
    fn from(key: &'a Key) -> Self {
        Self {
            id: Cow::Borrowed(key.id()),
            size: key.size(),
            role: key.role(),
            key: Some(key),
        }
    }
}

macro_rules! operation_of {
    ($request:expr; $($unit:ident)*; $($with_arguments:ident)*) => {
        match $request {
            $(Request::$unit => Operation::$unit,)*
            $(Request::$with_arguments { .. } => Operation::$with_arguments,)*
        }
    };
}

impl Request<'_> {
    /// Returns the operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        operation_of!(self;
            Identity Health Telemetry ModuleStatus Performance KeyStore Start Stop Calibrate
            Channels Connections ProtectionGroups;
            GetParameter SetParameter TakeKeys TakeKeysById Channel Stage Activate Confirm Retire
            Zeroize SetEncryption Counters Random Ports Apply SetPort Power Monitor SetMonitor
            Attenuation SetAttenuation ProtectionStatus SetProtection ProtectionCommand)
    }

    /// Returns the key that the request hands to the device; `None` for every operation but
    /// `stage`, and for a request that has travelled without its key.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Stage { key, .. } => key.key,
            _ => None,
        }
    }

    /// Returns the same request with this key, which a transport carried in addition.
    ///
    /// # Errors
    /// `InvalidInput` if the request has no key, or names another one.
    pub fn with_key<'b>(&'b self, key: &'b Key) -> crate::Result<Request<'b>> {
        match self {
            Self::Stage {
                channel,
                key: named,
            } if *named.id == *key.id() && (named.size, named.role) == (key.size(), key.role()) => {
                Ok(Request::Stage {
                    channel: Cow::Borrowed(channel),
                    key: KeyArgument::from(key),
                })
            }
            _ => Err(crate::Error::invalid(format!(
                "key {} is not that of the request {self}",
                key.id()
            ))),
        }
    }

    /// Returns the same request with its own copies of all arguments, and without the key.
    #[must_use]
    pub fn into_owned(self) -> Request<'static> {
        fn owned<T: ToOwned + ?Sized>(argument: Cow<'_, T>) -> Cow<'static, T> {
            Cow::Owned(argument.into_owned())
        }
        match self {
            Self::Identity => Request::Identity,
            Self::Health => Request::Health,
            Self::Telemetry => Request::Telemetry,
            Self::ModuleStatus => Request::ModuleStatus,
            Self::Performance => Request::Performance,
            Self::KeyStore => Request::KeyStore,
            Self::Start => Request::Start,
            Self::Stop => Request::Stop,
            Self::Calibrate => Request::Calibrate,
            Self::Channels => Request::Channels,
            Self::Connections => Request::Connections,
            Self::ProtectionGroups => Request::ProtectionGroups,
            Self::Stage { channel, key } => Request::Stage {
                channel: owned(channel),
                key: KeyArgument {
                    id: owned(key.id),
                    size: key.size,
                    role: key.role,
                    key: None,
                },
            },
            Self::GetParameter { name } => Request::GetParameter { name: owned(name) },
            Self::SetParameter { name, value } => Request::SetParameter {
                name: owned(name),
                value: owned(value),
            },
            Self::TakeKeys { request } => Request::TakeKeys {
                request: owned(request),
            },
            Self::TakeKeysById { ids } => Request::TakeKeysById { ids: owned(ids) },
            Self::Channel { channel } => Request::Channel {
                channel: owned(channel),
            },
            Self::Activate { staged } => Request::Activate {
                staged: owned(staged),
            },
            Self::Confirm { staged, longest } => Request::Confirm {
                staged: owned(staged),
                longest,
            },
            Self::Retire { confirmed } => Request::Retire {
                confirmed: owned(confirmed),
            },
            Self::Zeroize { channel } => Request::Zeroize {
                channel: owned(channel),
            },
            Self::SetEncryption { channel, on } => Request::SetEncryption {
                channel: owned(channel),
                on,
            },
            Self::Counters { channel } => Request::Counters {
                channel: owned(channel),
            },
            Self::Random { length } => Request::Random { length },
            Self::Ports { ports } => Request::Ports {
                ports: owned(ports),
            },
            Self::Apply { plan } => Request::Apply { plan: owned(plan) },
            Self::SetPort { port, enabled } => Request::SetPort { port, enabled },
            Self::Power { ports } => Request::Power {
                ports: owned(ports),
            },
            Self::Monitor { port } => Request::Monitor { port },
            Self::SetMonitor { port, change } => Request::SetMonitor { port, change },
            Self::Attenuation { port } => Request::Attenuation { port },
            Self::SetAttenuation { port, wanted } => Request::SetAttenuation {
                port,
                wanted: owned(wanted),
            },
            Self::ProtectionStatus { group } => Request::ProtectionStatus {
                group: owned(group),
            },
            Self::SetProtection { group, setting } => Request::SetProtection {
                group: owned(group),
                setting: owned(setting),
            },
            Self::ProtectionCommand { group, command } => Request::ProtectionCommand {
                group: owned(group),
                command: owned(command),
            },
        }
    }
}
