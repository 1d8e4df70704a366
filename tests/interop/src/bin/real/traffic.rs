//! Continuous numbered packets in both directions, each accounted for.

use crate::real::network::{INNER, Network};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::UdpSocket,
    process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const PORT: u16 = 7007;
/// Packets that each end sends per second.
pub(crate) const RATE: u32 = 400;
/// Time for packets under way after the last one was sent.
const DRAIN: Duration = Duration::from_secs(1);
/// Mark of the packets, so that others do not count.
pub(crate) const MARK: &[u8; 8] = b"qkd-test";

/// The subcommand that runs in a namespace: prints a line when it receives, sends after the first
/// byte of its standard input until that ends, then prints the numbers `sent received duplicates
/// gap end`: the longest gap between the numbers of received packets, and the number after the last.
pub(crate) fn run_end(bind: &str, to: &str) -> Result<ExitCode, String> {
    let text = |e: std::io::Error| e.to_string();
    let socket = UdpSocket::bind((bind, PORT)).map_err(text)?;
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .map_err(text)?;
    let (stopped, drained) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let receiver = {
        let (socket, drained) = (socket.try_clone().map_err(text)?, Arc::clone(&drained));
        std::thread::spawn(move || {
            let (mut seen, mut twice, mut buffer) = (BTreeSet::new(), 0_u64, [0; 64]);
            while !drained.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut buffer) else {
                    continue;
                };
                let packet = &buffer[..length];
                if let Some(number) = packet
                    .strip_prefix(MARK)
                    .and_then(|n| Some(u64::from_be_bytes(n.try_into().ok()?)))
                    && !seen.insert(number)
                {
                    twice += 1;
                }
            }
            let (mut gap, mut next) = (0, 0);
            for number in &seen {
                gap = gap.max(number - next);
                next = number + 1;
            }
            (seen.len(), twice, gap, next)
        })
    };
    // The other end receives, too, before the first packet is sent.
    println!("ready");
    std::io::stdin().read_exact(&mut [0]).map_err(text)?;
    let sender = {
        let (stopped, to) = (Arc::clone(&stopped), (to.to_owned(), PORT));
        std::thread::spawn(move || {
            let (begun, mut sent) = (Instant::now(), 0_u64);
            while !stopped.load(Ordering::Relaxed) {
                let due = (begun.elapsed().as_secs_f64() * f64::from(RATE)) as u64;
                while sent < due {
                    let packet = [&MARK[..], &sent.to_be_bytes()].concat();
                    // A packet that cannot be sent is one that is lost.
                    let _ = socket.send_to(&packet, (to.0.as_str(), to.1));
                    sent += 1;
                }
                std::thread::sleep(Duration::from_secs(1) / RATE);
            }
            sent
        })
    };
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    stopped.store(true, Ordering::Relaxed);
    let sent = sender.join().map_err(|_| "the sender panicked")?;
    std::thread::sleep(DRAIN);
    drained.store(true, Ordering::Relaxed);
    let (received, twice, gap, next) = receiver.join().map_err(|_| "the receiver panicked")?;
    println!("{sent} {received} {twice} {gap} {next}");
    Ok(ExitCode::SUCCESS)
}

/// Packets of both directions: from the first end, and from the second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) sent: [u64; 2],
    pub(crate) lost: [u64; 2],
    /// The largest number of packets in sequence that were lost.
    pub(crate) longest: [u64; 2],
}

/// An end of the traffic.
struct End {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Traffic between the inner addresses of a network.
pub(crate) struct Traffic(Vec<End>);

impl Traffic {
    /// Starts it.
    pub(crate) fn start(network: &Network) -> Result<Self, String> {
        let program = crate::own_program()?;
        let mut ends = Self(Vec::new());
        for end in 0..2 {
            let mut child = network
                .command(end, &program.to_string_lossy())
                .args(["traffic", INNER[end], INNER[1 - end]])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|e| e.to_string())?;
            let (input, output) = (child.stdin.take(), child.stdout.take());
            let output = BufReader::new(output.ok_or("traffic has no output")?);
            ends.0.push(End {
                child,
                input,
                output,
            });
        }
        for end in &mut ends.0 {
            end.output
                .read_line(&mut String::new())
                .map_err(|e| e.to_string())?;
        }
        for input in ends.0.iter_mut().filter_map(|end| end.input.as_mut()) {
            input.write_all(b"1").map_err(|e| e.to_string())?;
        }
        Ok(ends)
    }

    /// Stops it, and counts.
    pub(crate) fn stop(mut self) -> Result<Count, String> {
        for end in &mut self.0 {
            // The end of its standard input stops it.
            end.input = None;
        }
        let (mut sent, mut received) = ([0; 2], [0; 2]);
        let (mut gaps, mut ends) = ([0; 2], [0; 2]);
        for (end, process) in self.0.iter_mut().enumerate() {
            let mut text = String::new();
            process
                .output
                .read_to_string(&mut text)
                .map_err(|e| e.to_string())?;
            let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
            let [own, others, twice, gap, next] = numbers[..] else {
                return Err(format!("traffic of end {} printed `{text}`", end + 1));
            };
            if twice > 0 {
                return Err(format!("{twice} packets came twice at end {}", end + 1));
            }
            (sent[end], received[1 - end]) = (own, others);
            (gaps[1 - end], ends[1 - end]) = (gap, next);
        }
        let lost = [0, 1].map(|from: usize| sent[from].saturating_sub(received[from]));
        let longest =
            [0, 1].map(|from: usize| gaps[from].max(sent[from].saturating_sub(ends[from])));
        Ok(Count {
            sent,
            lost,
            longest,
        })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        for end in &mut self.0 {
            let _ = end.child.kill();
            let _ = end.child.wait();
        }
    }
}
