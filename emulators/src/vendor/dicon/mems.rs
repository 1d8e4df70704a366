//! DiCon MEMS 1×N modules on a serial line (115200 8N1).
//!
//! Sources: public archive id:34245833664, id:30861291597, id:9634796660 (photonmover);
//! bdsmith147/FiberSwitchGUI. Commands end with CR, a reply is LF, text, LF. `ID?` returns a line
//! of free text, `CF?` a list whose second field is the number of channels, `I1?` the channel; `I1
//! n` connects and `PK` parks, both without a reply.
//!
//! Chosen by this project, because the sources do not specify it: the text of a reply ends in CR
//! LF; the switch is parked at power-up and then returns channel 0; `I1 0` parks, too; an invalid
//! command, and a set that a fault refuses, have no reply; commands have exactly the spelling of
//! the sources; with echo on (`EO 1`; it is off at power-up), each received character is sent back,
//! including the CR.

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::switch::Switch,
    wire::{Reply, Session, lines::LineAssembler},
};
use qkd_switch_hal::{Geometry, Port};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

const LINE: usize = 1024;

/// Wire front end of the module.
#[derive(Clone)]
pub struct DiconMems {
    switch: Arc<Switch>,
    echo: Arc<AtomicBool>,
}

impl DiconMems {
    /// In front of a 1×N model that can be dark.
    #[must_use]
    pub fn new(switch: Arc<Switch>) -> Self {
        Self {
            switch,
            echo: Arc::default(),
        }
    }
    /// Creates the session of the serial line.
    #[must_use]
    pub fn session(&self) -> MemsSession {
        MemsSession {
            device: self.clone(),
            lines: LineAssembler::new(b'\r', LINE),
        }
    }
    /// Returns the state that commands can change, as text.
    #[must_use]
    pub fn state(&self) -> String {
        format!("{}\necho: {}", self.switch.state(), self.echo())
    }
    fn echo(&self) -> bool {
        self.echo.load(Ordering::Relaxed)
    }

    /// A refused set has no reply.
    fn set(&self, command: &str) {
        let channel = match command.split_once(' ') {
            None if command == "PK" => Some(0),
            Some(("I1", channel)) => channel.parse().ok(),
            Some(("EO", on @ ("0" | "1"))) => {
                self.echo.store(on == "1", Ordering::Relaxed);
                None
            }
            _ => None,
        };
        let _ = match channel {
            None => Ok(()),
            Some(0) => self.switch.remove(&[Port::COMMON.0]),
            Some(channel) => self.switch.add(&[(Port::COMMON.0, channel)]),
        };
    }

    fn line(&self, line: &str) -> Vec<u8> {
        let answer = match line {
            "ID?" => self.switch.base().identity().model.unwrap_or_default(),
            "CF?" => {
                let Geometry::OneByN { channels, .. } = self.switch.geometry() else {
                    return Vec::new();
                };
                format!("1,{channels}")
            }
            "I1?" => self.switch.peer(Port::COMMON.0).unwrap_or(0).to_string(),
            _ => {
                self.set(line);
                return Vec::new();
            }
        };
        format!("\n{answer}\r\n").into_bytes()
    }
}

impl ApplyDeviceFault for DiconMems {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        if *fault == DeviceFault::Reboot {
            self.echo.store(false, Ordering::Relaxed);
        }
        self.switch.apply(fault)
    }
}

/// Session of the serial line.
pub struct MemsSession {
    device: DiconMems,
    lines: LineAssembler,
}

impl Session for MemsSession {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        let (mut replies, mut out) = (Vec::new(), Vec::new());
        for byte in bytes {
            if self.device.echo() {
                out.push(*byte);
            }
            if let Some(line) = self.lines.push(*byte) {
                out.extend(self.device.line(&line));
                replies.push(Reply::bytes(std::mem::take(&mut out)));
            }
        }
        if !out.is_empty() {
            replies.push(Reply::bytes(out));
        }
        replies
    }
}

/// Drives the decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let switch = Switch::new(
        qkd_hal::Identity::new("DiCon"),
        Geometry::OneByN {
            channels: 8,
            dark: true,
        },
        crate::Clock::manual(),
    );
    let mut line = DiconMems::new(Arc::new(switch)).session();
    line.feed(input);
    line.feed(b"\r");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use proptest::prelude::*;

    fn module() -> (MemsSession, DiconMems) {
        let identity = qkd_hal::Identity::new("DiCon").with_model("MEMS 1x16");
        let device = DiconMems::new(Arc::new(Switch::new(
            identity,
            Geometry::OneByN {
                channels: 16,
                dark: true,
            },
            Clock::manual(),
        )));
        (device.session(), device)
    }
    fn ask(line: &mut MemsSession, command: &str) -> String {
        line.feed(format!("{command}\r").as_bytes())
            .into_iter()
            .map(|r| String::from_utf8(r.bytes).unwrap())
            .collect()
    }

    #[test]
    fn the_commands_of_the_sources() {
        let (mut l, device) = module();
        for (command, reply) in [
            ("ID?", "\nMEMS 1x16\r\n"),
            ("CF?", "\n1,16\r\n"),
            ("I1?", "\n0\r\n"),
            ("I1 16", ""),
            ("I1?", "\n16\r\n"),
            ("I1 0", ""),
            ("I1?", "\n0\r\n"),
            ("I1 3", ""),
            ("PK", ""),
            ("I1?", "\n0\r\n"),
            ("I1 3", ""),
            ("\nI1?", "\n3\r\n"),
        ] {
            assert_eq!(ask(&mut l, command), reply, "{command}");
        }
        for wrong in ["I1 17", "I1 -1", "I1", "I2 3", "i1?", "*IDN?", "EO 2"] {
            assert_eq!(ask(&mut l, wrong), "", "{wrong}");
        }
        device.switch.change_faults().refuse(1);
        ask(&mut l, "PK");
        assert_eq!(ask(&mut l, "I1?"), "\n3\r\n");
        device.apply(&DeviceFault::Reboot).unwrap();
        assert_eq!(ask(&mut l, "I1?"), "\n0\r\n");
    }

    #[test]
    fn echo_sends_back_what_comes_as_it_comes() {
        let (mut l, device) = module();
        assert_eq!(ask(&mut l, "EO 1"), "");
        assert_eq!(ask(&mut l, "I1?"), "I1?\r\n0\r\n");
        assert_eq!(l.feed(b"I1")[0].bytes, b"I1");
        assert_eq!(ask(&mut l, "?"), "?\r\n0\r\n");
        assert_eq!(ask(&mut l, "EO 0"), "EO 0\r");
        assert_eq!(ask(&mut l, "I1 2\rI1?"), "\n2\r\n");
        ask(&mut l, "EO 1");
        device.apply(&DeviceFault::Reboot).unwrap();
        assert_eq!(ask(&mut l, "I1?"), "\n0\r\n");
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "[A-Z0-9? \r\n]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz(text.as_bytes());
            fuzz(&bytes);
        }
    }
}
