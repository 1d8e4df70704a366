//! USB bulk reads through `rusb` and the kit, against synchronous libusb on the same path: libusb
//! itself, with usbfs answered in process.

use crate::tool::{current_thread, row};
use qkd_driver_kit::link::{
    Disclosure,
    usb::{BulkRead, Completion, SetupPacket, UsbLink, UsbService},
    usb_host::HostUsbLink,
};
use rusb::UsbContext;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const VENDOR: u16 = 0x1209;
const PRODUCT: u16 = 0x0001;
const CHUNK: usize = 16 * 1024;
const COUNT: usize = 1024;

/// A device that always has data.
struct Source;

impl UsbService for Source {
    fn control(&self, setup: SetupPacket, _data: &[u8]) -> Completion {
        let cut = |mut v: Vec<u8>| {
            v.truncate(usize::from(setup.length));
            Completion::Data(v)
        };
        match (setup.request_type, setup.request, setup.value >> 8) {
            (0x80, 6, 1) => cut(self.descriptors().0),
            (0x80, 6, 2) => cut(self.descriptors().1),
            (0x80, 6, 3) if setup.value & 0xff == 0 => cut(vec![4, 3, 9, 4]),
            (0x80, 6, 3) => cut(vec![4, 3, b'x', 0]),
            (0x80, 8, _) => cut(vec![1]),
            (0, 9, _) | (1, 11, _) => Completion::Accepted(0),
            _ => Completion::Stall,
        }
    }
    fn read(&self, _endpoint: u8, length: usize) -> Completion {
        Completion::Data(vec![0x55; length])
    }
    fn write(&self, _endpoint: u8, data: &[u8]) -> Completion {
        Completion::Accepted(data.len())
    }
    fn descriptors(&self) -> (Vec<u8>, Vec<u8>) {
        let device = vec![
            18, 1, 0, 2, 0xff, 0, 0, 64, 0x09, 0x12, 1, 0, 0, 1, 1, 2, 3, 1,
        ];
        let configuration = vec![
            9, 2, 25, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 1, 0xff, 0, 0, 0, 7, 5, 0x81, 2, 0, 2, 0,
        ];
        (device, configuration)
    }
    fn generation(&self) -> u64 {
        0
    }
    fn changed(&self, _seen: u64, at_most: Duration) {
        std::thread::sleep(at_most);
    }
}

fn raw() -> Duration {
    let context = rusb::Context::new().expect("libusb");
    let devices = context.devices().expect("devices");
    let device = devices
        .iter()
        .find(|d| d.device_descriptor().is_ok_and(|d| d.vendor_id() == VENDOR))
        .expect("the device");
    let handle = device.open().expect("it opens");
    handle.claim_interface(0).expect("its interface");
    // Both sides hand over memory of their own: making it counts on both.
    let begun = Instant::now();
    let mut buffer = vec![0; CHUNK * COUNT];
    for chunk in buffer.chunks_exact_mut(CHUNK) {
        assert_eq!(
            handle.read_bulk(0x81, chunk, Duration::from_secs(1)),
            Ok(CHUNK)
        );
    }
    begun.elapsed()
}

fn ours() -> Duration {
    current_thread().block_on(async {
        let link = HostUsbLink::open(VENDOR, PRODUCT, 0, None, Duration::from_secs(5))
            .await
            .expect("it opens");
        let begun = Instant::now();
        let read = BulkRead {
            endpoint: 0x81,
            chunk: CHUNK,
            count: COUNT,
            within: Duration::from_secs(1),
            disclosure: Disclosure::Undeclared,
        };
        let data = link.bulk_in(read).await.expect("data");
        let took = begun.elapsed();
        assert_eq!(data.len(), CHUNK * COUNT);
        link.close().await;
        took
    })
}

pub(crate) fn run(scale: u32) {
    let _plugged = qkd_usbfs::plug(1, 2, Arc::new(Source));
    let mut pairs: Vec<(f64, Duration, Duration)> = (0..(21 / scale).max(3))
        .map(|_| {
            // A thread of its own, as the kit's owner has: a fresh thread's memory is not that of
            // the last run.
            let raw = std::thread::spawn(raw).join().expect("the thread ends");
            let ours = ours();
            (raw.as_secs_f64() / ours.as_secs_f64(), ours, raw)
        })
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, ours, raw) = pairs[pairs.len() / 2];
    let rate = |t: Duration| {
        format!(
            "{:.0} MiB/s",
            (CHUNK * COUNT) as f64 / (1024.0 * 1024.0) / t.as_secs_f64()
        )
    };
    row(
        "USB bulk, 16 MiB in transfers of 16 KiB, throughput",
        &rate(ours),
        &format!("{} (synchronous libusb)", rate(raw)),
        Some(ratio),
        "≥ 0.95",
    );
}
