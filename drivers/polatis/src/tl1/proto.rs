//! TL1 of the Polatis switches: typed commands to text, messages to typed replies. No I/O.
//!
//! `id:NNN` is the number of a public source file in the archive the facts were taken from.
//! Everything here is confirmed unless a comment says otherwise. A request is
//! `VERB:[TID]:AID:CTAG:[general block]:[payload];`, a reply has the request's correlation tag
//! (CTAG), and what comes unasked has another header (id:36840253885, id:36474704208,
//! cloudshell-L1-polatis).

mod command;
mod message;
mod reply;
#[cfg(test)]
mod tests;

pub use command::{Command, VoaMode, is_plain};
pub(crate) use command::{login, password_of};
pub use message::{Answer, Denial, MESSAGE_LIMIT, decode, decode_any, frame};
pub use qkd_driver_kit::link::text::TextDecodeError;
pub use reply::{
    AlarmMode, Edge, Monitor, Threshold, Type, Voa, VoaConfig, decode_alarmed, decode_connections,
    decode_monitor, decode_monitors, decode_open, decode_power, decode_serial, decode_size,
    decode_threshold, decode_type, decode_voa, decode_voa_config,
};

/// TL1 over TCP (interface table of a real unit, id:36743106339).
pub const TCP_PORT: u16 = 3082;

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = frame()(input);
    let lines = match decode(input, 5) {
        Ok(Answer::Done(lines)) => lines,
        _ => String::from_utf8_lossy(input)
            .lines()
            .map(str::to_owned)
            .collect(),
    };
    let _ = (
        decode_type(&lines),
        decode_serial(&lines),
        decode_size(&lines),
        decode_connections(&lines),
        decode_monitors(&lines),
        decode_voa_config(&lines),
    );
    let _ = (
        decode_open(&lines, &[5]),
        decode_power(&lines, &[5, 17]),
        decode_monitor(&lines, 17),
        decode_threshold(&lines, 17),
    );
    let _ = (decode_alarmed(&lines, 17), decode_voa(&lines, 17));
}
