//! The driver against a scripted agent, in memory and under paused time.

use crate::{driver, proto::oid};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        memory::Endpoint,
        snmp::{ErrorStatus, Notification, Oid, SnmpService, Value, VarBind},
    },
};
use qkd_hal::{
    DeviceMisbehaved, ErrorKind, EventKind, Key, Operation, Result, Support,
    device::HealthState,
    encryptor::{ChannelId, ChannelState},
    event::StreamItem,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::broadcast, time::Instant};

/// The time within which a roll is confirmed.
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

const ROW: u32 = 1_295_104;

struct State {
    objects: BTreeMap<Oid, Value>,
    /// Since when the exchange runs.
    forced: Option<Instant>,
    /// Whether the exchange fails.
    fails: bool,
    refuse: Option<ErrorStatus>,
    read_secret: bool,
}

struct Agent(Mutex<State>, broadcast::Sender<Notification>);

impl SnmpService for Agent {
    fn get(&self, name: &Oid) -> Value {
        let mut state = self.0.lock().unwrap();
        if name.suffix_of(&oid::column(oid::PRE_SHARED)).is_some() {
            state.read_secret = true;
        }
        if *name == oid::instance(oid::STATUS, ROW)
            && let Some(begun) = state.forced
        {
            let stage = if state.fails {
                2
            } else {
                1 + i32::try_from(begun.elapsed().as_secs()).unwrap().min(3)
            };
            return Value::Integer(stage);
        }
        state
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
        if let Some(status) = state.refuse.take() {
            return Err((status, 1));
        }
        for bind in binds {
            if bind.oid == oid::instance(oid::FORCE_INIT, ROW) {
                state.forced = Some(Instant::now());
            }
            state.objects.insert(bind.oid.clone(), bind.value.clone());
        }
        Ok(())
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.1.subscribe()
    }
}

const ASSUME: &str =
    "assume=packetlight.preshared-at-next-exchange&assume=packetlight.force-init-one-end";

async fn open_with(
    query: &str,
    change: impl FnOnce(&mut BTreeMap<Oid, Value>),
) -> (Result<OpenedDevice>, Arc<Agent>) {
    let mut objects: BTreeMap<Oid, Value> = [
        (
            oid::instance(oid::IF_INDEX, ROW),
            Value::Integer(i32::try_from(ROW).unwrap()),
        ),
        (oid::instance(oid::ENABLE, ROW), Value::Integer(1)),
        (oid::instance(oid::STATUS, ROW), Value::Integer(4)),
        (oid::instance(oid::PERIOD, ROW), Value::Integer(60)),
        (Oid::from(oid::CAPABILITY), Value::Integer(2)),
        (Oid::from(oid::OPER_STATUS), Value::Integer(1)),
        (
            Oid::from(oid::SYS_OBJECT_ID),
            Value::ObjectId("1.3.6.1.4.1.4515.100.1.1000.8".parse().unwrap()),
        ),
        (Oid::from(oid::SERIAL).child(&[1]), Value::text("PL123")),
    ]
    .into();
    change(&mut objects);
    let state = State {
        objects,
        forced: None,
        fails: false,
        refuse: None,
        read_secret: false,
    };
    let agent = Arc::new(Agent(Mutex::new(state), broadcast::channel(8).0));
    let context = OpenContext::new().with_memory("device", Endpoint::Snmp(Arc::clone(&agent) as _));
    (
        Registry::new()
            .with(driver())
            .open(&format!("packetlight+mem://device?{query}"), &context)
            .await,
        agent,
    )
}

async fn open() -> (OpenedDevice, Arc<Agent>) {
    let (opened, agent) = open_with(&format!("psk-encoding=hex&{ASSUME}"), |_| {}).await;
    (opened.unwrap(), agent)
}

fn key() -> Key {
    Key::new(
        "bc490419-7d60-487f-adc1-4ddcc177c139".parse().unwrap(),
        zeroize::Zeroizing::new(vec![0xab; 32]),
    )
}

fn channel() -> ChannelId {
    ChannelId(ROW.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_roll_is_confirmed_with_its_outage_and_the_secret_is_never_read() {
    let (opened, agent) = open().await;
    let encryptor = opened.encryptor().unwrap();
    assert_eq!(encryptor.channels().await.unwrap(), [channel()]);
    assert_eq!(
        encryptor.channel(&channel()).await.unwrap().state,
        ChannelState::Encrypting
    );
    let staged = encryptor.stage(&channel(), &key()).await.unwrap();
    assert_eq!(
        agent.0.lock().unwrap().objects[&oid::instance(oid::PRE_SHARED, ROW)],
        Value::text("ab".repeat(32))
    );
    encryptor.activate(&staged).await.unwrap();
    let confirmation = encryptor.confirm(&staged, HALF_A_MINUTE).await.unwrap();
    assert!(confirmation.is_confirmed(), "{confirmation:?}");
    let gap = confirmation.outage().unwrap().value.as_secs_f64();
    assert!((2.5..=3.5).contains(&gap), "{gap}");
    encryptor.telemetry().await.unwrap();
    assert!(!agent.0.lock().unwrap().read_secret);
}

#[tokio::test(start_paused = true)]
async fn a_failed_exchange_is_not_confirmed() {
    let (opened, agent) = open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key()).await.unwrap();
    assert!(
        encryptor
            .confirm(&staged, HALF_A_MINUTE)
            .await
            .unwrap()
            .evidence()
            .contains("never left active")
    );
    agent.0.lock().unwrap().fails = true;
    encryptor.activate(&staged).await.unwrap();
    agent.0.lock().unwrap().objects.insert(
        oid::alarm(oid::ALARM_SEVERITY).child(&[ROW, 223]),
        Value::Integer(1),
    );
    let confirmation = encryptor.confirm(&staged, HALF_A_MINUTE).await.unwrap();
    assert!(
        !confirmation.is_confirmed() && confirmation.evidence().contains("223"),
        "{confirmation:?}"
    );
    assert_eq!(
        encryptor.channel(&channel()).await.unwrap().state,
        ChannelState::Failed
    );
    assert_eq!(
        encryptor.health().await.unwrap().state,
        HealthState::Degraded
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_and_invalid_values_fail_only_one_call() {
    let (opened, agent) = open().await;
    let encryptor = opened.encryptor().unwrap();
    agent.0.lock().unwrap().refuse = Some(ErrorStatus::WrongLength);
    let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.vendor_code()),
        (ErrorKind::Refused, Some("wrongLength(8)"))
    );
    assert!(!format!("{error:?}").contains("abab"));
    agent
        .0
        .lock()
        .unwrap()
        .objects
        .insert(oid::instance(oid::STATUS, ROW), Value::Integer(9));
    assert_eq!(
        encryptor.channel(&channel()).await.unwrap_err().kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange)
    );
    agent
        .0
        .lock()
        .unwrap()
        .objects
        .insert(oid::instance(oid::STATUS, ROW), Value::Integer(4));
    assert_eq!(
        encryptor.channel(&"7".into()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        encryptor.channel(&"x".into()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let long = Key::new(key().id().clone(), zeroize::Zeroizing::new(vec![1; 128]));
    assert_eq!(
        encryptor.stage(&channel(), &long).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let staged = encryptor.stage(&channel(), &key()).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    encryptor.set_encryption(&channel(), false).await.unwrap();
    assert_eq!(
        encryptor.channel(&channel()).await.unwrap().state,
        ChannelState::Disabled
    );
    assert_eq!(
        encryptor.capabilities().supports(Operation::Zeroize),
        Support::Unsupported
    );
}

#[tokio::test(start_paused = true)]
async fn unpublished_facts_must_be_accepted_or_configured() {
    let (opened, _) = open_with("psk-encoding=hex", |_| {}).await;
    let encryptor = opened.unwrap().encryptor().unwrap();
    assert_eq!(
        encryptor
            .stage(&channel(), &key())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::AssumptionNotAccepted
    );
    assert_eq!(
        encryptor.identity().await.unwrap().to_string(),
        "PacketLight PL-1000TE Crypto, serial PL123"
    );
    for (query, kind) in [
        ("", ErrorKind::InvalidInput),
        ("psk-encoding=text", ErrorKind::InvalidInput),
    ] {
        assert_eq!(open_with(query, |_| {}).await.0.unwrap_err().kind(), kind);
    }
    let none = open_with("psk-encoding=hex", |o| {
        o.retain(|name, _| name.suffix_of(&Oid::from(oid::ENTRY)).is_none())
    })
    .await;
    assert_eq!(none.0.unwrap_err().kind(), ErrorKind::NotReady);
    let cannot = open_with("psk-encoding=hex", |o| {
        drop(o.insert(Oid::from(oid::CAPABILITY), Value::Integer(1)))
    })
    .await;
    assert_eq!(cannot.0.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn the_firmware_is_the_software_revision_or_where_it_is_absent_the_firmware_revision() {
    for (columns, firmware) in [
        (&[(oid::SOFTWARE, "2.1"), (oid::FIRMWARE, "1.0")][..], "2.1"),
        (&[(oid::FIRMWARE, "1.0")], "1.0"),
    ] {
        let (opened, _) = open_with("psk-encoding=hex", |o| {
            for (column, text) in columns {
                o.insert(Oid::from(*column).child(&[1]), Value::text(*text));
            }
        })
        .await;
        let identity = opened.unwrap().device().identity().await.unwrap();
        assert_eq!(identity.firmware.as_deref(), Some(firmware));
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_of_another_vendor_is_refused_at_opening_and_later() {
    let other = || Value::ObjectId("1.3.6.1.4.1.8072.3.2.10".parse().unwrap());
    let (opened, _) = open_with("psk-encoding=hex", |o| {
        o.insert(Oid::from(oid::SYS_OBJECT_ID), other());
    })
    .await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::IdentityChanged);
    let (opened, agent) = open_with("psk-encoding=hex", |_| {}).await;
    let device = opened.unwrap().device();
    agent
        .0
        .lock()
        .unwrap()
        .objects
        .insert(Oid::from(oid::SYS_OBJECT_ID), other());
    assert_eq!(
        device.identity().await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
    assert_eq!(
        device.health().await.unwrap_err().kind(),
        ErrorKind::IdentityChanged,
        "the handle is closed"
    );
}

#[tokio::test(start_paused = true)]
async fn traps_become_events() {
    let (opened, agent) = open().await;
    let mut events = opened.device().events();
    let name = |c: u32| oid::alarm(c).child(&[ROW, 223]);
    let binds = vec![
        VarBind::new(
            name(oid::ALARM_IF_INDEX),
            Value::Integer(i32::try_from(ROW).unwrap()),
        ),
        VarBind::new(name(oid::ALARM_TYPE), Value::Integer(223)),
        VarBind::new(name(oid::ALARM_SEVERITY), Value::Integer(1)),
    ];
    agent
        .1
        .send(Notification {
            trap: Oid::from(oid::TRAP_PROXY),
            uptime: 1,
            binds,
        })
        .unwrap();
    match tokio::time::timeout(Duration::from_secs(1), events.next())
        .await
        .unwrap()
    {
        Some(StreamItem::Event(e)) => {
            assert!(matches!(&e.kind, EventKind::Alarm { code, .. } if code == "223"))
        }
        other => panic!("{other:?}"),
    }
}
