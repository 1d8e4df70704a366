//! The document and the text of `qkdctl encryptor roll`.

use super::roll_history::{InterruptedRoll, JournalStep};
use crate::{commands::change::ChangeResult, output};
use qkd_hal::{
    DeviceUri, KeyId,
    encryptor::{ChannelId, ChannelStatus, Confirmation},
    units::Bits,
};
use qkd_keyflow::{EncryptorPair, End, ExpectedOutage, Recovery, RollReport, describe};
use serde::Serialize;
use std::time::Duration;

/// One end of a roll.
#[derive(Serialize)]
pub(super) struct EndReport<'a> {
    device: &'a DeviceUri,
    channel: &'a ChannelId,
    confirmation: Option<Confirmation>,
    /// As it was read at the end of a roll that was cut or not confirmed.
    pub(super) now: Option<ChannelStatus>,
}

/// Rolls before this one that did not end, and what is done about them.
#[derive(Serialize)]
struct FoundReport<'a> {
    begun_at: &'a str,
    key_ids: &'a [String],
    steps: &'a [JournalStep],
    /// `nothing`, `forward` or `fresh-key`.
    recovery: &'static str,
}

/// The result of a roll.
#[derive(Serialize)]
pub(super) struct RollDocument<'a> {
    pub(super) result: ChangeResult,
    pub(super) near: EndReport<'a>,
    pub(super) far: EndReport<'a>,
    /// Size of the key that is taken; `None` if none is.
    size_bits: Option<Bits>,
    hitless: bool,
    pub(super) key_id: Option<KeyId>,
    /// The longest measured outage of both ends; `None` if neither measured one.
    outage_ms: Option<f64>,
    /// The longest declared outage of both ends; `None` if unknown, or if the roll is hitless.
    declared_outage_ms: Option<f64>,
    /// Whether the key before was deleted.
    retired: bool,
    /// Keys that were taken and protect nothing.
    pub(super) void_key_ids: Vec<KeyId>,
    /// The signal that came meanwhile.
    pub(super) signal: Option<&'static str>,
    /// Rolls before this one that did not end.
    found: Option<FoundReport<'a>>,
    #[serde(skip)]
    declared_outage: Option<Duration>,
}

/// Facts about a roll that are known before it changes anything.
pub(super) struct Announced<'a> {
    pub(super) uris: [&'a DeviceUri; 2],
    pub(super) pair: &'a EncryptorPair,
    pub(super) size: Option<Bits>,
    pub(super) outage: ExpectedOutage,
    pub(super) found: Option<(&'a InterruptedRoll, &'a Recovery)>,
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl<'a> RollDocument<'a> {
    /// A document in which nothing has happened yet.
    pub(super) fn new(result: ChangeResult, announced: &Announced<'a>) -> Self {
        let end = |end: End| EndReport {
            device: announced.uris[end as usize],
            channel: announced.pair.end(end).channel(),
            confirmation: None,
            now: None,
        };
        let found = announced.found.map(|(found, recovery)| FoundReport {
            begun_at: &found.begun_at,
            key_ids: &found.key_ids,
            steps: &found.steps,
            recovery: match recovery {
                Recovery::Nothing { .. } => "nothing",
                Recovery::Forward(_) => "forward",
                Recovery::FreshKey(_) => "fresh-key",
            },
        });
        let declared_outage = announced.outage.declared();
        Self {
            result,
            near: end(End::Near),
            far: end(End::Far),
            size_bits: announced.size,
            hitless: announced.outage.is_none(),
            key_id: match announced.found {
                Some((_, Recovery::Forward(forward))) => Some(forward.key_id.clone()),
                _ => None,
            },
            outage_ms: None,
            declared_outage_ms: declared_outage.map(millis),
            retired: false,
            void_key_ids: announced
                .found
                .map_or_else(Vec::new, |(_, recovery)| recovery.lost().to_vec()),
            signal: None,
            found,
            declared_outage,
        }
    }

    pub(super) fn set_rolled(&mut self, rolled: RollReport) {
        self.outage_ms = rolled.outage().map(millis);
        self.key_id = Some(rolled.key_id);
        self.retired = rolled.retired;
        self.near.confirmation = Some(rolled.near);
        self.far.confirmation = Some(rolled.far);
    }

    pub(super) fn set_now(&mut self, [near, far]: [Option<ChannelStatus>; 2]) {
        (self.near.now, self.far.now) = (near, far);
    }

    /// The text for a person; `stopped` says what a roll that was stopped has left.
    pub(super) fn text(&self, stopped: Option<&str>) -> String {
        let mut all = Vec::new();
        all.extend(self.key_id.as_ref().map(|id| ("key", id.to_string())));
        if let (Some(near), Some(far)) = (&self.near.confirmation, &self.far.confirmation) {
            let end = |c: &Confirmation| {
                let word = if c.is_confirmed() {
                    "confirmed"
                } else {
                    "NOT CONFIRMED"
                };
                format!("{word}: {}", c.evidence())
            };
            all.extend([
                ("outage", self.outage()),
                ("near end", end(near)),
                ("far end", end(far)),
                (
                    "key before",
                    if self.retired {
                        "retired".to_owned()
                    } else {
                        "kept, or overwritten by the encryptor".to_owned()
                    },
                ),
            ]);
        }
        all.extend(stopped.map(|words| ("NOT ROLLED", words.to_owned())));
        if self.signal.is_some() || self.result != ChangeResult::Applied {
            all.extend(rows([self.near.now.as_ref(), self.far.now.as_ref()]));
        }
        output::pairs(&all)
    }

    fn outage(&self) -> String {
        match (self.outage_ms, self.declared_outage) {
            (Some(outage), _) => format!("{outage:.0} ms (measured)"),
            (None, _) if self.hitless => "none: hitless at both ends".to_owned(),
            (None, Some(time)) => format!(
                "up to {} (declared; not measured)",
                humantime::format_duration(time)
            ),
            (None, None) => "neither measured nor declared".to_owned(),
        }
    }
}

/// Both ends as they were read; `None` where that failed.
pub(super) fn rows([near, far]: [Option<&ChannelStatus>; 2]) -> [(&'static str, String); 2] {
    let text = |status: Option<&ChannelStatus>| {
        status.map_or_else(
            || "could not be read: read it before anything else".to_owned(),
            describe,
        )
    };
    [("near end now", text(near)), ("far end now", text(far))]
}
