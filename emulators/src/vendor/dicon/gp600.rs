//! DiCon GP600 matrix switches in configuration X1 (a 3D MxN matrix), over TCP and on a serial
//! line.
//!
//! Source: PyPI `autosweep` 0.1.0, `instruments/optical/DiConGP600.py`, after the manual's Table
//! 4-11, *RS232 Serial Port (ASCII) Command Set*. CR ends commands and replies; sets have no reply.
//!
//! | | |
//! |---|---|
//! | device | `*IDN?`, `VER?`, `SYST:CONF?` (`X1`), `SYST:ERR?` (`+0, No Error`) |
//! | paths | `X1 DIM?`, `X1 CH in out` (0 disconnects), `X1 CH in?`, `RESET` (disconnects all) |
//! | wavelength | `X1 WAVESAVAIL?`, `X1 W?`, `X1 W nm` |
//! | automatic saving of the paths, for a power failure | `WEN 0`, `WEN 1`, `WEN?` |
//!
//! Chosen by this project, because the source does not specify it: `VER?` returns the version of
//! `*IDN?`; an input without a path returns output 0; a connection to an output in use takes it
//! over or is refused, as configured in the profile; commands have exactly the spelling of the
//! source, without a leading colon; a query that fails has no reply; errors have SCPI's numbers,
//! with sign and text in the form of `No Error`, and at most eight are queued for the first client
//! that queries them; saving keeps the last paths and its own setting without power; the wavelength
//! is then the first one again.

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        change_faults::ChangeRefusal,
        switch::{BootMode, Switch, SwitchRejection},
    },
    wire::{Reply, Session, lines::LineAssembler},
};
use qkd_switch_hal::Geometry;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const LINE: usize = 1024;
const ERRORS: usize = 8;

const COMMAND: &str = "-100, Command Error";
const EXECUTION: &str = "-200, Execution Error";
const CONFLICT: &str = "-221, Settings Conflict";
const RANGE: &str = "-222, Data Out Of Range";
const NO_MEMORY: &str = "-225, Out Of Memory";

fn rejected(rejected: SwitchRejection) -> &'static str {
    match rejected {
        SwitchRejection::NoSuchPort(_) => RANGE,
        SwitchRejection::Gate(ChangeRefusal::Refused) => EXECUTION,
        SwitchRejection::Gate(ChangeRefusal::Full) => NO_MEMORY,
        _ => CONFLICT,
    }
}

struct Registers {
    errors: VecDeque<&'static str>,
    /// Index into [`DiconGp600::wavelengths`].
    wavelength: usize,
}

/// The switch on its interfaces.
#[derive(Clone)]
pub struct DiconGp600 {
    switch: Arc<Switch>,
    size: (u32, u32),
    wavelengths: Arc<[u32]>,
    refuses_busy: bool,
    registers: Arc<Mutex<Registers>>,
}

impl DiconGp600 {
    /// Creates a front end of a matrix that is calibrated for these wavelengths in nm, at least
    /// one.
    #[must_use]
    pub fn new(switch: Arc<Switch>, wavelengths: impl Into<Arc<[u32]>>) -> Self {
        let size = match switch.geometry() {
            Geometry::Matrix { ingress, egress } => (ingress, egress),
            _ => (0, 0),
        };
        let registers = Arc::new(Mutex::new(Registers {
            errors: VecDeque::new(),
            wavelength: 0,
        }));
        Self {
            switch,
            size,
            wavelengths: wavelengths.into(),
            refuses_busy: false,
            registers,
        }
    }
    /// A switch that refuses an output in use.
    #[must_use]
    pub fn refusing_busy_outputs(mut self) -> Self {
        self.refuses_busy = true;
        self
    }
    /// Creates the session of a new connection.
    #[must_use]
    pub fn session(&self) -> Gp600Session {
        Gp600Session {
            device: self.clone(),
            lines: LineAssembler::new(b'\r', LINE),
        }
    }
    /// Returns the state that commands can change, as text.
    #[must_use]
    pub fn state(&self) -> String {
        format!("{}\nwavelength: {}", self.switch.state(), self.wavelength())
    }
    fn registers(&self) -> MutexGuard<'_, Registers> {
        self.registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
    fn wavelength(&self) -> u32 {
        self.wavelengths
            .get(self.registers().wavelength)
            .copied()
            .unwrap_or(0)
    }

    fn connect(&self, input: &str, output: &str) -> Result<(), &'static str> {
        let (inputs, outputs) = self.size;
        let input = number(input, 1..=inputs)?;
        match number(output, 0..=outputs)? {
            0 => self.switch.remove(&[input]),
            output => {
                let egress = inputs + output;
                if self.refuses_busy && self.switch.peer(egress).is_some_and(|other| other != input)
                {
                    return Err(CONFLICT);
                }
                self.switch.add(&[(input, egress)])
            }
        }
        .map_err(rejected)
    }

    /// One command: its answer, if it is a query.
    fn run(&self, command: &str) -> Result<Option<String>, &'static str> {
        let words: Vec<_> = command.split_whitespace().collect();
        let list = |all: &[u32]| all.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let (inputs, outputs) = self.size;
        let answer = match words.as_slice() {
            ["*IDN?"] => {
                let i = self.switch.base().identity();
                let or = |o: Option<String>| o.unwrap_or_default();
                format!(
                    "{}, {}, {}, {}",
                    i.vendor,
                    or(i.model),
                    or(i.serial),
                    or(i.firmware)
                )
            }
            ["VER?"] => self.switch.base().identity().firmware.unwrap_or_default(),
            ["SYST:CONF?"] => "X1".to_owned(),
            ["SYST:ERR?"] => self
                .registers()
                .errors
                .pop_front()
                .unwrap_or("+0, No Error")
                .to_owned(),
            ["X1", "DIM?"] => list(&[inputs, outputs]),
            ["X1", "CH", query] if query.ends_with('?') => {
                let input = number(query.trim_end_matches('?'), 1..=inputs)?;
                list(&[
                    input,
                    self.switch.peer(input).map_or(0, |egress| egress - inputs),
                ])
            }
            ["X1", "CH", input, output] => {
                self.connect(input, output)?;
                return Ok(None);
            }
            ["X1", "WAVESAVAIL?"] => list(&self.wavelengths),
            ["X1", "W?"] => self.wavelength().to_string(),
            ["X1", "W", nm] => {
                let nm: u32 = nm.parse().map_err(|_| COMMAND)?;
                self.switch
                    .change_faults()
                    .check()
                    .map_err(|r| rejected(SwitchRejection::Gate(r)))?;
                self.registers().wavelength = self
                    .wavelengths
                    .iter()
                    .position(|w| *w == nm)
                    .ok_or(RANGE)?;
                return Ok(None);
            }
            ["RESET"] => {
                self.switch.remove_all().map_err(rejected)?;
                return Ok(None);
            }
            ["WEN", on @ ("0" | "1")] => {
                self.switch
                    .set_boot_mode(if *on == "1" {
                        BootMode::Auto
                    } else {
                        BootMode::Dark
                    })
                    .map_err(rejected)?;
                return Ok(None);
            }
            ["WEN?"] => u8::from(self.switch.boot_mode() == BootMode::Auto).to_string(),
            _ => return Err(COMMAND),
        };
        Ok(Some(answer))
    }

    fn line(&self, line: &str) -> Reply {
        match self.run(line) {
            Ok(Some(answer)) => Reply::bytes(answer + "\r"),
            Ok(None) => Reply::silent(),
            Err(error) => {
                let errors = &mut self.registers().errors;
                if errors.len() < ERRORS {
                    errors.push_back(error);
                }
                Reply::silent()
            }
        }
    }
}

fn number(text: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, &'static str> {
    text.parse().map_err(|_| COMMAND).and_then(|n| {
        if range.contains(&n) {
            Ok(n)
        } else {
            Err(RANGE)
        }
    })
}

impl ApplyDeviceFault for DiconGp600 {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        if *fault == DeviceFault::Reboot {
            *self.registers() = Registers {
                errors: VecDeque::new(),
                wavelength: 0,
            };
        }
        self.switch.apply(fault)
    }
}

/// Session of one connection.
pub struct Gp600Session {
    device: DiconGp600,
    lines: LineAssembler,
}

impl Session for Gp600Session {
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
        qkd_hal::Identity::new("Dicon Fiberoptics Inc"),
        Geometry::matrix(4, 4),
        crate::Clock::manual(),
    );
    let mut line = DiconGp600::new(Arc::new(switch), [1310, 1550]).session();
    line.feed(input);
    line.feed(b"\r");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use proptest::prelude::*;

    fn matrix(refuses: bool) -> (Gp600Session, DiconGp600) {
        let identity = qkd_hal::Identity::new("Dicon Fiberoptics Inc")
            .with_model("GP600")
            .with_serial("19A0M10D0117")
            .with_firmware("7.0");
        let switch = Switch::new(identity, Geometry::matrix(16, 8), Clock::manual());
        let device = DiconGp600::new(Arc::new(switch), [1310, 1550]);
        let device = if refuses {
            device.refusing_busy_outputs()
        } else {
            device
        };
        (device.session(), device)
    }
    fn ask(line: &mut Gp600Session, command: &str) -> String {
        line.feed(format!("{command}\r").as_bytes())
            .into_iter()
            .map(|r| String::from_utf8(r.bytes).unwrap())
            .collect()
    }

    #[test]
    fn the_commands_of_the_source() {
        let (mut l, device) = matrix(false);
        for (command, reply) in [
            ("*IDN?", "Dicon Fiberoptics Inc, GP600, 19A0M10D0117, 7.0\r"),
            ("VER?", "7.0\r"),
            ("SYST:CONF?", "X1\r"),
            ("X1 DIM?", "16,8\r"),
            ("X1 CH 2 5", ""),
            ("X1 CH 2?", "2,5\r"),
            ("X1 CH 3 5", ""),
            ("X1 CH 2?", "2,0\r"),
            ("X1 CH 3 6", ""),
            ("X1 CH 3?", "3,6\r"),
            ("X1 CH 4 1", ""),
            ("X1 CH 3 0", ""),
            ("X1 CH 3?", "3,0\r"),
            ("X1 WAVESAVAIL?", "1310,1550\r"),
            ("X1 W?", "1310\r"),
            ("X1 W 1550\n", ""),
            ("X1 W?", "1550\r"),
            ("SYST:ERR?", "+0, No Error\r"),
        ] {
            assert_eq!(ask(&mut l, command), reply, "{command}");
        }
        assert_eq!(device.switch.cross_connects().to_string(), "4-17");
        assert_eq!(ask(&mut l, "RESET"), "");
        assert!(device.switch.cross_connects().is_empty());
    }

    #[test]
    fn invalid_commands_are_silent_until_the_error_is_queried() {
        let (mut l, device) = matrix(true);
        ask(&mut l, "X1 CH 1 1");
        for (command, code) in [
            (":SYST:CONF?", "-100"),
            (":SYST:ERR?", "-100"),
            ("x1 dim?", "-100"),
            ("X1 CH", "-100"),
            ("X1 CH a b", "-100"),
            ("X1 CH 17 1", "-222"),
            ("X1 CH 0?", "-222"),
            ("X1 CH 1 9", "-222"),
            ("X1 CH 2 1", "-221"),
            ("X1 W 1400", "-222"),
            ("WEN 2", "-100"),
        ] {
            assert_eq!(ask(&mut l, command), "", "{command}");
            assert!(ask(&mut l, "SYST:ERR?").starts_with(code), "{command}");
            assert_eq!(ask(&mut l, "SYST:ERR?"), "+0, No Error\r");
        }
        ask(&mut l, "X1 CH 1 2\rX1 CH 1 1");
        device.switch.change_faults().refuse(1);
        ask(&mut l, "X1 CH 1 0");
        assert_eq!(
            device.session().feed(b"SYST:ERR?\r")[0].bytes,
            b"-200, Execution Error\r",
            "whoever asks first"
        );
        assert_eq!(device.switch.cross_connects().to_string(), "1-17");
        for _ in 0..20 {
            ask(&mut l, "X");
        }
        let reported = (0..20)
            .take_while(|_| !ask(&mut l, "SYST:ERR?").starts_with("+0"))
            .count();
        assert_eq!(reported, ERRORS);
    }

    #[test]
    fn paths_survive_a_power_failure_if_they_are_saved() {
        let (mut l, device) = matrix(false);
        assert_eq!(ask(&mut l, "WEN?"), "0\r");
        ask(&mut l, "X1 CH 1 1");
        device.apply(&DeviceFault::Reboot).unwrap();
        assert_eq!(ask(&mut l, "X1 CH 1?"), "1,0\r");
        ask(&mut l, "WEN 1\rX1 CH 2 2\rX1 W 1550\rX");
        device.apply(&DeviceFault::Reboot).unwrap();
        assert_eq!(
            [
                ask(&mut l, "X1 CH 2?"),
                ask(&mut l, "WEN?"),
                ask(&mut l, "X1 W?"),
                ask(&mut l, "SYST:ERR?")
            ],
            ["2,2\r", "1\r", "1310\r", "+0, No Error\r"]
        );
        ask(&mut l, "WEN 0");
        device.apply(&DeviceFault::Reboot).unwrap();
        assert_eq!(ask(&mut l, "X1 CH 2?"), "2,0\r");
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "[A-Z0-9:*? \r\n]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz(text.as_bytes());
            fuzz(&bytes);
        }
    }
}
