//! Program in the virtual machine of the check `our-usb-driver-on-linux`: our driver, through
//! libusb, usbfs and `vhci_hcd`, on our emulator.
//!
//! `usb-guest` prints a line for each finding and `PASS` at the end; `usb-guest emulate SERIAL SEED
//! [FAULT]` is the emulator that it starts and kills.

use qkd_driver_kit::{OpenContext, OpenedDevice};
use qkd_emulators::{model::random::RandomModel, profile::Options, profiles};
use qkd_hal::{
    ErrorKind, RandomSource, TransportFault, device::HealthState, reading::ReadingValue,
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::fd::AsRawFd,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const URI: &str = "idq-quantis+usb://";
const SERIAL: &str = "QRNG-VM-1";
/// Time for the kernel to detect an unplug, and to enumerate a plugged device.
const HOTPLUG_TIMEOUT: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, String>;

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn print_check(what: &str) {
    println!("  ✓ {what}");
}

/// A USB/IP server in a process of its own, so that it can be killed.
struct Emulator {
    child: Child,
    address: String,
}

impl Emulator {
    fn start(serial: &str, seed: u64, fault: Option<&str>) -> Outcome<Self> {
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut child = Command::new(own)
            .args(["emulate", serial, &seed.to_string()])
            .args(fault)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("the emulator cannot be started: {e}"))?;
        let mut address = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out)
                .read_line(&mut address)
                .map_err(|e| e.to_string())?;
        }
        Ok(Self {
            child,
            address: address.trim().to_owned(),
        })
    }

    /// Hands a connection to it to the kernel, which takes it for a cable: what `usbip attach`
    /// does.
    fn plug(&self) -> Outcome<()> {
        let broken = |e: std::io::Error| format!("USB/IP at {}: {e}", self.address);
        // OP_REQ_IMPORT of bus ID 1-1, and its reply: 8 bytes and a device record, with bus, device
        // and speed after path and bus ID.
        let mut request = vec![0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0];
        request.extend(b"1-1");
        request.resize(40, 0);
        let mut stream = TcpStream::connect(&self.address).map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        stream.write_all(&request).map_err(broken)?;
        let mut reply = [0; 8 + 312];
        stream.read_exact(&mut reply).map_err(broken)?;
        let word = |at: usize| {
            reply[at..]
                .first_chunk()
                .map_or(0, |b| u32::from_be_bytes(*b))
        };
        expect(word(4) == 0, || {
            format!("the import was refused: {}", word(4))
        })?;
        let (bus, device, speed) = (word(296), word(300), word(304));
        let attach = format!("0 {} {} {speed}", stream.as_raw_fd(), bus << 16 | device);
        // The kernel's port is busy until it has detected the last unplug.
        let begun = Instant::now();
        while let Err(error) = std::fs::write("/sys/devices/platform/vhci_hcd.0/attach", &attach) {
            expect(begun.elapsed() < HOTPLUG_TIMEOUT, || {
                format!("vhci_hcd takes nothing: {error}")
            })?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn emulate(serial: &str, seed: &str, faults: &[&str]) -> Outcome<()> {
    let mut options = Options::default()
        .seeded(seed.parse().map_err(|_| "no seed")?)
        .with("serial", serial);
    options.faults = faults.iter().map(|f| (*f).to_owned()).collect();
    let running = profiles::start("idq-quantis", &options)
        .await
        .map_err(|e| e.to_string())?;
    println!("{}", running.ready().endpoints[0].address);
    std::future::pending().await
}

/// Opens the device as soon as the kernel has enumerated it.
async fn open() -> Outcome<OpenedDevice> {
    let begun = Instant::now();
    loop {
        match qkd_hardware::registry()
            .open(URI, &OpenContext::new())
            .await
        {
            Ok(opened) => return Ok(opened),
            Err(error)
                if error.kind() == ErrorKind::Unreachable && begun.elapsed() < HOTPLUG_TIMEOUT =>
            {
                tokio::time::sleep(Duration::from_millis(100)).await
            }
            Err(error) => return Err(format!("{URI}: {error}")),
        }
    }
}

/// Minimum number of bytes that the first call of a handle reads: the start-up test takes 1024
/// samples (NIST SP 800-90B, 4.3).
const START_UP: usize = 1024;

/// Checks that the bytes equal those of the emulator's model, which has been read up to `model`.
/// The driver reads at least `at_least` bytes.
async fn same_bytes(
    source: &Arc<dyn RandomSource>,
    model: &RandomModel,
    length: usize,
    at_least: usize,
) -> Outcome<()> {
    let bytes = source
        .random(length)
        .await
        .map_err(|e| format!("{length} bytes: {e}"))?;
    // The driver reads full packets of 512 bytes and discards the rest.
    let mut wanted = vec![0; length.max(at_least).next_multiple_of(512)];
    model.fill(&mut wanted);
    expect(bytes[..] == wanted[..length], || {
        format!("{length} bytes came, and are not those of the model")
    })
}

async fn check() -> Outcome<()> {
    let emulator = Emulator::start(SERIAL, 11, None)?;
    emulator.plug()?;
    let opened = open().await?;
    let source = opened.random().map_err(|e| e.to_string())?;
    let model = RandomModel::new(11, SERIAL);

    let identity = source.identity().await.map_err(|e| e.to_string())?;
    let seen = (
        identity.model.as_deref(),
        identity.serial.as_deref(),
        identity.firmware.as_deref(),
    );
    expect(
        seen == (Some("Quantis USB"), Some(SERIAL), Some("board 2")),
        || format!("identity {identity:?}"),
    )?;
    let health = source.health().await.map_err(|e| e.to_string())?;
    expect(health.state == HealthState::Ok, || format!("{health:?}"))?;
    let telemetry = source.telemetry().await.map_err(|e| e.to_string())?;
    let value = |name: &str| {
        telemetry
            .iter()
            .find(|r| r.name == name)
            .map(|r| r.value.clone())
    };
    expect(
        value("board.version") == Some(ReadingValue::Count(u64::from(model.board_version()))),
        || format!("{telemetry:?}"),
    )?;
    expect(
        value("modules.rate") == Some(ReadingValue::Number(f64::from(model.rate_kbit()) * 1e3)),
        || format!("{telemetry:?}"),
    )?;
    print_check("identity, health and telemetry");
    for (length, at_least) in [(1, START_UP), (512, 0), (1000, 0), (100_000, 0)] {
        same_bytes(&source, &model, length, at_least).await?;
    }
    print_check("100000 random bytes in one call, and fewer: those of the model");

    let most = source.random_capabilities().max_request;
    let reading = tokio::spawn({
        let source = Arc::clone(&source);
        async move { source.random(most).await.map(|bytes| bytes.len()) }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    expect(!reading.is_finished(), || {
        format!("{most} bytes came before the device was pulled out")
    })?;
    let pulled = Instant::now();
    drop(emulator);
    let error = reading
        .await
        .map_err(|e| e.to_string())?
        .err()
        .ok_or("the read survived the unplug")?;
    let took = pulled.elapsed();
    expect(
        error.kind() == ErrorKind::Transport(TransportFault::Unplugged),
        || format!("pulled out while reading: {error:?}"),
    )?;
    expect(took < Duration::from_secs(2), || {
        format!("the unplug was reported after {took:?}")
    })?;
    let error = source
        .random(512)
        .await
        .err()
        .ok_or("a device that is gone gave bytes")?;
    expect(error.kind() == ErrorKind::Unreachable, || {
        format!("after the unplug: {error:?}")
    })?;
    print_check(&format!(
        "pulled out while it reads: Unplugged after {} ms, and Unreachable then",
        took.as_millis()
    ));

    let emulator = Emulator::start(SERIAL, 12, Some("stall"))?;
    emulator.plug()?;
    let again = open().await?.random().map_err(|e| e.to_string())?;
    let model = RandomModel::new(12, SERIAL);
    let error = again
        .random(512)
        .await
        .err()
        .ok_or("a stalled endpoint gave bytes")?;
    expect(
        error.kind() == ErrorKind::Transport(TransportFault::Stall),
        || format!("a stall: {error:?}"),
    )?;
    // The packet that stalled is lost.
    model.fill(&mut [0; 512]);
    same_bytes(&again, &model, 5000, START_UP)
        .await
        .map_err(|e| format!("after a stall: {e}"))?;
    print_check("an endpoint that stalls: Stall, and the next read works");
    // The interface has one user at a time.
    let error = source
        .random(512)
        .await
        .err()
        .ok_or("two handles had claimed one interface")?;
    expect(error.kind() == ErrorKind::Busy, || {
        format!("a second handle: {error:?}")
    })?;
    again.close().await.map_err(|e| e.to_string())?;
    same_bytes(&source, &model, 5000, 0).await?;
    print_check(
        "plugged in again: a new handle works, and the old one as soon as the interface is free",
    );

    drop(emulator);
    let other = Emulator::start("QRNG-VM-2", 13, None)?;
    other.plug()?;
    let begun = Instant::now();
    let error = loop {
        match source.random(512).await {
            Ok(_) => return Err("another device was taken for the one that was opened".to_owned()),
            Err(e) if e.kind() == ErrorKind::IdentityChanged => break e,
            Err(e) => expect(begun.elapsed() < HOTPLUG_TIMEOUT, || {
                format!("another device: {e}")
            })?,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    expect(error.message().contains("QRNG-VM-2"), || error.to_string())?;
    print_check("another device in the same socket: IdentityChanged");
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "emulate", serial, seed, ref faults @ ..] => emulate(serial, seed, faults).await,
        _ => check().await,
    };
    match done {
        Ok(()) => {
            println!("PASS");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("FAIL {why}");
            ExitCode::FAILURE
        }
    }
}
