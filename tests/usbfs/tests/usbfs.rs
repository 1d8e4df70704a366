//! Real rusb and real libusb against emulated devices, in one process.
#![allow(clippy::unwrap_used)]

use qkd_driver_kit::link::{
    Disclosure,
    usb::{BulkRead, Completion, SetupPacket, UsbLink, UsbService},
    usb_host::HostUsbLink,
};
use qkd_emulators::{
    model::random::RandomModel,
    vendor::idq_quantis::Quantis,
    wire::usb::{Chapter9, UsbModel},
};
use qkd_hal::ErrorKind;
use qkd_usbfs::plug;
use rusb::{Context, DeviceHandle, Error, UsbContext};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// 0x02 takes packets, 0x81 gives them back; vendor request 0x42 reads wValue, 0x43 makes the next
/// packet stall.
#[derive(Default)]
struct Echo {
    packets: Mutex<VecDeque<Vec<u8>>>,
    stall: Mutex<bool>,
    /// Another serial number than `SN0001`, for a test that finds its device by it.
    serial: Option<&'static str>,
}

impl UsbModel for Echo {
    fn device_descriptor(&self) -> Vec<u8> {
        vec![
            18, 1, 0, 2, 0xff, 0, 0, 64, 0x09, 0x12, 1, 0, 0, 1, 1, 2, 3, 1,
        ]
    }
    fn configuration_descriptor(&self) -> Vec<u8> {
        vec![
            9, 2, 32, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 2, 0xff, 0, 0, 0, 7, 5, 0x81, 2, 0, 2, 0,
            7, 5, 0x02, 2, 0, 2, 0,
        ]
    }
    fn string(&self, index: u8) -> Option<String> {
        ["Maker", "Echo", self.serial.unwrap_or("SN0001")]
            .get(usize::from(index) - 1)
            .map(|s| (*s).to_owned())
    }
    fn request(&self, setup: SetupPacket, _data: &[u8]) -> Completion {
        match (setup.request_type, setup.request) {
            (0xc0, 0x42) => Completion::Data(setup.value.to_le_bytes().to_vec()),
            (0x40, 0x43) => {
                *self.stall.lock().unwrap() = true;
                Completion::Accepted(0)
            }
            _ => Completion::Stall,
        }
    }
    fn read(&self, _endpoint: u8, length: usize) -> Completion {
        if std::mem::take(&mut *self.stall.lock().unwrap()) {
            return Completion::Stall;
        }
        self.packets
            .lock()
            .unwrap()
            .pop_front()
            .map_or(Completion::Pending, |mut p| {
                p.truncate(length);
                Completion::Data(p)
            })
    }
    fn write(&self, _endpoint: u8, data: &[u8]) -> Completion {
        self.packets.lock().unwrap().push_back(data.to_vec());
        Completion::Accepted(data.len())
    }
}

fn open(bus: u8, address: u8) -> DeviceHandle<Context> {
    let context = Context::new().unwrap();
    let device = context
        .devices()
        .unwrap()
        .iter()
        .find(|d| (d.bus_number(), d.address()) == (bus, address))
        .expect("libusb lists it");
    let handle = device.open().unwrap();
    handle.claim_interface(0).unwrap();
    handle
}

fn echo() -> Arc<Chapter9<Echo>> {
    Arc::new(Chapter9::new(Echo::default()))
}

#[test]
fn strings_control_and_bulk() {
    let _plugged = plug(1, 2, echo()).unwrap();
    let handle = open(1, 2);
    let descriptor = handle.device().device_descriptor().unwrap();
    assert_eq!(
        (descriptor.vendor_id(), descriptor.product_id()),
        (0x1209, 1)
    );
    assert_eq!(
        handle.read_serial_number_string_ascii(&descriptor).unwrap(),
        "SN0001"
    );
    let mut two = [0; 2];
    assert_eq!(
        handle.read_control(0xc0, 0x42, 0x1234, 0, &mut two, SECOND),
        Ok(2)
    );
    assert_eq!(two, [0x34, 0x12]);
    assert_eq!(
        handle.read_control(0xc0, 0x77, 0, 0, &mut two, SECOND),
        Err(Error::Pipe)
    );
    let mut buffer = [0; 64];
    for i in 0u32..1000 {
        assert_eq!(handle.write_bulk(2, &i.to_le_bytes(), SECOND), Ok(4));
        assert_eq!(handle.read_bulk(0x81, &mut buffer, SECOND), Ok(4));
        assert_eq!(buffer[..4], i.to_le_bytes());
    }
}

#[test]
fn a_read_without_data_times_out_without_side_effects() {
    let _plugged = plug(1, 3, echo()).unwrap();
    let handle = open(1, 3);
    let (mut buffer, start) = ([0; 64], Instant::now());
    assert_eq!(
        handle.read_bulk(0x81, &mut buffer, Duration::from_millis(50)),
        Err(Error::Timeout)
    );
    assert!((50..1000).contains(&start.elapsed().as_millis()));
    handle.write_bulk(2, b"after", SECOND).unwrap();
    assert_eq!(handle.read_bulk(0x81, &mut buffer, SECOND), Ok(5));
}

#[test]
fn a_pending_read_completes_when_data_comes() {
    let _plugged = plug(1, 4, echo()).unwrap();
    let handle = Arc::new(open(1, 4));
    let writer = handle.clone();
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        writer.write_bulk(2, b"late", SECOND).unwrap();
    });
    let mut buffer = [0; 64];
    assert_eq!(handle.read_bulk(0x81, &mut buffer, 5 * SECOND), Ok(4));
    late.join().unwrap();
}

#[test]
fn a_stall_halts_the_endpoint_until_it_is_cleared() {
    let _plugged = plug(1, 5, echo()).unwrap();
    let handle = open(1, 5);
    handle.write_bulk(2, b"x", SECOND).unwrap();
    handle.write_control(0x40, 0x43, 0, 0, &[], SECOND).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(
        handle.read_bulk(0x81, &mut buffer, SECOND),
        Err(Error::Pipe)
    );
    assert_eq!(
        handle.read_bulk(0x81, &mut buffer, SECOND),
        Err(Error::Pipe),
        "halted"
    );
    handle.clear_halt(0x81).unwrap();
    assert_eq!(handle.read_bulk(0x81, &mut buffer, SECOND), Ok(1));
}

#[test]
fn unplugging_the_device_is_reported_immediately() {
    let plugged = plug(2, 2, echo()).unwrap();
    let handle = open(2, 2);
    let puller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        drop(plugged);
    });
    let (mut buffer, start) = ([0; 64], Instant::now());
    assert_eq!(
        handle.read_bulk(0x81, &mut buffer, 10 * SECOND),
        Err(Error::NoDevice)
    );
    assert!(start.elapsed() < 5 * SECOND, "no time-out");
    puller.join().unwrap();
    assert_eq!(handle.write_bulk(2, b"x", SECOND), Err(Error::NoDevice));
    drop(handle);
    assert!(
        Context::new()
            .unwrap()
            .devices()
            .unwrap()
            .iter()
            .all(|d| (d.bus_number(), d.address()) != (2, 2))
    );
    let _again = plug(2, 2, echo()).unwrap();
    open(2, 2).write_bulk(2, b"x", SECOND).unwrap();
}

#[test]
fn parallel_devices_do_not_mix() {
    thread::scope(|scope| {
        for address in 2..6 {
            scope.spawn(move || {
                let _plugged = plug(3, address, echo()).unwrap();
                let handle = open(3, address);
                let mut buffer = [0; 64];
                for _ in 0..200 {
                    handle.write_bulk(2, &[address; 9], SECOND).unwrap();
                    assert_eq!(handle.read_bulk(0x81, &mut buffer, SECOND), Ok(9));
                    assert_eq!(buffer[..9], [address; 9]);
                }
            });
        }
    });
}

#[test]
fn an_address_holds_one_device() {
    let _plugged = plug(4, 2, echo()).unwrap();
    assert!(plug(4, 2, echo()).is_err());
    assert!(plug(4, 1, echo()).is_err(), "the root hub's");
}

#[test]
fn a_quantis_delivers_the_bytes_of_its_model() {
    let device = Arc::new(Chapter9::new(Quantis::new(Arc::new(RandomModel::new(
        3,
        "FFFFFFFFFF",
    )))));
    let service: Arc<dyn UsbService> = device.clone();
    let _plugged = plug(5, 2, service).unwrap();
    let handle = open(5, 2);
    let descriptor = handle.device().device_descriptor().unwrap();
    assert_eq!(
        (descriptor.vendor_id(), descriptor.product_id()),
        (0x0aba, 0x0102)
    );
    assert_eq!(
        handle.read_product_string_ascii(&descriptor).unwrap(),
        "Quantis USB"
    );
    let mut status = [0; 1];
    let mut state = || {
        handle
            .read_control(0xc1, 0x13, 0, 0, &mut status, SECOND)
            .unwrap();
        status[0]
    };
    assert_eq!(state(), 1);
    handle.write_control(0x41, 0x11, 0, 0, &[], SECOND).unwrap();
    assert_eq!(state(), 0, "disabled");
    let mut packet = [0; 512];
    assert_eq!(
        handle.read_bulk(0x86, &mut packet, Duration::from_millis(30)),
        Err(Error::Timeout)
    );
    handle.write_control(0x41, 0x12, 0, 0, &[], SECOND).unwrap();
    assert_eq!(handle.read_bulk(0x86, &mut packet, SECOND), Ok(512));
    let mut same = [0; 512];
    RandomModel::new(3, "").fill(&mut same);
    assert_eq!(packet, same);
    device.model().shorten_next();
    assert_eq!(handle.read_bulk(0x86, &mut packet, SECOND), Ok(256));
    device.model().stall_next();
    assert_eq!(
        handle.read_bulk(0x86, &mut packet, SECOND),
        Err(Error::Pipe)
    );
    handle.clear_halt(0x86).unwrap();
    assert_eq!(handle.read_bulk(0x86, &mut packet, SECOND), Ok(512));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_of_the_link_that_is_not_answered_is_cancelled_and_leaves_the_next_its_own_data()
{
    let echo = Echo {
        serial: Some("SN0009"),
        ..Echo::default()
    };
    let _plugged = plug(1, 9, Arc::new(Chapter9::new(echo))).unwrap();
    let link = HostUsbLink::open(0x1209, 1, 0, Some("SN0009"), SECOND)
        .await
        .unwrap();
    let read = |within| BulkRead {
        endpoint: 0x81,
        chunk: 64,
        count: 1,
        within,
        disclosure: Disclosure::Public,
    };
    for n in 0u8..3 {
        let error = link
            .bulk_in(read(Duration::from_millis(50)))
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        link.bulk_out(2, &[n; 5], SECOND, Disclosure::Public)
            .await
            .unwrap();
        assert_eq!(link.bulk_in(read(SECOND)).await.unwrap().to_vec(), [n; 5]);
    }
}
