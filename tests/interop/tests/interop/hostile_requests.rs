//! Requests of a hostile client of a transport: no argument and no dropped call makes a driver
//! panic, and the device answers afterwards.

use qkd_driver_kit::{OpenContext, OpenedDevice};
use qkd_emulators::{profile::Options, profiles};
use qkd_hal::{
    Operation, Request,
    optics::{Fingerprint, Plan, Port},
    request::Caller,
};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::timeout;

/// Number of requests to each end of each profile.
const REQUESTS: usize = 400;

const PORTS: &[u32] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    9,
    16,
    17,
    18,
    32,
    33,
    65_535,
    65_536,
    u32::MAX,
];
const COUNTS: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    128,
    256,
    1000,
    60_000_000_000,
    300_000_000_000,
    u32::MAX as u64,
    u64::MAX,
];

/// Arguments, of which many are those of the device.
struct Client {
    random: ChaCha12Rng,
    names: Vec<String>,
    operations: Vec<Operation>,
}

impl Client {
    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all.choose(&mut self.random).unwrap().clone()
    }
    fn port(&mut self) -> u32 {
        self.of(PORTS)
    }
    fn ports(&mut self) -> Vec<u32> {
        (0..self.random.random_range(0..4))
            .map(|_| self.port())
            .collect()
    }
    fn count(&mut self) -> u64 {
        self.of(COUNTS)
    }
    fn name(&mut self) -> String {
        let names = self.names.clone();
        self.of(&names)
    }
    fn number(&mut self) -> Value {
        let all = [
            json!(0),
            json!(-0.0),
            json!(1e308),
            json!(-1e308),
            json!("inf"),
            json!("-inf"),
            json!("NaN"),
            json!(-200),
            json!(-20.5),
            json!(3.5),
            json!(1550),
            json!(0.01),
        ];
        self.of(&all)
    }
    fn key_id(&mut self) -> String {
        let all = [
            "01",
            "00112233445566778899aabbccddeeff",
            "not-a-number",
            "~",
            "ff",
        ];
        let long = "k".repeat(128);
        self.of(&[&all[..], &[&long]].concat()).to_owned()
    }
    fn staged(&mut self) -> Value {
        json!({
            "channel": self.name(), "key_id": self.key_id(), "evidence": self.name(),
            "slot": self.of(&[json!(null), json!(0), json!(1), json!(2), json!(255)]),
            "baseline": {(self.name()): self.name(), "port 1": self.name()},
        })
    }
    fn value(&mut self) -> Value {
        let special = json!({"number": "NaN"});
        let all = [
            json!(true),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(1),
            json!(2),
            json!(0.5),
            special,
            json!(self.name()),
        ];
        self.of(&all)
    }

    fn request(&mut self) -> Value {
        let operations = self.operations.clone();
        let operation = self.of(&operations);
        use Operation as Op;
        let arguments = match operation {
            Op::GetParameter => json!({"name": self.name()}),
            Op::SetParameter => json!({"name": self.name(), "value": self.value()}),
            Op::TakeKeys => json!({"request": {
                "count": self.count() & 0xffff_ffff, "size_bits": self.count(),
                "additional_receivers": [self.name()], "extensions": [
                    {"name": self.name(), "value": self.name(), "mandatory": true},
                ],
            }}),
            Op::TakeKeysById => json!({"ids": [self.key_id(), self.key_id()]}),
            Op::Channel | Op::Zeroize | Op::Counters => json!({"channel": self.name()}),
            Op::Stage => json!({"channel": self.name(), "key": {
                "id": self.key_id(), "size_bits": self.count(),
            }}),
            Op::Activate => json!({"staged": self.staged()}),
            Op::Confirm => json!({"staged": self.staged(), "longest_ns": self.count()}),
            Op::Retire => json!({"confirmed": {
                "staged": self.staged(), "evidence": "", "outage_ns": null,
            }}),
            Op::SetEncryption => json!({"channel": self.name(), "on": false}),
            Op::Random => json!({"length": self.count()}),
            Op::Ports | Op::Power => json!({"ports": self.ports()}),
            Op::SetPort => json!({"port": self.port(), "enabled": true}),
            Op::Monitor | Op::Attenuation => json!({"port": self.port()}),
            Op::SetMonitor => {
                let all = [
                    json!({"setting": "wavelength", "value": self.number()}),
                    json!({"setting": "averaging", "value": self.count()}),
                    json!({"setting": "alarms", "value": {
                        "low_dbm": self.number(), "high_dbm": self.number(),
                    }}),
                ];
                json!({"port": self.port(), "change": self.of(&all)})
            }
            Op::SetAttenuation => {
                let modes = [
                    "transparent",
                    "maximum",
                    "loss",
                    "output-power",
                    "relative",
                    "x",
                ];
                json!({"port": self.port(), "wanted": {
                    "mode": self.of(&modes), "loss_db": self.number(),
                    "output_power_dbm": self.number(), "below_db": self.number(),
                    "reference": self.port(),
                }})
            }
            Op::ProtectionStatus => json!({"group": self.name()}),
            Op::SetProtection => {
                let all = [
                    json!({"setting": "mode", "value": "manual"}),
                    json!({"setting": "preferred", "value": self.name()}),
                    json!({"setting": "revertive", "value": true}),
                    json!({"setting": "wait-to-restore", "value": self.count()}),
                    json!({"setting": "threshold", "value": {
                        "path": self.name(), "level": self.number(),
                    }}),
                ];
                json!({"group": self.name(), "setting": self.of(&all)})
            }
            Op::ProtectionCommand => {
                let all = [
                    json!({"command": "clear"}),
                    json!({"command": "lockout"}),
                    json!({"command": "force", "path": self.name()}),
                    json!({"command": "manual", "path": self.name()}),
                ];
                json!({"group": self.name(), "command": self.of(&all)})
            }
            _ => return json!({"operation": operation}),
        };
        json!({"operation": operation, "arguments": arguments})
    }

    /// A plan for this device in its present state, with arbitrary steps.
    async fn plan(&mut self, opened: &OpenedDevice) -> Option<Plan> {
        let switch = opened.switch().ok()?;
        let (identity, state) = (switch.identity().await.ok()?, switch.connections().await);
        let mut ports = BTreeSet::new();
        let mut steps = Vec::new();
        let present: Vec<_> = state.iter().flat_map(|s| s.value.iter()).collect();
        for _ in 0..self.random.random_range(0..4) {
            let some = |client: &mut Self, most| -> Vec<[u32; 2]> {
                let count = client.random.random_range(0..=most);
                let mut one = || match present.choose(&mut client.random) {
                    Some(c) if client.random.random_bool(0.5) => [c.ingress.0, c.egress.0],
                    _ => [
                        *PORTS.choose(&mut client.random).unwrap(),
                        *PORTS.choose(&mut client.random).unwrap(),
                    ],
                };
                (0..count).map(|_| one()).collect()
            };
            let kind = self.random.random_range(0..3_u64);
            let (from, to) = match kind {
                0 => (vec![some(self, 1).pop().unwrap_or([1, 3])], Vec::new()),
                1 => (Vec::new(), vec![some(self, 1).pop().unwrap_or([1, 3])]),
                _ => (some(self, 3), some(self, 3)),
            };
            ports.extend(from.iter().chain(&to).flatten().copied());
            steps.push((kind, from, to));
        }
        let covered: BTreeSet<Port> = ports.iter().map(|p| Port(*p)).collect();
        let mut bytes = Vec::new();
        head(&mut bytes, 4, 7);
        text(&mut bytes, Some("qkd-switch-plan"));
        head(&mut bytes, 0, 1);
        head(&mut bytes, 4, 3);
        text(&mut bytes, Some(&identity.vendor));
        text(&mut bytes, identity.model.as_deref());
        text(&mut bytes, identity.serial.as_deref());
        for _ in 0..2 {
            head(&mut bytes, 4, ports.len() as u64);
            ports
                .iter()
                .for_each(|p| head(&mut bytes, 0, u64::from(*p)));
        }
        match state {
            Ok(state) if self.random.random_bool(0.9) => {
                head(&mut bytes, 2, 32);
                bytes.extend(Fingerprint::new(&state.value, &covered).as_bytes());
            }
            _ => text(&mut bytes, None),
        }
        head(&mut bytes, 4, steps.len() as u64);
        for (kind, from, to) in steps {
            head(&mut bytes, 4, 3);
            head(&mut bytes, 0, kind);
            for connections in [from, to] {
                head(&mut bytes, 4, connections.len() as u64);
                for [ingress, egress] in connections {
                    head(&mut bytes, 4, 2);
                    head(&mut bytes, 0, u64::from(ingress));
                    head(&mut bytes, 0, u64::from(egress));
                }
            }
        }
        Some(Plan::from_bytes(&bytes).unwrap())
    }
}

/// Writes the head of an item of CBOR, as short as possible.
fn head(out: &mut Vec<u8>, major: u8, value: u64) {
    let bytes = value.to_be_bytes();
    let (short, size) = match value {
        0..24 => (bytes[7], 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | short);
    out.extend(&bytes[8 - size..]);
}

/// Writes a text, or null.
fn text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            head(out, 3, text.len() as u64);
            out.extend(text.as_bytes());
        }
        None => out.push(0xf6),
    }
}

/// The names that a device has, and some that none has.
async fn names(opened: &OpenedDevice) -> Vec<String> {
    let mut all: Vec<String> = ["", "none", "a", "1", "\u{1b}[2J\r\n", "ä\u{202e}"]
        .map(str::to_owned)
        .into();
    all.push("x".repeat(5000));
    let device = opened.device();
    all.extend(device.parameters().iter().map(|p| p.name.to_string()));
    if let Ok(encryptor) = opened.encryptor() {
        all.extend(encryptor.channels().await.unwrap().into_iter().map(|c| c.0));
    }
    if let Ok(protection) = opened.protection() {
        for group in protection.groups().await.unwrap() {
            let status = protection.protection(&group).await.unwrap().value;
            all.extend(status.paths.into_iter().map(|p| p.path.0));
            all.push(group.0);
        }
    }
    all
}

/// The operations of the device.
fn operations(opened: &OpenedDevice) -> Vec<Operation> {
    let device = opened.device();
    device
        .capabilities()
        .operations()
        .map(|(op, _)| op)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn no_request_makes_a_driver_panic() {
    let (mut answered, mut refused, mut dropped) = (0, 0, 0);
    let mut reached = BTreeSet::new();
    for profile in profiles::all() {
        // Flows that share a key exchange profile take no key.
        let options = match profile.name {
            "adva-fsp150-pair" => Options::default().with("own-profiles", true),
            _ => Options::default(),
        };
        let memory = profiles::in_memory(profile.name, &options).unwrap();
        for (end, uri) in memory.uris().iter().enumerate() {
            let registry = qkd_hardware::registry();
            let assumptions = registry.drivers().flat_map(|d| d.info().assumptions);
            let accepted: Vec<String> = assumptions.map(|a| a.id.to_string()).collect();
            let context = memory.attach(OpenContext::new());
            let context = context.with_accepted_assumptions(accepted);
            let opened = registry.open(uri, &context).await.unwrap();
            let mut client = Client {
                random: ChaCha12Rng::seed_from_u64(end as u64),
                names: names(&opened).await,
                operations: operations(&opened),
            };
            for _ in 0..REQUESTS {
                let json = client.request();
                let request = match serde_json::from_value::<Request<'_>>(json.clone()) {
                    Ok(request) => request,
                    Err(_) if json["operation"] == "apply" => match client.plan(&opened).await {
                        Some(plan) => Request::Apply {
                            plan: std::borrow::Cow::Owned(plan),
                        },
                        None => continue,
                    },
                    Err(error) => panic!("{json}: {error}"),
                };
                let key = (request.operation() == Operation::Stage).then(|| {
                    let id = json["arguments"]["key"]["id"].as_str().unwrap();
                    let size = client.of(&[0, 1, 16, 24, 32, 64, 4096]);
                    qkd_hal::Key::new(id.parse().unwrap(), vec![7; size].into())
                });
                let request = match (&request, &key) {
                    (Request::Stage { channel, .. }, Some(key)) => Request::Stage {
                        channel: channel.clone(),
                        key: key.into(),
                    },
                    (request, _) => request.clone(),
                };
                let patience = client.of(&[Duration::from_millis(5), Duration::from_secs(600)]);
                match timeout(patience, opened.call(&request)).await {
                    Ok(Ok(_)) => {
                        answered += 1;
                        reached.insert(request.operation());
                    }
                    Ok(Err(_)) => refused += 1,
                    Err(_) => dropped += 1,
                }
            }
            let health = timeout(Duration::from_secs(60), opened.device().health()).await;
            assert!(health.is_ok(), "{uri}");
        }
    }
    assert!(
        answered > 3000 && refused > 2000 && dropped > 50,
        "{answered} answered, {refused} refused, {dropped} dropped"
    );
    assert!(reached.len() > 25, "{reached:?}");
}
