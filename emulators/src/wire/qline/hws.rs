//! `hws`: calibration sequences, at Alice. Source: `remote/hws_alice.py`, `local/hws.py`.
//!
//! A command is answered when it has ended, by its name and `done`. While one runs, the link is `calibrating`.

use super::{
    Node,
    frame::{LIMIT, Reader, short_string},
};
use crate::wire::{Reply, Session};
use std::sync::Arc;

/// Commands that calibrate.
const CALIBRATIONS: &[&str] = &[
    "sync_gc",
    "compare_gc",
    "config_laser",
    "qdistance",
    "vca_per_N",
    "find_am_bias",
    "verify_am_bias",
    "loop_find_am_bias",
    "loop_find_gates",
    "pol_bob",
    "ad",
    "find_sp",
    "verify_gates",
    "fs_b",
    "fs_a",
    "fd_b",
    "fd_a",
    "fz_a",
    "fz_b",
    "set_angles_a",
    "adjust_am",
    "adjust_soft_gates",
];

/// One connection.
pub struct Hws {
    node: Arc<Node>,
    buffer: Vec<u8>,
}

impl Hws {
    /// A connection to Alice's server.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, buffer: Vec::new() }
    }

    fn answer(&self, command: &str) -> Reply {
        let link = self.node.link();
        let done = Reply::bytes(short_string(&format!("{command} done")));
        let failed = || Reply::bytes(short_string(&format!("\u{1b}[91munknown command or error in function {}\u{1b}[0m", command.escape_debug())));
        match command {
            // Key generation is stopped first.
            "init" => link.stop().map_or_else(|_| failed(), |()| done),
            "start" => link.start().map_or_else(|_| failed(), |()| done),
            "clean" => {
                self.node.settings().clear();
                done
            }
            name if CALIBRATIONS.contains(&name) || name.strip_prefix("find_vca_").is_some_and(|n| n.parse::<u32>().is_ok()) => {
                link.calibrate().map_or_else(|_| failed(), |()| done.after(link.timings().calibrate))
            }
            name => match (name.strip_prefix("save_"), name.strip_prefix("load_")) {
                (Some(file), _) if !file.is_empty() => {
                    self.node.save(file);
                    done
                }
                (_, Some(file)) if self.node.load(file) => done,
                _ => failed(),
            },
        }
    }
}

impl Session for Hws {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut reader = Reader::new(&buffer);
        let (mut replies, mut done) = (Vec::new(), 0);
        while let Some(command) = reader.short_string() {
            done = reader.at();
            if command.is_empty() {
                replies.push(Reply::hang_up());
                return replies;
            }
            replies.push(self.answer(&command));
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
        let slow = ask("find_vca_3");
        assert_eq!((slow.bytes, slow.after), (short_string("find_vca_3 done"), link.timings().calibrate));
        assert_eq!(link.phase(), Phase::Calibrating);
        ask("start");
        clock.advance(link.timings().total());
        assert_eq!(link.phase(), Phase::Generating);
        for wrong in ["find_vca_x", "load_nothing", "save_", "dance"] {
            assert!(String::from_utf8_lossy(&ask(wrong).bytes).contains("unknown command or error in function"), "{wrong}");
        }
    }
}
