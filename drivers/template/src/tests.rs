//! The driver against a few scripted lines, in memory and under paused time.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::memory::{Endpoint, MemoryConnector},
};
use qkd_hal::{DeviceMisbehaved, ErrorKind};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// Answers that come instead of the right ones; an empty one is silence.
type PeerFaults = Arc<Mutex<VecDeque<&'static str>>>;

async fn open() -> (OpenedDevice, PeerFaults) {
    let (position, faults) = (Arc::new(Mutex::new(1)), PeerFaults::default());
    let served = (position, Arc::clone(&faults));
    let endpoint = MemoryConnector::new("switch", move |far| {
        let (position, faults) = served.clone();
        tokio::spawn(async move {
            let mut far = BufReader::new(far);
            let mut line = String::new();
            while far.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                let reply = match (line.trim(), faults.lock().unwrap().pop_front()) {
                    (_, Some(fault)) => fault.to_owned(),
                    ("P?", _) => format!("P{}\r\n", position.lock().unwrap()),
                    (set, _) => {
                        *position.lock().unwrap() = set[1..].parse::<u32>().unwrap();
                        "OK\r\n".to_owned()
                    }
                };
                line.clear();
                if far.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    });
    let context = OpenContext::new().with_memory("switch", Endpoint::Bytes(Arc::new(endpoint)));
    (
        Registry::new()
            .with(driver())
            .open("template+mem://switch", &context)
            .await
            .unwrap(),
        faults,
    )
}

#[tokio::test(start_paused = true)]
async fn it_moves_and_verifies() {
    let (opened, _) = open().await;
    let switch = opened.switch().unwrap();
    let wanted = "common-3".parse().unwrap();
    let plan = switch.plan().to(wanted).build().await.unwrap();
    assert!(switch.apply(&plan).await.unwrap().verified);
    assert_eq!(
        switch.connections().await.unwrap().value.to_string(),
        "common-3"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_reported_and_the_next_call_works() {
    let (opened, faults) = open().await;
    let switch = opened.switch().unwrap();
    for (fault, kind) in [
        (
            "OK\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
        (
            "P9\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        ("", ErrorKind::Timeout),
    ] {
        faults.lock().unwrap().push_back(fault);
        assert_eq!(switch.connections().await.unwrap_err().kind(), kind);
        assert_eq!(
            switch.connections().await.unwrap().value.to_string(),
            "common-1"
        );
    }
}
