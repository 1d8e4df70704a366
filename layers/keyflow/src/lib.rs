//! The roll of a pair of encryptors: a key of two QKD modules replaces the key in use at both ends.
//!
//! The crate depends on the contract ([`qkd_hal`]) alone: it calls [`qkd_hal::Encryptor`] handles
//! that the caller has opened, performs no other I/O and needs no async runtime.
//!
//! # Sequence
//!
//! ```text
//! controller                pair                    encryptor A        encryptor B
//!     |--- readiness() ------>|--- channel ------------->|                 |
//!     |                       |--- channel ------------------------------->|
//!     |<-- Readiness ---------|      prints; says why a roll cannot start  |
//!     |--- ready() ---------->|                          |                 |
//!     |<-- Roll --------------|      proof that all was checked            |
//!     |                       |                          |                 |
//!     |    takes a key of roll.key_size() at module A, and its twin at module B
//!     |                       |                          |                 |
//!     |--- run(keys) -------->|                          |                 |
//!     |<-- record(Taken) -----|                          |                 |
//!     |<-- record(Begun) -----|--- stage(key) ---------->|                 |
//!     |<-- record(Staged) ----|<-- Staged ---------------|                 |
//!     |                       |      may stop here, if the key before stays active
//!     |<-- records -----------|--- stage(key) ---------------------------->|
//!     |<-- records -----------|--- activate ------------>|                 |
//!     |<-- records -----------|--- activate ----------------------------->|  activate_both
//!     |<-- records -----------|--- confirm ------------->|                 |
//!     |<-- records -----------|--- confirm ------------------------------->|
//!     |<-- records -----------|--- retire -------------->|                 |  both confirmed,
//!     |<-- records -----------|--- retire -------------------------------->|  keys in slots
//!     |<-- record(Finished) --|                          |                 |
//!     |<-- RollReport --------|                          |                 |
//! ```
//!
//! # For controller authors
//!
//! 1. [`EncryptorPair::readiness`] reads both ends and checks what can be known before a key is
//!    spent: assumptions, operations, a common key size, the state of the channels, and the outage
//!    that both ends declare. [`Readiness::ready`] gives a [`Roll`], or an error that names every
//!    obstacle. Show the [`Readiness`] before you go on: it says which traffic the roll disturbs.
//! 2. Take one key at both ends, of [`Roll::key_size`], and call [`Roll::run`]. It borrows the
//!    keys. Keep them until it returns.
//! 3. The [`RollObserver`] receives a [`RollRecord`] before and after each step. Write it to
//!    durable storage before you return: this is what makes a roll recoverable. A record holds no
//!    secret.
//! 4. An observer that asks to stop ends the roll only where the key before stays in use at both
//!    ends. Later the roll is completed: a pair whose ends have different keys passes no traffic.
//! 5. A key that was not confirmed is not an error of `run`: see [`RollReport::is_confirmed`].
//!
//! ```no_run
//! use qkd_hal::{Encryptor, Key, QkdModule, Result, qkd::KeyRequest, units::Bits};
//! use qkd_keyflow::{EncryptorPair, KeySource, RollEnd, RollObserver, RollRecord};
//! use std::sync::Arc;
//!
//! struct Modules([Arc<dyn QkdModule>; 2]);
//!
//! #[async_trait::async_trait]
//! impl KeySource for Modules {
//!     async fn take(&mut self, size: Bits) -> Result<[Key; 2]> {
//!         let none = || qkd_hal::Error::new(qkd_hal::ErrorKind::Exhausted, "no key came");
//!         let request = KeyRequest::new(1).with_size(size);
//!         let key = self.0[0].take_keys(&request).await?.pop().ok_or_else(none)?;
//!         let ids = [key.id().clone()];
//!         let twin = self.0[1].take_keys_by_id(&ids).await?.pop().ok_or_else(none)?;
//!         Ok([key, twin])
//!     }
//! }
//!
//! async fn roll(
//!     encryptors: [Arc<dyn Encryptor>; 2],
//!     mut modules: Modules,
//!     records: &[RollRecord],
//!     journal: &mut dyn RollObserver,
//! ) -> Result<()> {
//!     let [near, far] = encryptors;
//!     let (near, far) = (RollEnd::open(near, None).await?, RollEnd::open(far, None).await?);
//!     let pair = EncryptorPair::new(near, far);
//!
//!     // A roll that an earlier process began comes first.
//!     let state = pair.recovery(records).await?;
//!     println!("{state}");
//!     state.recovery.finish(&mut modules, journal).await?;
//!
//!     let readiness = pair.readiness().await?;
//!     println!("{readiness}");
//!     let roll = readiness.ready()?;
//!     let [key, twin] = modules.take(roll.key_size()).await?;
//!     println!("{:?}", roll.run([&key, &twin], journal).await?);
//!     Ok(())
//! }
//! ```
//!
//! # After an interruption
//!
//! A process that ends in the middle of a roll loses the key: it was in its memory only. The next
//! process has the records, and the devices. [`EncryptorPair::recovery`] reads both channels and
//! decides; [`Recovery::finish`] carries it out. Afterwards both ends use one key, and each key
//! that was taken is in use or listed as lost. The key before the roll is not needed.
//!
//! | both devices and the records show | recovery |
//! |---|---|
//! | the new key is at neither end | [`Recovery::Nothing`] |
//! | slots show the new key at both ends | [`Recovery::Forward`] |
//! | the same; it was confirmed, and no other key is left | [`Recovery::Nothing`] |
//! | slots show the new key at one end | [`Recovery::FreshKey`] |
//! | the new key is at both ends, and was not confirmed | [`Recovery::FreshKey`] |
//! | a device that overwrites its secret may have been staged | [`Recovery::FreshKey`] |
//! | the same; the key was confirmed at both ends, and both encrypt | [`Recovery::Nothing`] |
//!
//! ```text
//! new process               pair                    encryptor A        encryptor B
//!     |--- recovery(records) >|--- channel ------------->|                 |
//!     |                       |--- channel ------------------------------->|
//!     |<-- RollState ---------|      prints; says what `finish` will do    |
//!     |--- finish() --------->|                          |                 |
//!     |                       |      Forward:            |                 |
//!     |<-- records -----------|--- activate (where it is not active) ----->|
//!     |<-- records -----------|--- confirm, retire ----->|---------------->|
//!     |                       |      FreshKey:           |                 |
//!     |<-- take(size) --------|                          |                 |
//!     |--- keys ------------->|                          |                 |
//!     |<-- record(Void) ------|      the lost key is never used again      |
//!     |<-- records -----------|--- a roll with the fresh key, as above --->|
//! ```
//!
//! - A device with slots shows the name of each key. A key that both ends show is complete at both,
//!   since a device takes key and name in one request: no secret is needed to go on with it.
//! - A device that overwrites its secret shows no name. A roll that may have staged a key there is
//!   followed by a fresh key at both ends, which interrupts traffic as each roll of such a pair
//!   does. Only a key that was confirmed at both ends is kept.
//! - [`qkd_hal::encryptor::Staged`] values from the records give `confirm` what the driver compares
//!   with. Where they were not written down, the slot that the device shows takes their place.
//! - A recovery may be interrupted as well. Its records follow those of the roll, and the next
//!   recovery takes all of them.
//! - Call it only after the earlier process has ended: two processes that change one pair undo each
//!   other's steps.
//!
//! A key is lost without an ID if a process ends after a QKD module has given it out and before the
//! ID is written down. It protects nothing, and expires in the store of the other module.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod pair;
mod readiness;
mod record;
mod recovery;
mod roll;

pub use pair::{EncryptorPair, End, RollEnd, describe, find_channel};
pub use readiness::{EndStatus, ExchangeWait, ExpectedOutage, Obstacle, PlannedStep, Readiness};
pub use record::{RollObserver, RollRecord, Step};
pub use recovery::{Forward, KeySource, Recovery, RollState};
pub use roll::{Roll, RollOutcome, RollReport, StopPoint};
