//! State of the chassis and its cards.

use crate::proto::{
    self, Channel, SLOT_NUMBERS, SnmpDecodeError, decode_channel, decode_mode, decode_on, name,
};
use qkd_driver_kit::{
    link::{
        snmp::{Oid, Value},
        snmp_client::{self, SnmpCall, SnmpClient, integer},
    },
    protection::ActivePathTracker,
};
use qkd_hal::{Error, ErrorKind, Result, reading::Measured, units::DecibelMilliwatts};
use qkd_switch_hal::protection::{
    GroupId, PathStatus, ProtectionStatus, SelectionMode, SwitchRequest,
};
use std::time::Duration;

/// Units of numbers, as far as the operator has configured them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Units {
    /// Of a power, in dBm.
    pub(crate) power: Option<f64>,
    /// Unit of a delay; `None` if not configured.
    pub(crate) delay: Option<Duration>,
}

impl Units {
    /// Converts a raw power.
    pub(crate) fn power(self, raw: i64) -> DecibelMilliwatts {
        // By an inverse, so that hundredths come out as they are written.
        let per = (1.0 / self.power.unwrap_or(0.01)).round();
        #[allow(clippy::cast_precision_loss, reason = "an Integer32")]
        DecibelMilliwatts(raw as f64 / per)
    }

    /// A power, as the agent sends it.
    pub(crate) fn power_of(
        self,
        value: &Value,
        object: &'static str,
    ) -> Result<DecibelMilliwatts, SnmpDecodeError> {
        snmp_client::power(value, object, |n| self.power(n).0)
    }
}

/// Client of the chassis.
pub(crate) struct Chassis {
    pub(crate) agent: SnmpClient,
    pub(crate) units: Units,
    pub(crate) watch: ActivePathTracker,
}

/// A card, read in one PDU. Powers are as they come.
pub(crate) struct Card {
    pub(crate) on: bool,
    mode: SelectionMode,
    channel: Channel,
    switching: [i64; 2],
    power: [i64; 2],
    back: bool,
    delay: i64,
}

/// The slot of a group.
pub(crate) fn slot(group: &GroupId) -> Result<u32> {
    let slot = group
        .0
        .parse()
        .ok()
        .filter(|n: &u32| SLOT_NUMBERS.contains(n) && n.to_string() == group.0);
    slot.ok_or_else(|| missing(group))
}

fn missing(group: &GroupId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("there is no group `{group}`; groups are the slots of OLP cards, 1 to 16"),
    )
}

impl Chassis {
    /// The slots whose card answers.
    pub(crate) async fn slots(&self, call: &SnmpCall<'_>) -> Result<Vec<u32>> {
        let names: Vec<Oid> = SLOT_NUMBERS
            .map(|slot| name(slot, proto::WORK_MODE))
            .collect();
        let values = call.get(&names).await?;
        Ok(SLOT_NUMBERS
            .zip(values)
            .filter(|(_, value)| !value.is_absent())
            .map(|(slot, _)| slot)
            .collect())
    }

    /// # Errors
    /// `NotFound` for an empty slot.
    pub(crate) async fn card(&self, group: &GroupId, call: &SnmpCall<'_>) -> Result<Card> {
        let slot = slot(group)?;
        let objects = [
            proto::STATE,
            proto::WORK_MODE,
            proto::CHANNEL,
            proto::SWITCHING_POWER,
            proto::SWITCHING_POWER + 1,
            proto::POWER,
            proto::POWER + 1,
            proto::BACK_MODE,
            proto::BACK_DELAY,
        ];
        let values = call.get(&objects.map(|object| name(slot, object))).await?;
        if values[1].is_absent() {
            return Err(missing(group));
        }
        let pair = |at: usize, object| {
            Ok::<_, SnmpDecodeError>([
                integer(&values[at], object)?,
                integer(&values[at + 1], object)?,
            ])
        };
        Ok(Card {
            on: decode_on(&values[0], "State")?,
            mode: decode_mode(&values[1])?,
            channel: decode_channel(&values[2])?,
            switching: pair(3, "R1SwitchingPower or R2SwitchingPower")?,
            power: pair(5, "R1Power or R2Power")?,
            back: decode_on(&values[7], "BackMode")?,
            delay: integer(&values[8], "BackDelay")?,
        })
    }

    /// Reads the status of a group.
    pub(crate) async fn status(
        &self,
        group: &GroupId,
        call: &SnmpCall<'_>,
    ) -> Result<ProtectionStatus> {
        let card = self.card(group, call).await?;
        let paths = Channel::ALL.into_iter().zip(0..).map(|(channel, i)| {
            let mut path = PathStatus::new(channel.keyword());
            path.power = Some(Measured::now(self.units.power(card.power[i])));
            path.threshold = Some(self.units.power(card.switching[i]));
            path.failed = Some(card.failed(i));
            path
        });
        let mut status = ProtectionStatus::new(
            group.clone(),
            card.mode,
            card.channel.keyword().into(),
            card.request(),
            paths.collect(),
        );
        status.preferred = Some(Channel::Main.keyword().into());
        status.revertive = Some(card.back);
        status.wait_to_restore = self
            .units
            .delay
            .zip(u32::try_from(card.delay).ok())
            .map(|(unit, n)| unit.saturating_mul(n));
        self.watch.fill_since(&mut status);
        Ok(status)
    }
}

impl Card {
    fn failed(&self, path: usize) -> bool {
        self.power[path] < self.switching[path]
    }

    /// Derives the reason for the active channel, because the card does not report it.
    fn request(&self) -> SwitchRequest {
        match (self.mode, self.channel) {
            (SelectionMode::Manual, _) => SwitchRequest::ManualSwitch,
            (SelectionMode::Automatic, Channel::Main) => SwitchRequest::NoRequest,
            (SelectionMode::Automatic, Channel::Sub) if self.failed(0) => SwitchRequest::SignalFail,
            (SelectionMode::Automatic, Channel::Sub) if self.back => SwitchRequest::WaitToRestore,
            (SelectionMode::Automatic, Channel::Sub) => SwitchRequest::DoNotRevert,
        }
    }
}
