//! `mon`: monitoring. Source: `remote/mon_alice.py`, `remote/mon_bob.py`, `local/mon.py`.

use super::{
    Node, Side,
    frame::{array, commands, ints, string},
};
use crate::{
    fault::TextFormat,
    model::qkd::Phase,
    wire::{Reply, Session},
};
use std::sync::Arc;

/// Bins of `get_gates`: 0 to 625 in steps of 2.
const BINS: usize = 312;
/// Temperature of the detector. The unit is not published; this project chose degrees Celsius.
const DETECTOR: f64 = -50.0;

/// Session of one connection.
pub struct Mon {
    node: Arc<Node>,
    buffer: Vec<u8>,
}

impl Mon {
    /// A connection to this end's server.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            buffer: Vec::new(),
        }
    }

    /// Total, click 0 and click 1 within 0.1 s.
    fn counts(&self) -> [i32; 3] {
        if self.node.link().phase() == Phase::Error {
            return [0, 0, 0];
        }
        let clicks = self.node.rates().gain * self.node.link().system().clock * 0.1;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float to an int saturates, which is what a counter does"
        )]
        let total = clicks.round() as i32;
        [total, total / 2, total - total / 2]
    }

    /// Two peaks of a Gaussian form, a period of 625 units with two gates.
    fn gates(&self) -> Vec<i32> {
        if self.node.is_calibrating() {
            return vec![0; BINS];
        }
        let height = f64::from(self.counts()[0]) / 40.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "bins are few, counts saturate"
        )]
        let bin = |i: usize| {
            let peak = |centre: f64| (-((i as f64 - centre) / 8.0).powi(2)).exp();
            (height * (peak(78.0) + peak(234.0))).round() as i32
        };
        (0..BINS).map(bin).collect()
    }

    fn answer(&self, command: &str) -> Option<Vec<u8>> {
        let (alice, bob) = (
            self.node.side() == Side::Alice,
            self.node.side() == Side::Bob,
        );
        let link = self.node.link();
        Some(match command {
            "get_link" => string(match link.phase() {
                Phase::Error => "error",
                Phase::Synchronising | Phase::Aligning | Phase::Calibrating => "calibrating",
                Phase::Idle | Phase::Generating => "probably online",
            }),
            "set_error" | "clear_error" => {
                link.set_failed(command == "set_error");
                Vec::new()
            }
            "get_counts" if bob => ints(&self.counts()),
            "get_gates" if bob => array(BINS, 0, &self.gates()),
            "get_calfigures" if bob => (0..6).flat_map(|_| array(BINS, 0, &self.gates())).collect(),
            "get_spd_temp" if bob => DETECTOR.to_le_bytes().to_vec(),
            "get_rng_status" | "get_ltc_info" | "get_sda_info" | "get_fda_info"
            | "get_wrs_ip_status" => ints(&[0]),
            "get_pci_status" => string("ok"),
            "get_fifo_status" => ints(&[0; 6]),
            "get_gc" => (link.clock().now().as_secs_f64() * link.system().clock)
                .to_le_bytes()
                .to_vec(),
            "get_server_status" => ints(&[0; 4]),
            "get_node_stats" if alice => {
                let (length, qber) = if link.phase() == Phase::Generating {
                    (self.block(), self.node.rates().qber)
                } else {
                    (0, 0.0)
                };
                let mut out = ints(&[length]);
                out.extend(qber.to_le_bytes());
                out
            }
            _ => return None,
        })
    }

    /// Bits of the last block: a second of key.
    fn block(&self) -> i32 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float to an int saturates"
        )]
        let bits = self.node.link().key_rate() as i32;
        bits
    }
}

impl Session for Mon {
    fn text_format(&self) -> TextFormat {
        TextFormat::Length16
    }
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        // An unknown command gets no reply.
        let (replies, rest) = commands(
            std::mem::take(&mut self.buffer),
            bytes,
            |reader| reader.string(),
            |command| {
                self.answer(command)
                    .map_or_else(Reply::silent, Reply::bytes)
            },
        );
        self.buffer = rest;
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

    fn ask(mon: &mut Mon, command: &str) -> Vec<u8> {
        mon.feed(&string(command))
            .into_iter()
            .flat_map(|r| r.bytes)
            .collect()
    }

    #[test]
    fn each_end_reports_what_it_knows() {
        let clock = Clock::manual();
        let link = QkdLink::new(LinkConfig::default(), clock.clone(), 1);
        let (mut alice, mut bob) = (
            Mon::new(Node::new(Side::Alice, link.clone())),
            Mon::new(Node::new(Side::Bob, link.clone())),
        );
        assert_eq!(ask(&mut alice, "get_link"), string("probably online"));
        let counts = ask(&mut bob, "get_counts");
        let number = |at: usize| i32::from_le_bytes(counts[at..at + 4].try_into().unwrap());
        assert!(number(0) > 0 && number(0) == number(4) + number(8));
        assert_eq!(ask(&mut alice, "get_counts"), b"");
        assert_eq!(ask(&mut bob, "get_node_stats"), b"");
        let stats = ask(&mut alice, "get_node_stats");
        let qber = f64::from_le_bytes(stats[4..].try_into().unwrap());
        assert!(stats.len() == 12 && (qber - link.rates().qber).abs() < 1e-12);
        assert_eq!(ask(&mut bob, "get_gates").len(), 12 + BINS * 4);
        link.calibrate().unwrap();
        assert_eq!(ask(&mut bob, "get_link"), string("calibrating"));
        assert!(ask(&mut bob, "get_gates")[12..].iter().all(|b| *b == 0));
        ask(&mut bob, "set_error");
        assert_eq!(ask(&mut alice, "get_link"), string("error"));
        assert_eq!(ask(&mut alice, "no_such"), b"");
        assert!(alice.feed(&[0, 0])[0].close);
    }

    #[test]
    fn bytes_may_come_one_by_one() {
        let link = QkdLink::new(LinkConfig::default(), Clock::manual(), 1);
        let mut mon = Mon::new(Node::new(Side::Bob, link));
        let replies: Vec<_> = string("get_pci_status")
            .iter()
            .flat_map(|b| mon.feed(&[*b]))
            .collect();
        assert_eq!(replies, [Reply::bytes(string("ok"))]);
    }
}
