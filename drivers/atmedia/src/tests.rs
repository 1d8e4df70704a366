//! The driver against a scripted agent, in memory and under paused time.

use crate::{driver, proto::oid};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        scripted_agent::ScriptedAgent,
        snmp::{Oid, Value},
    },
};
use qkd_hal::{
    ErrorKind, Key, Result,
    device::HealthState,
    encryptor::{ChannelState, FailureMode},
};
use std::sync::Arc;
use zeroize::Zeroizing;

fn agent() -> Arc<ScriptedAgent> {
    let objects = [
        (
            Oid::from([1, 3, 6, 1, 2, 1, 1, 2, 0]),
            Value::ObjectId("1.3.6.1.4.1.13458.1".parse().unwrap()),
        ),
        (Oid::from(oid::PRODUCT), Value::text("10GE")),
        (Oid::from(oid::SERIAL), Value::text("AT7")),
        (Oid::from(oid::TEMPERATURE), Value::Gauge32(3725)),
        (Oid::from(oid::POWER), Value::Integer(1)),
        (oid::of(oid::ENGINE_STATE, 1), Value::Integer(1)),
        (oid::of(oid::ENGINE_LAST_CHANGE, 1), Value::TimeTicks(250)),
        (oid::of(oid::INTERFACE_STATE, 1), Value::Integer(1)),
        (
            oid::of(oid::INTERFACE_RX, 1),
            Value::Counter64(5_000_000_000),
        ),
    ];
    ScriptedAgent::new(objects.into(), |_, _| {})
}

async fn open(agent: &Arc<ScriptedAgent>) -> Result<OpenedDevice> {
    let context = OpenContext::new().with_memory("device", agent.endpoint());
    let registry = Registry::new().with(driver());
    registry.open("atmedia+mem://device", &context).await
}

#[tokio::test(start_paused = true)]
async fn the_state_of_an_engine_is_that_of_a_channel() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let channel = &encryptor.channels().await.unwrap()[0];
    let status = async || encryptor.channel(channel).await.unwrap();
    assert_eq!(status().await.state, ChannelState::Encrypting);
    assert_eq!(encryptor.health().await.unwrap().state, HealthState::Ok);
    agent.set_value(oid::of(oid::ENGINE_STATE, 1), Value::Integer(3));
    let plain = status().await;
    assert_eq!(
        (plain.state, plain.failure_mode),
        (ChannelState::Disabled, FailureMode::AllowClear)
    );
    let health = encryptor.health().await.unwrap();
    assert!(health.faults[0].contains("in clear"), "{health:?}");
    agent.set_value(oid::of(oid::ENGINE_STATE, 1), Value::Integer(2));
    assert_eq!(status().await.state, ChannelState::Failed);
    agent.set_value(oid::of(oid::ENGINE_STATE, 1), Value::Integer(4));
    let error = encryptor.channel(channel).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misbehaved(_)), "{error}");
    let error = encryptor.channel(&"2".into()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misbehaved(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn readings_and_identity() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let identity = opened.device().identity().await.unwrap();
    assert_eq!(identity.to_string(), "ATMedia 10GE, serial AT7");
    let all = opened.device().telemetry().await.unwrap();
    let shown: Vec<String> = all
        .iter()
        .map(|r| format!("{} {:?}", r.name, r.value))
        .collect();
    assert!(
        shown.contains(&"temperature Number(37.25)".to_owned()),
        "{shown:?}"
    );
    assert!(
        shown.contains(&"engine.1.last-change Count(2)".to_owned()),
        "{shown:?}"
    );
    agent.set_value(Oid::from(oid::POWER), Value::Integer(2));
    agent.set_value(oid::of(oid::INTERFACE_STATE, 1), Value::Integer(2));
    assert_eq!(opened.device().health().await.unwrap().faults.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_are_unsupported_and_nothing_is_written() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let channel = &encryptor.channels().await.unwrap()[0];
    let id = "bc490419-7d60-487f-adc1-4ddcc177c139".parse().unwrap();
    let key = Key::new(id, Zeroizing::new(vec![1; 32]));
    let error = encryptor.stage(channel, &key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = encryptor.zeroize(channel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(agent.accepted_sets(), []);
    agent.remove(&oid::of(oid::ENGINE_STATE, 1));
    assert_eq!(open(&agent).await.unwrap_err().kind(), ErrorKind::NotReady);
}
