//! Polatis (HUBER+SUHNER) optical matrix switches: SCPI over TCP and over the serial console.
//!
//! Sources: public programs that control real switches, listed in the documentation of
//! `drivers/polatis` command by command: devicecontrol-polatis, wllzhk/Polatis_OST_Controller,
//! Polster's 2017 driver, cloudshell-L1-polatis; the boot modes cite manual PROD-B-100-03-0, page
//! 31. Syntax: SCPI-99, volume 1: short and long forms, case, path memory across `;`.
//!
//! Chosen by this project, because the sources do not specify it: error numbers and texts are those
//! of SCPI-99, and the queue holds ten; a query that fails has no reply; replies of one line are
//! joined by `;` (IEEE 488.2); power has one decimal; a connection to a port in use takes it over;
//! each connection has its own error queue.

use crate::{
    model::{
        change_faults::ChangeRefusal,
        switch::{BootMode, Switch, SwitchRejection},
    },
    wire::{Reply, Session},
};
use qkd_switch_hal::{Geometry, PortState};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Maximum length of a line, in bytes.
const LINE: usize = 64 * 1024;
/// Maximum number of ports of one list, and of one power query. The latter is from
/// devicecontrol-polatis.
const LIST: usize = 4096;
const POWERS: usize = 256;
const QUEUE: usize = 10;

/// SCPI-99, volume 2, chapter 21.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ScpiError(i16, &'static str);
const SYNTAX: ScpiError = ScpiError(-102, "Syntax error");
const DATA_TYPE: ScpiError = ScpiError(-104, "Data type error");
const NOT_ALLOWED: ScpiError = ScpiError(-108, "Parameter not allowed");
const MISSING: ScpiError = ScpiError(-109, "Missing parameter");
const UNDEFINED: ScpiError = ScpiError(-113, "Undefined header");
const EXECUTION: ScpiError = ScpiError(-200, "Execution error");
const CONFLICT: ScpiError = ScpiError(-221, "Settings conflict");
const RANGE: ScpiError = ScpiError(-222, "Data out of range");
const TOO_MUCH_DATA: ScpiError = ScpiError(-223, "Too much data");
const ILLEGAL: ScpiError = ScpiError(-224, "Illegal parameter value");
const NO_MEMORY: ScpiError = ScpiError(-225, "Out of memory");
const NO_HARDWARE: ScpiError = ScpiError(-241, "Hardware missing");
const OVERFLOW: ScpiError = ScpiError(-350, "Queue overflow");
const OVERRUN: ScpiError = ScpiError(-363, "Input buffer overrun");

impl From<SwitchRejection> for ScpiError {
    fn from(rejected: SwitchRejection) -> Self {
        match rejected {
            SwitchRejection::NoSuchPort(_) => RANGE,
            SwitchRejection::Busy(_) | SwitchRejection::Failed(_) | SwitchRejection::NeverDark => {
                CONFLICT
            }
            SwitchRejection::Unequal => MISSING,
            SwitchRejection::Gate(ChangeRefusal::Refused) => EXECUTION,
            SwitchRejection::Gate(ChangeRefusal::Full) => NO_MEMORY,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Identify,
    ClearStatus,
    Reset,
    Complete,
    Size,
    Add,
    Only,
    Subtract,
    Connections,
    Peer,
    DisconnectAll,
    Disable,
    Enable,
    PortStates,
    Power,
    BootMode,
    SetBootMode,
    Network,
    SetNetwork,
    NextError,
    AllErrors,
}

/// Headers; the short form of a word is its capitals.
const HEADERS: &[(&str, Command)] = &[
    ("*IDN?", Command::Identify),
    ("*CLS", Command::ClearStatus),
    ("*RST", Command::Reset),
    ("*OPC?", Command::Complete),
    ("OXC:SWITch:SIZE?", Command::Size),
    ("OXC:SWITch:CONNect:ADD", Command::Add),
    ("OXC:SWITch:CONNect:ONLY", Command::Only),
    ("OXC:SWITch:CONNect:SUB", Command::Subtract),
    ("OXC:SWITch:CONNect:STATe?", Command::Connections),
    ("OXC:SWITch:CONNect:PORT?", Command::Peer),
    ("OXC:SWITch:DISConnect:ALL", Command::DisconnectAll),
    ("OXC:SWITch:PORT:DISable", Command::Disable),
    ("OXC:SWITch:PORT:ENABle", Command::Enable),
    ("OXC:SWITch:PORT:STATe?", Command::PortStates),
    ("PMONitor:POWer?", Command::Power),
    ("OXC:BOOT:MODE?", Command::BootMode),
    ("OXC:BOOT:MODE", Command::SetBootMode),
    ("SYSTem:COMMunicate:NETWork:ADDRess?", Command::Network),
    ("SYSTem:COMMunicate:NETWork:ADDRess", Command::SetNetwork),
    ("SYSTem:ERRor?", Command::NextError),
    ("SYSTem:ERRor:NEXT?", Command::NextError),
    ("SYSTem:ERRor:ALL?", Command::AllErrors),
];

fn word_matches(pattern: &str, word: &str) -> bool {
    let short: String = pattern
        .chars()
        .filter(|c| !c.is_ascii_lowercase())
        .collect();
    word.eq_ignore_ascii_case(pattern) || word.eq_ignore_ascii_case(&short)
}

fn lookup(header: &str) -> Option<Command> {
    let fits = |pattern: &str| {
        let (mut p, mut h) = (pattern.split(':'), header.split(':'));
        loop {
            match (p.next(), h.next()) {
                (None, None) => return true,
                (Some(p), Some(h)) if word_matches(p, h) => {}
                _ => return false,
            }
        }
    };
    HEADERS
        .iter()
        .find(|(pattern, _)| fits(pattern))
        .map(|(_, command)| *command)
}

/// Splits at `separator`, but not within parentheses or quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0u32, false);
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ if c == separator && depth == 0 && !quoted => {
                parts.push(&text[start..i]);
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `(@1,2,5:7)`; `(@)` is empty.
fn list(text: &str) -> Result<Vec<u32>, ScpiError> {
    let inner = text
        .trim()
        .strip_prefix("(@")
        .and_then(|t| t.strip_suffix(')'))
        .ok_or(DATA_TYPE)?
        .trim();
    let mut ports = Vec::new();
    for item in inner
        .split(',')
        .map(str::trim)
        .filter(|_| !inner.is_empty())
    {
        let number = |t: &str| t.trim().parse::<u32>().map_err(|_| SYNTAX);
        let (first, last) = match item.split_once(':') {
            Some((a, b)) => (number(a)?, number(b)?),
            None => (number(item)?, number(item)?),
        };
        if ports.len() + (last.saturating_sub(first) as usize) >= LIST {
            return Err(TOO_MUCH_DATA);
        }
        ports.extend(first..=last);
    }
    Ok(ports)
}

fn show_list(ports: impl Iterator<Item = u32>) -> String {
    format!(
        "(@{})",
        ports.map(|p| p.to_string()).collect::<Vec<_>>().join(",")
    )
}

/// The settings of the network port, which change nothing here.
type Network = Arc<Mutex<[String; 4]>>;

/// A switch on its interfaces.
#[derive(Clone)]
pub struct PolatisScpi {
    switch: Arc<Switch>,
    network: Network,
}

impl PolatisScpi {
    /// In front of a model.
    #[must_use]
    pub fn new(switch: Arc<Switch>) -> Self {
        let network =
            ["192.168.1.1", "0.0.0.0", "255.255.255.0", "192.168.1.255"].map(str::to_owned);
        Self {
            switch,
            network: Arc::new(Mutex::new(network)),
        }
    }
    /// Returns the state that commands can change, as text.
    #[must_use]
    pub fn state(&self) -> String {
        let network = self
            .network
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join(" ");
        format!("{}\nnetwork: {network}", self.switch.state())
    }
    /// A new connection over TCP, where replies end in CR LF.
    #[must_use]
    pub fn session(&self) -> ScpiSession {
        self.ending("\r\n")
    }
    /// A connection of the serial console, where replies end in CR (public archive id:63190900619).
    #[must_use]
    pub fn console(&self) -> ScpiSession {
        self.ending("\r")
    }
    fn ending(&self, line_end: &'static str) -> ScpiSession {
        ScpiSession {
            device: self.clone(),
            line_end,
            buffer: Vec::new(),
            overrun: false,
            errors: VecDeque::new(),
            settled: Duration::ZERO,
        }
    }
}

/// Session of one connection.
pub struct ScpiSession {
    device: PolatisScpi,
    line_end: &'static str,
    buffer: Vec<u8>,
    overrun: bool,
    errors: VecDeque<ScpiError>,
    settled: Duration,
}

impl ScpiSession {
    fn error(&mut self, error: ScpiError) {
        if self.errors.len() < QUEUE {
            self.errors.push_back(error);
        } else if let Some(last) = self.errors.back_mut() {
            *last = OVERFLOW;
        }
    }

    /// One line: the reply, or `None` if it has none, and how long it takes.
    fn line(&mut self, line: &str) -> Reply {
        let (mut answers, mut path, mut after) = (Vec::new(), String::new(), Duration::ZERO);
        for command in split(line, ';')
            .into_iter()
            .map(str::trim)
            .filter(|c| !c.is_empty())
        {
            let (header, rest) = command
                .split_once(char::is_whitespace)
                .unwrap_or((command, ""));
            let full = match header.strip_prefix(':') {
                Some(absolute) => absolute.to_owned(),
                None if header.starts_with('*') => header.to_owned(),
                None => format!("{path}{header}"),
            };
            if !header.starts_with('*') {
                path = full
                    .rfind(':')
                    .map(|i| full[..=i].to_owned())
                    .unwrap_or_default();
            }
            let arguments: Vec<_> = split(rest, ',')
                .into_iter()
                .map(str::trim)
                .filter(|_| !rest.trim().is_empty())
                .collect();
            let done = lookup(&full)
                .ok_or(UNDEFINED)
                .and_then(|c| self.run(c, &arguments, &mut after));
            match done {
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) => {}
                Err(error) => self.error(error),
            }
        }
        if answers.is_empty() {
            Reply::silent()
        } else {
            Reply::bytes(answers.join(";") + self.line_end).after(after)
        }
    }

    fn run(
        &mut self,
        command: Command,
        arguments: &[&str],
        after: &mut Duration,
    ) -> Result<Option<String>, ScpiError> {
        let switch = self.device.switch.clone();
        let none = || {
            if arguments.is_empty() {
                Ok(())
            } else {
                Err(NOT_ALLOWED)
            }
        };
        let one = || match arguments {
            [] => Err(MISSING),
            [one] => Ok(*one),
            _ => Err(NOT_ALLOWED),
        };
        match command {
            Command::Identify => {
                none()?;
                let i = switch.base().identity();
                let or = |o: Option<String>| o.unwrap_or_default();
                return Ok(Some(format!(
                    "{},{},{},{}",
                    i.vendor,
                    or(i.model),
                    or(i.serial),
                    or(i.firmware)
                )));
            }
            Command::ClearStatus => {
                none()?;
                self.errors.clear();
            }
            Command::Reset | Command::DisconnectAll => {
                none()?;
                switch.remove_all()?;
                self.moved();
            }
            Command::Complete => {
                none()?;
                *after = self.settled.saturating_sub(switch.clock().now());
                return Ok(Some("1".into()));
            }
            Command::Size => {
                none()?;
                let Geometry::Matrix { ingress, egress } = switch.geometry() else {
                    return Err(EXECUTION);
                };
                return Ok(Some(format!("{ingress},{egress}")));
            }
            Command::Add | Command::Only => {
                // The sources contain a third parameter, the mode, without its values: it is
                // accepted and ignored.
                let ([i, e] | [i, e, _]) = arguments else {
                    return Err(if arguments.len() < 2 {
                        MISSING
                    } else {
                        NOT_ALLOWED
                    });
                };
                let (ingress, egress) = (list(i)?, list(e)?);
                if ingress.len() != egress.len() {
                    return Err(MISSING);
                }
                let pairs: Vec<_> = ingress.into_iter().zip(egress).collect();
                if command == Command::Add {
                    switch.add(&pairs)?
                } else {
                    switch.replace_all(&pairs)?
                }
                self.moved();
            }
            Command::Subtract => {
                let [i, e] = arguments else {
                    return Err(if arguments.len() < 2 {
                        MISSING
                    } else {
                        NOT_ALLOWED
                    });
                };
                let (mut ports, egress) = (list(i)?, list(e)?);
                // Pairs that are not connected to each other are left alone (our choice).
                if !egress.is_empty() {
                    if egress.len() != ports.len() {
                        return Err(MISSING);
                    }
                    if let Some(bad) = egress.iter().find(|p| !switch.has_port(**p)) {
                        return Err(SwitchRejection::NoSuchPort(*bad).into());
                    }
                    let mut partner = egress.into_iter();
                    ports.retain(|p| partner.next() == switch.peer(*p) || !switch.has_port(*p));
                }
                switch.remove(&ports)?;
                self.moved();
            }
            Command::Connections => {
                none()?;
                let now = switch.cross_connects();
                return Ok(Some(format!(
                    "{},{}",
                    show_list(now.iter().map(|c| c.ingress.0)),
                    show_list(now.iter().map(|c| c.egress.0))
                )));
            }
            Command::Peer => {
                let port: u32 = one()?.parse().map_err(|_| DATA_TYPE)?;
                if !switch.has_port(port) {
                    return Err(RANGE);
                }
                return Ok(Some(format!(
                    "\"{}\"",
                    switch.peer(port).map(|p| p.to_string()).unwrap_or_default()
                )));
            }
            Command::Disable | Command::Enable => {
                switch.enable(&list(one()?)?, command == Command::Enable)?
            }
            Command::PortStates => {
                let ports = if arguments.is_empty() {
                    switch.geometry().ports().map(|p| p.0).collect()
                } else {
                    list(one()?)?
                };
                if ports.iter().any(|p| !switch.has_port(*p)) {
                    return Err(RANGE);
                }
                let letters: Vec<_> = ports
                    .into_iter()
                    .map(|p| match switch.port_state(p) {
                        PortState::Disabled => "D",
                        PortState::Failed => "F",
                        _ => "E",
                    })
                    .collect();
                return Ok(Some(format!("({})", letters.join(","))));
            }
            Command::Power => {
                let ports = list(one()?)?;
                if ports.len() > POWERS {
                    return Err(TOO_MUCH_DATA);
                }
                if ports.iter().any(|p| !switch.has_port(*p)) {
                    return Err(RANGE);
                }
                if ports.iter().any(|p| !switch.is_monitored(*p)) {
                    return Err(NO_HARDWARE);
                }
                let powers: Vec<_> = ports
                    .into_iter()
                    .map(|p| format!("{:.1}", switch.power_at(p)))
                    .collect();
                return Ok(Some(format!("({})", powers.join(","))));
            }
            Command::BootMode => {
                none()?;
                let word = match switch.boot_mode() {
                    BootMode::Dark => "DARK",
                    BootMode::Restore => "REST",
                    BootMode::Auto => "AUT",
                };
                return Ok(Some(word.into()));
            }
            Command::SetBootMode => {
                let word = one()?;
                let modes = [
                    ("DARK", BootMode::Dark),
                    ("RESTore", BootMode::Restore),
                    ("AUTosave", BootMode::Auto),
                ];
                let mode = modes
                    .iter()
                    .find(|(p, _)| word_matches(p, word))
                    .ok_or(ILLEGAL)?
                    .1;
                switch.set_boot_mode(mode)?;
            }
            Command::Network => {
                none()?;
                let [ip, gateway, mask, broadcast] = self
                    .device
                    .network
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                return Ok(Some(format!(
                    "IP=\"{ip}\" Gateway=\"{gateway}\" Mask=\"{mask}\" Broadcast=\"{broadcast}\""
                )));
            }
            Command::SetNetwork => {
                if arguments.is_empty() || arguments.len() > 4 {
                    return Err(if arguments.is_empty() {
                        MISSING
                    } else {
                        NOT_ALLOWED
                    });
                }
                let addresses: Option<Vec<std::net::Ipv4Addr>> = arguments
                    .iter()
                    .map(|a| a.trim_matches('"').parse().ok())
                    .collect();
                let mut network = self
                    .device
                    .network
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                for (setting, address) in network.iter_mut().zip(addresses.ok_or(ILLEGAL)?) {
                    *setting = address.to_string();
                }
            }
            Command::NextError => {
                none()?;
                return Ok(Some(
                    self.errors
                        .pop_front()
                        .map_or("0, \"No error\"".into(), |e| {
                            format!("{}, \"{}\"", e.0, e.1)
                        }),
                ));
            }
            Command::AllErrors => {
                none()?;
                let all: Vec<_> = self
                    .errors
                    .drain(..)
                    .map(|e| format!("{}, \"{}\"", e.0, e.1))
                    .collect();
                return Ok(Some(if all.is_empty() {
                    "0, \"No error\"".into()
                } else {
                    all.join(",")
                }));
            }
        }
        Ok(None)
    }

    fn moved(&mut self) {
        self.settled = self.device.switch.clock().now() + crate::model::switch::SETTLING;
    }
}

impl Session for ScpiSession {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        let mut replies = Vec::new();
        for byte in bytes {
            if !matches!(byte, b'\r' | b'\n') {
                if self.buffer.len() < LINE {
                    self.buffer.push(*byte)
                } else {
                    self.overrun = true
                }
                continue;
            }
            let line = std::mem::take(&mut self.buffer);
            if std::mem::take(&mut self.overrun) {
                self.error(OVERRUN);
            } else if !line.is_empty() {
                replies.push(match std::str::from_utf8(&line) {
                    Ok(line) => self.line(line),
                    Err(_) => {
                        self.error(SYNTAX);
                        Reply::silent()
                    }
                });
            }
        }
        replies
    }
}

/// Drives the decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let identity = qkd_hal::Identity::new("Polatis").with_model("I-OST-4x4-LU1-DMHNS");
    let switch = Switch::new(identity, Geometry::matrix(4, 4), crate::Clock::manual());
    let mut session = PolatisScpi::new(Arc::new(switch)).session();
    session.feed(input);
    session.feed(b"\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use proptest::prelude::*;
    use qkd_hal::Identity;

    fn session() -> (ScpiSession, Arc<Switch>) {
        let identity = Identity::new("Polatis")
            .with_model("N-OST-24x24-LA1-DMHNS")
            .with_serial("002414")
            .with_firmware("6.5.2.18");
        let switch = Arc::new(Switch::new(
            identity,
            Geometry::matrix(24, 24),
            Clock::manual(),
        ));
        (PolatisScpi::new(switch.clone()).session(), switch)
    }
    fn ask(s: &mut ScpiSession, line: &str) -> String {
        s.feed(line.as_bytes())
            .into_iter()
            .map(|r| String::from_utf8(r.bytes).unwrap())
            .collect()
    }

    #[test]
    fn the_published_exchange() {
        let (mut s, _) = session();
        for (line, reply) in [
            (
                "*idn?\n",
                "Polatis,N-OST-24x24-LA1-DMHNS,002414,6.5.2.18\r\n",
            ),
            (":oxc:swit:size?\n", "24,24\r\n"),
            (":oxc:swit:conn:add (@1,2),(@25,26)\n", ""),
            (":oxc:swit:conn:stat?\n", "(@1,2),(@25,26)\r\n"),
            (":oxc:swit:conn:port? 1\n", "\"25\"\r\n"),
            (":oxc:swit:conn:port? 3\n", "\"\"\r\n"),
            (
                ":oxc:swit:conn:add (@3),(@27);:syst:err?\n",
                "0, \"No error\"\r\n",
            ),
            (":OXC:SWITch:DISConnect:ALL\r\n", ""),
            (":OXC:SWITch:CONNect:STATe?\r", "(@),(@)\r\n"),
            (
                "oxc:swit:conn:only (@1,2,3),(@27,30,26); stat?\n",
                "(@1,2,3),(@27,30,26)\r\n",
            ),
            (
                ":oxc:swit:conn:sub (@1,2),(@)\n:oxc:swit:conn:stat?\n",
                "(@3),(@26)\r\n",
            ),
            ("*CLS;:OXC:SWITch:CONNect:PORT? 26;*OPC?\n", "\"3\";1\r\n"),
            (
                ":oxc:swit:port:dis (@2,4)\n:oxc:swit:port:stat? (@2,3)\n",
                "(D,E)\r\n",
            ),
            (
                ":oxc:swit:port:enab (@2,4)\n:oxc:swit:port:stat? (@2,3)\n",
                "(E,E)\r\n",
            ),
            (":oxc:boot:mode AUT\n:oxc:boot:mode?\n", "AUT\r\n"),
            (":pmon:pow? (@26,27)\n", "(-1.0,-60.0)\r\n"),
            (
                ":syst:comm:netw:addr?\n",
                "IP=\"192.168.1.1\" Gateway=\"0.0.0.0\" Mask=\"255.255.255.0\" \
                 Broadcast=\"192.168.1.255\"\r\n",
            ),
        ] {
            assert_eq!(ask(&mut s, line), reply, "{line}");
        }
    }

    #[test]
    fn invalid_commands_enter_the_error_queue_and_change_nothing() {
        let (mut s, switch) = session();
        ask(&mut s, ":oxc:swit:conn:add (@1),(@25)\n");
        for (line, code) in [
            ("nonsense", -113),
            (":oxc:swit:conn:add (@1,2),(@26)", -109),
            (":oxc:swit:conn:add (@99),(@26)", -222),
            (":oxc:swit:conn:add (@26),(@1)", -222),
            (":oxc:swit:conn:add 1,26", -104),
            (":oxc:swit:conn:add (@x),(@26)", -102),
            (":oxc:swit:conn:port?", -109),
            (":pmon:pow? (@1)", -241),
            (":pmon:pow? (@1:300)", -223),
            (":oxc:boot:mode SOMEHOW", -224),
            (":oxc:swit:conn:add (@1:4294967295),(@26)", -223),
        ] {
            assert_eq!(ask(&mut s, &format!("{line}\n")), "", "{line}");
            assert!(
                ask(&mut s, ":syst:err?\n").starts_with(&format!("{code}, ")),
                "{line}"
            );
        }
        assert_eq!(switch.cross_connects().to_string(), "1-25");
        switch.change_faults().refuse(1);
        assert!(ask(&mut s, ":oxc:swit:conn:add (@2),(@26);:syst:err?\n").starts_with("-200, "));
        for _ in 0..12 {
            ask(&mut s, "x\n");
        }
        let all = ask(&mut s, ":syst:err:all?\n");
        assert!(
            all.matches("-113").count() == 9 && all.contains("-350"),
            "{all}"
        );
    }

    #[test]
    fn bytes_may_come_in_any_pieces() {
        let (mut s, _) = session();
        let replies: Vec<_> = b"*id"
            .chunks(1)
            .chain(b"n?\r\n".chunks(1))
            .flat_map(|b| s.feed(b))
            .collect();
        assert_eq!(replies.len(), 1);
        s.feed(&vec![b'x'; LINE * 2]);
        assert!(ask(&mut s, "\n:syst:err?\n").starts_with("-363"));
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "[:;*?a-z0-9@(),\" \r\n]{0,120}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz(text.as_bytes());
            fuzz(&bytes);
        }
    }
}
