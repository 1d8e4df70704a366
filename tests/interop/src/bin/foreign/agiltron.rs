//! PyPI `qmi` (QuTech) and `agiltron-selfalign` drive our Agiltron emulators over a
//! pseudo-terminal. What they write is compared with what our codec and our driver write, byte for
//! byte, and what they take for an answer with what our codec takes.

use crate::{block_on, expect, print_check, python};
use qkd_driver_agiltron::proto::{Frame, ff, self_align};
use qkd_driver_kit::OpenContext;
use qkd_emulators::{
    Clock, FaultInjector,
    model::switch::Switch,
    server::pty,
    vendor::agiltron::{Agiltron, Model},
    wire::{ByteService, Reply, Session},
};
use qkd_hal::Identity;
use qkd_switch_hal::{Geometry, OpticalSwitch, Plan, Port};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const BAUD: u32 = 9600;
const DEADLINE: Duration = Duration::from_secs(5);

/// Recorded exchanges of the line.
#[derive(Debug, Default)]
struct Wire {
    requests: Vec<u8>,
    replies: Vec<u8>,
}

/// An emulator whose line is written down.
struct Tap {
    inner: Agiltron,
    wire: Arc<Mutex<Wire>>,
}

impl Session for Tap {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        let mut wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        let replies = self.inner.feed(bytes);
        wire.requests.extend_from_slice(bytes);
        wire.replies.extend(replies.iter().flat_map(|r| &r.bytes));
        replies
    }
}

fn frames(bytes: &[u8]) -> Result<Vec<Frame>, String> {
    let (frames, rest) = bytes.as_chunks();
    expect(rest.is_empty(), || format!("{rest:02x?} is not a frame"))?;
    Ok(frames.to_vec())
}

/// A line that another client used before our driver.
struct Bench {
    path: String,
    switch: Arc<Switch>,
    wire: Arc<Mutex<Wire>>,
    line: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(model: Model, channels: u32) -> Result<Self, String> {
        let clock = Clock::default();
        let switch = Arc::new(Switch::new(
            Identity::new("Agiltron"),
            Geometry::one_by(channels),
            clock.clone(),
        ));
        let wire: Arc<Mutex<Wire>> = Arc::default();
        let service: Arc<dyn ByteService> = Arc::new({
            let (switch, wire) = (Arc::clone(&switch), Arc::clone(&wire));
            move || {
                Box::new(Tap {
                    inner: Agiltron::new(model, Arc::clone(&switch)),
                    wire: Arc::clone(&wire),
                }) as Box<dyn Session>
            }
        });
        let faults = FaultInjector::new(1, None);
        let port = pty::Pty::open(BAUD, None, faults.clone()).map_err(|e| e.to_string())?;
        let path = port.path().display().to_string();
        let line = tokio::spawn(pty::serve(port, BAUD, service, faults, clock));
        Ok(Self {
            path,
            switch,
            wire,
            line,
        })
    }

    /// Returns what was written and answered since the last call.
    fn received_frames(&self) -> Result<(Vec<Frame>, Vec<Frame>), String> {
        let wire = std::mem::take(&mut *self.wire.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((frames(&wire.requests)?, frames(&wire.replies)?))
    }

    /// Has our driver go to each channel; gives what it wrote.
    async fn ours(&self, model: &str, channels: u32) -> Result<BTreeSet<Frame>, String> {
        let uri = format!(
            "agiltron+serial://{}?model={model}&channels={channels}",
            self.path
        );
        let opened = qkd_hardware::registry()
            .open(&uri, &OpenContext::new())
            .await
            .map_err(|e| e.to_string())?;
        let switch = opened.switch().map_err(|e| e.to_string())?;
        // The first one last: it is already there.
        for channel in (2..=channels).chain([1]) {
            to(switch.as_ref(), model, channel)
                .await
                .map_err(|e| format!("our driver, channel {channel}: {e}"))?;
            expect(self.switch.peer(Port::COMMON.0) == Some(channel), || {
                format!("our driver did not reach channel {channel}")
            })?;
        }
        switch.close().await.map_err(|e| e.to_string())?;
        Ok(self.received_frames()?.0.into_iter().collect())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.line.abort();
    }
}

async fn to(switch: &dyn OpticalSwitch, model: &str, channel: u32) -> qkd_hal::Result<()> {
    let geometry = switch.switch_capabilities().geometry;
    let wanted: qkd_switch_hal::CrossConnects = format!("common-{channel}").parse()?;
    let identity = switch.identity().await?;
    let plan = if model == "ff" {
        switch.plan().to(wanted).build().await?
    } else {
        Plan::unverified(&identity, &geometry, &wanted)?
    };
    switch.apply(&plan).await.map(drop)
}

async fn fast_fibre(channels: u32) -> Result<(), String> {
    let bench = Bench::start(Model::Ff, channels)?;
    python("agiltron.py", &["ff", &bench.path, &channels.to_string()])?;
    let (requests, replies) = bench.received_frames()?;
    let mut wanted = Vec::new();
    for channel in (1..=channels).rev() {
        wanted.extend([ff::set(channel).map_err(|e| e.to_string())?, ff::GET]);
    }
    expect(requests == wanted, || {
        format!("qmi writes {requests:02x?}, our codec {wanted:02x?}")
    })?;
    expect(requests.len() == replies.len(), || {
        format!("{} requests, {} replies", requests.len(), replies.len())
    })?;
    for (channel, pair) in (1..=channels)
        .rev()
        .zip(requests.chunks(2).zip(replies.chunks(2)))
    {
        let (asked, reported) = pair;
        ff::decode_set(asked[0], &reported[0]).map_err(|e| {
            format!("what qmi takes for the echo of a set, our codec does not: {e}")
        })?;
        let read = ff::decode_get(&reported[1])
            .map_err(|e| format!("what qmi takes for a channel, our codec does not: {e}"))?;
        expect(u32::from(read) == channel, || {
            format!("our codec reads channel {read} where qmi reads {channel}")
        })?;
    }
    let (theirs, ours) = (
        BTreeSet::from_iter(requests),
        bench.ours("ff", channels).await?,
    );
    expect(ours == theirs, || {
        format!("our driver writes {ours:02x?}, qmi {theirs:02x?}")
    })?;
    print_check(&format!(
        "qmi on a 1x{channels}: sets and asks for each channel; our codec and our driver write the \
         same frames, and read the answers alike"
    ));
    Ok(())
}

async fn self_aligning(channels: u32) -> Result<(), String> {
    let bench = Bench::start(Model::SelfAlign, channels)?;
    python(
        "agiltron.py",
        &["selfalign", &bench.path, &channels.to_string()],
    )?;
    // Home is not answered, so the client did not wait for it.
    let begun = Instant::now();
    while bench.switch.peer(Port::COMMON.0) != Some(1) {
        expect(begun.elapsed() < DEADLINE, || {
            "home is not channel 1".to_owned()
        })?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut requests, replies) = bench.received_frames()?;
    let set = |channel| self_align::set(channel).map_err(|e| e.to_string());
    let wanted = (1..=channels)
        .rev()
        .chain([2])
        .map(set)
        .collect::<Result<Vec<_>, _>>()?;
    let home = requests.pop();
    expect(requests == wanted && home == Some(self_align::HOME), || {
        format!(
            "agiltron-selfalign writes {requests:02x?} and {home:02x?}, our codec {wanted:02x?} \
             and {:02x?}",
            self_align::HOME
        )
    })?;
    expect(replies.len() == wanted.len(), || {
        format!("{} sets, {} acknowledgements", wanted.len(), replies.len())
    })?;
    for reply in &replies {
        self_align::decode_set(reply).map_err(|e| {
            format!("what agiltron-selfalign takes for an acknowledgement, our codec does not: {e}")
        })?;
    }
    let (theirs, ours) = (
        BTreeSet::from_iter(requests),
        bench.ours("selfalign", channels).await?,
    );
    expect(ours == theirs, || {
        format!("our driver writes {ours:02x?}, agiltron-selfalign {theirs:02x?}")
    })?;
    print_check(&format!(
        "agiltron-selfalign on a 1x{channels}: each channel, and home; our codec and our driver \
         write the same frames, and take the same acknowledgement"
    ));
    Ok(())
}

pub(crate) fn run() -> Result<String, String> {
    block_on(async {
        fast_fibre(4).await?;
        fast_fibre(8).await?;
        self_aligning(16).await?;
        Ok("qmi 0.54.2 on FF 1x4 and 1x8, agiltron-selfalign 0.2.0 on SelfAlign 1x16: every frame \
            is the driver's".to_owned())
    })
}
