//! `snmp-agents [n] [first port]`: many SNMPv3 agents in one process. Prints the time until all are
//! ready and the memory of each, then serves until its input closes.

use qkd_emulators::{
    Clock,
    model::encryptor::forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
    server::snmp::{SnmpServerOptions, UsmUser, serve},
    vendor::packetlight,
};
use std::{net::SocketAddr, sync::Arc, time::Instant};

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u32>().ok());
    let n = arguments.next().flatten().unwrap_or(5000);
    let first = arguments.next().flatten().unwrap_or(0);
    let before = resident_kib();
    let start = Instant::now();
    let user = UsmUser::new("noc", "auth-password", "priv-password")?;
    let mut last = None;
    for k in 0..n {
        let link = ForcedRekeyLink::new(Clock::default(), b"first");
        let identity = qkd_hal::Identity::new("PacketLight").with_model("PL-1000TE");
        let agent = packetlight::agent(
            Arc::new(ForcedRekeyEndpoint::new(link, 0, "1", identity)),
            packetlight::Options::named(&format!("pl-{k}")),
        );
        let port = if first == 0 {
            0
        } else {
            u16::try_from(first + k).map_err(std::io::Error::other)?
        };
        last = Some(
            serve(
                SocketAddr::from(([127, 0, 0, 1], port)),
                agent,
                SnmpServerOptions::new(user.clone()),
            )
            .await?
            .0,
        );
    }
    tokio::task::yield_now().await;
    let ready = start.elapsed();
    let each = (resident_kib() - before) as f64 / f64::from(n);
    println!("{n} agents ready in {ready:?}, {each:.1} KiB each; the last at {last:?}");
    let mut input = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut input))
        .await
        .map_err(std::io::Error::other)??;
    println!(
        "{:.1} KiB each after use",
        (resident_kib() - before) as f64 / f64::from(n)
    );
    Ok(())
}
