//! LEONI eol 1×2, 1×4 and 2×2 switches on RS-232 (57600 8N1).
//!
//! Source: vendor manual REV07a, easymanua.ls/leoni/eol-1x2, page 8. Commands end with CR LF:
//! `firmware?` returns `ver3.27`, `ch?` the channel, `ch3` selects channel 3; `i2c?` and `i2c10` to
//! `i2c99` are the address on its other bus.
//!
//! Chosen by this project, because the manual does not specify it: replies end in CR LF; `chN` and
//! `i2cN` have no reply, nor have an invalid command and a channel that does not exist or that a
//! fault refuses; channel 1 of a 2×2 is bar and channel 2 cross; the address is 10 until it is set,
//! survives a power failure and has no other effect. A version that begins with `v` belongs to a
//! newer device: it is returned unchanged (`v8.09`), and `type?` returns `eol 1x4` or `mol 1x4`, as
//! public drivers expect. Older devices do not answer `type?`.

pub(super) mod profile;

use crate::{
    model::switch::Switch,
    wire::{
        Reply, Session,
        lines::LineAssembler,
        position::{position, set_position},
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

const LINE: usize = 1024;
const ADDRESSES: std::ops::RangeInclusive<u32> = 10..=99;

/// Wire front end of the switch.
#[derive(Clone)]
pub struct LeoniEol {
    switch: Arc<Switch>,
    address: Arc<AtomicU32>,
}

impl LeoniEol {
    /// In front of a 1×N or a crossbar.
    #[must_use]
    pub fn new(switch: Arc<Switch>) -> Self {
        Self {
            switch,
            address: Arc::new(AtomicU32::new(*ADDRESSES.start())),
        }
    }
    /// Creates the session of the serial line.
    #[must_use]
    pub fn session(&self) -> LeoniEolSession {
        LeoniEolSession {
            device: self.clone(),
            lines: LineAssembler::new(b'\n', LINE),
        }
    }
    /// Returns the state that commands can change, as text.
    #[must_use]
    pub fn state(&self) -> String {
        format!(
            "{}\ni2c: {}",
            self.switch.state(),
            self.address.load(Ordering::Relaxed)
        )
    }

    fn line(&self, line: &str) -> Reply {
        let number = |prefix| {
            line.strip_prefix(prefix)
                .filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|n| n.parse::<u32>().ok())
        };
        let identity = self.switch.base().identity();
        let firmware = identity.firmware.unwrap_or_default();
        let is_newer = firmware.starts_with('v');
        let answer = match line {
            "firmware?" if is_newer => firmware,
            "firmware?" => format!("ver{firmware}"),
            "type?" if is_newer => identity.model.unwrap_or_default(),
            "ch?" => position(&self.switch).to_string(),
            "i2c?" => self.address.load(Ordering::Relaxed).to_string(),
            _ => {
                if let Some(channel) = number("ch") {
                    let _ = set_position(&self.switch, channel);
                } else if let Some(address) = number("i2c").filter(|a| ADDRESSES.contains(a)) {
                    self.address.store(address, Ordering::Relaxed);
                }
                return Reply::silent();
            }
        };
        Reply::bytes(answer + "\r\n")
    }
}

/// Session of the serial line.
pub struct LeoniEolSession {
    device: LeoniEol,
    lines: LineAssembler,
}

impl Session for LeoniEolSession {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        bytes
            .iter()
            .filter_map(|b| self.lines.push(*b))
            .map(|line| self.device.line(&line))
            .collect()
    }
}

/// Drives the decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let switch = Switch::new(
        qkd_hal::Identity::new("LEONI"),
        qkd_switch_hal::Geometry::one_by(4),
        crate::Clock::manual(),
    );
    let mut line = LeoniEol::new(Arc::new(switch)).session();
    line.feed(input);
    line.feed(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use proptest::prelude::*;
    use qkd_switch_hal::Geometry;

    fn eol(geometry: Geometry) -> (LeoniEolSession, LeoniEol) {
        let switch = Switch::new(
            qkd_hal::Identity::new("LEONI").with_firmware("3.27"),
            geometry,
            Clock::manual(),
        );
        let device = LeoniEol::new(Arc::new(switch));
        (device.session(), device)
    }
    fn ask(line: &mut LeoniEolSession, command: &str) -> String {
        line.feed(format!("{command}\r\n").as_bytes())
            .into_iter()
            .map(|r| String::from_utf8(r.bytes).unwrap())
            .collect()
    }

    #[test]
    fn the_commands_of_the_manual() {
        let (mut l, device) = eol(Geometry::one_by(4));
        for (command, reply) in [
            ("firmware?", "ver3.27\r\n"),
            ("ch?", "1\r\n"),
            ("ch3", ""),
            ("ch?", "3\r\n"),
            ("i2c?", "10\r\n"),
            ("i2c99", ""),
            ("i2c?", "99\r\n"),
        ] {
            assert_eq!(ask(&mut l, command), reply, "{command}");
        }
        for wrong in [
            "ch5",
            "ch0",
            "ch",
            "ch 2",
            "ch+2",
            "i2c9",
            "i2c100",
            "type?",
            "ch99999999999",
        ] {
            assert_eq!(ask(&mut l, wrong), "", "{wrong}");
        }
        device.switch.change_faults().refuse(1);
        ask(&mut l, "ch2");
        assert_eq!(
            (ask(&mut l, "ch?"), ask(&mut l, "i2c?")),
            ("3\r\n".into(), "99\r\n".into())
        );
    }

    #[test]
    fn a_newer_device_writes_its_version_otherwise_and_has_a_type() {
        let identity = qkd_hal::Identity::new("LEONI")
            .with_model("mol 1x4")
            .with_firmware("v8.09");
        let switch = Switch::new(identity, Geometry::one_by(4), Clock::manual());
        let mut l = LeoniEol::new(Arc::new(switch)).session();
        assert_eq!(ask(&mut l, "firmware?\r\ntype?"), "v8.09\r\nmol 1x4\r\n");
    }

    #[test]
    fn a_crossbar_has_two_channels() {
        let (mut l, device) = eol(Geometry::Crossbar);
        assert_eq!(ask(&mut l, "ch2\r\nch?"), "2\r\n");
        assert_eq!(device.switch.cross_connects().to_string(), "1-4,2-3");
        ask(&mut l, "ch3");
        assert_eq!(ask(&mut l, "ch1\r\nch?"), "1\r\n");
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "[a-z0-9? \r\n]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz(text.as_bytes());
            fuzz(&bytes);
        }
    }
}
