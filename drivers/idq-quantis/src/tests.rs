//! The driver against a scripted generator, in memory and under paused time.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        memory::Endpoint,
        usb::{Completion, SetupPacket, UsbService},
    },
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, Result, TransportFault, device::HealthState,
    parameter::ParameterValue, reading::Quality,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The byte of a packet at a place: no run of equal ones, no value that comes often.
fn byte(packet: u8, at: usize) -> u8 {
    packet.wrapping_add((at * 13 % 256).try_into().unwrap())
}

#[derive(Clone, Copy)]
enum PeerFault {
    /// So many packets of one value.
    Constant(usize),
    Short(usize),
    Pending,
    Gone,
    Stall,
}

struct Sim {
    product: u8,
    status: u8,
    rate: u32,
    next: u8,
    faults: VecDeque<PeerFault>,
    requests: Vec<u8>,
    packets: usize,
}

struct Generator(Mutex<Sim>);

impl UsbService for Generator {
    fn control(&self, setup: SetupPacket, _data: &[u8]) -> Completion {
        let mut sim = self.0.lock().unwrap();
        if setup.request_type == 0x80 {
            let text = match setup.value & 0xff {
                1 => "id Quantique",
                2 => "Quantis USB",
                _ => "FFFFFFFFFF",
            };
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            return Completion::Data(
                [&[u8::try_from(units.len() + 2).unwrap(), 3], &units[..]].concat(),
            );
        }
        sim.requests.push(setup.request);
        match (setup.request_type, setup.request) {
            (0xc1, 0x10) => Completion::Data(vec![16, 0, 0, 0]),
            (0xc1, 0x13) => Completion::Data(vec![sim.status]),
            (0xc1, 0x14 | 0x15) => Completion::Data(vec![1]),
            (0xc1, 0x16) => Completion::Data(sim.rate.to_le_bytes().to_vec()),
            (0xc1, 0x17) if sim.rate == 0 => Completion::Stall,
            (0xc1, 0x17) => Completion::Data(vec![]),
            (0x41, 0x11) => {
                sim.status = 0;
                Completion::Accepted(0)
            }
            (0x41, 0x12) => {
                sim.status = 1;
                Completion::Accepted(0)
            }
            _ => Completion::Stall,
        }
    }
    fn read(&self, endpoint: u8, length: usize) -> Completion {
        assert_eq!(
            (endpoint, length),
            (0x86, 512),
            "exactly one packet each time"
        );
        let mut sim = self.0.lock().unwrap();
        match sim.faults.front().copied() {
            Some(PeerFault::Pending) => return Completion::Pending,
            Some(fault) => {
                sim.faults.pop_front();
                return match fault {
                    PeerFault::Constant(more) => {
                        if more > 1 {
                            sim.faults.push_front(PeerFault::Constant(more - 1));
                        }
                        sim.packets += 1;
                        Completion::Data(vec![0x5a; 512])
                    }
                    PeerFault::Short(n) => Completion::Data(vec![7; n]),
                    PeerFault::Stall => Completion::Stall,
                    _ => Completion::Gone,
                };
            }
            None => {}
        }
        sim.packets += 1;
        sim.next = sim.next.wrapping_add(1);
        Completion::Data((0..512).map(|at| byte(sim.next, at)).collect())
    }
    fn write(&self, _endpoint: u8, _data: &[u8]) -> Completion {
        Completion::Stall
    }
    fn descriptors(&self) -> (Vec<u8>, Vec<u8>) {
        let mut device = hex::decode("12010002ff000040ba0a0201000201020301").unwrap();
        device[10] = self.0.lock().unwrap().product;
        (
            device,
            hex::decode("0902190001010080960904000001ff00000007058602000200").unwrap(),
        )
    }
    fn generation(&self) -> u64 {
        0
    }
    fn changed(&self, _seen: u64, _at_most: Duration) {}
}

async fn open_with(product: u8, rate: u32) -> (Result<OpenedDevice>, Arc<Generator>) {
    let sim = Sim {
        product,
        status: 1,
        rate,
        next: 0,
        faults: VecDeque::new(),
        requests: vec![],
        packets: 0,
    };
    let generator = Arc::new(Generator(Mutex::new(sim)));
    let context = OpenContext::new().with_memory("rng", Endpoint::Usb(Arc::clone(&generator) as _));
    (
        Registry::new()
            .with(driver())
            .open("idq-quantis+mem://rng", &context)
            .await,
        generator,
    )
}

async fn open() -> (OpenedDevice, Arc<Generator>) {
    let (opened, generator) = open_with(2, 4000).await;
    generator.0.lock().unwrap().requests.clear();
    (opened.unwrap(), generator)
}

#[tokio::test(start_paused = true)]
async fn it_reports_its_identity() {
    let (opened, _) = open().await;
    let random = opened.random().unwrap();
    assert_eq!(
        random.identity().await.unwrap().to_string(),
        "ID Quantique Quantis USB, serial FFFFFFFFFF, firmware board 16"
    );
    assert_eq!(random.random_capabilities().rate.unwrap().0, 4e6);
    // 4 Mbit/s for 5 s, and a fifth to spare.
    assert_eq!(random.random_capabilities().max_request, 2_000_000);
    assert_eq!(random.health().await.unwrap().state, HealthState::Ok);
}

#[tokio::test(start_paused = true)]
async fn whole_packets_are_read_and_the_modules_checked_before() {
    let (opened, generator) = open().await;
    let random = opened.random().unwrap();
    let bytes = random.random(700).await.unwrap();
    assert_eq!(bytes.len(), 700);
    assert_eq!((bytes[0], bytes[699]), (byte(1, 0), byte(2, 187)));
    assert_eq!(
        *random.random(1).await.unwrap(),
        [3],
        "no byte is given twice"
    );
    assert_eq!(generator.0.lock().unwrap().requests, [0x13, 0x13]);
    random.random(65 * 512).await.unwrap();
    let sim = generator.0.lock().unwrap();
    assert_eq!((sim.packets, sim.requests.len()), (2 + 1 + 65, 4));
}

#[tokio::test(start_paused = true)]
async fn a_failed_generator_delivers_no_bytes() {
    let (opened, generator) = open().await;
    let random = opened.random().unwrap();
    random
        .set_parameter("enabled", &ParameterValue::Flag(false))
        .await
        .unwrap();
    assert_eq!(
        random.random(16).await.unwrap_err().kind(),
        ErrorKind::NotReady
    );
    assert_eq!(random.health().await.unwrap().state, HealthState::Failed);
    assert_eq!(generator.0.lock().unwrap().packets, 0);
    random
        .set_parameter("enabled", &ParameterValue::Flag(true))
        .await
        .unwrap();
    assert_eq!(
        generator.0.lock().unwrap().packets,
        8,
        "4096 bytes are discarded"
    );
    random.random(16).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_reported_and_the_next_call_works() {
    let (opened, generator) = open().await;
    let random = opened.random().unwrap();
    for (fault, kind) in [
        (
            PeerFault::Short(100),
            ErrorKind::Misbehaved(DeviceMisbehaved::ShortPacket),
        ),
        (
            PeerFault::Short(0),
            ErrorKind::Misbehaved(DeviceMisbehaved::ShortPacket),
        ),
        (PeerFault::Pending, ErrorKind::Timeout),
        (
            PeerFault::Stall,
            ErrorKind::Transport(TransportFault::Stall),
        ),
        (
            PeerFault::Gone,
            ErrorKind::Transport(TransportFault::Unplugged),
        ),
    ] {
        generator.0.lock().unwrap().faults.push_back(fault);
        let error = random.random(600).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::Unknown));
        generator.0.lock().unwrap().faults.clear();
        assert_eq!(random.random(600).await.unwrap().len(), 600);
    }
    // The flag of this generator has no byte.
    assert_eq!(
        random.telemetry().await.unwrap_err().kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply)
    );
}

#[tokio::test(start_paused = true)]
async fn invalid_arguments_are_refused_before_anything_is_sent() {
    let (opened, generator) = open().await;
    let random = opened.random().unwrap();
    for length in [0, 2_000_001] {
        assert_eq!(
            random.random(length).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
    assert_eq!(
        random
            .set_parameter("enabled", &ParameterValue::Integer(1))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        random.parameter("enabled").await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    assert!(generator.0.lock().unwrap().requests.is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_device_is_refused() {
    assert_eq!(
        open_with(3, 4000).await.0.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
    let (opened, _) = open_with(2, 0).await;
    let random = opened.unwrap().random().unwrap();
    assert_eq!(random.random_capabilities().rate, None);
    let telemetry = random.telemetry().await.unwrap();
    assert_eq!(
        (telemetry[5].name.as_ref(), telemetry[5].quality),
        ("ais31.flag", Quality::Invalid)
    );
}

#[tokio::test(start_paused = true)]
async fn constant_bytes_fail_the_start_up_test_and_none_is_given_out() {
    let (opened, generator) = open().await;
    let random = opened.random().unwrap();
    let constant = PeerFault::Constant(2);
    generator.0.lock().unwrap().faults.push_back(constant);
    let error = random.random(1).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange)
    );
    assert!(
        error.message().contains("SP 800-90B") && error.message().contains("repetition count"),
        "{error}"
    );
    let packets = generator.0.lock().unwrap().packets;
    assert_eq!(packets, 2, "two packets are tested for one byte");
    // It gives varied bytes now, and is not believed before it was started again.
    let again = random.random(1).await.unwrap_err();
    assert_eq!(again.effect(), Effect::None);
    assert_eq!(generator.0.lock().unwrap().packets, packets);
    let health = random.health().await.unwrap();
    assert_eq!(health.state, HealthState::Failed);
    assert!(health.faults[0].contains("SP 800-90B"), "{health:?}");
    random
        .set_parameter("enabled", &ParameterValue::Flag(true))
        .await
        .unwrap();
    assert_eq!(random.random(16).await.unwrap().len(), 16);
    assert_eq!(random.health().await.unwrap().state, HealthState::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stops_later_is_noticed_at_its_next_bytes() {
    let (opened, generator) = open().await;
    let random = opened.random().unwrap();
    random.random(5000).await.unwrap();
    generator
        .0
        .lock()
        .unwrap()
        .faults
        .push_back(PeerFault::Constant(1));
    let error = random.random(100).await.unwrap_err();
    assert!(error.message().contains("repetition count"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_module_is_tested_on_discarded_bytes_after_it_is_enabled() {
    let (opened, generator) = open().await;
    let random = opened.random().unwrap();
    generator
        .0
        .lock()
        .unwrap()
        .faults
        .push_back(PeerFault::Constant(8));
    let error = random
        .set_parameter("enabled", &ParameterValue::Flag(true))
        .await
        .unwrap_err();
    assert!(error.message().contains("SP 800-90B"), "{error}");
}
