//! Over real wires, where paused time cannot go: pseudo-terminals, TCP, USB/IP, and libusb with
//! usbfs answered in process.

use qkd_driver_kit::{
    OpenContext,
    link::{memory::Endpoint, usb::UsbService},
};
use qkd_emulators::{
    model::random::RandomModel, profile::Options, profiles, vendor::idq_quantis::Quantis,
    wire::usb::Chapter9,
};
use qkd_hal::{DeviceMisbehaved, ErrorKind, TransportFault};
use qkd_switch_hal::{CrossConnect, Plan};
use std::sync::Arc;

async fn open(uri: &str) -> qkd_hal::Result<qkd_driver_kit::OpenedDevice> {
    qkd_hardware::registry()
        .open(uri, &OpenContext::new())
        .await
}

#[tokio::test]
async fn a_polatis_on_two_wires_is_one_switch() {
    let running = profiles::start("polatis-16x16", &Options::default())
        .await
        .unwrap();
    let (tcp, serial) = (
        open(&running.ready().uris[0])
            .await
            .unwrap()
            .switch()
            .unwrap(),
        open(&running.ready().uris[1])
            .await
            .unwrap()
            .switch()
            .unwrap(),
    );
    let geometry = tcp.switch_capabilities().geometry;
    let present = tcp.connections().await.unwrap().value;
    let wanted = present
        .with_changes(
            &geometry,
            &[],
            &[CrossConnect::new(1, 17), CrossConnect::new(2, 30)],
        )
        .unwrap();
    let plan = tcp.plan().to(wanted.clone()).build().await.unwrap();
    tcp.apply(&plan).await.unwrap();
    assert_eq!(serial.connections().await.unwrap().value, wanted);
    assert_eq!(
        open(&running.ready().uris[1]).await.unwrap_err().kind(),
        ErrorKind::Busy,
        "the console has one user"
    );
}

#[tokio::test]
async fn a_wrong_line_speed_is_reported_within_the_deadline_without_side_effects() {
    let running = profiles::start("polatis-16x16", &Options::default())
        .await
        .unwrap();
    let path = &running.ready().endpoints[1].address;
    // 250000 is not a standard speed.
    for baud in [9600, 115_200, 250_000] {
        let begun = std::time::Instant::now();
        let error = open(&format!(
            "polatis+serial://{path}?baud={baud}&deadline=400ms"
        ))
        .await
        .unwrap_err();
        assert!(begun.elapsed().as_secs() < 2);
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Timeout
                    | ErrorKind::Transport(TransportFault::Framing)
                    | ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply)
            ),
            "{baud}: {error}"
        );
        assert!(error.message().contains("baud="), "{error}");
    }
    let right = open(&format!("polatis+serial://{path}")).await.unwrap();
    assert!(
        right
            .switch()
            .unwrap()
            .connections()
            .await
            .unwrap()
            .value
            .is_empty(),
        "noise has moved nothing"
    );
}

#[tokio::test]
async fn an_agiltron_on_its_line() {
    for name in ["agiltron-ff", "agiltron-selfalign"] {
        let running = profiles::start(name, &Options::default()).await.unwrap();
        let switch = open(&running.ready().uri).await.unwrap().switch().unwrap();
        let geometry = switch.switch_capabilities().geometry;
        let identity = switch
            .identity()
            .await
            .unwrap_or_else(|_| qkd_hal::Identity::new("Agiltron"));
        let wanted: qkd_switch_hal::CrossConnects = "common-3".parse().unwrap();
        let plan = if name == "agiltron-ff" {
            switch.plan().to(wanted.clone()).build().await.unwrap()
        } else {
            Plan::unverified(&identity, &geometry, &wanted).unwrap()
        };
        switch.apply(&plan).await.unwrap();
        assert_eq!(switch.connections().await.unwrap().value, wanted);
    }
}

#[tokio::test]
async fn a_quantis_over_usb_ip_until_it_is_pulled_out() {
    let running = profiles::start("idq-quantis", &Options::default())
        .await
        .unwrap();
    let source = open(&running.ready().uri).await.unwrap().random().unwrap();
    let (a, b) = (
        source.random(1000).await.unwrap(),
        source.random(1000).await.unwrap(),
    );
    assert!(a.len() == 1000 && a != b);
    running.fault("fail").unwrap();
    assert_eq!(
        source.random(512).await.unwrap_err().kind(),
        ErrorKind::NotReady
    );
    running.fault("clear").unwrap();
    running.fault("short").unwrap();
    assert_eq!(
        source.random(512).await.unwrap_err().kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ShortPacket)
    );
    source.random(512).await.unwrap();
    running.fault("stall").unwrap();
    assert_eq!(
        source.random(512).await.unwrap_err().kind(),
        ErrorKind::Transport(TransportFault::Stall)
    );
    source.random(512).await.unwrap();
    running.fault("unplug").unwrap();
    let begun = std::time::Instant::now();
    assert!(matches!(
        source.random(512).await.unwrap_err().kind(),
        ErrorKind::Transport(TransportFault::Unplugged)
            | ErrorKind::Unreachable
            | ErrorKind::NotFound
    ));
    assert!(begun.elapsed().as_secs() < 2, "no time-out");
    running.fault("clear").unwrap();
    source.random(512).await.unwrap();
    drop(running);
    let error = source.random(512).await.unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Transport(TransportFault::HungUp) | ErrorKind::Unreachable
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quantis_in_memory_works_again_after_a_stall() {
    let device = Arc::new(Chapter9::new(Quantis::new(Arc::new(RandomModel::new(
        3, "QRNG-7",
    )))));
    let context = OpenContext::new().with_memory(
        "device",
        Endpoint::Usb(Arc::clone(&device) as Arc<dyn UsbService>),
    );
    let source = qkd_hardware::registry()
        .open("idq-quantis+mem://device", &context)
        .await
        .unwrap()
        .random()
        .unwrap();
    device.model().stall_next();
    assert_eq!(
        source.random(512).await.unwrap_err().kind(),
        ErrorKind::Transport(TransportFault::Stall)
    );
    assert_eq!(source.random(512).await.unwrap().len(), 512);
}

#[tokio::test]
async fn a_quantis_through_libusb_until_it_is_pulled_out() {
    let random = Arc::new(RandomModel::new(3, "QRNG-7"));
    let device = Arc::new(Chapter9::new(Quantis::new(Arc::clone(&random))));
    let plugged = qkd_usbfs::plug(7, 2, Arc::clone(&device) as Arc<dyn UsbService>).unwrap();
    let opened = open("idq-quantis+usb:///?serial=QRNG-7").await.unwrap();
    let source = opened.random().unwrap();
    assert_eq!(
        source.identity().await.unwrap().serial.as_deref(),
        Some("QRNG-7")
    );
    assert_eq!(source.random(100_000).await.unwrap().len(), 100_000);
    device.model().stall_next();
    assert_eq!(
        source.random(512).await.unwrap_err().kind(),
        ErrorKind::Transport(TransportFault::Stall)
    );
    source.random(512).await.unwrap();
    assert_eq!(
        open("idq-quantis+usb:///?serial=OTHER")
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Unreachable
    );
    drop(plugged);
    let begun = std::time::Instant::now();
    let error = source.random(512).await.unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Transport(TransportFault::Unplugged) | ErrorKind::Unreachable
        ),
        "{error}"
    );
    assert!(begun.elapsed().as_secs() < 2, "no time-out");
}
