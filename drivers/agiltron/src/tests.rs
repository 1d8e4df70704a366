//! The driver against a few scripted bytes, in memory and under paused time.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        memory::{Endpoint, MemoryConnector},
        scripted::plan,
    },
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, Operation, Result, Support, TransportFault,
    reading::Quality,
};
use qkd_switch_hal::{CrossConnects, Plan};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

enum PeerFault {
    Answer([u8; 4]),
    Drop,
    Delay,
    Reset,
    Duplicate,
}

#[derive(Default)]
struct Sim {
    channel: u8,
    faults: VecDeque<PeerFault>,
    seen: Vec<[u8; 4]>,
}

fn answer(sim: &mut Sim, f: [u8; 4]) -> Option<[u8; 4]> {
    match f[1] {
        0x11 => Some([1, 0x11, 0, sim.channel]),
        0x12 => {
            sim.channel = f[3];
            Some(f)
        }
        0x35 => {
            sim.channel = f[3] + 1;
            Some([1, 0x35, 0xff, 0xff])
        }
        _ => None,
    }
}

async fn open(query: &str) -> (Result<OpenedDevice>, Arc<Mutex<Sim>>) {
    let sim = Arc::new(Mutex::new(Sim {
        channel: 2,
        ..Sim::default()
    }));
    let served = Arc::clone(&sim);
    let endpoint = MemoryConnector::new("switch", move |mut far| {
        let sim = Arc::clone(&served);
        tokio::spawn(async move {
            let mut frame = [0; 4];
            while far.read_exact(&mut frame).await.is_ok() {
                let (fault, reply) = {
                    let mut sim = sim.lock().unwrap();
                    sim.seen.push(frame);
                    (sim.faults.pop_front(), answer(&mut sim, frame))
                };
                let reply = match fault {
                    Some(PeerFault::Reset) => return,
                    Some(PeerFault::Drop) => continue,
                    Some(PeerFault::Answer(bytes)) => bytes.to_vec(),
                    Some(PeerFault::Duplicate) => [reply.unwrap(), reply.unwrap()].concat(),
                    Some(PeerFault::Delay) => {
                        tokio::time::sleep(Duration::from_millis(5_100)).await;
                        reply.unwrap().to_vec()
                    }
                    None => reply.unwrap_or_default().to_vec(),
                };
                if far.write_all(&reply).await.is_err() {
                    return;
                }
            }
        });
    });
    let context = OpenContext::new().with_memory("switch", Endpoint::Bytes(Arc::new(endpoint)));
    (
        Registry::new()
            .with(driver())
            .open(&format!("agiltron+mem://switch?{query}"), &context)
            .await,
        sim,
    )
}

fn state(text: &str) -> CrossConnects {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn ff_moves_and_verifies() {
    let (opened, sim) = open("model=ff&channels=8").await;
    let opened = opened.unwrap();
    let switch = opened.switch().unwrap();
    assert_eq!(switch.connections().await.unwrap().value, state("common-2"));
    let applied = switch
        .apply(&plan(&opened, "common-7").await.unwrap())
        .await
        .unwrap();
    assert!(applied.verified && sim.lock().unwrap().channel == 7);
    assert_eq!(
        switch.identity().await.unwrap().to_string(),
        "Agiltron FF 1x8"
    );
    assert_eq!(
        switch.capabilities().supports(Operation::Identity),
        Support::Emulated
    );
}

#[tokio::test(start_paused = true)]
async fn ff_refuses_a_plan_for_a_state_that_has_moved_on() {
    let (opened, sim) = open("model=ff&channels=8").await;
    let opened = opened.unwrap();
    let plan = plan(&opened, "common-7").await.unwrap();
    sim.lock().unwrap().channel = 3;
    assert_eq!(
        opened
            .switch()
            .unwrap()
            .apply(&plan)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::StateChanged
    );
    assert_eq!(sim.lock().unwrap().channel, 3);
}

#[tokio::test(start_paused = true)]
async fn mismatched_late_duplicated_and_missing_replies_fail_only_one_call() {
    let (opened, sim) = open("model=ff&channels=8").await;
    let opened = opened.unwrap();
    let switch = opened.switch().unwrap();
    for (fault, kind) in [
        (
            PeerFault::Answer([1, 0x12, 0, 5]),
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
        ),
        (
            PeerFault::Answer([1, 0x11, 0, 9]),
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (
            PeerFault::Answer([1, 0x11, 0, 0]),
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (PeerFault::Drop, ErrorKind::Timeout),
        (PeerFault::Delay, ErrorKind::Timeout),
        (
            PeerFault::Reset,
            ErrorKind::Transport(TransportFault::HungUp),
        ),
    ] {
        sim.lock().unwrap().faults.push_back(fault);
        assert_eq!(switch.connections().await.unwrap_err().kind(), kind);
        assert_eq!(switch.connections().await.unwrap().value, state("common-2"));
    }
    sim.lock().unwrap().faults.push_back(PeerFault::Duplicate);
    assert_eq!(switch.connections().await.unwrap().value, state("common-2"));
    let to_4 = plan(&opened, "common-4").await.unwrap();
    assert!(switch.apply(&to_4).await.unwrap().verified);
}

#[tokio::test(start_paused = true)]
async fn ff_with_another_echo_is_not_taken_for_done() {
    let (opened, sim) = open("model=ff&channels=8").await;
    let opened = opened.unwrap();
    let plan = plan(&opened, "common-7").await.unwrap();
    // The reading before the set is answered as ever; the set is echoed wrongly.
    sim.lock().unwrap().faults.extend([
        PeerFault::Answer([1, 0x11, 0, 2]),
        PeerFault::Answer([1, 0x12, 0, 6]),
    ]);
    let error = opened.switch().unwrap().apply(&plan).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest)
    );
    assert_eq!(error.effect(), Effect::Partial, "it did move: {error}");
}

#[tokio::test(start_paused = true)]
async fn self_align_never_reports_an_unread_position() {
    let (opened, sim) = open("model=selfalign&channels=16").await;
    let opened = opened.unwrap();
    let switch = opened.switch().unwrap();
    assert!(sim.lock().unwrap().seen.is_empty(), "opening sends nothing");
    assert_eq!(
        switch.connections().await.unwrap_err().kind(),
        ErrorKind::NotReady
    );
    assert_eq!(
        switch.health().await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let who = switch.identity().await.unwrap();
    let blind = Plan::unverified(
        &who,
        &switch.switch_capabilities().geometry,
        &state("common-14"),
    )
    .unwrap();
    let applied = switch.apply(&blind).await.unwrap();
    assert_eq!(
        (applied.verified, sim.lock().unwrap().seen.last().copied()),
        (false, Some([1, 0x35, 0, 13]))
    );
    let known = switch.connections().await.unwrap();
    assert_eq!(
        (known.value, known.quality),
        (state("common-14"), Quality::Stale)
    );
    let next = plan(&opened, "common-1").await.unwrap();
    sim.lock().unwrap().faults.push_back(PeerFault::Drop);
    let error = switch.apply(&next).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Timeout, Effect::Unknown)
    );
    assert_eq!(
        switch.connections().await.unwrap_err().kind(),
        ErrorKind::NotReady
    );
    assert_eq!(
        switch.apply(&next).await.unwrap_err().kind(),
        ErrorKind::StateChanged
    );
    switch.apply(&blind).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn values_that_the_device_does_not_report_must_be_configured() {
    for query in [
        "model=ff",
        "channels=8",
        "model=mems&channels=8",
        "model=ff&channels=1",
        "model=ff&channels=256",
        "model=selfalign&channels=x",
    ] {
        assert_eq!(
            open(query).await.0.unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{query}"
        );
    }
    // A device with more channels than configured.
    let (opened, _) = open("model=ff&channels=2").await;
    opened.unwrap();
}
