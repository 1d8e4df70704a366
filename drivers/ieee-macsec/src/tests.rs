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
    ErrorKind, KeyId, Result,
    device::HealthState,
    encryptor::{ChannelId, ChannelState, Staged},
};
use std::{sync::Arc, time::Duration};

const PORT: u32 = 9;
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn ckn(byte: u8) -> KeyId {
    KeyId::from_bytes(&[byte; 16]).unwrap()
}
fn principal(byte: u8) -> Oid {
    oid::of_participant(oid::PART_PRINCIPAL, PORT, &ckn(byte))
}
fn port(column: u32) -> Oid {
    oid::of_port(column, PORT)
}

fn agent() -> Arc<ScriptedAgent> {
    let objects = [
        (
            Oid::from([1, 3, 6, 1, 2, 1, 1, 2, 0]),
            Value::ObjectId("1.3.6.1.4.1.99999.1".parse().unwrap()),
        ),
        (port(oid::ACTIVE), Value::Integer(1)),
        (port(oid::AUTHENTICATED), Value::Integer(2)),
        (port(oid::SECURED), Value::Integer(1)),
        (port(oid::FAILED), Value::Integer(2)),
        (port(oid::TX_KN), Value::Gauge32(3)),
        (principal(1), Value::Integer(1)),
        (principal(2), Value::Integer(2)),
        (
            Oid::from(oid::TX_ENCRYPTED).child(&[PORT]),
            Value::Counter64(1_000),
        ),
        (
            Oid::from(oid::RX_OK).child(&[PORT, 1, 2, 3, 4, 5, 6, 0, 1]),
            Value::Counter64(70),
        ),
        (
            Oid::from(oid::RX_OK).child(&[PORT, 1, 2, 3, 4, 5, 6, 0, 2]),
            Value::Counter64(7),
        ),
    ];
    ScriptedAgent::new(objects.into(), |_, _| {})
}

async fn open(agent: &Arc<ScriptedAgent>) -> Result<OpenedDevice> {
    let ids = crate::ASSUMPTIONS.iter().map(|a| a.id.to_string());
    let context = OpenContext::new()
        .with_memory("device", agent.endpoint())
        .with_accepted_assumptions(ids);
    let registry = Registry::new().with(driver());
    registry.open("ieee-macsec+mem://device", &context).await
}

fn channel() -> ChannelId {
    ChannelId(PORT.to_string())
}

#[tokio::test(start_paused = true)]
async fn the_principal_participant_of_a_secured_port_is_confirmed() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let confirm = async |byte: u8| {
        let staged = Staged::new(channel(), ckn(byte), None, "");
        let confirmation = encryptor.confirm(&staged, HALF_A_MINUTE).await.unwrap();
        (
            confirmation.is_confirmed(),
            confirmation.evidence().to_owned(),
        )
    };
    assert!(confirm(1).await.0);
    let rival = confirm(2).await;
    assert!(
        !rival.0 && rival.1.contains("not the principal"),
        "{rival:?}"
    );
    let absent = confirm(3).await;
    assert!(
        !absent.0 && absent.1.contains("no participant"),
        "{absent:?}"
    );
    agent.set_value(port(oid::SECURED), Value::Integer(2));
    let pending = confirm(1).await;
    assert!(!pending.0 && pending.1.contains("pending"), "{pending:?}");
}

#[tokio::test(start_paused = true)]
async fn a_channel_shows_its_participants_and_its_state() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    assert_eq!(encryptor.channels().await.unwrap(), [channel()]);
    let status = encryptor.channel(&channel()).await.unwrap();
    let slots: Vec<_> = status
        .slots
        .iter()
        .map(|s| (s.key_id.clone(), s.active))
        .collect();
    assert_eq!(slots, [(Some(ckn(1)), true), (Some(ckn(2)), false)]);
    assert_eq!(encryptor.health().await.unwrap().state, HealthState::Ok);
    for (column, value, state) in [
        (oid::SECURED, 2, ChannelState::Exchanging),
        (oid::AUTHENTICATED, 1, ChannelState::Disabled),
        (oid::FAILED, 1, ChannelState::Failed),
    ] {
        agent.set_value(port(column), Value::Integer(value));
        let status = encryptor.channel(&channel()).await.unwrap();
        assert_eq!(status.state, state);
        assert_eq!(
            encryptor.health().await.unwrap().state,
            HealthState::Degraded
        );
    }
    agent.set_value(port(oid::FAILED), Value::Integer(2));
    agent.set_value(port(oid::ACTIVE), Value::Integer(2));
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Disabled);
    assert_eq!(encryptor.health().await.unwrap().state, HealthState::Ok);
}

#[tokio::test(start_paused = true)]
async fn counters_are_those_of_the_controlled_port() {
    let agent = agent();
    for (column, value) in [(oid::TX_ENCRYPTED, 500), (oid::TX_UNTAGGED, 2)] {
        let name = Oid::from(column).child(&[100 + PORT]);
        agent.set_value(name, Value::Counter64(value));
    }
    let controlled = Oid::from(oid::CONTROLLED_PORT).child(&[PORT]);
    agent.set_value(controlled.clone(), Value::Integer(100 + PORT as i32));
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let counters = encryptor.counters(&channel()).await.unwrap();
    assert_eq!((counters.encrypted, counters.clear), (Some(500), Some(2)));
    assert_eq!(counters.accepted, None);
    agent.set_value(controlled, Value::Integer(0));
    encryptor.counters(&channel()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn without_it_counters_are_those_of_the_port() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let counters = opened
        .encryptor()
        .unwrap()
        .counters(&channel())
        .await
        .unwrap();
    assert_eq!(
        (counters.encrypted, counters.accepted, counters.refused),
        (Some(1_000), Some(77), None)
    );
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_the_mib_is_refused() {
    let agent = agent();
    agent.remove(&port(oid::ACTIVE));
    let error = open(&agent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdentityChanged);
}
