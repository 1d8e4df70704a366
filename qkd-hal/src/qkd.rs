//! QKD modules: one end of a QKD link and its key delivery.
//!
//! ```text
//! controller (master)     module A                  module B     controller (slave)
//!     |                       |<== quantum channel ====>|                |
//!     |--- take_keys(n) ----->|                         |                |
//!     |<-- n keys with IDs ---|                         |                |
//!     |--- key IDs (application channel) ------------------------------->|
//!     |                       |                         |<- take_keys_by_id(IDs)
//!     |                       |                         |-- same keys -->|
//! ```
//!
//! # For controller authors
//!
//! - Both ends of a link deliver the same ID with the same bytes. One side takes new keys
//!   ([`QkdModule::take_keys`]) and sends the key IDs to the other side, which takes the same keys
//!   by ID ([`QkdModule::take_keys_by_id`]).
//! - A handle never delivers a key twice. A failed `take_keys` with
//!   [`Effect::Unknown`](crate::Effect::Unknown) means that keys were lost: never use these keys at
//!   the peer.
//! - After a path change, a module re-initialises for up to [`QkdCapabilities::reinitialisation`].
//!   No new keys are available during that time.
//!
//! # For driver authors
//!
//! - Report for each role only what the sources document. The counts of a receiver are not those of
//!   a transmitter.
//! - Zeroize the keys of a cancelled call and publish
//!   [`EventKind::KeyLost`](crate::EventKind::KeyLost).

use crate::{
    Device, Error, Key, KeyId, Operation, Result,
    reading::Measured,
    units::{Bits, BitsPerSecond, Ratio, ShotNoiseUnits},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The role of a module (ETSI GS QKD 015, `qkdi_capabilities/role_support`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// QKD transmitter.
    Transmitter,
    /// QKD receiver.
    Receiver,
    /// Transmitter and receiver.
    Transceiver,
    /// Key delivery of a module whose role is not reported.
    KeyDelivery,
}

/// The state of a module. The names follow ETSI GS QKD 015 where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ModuleState {
    /// The module is powered off.
    Off,
    /// Booting, self test (015 NEW).
    Booting,
    /// General initialisation (015 NEW).
    Initialising,
    /// Waits for its authentication key.
    AwaitingAuthenticationKey,
    /// Aligning or calibrating (015 link PENDING).
    Calibrating,
    /// Generating keys (015 link ACTIVE).
    Generating,
    /// Not generating; keys are stored (015 link PASSIVE).
    Standby,
    /// The module has a fault.
    Error,
    /// Updating, zeroising, shutting down.
    Maintenance,
    /// The device does not report it.
    Unknown,
}

/// Module status as reported by the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModuleStatus {
    /// Current state.
    pub state: ModuleState,
    /// The device's own word for it.
    pub vendor_state: Option<String>,
    /// Role in the QKD link.
    pub role: Role,
    /// The far end, as the device or the URI names it.
    pub peer: Option<String>,
    /// Group of matched transmitters and receivers; the key rate changes if modules of different
    /// groups are paired. `None` if unknown.
    pub pairing_group: Option<String>,
}

impl ModuleStatus {
    /// A status with a state and a role.
    #[must_use]
    pub fn new(state: ModuleState, role: Role) -> Self {
        Self {
            state,
            vendor_state: None,
            role,
            peer: None,
            pairing_group: None,
        }
    }
    /// Adds the device's own word.
    #[must_use]
    pub fn with_vendor_state(mut self, word: impl Into<String>) -> Self {
        self.vendor_state = Some(word.into());
        self
    }
    /// Adds the far end.
    #[must_use]
    pub fn with_peer(mut self, peer: impl Into<String>) -> Self {
        self.peer = Some(peer.into());
        self
    }
    /// Adds the pairing group.
    #[must_use]
    pub fn with_pairing_group(mut self, group: impl Into<String>) -> Self {
        self.pairing_group = Some(group.into());
        self
    }
}

/// Performance of a QKD link. A value that a device family does not measure is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Performance {
    /// Secret key rate (015 `skr`).
    #[serde(rename = "secret_key_rate_bps")]
    pub secret_key_rate: Option<Measured<BitsPerSecond>>,
    /// Quantum bit error ratio, 0 to 1.
    pub qber: Option<Measured<Ratio>>,
    /// Excess noise of a CV-QKD link.
    #[serde(rename = "excess_noise_snu")]
    pub excess_noise: Option<Measured<ShotNoiseUnits>>,
    /// Interference visibility, 0 to 1.
    pub visibility: Option<Measured<Ratio>>,
    /// Bits of the last block of secret key.
    #[serde(rename = "last_block_bits")]
    pub last_block: Option<Measured<Bits>>,
}

/// The store of keys (ETSI GS QKD 014, Status).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyStore {
    /// Keys that can be taken now (`stored_key_count`).
    pub stored: Option<u64>,
    /// The most that it holds (`max_key_count`).
    pub capacity: Option<u64>,
    /// Default key size (`key_size` of ETSI GS QKD 014).
    #[serde(rename = "key_size_bits")]
    pub key_size: Option<Bits>,
    /// Smallest key size (`min_key_size`).
    #[serde(rename = "min_key_size_bits")]
    pub min_key_size: Option<Bits>,
    /// Largest key size (`max_key_size`).
    #[serde(rename = "max_key_size_bits")]
    pub max_key_size: Option<Bits>,
    /// Maximum number of keys of one request (`max_key_per_request`).
    pub max_per_request: Option<u64>,
    /// Maximum number of additional receivers (`max_SAE_ID_count`).
    pub max_additional_receivers: Option<u64>,
}

impl KeyStore {
    /// Sets the number of stored keys and the capacity.
    #[must_use]
    pub fn with_stored(mut self, stored: u64, capacity: u64) -> Self {
        self.stored = Some(stored);
        self.capacity = Some(capacity);
        self
    }
    /// Sets default, smallest and largest key size.
    #[must_use]
    pub fn with_sizes(mut self, default: Bits, min: Bits, max: Bits) -> Self {
        self.key_size = Some(default);
        self.min_key_size = Some(min);
        self.max_key_size = Some(max);
        self
    }
    /// With limits of one request.
    #[must_use]
    pub fn with_limits(mut self, per_request: u64, additional_receivers: u64) -> Self {
        self.max_per_request = Some(per_request);
        self.max_additional_receivers = Some(additional_receivers);
        self
    }
}

/// A vendor's extension of a key request (ETSI GS QKD 014, 6.2: names take the vendor's prefix,
/// ending in `_`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestExtension {
    /// Its name, such as `abc_route_type`.
    pub name: String,
    /// Its value, a JSON text.
    pub value: String,
    /// Whether the request must fail if it can't be met.
    pub mandatory: bool,
}

/// A request for new keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyRequest {
    /// Number of requested keys.
    pub count: u32,
    /// Of which size; `None`: the store's default.
    #[serde(rename = "size_bits")]
    pub size: Option<Bits>,
    /// Further receivers of the same keys (`additional_slave_SAE_IDs`).
    pub additional_receivers: Vec<String>,
    /// Vendor extensions of the request.
    pub extensions: Vec<RequestExtension>,
}

impl KeyRequest {
    /// So many keys of the default size.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self {
            count,
            size: None,
            additional_receivers: Vec::new(),
            extensions: Vec::new(),
        }
    }
    /// Sets the key size.
    #[must_use]
    pub fn with_size(mut self, size: Bits) -> Self {
        self.size = Some(size);
        self
    }
    /// For these receivers too.
    #[must_use]
    pub fn with_additional_receivers(mut self, receivers: Vec<String>) -> Self {
        self.additional_receivers = receivers;
        self
    }
    /// Adds a vendor extension.
    #[must_use]
    pub fn with_extension(mut self, extension: RequestExtension) -> Self {
        self.extensions.push(extension);
        self
    }
}

/// Behaviour of a device when a key ID is requested a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Redelivery {
    /// It refuses (ETSI GS QKD 014: delivered keys are removed).
    #[default]
    Refused,
    /// It gives the same key again. The handle refuses it nevertheless.
    Repeats,
    /// The vendor does not publish it.
    Unknown,
}

/// Properties of a QKD module in addition to [`crate::Capabilities`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QkdCapabilities {
    /// Role in the QKD link.
    pub role: Role,
    /// Behaviour when a key ID is requested a second time.
    pub redelivery: Redelivery,
    /// Time after a path change until keys are delivered again; `None` if unknown.
    #[serde(
        rename = "reinitialisation_ns",
        with = "crate::serial::optional_nanoseconds"
    )]
    pub reinitialisation: Option<Duration>,
    /// Within which `start` and `stop` end, where that may be longer than the deadline of other
    /// calls.
    #[serde(
        rename = "start_stop_timeout_ns",
        with = "crate::serial::optional_nanoseconds"
    )]
    pub start_stop_timeout: Option<Duration>,
    /// Within which `calibrate` ends, where that may be longer than the deadline of other calls.
    #[serde(
        rename = "calibration_timeout_ns",
        with = "crate::serial::optional_nanoseconds"
    )]
    pub calibration_timeout: Option<Duration>,
}

impl QkdCapabilities {
    /// Creates the properties of a module with this role.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            redelivery: Redelivery::Unknown,
            reinitialisation: None,
            start_stop_timeout: None,
            calibration_timeout: None,
        }
    }
    /// Sets the behaviour for repeated requests of a key ID.
    #[must_use]
    pub fn with_redelivery(mut self, redelivery: Redelivery) -> Self {
        self.redelivery = redelivery;
        self
    }
    /// With these times for `start` and `stop`, and for `calibrate`.
    #[must_use]
    pub fn with_timeouts(mut self, start_stop: Duration, calibration: Duration) -> Self {
        self.start_stop_timeout = Some(start_stop);
        self.calibration_timeout = Some(calibration);
        self
    }
    /// With this re-initialisation time.
    #[must_use]
    pub fn with_reinitialisation(mut self, time: Duration) -> Self {
        self.reinitialisation = Some(time);
        self
    }
}

fn lacks<T>(operation: Operation) -> Result<T> {
    Err(Error::unsupported(
        operation.name(),
        "this family's public protocol has no such operation",
    ))
}

/// One end of a QKD link, or the key delivery in front of it.
#[async_trait]
pub trait QkdModule: Device {
    /// Returns the properties of this module, without I/O.
    fn qkd_capabilities(&self) -> &QkdCapabilities;

    /// State, role, peer.
    ///
    /// # Errors
    /// Transport errors.
    async fn status(&self) -> Result<ModuleStatus>;

    /// Reads the performance of the QKD link.
    ///
    /// # Errors
    /// `Misbehaved(QberOutOfRange)` and transport errors.
    async fn performance(&self) -> Result<Performance> {
        lacks(Operation::Performance)
    }

    /// Reads the number of stored keys and their sizes.
    ///
    /// # Errors
    /// Transport errors.
    async fn key_store(&self) -> Result<KeyStore> {
        lacks(Operation::KeyStore)
    }

    /// Starts key generation. Returns when the device has accepted it, within the deadline or
    /// [`QkdCapabilities::start_stop_timeout`]; [`status`](Self::status) shows the progress.
    ///
    /// # Errors
    /// `NotReady`, `Refused`, transport errors.
    async fn start(&self) -> Result<()> {
        lacks(Operation::Start)
    }

    /// Stops key generation; stored keys stay.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    async fn stop(&self) -> Result<()> {
        lacks(Operation::Stop)
    }

    /// Calibrates the link, which interrupts key generation. Returns when the device reports the
    /// end of it, within the deadline or [`QkdCapabilities::calibration_timeout`].
    ///
    /// # Errors
    /// As [`start`](Self::start).
    async fn calibrate(&self) -> Result<()> {
        lacks(Operation::Calibrate)
    }

    /// Takes new keys out of the store.
    ///
    /// 1. Requests the keys from the device.
    /// 2. Checks number, size and IDs. An ID that this handle delivered before is
    ///    `Misbehaved(KeyIdReused)`, and the whole batch is discarded.
    /// 3. Returns the keys.
    ///
    /// # Errors
    /// `InvalidInput` for a count of 0 or a size that is not a multiple of 8 bit; `Exhausted`;
    /// `Misbehaved` with effect `Unknown`. A lost reply is an error with effect `Unknown`: the keys
    /// are lost and must not be used at the peer.
    async fn take_keys(&self, _request: &KeyRequest) -> Result<Vec<Key>> {
        lacks(Operation::TakeKeys)
    }

    /// Takes the keys that the peer took, by ID, in the requested order.
    ///
    /// # Errors
    /// `NotFound` if an ID is unknown or was delivered before; `InvalidInput` if an ID is requested
    /// twice; otherwise as [`take_keys`](Self::take_keys).
    async fn take_keys_by_id(&self, _ids: &[KeyId]) -> Result<Vec<Key>> {
        lacks(Operation::TakeKeysById)
    }
}
