//! The driver against a scripted agent, in memory and under paused time.

use crate::{
    ASSUMPTIONS, driver,
    proto::oid::{self, Port},
};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        memory::Endpoint,
        snmp::{ErrorStatus, Notification, Oid, SnmpService, Value, VarBind},
    },
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, EventKind, Key, KeyId, Result,
    device::HealthState,
    encryptor::{ChannelState, Confirmation, FailureMode, Staged},
    event::StreamItem,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

/// The time within which a roll is confirmed.
const TEN_SECONDS: Duration = Duration::from_secs(10);

const PORT: Port = Port {
    id: 35_684_352,
    sub: 1,
};

#[derive(Default)]
struct State {
    objects: BTreeMap<Oid, Value>,
    ticks: u32,
    /// Whether the far end holds another key.
    mismatch: bool,
    refuse: bool,
    /// Accepts SETs and does nothing.
    deaf: bool,
}

struct Agent(Mutex<State>, broadcast::Sender<Notification>);

fn ca() -> Vec<u32> {
    oid::ca_index("ca1").unwrap()
}

impl SnmpService for Agent {
    fn get(&self, name: &Oid) -> Value {
        self.0
            .lock()
            .unwrap()
            .objects
            .get(name)
            .cloned()
            .unwrap_or(Value::NoSuchInstance)
    }
    fn next(&self, name: &Oid) -> Option<VarBind> {
        let state = self.0.lock().unwrap();
        state
            .objects
            .range((
                std::ops::Bound::Excluded(name.clone()),
                std::ops::Bound::Unbounded,
            ))
            .next()
            .map(|(o, v)| VarBind::new(o.clone(), v.clone()))
    }
    fn set(&self, _id: i32, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        let mut state = self.0.lock().unwrap();
        if state.refuse {
            return Err((ErrorStatus::InconsistentValue, 1));
        }
        if state.deaf {
            return Ok(());
        }
        state.ticks += 1;
        for bind in binds {
            let slot = bind
                .oid
                .suffix_of(&oid::column(oid::psk::ENTRY, oid::psk::ROW_STATUS))
                .map(<[u32]>::to_vec);
            match (slot, &bind.value) {
                (Some(slot), Value::Integer(6)) => state.objects.retain(|o, _| {
                    o.suffix_of(&Oid::from(oid::psk::ENTRY))
                        .is_none_or(|t| t[1..] != slot)
                }),
                (Some(_), Value::Integer(4)) => {
                    state.objects.insert(bind.oid.clone(), Value::Integer(1));
                }
                _ => {
                    state.objects.insert(bind.oid.clone(), bind.value.clone());
                }
            }
            if let Some([.., slot]) = bind
                .oid
                .suffix_of(&oid::column(oid::psk::ENTRY, oid::psk::CAK_NAME))
            {
                let changed = Value::TimeTicks(state.ticks);
                state.objects.insert(
                    oid::of_slot(oid::psk::LAST_CHANGED, &ca(), u8::try_from(*slot).unwrap()),
                    changed,
                );
            }
            if let (true, Value::Gauge32(slot)) = (
                bind.oid == oid::of_ca(oid::static_cak::ENTRY, 3, &ca()),
                &bind.value,
            ) {
                let name = oid::of_slot(oid::psk::CAK_NAME, &ca(), u8::try_from(*slot).unwrap());
                let Some(Value::OctetString(text)) = state.objects.get(&name).cloned() else {
                    continue;
                };
                let ckn = KeyId::from_bytes(&hex::decode(text).unwrap()).unwrap();
                let mismatch = state.mismatch;
                let mut put =
                    |column, value| state.objects.insert(oid::of_mka(column, PORT, &ckn), value);
                put(
                    oid::mka::OPER_STATE,
                    Value::Integer(if mismatch { 4 } else { 2 }),
                );
                put(
                    oid::mka::LATEST_SAK_KI,
                    Value::OctetString(ckn.as_bytes().to_vec()),
                );
                put(oid::mka::SAK_INSTALLED_TX, Value::Counter64(1));
                put(oid::mka::SAK_INSTALLED_RX, Value::Counter64(1));
                put(
                    oid::mka::ICV_CHECK_FAILED,
                    Value::Counter64(u64::from(mismatch)),
                );
                state.objects.insert(
                    oid::of_port(oid::tx_sc::ENTRY, oid::tx_sc::ENCRYPTED, PORT),
                    Value::Counter64(1000),
                );
            }
        }
        Ok(())
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.1.subscribe()
    }
}

async fn open() -> (OpenedDevice, Arc<Agent>) {
    let (opened, agent) = open_with(|_| {}).await;
    (opened.unwrap(), agent)
}

async fn open_with(
    change: impl FnOnce(&mut BTreeMap<Oid, Value>),
) -> (Result<OpenedDevice>, Arc<Agent>) {
    let at_ca = |column| oid::of_ca(oid::ca::ENTRY, column, &ca());
    let objects = [
        (at_ca(oid::ca::ROW_STATUS), Value::Integer(1)),
        (at_ca(oid::ca::ADMIN_STATE), Value::Integer(2)),
        (at_ca(oid::ca::ENCRYPT), Value::Integer(1)),
        (at_ca(oid::ca::CIPHER_SUITE), Value::Integer(2)),
        (
            oid::of_ca(oid::static_cak::ENTRY, oid::static_cak::ACTIVE_PSK, &ca()),
            Value::Gauge32(1),
        ),
        (
            oid::of_port(oid::port::ENTRY, oid::port::CA_NAME, PORT),
            Value::text("ca1"),
        ),
        (
            oid::of_port(oid::tx_sc::ENTRY, oid::tx_sc::ENCRYPTED, PORT),
            Value::Counter64(5),
        ),
        (
            oid::of_port(oid::port_stats::ENTRY, oid::port_stats::TX_UNTAGGED, PORT),
            Value::Counter64(0),
        ),
        (
            Oid::from(oid::SYS_OBJECT_ID),
            Value::ObjectId("1.3.6.1.4.1.6527.1.3.9".parse().unwrap()),
        ),
        (
            Oid::from(oid::SYS_DESCR),
            Value::text("TiMOS-C-14.0.R5 cpm/hops64 Nokia 7750 SR Copyright"),
        ),
        (Oid::from(oid::CHASSIS_SERIAL), Value::text("NS1")),
    ];
    let mut objects: BTreeMap<Oid, Value> = objects.into();
    change(&mut objects);
    let state = State {
        objects,
        ..State::default()
    };
    let agent = Arc::new(Agent(Mutex::new(state), broadcast::channel(8).0));
    let context = OpenContext::new()
        .with_memory("device", Endpoint::Snmp(Arc::clone(&agent) as _))
        .with_accepted_assumptions(ASSUMPTIONS.iter().map(|a| a.id.to_string()));
    (
        Registry::new()
            .with(driver())
            .open("nokia-sros-macsec+mem://device", &context)
            .await,
        agent,
    )
}

fn key(n: u8) -> Key {
    Key::new(
        KeyId::from_bytes(&[n; 16]).unwrap(),
        Zeroizing::new(vec![0xa0 | n; 32]),
    )
}

async fn roll(opened: &OpenedDevice, n: u8) -> Staged {
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&"ca1".into(), &key(n)).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    staged
}

#[tokio::test(start_paused = true)]
async fn keys_roll_between_the_two_slots() {
    let (opened, agent) = open().await;
    let encryptor = opened.encryptor().unwrap();
    for (n, slot) in [(1, 2), (2, 1), (3, 2)] {
        let staged = roll(&opened, n).await;
        assert_eq!(staged.slot, Some(slot));
        let cak =
            agent.0.lock().unwrap().objects[&oid::of_slot(oid::psk::CAK, &ca(), slot)].clone();
        assert_eq!(cak, Value::text(format!("a{n}").repeat(32)));
        agent.0.lock().unwrap().objects.insert(
            oid::of_port(oid::tx_sc::ENTRY, oid::tx_sc::ENCRYPTED, PORT),
            Value::Counter64(2000 + u64::from(n)),
        );
        let confirmation = encryptor.confirm(&staged, TEN_SECONDS).await.unwrap();
        assert!(confirmation.is_confirmed(), "{confirmation:?}");
        let confirmed = confirmation.confirmed().unwrap();
        encryptor.retire(&confirmed).await.unwrap();
        let status = encryptor.channel(&"ca1".into()).await.unwrap();
        assert_eq!(
            (status.state, status.failure_mode, status.cipher.as_deref()),
            (
                ChannelState::Encrypting,
                FailureMode::Unknown,
                Some("gcm-aes-256")
            )
        );
        assert_eq!(
            status
                .slots
                .iter()
                .map(|s| (s.number, s.key_id.clone(), s.active))
                .collect::<Vec<_>>(),
            [(slot, Some(key(n).id().clone()), true)]
        );
    }
    assert!(
        encryptor
            .counters(&"ca1".into())
            .await
            .unwrap()
            .encrypted
            .unwrap()
            > 2000
    );
    encryptor.zeroize(&"ca1".into()).await.unwrap();
    assert!(
        encryptor
            .channel(&"ca1".into())
            .await
            .unwrap()
            .slots
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_different_key_at_the_peer_is_not_confirmed() {
    let (opened, agent) = open().await;
    agent.0.lock().unwrap().mismatch = true;
    let staged = roll(&opened, 1).await;
    let confirmation = opened
        .encryptor()
        .unwrap()
        .confirm(&staged, TEN_SECONDS)
        .await
        .unwrap();
    assert!(
        !confirmation.is_confirmed() && confirmation.evidence().contains("IcvCheckFailed"),
        "{confirmation:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_accepted_set_that_is_not_applied_is_reported() {
    let (opened, agent) = open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&"ca1".into(), &key(1)).await.unwrap();
    agent.0.lock().unwrap().deaf = true;
    for error in [
        encryptor.stage(&"ca1".into(), &key(2)).await.unwrap_err(),
        encryptor.activate(&staged).await.unwrap_err(),
        encryptor.zeroize(&"ca1".into()).await.unwrap_err(),
    ] {
        assert_eq!(
            error.kind(),
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            "{error}"
        );
    }
    agent.0.lock().unwrap().deaf = false;
    encryptor.activate(&staged).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusals_and_wrong_arguments_change_nothing() {
    let (opened, agent) = open().await;
    let encryptor = opened.encryptor().unwrap();
    agent.0.lock().unwrap().refuse = true;
    let error = encryptor.stage(&"ca1".into(), &key(1)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect(), error.vendor_code()),
        (
            ErrorKind::Refused,
            Effect::None,
            Some("inconsistentValue(12)")
        )
    );
    assert!(!format!("{error:?}").contains("a1a1"));
    agent.0.lock().unwrap().refuse = false;
    let short = Key::new(key(1).id().clone(), Zeroizing::new(vec![1; 24]));
    assert_eq!(
        encryptor
            .stage(&"ca1".into(), &short)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        encryptor
            .stage(&"nowhere".into(), &key(1))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    let staged = encryptor.stage(&"ca1".into(), &key(1)).await.unwrap();
    // A proof that is made up: nothing is deleted on it either.
    let claimed = Confirmation::new(&staged, true, "made up")
        .confirmed()
        .unwrap();
    assert_eq!(
        encryptor.retire(&claimed).await.unwrap_err().kind(),
        ErrorKind::NotReady
    );
    let other = Staged::new("ca1".into(), key(9).id().clone(), Some(2), "");
    assert_eq!(
        encryptor.activate(&other).await.unwrap_err().kind(),
        ErrorKind::NotReady
    );
    encryptor.activate(&staged).await.unwrap();
    assert_eq!(
        encryptor
            .stage(&"ca1".into(), &key(1))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput,
        "it is the key in use"
    );
    agent.0.lock().unwrap().objects.insert(
        oid::of_ca(oid::static_cak::ENTRY, 3, &ca()),
        Value::Gauge32(7),
    );
    assert_eq!(
        encryptor.channel(&"ca1".into()).await.unwrap_err().kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange)
    );
}

#[tokio::test(start_paused = true)]
async fn notifications_become_events() {
    let (opened, agent) = open().await;
    let mut events = opened.device().events();
    let name = oid::of_ca(oid::static_cak::ENTRY, oid::static_cak::ACTIVE_PSK, &ca());
    let binds = vec![
        VarBind::new(
            Oid::from(oid::NOTIFY_PORT).child(&[0]),
            Value::Gauge32(PORT.id),
        ),
        VarBind::new(name, Value::Gauge32(2)),
    ];
    agent
        .1
        .send(Notification {
            trap: Oid::from(oid::NOTIFICATIONS).child(&[7]),
            uptime: 1,
            binds,
        })
        .unwrap();
    match events.next().await {
        Some(StreamItem::Event(e)) => assert_eq!(
            e.kind,
            EventKind::StateChanged {
                subject: "ca1".into(),
                state: "slot 2 active".into()
            }
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_chassis_serial_is_the_identity_and_an_upgrade_does_not_change_it() {
    let (opened, agent) = open().await;
    let device = opened.device();
    assert_eq!(
        device.identity().await.unwrap().to_string(),
        "Nokia 7750 SR, serial NS1, firmware TiMOS-C-14.0.R5"
    );
    let put = |oid: &[u32], value: Value| {
        agent
            .0
            .lock()
            .unwrap()
            .objects
            .insert(Oid::from(oid), value);
    };
    put(
        oid::SYS_DESCR,
        Value::text("TiMOS-C-24.7.R1 cpm/x86_64 Nokia 7750 SR Copyright (c) 2000-2024 Nokia."),
    );
    // sysName is not a serial number.
    put(&[1, 3, 6, 1, 2, 1, 1, 5, 0], Value::text("renamed"));
    assert_eq!(
        device.identity().await.unwrap().to_string(),
        "Nokia 7750 SR, serial NS1, firmware TiMOS-C-24.7.R1"
    );
    put(oid::CHASSIS_SERIAL, Value::text("NS2"));
    assert_eq!(
        device.identity().await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
}

#[tokio::test(start_paused = true)]
async fn a_router_without_an_association_reports_that_it_has_no_channels() {
    let (opened, _) = open_with(|objects| {
        objects.retain(|name, _| {
            [oid::ca::ENTRY, oid::static_cak::ENTRY]
                .iter()
                .all(|entry| name.suffix_of(&Oid::from(*entry)).is_none())
        });
    })
    .await;
    let encryptor = opened.unwrap().encryptor().unwrap();
    assert!(encryptor.channels().await.unwrap().is_empty());
    let health = encryptor.health().await.unwrap();
    assert_eq!(health.state, HealthState::Degraded);
    let error = encryptor.channel(&"ca1".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for text in [error.message(), &health.faults[0]] {
        assert!(
            text.contains("no MACsec connectivity association, and so no channels"),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_of_another_vendor_is_not_a_router() {
    for id in [
        Some("1.3.6.1.4.1.8072.3.2.10"),
        Some("1.3.6.1.4.1.65270"),
        None,
    ] {
        let (opened, _) = open_with(|objects| {
            objects.remove(&Oid::from(oid::SYS_OBJECT_ID));
            if let Some(id) = id {
                let id = Value::ObjectId(id.parse().unwrap());
                objects.insert(Oid::from(oid::SYS_OBJECT_ID), id);
            }
        })
        .await;
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IdentityChanged, "{id:?}");
        assert!(
            error.message().contains("a device of another vendor"),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_id_that_is_not_a_number_is_stored_as_its_characters() {
    let (opened, agent) = open().await;
    let encryptor = opened.encryptor().unwrap();
    let id: KeyId = "7-B00c".parse().unwrap();
    let key = Key::new(id.clone(), Zeroizing::new(vec![0xa1; 32]));
    let staged = encryptor.stage(&"ca1".into(), &key).await.unwrap();
    let name = oid::of_slot(oid::psk::CAK_NAME, &ca(), 2);
    let stored = agent.0.lock().unwrap().objects[&name].clone();
    assert_eq!(stored, Value::text(hex::encode("7-B00c")));
    encryptor.activate(&staged).await.unwrap();
    let confirmation = encryptor.confirm(&staged, TEN_SECONDS).await.unwrap();
    assert!(confirmation.is_confirmed(), "{confirmation:?}");
    let again = encryptor.stage(&"ca1".into(), &key).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidInput, "{again}");
}
