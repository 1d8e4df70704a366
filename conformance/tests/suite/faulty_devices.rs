//! Devices with false replies: correct emulators whose messages are altered, with the real drivers.
//! The suite must detect each fault of a device through the real driver, whatever that driver makes
//! of it.

use crate::emulated;
use async_trait::async_trait;
use qkd_conformance::{
    Dut, RunOptions, Suite,
    result::{Outcome, RequirementResult},
};
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice, Registry,
    link::{
        LinkError,
        bytes::{ByteStream, Connector},
        http::{HttpResponse, HttpService, Method},
        memory::Endpoint,
        snmp::{ErrorStatus, Notification, Oid, SnmpService, Value, VarBind},
        usb::{Completion, SetupPacket, UsbService},
    },
};
use qkd_hal::{DeviceUri, Result};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::broadcast,
};
use zeroize::Zeroizing;

/// A false reply of a device. The number increases with each message of the device.
#[derive(Clone, Copy)]
enum FalseReply {
    /// It takes a command for another.
    AlteredRequest(fn(&str) -> String),
    /// It says something else.
    AlteredReply(fn(&str, usize) -> String),
    /// It takes a SET, and does nothing.
    SetsNothing,
    /// Reports another value.
    AlteredValue(fn(&Oid, Value, usize) -> Value),
    /// It answers a request with another body.
    Answers(fn(&str, serde_json::Value, usize) -> serde_json::Value),
    /// Its transfers carry something else.
    Carries(fn(u8, usize) -> u8),
}

/// Requirements, and the false reply of a device that each detects.
const FALSE_REPLIES: &[(&str, &str, FalseReply)] = &[
    (
        "DEV-02",
        "polatis-16x16",
        FalseReply::AlteredReply(|text, n| {
            if n > 5 {
                text.replace(",002414,", ",002415,")
            } else {
                text.to_owned()
            }
        }),
    ),
    (
        "DEV-24",
        "polatis-16x16",
        FalseReply::AlteredRequest(|text| text.replace("boot:mode REST", "boot:mode AUT")),
    ),
    (
        "SWI-01",
        "polatis-16x16",
        FalseReply::AlteredReply(|text, _| {
            if text.starts_with("(@)") {
                "(@1),(@99)\r\n".to_owned()
            } else {
                text.to_owned()
            }
        }),
    ),
    (
        "SWI-02",
        "polatis-16x16",
        FalseReply::AlteredReply(|text, n| {
            if text.starts_with("(@)") && n % 2 == 0 {
                "(@1),(@17)\r\n".to_owned()
            } else {
                text.to_owned()
            }
        }),
    ),
    (
        "SWI-08",
        "polatis-16x16",
        FalseReply::AlteredReply(|text, _| text.replace('F', "E")),
    ),
    (
        "SWI-11",
        "polatis-16x16",
        FalseReply::AlteredRequest(|text| text.replace("add (@1),(@17)", "add (@1),(@18)")),
    ),
    (
        "SWI-21",
        "polatis-16x16",
        FalseReply::AlteredRequest(|text| text.replace(":port:dis", ":port:ena")),
    ),
    (
        "ENC-04",
        "nokia-sros-macsec",
        FalseReply::AlteredValue(|_, value, n| {
            if let Value::Counter64(_) = value {
                Value::Counter64(1_000_000 - n as u64)
            } else {
                value
            }
        }),
    ),
    ("ENC-10", "nokia-sros-macsec", FalseReply::SetsNothing),
    ("ENC-11", "nokia-sros-macsec", FalseReply::SetsNothing),
    ("ENC-15", "nokia-sros-macsec", FalseReply::SetsNothing),
    ("ENC-16", "nokia-sros-macsec", FalseReply::SetsNothing),
    ("ENC-11", "packetlight", FalseReply::SetsNothing),
    ("ENC-23", "packetlight", FalseReply::SetsNothing),
    (
        "QKD-03",
        "etsi014",
        FalseReply::Answers(|path, mut body, _| {
            if path.ends_with("/status") {
                body["stored_key_count"] = 10_000_000.into();
            }
            body
        }),
    ),
    (
        "QKD-09",
        "etsi014",
        FalseReply::Answers(|_, mut body, _| {
            body["keys"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(|key| key["key"] = "AAAAAAAAAAAAAAAAAAAAAA==".into());
            body
        }),
    ),
    (
        "QKD-10",
        "etsi014",
        FalseReply::Answers(|_, mut body, _| {
            body["keys"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(|key| key["key_ID"] = "6fa459ea-ee8a-4ca4-894e-db77e160355e".into());
            body
        }),
    ),
    (
        "QKD-11",
        "etsi014",
        FalseReply::Answers(|path, mut body, _| {
            if path.contains("dec_keys") {
                body["keys"][0]["key"] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into();
            }
            body
        }),
    ),
    (
        "QKD-11",
        "etsi014",
        FalseReply::Answers(|path, mut body, _| {
            if let (true, Some(keys)) = (path.contains("dec_keys"), body["keys"].as_array_mut()) {
                let ids: Vec<_> = keys.iter().rev().map(|key| key["key_ID"].clone()).collect();
                keys.iter_mut()
                    .zip(ids)
                    .for_each(|(key, id)| key["key_ID"] = id);
            }
            body
        }),
    ),
    (
        "QKD-25",
        "etsi014",
        FalseReply::Answers(|path, mut body, _| {
            if path.ends_with("/status") {
                body["stored_key_count"] = 100.into();
            }
            body
        }),
    ),
    (
        "QKD-26",
        "etsi014",
        FalseReply::Answers(|_, mut body, _| {
            body["keys"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(|key| key["key"] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into());
            body
        }),
    ),
    ("RNG-02", "idq-quantis", FalseReply::Carries(|_, n| n as u8)),
    (
        "RNG-03",
        "idq-quantis",
        FalseReply::Carries(|byte, _| byte | 0x11),
    ),
];

/// The active false reply, and the number of messages of the device.
#[derive(Clone)]
struct FaultyDevice {
    alter: FalseReply,
    said: Arc<AtomicUsize>,
}

impl FaultyDevice {
    fn next(&self) -> usize {
        self.said.fetch_add(1, Ordering::Relaxed)
    }

    fn around(self, endpoint: &Endpoint) -> Endpoint {
        match endpoint {
            Endpoint::Bytes(inner) => Endpoint::Bytes(Arc::new(Around(Arc::clone(inner), self))),
            Endpoint::Snmp(inner) => Endpoint::Snmp(Arc::new(Around(Arc::clone(inner), self))),
            Endpoint::Usb(inner) => Endpoint::Usb(Arc::new(Around(Arc::clone(inner), self))),
            Endpoint::Http(inner, client) => {
                Endpoint::Http(Arc::new(Around(Arc::clone(inner), self)), client.clone())
            }
            // No false reply alters datagrams.
            Endpoint::Datagram(inner) => Endpoint::Datagram(Arc::clone(inner)),
        }
    }
}

/// The wire of the correct device, with the faulty one in front of it.
struct Around<T: ?Sized>(Arc<T>, FaultyDevice);

#[async_trait]
impl Connector for Around<dyn Connector> {
    async fn connect(&self, within: Duration) -> Result<Box<dyn ByteStream>, LinkError> {
        let stream = self.0.connect(within).await?;
        let (near, far) = tokio::io::duplex(64 * 1024);
        let faulty = self.1.clone();
        tokio::spawn(async move {
            let ((mut from_device, mut to_device), (mut from_host, mut to_host)) =
                (tokio::io::split(stream), tokio::io::split(far));
            let (mut said, mut heard) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
            loop {
                tokio::select! {
                    read = from_device.read(&mut said) => {
                        let Ok(n @ 1..) = read else { return };
                        let text = String::from_utf8_lossy(&said[..n]);
                        let text = match faulty.alter {
                            FalseReply::AlteredReply(alter) => {
                                alter(&text, faulty.next()).into_bytes()
                            }
                            _ => said[..n].to_vec(),
                        };
                        if to_host.write_all(&text).await.is_err() { return };
                    }
                    read = from_host.read(&mut heard) => {
                        let Ok(n @ 1..) = read else { return };
                        let text = String::from_utf8_lossy(&heard[..n]);
                        let text = match faulty.alter {
                            FalseReply::AlteredRequest(alter) => alter(&text).into_bytes(),
                            _ => heard[..n].to_vec(),
                        };
                        if to_device.write_all(&text).await.is_err() { return };
                    }
                }
            }
        });
        Ok(Box::new(near))
    }
    fn address(&self) -> String {
        self.0.address()
    }
}

impl SnmpService for Around<dyn SnmpService> {
    fn get(&self, oid: &Oid) -> Value {
        let value = self.0.get(oid);
        if let FalseReply::AlteredValue(alter) = self.1.alter {
            alter(oid, value, self.1.next())
        } else {
            value
        }
    }
    fn next(&self, oid: &Oid) -> Option<VarBind> {
        let row = self.0.next(oid)?;
        Some(if let FalseReply::AlteredValue(alter) = self.1.alter {
            VarBind::new(row.oid.clone(), alter(&row.oid, row.value, self.1.next()))
        } else {
            row
        })
    }
    fn set(&self, request_id: i32, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        if matches!(self.1.alter, FalseReply::SetsNothing) {
            Ok(())
        } else {
            self.0.set(request_id, binds)
        }
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.0.notifications()
    }
}

impl HttpService for Around<dyn HttpService> {
    fn call(&self, client: Option<&str>, method: Method, path: &str, body: &[u8]) -> HttpResponse {
        let response = self.0.call(client, method, path, body);
        match (self.1.alter, serde_json::from_slice(&response.body)) {
            (FalseReply::Answers(alter), Ok(json)) if response.status == 200 => {
                let path = path.split('?').next().unwrap_or(path);
                HttpResponse {
                    status: 200,
                    body: Zeroizing::new(alter(path, json, self.1.next()).to_string().into_bytes()),
                }
            }
            _ => response,
        }
    }
}

impl UsbService for Around<dyn UsbService> {
    fn control(&self, setup: SetupPacket, data: &[u8]) -> Completion {
        self.0.control(setup, data)
    }
    fn read(&self, endpoint: u8, length: usize) -> Completion {
        match (self.1.alter, self.0.read(endpoint, length)) {
            (FalseReply::Carries(alter), Completion::Data(bytes)) => Completion::Data(
                bytes
                    .into_iter()
                    .enumerate()
                    .map(|(n, byte)| alter(byte, n))
                    .collect(),
            ),
            (_, other) => other,
        }
    }
    fn write(&self, endpoint: u8, data: &[u8]) -> Completion {
        self.0.write(endpoint, data)
    }
    fn descriptors(&self) -> (Vec<u8>, Vec<u8>) {
        self.0.descriptors()
    }
    fn generation(&self) -> u64 {
        self.0.generation()
    }
    fn changed(&self, seen: u64, at_most: Duration) {
        self.0.changed(seen, at_most);
    }
}

/// The correct driver, with altered messages.
struct AlteringDriver {
    honest: Registry,
    info: &'static DriverInfo,
    faulty: FaultyDevice,
}

#[async_trait]
impl Driver for AlteringDriver {
    fn info(&self) -> &'static DriverInfo {
        self.info
    }
    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let mut altering = context.clone();
        for (name, endpoint) in context.memory() {
            altering = altering.with_memory(name, self.faulty.clone().around(endpoint));
        }
        self.honest
            .driver(self.info.name)?
            .open(uri, &altering)
            .await
    }
}

fn run(requirement: &str, dut: Dut, alter: Option<FalseReply>) -> RequirementResult {
    let honest = qkd_hardware::registry();
    let emulator = dut.emulator.clone().unwrap();
    let info = honest
        .drivers()
        .map(Driver::info)
        .find(|info| emulator.starts_with(info.name))
        .unwrap();
    let registry = match alter {
        None => honest,
        Some(alter) => honest.clone().with(AlteringDriver {
            honest,
            info,
            faulty: FaultyDevice {
                alter,
                said: Arc::default(),
            },
        }),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let results = runtime.block_on(async {
        let suite = Suite::new(registry);
        let ready = suite.ready(dut, None, None).await.unwrap();
        suite
            .run(
                &[ready],
                &RunOptions {
                    only: vec![requirement.to_owned()],
                    ..RunOptions::default()
                },
                &(),
            )
            .await
    });
    results.runs[0]
        .requirements
        .iter()
        .find(|r| r.id == requirement)
        .unwrap()
        .clone()
}

#[test]
fn a_device_with_false_replies_is_detected_through_the_real_driver() {
    let files = emulated();
    let mut wrong = Vec::new();
    for (requirement, name, alter) in FALSE_REPLIES {
        let file = files
            .iter()
            .find(|f| f.file_stem().is_some_and(|stem| stem == *name))
            .unwrap();
        let dut = Dut::read(file).unwrap();
        let of = |alter| {
            let result = run(requirement, dut.clone(), alter);
            (
                result.outcome,
                result
                    .cases
                    .iter()
                    .map(|c| format!("{}: {} {}", c.id, c.outcome.label(), c.why))
                    .collect::<Vec<_>>(),
            )
        };
        let (honest, lied) = (of(None), of(Some(*alter)));
        if honest.0 != Outcome::Pass || lied.0 != Outcome::Fail {
            wrong.push(format!(
                "{requirement} on {name}: honest {honest:?}, lying {lied:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        FALSE_REPLIES.len(),
        wrong.join("\n")
    );
}
