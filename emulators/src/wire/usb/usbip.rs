//! USB/IP server, version 1.1.1, for one device. Source: Documentation/usb/usbip_protocol.rst of
//! the Linux kernel. All numbers are big-endian except the SETUP packet and descriptors.

use crate::{
    fault::TextFormat,
    wire::{Reply, Session},
};
use qkd_driver_kit::link::usb::{Completion, SetupPacket, UsbService};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

const VERSION: u16 = 0x0111;
const OP_REQ_DEVLIST: u16 = 0x8005;
const OP_REP_DEVLIST: u16 = 0x0005;
const OP_REQ_IMPORT: u16 = 0x8003;
const OP_REP_IMPORT: u16 = 0x0003;
const USBIP_CMD_SUBMIT: u32 = 1;
const USBIP_CMD_UNLINK: u32 = 2;
const USBIP_RET_SUBMIT: u32 = 3;
const USBIP_RET_UNLINK: u32 = 4;
/// Header of a command and of its return.
const HEADER: usize = 48;
/// The longest transfer; more is a broken client.
const MAX_TRANSFER_BYTES: usize = 1 << 20;
/// Maximum number of transfers that wait at a time.
const MAX_PENDING_TRANSFERS: usize = 256;
/// High speed (`enum usb_device_speed`).
const HIGH_SPEED: u32 = 3;

/// errno of Linux, as the protocol carries it.
const EPIPE: i32 = 32;
const ENODEV: i32 = 19;
const ECONNRESET: i32 = 104;
const EOVERFLOW: i32 = 75;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

fn text(text: &str, length: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(length, 0);
    bytes
}

/// A command, as far as it is there.
#[derive(Debug, PartialEq)]
enum Command {
    Incomplete,
    Broken,
    List,
    Import(String),
    Submit {
        sequence: u32,
        endpoint: u8,
        input: bool,
        length: usize,
        setup: [u8; 8],
        data: std::ops::Range<usize>,
    },
    Unlink {
        sequence: u32,
        victim: u32,
    },
}

/// The first command in `bytes`, and how many bytes it has.
fn decode(bytes: &[u8], imported: bool) -> (Command, usize) {
    if !imported {
        let Some(head) = bytes.first_chunk::<8>() else {
            return (Command::Incomplete, 0);
        };
        return match (
            u16::from_be_bytes([head[0], head[1]]),
            u16::from_be_bytes([head[2], head[3]]),
        ) {
            (VERSION, OP_REQ_DEVLIST) => (Command::List, 8),
            (VERSION, OP_REQ_IMPORT) => match bytes.get(8..40) {
                None => (Command::Incomplete, 0),
                Some(id) => (
                    Command::Import(
                        String::from_utf8_lossy(id)
                            .trim_end_matches('\0')
                            .to_owned(),
                    ),
                    40,
                ),
            },
            _ => (Command::Broken, 0),
        };
    }
    let Some(head) = bytes.first_chunk::<HEADER>() else {
        return (Command::Incomplete, 0);
    };
    let sequence = u32_at(head, 4);
    match u32_at(head, 0) {
        USBIP_CMD_UNLINK => (
            Command::Unlink {
                sequence,
                victim: u32_at(head, 20),
            },
            HEADER,
        ),
        USBIP_CMD_SUBMIT => {
            let input = u32_at(head, 12) == 1;
            let length = u32_at(head, 24) as usize;
            let packets = u32_at(head, 32);
            // number_of_packets is 0 or -1 unless the transfer is isochronous, which no emulated
            // device supports.
            if length > MAX_TRANSFER_BYTES
                || u32_at(head, 16) > 15
                || !matches!(packets, 0 | u32::MAX)
            {
                return (Command::Broken, 0);
            }
            let end = if input { HEADER } else { HEADER + length };
            if bytes.len() < end {
                return (Command::Incomplete, 0);
            }
            let mut setup = [0; 8];
            setup.copy_from_slice(&head[40..48]);
            let endpoint = u32_at(head, 16).to_be_bytes()[3];
            (
                Command::Submit {
                    sequence,
                    endpoint,
                    input,
                    length,
                    setup,
                    data: HEADER..end,
                },
                end,
            )
        }
        _ => (Command::Broken, 0),
    }
}

impl Drop for UsbIp {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Connection of one client.
pub struct UsbIp {
    device: Arc<dyn UsbService>,
    bus_id: String,
    /// Whether a client has the device: one at a time.
    taken: Arc<AtomicBool>,
    imported: bool,
    buffer: Vec<u8>,
    pending: Vec<(u32, u8, usize)>,
    seen: u64,
}

impl UsbIp {
    /// Creates a connection to the server of `device`, whose bus ID is such as `1-1`. All
    /// connections to it share `taken`.
    #[must_use]
    pub fn new(device: Arc<dyn UsbService>, bus_id: &str, taken: Arc<AtomicBool>) -> Self {
        Self {
            device,
            bus_id: bus_id.to_owned(),
            taken,
            imported: false,
            buffer: Vec::new(),
            pending: Vec::new(),
            seen: 0,
        }
    }

    /// Returns `struct usbip_usb_device`, and the class of the interface after it.
    fn record(&self) -> (Vec<u8>, [u8; 4]) {
        let (d, c) = self.device.descriptors();
        let at = |b: &[u8], i: usize| b.get(i).copied().unwrap_or(0);
        let mut record = text(&format!("/sys/devices/emulated/{}", self.bus_id), 256);
        record.extend(text(&self.bus_id, 32));
        for number in [1u32, 2, HIGH_SPEED] {
            record.extend(number.to_be_bytes());
        }
        // idVendor, idProduct, bcdDevice; class, subclass, protocol; bConfigurationValue,
        // bNumConfigurations, bNumInterfaces
        record.extend([9, 8, 11, 10, 13, 12, 4, 5, 6].map(|i| at(&d, i)));
        record.extend([at(&c, 5), at(&d, 17), at(&c, 4)]);
        (record, [at(&c, 14), at(&c, 15), at(&c, 16), 0])
    }

    fn operation(code: u16, status: u32, rest: &[u8]) -> Reply {
        let mut bytes = VERSION.to_be_bytes().to_vec();
        bytes.extend(code.to_be_bytes());
        bytes.extend(status.to_be_bytes());
        bytes.extend(rest);
        Reply::bytes(bytes)
    }

    fn returns(kind: u32, sequence: u32, status: i32, length: usize, data: &[u8]) -> Reply {
        let mut bytes = vec![0; HEADER];
        bytes[..4].copy_from_slice(&kind.to_be_bytes());
        bytes[4..8].copy_from_slice(&sequence.to_be_bytes());
        bytes[20..24].copy_from_slice(&status.to_be_bytes());
        bytes[24..28].copy_from_slice(&u32::try_from(length).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(data);
        Reply::bytes(bytes)
    }

    /// The return of a transfer, or nothing if it waits.
    fn completed(sequence: u32, input: bool, room: usize, completion: Completion) -> Option<Reply> {
        let ret = |status, length, data: &[u8]| {
            Some(Self::returns(
                USBIP_RET_SUBMIT,
                sequence,
                status,
                length,
                data,
            ))
        };
        match completion {
            Completion::Pending => None,
            Completion::Data(data) if input && data.len() > room => ret(-EOVERFLOW, 0, &[]),
            Completion::Data(data) if input => ret(0, data.len(), &data),
            Completion::Data(_) => ret(0, 0, &[]),
            Completion::Accepted(n) => ret(0, if input { 0 } else { n }, &[]),
            Completion::Stall => ret(-EPIPE, 0, &[]),
            Completion::Gone => ret(-ENODEV, 0, &[]).map(|r| Reply { close: true, ..r }),
        }
    }

    /// Releases the device before the client learns of the disconnect, so that its next import
    /// succeeds.
    fn let_go(&mut self) {
        if std::mem::take(&mut self.imported) {
            self.taken.store(false, Ordering::Release);
        }
    }

    fn run(&mut self, command: Command, frame: &[u8]) -> Option<Reply> {
        match command {
            Command::Incomplete => None,
            Command::Broken => Some(Reply::hang_up()),
            Command::List => {
                let (record, class) = self.record();
                let mut rest = 1u32.to_be_bytes().to_vec();
                rest.extend(record);
                rest.extend(class);
                Some(Reply {
                    close: true,
                    ..Self::operation(OP_REP_DEVLIST, 0, &rest)
                })
            }
            // ST_DEV_BUSY of the kernel's tools/usb/usbip/libsrc/usbip_common.h.
            Command::Import(id) if id == self.bus_id && self.taken.swap(true, Ordering::AcqRel) => {
                Some(Reply {
                    close: true,
                    ..Self::operation(OP_REP_IMPORT, 2, &[])
                })
            }
            Command::Import(id) if id == self.bus_id => {
                self.imported = true;
                Some(Self::operation(OP_REP_IMPORT, 0, &self.record().0))
            }
            Command::Import(_) => Some(Reply {
                close: true,
                ..Self::operation(OP_REP_IMPORT, 1, &[])
            }),
            Command::Unlink { sequence, victim } => {
                let before = self.pending.len();
                self.pending.retain(|(s, ..)| *s != victim);
                let status = if self.pending.len() < before {
                    -ECONNRESET
                } else {
                    0
                };
                Some(Self::returns(USBIP_RET_UNLINK, sequence, status, 0, &[]))
            }
            Command::Submit {
                sequence,
                endpoint: 0,
                input,
                length,
                setup,
                data,
            } => {
                let setup = SetupPacket::from_bytes(setup);
                let completion = self
                    .device
                    .control(setup, frame.get(data).unwrap_or_default());
                let completion = if completion == Completion::Pending {
                    Completion::Stall
                } else {
                    completion
                };
                Self::completed(sequence, input, length, completion)
            }
            Command::Submit {
                sequence,
                endpoint,
                input: true,
                length,
                ..
            } => {
                self.seen = self.device.generation();
                let reply = Self::completed(
                    sequence,
                    true,
                    length,
                    self.device.read(endpoint | 0x80, length),
                );
                if reply.is_none() {
                    if self.pending.len() >= MAX_PENDING_TRANSFERS {
                        return Some(Reply::hang_up());
                    }
                    self.pending.push((sequence, endpoint | 0x80, length));
                }
                reply
            }
            Command::Submit {
                sequence,
                endpoint,
                data,
                ..
            } => {
                let completion = self
                    .device
                    .write(endpoint, frame.get(data).unwrap_or_default());
                let completion = if completion == Completion::Pending {
                    Completion::Stall
                } else {
                    completion
                };
                Self::completed(sequence, false, 0, completion)
            }
        }
    }
}

impl Session for UsbIp {
    fn text_format(&self) -> TextFormat {
        TextFormat::UsbIp
    }
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        self.buffer.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut replies, mut start) = (Vec::new(), 0);
        loop {
            let (command, length) = decode(&buffer[start..], self.imported);
            let incomplete = command == Command::Incomplete;
            if let Some(reply) = self.run(command, &buffer[start..start + length]) {
                let closes = reply.close;
                replies.push(reply);
                if closes {
                    self.let_go();
                    return replies;
                }
            }
            if incomplete {
                break;
            }
            start += length;
        }
        buffer.drain(..start);
        self.buffer = buffer;
        replies
    }

    fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    fn poll(&mut self) -> Vec<Reply> {
        let generation = self.device.generation();
        if generation == self.seen {
            return Vec::new();
        }
        self.seen = generation;
        let mut replies = Vec::new();
        self.pending.retain(|(sequence, endpoint, length)| {
            match Self::completed(
                *sequence,
                true,
                *length,
                self.device.read(*endpoint, *length),
            ) {
                Some(reply) => {
                    replies.push(reply);
                    false
                }
                None => true,
            }
        });
        if replies.iter().any(|r| r.close) {
            self.let_go();
        }
        replies
    }
}

/// Drives the decoder and the server with arbitrary bytes, before and after an import.
pub fn fuzz(input: &[u8], device: Arc<dyn UsbService>) {
    for imported in [false, true] {
        let mut session = UsbIp::new(device.clone(), "1-1", Arc::default());
        session.imported = imported;
        for piece in input.chunks(61) {
            if session.feed(piece).iter().any(|r| r.close) {
                break;
            }
        }
        session.poll();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::random::RandomModel, vendor::idq_quantis::Quantis, wire::usb::Chapter9};
    use proptest::prelude::*;

    fn device() -> Arc<Chapter9<Quantis>> {
        Arc::new(Chapter9::new(Quantis::new(Arc::new(RandomModel::new(
            3, "1",
        )))))
    }
    fn import(bus_id: &str) -> Vec<u8> {
        let mut bytes = vec![1, 0x11, 0x80, 3, 0, 0, 0, 0];
        bytes.extend(text(bus_id, 32));
        bytes
    }
    fn submit(sequence: u32, input: bool, endpoint: u32, length: u32, setup: [u8; 8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = [
            1,
            sequence,
            0x1_0002,
            u32::from(input),
            endpoint,
            0,
            length,
            0,
            0,
            0,
        ]
        .iter()
        .flat_map(|n: &u32| n.to_be_bytes())
        .collect();
        bytes.extend(setup);
        bytes
    }
    fn unlink(sequence: u32, victim: u32) -> Vec<u8> {
        let mut bytes: Vec<u8> = [2, sequence, 0, 0, 0, victim]
            .iter()
            .flat_map(|n: &u32| n.to_be_bytes())
            .collect();
        bytes.resize(HEADER, 0);
        bytes
    }
    fn imported(device: &Arc<Chapter9<Quantis>>) -> UsbIp {
        let mut session = UsbIp::new(device.clone(), "1-1", Arc::default());
        let reply = session.feed(&import("1-1"));
        assert_eq!(
            (reply.len(), reply[0].bytes.len(), &reply[0].bytes[..8]),
            (1, 320, &[1, 0x11, 0, 3, 0, 0, 0, 0][..])
        );
        session
    }
    fn status(reply: &Reply) -> i32 {
        u32_at(&reply.bytes, 20).cast_signed()
    }

    #[test]
    fn the_device_is_listed_and_only_it_can_be_imported() {
        let device = device();
        let list =
            UsbIp::new(device.clone(), "1-1", Arc::default()).feed(&[1, 0x11, 0x80, 5, 0, 0, 0, 0]);
        assert_eq!(
            (
                list[0].bytes.len(),
                list[0].close,
                u32_at(&list[0].bytes, 8)
            ),
            (8 + 4 + 312 + 4, true, 1)
        );
        assert_eq!(list[0].bytes[12 + 300..12 + 304], [0x0a, 0xba, 0x01, 0x02]);
        let refused = UsbIp::new(device, "1-1", Arc::default()).feed(&import("1-2"));
        assert!(refused[0].close && u32_at(&refused[0].bytes, 4) == 1);
    }

    #[test]
    fn control_and_bulk_in_pieces() {
        let device = device();
        let mut session = imported(&device);
        let mut wire = submit(1, true, 0, 4, [0xc1, 0x10, 0, 0, 0, 0, 4, 0]);
        wire.extend(submit(2, true, 6, 512, [0; 8]));
        let replies: Vec<_> = wire
            .chunks(7)
            .flat_map(|piece| session.feed(piece))
            .collect();
        assert_eq!(
            replies
                .iter()
                .map(|r| (u32_at(&r.bytes, 4), status(r), r.bytes.len()))
                .collect::<Vec<_>>(),
            [(1, 0, 52), (2, 0, 560)]
        );
        assert_eq!(replies[0].bytes[48..], [2, 0, 0, 0]);
    }

    #[test]
    fn a_pending_transfer_completes_or_is_unlinked() {
        let device = device();
        let mut session = imported(&device);
        session.feed(&submit(1, false, 0, 0, [0x41, 0x11, 0, 0, 0, 0, 0, 0]));
        assert!(session.feed(&submit(2, true, 6, 512, [0; 8])).is_empty() && session.is_waiting());
        assert!(session.feed(&submit(3, true, 6, 512, [0; 8])).is_empty());
        let gone = session.feed(&unlink(4, 2));
        assert_eq!(
            (u32_at(&gone[0].bytes, 0), status(&gone[0])),
            (USBIP_RET_UNLINK, -ECONNRESET)
        );
        assert_eq!(
            status(&session.feed(&unlink(5, 2))[0]),
            0,
            "twice is too late"
        );
        assert!(session.poll().is_empty());
        session.feed(&submit(6, false, 0, 0, [0x41, 0x12, 0, 0, 0, 0, 0, 0]));
        let done = session.poll();
        assert_eq!(
            (done.len(), u32_at(&done[0].bytes, 4), done[0].bytes.len()),
            (1, 3, 560)
        );
        assert!(!session.is_waiting());
    }

    #[test]
    fn stalls_and_unplugging() {
        let device = device();
        let mut session = imported(&device);
        device.model().stall_next();
        assert_eq!(
            status(&session.feed(&submit(1, true, 6, 512, [0; 8]))[0]),
            -EPIPE
        );
        device.set_unplugged(true);
        let gone = &session.feed(&submit(2, true, 6, 512, [0; 8]))[0];
        assert!(status(gone) == -ENODEV && gone.close);
        assert!(
            !session.taken.load(Ordering::Acquire),
            "whoever hears that it has gone may import it again"
        );
    }

    #[test]
    fn hostile_headers_end_the_connection() {
        let device = device();
        for (at, value) in [(24, u32::MAX), (24, 1 << 21), (16, 16), (32, 8), (0, 9)] {
            let mut wire = submit(1, false, 2, 0, [0; 8]);
            wire[at..at + 4].copy_from_slice(&value.to_be_bytes());
            assert_eq!(
                imported(&device).feed(&wire),
                [Reply::hang_up()],
                "{at} {value}"
            );
        }
        let flood: Vec<u8> = submit(0, false, 0, 0, [0x41, 0x11, 0, 0, 0, 0, 0, 0])
            .into_iter()
            .chain((1..400).flat_map(|s| submit(s, true, 6, 512, [0; 8])))
            .collect();
        assert!(
            imported(&device)
                .feed(&flood)
                .last()
                .is_some_and(|r| r.close),
            "too many that wait"
        );
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), command in 1u32..3) {
            fuzz(&bytes, device());
            let mut wire = command.to_be_bytes().to_vec();
            wire.extend(bytes);
            fuzz(&wire, device());
        }
    }
}
