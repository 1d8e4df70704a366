//! Agiltron 1×N fibre switches: four-byte frames on a serial line (9600 8N1).
//!
//! | product | command | frame | reply |
//! |---|---|---|---|
//! | FF (CL/LB) 1×4, 1×8 | get | `01 11 00 00` | four bytes, the last is the active channel |
//! | | set | `01 12 00 <channel>` | the same four bytes |
//! | SelfAlign 1×N | set | `01 35 00 <channel-1>` | `01 35 FF FF` |
//! | | home, channel 1 | `01 30 00 00` | none |
//!
//! Sources: PyPI `qmi` 0.54.2 (QuTech), `instruments/agiltron/_ff_optical_switch.py`, after
//! Agiltron's *Command List for CL-LB Switch Driver*, 2020-05-20; PyPI `agiltron-selfalign` 0.2.0
//! (MIT).
//!
//! Chosen by this project, because the sources do not specify it: an invalid frame, a channel that
//! the switch does not have and a refused command get no reply; the first three bytes of the reply
//! to "get" are those of the request; frames have no start marker, so an incomplete frame is
//! discarded if nothing follows within 500 ms.

pub(super) mod profile;

use crate::{
    fault::TextFormat,
    model::switch::Switch,
    wire::{Reply, Session},
};
use qkd_switch_hal::Port;
use std::{sync::Arc, time::Duration};

/// Product of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// CL/LB with an FF switch.
    Ff,
    /// A SelfAlign switch.
    SelfAlign,
}

const START: u8 = 0x01;
const FF_GET: u8 = 0x11;
const FF_SET: u8 = 0x12;
const SELF_ALIGN_HOME: u8 = 0x30;
const SELF_ALIGN_SET: u8 = 0x35;
/// Time after which an incomplete frame is discarded.
const FRAME_TIMEOUT: Duration = Duration::from_millis(500);

/// Wire front end on one serial line.
pub struct Agiltron {
    model: Model,
    switch: Arc<Switch>,
    buffer: Vec<u8>,
    last: Duration,
}

impl Agiltron {
    /// In front of a 1×N model.
    #[must_use]
    pub fn new(model: Model, switch: Arc<Switch>) -> Self {
        Self {
            model,
            switch,
            buffer: Vec::new(),
            last: Duration::ZERO,
        }
    }

    fn set(&self, channel: u32, reply: [u8; 4]) -> Reply {
        match self.switch.add(&[(Port::COMMON.0, channel)]) {
            Ok(()) => Reply::bytes(reply),
            Err(_) => Reply::silent(),
        }
    }

    fn frame(&self, frame: [u8; 4]) -> Reply {
        match (self.model, frame) {
            (Model::Ff, [START, FF_GET, 0, 0]) => {
                let channel = self
                    .switch
                    .peer(Port::COMMON.0)
                    .and_then(|c| u8::try_from(c).ok())
                    .unwrap_or(0);
                Reply::bytes([START, FF_GET, 0, channel])
            }
            // Channel 0 is the common port's own number in the model, and no channel on the wire.
            (Model::Ff, [START, FF_SET, 0, channel]) if channel > 0 => {
                self.set(u32::from(channel), frame)
            }
            (Model::SelfAlign, [START, SELF_ALIGN_SET, 0, channel]) => {
                self.set(u32::from(channel) + 1, [START, SELF_ALIGN_SET, 0xff, 0xff])
            }
            (Model::SelfAlign, [START, SELF_ALIGN_HOME, 0, 0]) => {
                self.set(1, frame);
                Reply::silent()
            }
            _ => Reply::silent(),
        }
    }
}

impl Session for Agiltron {
    fn text_format(&self) -> TextFormat {
        TextFormat::Binary
    }
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        let now = self.switch.clock().now();
        if now.saturating_sub(self.last) > FRAME_TIMEOUT {
            self.buffer.clear();
        }
        self.last = now;
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let (frames, rest) = buffer.as_chunks::<4>();
        self.buffer = rest.to_vec();
        frames.iter().map(|f| self.frame(*f)).collect()
    }
}

/// Drives both decoders with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    for model in [Model::Ff, Model::SelfAlign] {
        let identity = qkd_hal::Identity::new("Agiltron");
        let switch = Switch::new(
            identity,
            qkd_switch_hal::Geometry::one_by(8),
            crate::Clock::manual(),
        );
        Agiltron::new(model, Arc::new(switch)).feed(input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;

    fn line(model: Model, channels: u32) -> (Agiltron, Arc<Switch>, Clock) {
        let clock = Clock::manual();
        let switch = Arc::new(Switch::new(
            qkd_hal::Identity::new("Agiltron"),
            qkd_switch_hal::Geometry::one_by(channels),
            clock.clone(),
        ));
        (Agiltron::new(model, switch.clone()), switch, clock)
    }
    fn ask(line: &mut Agiltron, bytes: &[u8]) -> Vec<u8> {
        line.feed(bytes).into_iter().flat_map(|r| r.bytes).collect()
    }

    #[test]
    fn ff_frames() {
        let (mut l, switch, _) = line(Model::Ff, 4);
        assert_eq!(ask(&mut l, &[1, 0x11, 0, 0]), [1, 0x11, 0, 1]);
        assert_eq!(ask(&mut l, &[1, 0x12, 0, 3]), [1, 0x12, 0, 3]);
        assert_eq!(ask(&mut l, &[1, 0x11, 0, 0])[3], 3);
        for bad in [
            [1, 0x12, 0, 0],
            [1, 0x12, 0, 5],
            [1, 0x12, 1, 2],
            [2, 0x12, 0, 2],
            [1, 0x35, 0, 1],
        ] {
            assert_eq!(ask(&mut l, &bad), [0; 0], "{bad:?}");
        }
        assert_eq!(switch.peer(0), Some(3));
    }

    #[test]
    fn self_align_frames() {
        let (mut l, switch, _) = line(Model::SelfAlign, 16);
        assert_eq!(ask(&mut l, &[1, 0x35, 0, 13]), [1, 0x35, 0xff, 0xff]);
        assert_eq!(switch.peer(0), Some(14));
        assert_eq!(ask(&mut l, &[1, 0x30, 0, 0]), [0; 0]);
        assert_eq!(switch.peer(0), Some(1));
        assert_eq!(ask(&mut l, &[1, 0x35, 0, 16]), [0; 0]);
        switch.change_faults().refuse(1);
        assert_eq!(ask(&mut l, &[1, 0x35, 0, 2]), [0; 0]);
        assert_eq!(switch.peer(0), Some(1));
    }

    #[test]
    fn an_incomplete_frame_is_discarded_after_a_pause() {
        let (mut l, _, clock) = line(Model::Ff, 4);
        assert_eq!(ask(&mut l, &[1, 0x12]), [0; 0]);
        assert_eq!(ask(&mut l, &[0, 2]), [1, 0x12, 0, 2]);
        ask(&mut l, &[7]);
        clock.advance(Duration::from_secs(1));
        assert_eq!(ask(&mut l, &[1, 0x12, 0, 4]), [1, 0x12, 0, 4]);
        fuzz(&[1, 0x35, 0, 255, 1, 0x12, 0, 255, 9]);
    }
}
