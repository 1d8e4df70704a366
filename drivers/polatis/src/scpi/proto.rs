//! SCPI of the Polatis switches: typed commands to text, text to typed replies. No I/O.
//!
//! `id:NNN` is the number of a public source file in the archive the facts were taken from.
//! Everything here is confirmed unless a comment says otherwise. Commands are sent in their short
//! forms and lower case; the switch takes any case and the long forms too. Set commands are not
//! answered (id:29512349446).

mod reply;

pub use reply::{
    ScpiError, decode_boot_mode, decode_complete, decode_connections, decode_error,
    decode_identity, decode_network, decode_peer, decode_power, decode_size, decode_states,
};

use crate::product;
use std::fmt::{self, Write};

/// SCPI over TCP: also at 333 (interface table of a real unit, id:36743106339).
pub const TCP_PORT: u16 = 5025;

/// Speed of the serial console. Inferred: one third-party README (id:63190900619); the vendor's
/// manual was not seen.
pub const SERIAL_BAUD: u32 = 38_400;

/// Maximum number of ports of one power query (devicecontrol-polatis, id:27402672866).
pub const POWER_QUERY_LIMIT: usize = 256;

/// Maximum number of bytes of a reply line: 576 ingress ports in `conn:stat?` need under 6 KiB.
pub const LINE_LIMIT: usize = 16 * 1024;

/// Reason for which a reply is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtoError {
    /// Bytes that are not printable ASCII: noise, or a wrong line speed.
    #[error("the reply is not ASCII text; on a serial line, check its speed")]
    NotText,
    /// Text of another shape.
    #[error("expected {expected}, got `{got}`")]
    Shape {
        /// Expected form of the reply.
        expected: &'static str,
        /// The beginning of what came.
        got: String,
    },
    /// The right shape with too few or too many items.
    #[error("{got} items came where {expected} are due")]
    Count {
        /// Number of expected items.
        expected: usize,
        /// Number of received items.
        got: usize,
    },
}

/// Cross-connects after power-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootMode {
    /// No cross-connects after power-up.
    Dark,
    /// A saved pattern comes back.
    Restore,
    /// The last state comes back.
    AutoSave,
}

/// The state of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Port enabled: `E`.
    Enabled,
    /// Port disabled: `D`.
    Disabled,
    /// Port failed: `F`.
    Failed,
}

/// The fields of `*idn?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identification {
    /// Name of the vendor.
    pub maker: String,
    /// Product code of the switch.
    pub product_code: String,
    /// Serial number, as in the reply.
    pub serial: String,
    /// Version of the firmware.
    pub firmware: String,
}

/// The fields of `:syst:comm:netw:addr?`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// IP address (field `IP`).
    pub address: String,
    /// Default gateway (field `Gateway`).
    pub gateway: String,
    /// Network mask (field `Mask`).
    pub mask: String,
    /// Broadcast address (field `Broadcast`).
    pub broadcast: String,
}

/// A command with its parameters.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Query of the identity: `*idn?` (id:29512349446).
    Identify,
    /// `*cls`: forgets queued errors (id:29512349446)
    Clear,
    /// `*rst`: drops all connections (id:20223350903). Not sent by the driver.
    Reset,
    /// `*opc?`: answered `1` (id:20676530248). The driver sends it only to resynchronise.
    Sync,
    /// Query of the size: `:oxc:swit:size?` (id:29512349446, id:32168501937).
    Size,
    /// Query of the cross-connects: `:oxc:swit:conn:stat?` (id:29512349446, id:27402672866).
    Connections,
    /// `:oxc:swit:conn:port? <n>` (id:29512349446, id:20676530248)
    Peer(u32),
    /// `:oxc:swit:conn:add (@i..),(@e..)`: element by element, others stay (id:20676530248)
    Add(Vec<(u32, u32)>),
    /// `:oxc:swit:conn:only ...`: clears everything else (id:29512349446, id:27402672866)
    Only(Vec<(u32, u32)>),
    /// `:oxc:swit:conn:sub ...` (id:20676530248, id:29512349446)
    Remove(Vec<(u32, u32)>),
    /// Removal of all cross-connects: `:oxc:swit:disc:all`.
    DisconnectAll,
    /// Enabling of ports: `:oxc:swit:port:enab (@..)` (id:29512349446).
    Enable(Vec<u32>),
    /// `:oxc:swit:port:dis (@..)`: the shutter (id:29512349446)
    Disable(Vec<u32>),
    /// `:oxc:swit:port:stat? (@..)`; no list: all ports (id:29512349446)
    States(Vec<u32>),
    /// `:pmon:pow? (@..)`, at most [`POWER_QUERY_LIMIT`] ports (id:27402672866)
    Power(Vec<u32>),
    /// Query of the boot mode: `:oxc:boot:mode?` (id:20223350903, id:18155216318).
    BootMode,
    /// Setting of the boot mode: `:oxc:boot:mode <mode>`.
    SetBootMode(BootMode),
    /// `:syst:comm:netw:addr?`; of the second interface with `true` (id:29512349446,
    /// id:27402672866)
    Network(bool),
    /// `:syst:err?`: takes the oldest error from the queue (PyPI cloudshell-cli 6.0.0
    /// `scpi_session.py`, with Polatis in id:32168501937)
    NextError,
}

fn list(out: &mut String, ports: impl Iterator<Item = u32>) {
    out.push_str("(@");
    for (i, port) in ports.enumerate() {
        let _ = write!(out, "{}{port}", if i == 0 { "" } else { "," });
    }
    out.push(')');
}

fn pairs(head: &str, pairs: &[(u32, u32)]) -> String {
    let mut out = String::with_capacity(head.len() + 8 + pairs.len() * 8);
    out.push_str(head);
    list(&mut out, pairs.iter().map(|p| p.0));
    out.push(',');
    list(&mut out, pairs.iter().map(|p| p.1));
    out
}

fn ports(head: &str, ports: &[u32]) -> String {
    let mut out = head.to_owned();
    list(&mut out, ports.iter().copied());
    out
}

impl Command {
    /// Whether the switch answers it.
    #[must_use]
    pub fn is_query(&self) -> bool {
        matches!(
            self,
            Self::Identify
                | Self::Sync
                | Self::Size
                | Self::Connections
                | Self::Peer(_)
                | Self::States(_)
                | Self::Power(_)
                | Self::BootMode
                | Self::Network(_)
                | Self::NextError
        )
    }

    /// Whether it changes what the contract shows of the switch. Not its queue of errors.
    #[must_use]
    pub fn changes(&self) -> bool {
        !self.is_query() && *self != Self::Clear
    }

    /// Returns the line without its end. A set command is followed by `;:syst:err?`, so that the
    /// switch replies to it: without a reply, a set cannot be distinguished from a lost one.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        if !self.is_query() {
            line.push_str(";:syst:err?");
        }
        line
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Identify => "*idn?".to_owned(),
            Self::Clear => "*cls".to_owned(),
            Self::Reset => "*rst".to_owned(),
            Self::Sync => "*opc?".to_owned(),
            Self::Size => ":oxc:swit:size?".to_owned(),
            Self::Connections => ":oxc:swit:conn:stat?".to_owned(),
            Self::Peer(port) => format!(":oxc:swit:conn:port? {port}"),
            Self::Add(all) => pairs(":oxc:swit:conn:add ", all),
            Self::Only(all) => pairs(":oxc:swit:conn:only ", all),
            Self::Remove(all) => pairs(":oxc:swit:conn:sub ", all),
            Self::DisconnectAll => ":oxc:swit:disc:all".to_owned(),
            Self::Enable(all) => ports(":oxc:swit:port:enab ", all),
            Self::Disable(all) => ports(":oxc:swit:port:dis ", all),
            Self::States(all) if all.is_empty() => ":oxc:swit:port:stat?".to_owned(),
            Self::States(all) => ports(":oxc:swit:port:stat? ", all),
            Self::Power(all) => ports(":pmon:pow? ", all),
            Self::BootMode => ":oxc:boot:mode?".to_owned(),
            Self::SetBootMode(BootMode::Dark) => ":oxc:boot:mode DARK".to_owned(),
            Self::SetBootMode(BootMode::Restore) => ":oxc:boot:mode REST".to_owned(),
            Self::SetBootMode(BootMode::AutoSave) => ":oxc:boot:mode AUT".to_owned(),
            Self::Network(false) => ":syst:comm:netw:addr?".to_owned(),
            Self::Network(true) => ":syst:comm:netw2:addr?".to_owned(),
            Self::NextError => ":syst:err?".to_owned(),
        })
    }
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = decode_identity(input).map(|i| {
        (
            product::size(&i.product_code),
            product::monitors(&i.product_code),
        )
    });
    let _ = decode_size(input);
    let _ = decode_connections(input);
    let _ = decode_peer(input);
    let _ = decode_states(input, 3);
    let _ = decode_power(input, 2);
    let _ = decode_boot_mode(input);
    let _ = decode_network(input);
    let _ = decode_error(input);
    let _ = decode_complete(input);
}

#[cfg(test)]
mod tests;
