//! Several handles of one device, so that calls that wait for their deadline wait together.

use crate::{bench::Bench, case::Stop, reading};
use futures::future::join_all;
use qkd_driver_kit::{
    Opened,
    wrap::fault::{Fate, Script},
};

/// The most handles that are opened beside each other.
const MAX_LANES: usize = 20;

/// A handle with the faults of its own wire.
pub(crate) struct Lane {
    pub(crate) opened: Opened,
    pub(crate) script: Script,
}

/// Whether a fate lets a call wait for its deadline.
pub(crate) fn waits(fate: Fate) -> bool {
    matches!(
        fate,
        Fate::Lost | Fate::Late(_) | Fate::CutShort | Fate::Slow(_)
    )
}

/// Opens the device once, or, where calls wait in wall time, as often as it allows: each handle
/// reads `right` while all others are open.
pub(crate) async fn open(b: &Bench, many: bool) -> Result<(Vec<Lane>, String), Stop> {
    let first = lane(b).await?;
    let right = reading::steady(b, &first.opened).await?;
    let mut lanes = vec![first];
    if !many || !b.session.dut.on().has_wall_time() {
        return Ok((lanes, right));
    }
    while lanes.len() < MAX_LANES {
        // A line that is busy, or a device that has no more room.
        let Ok(next) = lane(b).await else { break };
        lanes.push(next);
    }
    let reads = join_all(lanes.iter().map(|l| reading::try_steady(b, &l.opened))).await;
    let all_right = reads
        .iter()
        .all(|read| matches!(read, Ok(Ok(read)) if *read == right));
    if !all_right {
        // The device took them and serves one only.
        for lane in lanes.drain(..) {
            let _ = lane.opened.device().close().await;
        }
        lanes.push(lane(b).await?);
    }
    Ok((lanes, right))
}

async fn lane(b: &Bench) -> Result<Lane, Stop> {
    let script = Script::new();
    let opened = b.open_beside(&script).await?;
    Ok(Lane { opened, script })
}
