//! `hw`: settings of the hardware. Source: `remote/hw_alice.py`, `remote/hw_bob.py`, and the
//! clients `local/hw_alice.py`, `local/hw_bob.py`.
//!
//! Only commands whose arguments are in the source are implemented. Any other command gets no
//! reply; the rest of its input is dropped, because its arguments cannot be distinguished from the
//! next command.

use super::{
    Node, Side,
    frame::{LIMIT, Reader, data, ints, string},
};
use crate::{
    fault::TextFormat,
    wire::{Reply, Session},
};
use std::sync::Arc;

/// Arguments of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    Text,
    Int,
    Double,
}
use Argument::{Double as D, Int as I, Text as S};

/// Reply of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    None,
    /// A string that says how it went.
    Word,
    Load,
    Info,
    Counter,
    Ddr,
    Counts,
    Gates,
}

/// Name, on which side (`None`: both), arguments, answer.
type Entry = (&'static str, Option<Side>, &'static [Argument], Answer);

const ALICE: Option<Side> = Some(Side::Alice);
const BOB: Option<Side> = Some(Side::Bob);

const COMMANDS: &[Entry] = &[
    ("init_ltc", None, &[], Answer::None),
    ("init_fda", None, &[], Answer::None),
    ("init_sync", None, &[], Answer::None),
    ("init_sda", None, &[], Answer::None),
    ("init_jic", BOB, &[], Answer::None),
    ("init_tdc", BOB, &[], Answer::None),
    ("init_ttl", BOB, &[], Answer::None),
    ("init_all", None, &[], Answer::None),
    ("init_clean", None, &[], Answer::None),
    ("init_save", None, &[S], Answer::None),
    ("init_load", None, &[S], Answer::Load),
    ("set_vca", ALICE, &[D], Answer::None),
    ("set_am_bias", ALICE, &[D], Answer::None),
    ("set_am2_bias", ALICE, &[D], Answer::None),
    ("set_qdistance", ALICE, &[D], Answer::None),
    ("set_am_shift", ALICE, &[I], Answer::None),
    ("set_pm_mode", None, &[S], Answer::None),
    ("set_pm_shift", None, &[I], Answer::None),
    ("set_angles", None, &[D, D, D, D], Answer::None),
    ("set_insert_zeros", None, &[S], Answer::None),
    ("set_fake_rng_seq", None, &[S, I], Answer::None),
    ("set_soft_gate_filter", BOB, &[S], Answer::None),
    ("set_soft_gates", BOB, &[I, I, I, I], Answer::None),
    ("set_feedback", BOB, &[S], Answer::Word),
    ("set_spd_mode", BOB, &[S], Answer::None),
    ("set_spd_deadtime", BOB, &[I], Answer::None),
    ("set_spd_eff", BOB, &[I], Answer::None),
    ("set_spd_delay", BOB, &[I], Answer::None),
    ("set_pol_bias", BOB, &[D, D, D, D], Answer::None),
    ("set_optimize_pol", BOB, &[], Answer::None),
    ("set_tune_deadtime", BOB, &[], Answer::Word),
    ("get_info", None, &[], Answer::Info),
    ("get_gc", None, &[], Answer::Counter),
    ("get_ddr_status", None, &[], Answer::Ddr),
    ("get_counts", BOB, &[], Answer::Counts),
    ("get_counts2", BOB, &[], Answer::Counts),
    ("get_counts3", BOB, &[], Answer::Counts),
    ("get_gates", BOB, &[], Answer::Gates),
];

/// An empty list, pickled with protocol 4. The content of a real reply is not published, and no
/// driver may unpickle it.
const PICKLED: &[u8] = b"\x80\x04]\x94.";

/// Session of one connection.
pub struct Hw {
    node: Arc<Node>,
    buffer: Vec<u8>,
}

enum Step {
    /// More bytes are needed.
    Wait,
    Answer(Vec<u8>),
    Unknown,
    Bye,
}

impl Hw {
    /// A connection to this end's server.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            buffer: Vec::new(),
        }
    }

    fn step(&self, reader: &mut Reader<'_>) -> Step {
        let Some(command) = reader.string() else {
            return Step::Wait;
        };
        if command.is_empty() {
            return Step::Bye;
        }
        let Some((name, _, arguments, answer)) = COMMANDS
            .iter()
            .find(|(n, side, ..)| *n == command && side.is_none_or(|s| s == self.node.side()))
        else {
            return Step::Unknown;
        };
        let mut words = Vec::new();
        for argument in *arguments {
            let word = match argument {
                S => reader.string(),
                I => reader.int().map(|v| v.to_string()),
                D => reader.double().map(|v| v.to_string()),
            };
            match word {
                Some(word) => words.push(word),
                None => return Step::Wait,
            }
        }
        Step::Answer(self.carry_out(name, &words, *answer))
    }

    fn carry_out(&self, name: &str, words: &[String], answer: Answer) -> Vec<u8> {
        if let Some(setting) = name.strip_prefix("set_") {
            // A change that the model refuses is silently ignored: the protocol has no errors.
            if self.node.link().change_faults().check().is_ok() {
                self.node
                    .settings()
                    .insert(setting.to_owned(), words.join(" "));
            }
        }
        match (name, words) {
            ("init_save", [file]) => self.node.save(file),
            ("init_clean", _) => self.node.settings().clear(),
            _ => {}
        }
        match answer {
            Answer::None => Vec::new(),
            Answer::Word => string("done"),
            Answer::Load => {
                let file = words.first().map_or("", String::as_str);
                string(&if self.node.load(file) {
                    "ok".to_owned()
                } else {
                    format!("no such file {file}")
                })
            }
            Answer::Info => {
                let lines: Vec<_> = self
                    .node
                    .settings()
                    .iter()
                    .map(|(n, v)| format!("{n} = {v}"))
                    .collect();
                string(&lines.join("\n"))
            }
            Answer::Counter => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a float to an int saturates"
                )]
                let pulses = (self.node.link().clock().now().as_secs_f64()
                    * self.node.link().system().clock) as i64;
                pulses.to_le_bytes().to_vec()
            }
            Answer::Ddr => string("ok"),
            Answer::Counts => {
                let clicks = self.node.rates().gain * self.node.link().system().clock * 0.1;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a float to an int saturates"
                )]
                let total = clicks as i32;
                ints(&[total, total / 2, total - total / 2])
            }
            Answer::Gates => data(PICKLED),
        }
    }
}

impl Session for Hw {
    fn text_format(&self) -> TextFormat {
        TextFormat::Length16
    }
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut reader = Reader::new(&buffer);
        let (mut replies, mut done) = (Vec::new(), 0);
        loop {
            match self.step(&mut reader) {
                Step::Wait => break,
                Step::Answer(reply) => replies.push(Reply::bytes(reply)),
                Step::Unknown => {
                    replies.push(Reply::silent());
                    return replies;
                }
                Step::Bye => {
                    replies.push(Reply::hang_up());
                    return replies;
                }
            }
            done = reader.at();
        }
        self.buffer = buffer[done..].to_vec();
        if self.buffer.len() > LIMIT {
            self.buffer.clear();
        }
        replies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Clock,
        model::qkd::{LinkConfig, QkdLink},
    };

    fn hw(side: Side) -> Hw {
        Hw::new(Node::new(
            side,
            QkdLink::new(LinkConfig::default(), Clock::manual(), 1),
        ))
    }
    fn ask(hw: &mut Hw, request: &[u8]) -> Vec<u8> {
        hw.feed(request).into_iter().flat_map(|r| r.bytes).collect()
    }

    #[test]
    fn settings_are_applied_completely_or_not_at_all() {
        let mut alice = hw(Side::Alice);
        let request = hex::decode("07007365745f7663610000000000000c40").unwrap();
        assert_eq!(ask(&mut alice, &request[..12]), b"");
        assert_eq!(ask(&mut alice, &request[12..]), b"");
        assert_eq!(ask(&mut alice, &string("get_info")), string("vca = 3.5"));
        let mut save = string("init_save");
        save.extend(string("monday"));
        ask(&mut alice, &save);
        ask(&mut alice, &string("init_clean"));
        assert_eq!(ask(&mut alice, &string("get_info")), string(""));
        let load = |name: &str| [string("init_load"), string(name)].concat();
        assert_eq!(ask(&mut alice, &load("monday")), string("ok"));
        assert!(
            String::from_utf8_lossy(&ask(&mut alice, &load("sunday"))).contains("no such file")
        );
    }

    #[test]
    fn each_side_has_its_own_commands() {
        assert_eq!(ask(&mut hw(Side::Alice), &string("get_counts")), b"");
        assert_eq!(ask(&mut hw(Side::Bob), &string("get_counts")).len(), 12);
        assert_eq!(ask(&mut hw(Side::Bob), &string("get_gates"))[4..], *PICKLED);
        assert_eq!(ask(&mut hw(Side::Bob), &string("set_vca")), b"");
    }
}
