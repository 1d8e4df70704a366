//! Status of a port.

use crate::proto::{
    DateAndTime, MOST_FAILURES, count, date_and_time, decode_choice, decode_count, oid,
};
use qkd_driver_kit::link::{
    snmp::Value,
    snmp_client::{SnmpCall, optional},
};
use qkd_hal::{
    Result,
    encryptor::{ChannelState, Staged},
};
use std::collections::BTreeMap;

/// Names of the readings that a staged key carries.
const LAST_GOOD: &str = "last good exchange";
const LAST_BAD: &str = "last bad exchange";
const REMAINING: &str = "remaining life time";
const NEVER: &str = "never";

/// Configuration and status of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortStatus {
    /// Whether encryption is switched off.
    pub(crate) off: bool,
    /// Whether a forced key exchange is requested or was not cleared.
    pub(crate) forced: bool,
    /// Failed exchanges since the last good one.
    pub(crate) failures: Option<u64>,
    pub(crate) last_good: Option<DateAndTime>,
    pub(crate) last_bad: Option<DateAndTime>,
    /// Seconds until the key expires.
    pub(crate) remaining: Option<u64>,
}

impl PortStatus {
    pub(crate) async fn read(call: &SnmpCall<'_>, row: u32) -> Result<Self> {
        let names = [
            oid::of(oid::PORT_CONFIG, oid::ENCRYPTION_OFF, row),
            oid::of(oid::PORT_CONFIG, oid::FORCE_EXCHANGE, row),
            oid::of(oid::PORT_STATUS, oid::FAILURES, row),
            oid::of(oid::PORT_STATUS, oid::LAST_GOOD, row),
            oid::of(oid::PORT_STATUS, oid::LAST_BAD, row),
            oid::of(oid::PORT_STATUS, oid::REMAINING, row),
        ];
        let v = call.get(&names).await?;
        Ok(Self {
            off: decode_choice(&v[0], "cryptoPortConfigEncryptionOff")? == Some(false),
            forced: decode_choice(&v[1], "cryptoPortConfigForceKeyExchange")? == Some(false),
            failures: decode_count(&v[2], "cryptoPortStatusFailureKeyExchangeCount")?,
            last_good: date_and_time(&v[3], "SuccessfulKeyExchangeDateAndTime")?,
            last_bad: date_and_time(&v[4], "UnsuccessfulKeyExchangeDateAndTime")?,
            remaining: remaining(&v[5])?,
        })
    }

    pub(crate) fn state(&self) -> ChannelState {
        if self.off {
            ChannelState::Disabled
        } else if self.failures.is_some_and(|n| n >= MOST_FAILURES) {
            ChannelState::Failed
        } else if self.last_good.is_none() {
            ChannelState::Initialising
        } else {
            ChannelState::Encrypting
        }
    }

    pub(crate) fn words(&self) -> String {
        format!(
            "encryption {}, last good key exchange {}, {} failed since",
            if self.off { "off" } else { "on" },
            text(self.last_good),
            self.failures
                .map_or_else(|| "an unknown number".to_owned(), |n| n.to_string())
        )
    }

    /// The fault of the port; `None` if it has none.
    pub(crate) fn fault(&self) -> Option<String> {
        match self.state() {
            ChannelState::Disabled => Some("encryption is switched off".to_owned()),
            ChannelState::Failed => Some(format!(
                "the last {MOST_FAILURES} key exchanges failed, the last one at {}",
                text(self.last_bad)
            )),
            ChannelState::Initialising => Some("no key was exchanged yet".to_owned()),
            _ => match self.failures {
                None | Some(0) => None,
                Some(failures) => Some(format!(
                    "{failures} key exchanges failed since the last good one, the last one at {}",
                    text(self.last_bad)
                )),
            },
        }
    }

    /// Whether a key exchange has succeeded since then. The device may report whole seconds, hence
    /// the life time decides, too.
    pub(crate) fn has_succeeded_since(&self, before: &Before) -> bool {
        let newer = self.last_good.is_some() && text(self.last_good) != before.last_good;
        newer || self.remaining > before.remaining
    }

    /// Whether a key exchange has failed since then.
    pub(crate) fn has_failed_since(&self, before: &Before) -> bool {
        self.last_bad.is_some() && text(self.last_bad) != before.last_bad
    }
}

/// Readings of the port before a roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Before {
    last_good: String,
    last_bad: String,
    remaining: Option<u64>,
}

impl Before {
    pub(crate) fn of(status: &PortStatus) -> Self {
        Self {
            last_good: text(status.last_good),
            last_bad: text(status.last_bad),
            remaining: status.remaining,
        }
    }

    /// The readings as a staged key carries them. No secret is among them.
    pub(crate) fn write(&self) -> BTreeMap<String, String> {
        let remaining = self.remaining.map(|n| (REMAINING, n.to_string()));
        [
            (LAST_GOOD, self.last_good.clone()),
            (LAST_BAD, self.last_bad.clone()),
        ]
        .into_iter()
        .chain(remaining)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// The readings that a staged key carries; `None` if it carries none.
    pub(crate) fn read(staged: &Staged) -> Option<Self> {
        let of = |name| staged.baseline.get(name);
        Some(Self {
            last_good: of(LAST_GOOD)?.clone(),
            last_bad: of(LAST_BAD)?.clone(),
            remaining: of(REMAINING).and_then(|n| n.parse().ok()),
        })
    }
}

fn text(time: Option<DateAndTime>) -> String {
    time.map_or_else(|| NEVER.to_owned(), |time| time.to_string())
}

/// The seconds of a life time that remain; `None` if the device has no such object.
fn remaining(value: &Value) -> Result<Option<u64>> {
    Ok(optional(value, |v| {
        count(v, "cryptoPortStatusAuthKeyLifeTimeRemaining")
    })?)
}
