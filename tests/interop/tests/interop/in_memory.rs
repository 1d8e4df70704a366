//! Every profile in memory, under paused time: both ends open, what reads changes nothing at the
//! device, and what changes something shows in its state.

use qkd_driver_kit::{
    OpenContext, OpenedDevice,
    wrap::fault::{FaultScript, LinkFault},
};
use qkd_emulators::{
    profile::{InMemory, Options},
    profiles,
};
use qkd_hal::{
    DeviceKind, Effect, ErrorKind, EventKind, Key, KeyId, Operation, Support, TransportFault,
    encryptor::{Activation, ChannelState},
    event::StreamItem,
    parameter::{ParameterType, ParameterValue},
    qkd::{KeyRequest, ModuleState},
};
use qkd_switch_hal::{
    CrossConnect, CrossConnects, Geometry, Plan, Port,
    protection::{ExternalCommand, ProtectionSetting, SelectionMode},
};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

/// Options with which the first channel of a profile takes a key.
fn options(profile: &str) -> Options {
    match profile {
        // Flows that share a key exchange profile are refused.
        "adva-fsp150-pair" => Options::default().with("own-profiles", true),
        _ => Options::default(),
    }
}

async fn open(memory: &InMemory, end: usize) -> OpenedDevice {
    open_with(memory, end, OpenContext::new()).await
}

async fn open_with(memory: &InMemory, end: usize, context: OpenContext) -> OpenedDevice {
    let registry = qkd_hardware::registry();
    let all: Vec<String> = registry
        .drivers()
        .flat_map(|d| d.info().assumptions)
        .map(|a| a.id.to_string())
        .collect();
    registry
        .open(
            &memory.uris()[end],
            &memory.attach(context).with_accepted_assumptions(all),
        )
        .await
        .unwrap()
}

fn has(opened: &OpenedDevice, operation: Operation) -> bool {
    opened.device().capabilities().supports(operation) != Support::Unsupported
}

/// All that the device declares and that changes nothing; how much it was.
async fn read_all(opened: &OpenedDevice) -> usize {
    let device = opened.device();
    let mut done = 0;
    for operation in Operation::ALL
        .iter()
        .copied()
        .filter(|o| !o.is_mutating() && has(opened, *o))
    {
        match operation {
            Operation::Identity => drop(device.identity().await.unwrap()),
            Operation::Health => drop(device.health().await.unwrap()),
            Operation::Telemetry => drop(device.telemetry().await.unwrap()),
            Operation::GetParameter => {
                for spec in device.parameters().iter().filter(|p| p.readable) {
                    device.parameter(&spec.name).await.unwrap();
                }
            }
            Operation::ModuleStatus => drop(opened.module().unwrap().status().await.unwrap()),
            Operation::Performance => {
                let _ = opened.module().unwrap().performance().await.unwrap();
            }
            Operation::KeyStore => drop(opened.module().unwrap().key_store().await.unwrap()),
            Operation::Connections => drop(opened.switch().unwrap().connections().await),
            Operation::Ports => drop(opened.switch().unwrap().ports(&[]).await.unwrap()),
            Operation::Monitor => {
                let meter = opened.power_meter().unwrap();
                let port = meter
                    .meter_capabilities()
                    .monitors
                    .iter()
                    .next()
                    .copied()
                    .unwrap();
                assert_eq!(meter.monitor(port).await.unwrap().port, port);
            }
            Operation::Attenuation => {
                let attenuator = opened.attenuator().unwrap();
                let port = attenuator
                    .attenuator_capabilities()
                    .ports
                    .iter()
                    .next()
                    .copied()
                    .unwrap();
                drop(attenuator.attenuation(port).await.unwrap());
            }
            Operation::ProtectionGroups => {
                drop(opened.protection().unwrap().groups().await.unwrap())
            }
            Operation::ProtectionStatus => {
                let protection = opened.protection().unwrap();
                for group in protection.groups().await.unwrap() {
                    protection.protection(&group).await.unwrap();
                }
            }
            Operation::Power => {
                let meter = opened.power_meter().unwrap();
                let ports: Vec<Port> = meter
                    .meter_capabilities()
                    .monitors
                    .iter()
                    .take(2)
                    .copied()
                    .collect();
                drop(meter.power(&ports).await.unwrap());
            }
            Operation::Channels | Operation::Channel | Operation::Counters => {
                let encryptor = opened.encryptor().unwrap();
                let channel = &encryptor.channels().await.unwrap()[0];
                encryptor.channel(channel).await.unwrap();
                if has(opened, Operation::Counters) {
                    encryptor.counters(channel).await.unwrap();
                }
            }
            Operation::Random => assert_eq!(
                opened.random().unwrap().random(600).await.unwrap().len(),
                600
            ),
            _ => continue,
        }
        done += 1;
    }
    done
}

fn key(n: u8) -> Key {
    Key::new(
        KeyId::from_bytes(&[n; 16]).unwrap(),
        Zeroizing::new(vec![n; 32]),
    )
}

/// Changes of the device, one after another, each with its name.
async fn change(opened: &OpenedDevice, step: usize) -> Option<&'static str> {
    let device = opened.device();
    let group = match opened.protection() {
        Ok(protection) => protection.groups().await.unwrap().into_iter().next(),
        Err(_) => None,
    };
    match (device.descriptor().kinds[0], step) {
        (DeviceKind::OpticalSwitch | DeviceKind::ProtectionSwitch, _) if group.is_some() => {
            let protection = opened.protection().unwrap();
            let group = group.unwrap();
            match step {
                0 => protection
                    .set_protection(&group, &ProtectionSetting::Mode(SelectionMode::Manual))
                    .await
                    .unwrap(),
                1 => {
                    let now = protection.protection(&group).await.unwrap().value;
                    let other = now
                        .paths
                        .into_iter()
                        .map(|p| p.path)
                        .find(|p| *p != now.active.path)
                        .unwrap();
                    protection
                        .command(&group, &ExternalCommand::Force(other))
                        .await
                        .unwrap();
                }
                _ => return None,
            }
            Some("protection")
        }
        (DeviceKind::OpticalSwitch, 0) => {
            let switch = opened.switch().unwrap();
            let (identity, geometry) = (
                switch.identity().await.unwrap(),
                switch.switch_capabilities().geometry,
            );
            let plan = match switch.connections().await {
                Ok(present) => {
                    let to = match geometry {
                        Geometry::Matrix { ingress, .. } => CrossConnect::new(1, ingress + 1),
                        Geometry::OneByN { .. } => CrossConnect::new(
                            0,
                            if present.value.peer(Port::COMMON) == Some(Port(2)) {
                                1
                            } else {
                                2
                            },
                        ),
                        _ => CrossConnect::new(
                            1,
                            if present.value.peer(Port(1)) == Some(Port(3)) {
                                4
                            } else {
                                3
                            },
                        ),
                    };
                    let wanted = present.value.with_changes(&geometry, &[], &[to]).unwrap();
                    switch.plan().to(wanted).build().await.unwrap()
                }
                Err(_) => Plan::unverified(
                    &identity,
                    &geometry,
                    &[CrossConnect::new(0, 3)]
                        .into_iter()
                        .collect::<qkd_hal::Result<CrossConnects>>()
                        .unwrap(),
                )
                .unwrap(),
            };
            switch.apply(&plan).await.unwrap();
            Some("apply")
        }
        (DeviceKind::OpticalSwitch, 1) if has(opened, Operation::SetPort) => {
            opened
                .switch()
                .unwrap()
                .set_port(Port(2), false)
                .await
                .unwrap();
            Some("set-port")
        }
        (DeviceKind::OpticalSwitch, 2) if has(opened, Operation::SetParameter) => {
            // Of a Polatis, a GP600 and an SB.
            let all = [
                ("boot-mode", ParameterValue::Text("restore".into())),
                ("auto-save", ParameterValue::Flag(true)),
                ("relay-drivers", ParameterValue::Integer(5)),
            ];
            let (name, value) = all
                .into_iter()
                .find(|(name, _)| device.parameters().iter().any(|p| p.name == *name))
                .unwrap();
            device.set_parameter(name, &value).await.unwrap();
            Some(name)
        }
        (DeviceKind::QkdModule, 0) => {
            opened
                .module()
                .unwrap()
                .take_keys(&KeyRequest::new(2))
                .await
                .unwrap();
            Some("take-keys")
        }
        (DeviceKind::QkdModule, 1) if has(opened, Operation::SetParameter) => {
            device
                .set_parameter("pm-shift", &ParameterValue::Integer(7))
                .await
                .unwrap();
            Some("pm-shift")
        }
        (DeviceKind::QkdModule, 2) if has(opened, Operation::Start) => {
            opened.module().unwrap().start().await.unwrap();
            Some("start")
        }
        (DeviceKind::QkdModule, 3) if has(opened, Operation::Calibrate) => {
            let begun = Instant::now();
            opened.module().unwrap().calibrate().await.unwrap();
            assert!(
                begun.elapsed() >= Duration::from_secs(180),
                "the model's time is the paused one"
            );
            Some("calibrate")
        }
        (DeviceKind::RandomSource, 0) => {
            device
                .set_parameter("enabled", &ParameterValue::Flag(false))
                .await
                .unwrap();
            Some("enabled")
        }
        (DeviceKind::Encryptor, 0) if has(opened, Operation::Stage) => {
            let encryptor = opened.encryptor().unwrap();
            encryptor
                .stage(&encryptor.channels().await.unwrap()[0], &key(9))
                .await
                .unwrap();
            Some("stage")
        }
        // An association needs the key at the other end too.
        (DeviceKind::Encryptor, 1) if has(opened, Operation::Zeroize) => {
            let encryptor = opened.encryptor().unwrap();
            let channel = &encryptor.channels().await.unwrap()[0];
            encryptor.zeroize(channel).await.unwrap();
            Some("zeroize")
        }
        (DeviceKind::Encryptor, 1) if has(opened, Operation::Activate) => {
            let encryptor = opened.encryptor().unwrap();
            let activation = encryptor.encryptor_capabilities().activation;
            // A new association needs the key at the other end too.
            if activation == Activation::MakeBeforeBreak || !activation.is_commanded() {
                return None;
            }
            let channel = &encryptor.channels().await.unwrap()[0];
            let staged = encryptor.stage(channel, &key(9)).await.unwrap();
            encryptor.activate(&staged).await.unwrap();
            Some("activate")
        }
        (DeviceKind::Encryptor, 2) if has(opened, Operation::SetEncryption) => {
            let encryptor = opened.encryptor().unwrap();
            encryptor
                .set_encryption(&encryptor.channels().await.unwrap()[0], false)
                .await
                .unwrap();
            Some("set-encryption")
        }
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn every_profile_opens_at_every_end_and_its_state_reports_changes_only() {
    for profile in profiles::all() {
        let fresh = || profiles::in_memory(profile.name, &options(profile.name).seeded(3)).unwrap();
        // A Polatis has four wires.
        let ends = match profile.name {
            name if name.ends_with("-pair") => 2,
            name if name.starts_with("polatis") => 4,
            _ => 1,
        };
        assert_eq!(fresh().uris().len(), ends, "{}", profile.name);
        for end in 0..ends {
            let memory = fresh();
            let before = memory.state();
            let opened = open(&memory, end).await;
            let what = format!("{} at end {end}", profile.name);
            assert!(read_all(&opened).await >= 2, "{what}");
            sleep(Duration::from_secs(100)).await;
            assert_eq!(
                memory.state(),
                before,
                "{what}: neither reading nor time changes it"
            );
            let mut changes = 0;
            for step in 0..4 {
                // Times of change have a resolution.
                sleep(Duration::from_secs(1)).await;
                let before = memory.state();
                let Some(name) = change(&opened, step).await else {
                    continue;
                };
                changes += 1;
                assert_ne!(memory.state(), before, "{what}: {name}");
            }
            let mut mutating = Operation::ALL.iter().filter(|o| o.is_mutating());
            assert_eq!(changes > 0, mutating.any(|o| has(&opened, *o)), "{what}");
            opened.device().close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn on_real_transports_it_is_the_same_device() {
    for profile in profiles::all().iter().filter(|p| p.has_wire) {
        let options = Options::default().seeded(3);
        let running = profiles::start(profile.name, &options).await.unwrap();
        assert_eq!(
            running.state(),
            profiles::in_memory(profile.name, &options).unwrap().state(),
            "{}",
            profile.name
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_parameter_that_a_driver_writes_is_taken_by_its_device() {
    for profile in profiles::all() {
        let fresh = || profiles::in_memory(profile.name, &Options::default()).unwrap();
        for end in 0..fresh().uris().len() {
            let memory = fresh();
            let opened = open(&memory, end).await;
            let device = opened.device();
            for spec in device.parameters().iter().filter(|p| p.writable) {
                let before = memory.state();
                let value = match &spec.values {
                    ParameterType::Choice(words) => {
                        ParameterValue::Text(words.iter().last().unwrap().to_owned())
                    }
                    ParameterType::Integer { min, .. } => ParameterValue::Integer(min + 1),
                    // A GP600 takes those that it is calibrated for.
                    ParameterType::Real { .. } if spec.name == "wavelength" => {
                        ParameterValue::Real(1550.0)
                    }
                    ParameterType::Real { min, .. } => ParameterValue::Real(*min),
                    ParameterType::Flag => ParameterValue::Flag(matches!(
                        device.parameter(&spec.name).await,
                        Ok(ParameterValue::Flag(false))
                    )),
                    ref other => panic!("{}: {}: {other:?}", profile.name, spec.name),
                };
                device.set_parameter(&spec.name, &value).await.unwrap();
                assert_ne!(memory.state(), before, "{}: {}", profile.name, spec.name);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn both_ends_of_a_key_pair_are_one_store() {
    for name in ["etsi014-pair", "veriqloud-qline-pair"] {
        let memory = profiles::in_memory(name, &Options::default()).unwrap();
        let (alice, bob) = (
            open(&memory, 0).await.module().unwrap(),
            open(&memory, 1).await.module().unwrap(),
        );
        let keys = alice.take_keys(&KeyRequest::new(3)).await.unwrap();
        let before = memory.state();
        let ids: Vec<KeyId> = keys.iter().map(|k| k.id().clone()).collect();
        assert_eq!(bob.take_keys_by_id(&ids).await.unwrap(), keys, "{name}");
        assert_ne!(memory.state(), before, "{name}: the twins are taken");
        let before = memory.state();
        assert_eq!(
            bob.take_keys_by_id(&ids).await.unwrap_err().kind(),
            ErrorKind::NotFound,
            "{name}"
        );
        assert_eq!(memory.state(), before, "{name}: nothing was");
    }
}

#[tokio::test(start_paused = true)]
async fn no_state_holds_a_key() {
    for name in [
        "packetlight-pair",
        "nokia-sros-macsec-pair",
        "linux-macsec-pair",
        "linux-macsec-mka-pair",
        "strongswan-pair",
        "wireguard-pair",
        "adva-fsp3000r7-pair",
        "adva-fsp150-pair",
        "ciena-waveserver-pair",
        "infinera-xtm-pair",
    ] {
        let memory = profiles::in_memory(name, &options(name)).unwrap();
        let encryptor = open(&memory, 0).await.encryptor().unwrap();
        let secret = Key::new(
            KeyId::from_bytes(&[1; 16]).unwrap(),
            Zeroizing::new(vec![0xa7; 32]),
        );
        encryptor
            .stage(&encryptor.channels().await.unwrap()[0], &secret)
            .await
            .unwrap();
        assert!(
            !memory.state().to_lowercase().contains("a7a7"),
            "{name}: {}",
            memory.state()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn unsolicited_events_are_reported_in_memory_too() {
    let memory = profiles::in_memory("packetlight-pair", &Options::default()).unwrap();
    let opened = open(&memory, 0).await;
    let encryptor = opened.encryptor().unwrap();
    let channel = encryptor.channels().await.unwrap()[0].clone();
    assert_ne!(
        encryptor.channel(&channel).await.unwrap().state,
        ChannelState::Encrypting,
        "it has only begun"
    );
    sleep(Duration::from_secs(3)).await;
    assert_eq!(
        encryptor.channel(&channel).await.unwrap().state,
        ChannelState::Encrypting
    );
    // The other end keeps the old secret: the exchange fails without a request.
    let mut events = opened.device().events();
    let staged = encryptor.stage(&channel, &key(5)).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    let alarm = async {
        loop {
            if let Some(StreamItem::Event(event)) = events.next().await
                && matches!(&event.kind, EventKind::Alarm { code, .. } if code == "223")
            {
                return;
            }
        }
    };
    timeout(Duration::from_secs(5), alarm)
        .await
        .expect("the alarm came");
}

#[tokio::test(start_paused = true)]
async fn faults_and_settings_reach_the_device_or_say_why_not() {
    for profile in profiles::all() {
        let memory = profiles::in_memory(profile.name, &Options::default()).unwrap();
        let bytes = [
            "agiltron",
            "dicon",
            "jdsu",
            "leoni",
            "polatis",
            "strongswan",
            "thorlabs",
            "veriqloud",
            "wireguard",
        ]
        .iter()
        .any(|n| profile.name.starts_with(n));
        for spec in ["drop@once", "1:delay=1ms", "identity=9@after=2"] {
            match memory.fault(spec) {
                Ok(()) => assert!(bytes, "{}: {spec}", profile.name),
                Err(why) => assert!(
                    !bytes && why.contains("Script"),
                    "{}: {spec}: {why}",
                    profile.name
                ),
            }
        }
        assert!(memory.fault("5:refuse").unwrap_err().contains("no end 5"));
        assert!(memory.set("nonsense", "1").is_err());
    }
    let memory = profiles::in_memory("veriqloud-qline-pair", &Options::default()).unwrap();
    let bob = open(&memory, 1).await.module().unwrap();
    memory.fault("2:fail").unwrap();
    assert_eq!(bob.status().await.unwrap().state, ModuleState::Error);
    memory.fault("clear").unwrap();
    memory.set("length", "30").unwrap();
    assert_eq!(
        bob.status().await.unwrap().state,
        ModuleState::Calibrating,
        "a new path is calibrated anew"
    );
    sleep(Duration::from_secs(241)).await;
    assert_eq!(bob.status().await.unwrap().state, ModuleState::Generating);

    let memory = profiles::in_memory("idq-quantis", &Options::default()).unwrap();
    let quantis = open(&memory, 0).await.random().unwrap();
    let before = memory.state();
    memory.fault("operator=disable").unwrap();
    assert_ne!(memory.state(), before);
    assert_eq!(
        quantis.random(100).await.unwrap_err().kind(),
        ErrorKind::NotReady
    );
    let options = Options {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        ..Options::default()
    };
    assert_eq!(
        profiles::in_memory("idq-quantis", &options)
            .unwrap_err()
            .kind(),
        std::io::ErrorKind::InvalidInput
    );
}

/// A reply that is lost after the device has acted: the driver says that the effect is unknown, and
/// the state shows that there was one.
#[tokio::test(start_paused = true)]
async fn a_faulted_reply_to_a_change_leaves_the_effect_unknown() {
    for (name, skip, fault, kind) in [
        ("agiltron-ff", 1, LinkFault::Drop, ErrorKind::Timeout),
        (
            "etsi014-pair",
            0,
            LinkFault::Reset,
            ErrorKind::Transport(TransportFault::HungUp),
        ),
        ("packetlight-pair", 1, LinkFault::Drop, ErrorKind::Timeout),
    ] {
        let memory = profiles::in_memory(name, &Options::default()).unwrap();
        let script = FaultScript::new();
        let opened = open_with(&memory, 0, OpenContext::new().with_faults(script.clone())).await;
        let before = memory.state();
        let error = match name {
            "agiltron-ff" => {
                let switch = opened.switch().unwrap();
                let _present = switch.connections().await.unwrap().value;
                let wanted: CrossConnects = [CrossConnect::new(0, 3)]
                    .into_iter()
                    .collect::<qkd_hal::Result<_>>()
                    .unwrap();
                let plan = switch.plan().to(wanted.clone()).build().await.unwrap();
                script.inject(skip, fault);
                switch.apply(&plan).await.unwrap_err()
            }
            "etsi014-pair" => {
                script.inject(skip, fault);
                opened
                    .module()
                    .unwrap()
                    .take_keys(&KeyRequest::new(1))
                    .await
                    .unwrap_err()
            }
            _ => {
                let encryptor = opened.encryptor().unwrap();
                let channel = encryptor.channels().await.unwrap()[0].clone();
                script.inject(skip, fault);
                encryptor.set_encryption(&channel, false).await.unwrap_err()
            }
        };
        assert!(script.was_injected(), "{name}");
        assert_eq!(
            (error.kind(), error.effect()),
            (kind, Effect::Unknown),
            "{name}: {error}"
        );
        assert_ne!(memory.state(), before, "{name}");
    }
}
