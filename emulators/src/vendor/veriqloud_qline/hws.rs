//! `hws`: calibration sequences, at Alice. Source: `remote/hws_alice.py` (commit 0188ac6),
//! `local/hws.py`.
//!
//! A command is answered when it has ended, each with its own text; `verify_gates` and
//! `loop_find_gates` send a picture first. During a command, the link is `calibrating`. A real
//! device serves one connection at a time; the emulator serves several.

use super::{
    Node,
    frame::{commands, data, short_string},
};
use crate::{
    fault::TextFormat,
    model::qkd::Phase,
    wire::{Reply, Session},
};
use std::sync::Arc;

/// Commands that calibrate and answer `<name> done`.
const PLAIN: &[&str] = &[
    "sync_gc",
    "qdistance",
    "find_am_bias",
    "pol_bob",
    "ad",
    "find_sp",
    "fd_b",
    "fd_b_long",
    "fd_a",
    "fd_a_long",
    "fz_b",
    "fz_a",
    "set_angles_a",
    "adjust_am",
    "adjust_soft_gates",
    "adjust_angles_a",
    "single_peak",
];

/// Placeholder for a picture: the first eight bytes of a PNG. A real device sends a plot.
const PNG_HEADER: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Coloured as Python's termcolor does it.
fn coloured(good: bool, text: &str) -> String {
    format!("\u{1b}[{}m{text}\u{1b}[0m", if good { 32 } else { 31 })
}

/// Session of one connection.
pub struct Hws {
    node: Arc<Node>,
    buffer: Vec<u8>,
}

impl Hws {
    /// A connection to Alice's server.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            buffer: Vec::new(),
        }
    }

    fn answer(&self, command: &str) -> Reply {
        let link = self.node.link();
        let say = |text: &str| Reply::bytes(short_string(text));
        let failed = || {
            say(&coloured(
                false,
                &format!(
                    "unknown command or error in function{}",
                    command.escape_debug()
                ),
            ))
        };
        match command {
            // Key generation is stopped first.
            "init" => return link.stop().map_or_else(|_| failed(), |()| say("init done")),
            "start" => {
                return link
                    .start()
                    .map_or_else(|_| failed(), |()| say("start done"));
            }
            "clean" => {
                self.node.settings().clear();
                return say("clean done");
            }
            _ => {}
        }
        // The source parses the text after the last underscore.
        match command.split_once('_') {
            Some(("save", _)) => {
                self.node.save(last(command));
                return say("save done");
            }
            Some(("load", _)) => {
                return say(if self.node.load(last(command)) {
                    "load done"
                } else {
                    "Alice filename does not exist"
                });
            }
            _ => {}
        }
        let light = link.phase() != Phase::Error;
        let Some(reply) = reply_text(command, light) else {
            return failed();
        };
        match link.calibrate() {
            Ok(()) => Reply::bytes(reply).after(link.timings().calibrate),
            Err(_) => failed(),
        }
    }
}

fn last(command: &str) -> &str {
    command.rsplit('_').next().unwrap_or_default()
}

/// Returns the reply of a calibration; `None` for an unknown one.
fn reply_text(command: &str, light: bool) -> Option<Vec<u8>> {
    let word = if light { "success" } else { "fail" };
    let numbered = |name: &str| {
        command == name
            || command
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('_'))
                .is_some_and(|n| n.parse::<u32>().is_ok())
    };
    let text = match command {
        name if PLAIN.contains(&name) => format!("{name} done"),
        "compare_gc" => "gc difference: 0.0 (0.0 s)".to_owned(),
        "config_laser" => "laser_config_done Rcalc=10000.000000 Rread=10000.0".to_owned(),
        "find_am2_bias" => "find_am_bias done. min count: 120, index: 10".to_owned(),
        "set_soft_gates" => "set_soft_gates_done".to_owned(),
        "verify_am_bias" => format!(
            "verify_am_bias {}",
            coloured(light, &format!("{word}: ref/off  = 2.50 (3000/1200) \n"))
        ),
        "loop_find_am_bias" => format!(
            "loop_find_am_bias {}",
            coloured(light, &format!("{word}: double/off  = 2.50 (3000/1200) \n"))
        ),
        "fs_b" => format!(
            "fs_b {}",
            coloured(
                light,
                if light {
                    "Success: Shift_Bob found\n"
                } else {
                    "Fail: pm_shift_Bob is None\n"
                }
            )
        ),
        "fs_a" => format!(
            "fs_a {}",
            coloured(
                light,
                if light {
                    "success: Shift_Alice found\n"
                } else {
                    "fail: pm_shift_Alice is None\n"
                }
            )
        ),
        "verify_gates" | "loop_find_gates" => {
            let bad = if command == "verify_gates" {
                "fail: bad gates \n"
            } else {
                "verify_gates failed"
            };
            let text = format!(
                "{command} {}",
                coloured(
                    light,
                    if light {
                        "success: good gates found \n"
                    } else {
                        bad
                    }
                )
            );
            return Some([data(PNG_HEADER), short_string(&text)].concat());
        }
        _ if numbered("find_vca") => format!(
            "find_vca {}",
            coloured(light, &format!("{word}, 3.2V / 3000 cts \n"))
        ),
        _ if numbered("vca_per") => format!(
            "vca_per {}",
            coloured(light, &format!("{word}, 3.2V / 2100 cts \n"))
        ),
        _ => return None,
    };
    Some(short_string(&text))
}

impl Session for Hws {
    fn text_format(&self) -> TextFormat {
        TextFormat::Length8
    }
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        let (replies, rest) = commands(
            std::mem::take(&mut self.buffer),
            bytes,
            |reader| reader.short_string(),
            |command| self.answer(command),
        );
        self.buffer = rest;
        replies
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Side, *};
    use crate::{
        Clock,
        model::qkd::{LinkConfig, Phase, QkdLink},
    };

    #[test]
    fn a_sequence_from_init_to_keys() {
        let clock = Clock::manual();
        let link = QkdLink::new(LinkConfig::default(), clock.clone(), 1);
        let mut hws = Hws::new(Node::new(Side::Alice, link.clone()));
        let mut ask = |command: &str| hws.feed(&short_string(command)).remove(0);
        assert_eq!(ask("init"), Reply::bytes(short_string("init done")));
        assert_eq!(link.phase(), Phase::Idle);
        let slow = ask("find_vca_3000");
        assert_eq!(
            (slow.bytes, slow.after),
            (
                short_string("find_vca \u{1b}[32msuccess, 3.2V / 3000 cts \n\u{1b}[0m"),
                link.timings().calibrate
            )
        );
        assert_eq!(link.phase(), Phase::Calibrating);
        assert_eq!(ask("config_laser").bytes[1..18], *b"laser_config_done");
        assert_eq!(ask("verify_gates").bytes[..4], 8i32.to_le_bytes());
        assert_eq!(ask("save_monday").bytes, short_string("save done"));
        assert_eq!(ask("load_monday").bytes, short_string("load done"));
        assert_eq!(
            ask("load_sunday").bytes,
            short_string("Alice filename does not exist")
        );
        ask("start");
        clock.advance(link.timings().total());
        assert_eq!(link.phase(), Phase::Generating);
        for wrong in ["find_vca_x", "dance", "find_vca_"] {
            assert!(
                String::from_utf8_lossy(&ask(wrong).bytes)
                    .contains("unknown command or error in function"),
                "{wrong}"
            );
        }
    }
}
