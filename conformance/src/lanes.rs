//! Runs the calls of a case on several handles in parallel, so that their timeouts overlap.
//!
//! A *lane* is one such handle. For an emulator on a wire, one more emulator is started for each
//! lane. A device is opened once more for each lane, as often as it allows. In memory, where time
//! is virtual, there is one lane.

use crate::{case_context::CaseContext, case_outcome::NotPassed, reading, result::TargetKind};
use futures::future::join_all;
use qkd_driver_kit::{
    OpenedDevice,
    wrap::fault::{FaultScript, LinkFault},
};

/// Maximum number of lanes of a case.
pub(crate) const MAX_LANES: usize = 20;

/// Returns whether a fault makes a call wait for its deadline.
pub(crate) fn causes_timeout(fault: LinkFault) -> bool {
    matches!(
        fault,
        LinkFault::Drop | LinkFault::Reorder(_) | LinkFault::Truncate | LinkFault::Throttle(_)
    )
}

/// The context of a case, and further contexts of the same kind, each with an emulator of its own.
pub(crate) struct Contexts<'a> {
    own: &'a CaseContext,
    others: Vec<CaseContext>,
}

impl<'a> Contexts<'a> {
    /// Creates `count` contexts for an emulator on a wire; otherwise only the given one.
    ///
    /// # Errors
    /// `Broken` if an emulator does not start.
    pub(crate) async fn parallel(own: &'a CaseContext, count: usize) -> Result<Self, NotPassed> {
        let mut contexts = Self {
            own,
            others: Vec::new(),
        };
        if own.session.dut.target_kind() == TargetKind::EmulatorOnWire {
            for _ in 1..count.min(MAX_LANES) {
                contexts.others.push(
                    own.with_another_emulator()
                        .await
                        .map_err(NotPassed::Broken)?,
                );
            }
        }
        Ok(contexts)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &CaseContext> {
        std::iter::once(self.own).chain(&self.others)
    }

    pub(crate) fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Merges the notes of the other contexts into that of the case.
    pub(crate) fn merge_notes(self) {
        for bench in &self.others {
            self.own.merge_notes(bench);
        }
    }
}

/// A handle with its own fault script.
pub(crate) struct Lane<'a> {
    pub(crate) bench: &'a CaseContext,
    pub(crate) opened: OpenedDevice,
    pub(crate) script: FaultScript,
    /// Result of the reading without a fault.
    pub(crate) expected: String,
}

/// Opens a handle on each context. On a device, opens up to `count` handles; if any of them reads a
/// different value while all are open, keeps one.
pub(crate) async fn open<'a>(
    contexts: &'a Contexts<'_>,
    count: usize,
) -> Result<Vec<Lane<'a>>, NotPassed> {
    let mut lanes = Vec::new();
    for bench in contexts.all() {
        lanes.push(lane(bench).await?);
    }
    let own = contexts.own;
    if own.session.dut.target_kind() != TargetKind::Device {
        return Ok(lanes);
    }
    while lanes.len() < count.min(MAX_LANES) {
        // The line is busy, or the device accepts no more handles.
        let Ok(next) = lane(own).await else { break };
        lanes.push(next);
    }
    let reads = join_all(lanes.iter().map(|l| reading::try_steady(own, &l.opened))).await;
    let all_match = reads
        .iter()
        .zip(&lanes)
        .all(|(read, lane)| matches!(read, Ok(Ok(read)) if *read == lane.expected));
    if !all_match {
        // The device accepts several handles and serves one only.
        for lane in lanes.drain(..) {
            let _ = lane.opened.device().close().await;
        }
        lanes.push(self::lane(own).await?);
    }
    Ok(lanes)
}

async fn lane(bench: &CaseContext) -> Result<Lane<'_>, NotPassed> {
    let script = FaultScript::new();
    let opened = bench.open_another(&script).await?;
    let expected = reading::stable_reading(bench, &opened).await?;
    Ok(Lane {
        bench,
        opened,
        script,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare;
    use qkd_emulators::{
        profile::{Options, RunningEmulator},
        profiles,
    };
    use std::collections::BTreeSet;
    use tokio::net::{TcpListener, TcpStream};

    /// The address of a URI, between its slashes and its parameters.
    fn address(uri: &str) -> &str {
        let socket = uri.split("://").nth(1).unwrap();
        socket.split('?').next().unwrap()
    }

    async fn count_on(uri: &str) -> usize {
        let dut = format!("profile = 'matrix-switch'\nuri = '{uri}'\ndeadline = '1s'");
        let bench = CaseContext::of(&declare::prepared(&dut).await, None)
            .await
            .unwrap();
        let contexts = Contexts::parallel(&bench, 5).await.unwrap();
        assert_eq!(contexts.count(), 1, "a device is there once");
        open(&contexts, 5).await.unwrap().len()
    }

    async fn polatis() -> RunningEmulator {
        profiles::start("polatis-16x16", &Options::default().seeded(1))
            .await
            .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_bench_of_an_emulator_on_a_wire_has_its_own() {
        let dut = "profile = 'matrix-switch'\nemulator = 'polatis-16x16'\non_wire = true";
        let bench = CaseContext::of(&declare::prepared(dut).await, None)
            .await
            .unwrap();
        let contexts = Contexts::parallel(&bench, 3).await.unwrap();
        let addresses: BTreeSet<&str> = contexts.all().map(|b| address(&b.uris()[0])).collect();
        assert_eq!(addresses.len(), 3);
        let lanes = open(&contexts, 3).await.unwrap();
        assert_eq!(lanes.len(), 3);
        // The exchanges of all places are in the transcript of the case.
        let before = bench.records().len();
        drop(lanes);
        contexts.merge_notes();
        assert!(bench.records().len() > before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_device_is_opened_as_often_as_it_serves_handles() {
        let running = polatis().await;
        assert_eq!(count_on(&running.ready().uris[0]).await, 5);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_serial_line_is_opened_once() {
        let running = polatis().await;
        let uris = &running.ready().uris;
        let serial = uris.iter().find(|u| u.contains("+serial")).unwrap();
        assert_eq!(count_on(serial).await, 1);
    }

    /// It accepts every connection, and forwards one at a time.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_device_that_accepts_several_handles_and_serves_one_has_one_lane() {
        let running = polatis().await;
        let socket = address(&running.ready().uris[0]).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("polatis+tcp://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut device = TcpStream::connect(&socket).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut device).await;
            }
        });
        assert_eq!(count_on(&uri).await, 1);
    }
}
