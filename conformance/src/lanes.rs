//! Several places where a case runs side by side, so that calls that wait for their deadline wait
//! together.
//!
//! An emulator on a wire is started once more for each place. A device is opened once more for
//! each place, as often as it allows. In memory, where time is virtual, there is one place.

use crate::{case::NotPassed, case_context::CaseContext, reading, result::TargetKind};
use futures::future::join_all;
use qkd_driver_kit::{
    OpenedDevice,
    wrap::fault::{FaultScript, LinkFault},
};

/// The most places of a case.
pub(crate) const MAX_LANES: usize = 20;

/// Returns whether a fault makes a call wait for its deadline.
pub(crate) fn waits(fault: LinkFault) -> bool {
    matches!(
        fault,
        LinkFault::Lost | LinkFault::Late(_) | LinkFault::CutShort | LinkFault::Slow(_)
    )
}

/// The bench of a case, and benches of the same kind whose emulators are their own.
pub(crate) struct Benches<'a> {
    own: &'a CaseContext,
    others: Vec<CaseContext>,
}

impl<'a> Benches<'a> {
    /// `count` benches, if the device is an emulator on a wire; otherwise the one that is there.
    ///
    /// # Errors
    /// `Broken` if an emulator does not start.
    pub(crate) async fn parallel(own: &'a CaseContext, count: usize) -> Result<Self, NotPassed> {
        let mut benches = Self {
            own,
            others: Vec::new(),
        };
        if own.session.dut.target_kind() == TargetKind::EmulatorOnWire {
            for _ in 1..count.min(MAX_LANES) {
                benches.others.push(
                    own.with_another_emulator()
                        .await
                        .map_err(NotPassed::Broken)?,
                );
            }
        }
        Ok(benches)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &CaseContext> {
        std::iter::once(self.own).chain(&self.others)
    }

    pub(crate) fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Gives what the others have noted to the bench of the case.
    pub(crate) fn close(self) {
        for bench in &self.others {
            self.own.merge_notes(bench);
        }
    }
}

/// A handle with the faults of its own wire.
pub(crate) struct Lane<'a> {
    pub(crate) bench: &'a CaseContext,
    pub(crate) opened: OpenedDevice,
    pub(crate) script: FaultScript,
    /// Result of the reading without a fault.
    pub(crate) right: String,
}

/// Opens a handle on each bench; of a device, at most `count`, as many as it serves: each handle
/// reads the same while all others are open.
pub(crate) async fn open<'a>(
    benches: &'a Benches<'_>,
    count: usize,
) -> Result<Vec<Lane<'a>>, NotPassed> {
    let mut lanes = Vec::new();
    for bench in benches.all() {
        lanes.push(lane(bench).await?);
    }
    let own = benches.own;
    if own.session.dut.target_kind() != TargetKind::Device {
        return Ok(lanes);
    }
    while lanes.len() < count.min(MAX_LANES) {
        // A line that is busy, or a device that has no more room.
        let Ok(next) = lane(own).await else { break };
        lanes.push(next);
    }
    let reads = join_all(lanes.iter().map(|l| reading::try_steady(own, &l.opened))).await;
    let all_right = reads
        .iter()
        .zip(&lanes)
        .all(|(read, lane)| matches!(read, Ok(Ok(read)) if *read == lane.right));
    if !all_right {
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
    let right = reading::stable_reading(bench, &opened).await?;
    Ok(Lane {
        bench,
        opened,
        script,
        right,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session;
    use qkd_emulators::profile::{self, Options, RunningEmulator};
    use std::collections::BTreeSet;
    use tokio::net::{TcpListener, TcpStream};

    /// The address of a URI, between its slashes and its parameters.
    fn address(uri: &str) -> &str {
        let socket = uri.split("://").nth(1).unwrap();
        socket.split('?').next().unwrap()
    }

    async fn count_on(uri: &str) -> usize {
        let dut = format!("profile = 'matrix-switch'\nuri = '{uri}'\ndeadline = '1s'");
        let bench = session::prepared(&dut).await.bench(None).await.unwrap();
        let benches = Benches::parallel(&bench, 5).await.unwrap();
        assert_eq!(benches.count(), 1, "a device is there once");
        open(&benches, 5).await.unwrap().len()
    }

    async fn polatis() -> RunningEmulator {
        profile::start("polatis-16x16", &Options::default().seeded(1))
            .await
            .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_bench_of_an_emulator_on_a_wire_has_its_own() {
        let dut = "profile = 'matrix-switch'\nemulator = 'polatis-16x16'\non_wire = true";
        let bench = session::prepared(dut).await.bench(None).await.unwrap();
        let benches = Benches::parallel(&bench, 3).await.unwrap();
        let addresses: BTreeSet<&str> = benches.all().map(|b| address(&b.uris()[0])).collect();
        assert_eq!(addresses.len(), 3);
        let lanes = open(&benches, 3).await.unwrap();
        assert_eq!(lanes.len(), 3);
        // The exchanges of all places are in the transcript of the case.
        let before = bench.records().len();
        drop(lanes);
        benches.close();
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
