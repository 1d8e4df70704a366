//! JDS Uniphase SB series 1×N switches on RS-232 (1200 8N1, hardware handshake by CTS).
//!
//! Source: vendor manual SD000153 Rev. J (May 2000), public repository Simon-Belanger/ULPythonLab,
//! `manuals/JDS_SBOSwitch.pdf`. A message ends with CR; commands are separated by `;` and executed
//! when parsed; at most one query, as the last command; sets have no reply.
//!
//! | | |
//! |---|---|
//! | path | `CLOSE i`, `CLOSE?`, `CLOSE? MAX`, `RESET`; channel 0 is no path, active at power-up |
//! | relay drivers | `XDR i k`, `XDR? i`, `XDRS n`, `XDRS?` |
//! | status | `STB?`, `CSB`, `CLR`, `SRE n`, `SRE?`, `CNB?`, `OPC?` |
//! | errors, self-test | `LERR?`, `ERR?`, `TST?` |
//! | others | `IDN?`, `LRN?` |
//!
//! Chosen by this project, because the manual does not specify it:
//!
//! - replies end in CR LF; `CLOSE?` returns the commanded channel, even while the switch moves;
//! - a move that interrupts another starts at the target of that move; a `CLOSE` to the present
//!   channel is settled immediately and sets the status bit;
//! - `OPC?` is `0` while more characters are pending; the message bit is never set, because a reply
//!   on RS-232 is not fetched;
//! - the number of an error other than that of the self-test (see [`Codes`]);
//! - an invalid command and the rest of its message are dropped; an invalid parameter drops only
//!   its own command; a channel that a fault refuses is a parameter error;
//! - `LERR?` removes the error that it returns from the queue, and a full queue loses its oldest
//!   error;
//! - characters beyond the input buffer are lost, except the CR; a failed self-test has no other
//!   effect.

pub(super) mod profile;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::switch::Switch,
    wire::{Reply, Session, lines::LineAssembler},
};
use qkd_switch_hal::{Geometry, Port};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Size of the input buffer, in characters.
pub const INPUT_BUFFER: usize = 100;
/// Duration of a move to the next channel.
pub const FIRST_CHANNEL: Duration = Duration::from_millis(300);
/// Additional duration for each further channel.
pub const FURTHER_CHANNEL: Duration = Duration::from_millis(12);
const ERRORS: usize = 5;
const SELF_TEST_FAILED: u16 = 330;

/// Bits of the status byte.
mod bit {
    pub(super) const SELF_TEST: u8 = 0x80;
    pub(super) const SERVICE_REQUEST: u8 = 0x40;
    pub(super) const SYNTAX: u8 = 0x20;
    pub(super) const SETTLED: u8 = 0x04;
    pub(super) const PARAMETER: u8 = 0x01;
}

/// Numbers of errors, of which the manual's pages publish only that of the self-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    /// Number of the error for an invalid command.
    pub syntax: u16,
    /// A parameter that is missing or out of range.
    pub parameter: u16,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            syntax: 100,
            parameter: 200,
        }
    }
}

#[derive(Default)]
struct Registers {
    drivers: u8,
    mask: u8,
    status: u8,
    errors: VecDeque<u16>,
    /// When the move ends.
    moving: Option<Duration>,
    defect: bool,
}

/// Wire front end of the switch.
#[derive(Clone)]
pub struct JdsuSb {
    switch: Arc<Switch>,
    codes: Codes,
    registers: Arc<Mutex<Registers>>,
}

enum Wrong {
    Syntax,
    Parameter,
}

impl JdsuSb {
    /// In front of a 1×N model that can be dark.
    #[must_use]
    pub fn new(switch: Arc<Switch>, codes: Codes) -> Self {
        Self {
            switch,
            codes,
            registers: Arc::default(),
        }
    }
    /// Creates the session of the serial line.
    #[must_use]
    pub fn session(&self) -> JdsuSbSession {
        JdsuSbSession {
            device: self.clone(),
            lines: LineAssembler::new(b'\r', INPUT_BUFFER),
        }
    }
    /// Returns the state that commands can change, as text. Status and errors are not included,
    /// because reading changes them.
    #[must_use]
    pub fn state(&self) -> String {
        let (switch, registers) = (self.switch.state(), self.registers());
        format!(
            "{switch}\ndrivers: {}\nservice request mask: {}",
            registers.drivers, registers.mask
        )
    }

    /// The registers as they are now.
    fn registers(&self) -> MutexGuard<'_, Registers> {
        let mut registers = self
            .registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if registers
            .moving
            .is_some_and(|end| self.switch.clock().now() >= end)
        {
            registers.moving = None;
            registers.status |= bit::SETTLED;
        }
        registers
    }
    fn channel(&self) -> u32 {
        self.switch.peer(Port::COMMON.0).unwrap_or(0)
    }
    fn channels(&self) -> u32 {
        let Geometry::OneByN { channels, .. } = self.switch.geometry() else {
            return 0;
        };
        channels
    }

    fn close(&self, channel: u32) -> Result<(), Wrong> {
        let distance = channel.abs_diff(self.channel());
        let done = if channel == 0 {
            self.switch.remove(&[Port::COMMON.0])
        } else {
            self.switch.add(&[(Port::COMMON.0, channel)])
        };
        done.map_err(|_| Wrong::Parameter)?;
        let time = distance.checked_sub(1).map_or(Duration::ZERO, |further| {
            FIRST_CHANNEL + FURTHER_CHANNEL * further
        });
        self.registers().moving = Some(self.switch.clock().now() + time);
        Ok(())
    }

    /// Executes one command and returns the reply of a query. `pending`: more characters follow its
    /// message.
    fn run(&self, command: &str, pending: bool) -> Result<Option<String>, Wrong> {
        let mut words = command.split_whitespace();
        let mnemonic = words.next().unwrap_or_default().to_ascii_uppercase();
        let parameters: Vec<_> = words.collect();
        let answer = match (mnemonic.as_str(), parameters.as_slice()) {
            ("IDN?", []) => {
                let i = self.switch.base().identity();
                format!(
                    "{}, {}, {}",
                    i.vendor,
                    i.model.unwrap_or_default(),
                    i.firmware.unwrap_or_default()
                )
            }
            ("CLOSE", [channel]) => {
                self.close(number(channel, 0..=self.channels())?)?;
                return Ok(None);
            }
            ("CLOSE?", []) => self.channel().to_string(),
            ("CLOSE?", [max]) if max.eq_ignore_ascii_case("MAX") => self.channels().to_string(),
            ("RESET", []) => {
                self.close(0)?;
                self.registers().drivers = 0;
                return Ok(None);
            }
            ("XDR", [driver, on]) => {
                let (driver, on) = (1 << (number(driver, 1..=8)? - 1), number(on, 0..=1)? == 1);
                let mut registers = self.registers();
                if on {
                    registers.drivers |= driver;
                } else {
                    registers.drivers &= !driver;
                }
                return Ok(None);
            }
            ("XDR?", [driver]) => {
                let driver = number(driver, 1..=8)? - 1;
                (self.registers().drivers >> driver & 1).to_string()
            }
            ("XDRS", [mask]) => {
                self.registers().drivers = byte(mask)?;
                return Ok(None);
            }
            ("XDRS?", []) => self.registers().drivers.to_string(),
            ("CNB?", []) => if self.registers().moving.is_some() {
                "0"
            } else {
                "4"
            }
            .to_owned(),
            ("OPC?", []) => if pending { "0" } else { "1" }.to_owned(),
            ("STB?", []) => {
                let mut registers = self.registers();
                let mut status = registers.status;
                if status & registers.mask & !bit::SERVICE_REQUEST != 0 {
                    status |= bit::SERVICE_REQUEST;
                    registers.status = 0;
                }
                format!("{status:03}")
            }
            ("CSB", []) => {
                self.registers().status = 0;
                return Ok(None);
            }
            ("CLR", []) => {
                let mut registers = self.registers();
                (registers.status, registers.mask) = (0, 0);
                return Ok(None);
            }
            ("SRE", [mask]) => {
                self.registers().mask = byte(mask)?;
                return Ok(None);
            }
            ("SRE?", []) => self.registers().mask.to_string(),
            ("LERR?", []) => format!("{:03}", self.registers().errors.pop_back().unwrap_or(0)),
            ("ERR?", []) => if self.registers().defect {
                SELF_TEST_FAILED
            } else {
                0
            }
            .to_string(),
            ("TST?", []) => {
                let mut registers = self.registers();
                if registers.defect {
                    fail(&mut registers, bit::SELF_TEST, SELF_TEST_FAILED);
                }
                u8::from(registers.defect).to_string()
            }
            ("LRN?", []) => {
                let registers = self.registers();
                format!(
                    "CLOSE {};XDRS {};SRE {}",
                    self.channel(),
                    registers.drivers,
                    registers.mask
                )
            }
            ("CLOSE" | "XDR" | "XDR?" | "XDRS" | "SRE" | "CLOSE?", _) => {
                return Err(Wrong::Parameter);
            }
            _ => return Err(Wrong::Syntax),
        };
        Ok(Some(answer))
    }

    fn message(&self, message: &str, pending: bool) -> Reply {
        let mut commands = message
            .split(';')
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .peekable();
        while let Some(command) = commands.next() {
            let is_query = command
                .split_whitespace()
                .next()
                .is_some_and(|m| m.ends_with('?'));
            let done = if is_query && commands.peek().is_some() {
                Err(Wrong::Syntax)
            } else {
                self.run(command, pending)
            };
            match done {
                Ok(None) => {}
                Ok(Some(answer)) => return Reply::bytes(answer + "\r\n"),
                Err(Wrong::Parameter) => {
                    fail(&mut self.registers(), bit::PARAMETER, self.codes.parameter)
                }
                Err(Wrong::Syntax) => {
                    fail(&mut self.registers(), bit::SYNTAX, self.codes.syntax);
                    break;
                }
            }
        }
        Reply::silent()
    }
}

fn fail(registers: &mut Registers, bit: u8, code: u16) {
    registers.status |= bit;
    if registers.errors.len() == ERRORS {
        registers.errors.pop_front();
    }
    registers.errors.push_back(code);
}

/// `10`, `10.0` and `1.0e1` are ten.
fn number(text: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, Wrong> {
    let value: f64 = text.parse().map_err(|_| Wrong::Parameter)?;
    range
        .into_iter()
        .find(|n| f64::from(*n) == value)
        .ok_or(Wrong::Parameter)
}

fn byte(text: &str) -> Result<u8, Wrong> {
    number(text, 0..=255).and_then(|n| u8::try_from(n).map_err(|_| Wrong::Parameter))
}

impl ApplyDeviceFault for JdsuSb {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        match fault {
            DeviceFault::Fail => {
                let mut registers = self.registers();
                registers.defect = true;
                fail(&mut registers, bit::SELF_TEST, SELF_TEST_FAILED);
                return Ok(());
            }
            DeviceFault::Reboot => {
                let mut registers = self.registers();
                *registers = Registers {
                    defect: registers.defect,
                    ..Registers::default()
                };
            }
            DeviceFault::Clear => self.registers().defect = false,
            _ => {}
        }
        self.switch.apply(fault)
    }
}

/// Session of the serial line.
pub struct JdsuSbSession {
    device: JdsuSb,
    lines: LineAssembler,
}

impl JdsuSbSession {
    /// Returns the CTS line: inactive while the input buffer is full. Only an in-memory user of the
    /// line sees it; a pseudo-terminal has none.
    #[must_use]
    pub fn is_clear_to_send(&self) -> bool {
        self.lines.has_room()
    }
}

impl Session for JdsuSbSession {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        let mut replies = Vec::new();
        for (n, byte) in (1..).zip(bytes) {
            if let Some(message) = self.lines.push(*byte) {
                replies.push(self.device.message(&message, n < bytes.len()));
            }
        }
        replies
    }
}

/// Drives the decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let identity = qkd_hal::Identity::new("JDS Uniphase");
    let switch = Switch::new(
        identity,
        Geometry::OneByN {
            channels: 8,
            dark: true,
        },
        crate::Clock::manual(),
    );
    let mut line = JdsuSb::new(Arc::new(switch), Codes::default()).session();
    line.feed(input);
    line.feed(b"\r");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use proptest::prelude::*;

    fn line() -> (JdsuSbSession, JdsuSb, Clock) {
        let clock = Clock::manual();
        let identity = qkd_hal::Identity::new("JDS Uniphase")
            .with_model("SB Switch")
            .with_firmware("2.00");
        let switch = Switch::new(
            identity,
            Geometry::OneByN {
                channels: 48,
                dark: true,
            },
            clock.clone(),
        );
        let device = JdsuSb::new(Arc::new(switch), Codes::default());
        (device.session(), device, clock)
    }
    fn ask(line: &mut JdsuSbSession, message: &str) -> String {
        let replies = line.feed(format!("{message}\r").as_bytes());
        replies
            .into_iter()
            .map(|r| {
                String::from_utf8(r.bytes)
                    .unwrap()
                    .trim_end_matches("\r\n")
                    .to_owned()
            })
            .collect()
    }
    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_exchanges_of_the_manual() {
        let (mut l, ..) = line();
        for (message, reply) in [
            ("IDN?", "JDS Uniphase, SB Switch, 2.00"),
            ("CLOSE?", "0"),
            ("close? max", "48"),
            ("CLOSE 5", ""),
            ("CLOSE?", "5"),
            ("XDR 3 1;XDR 1 1;XDRS?", "5"),
            ("XDR? 3", "1"),
            ("XDR? 2", "0"),
            ("XDRS 255", ""),
            ("XDR 8 0;XDRS?", "127"),
            ("SRE 33", ""),
            ("LRN?", "CLOSE 5;XDRS 127;SRE 33"),
            ("CLOSE 1;XDRS 0;SRE 0", ""),
            ("CLOSE 5;XDRS 127;SRE 33", ""),
            ("LRN?", "CLOSE 5;XDRS 127;SRE 33"),
            ("TST?", "0"),
            ("ERR?", "0"),
            ("LERR?", "000"),
            ("OPC?", "1"),
            ("Close 1.0e1", ""),
            ("CLOSE?", "10"),
            ("CLOSE 11.0;CLOSE?", "11"),
            ("RESET;LRN?", "CLOSE 0;XDRS 0;SRE 33"),
        ] {
            assert_eq!(ask(&mut l, message), reply, "{message}");
        }
        assert_eq!(l.feed(b"\nCLOSE?\r")[0].bytes, b"0\r\n");
    }

    #[test]
    fn a_move_takes_time_and_the_documented_polling_loop_detects_its_end() {
        let (mut l, _, clock) = line();
        ask(&mut l, "CSB;CLOSE 5");
        assert_eq!(
            (ask(&mut l, "CNB?"), ask(&mut l, "STB?")),
            ("0".into(), "000".into())
        );
        assert_eq!(
            ask(&mut l, "CLOSE?"),
            "5",
            "what was commanded, though it still moves"
        );
        clock.advance(ms(300 + 4 * 12 - 1));
        assert_eq!(
            (ask(&mut l, "CNB?"), ask(&mut l, "STB?")),
            ("0".into(), "000".into())
        );
        clock.advance(ms(1));
        assert_eq!(
            (ask(&mut l, "CNB?"), ask(&mut l, "STB?")),
            ("4".into(), "004".into())
        );
        assert_eq!(
            ask(&mut l, "STB?"),
            "004",
            "it stays: there was no service request"
        );
        assert_eq!(ask(&mut l, "CSB;STB?"), "000");
        assert_eq!(ask(&mut l, "CNB?"), "4", "the condition is not an event");
        assert_eq!(ask(&mut l, "CLOSE 5;STB?"), "004", "already there");
        ask(&mut l, "CLOSE 6");
        clock.advance(ms(300));
        assert_eq!(ask(&mut l, "CNB?"), "4");
    }

    #[test]
    fn status_is_cleared_by_a_query_only_with_a_service_request() {
        let (mut l, _, clock) = line();
        ask(&mut l, "SRE 4;CLOSE 2");
        clock.advance(ms(400));
        assert_eq!(ask(&mut l, "STB?"), "068");
        assert_eq!(ask(&mut l, "STB?"), "000");
        ask(&mut l, "CLOSE 99");
        assert_eq!(
            (ask(&mut l, "STB?"), ask(&mut l, "STB?")),
            ("001".into(), "001".into())
        );
        assert_eq!(ask(&mut l, "CLR;SRE?"), "0");
        assert_eq!(ask(&mut l, "STB?"), "000");
    }

    #[test]
    fn invalid_commands_are_silent_and_enter_a_queue_of_five() {
        let (mut l, device, _) = line();
        for (message, status, code) in [
            ("CLOSE 49", "001", "200"),
            ("CLOSE 1.5", "001", "200"),
            ("CLOSE -1", "001", "200"),
            ("CLOSE NaN", "001", "200"),
            ("CLOSE", "001", "200"),
            ("CLOSE 1 2", "001", "200"),
            ("CLOSE? MIN", "001", "200"),
            ("XDR 9 1", "001", "200"),
            ("XDR 1 2", "001", "200"),
            ("XDRS 256", "001", "200"),
            ("CLOSE5", "032", "100"),
            ("*IDN?", "032", "100"),
            ("CLOSE?;CLOSE 3", "032", "100"),
            ("IDN?;CLOSE?", "032", "100"),
            ("RESET 1", "032", "100"),
            ("\u{1}\u{2}", "032", "100"),
        ] {
            assert_eq!(ask(&mut l, message), "", "{message}");
            assert_eq!(
                (ask(&mut l, "STB?").as_str(), ask(&mut l, "LERR?").as_str()),
                (status, code),
                "{message}"
            );
            assert_eq!(ask(&mut l, "LERR?"), "000");
            ask(&mut l, "CSB");
            assert_eq!(device.channel(), 0, "{message}");
        }
        // Commands are executed when parsed: those before the error take effect.
        assert_eq!(ask(&mut l, "CLOSE 3;CLOSE 99;CLOSE?"), "3");
        assert_eq!(ask(&mut l, "CLOSE 4;NONSENSE;CLOSE 5;CLOSE?"), "");
        assert_eq!(device.channel(), 4);
        assert_eq!(
            (
                ask(&mut l, "LERR?"),
                ask(&mut l, "LERR?"),
                ask(&mut l, "LERR?")
            ),
            ("100".into(), "200".into(), "000".into()),
            "the last first"
        );
        for _ in 0..4 {
            ask(&mut l, "CLOSE 99");
        }
        ask(&mut l, "X");
        ask(&mut l, "X");
        let all: Vec<_> = (0..6).map(|_| ask(&mut l, "LERR?")).collect();
        assert_eq!(all, ["100", "100", "200", "200", "200", "000"]);
        device.switch.change_faults().refuse(1);
        assert_eq!(ask(&mut l, "CLOSE 7;CLOSE?"), "4");
        assert_eq!(ask(&mut l, "LERR?"), "200");
    }

    #[test]
    fn the_input_buffer_holds_a_hundred_characters() {
        let (mut l, device, _) = line();
        l.feed(&[b' '; INPUT_BUFFER - 8]);
        assert!(l.is_clear_to_send());
        l.feed(b"CLOSE 12");
        assert!(!l.is_clear_to_send());
        l.feed(b"34;CLOSE 3\r");
        assert!(l.is_clear_to_send());
        assert_eq!(device.channel(), 12, "the rest was lost");
    }

    #[test]
    fn waiting_commands_are_reported() {
        let (mut l, ..) = line();
        let replies = l.feed(b"OPC?\rCLOSE 4\rOPC?\r");
        assert_eq!(
            replies
                .iter()
                .map(|r| r.bytes.as_slice())
                .collect::<Vec<_>>(),
            [&b"0\r\n"[..], b"", b"1\r\n"]
        );
    }

    #[test]
    fn power_up_resets_the_state_and_a_failed_self_test_is_reported() {
        let (mut l, device, _) = line();
        ask(&mut l, "CLOSE 5;XDRS 3;SRE 1");
        device.apply(&DeviceFault::Reboot).unwrap();
        assert_eq!(ask(&mut l, "LRN?"), "CLOSE 0;XDRS 0;SRE 0");
        assert_eq!(ask(&mut l, "STB?"), "000");
        device.apply(&DeviceFault::Fail).unwrap();
        assert_eq!(
            (
                ask(&mut l, "STB?"),
                ask(&mut l, "LERR?"),
                ask(&mut l, "ERR?"),
                ask(&mut l, "TST?")
            ),
            ("128".into(), "330".into(), "330".into(), "1".into())
        );
        device.apply(&DeviceFault::Clear).unwrap();
        assert_eq!(
            (ask(&mut l, "ERR?"), ask(&mut l, "TST?")),
            ("0".into(), "0".into())
        );
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "[A-Z?;*0-9.e \r\n-]{0,120}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz(text.as_bytes());
            fuzz(&bytes);
        }
    }
}
