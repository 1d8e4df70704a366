//! SCPI queries over a PTY and over TCP, against a bare C loop that moves the same bytes to the
//! same emulator.

use crate::tool::{compile, current_thread, median, micros, number, row, spawn_runtime};
use qkd_driver_kit::link::{
    Disclosure,
    bytes::{ByteLink, Connector, Exchange, line_framer},
    serial::SerialConnector,
    stream::{Resync, StreamLink, StreamOptions},
    tcp::TcpConnector,
};
use qkd_emulators::{
    Clock, FaultInjector,
    model::switch::Switch,
    server,
    vendor::polatis::scpi::PolatisScpi,
    wire::{ByteService, Session},
};
use qkd_hal::{Identity, event::EventHub};
use qkd_switch_hal::Geometry;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const QUERY: &str = ":oxc:swit:size?";

pub(crate) fn run(scale: u32) {
    let Some((_folder, rtt)) = compile("rtt", &[]) else {
        return;
    };
    let servers = spawn_runtime();
    let identity = Identity::new("Polatis")
        .with_model("N-OST-16x16-LA1-DMHNS")
        .with_serial("1")
        .with_firmware("1");
    let switch = Arc::new(Switch::new(
        identity,
        Geometry::matrix(16, 16),
        Clock::default(),
    ));
    let wire = PolatisScpi::new(switch);
    let service: Arc<dyn ByteService> =
        Arc::new(move || Box::new(wire.session()) as Box<dyn Session>);
    let (port, path) = servers.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(server::tcp::serve(
            listener,
            Arc::clone(&service),
            FaultInjector::new(1, None),
            Clock::default(),
        ));
        let pty = server::pty::Pty::open(38_400, None, FaultInjector::new(1, None)).expect("a PTY");
        let path = pty.path().display().to_string();
        tokio::spawn(server::pty::serve(
            pty,
            38_400,
            service,
            FaultInjector::new(1, None),
            Clock::default(),
        ));
        (address.port().to_string(), path)
    });
    let rounds = 20_000 / scale;
    // Interleaved, so that both see the same weather; the C side first, since a PTY is exclusive
    // while we hold it.
    for (name, over, place) in [("TCP", "tcp", &port), ("PTY", "pty", &path)] {
        let mut pairs = Vec::new();
        for _ in 0..5 {
            let Some(floor) = number(&rtt, &[over, place, QUERY, &rounds.to_string()]) else {
                return;
            };
            let connector: Box<dyn Connector> = if over == "tcp" {
                Box::new(TcpConnector::new(format!("127.0.0.1:{place}")))
            } else {
                Box::new(SerialConnector::new(place.clone(), 38_400, false))
            };
            let ours = query(connector, rounds);
            pairs.push((ours.as_nanos() as f64 / floor, ours, floor));
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ratio, ours, floor) = pairs[pairs.len() / 2];
        row(
            &format!("SCPI query over {name}, round trip, median"),
            &micros(ours),
            &format!("{:.2} µs (C)", floor / 1e3),
            Some(ratio),
            "≤ 1.25",
        );
    }
}

fn query(connector: Box<dyn Connector>, rounds: u32) -> Duration {
    current_thread().block_on(async {
        let link = StreamLink::open(
            connector,
            StreamOptions::new(Resync::Reconnect, EventHub::default()),
            Duration::from_secs(5),
        )
        .await
        .expect("the emulator is there");
        let mut took = Vec::with_capacity(rounds as usize);
        for _ in 0..rounds {
            let begun = Instant::now();
            let exchange = Exchange::new("bench", format!("{QUERY}\n"), Duration::from_secs(5))
                .reply(line_framer(1000), Disclosure::Undeclared)
                .read_only();
            link.exchange(exchange).await.expect("an answer");
            took.push(begun.elapsed());
        }
        link.close().await;
        median(took)
    })
}
