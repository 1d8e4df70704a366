//! Switches: plans of a large matrix, and the cost of applying them compared with the bytes alone;
//! many switches polled by one process.

use crate::tool::{current_thread, median, micros, raise_limit, resident_kib, row, spawn_runtime};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use qkd_driver_kit::{
    OpenContext,
    transcript::{Part, Record, Transcript},
};
use qkd_emulators::{
    Clock, FaultInjector, model::switch::Switch, server, vendor::polatis::scpi::PolatisScpi,
    wire::Session,
};
use qkd_hal::Identity;
use qkd_switch_hal::{CrossConnect, CrossConnects, Geometry, OpticalSwitch, Plan, SwitchState};
use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// The largest matrix of the Series 7000.
const SIDE: u32 = 576;
/// Number of polled switches.
const SWITCH_COUNT: usize = 1_000;
/// Random numbers that are the same in each run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(n)) as u32
    }
}

/// All ingress ports, each to another egress port.
fn shuffled(dice: &mut Dice) -> CrossConnects {
    let mut egress: Vec<u32> = (SIDE + 1..=2 * SIDE).collect();
    for n in (1..SIDE).rev() {
        egress.swap(n as usize, dice.below(n + 1) as usize);
    }
    (1..=SIDE)
        .zip(egress)
        .map(|(i, e)| CrossConnect::new(i, e))
        .collect::<qkd_hal::Result<_>>()
        .expect("each port once")
}

/// Some paths more or less, and some moved.
fn changed(dice: &mut Dice, present: &CrossConnects) -> CrossConnects {
    let mut wanted = present.clone();
    for _ in 0..=dice.below(32) {
        let path = CrossConnect::new(1 + dice.below(SIDE), SIDE + 1 + dice.below(SIDE));
        wanted.remove(path.ingress);
        wanted.remove(path.egress);
        if dice.below(4) > 0 {
            wanted.insert(path).expect("both ports are free");
        }
    }
    wanted
}

fn matrix(side: u32) -> PolatisScpi {
    let identity = Identity::new("Polatis")
        .with_model(format!("N-VST-{side}x{side}-LA1-DMHNV"))
        .with_serial("576576")
        .with_firmware("6.5.2.18");
    // Paths settle in no time: what remains is the wire.
    PolatisScpi::new(Arc::new(Switch::new(
        identity,
        Geometry::matrix(side, side),
        Clock::scaled(1e9),
    )))
}

/// Serves a switch on loopback for ever.
async fn serve(wire: PolatisScpi) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("an address");
    let service = Arc::new(move || Box::new(wire.session()) as Box<dyn Session>);
    tokio::spawn(server::tcp::serve(
        listener,
        service,
        FaultInjector::new(0, None),
        Clock::scaled(1e9),
    ));
    address
}

async fn open(address: SocketAddr, context: &OpenContext) -> Arc<dyn OpticalSwitch> {
    let opened = qkd_hardware::registry()
        .open(&format!("polatis+tcp://{address}"), context)
        .await
        .expect("a switch");
    opened.switch().expect("a switch")
}

pub(crate) fn run(scale: u32) {
    plans(1_000 / scale);
    apply(1_000 / scale);
    poll_many_switches(10 / scale.min(5));
}

fn plan(
    device: &Identity,
    geometry: Geometry,
    present: &CrossConnects,
    wanted: &CrossConnects,
) -> Plan {
    let state = SwitchState {
        device: device.clone(),
        geometry,
        connections: present.clone(),
    };
    state.plan().to(wanted.clone()).build().expect("a plan")
}

fn plans(n: u32) {
    let (geometry, device, mut dice) = (
        Geometry::matrix(SIDE, SIDE),
        Identity::new("Polatis").with_serial("1"),
        Dice(7),
    );
    for (what, all) in [("at most 32 paths", false), ("all 576 paths", true)] {
        let mut present = shuffled(&mut dice);
        let mut took = Vec::new();
        for _ in 0..n {
            let wanted = if all {
                shuffled(&mut dice)
            } else {
                changed(&mut dice, &present)
            };
            let begun = Instant::now();
            let plan = plan(&device, geometry, &present, &wanted);
            took.push(begun.elapsed());
            std::hint::black_box(plan.steps().len());
            present = wanted;
        }
        let worst = took.iter().max().copied().unwrap_or_default();
        let ours = format!("{}, at worst {}", micros(median(took)), micros(worst));
        row(
            &format!("a plan of a 576×576 matrix that changes {what}, {n} of them"),
            &ours,
            "-",
            None,
            "≤ 1 ms",
        );
    }
}

/// The programme: the same changes in the same order, each from the result of the last one.
async fn programme(switch: &dyn OpticalSwitch, n: u32) -> Vec<Duration> {
    let (identity, geometry) = (
        switch.identity().await.expect("an identity"),
        switch.switch_capabilities().geometry,
    );
    let (mut dice, mut present) = (Dice(11), CrossConnects::dark());
    let mut took = Vec::new();
    for _ in 0..n {
        let wanted = changed(&mut dice, &present);
        let plan = plan(&identity, geometry, &present, &wanted);
        let begun = Instant::now();
        switch.apply(&plan).await.expect("applied");
        took.push(begun.elapsed());
        present = wanted;
    }
    took
}

fn bytes(parts: &[Part]) -> Vec<u8> {
    let text = |part: &Part| {
        if let Part::Text(text) = part {
            text.clone().into_bytes()
        } else {
            panic!("SCPI is text: {part:?}")
        }
    };
    parts.iter().flat_map(text).collect()
}

fn apply(n: u32) {
    let (far, near) = (spawn_runtime(), current_thread());
    // The first run records the bytes on the wire, the second is timed without a transcript, the
    // third sends the same bytes without a driver.
    let transcript = Transcript::in_memory();
    let address = far.block_on(serve(matrix(SIDE)));
    let opening = near.block_on(async {
        let switch = open(
            address,
            &OpenContext::new().with_transcript(transcript.clone()),
        )
        .await;
        switch.identity().await.expect("an identity");
        let opening = transcript.records().len();
        programme(&*switch, n).await;
        opening
    });
    // What `programme` asks first is not timed either.
    let records: Vec<Record> = transcript.records().split_off(opening + 1);
    let address = far.block_on(serve(matrix(SIDE)));
    let ours: Duration = near.block_on(async {
        let switch = open(address, &OpenContext::new()).await;
        programme(&*switch, n).await.iter().sum()
    });
    let address = far.block_on(serve(matrix(SIDE)));
    let raw: Duration = near.block_on(async {
        let mut stream = tokio::net::TcpStream::connect(address)
            .await
            .expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let mut buffer = vec![0; 64 * 1024];
        let begun = Instant::now();
        for record in &records {
            stream
                .write_all(&bytes(&record.request))
                .await
                .expect("sent");
            let mut got = 0;
            // The transcript holds the line without its end.
            while got == 0 || buffer[got - 1] != b'\n' {
                got += stream.read(&mut buffer[got..]).await.expect("an answer");
            }
        }
        begun.elapsed()
    });
    let exchanges = records.len() as f64 / f64::from(n);
    let what = format!(
        "applying a plan of a 576×576 matrix over TCP, {n} of them, {exchanges:.1} exchanges \
         each, mean"
    );
    row(
        &what,
        &micros(ours / n),
        &format!("{} (the same bytes alone)", micros(raw / n)),
        Some(ours.as_secs_f64() / raw.as_secs_f64()),
        "-",
    );
}

/// A thousand switches in a process of their own: prints a port a line, and ends with its input.
pub(crate) fn crowd() {
    raise_limit();
    let runtime = spawn_runtime();
    for _ in 0..SWITCH_COUNT {
        println!(
            "{}",
            runtime.block_on(async { serve(matrix(16)).await }).port()
        );
    }
    let _ = std::io::stdin().read(&mut [0]);
}

struct EmulatorProcess(Child);

impl Drop for EmulatorProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// User and system time of this process.
fn cpu() -> Duration {
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |u| {
        let micros = u.user_time().num_microseconds() + u.system_time().num_microseconds();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    })
}

/// Returns the load of one core with `work`, which runs once per second, in percent.
async fn busy<F: Future<Output = ()>>(seconds: u32, mut work: impl FnMut() -> F) -> f64 {
    let (begun, before) = (Instant::now(), cpu());
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..seconds {
        ticks.tick().await;
        work().await;
    }
    ticks.tick().await;
    (cpu() - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
}

fn poll_many_switches(seconds: u32) {
    raise_limit();
    let child = Command::new(std::env::current_exe().expect("this program"))
        .arg(crate::SWITCHES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut crowd = EmulatorProcess(child.expect("a child"));
    let out = BufReader::new(crowd.0.stdout.take().expect("its output"));
    let ports: Vec<u16> = out
        .lines()
        .take(SWITCH_COUNT)
        .filter_map(|l| l.ok()?.parse().ok())
        .collect();
    if ports.len() < SWITCH_COUNT {
        eprintln!("the rows of {SWITCH_COUNT} switches are left out: they did not all start");
        return;
    }
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let near = current_thread();
    let (ours, kib) = near.block_on(async {
        let before = resident_kib();
        let context = OpenContext::new();
        let mut switches = Vec::new();
        for port in &ports {
            switches.push(open(address(*port), &context).await);
        }
        let poll = || {
            futures::future::join_all(
                switches
                    .iter()
                    .map(|s| async { assert!(s.connections().await.is_ok(), "an answer") }),
            )
        };
        let load = busy(seconds, || async { drop(poll().await) }).await;
        (
            load,
            resident_kib().saturating_sub(before) as f64 / SWITCH_COUNT as f64,
        )
    });
    // The same question on bare sockets.
    let raw = near.block_on(async {
        let mut streams = Vec::new();
        for port in &ports {
            streams.push(tokio::sync::Mutex::new(
                tokio::net::TcpStream::connect(address(*port))
                    .await
                    .expect("a connection"),
            ));
        }
        busy(seconds, || async {
            futures::future::join_all(streams.iter().map(|stream| async {
                let mut stream = stream.lock().await;
                stream
                    .write_all(b":oxc:swit:conn:stat?\n")
                    .await
                    .expect("sent");
                let (mut buffer, mut got) = ([0; 256], 0);
                while got == 0 || buffer[got - 1] != b'\n' {
                    got += stream.read(&mut buffer[got..]).await.expect("an answer");
                }
            }))
            .await;
        })
        .await
    });
    let what = format!("{SWITCH_COUNT} switches polled each second by one process: a core's time");
    row(
        &what,
        &format!("{ours:.1} %"),
        &format!("{raw:.1} % (bare sockets)"),
        Some(ours / raw),
        "-",
    );
    row(
        &format!("resident memory of one of {SWITCH_COUNT} open switches"),
        &format!("{kib:.1} KiB"),
        "-",
        None,
        "-",
    );
}
