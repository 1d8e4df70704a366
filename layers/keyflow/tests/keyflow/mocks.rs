//! Mocked ends of a pair.

use async_trait::async_trait;
use qkd_hal::{
    Assumption, Capabilities, Descriptor, Key, KeyId, Maturity, Operation, Result,
    encryptor::{
        Activation, ChannelState, ChannelStatus, EncryptorCapabilities, Hitless, KeyForm,
        KeyIdForm, KeyRole, KeySizes, Slot, Staging,
    },
    mock::MockEncryptor,
    units::Bits,
};
use qkd_keyflow::{EncryptorPair, End, KeySource, RollEnd, RollObserver, RollRecord};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

/// Operations of an encryptor with slots.
pub(crate) const OPERATIONS: [Operation; 6] = [
    Operation::Channels,
    Operation::Channel,
    Operation::Stage,
    Operation::Activate,
    Operation::Confirm,
    Operation::Retire,
];

/// A mocked end: no call is expected but those that read.
pub(crate) struct MockEnd {
    pub(crate) uri: &'static str,
    pub(crate) capabilities: EncryptorCapabilities,
    pub(crate) operations: Capabilities,
    pub(crate) assumptions: &'static [Assumption],
    pub(crate) status: ChannelStatus,
    pub(crate) encryptor: MockEncryptor,
}

impl MockEnd {
    fn new(end: End, capabilities: EncryptorCapabilities) -> Self {
        Self {
            uri: match end {
                End::Near => "mock+mem://near",
                End::Far => "mock+mem://far",
            },
            capabilities,
            operations: Capabilities::none().with(&OPERATIONS),
            assumptions: &[],
            status: ChannelStatus::new("1".into(), ChannelState::Encrypting),
            encryptor: MockEncryptor::new(),
        }
    }

    /// An end with two slots that encrypts.
    pub(crate) fn slots(end: End) -> Self {
        let sizes = KeySizes::one_of(&[Bits(128), Bits(256)]);
        let form = KeyForm::new(KeyRole::Psk, sizes, KeyIdForm::Bytes { least: 1, most: 32 });
        Self::new(end, EncryptorCapabilities::two_slot(2, true, form))
    }

    /// An end that overwrites its secret and encrypts.
    pub(crate) fn overwriting(end: End) -> Self {
        let form = KeyForm::new(KeyRole::Psk, KeySizes::AnyUpTo(Bits(512)), KeyIdForm::None);
        let outage = Some(Duration::from_secs(2));
        let mut new = Self::new(
            end,
            EncryptorCapabilities::forced_reinitialisation(form, outage),
        );
        new.operations = new.operations.without(&[Operation::Retire]);
        assert_eq!(
            (new.capabilities.staging, new.capabilities.activation),
            (Staging::Overwrite, Activation::ForcedReinitialisation)
        );
        new
    }

    /// Sets the slots: number, ID of the key, whether it is active.
    /// An end that uses a staged key at its next exchange and encrypts.
    pub(crate) fn next_exchange(end: End, longest: Option<Duration>) -> Self {
        let form = KeyForm::new(
            KeyRole::Psk,
            KeySizes::one_of(&[Bits(256)]),
            KeyIdForm::None,
        );
        let hitless = Hitless::yes("the session before is used until the exchange");
        let mut new = Self::new(
            end,
            EncryptorCapabilities::next_exchange(form, longest, hitless),
        );
        new.operations = new
            .operations
            .without(&[Operation::Activate, Operation::Retire]);
        new
    }

    /// An end that keeps keys under their ids and encrypts.
    pub(crate) fn named(end: End) -> Self {
        let id = KeyIdForm::Text { most: 128 };
        let form = KeyForm::new(KeyRole::Ppk, KeySizes::AnyUpTo(Bits(512)), id);
        let hitless = Hitless::no("packets under way at the change may be lost");
        Self::new(end, EncryptorCapabilities::make_before_break(form, hitless))
    }

    /// An end that reports its state and takes no key.
    pub(crate) fn status_only(end: End) -> Self {
        let mut new = Self::new(end, EncryptorCapabilities::status_only());
        new.operations = Capabilities::none().with(&[Operation::Channels, Operation::Channel]);
        new
    }

    pub(crate) fn with_slots(mut self, slots: &[(u8, Option<KeyId>, bool)]) -> Self {
        let slot = |(number, key_id, active): &(u8, Option<KeyId>, bool)| {
            Slot::new(*number, key_id.clone(), *active)
        };
        self.status = self.status.with_slots(slots.iter().map(slot).collect());
        self
    }

    pub(crate) fn with_state(mut self, state: ChannelState) -> Self {
        self.status.state = state;
        self
    }

    async fn open(self) -> RollEnd {
        let Self {
            uri,
            capabilities,
            operations,
            assumptions,
            status,
            mut encryptor,
        } = self;
        let descriptor = Descriptor::new("mock", uri, Maturity::Emulated)
            .with_assumptions(assumptions, ["mock.accepted".to_owned()]);
        encryptor.expect_descriptor().return_const(descriptor);
        encryptor.expect_capabilities().return_const(operations);
        encryptor
            .expect_encryptor_capabilities()
            .return_const(capabilities);
        let channel = status.channel.clone();
        encryptor
            .expect_channels()
            .returning(move || Ok(vec![channel.clone()]));
        encryptor
            .expect_channel()
            .returning(move |_| Ok(status.clone()));
        RollEnd::open(Arc::new(encryptor), None).await.unwrap()
    }
}

/// A pair of mocked ends.
pub(crate) async fn pair(near: MockEnd, far: MockEnd) -> EncryptorPair {
    EncryptorPair::new(near.open().await, far.open().await)
}

pub(crate) fn id(n: u8) -> KeyId {
    KeyId::from_bytes(&[n; 16]).unwrap()
}

pub(crate) fn key(n: u8) -> Key {
    Key::new(id(n), Zeroizing::new(vec![n; 32]))
}

/// Gives out key `n`; counts how often.
pub(crate) struct Source {
    pub(crate) n: u8,
    pub(crate) taken: usize,
}

#[async_trait]
impl KeySource for Source {
    async fn take(&mut self, size: Bits) -> Result<[Key; 2]> {
        assert_eq!(size, Bits(256));
        self.taken += 1;
        Ok([key(self.n), key(self.n)])
    }
}

/// Keeps the records; asks to stop after some.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) records: Vec<RollRecord>,
    pub(crate) stop_after: Option<usize>,
}

impl Log {
    pub(crate) fn stopping_after(records: usize) -> Self {
        Self {
            stop_after: Some(records),
            ..Self::default()
        }
    }

    /// The records in words: event, step and end.
    pub(crate) fn words(&self) -> Vec<String> {
        let word = |record: &RollRecord| {
            let json = serde_json::to_value(record).unwrap();
            let event = json["event"].as_str().unwrap().to_owned();
            match record.step() {
                Some((end, step)) => format!("{event} {step} {end}"),
                None => event,
            }
        };
        self.records.iter().map(word).collect()
    }
}

#[async_trait]
impl RollObserver for Log {
    async fn record(&mut self, record: &RollRecord) {
        self.records.push(record.clone());
    }
    fn is_stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|n| self.records.len() >= n)
    }
}
