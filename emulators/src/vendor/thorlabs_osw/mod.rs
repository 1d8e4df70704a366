//! Thorlabs OSW12 (1×2) and OSW22 (2×2) MEMS switches on their USB serial port (115200 8N1).
//!
//! Sources: moonshot-nagayama-pj/PnPQ, `switch_thorlabs_osw_e.py` (tested on an OSW22-1310E);
//! Ulm-IQO/qudi, `hardware/switches/osw12.py`. Commands end with LF, replies with CR LF. `S 1` is
//! bar or port 1, `S 2` cross or port 2, both without a reply; `S?` returns 1 or 2; `T?` returns
//! the type, `I?` the board and its firmware, in free text. The first `S?` after a set can return
//! the old state, and the switch does not answer for about 1 s after it was opened.
//!
//! Chosen by this project, because the sources do not specify it: input during the first second is
//! lost; an invalid command, and a set that a fault refuses, have no reply; commands have exactly
//! the spelling of the sources; the number of stale replies counts down for any set.

pub(super) mod profile;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::switch::Switch,
    wire::{
        Reply, Session,
        lines::LineAssembler,
        position::{position, set_position},
    },
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

const LINE: usize = 1024;

/// Stale replies that remain after a set.
#[derive(Default)]
struct Stale {
    answers: u32,
    position: u32,
}

/// Wire front end of the switch.
#[derive(Clone)]
pub struct ThorlabsOsw {
    switch: Arc<Switch>,
    startup: Duration,
    stale_reads: Arc<AtomicU32>,
    stale: Arc<Mutex<Stale>>,
}

impl ThorlabsOsw {
    /// Creates a front end of a 1×2 or a crossbar that ignores input for `startup` after it was
    /// opened. After a set, one reply is stale.
    #[must_use]
    pub fn new(switch: Arc<Switch>, startup: Duration) -> Self {
        Self {
            switch,
            startup,
            stale_reads: Arc::new(AtomicU32::new(1)),
            stale: Arc::default(),
        }
    }
    /// Sets the number of stale replies after each further set.
    pub fn set_stale_read_count(&self, n: u32) {
        self.stale_reads.store(n, Ordering::Relaxed);
    }
    /// The port, opened now.
    #[must_use]
    pub fn session(&self) -> ThorlabsOswSession {
        ThorlabsOswSession {
            opened: self.switch.clock().now(),
            device: self.clone(),
            lines: LineAssembler::new(b'\n', LINE),
        }
    }

    fn set(&self, wanted: u32) {
        let before = position(&self.switch);
        if set_position(&self.switch, wanted).is_ok() {
            let answers = self.stale_reads.load(Ordering::Relaxed);
            *self.stale.lock().unwrap_or_else(PoisonError::into_inner) = Stale {
                answers,
                position: before,
            };
        }
    }
    fn reported_channel(&self) -> u32 {
        let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        match stale.answers.checked_sub(1) {
            Some(rest) => {
                stale.answers = rest;
                stale.position
            }
            None => position(&self.switch),
        }
    }

    fn line(&self, line: &str) -> Reply {
        let identity = self.switch.base().identity();
        let answer = match line {
            "S 1" | "S 2" => {
                self.set(if line == "S 1" { 1 } else { 2 });
                return Reply::silent();
            }
            "S?" => self.reported_channel().to_string(),
            "T?" => identity.model.unwrap_or_default(),
            "I?" => identity.firmware.unwrap_or_default(),
            _ => return Reply::silent(),
        };
        Reply::bytes(answer + "\r\n")
    }
}

impl ApplyDeviceFault for ThorlabsOsw {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        if *fault == DeviceFault::Reboot {
            *self.stale.lock().unwrap_or_else(PoisonError::into_inner) = Stale::default();
        }
        self.switch.apply(fault)
    }
}

/// Session of the serial port.
pub struct ThorlabsOswSession {
    device: ThorlabsOsw,
    opened: Duration,
    lines: LineAssembler,
}

impl Session for ThorlabsOswSession {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        if self.device.switch.clock().now().saturating_sub(self.opened) < self.device.startup {
            return Vec::new();
        }
        bytes
            .iter()
            .filter_map(|b| self.lines.push(*b))
            .map(|line| self.device.line(&line))
            .collect()
    }
    fn closed(&mut self) {
        self.opened = self.device.switch.clock().now();
        self.lines.clear();
    }
}

/// Drives the decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let switch = Switch::new(
        qkd_hal::Identity::new("Thorlabs"),
        qkd_switch_hal::Geometry::Crossbar,
        crate::Clock::manual(),
    );
    let mut line = ThorlabsOsw::new(Arc::new(switch), Duration::ZERO).session();
    line.feed(input);
    line.feed(b"\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use proptest::prelude::*;
    use qkd_switch_hal::Geometry;

    const STARTUP: Duration = Duration::from_secs(1);

    fn osw(geometry: Geometry) -> (ThorlabsOsw, Clock) {
        let clock = Clock::manual();
        let identity = qkd_hal::Identity::new("Thorlabs")
            .with_model("OSW22-1310E")
            .with_firmware("board 1.0");
        (
            ThorlabsOsw::new(
                Arc::new(Switch::new(identity, geometry, clock.clone())),
                STARTUP,
            ),
            clock,
        )
    }
    fn ask(line: &mut ThorlabsOswSession, command: &str) -> String {
        line.feed(format!("{command}\n").as_bytes())
            .into_iter()
            .map(|r| String::from_utf8(r.bytes).unwrap())
            .collect()
    }

    #[test]
    fn the_first_answer_after_a_set_is_the_old_state() {
        let (device, clock) = osw(Geometry::Crossbar);
        let mut l = device.session();
        clock.advance(STARTUP);
        assert_eq!(ask(&mut l, "S?"), "1\r\n");
        assert_eq!(ask(&mut l, "S 2"), "");
        assert_eq!(device.switch.cross_connects().to_string(), "1-4,2-3");
        assert_eq!(
            [ask(&mut l, "S?"), ask(&mut l, "S?"), ask(&mut l, "S?")],
            ["1\r\n", "2\r\n", "2\r\n"]
        );
        device.set_stale_read_count(2);
        ask(&mut l, "S 1");
        assert_eq!(
            [
                ask(&mut l, "S?"),
                ask(&mut l, "T?"),
                ask(&mut l, "S?"),
                ask(&mut l, "S?")
            ],
            ["2\r\n", "OSW22-1310E\r\n", "2\r\n", "1\r\n"]
        );
        device.set_stale_read_count(0);
        assert_eq!(ask(&mut l, "S 2\nS?"), "2\r\n");
        assert_eq!(ask(&mut l, "I?\r"), "board 1.0\r\n");
    }

    #[test]
    fn invalid_or_refused_commands_are_silent_and_move_nothing() {
        let (device, clock) = osw(Geometry::one_by(2));
        let mut l = device.session();
        clock.advance(STARTUP);
        for wrong in ["S 3", "S 0", "S", "s 2", "S2", "*IDN?", "\u{0}"] {
            assert_eq!(ask(&mut l, wrong), "", "{wrong}");
        }
        device.switch.change_faults().refuse(1);
        assert_eq!(ask(&mut l, "S 2"), "");
        assert_eq!(ask(&mut l, "S?"), "1\r\n");
        ask(&mut l, "S 2");
        device.apply(&DeviceFault::Reboot).unwrap();
        assert_eq!(ask(&mut l, "S?"), "1\r\n");
    }

    #[test]
    fn for_a_second_after_it_was_opened_it_does_not_hear() {
        let (device, clock) = osw(Geometry::one_by(2));
        let mut l = device.session();
        assert_eq!(ask(&mut l, "S 2"), "");
        clock.advance(STARTUP);
        assert_eq!(ask(&mut l, "S?"), "1\r\n");
        clock.advance(STARTUP);
        l.feed(b"S");
        l.closed();
        assert_eq!(ask(&mut l, "S?"), "");
        clock.advance(STARTUP);
        assert_eq!(ask(&mut l, "S?"), "1\r\n", "what was half typed is gone");
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz(&bytes);
        }
    }
}
