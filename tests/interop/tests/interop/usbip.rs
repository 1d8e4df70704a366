//! Transfers over USB/IP that the device does not answer, or answers too late.

use qkd_driver_kit::link::{
    Disclosure,
    usb::{BulkRead, SetupPacket, UsbLink},
    usbip::UsbIpLink,
};
use qkd_emulators::{
    profile::{Options, RunningEmulator},
    profiles,
};
use qkd_hal::{ErrorKind, TransportFault};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

/// Passes bytes on and counts connections.
async fn counting_relay(server: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let mut far = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, count)
}

async fn device() -> (RunningEmulator, Arc<UsbIpLink>, Arc<AtomicUsize>) {
    let running = profiles::start("idq-quantis", &Options::default())
        .await
        .unwrap();
    let server = running.ready().endpoints[0].address.clone();
    let server = server.split('/').next().unwrap().to_owned();
    let (address, count) = counting_relay(server).await;
    let link = UsbIpLink::open(&address, "1-1", 0x0aba, 0x0102, LONG)
        .await
        .unwrap();
    (running, link, count)
}

fn read(within: Duration) -> BulkRead {
    BulkRead {
        endpoint: 0x86,
        chunk: 512,
        count: 1,
        within,
        disclosure: Disclosure::Public,
    }
}

/// The board's version: a control transfer with a known answer.
async fn version(link: &UsbIpLink) -> Vec<u8> {
    let setup = SetupPacket {
        request_type: 0xc1,
        request: 0x10,
        value: 0,
        index: 0,
        length: 4,
    };
    link.control_in(setup, LONG, Disclosure::Public)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_without_an_answer_is_cancelled_and_the_connection_kept() {
    let (running, link, connections) = device().await;
    let known = version(&link).await;
    running.fault("operator=disable").unwrap();
    for _ in 0..3 {
        let error = link.bulk_in(read(SHORT)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    }
    running.fault("operator=enable").unwrap();
    assert_eq!(link.bulk_in(read(LONG)).await.unwrap().len(), 512);
    assert_eq!(
        version(&link).await,
        known,
        "each transfer gets its own data"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_during_cancellation_reaches_no_other_transfer() {
    let (running, link, connections) = device().await;
    let known = version(&link).await;
    running.fault("delay=400ms@once").unwrap();
    let error = link.bulk_in(read(SHORT)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert_eq!(
        version(&link).await,
        known,
        "each transfer gets its own data"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_device_is_reported_as_unplugged() {
    let (running, link, _) = device().await;
    running.fault("unplug").unwrap();
    let error = link.bulk_in(read(LONG)).await.unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::Transport(TransportFault::Unplugged),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_hangs_up() {
    let (running, link, _) = device().await;
    running.fault("operator=disable").unwrap();
    let pending = tokio::spawn({
        let link = Arc::clone(&link);
        async move { link.bulk_in(read(LONG)).await }
    });
    tokio::task::yield_now().await;
    drop(running);
    let error = pending.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error.kind,
            ErrorKind::Transport(TransportFault::HungUp) | ErrorKind::Unreachable
        ),
        "{error}"
    );
}
