//! Status of a flow.

use crate::proto::{
    AdminState, DateAndTime, count, date_and_time, decode_admin_state, decode_cipher,
    decode_in_use, decode_operational_state, decode_profile,
    oid::{self, Flow},
};
use qkd_driver_kit::link::{
    snmp::Value,
    snmp_client::{SnmpCall, optional},
};
use qkd_hal::{
    Error, Result,
    encryptor::{ChannelState, Staged, TrafficCounters},
};
use std::collections::BTreeMap;

/// Names of the readings that a staged key carries.
const TX_CREATED: &str = "transmit SA created";
const RX_CREATED: &str = "receive SA created";
const FAILURES: &str = "failed exchanges";
const NEVER: &str = "never";

/// Status of a flow.
#[derive(Debug, Clone)]
pub(crate) struct FlowStatus {
    pub(crate) admin: AdminState,
    pub(crate) is_normal: bool,
    pub(crate) cipher: Option<&'static str>,
    /// Key exchange profile; `None` if it has none.
    pub(crate) profile: Option<u32>,
    /// Number of failed key exchanges.
    pub(crate) failures: u64,
    /// When the newest SA in use was created, in each direction.
    pub(crate) tx_created: Option<DateAndTime>,
    pub(crate) rx_created: Option<DateAndTime>,
}

/// When the newest SA in use of a flow was created.
async fn newest_sa(call: &SnmpCall<'_>, entry: &[u32], flow: Flow) -> Result<Option<DateAndTime>> {
    let of_flow = |column| oid::column(entry, column).child(&[flow.ne, flow.number]);
    let created = call.walk(&of_flow(oid::SA_CREATED)).await?;
    let mut newest: Option<DateAndTime> = None;
    for (index, state) in call.walk(&of_flow(oid::SA_STATE)).await? {
        let time = created.iter().find(|(of, _)| *of == index);
        if let (true, Some((_, time))) = (decode_in_use(&state)?, time)
            && let Some(time) = date_and_time(time, "SACreatedTime")?
            && newest.is_none_or(|newest| time.is_after(newest))
        {
            newest = Some(time);
        }
    }
    Ok(newest)
}

impl FlowStatus {
    pub(crate) async fn read(call: &SnmpCall<'_>, flow: Flow) -> Result<Self> {
        let columns = [
            oid::ADMIN_STATE,
            oid::OPERATIONAL_STATE,
            oid::CIPHER,
            oid::FLOW_PROFILE,
            oid::FAILURES,
        ];
        let v = call.get(&columns.map(|c| oid::of_flow(c, flow))).await?;
        let number = |value: &Value, object| optional(value, |v| count(v, object));
        Ok(Self {
            admin: decode_admin_state(&v[0])?,
            is_normal: decode_operational_state(&v[1])?,
            cipher: decode_cipher(&v[2])?,
            profile: decode_profile(&v[3])?,
            failures: number(&v[4], "f3ConnectGuardFlowKeyXchgFailsCounts")?.unwrap_or_default(),
            tx_created: newest_sa(call, oid::TX_SA, flow).await?,
            rx_created: newest_sa(call, oid::RX_SA, flow).await?,
        })
    }

    pub(crate) fn state(&self) -> ChannelState {
        if self.admin == AdminState::Disabled {
            ChannelState::Disabled
        } else if !self.is_normal {
            ChannelState::Failed
        } else if self.tx_created.is_none() {
            ChannelState::Initialising
        } else {
            ChannelState::Encrypting
        }
    }

    pub(crate) fn words(&self) -> String {
        format!(
            "{}, transmit SA created {}, receive SA created {}, {} key exchanges failed",
            if self.is_normal { "normal" } else { "outage" },
            text(self.tx_created),
            text(self.rx_created),
            self.failures
        )
    }
}

fn text(time: Option<DateAndTime>) -> String {
    time.map_or_else(|| NEVER.to_owned(), |time| time.to_string())
}

/// Readings of the flow before a roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Before {
    tx_created: String,
    rx_created: String,
    failures: u64,
}

impl Before {
    pub(crate) fn of(status: &FlowStatus) -> Self {
        Self {
            tx_created: text(status.tx_created),
            rx_created: text(status.rx_created),
            failures: status.failures,
        }
    }

    /// The readings as a staged key carries them. No secret is among them.
    pub(crate) fn write(&self) -> BTreeMap<String, String> {
        [
            (TX_CREATED, self.tx_created.clone()),
            (RX_CREATED, self.rx_created.clone()),
            (FAILURES, self.failures.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The readings that a staged key carries; `None` if it carries none.
    pub(crate) fn read(staged: &Staged) -> Option<Self> {
        let of = |name| staged.baseline.get(name);
        Some(Self {
            tx_created: of(TX_CREATED)?.clone(),
            rx_created: of(RX_CREATED)?.clone(),
            failures: of(FAILURES)?.parse().ok()?,
        })
    }

    /// Whether a key exchange has given the flow new SAs in both directions since.
    pub(crate) fn is_followed_by_exchange(&self, now: &FlowStatus) -> bool {
        let is_new = |created: Option<DateAndTime>, before: &str| {
            created.is_some() && text(created) != before
        };
        is_new(now.tx_created, &self.tx_created) && is_new(now.rx_created, &self.rx_created)
    }

    /// Whether a key exchange has failed since.
    pub(crate) fn is_followed_by_failure(&self, now: &FlowStatus) -> bool {
        now.failures > self.failures
    }
}

/// Reads the counters of a flow.
pub(crate) async fn read_counters(call: &SnmpCall<'_>, flow: Flow) -> Result<TrafficCounters> {
    let mut counters = TrafficCounters::default();
    let total = async |entry: &[u32], column: u32| -> Result<Option<u64>> {
        let name = oid::column(entry, column).child(&[flow.ne, flow.number]);
        sum(call.walk(&name).await?)
    };
    counters.encrypted = total(oid::TX_SC_STATS, oid::TX_ENCRYPTED).await?;
    counters.accepted = total(oid::RX_SC_STATS, oid::RX_OK).await?;
    counters.clear = total(oid::FLOW_STATS, oid::TX_UNTAGGED).await?;
    for (entry, column) in [
        (oid::FLOW_STATS, oid::RX_NO_TAG),
        (oid::FLOW_STATS, oid::RX_BAD_TAG),
        (oid::RX_SC_STATS, oid::RX_NOT_VALID),
    ] {
        if let Some(more) = total(entry, column).await? {
            let so_far = counters.refused.unwrap_or_default();
            counters.refused = Some(so_far.saturating_add(more));
        }
    }
    Ok(counters)
}

/// The sum over all secure channels; of the intervals of one, the largest counter is the total. The
/// last number of an index is the interval.
fn sum(rows: Vec<(Vec<u32>, Value)>) -> Result<Option<u64>> {
    let mut totals: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    for (mut index, value) in rows {
        index.pop();
        let number = count(&value, "counter").map_err(Error::from)?;
        let total = totals.entry(index).or_default();
        *total = number.max(*total);
    }
    let all = totals.into_values().reduce(u64::saturating_add);
    Ok(all)
}
