//! Capture of what leaves on a wire. Inbound packets are not captured: with some kernels, capture
//! programs show packets on the same interface after their decryption.

use crate::{
    real::{network::Network, traffic::MARK},
    tool,
};
use std::{
    process::{Child, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// The number of packets in a capture: a packet may take several lines.
fn count(arguments: &[&str]) -> Result<usize, String> {
    let printed = tool("tcpdump", arguments)?;
    let number = printed.split_whitespace().next();
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("tcpdump counted `{}` packets", printed.trim()))
}

/// Captures on both wires.
pub(crate) struct Capture {
    children: Vec<Child>,
    folder: TempDir,
    /// Filter for packets in clear.
    clear: String,
}

impl Capture {
    /// Starts it.
    pub(crate) fn start(network: &Network) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut children = Vec::new();
        for end in 0..2 {
            let file = folder.path().join(format!("{end}.pcap"));
            let child = network
                .command(end, "tcpdump")
                .args(["-n", "-Z", "root", "-Q", "out", "-i"])
                .arg(&network.wires[end])
                .arg("-w")
                .arg(file)
                .stderr(Stdio::null())
                .spawn()
                .map_err(|e| format!("tcpdump cannot be run: {e}"))?;
            children.push(child);
        }
        let new = Self {
            children,
            folder,
            clear: network.clear.clone(),
        };
        // The files exist as soon as the captures run.
        for _ in 0..100 {
            if (0..2).all(|end| new.folder.path().join(format!("{end}.pcap")).exists()) {
                return Ok(new);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("tcpdump did not start within 5 s".to_owned())
    }

    /// Stops it, and returns the number of packets that left, and of those in clear.
    pub(crate) fn stop(mut self) -> Result<(usize, usize), String> {
        std::thread::sleep(Duration::from_millis(200));
        self.end();
        let (mut all, mut clear) = (0, 0);
        for end in 0..2 {
            let file = self.folder.path().join(format!("{end}.pcap"));
            let bytes = std::fs::read(&file).map_err(|e| e.to_string())?;
            let file = file.to_string_lossy().into_owned();
            all += count(&["--count", "-Z", "root", "-nr", &file])?;
            let seen = count(&["--count", "-Z", "root", "-nr", &file, &self.clear])?;
            // A header of MACsec does not prove encryption: the payload of the traffic must not be
            // readable either.
            let marks = bytes.windows(MARK.len()).filter(|b| b == MARK).count();
            clear += seen.max(marks);
        }
        Ok((all, clear))
    }

    fn end(&mut self) {
        for child in &mut self.children {
            let _ = tool("kill", &["-INT", &child.id().to_string()]);
            let _ = child.wait();
        }
        self.children.clear();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.end();
    }
}
