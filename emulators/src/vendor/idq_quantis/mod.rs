//! ID Quantique Quantis USB.
//!
//! Sources: IDQ's own open library 20.2 (`QuantisUsb_Commands.h`, `QuantisUsb_Unix.c`, BSD-3-Clause
//! or GPL-2.0), which names the requests below; the `lsusb` dump in Nicos Panayides' libquantisusb
//! (BSD-2-Clause), the source of the descriptors.
//!
//! Chosen by this project, because the sources do not specify it: board version and rate are
//! parameters; a request of another kind stalls; a bulk read of another size than the packet's
//! returns as many whole packets as fit, and a read of less than one packet returns that many
//! bytes; a disabled or failed module returns no data (the endpoint waits).

pub(super) mod profile;

use crate::{model::random::RandomModel, wire::usb::UsbModel};
use qkd_driver_kit::link::usb::{Completion, SetupPacket};
use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// `idVendor` 0x0ABA, `idProduct` 0x0102; strings 1 to 3.
const DEVICE: [u8; 18] = [
    0x12, 0x01, 0x00, 0x02, 0xff, 0x00, 0x00, 0x40, 0xba, 0x0a, 0x02, 0x01, 0x00, 0x02, 0x01, 0x02,
    0x03, 0x01,
];
/// One interface with one bulk endpoint, 0x86, of 512 bytes; 300 mA.
const CONFIGURATION: [u8; 25] = [
    0x09, 0x02, 0x19, 0x00, 0x01, 0x01, 0x00, 0x80, 0x96, 0x09, 0x04, 0x00, 0x00, 0x01, 0xff, 0x00,
    0x00, 0x00, 0x07, 0x05, 0x86, 0x02, 0x00, 0x02, 0x00,
];
const ENDPOINT: u8 = 0x86;
const PACKET: usize = 512;

/// Values of bRequest, from `QuantisUsb_Commands.h`.
mod request {
    pub(super) const GET_BOARD_VERSION: u8 = 0x10;
    pub(super) const MODULE_DISABLE: u8 = 0x11;
    pub(super) const MODULE_ENABLE: u8 = 0x12;
    pub(super) const GET_MODULES_STATUS: u8 = 0x13;
    pub(super) const GET_MODULES_POWER: u8 = 0x14;
    pub(super) const GET_MODULES_MASK: u8 = 0x15;
    pub(super) const GET_MODULES_RATE: u8 = 0x16;
    pub(super) const GET_AIS31_FLAG: u8 = 0x17;
    pub(super) const CLEAR_AIS31_FLAG: u8 = 0x18;
}

/// Fault of the next transfer.
const RIGHT: u8 = 0;
const SHORT: u8 = 1;
const STALL: u8 = 2;

/// Model of a Quantis USB.
pub struct Quantis {
    random: Arc<RandomModel>,
    next: AtomicU8,
}

impl Quantis {
    /// In front of a model.
    #[must_use]
    pub fn new(random: Arc<RandomModel>) -> Self {
        Self {
            random,
            next: AtomicU8::new(RIGHT),
        }
    }
    /// The next bulk transfer is one packet short.
    pub fn shorten_next(&self) {
        self.next.store(SHORT, Ordering::Relaxed);
    }
    /// The next bulk transfer stalls.
    pub fn stall_next(&self) {
        self.next.store(STALL, Ordering::Relaxed);
    }
}

impl UsbModel for Quantis {
    fn device_descriptor(&self) -> Vec<u8> {
        DEVICE.to_vec()
    }
    fn configuration_descriptor(&self) -> Vec<u8> {
        CONFIGURATION.to_vec()
    }
    fn string(&self, index: u8) -> Option<String> {
        match index {
            1 => Some("id Quantique".into()),
            2 => Some("Quantis USB".into()),
            3 => Some(self.random.serial()),
            _ => None,
        }
    }

    fn request(&self, setup: SetupPacket, _data: &[u8]) -> Completion {
        let r = &self.random;
        match (setup.request_type, setup.request) {
            (0xc1, request::GET_BOARD_VERSION) => {
                Completion::Data(r.board_version().to_le_bytes().to_vec())
            }
            // The vendor's library writes with 0x41; the BSD driver sends the same two as reads
            // without data.
            (0x41 | 0xc1, request::MODULE_DISABLE) => {
                r.set_enabled(false);
                Completion::Accepted(0)
            }
            (0x41 | 0xc1, request::MODULE_ENABLE) => {
                r.set_enabled(true);
                Completion::Accepted(0)
            }
            (0xc1, request::GET_MODULES_STATUS) => Completion::Data(vec![u8::from(r.is_working())]),
            (0xc1, request::GET_MODULES_POWER) => Completion::Data(vec![u8::from(r.is_enabled())]),
            (0xc1, request::GET_MODULES_MASK) => Completion::Data(vec![1]),
            (0xc1, request::GET_MODULES_RATE) => {
                Completion::Data(r.rate_kbit().to_le_bytes().to_vec())
            }
            (0xc1, request::GET_AIS31_FLAG) => {
                Completion::Data(vec![u8::from(r.tests_requested())])
            }
            (0x41, request::CLEAR_AIS31_FLAG) => {
                r.clear_tests_request();
                Completion::Accepted(0)
            }
            _ => Completion::Stall,
        }
    }

    fn read(&self, endpoint: u8, length: usize) -> Completion {
        if endpoint != ENDPOINT {
            return Completion::Stall;
        }
        if !self.random.is_working() {
            return Completion::Pending;
        }
        let whole = if length < PACKET {
            length
        } else {
            length - length % PACKET
        };
        let mut bytes = vec![0; whole];
        self.random.fill(&mut bytes);
        match self.next.swap(RIGHT, Ordering::Relaxed) {
            SHORT => bytes.truncate(whole.saturating_sub(PACKET / 2)),
            STALL => return Completion::Stall,
            _ => {}
        }
        Completion::Data(bytes)
    }

    fn write(&self, _endpoint: u8, _data: &[u8]) -> Completion {
        Completion::Stall
    }
}
