//! The driver against a scripted agent, in memory and under paused time.

use crate::{driver, proto::oid};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        scripted_agent::ScriptedAgent,
        snmp::{Oid, Value, VarBind},
    },
};
use qkd_hal::{
    ErrorKind, Key, Result,
    device::HealthState,
    encryptor::{Activation, ChannelId, ChannelState, FailureMode},
};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

const ROW: u32 = 7;
const HOUR: Duration = Duration::from_secs(3600);

fn peer(column: u32) -> Oid {
    oid::of(oid::PEER, column, ROW)
}
fn plane(column: u32) -> Oid {
    oid::of(oid::PLANE, column, ROW)
}
/// 2026-12-01, at this hour.
fn at(hour: u8) -> Value {
    Value::text([7, 234, 12, 1, hour, 0, 0, 0])
}

fn agent() -> Arc<ScriptedAgent> {
    let mut objects = vec![
        (
            Oid::from([1, 3, 6, 1, 2, 1, 1, 2, 0]),
            Value::ObjectId("1.3.6.1.4.1.8708.1.1".parse().unwrap()),
        ),
        (
            oid::of(oid::AUTH, oid::REAUTH_INTERVAL, 1),
            Value::Gauge32(24),
        ),
        (peer(oid::PEER_NAME), Value::text("ikePeer:1:2:3")),
        (peer(oid::PEER_STATUS), Value::Integer(3)),
        (peer(oid::PEER_LAST_REAUTH), at(1)),
        (peer(oid::PEER_AUTH_FAILURE), Value::Integer(1)),
        (plane(oid::PLANE_NAME), Value::text("dpEncr:1:2:9")),
        (plane(oid::PLANE_PEER), Value::Integer(3)),
        (plane(oid::PLANE_REKEY_INTERVAL), Value::Gauge32(300)),
        (plane(oid::PLANE_FAILURE_POLICY), Value::Integer(2)),
        (plane(oid::PLANE_KILL_OFFSET), Value::Gauge32(900)),
        (plane(oid::PLANE_MODE), Value::Integer(2)),
        (plane(oid::PLANE_LAST_REKEY_TX), at(1)),
        (plane(oid::PLANE_LAST_REKEY_RX), at(1)),
    ];
    // A data plane of another board.
    let others: Vec<_> = objects
        .iter()
        .filter(|(name, _)| name.suffix_of(&Oid::from(oid::PLANE)).is_some())
        .map(|(name, value)| {
            let ids = name.sub_identifiers();
            let name = Oid::from(&ids[..ids.len() - 1]).child(&[ROW + 1]);
            (name, value.clone())
        })
        .collect();
    objects.extend(others);
    let other = oid::of(oid::PLANE, oid::PLANE_NAME, ROW + 1);
    objects.push((other, Value::text("dpEncr:1:4:9")));
    ScriptedAgent::new(objects.into_iter().collect(), |_, _| {})
}

async fn open(agent: &Arc<ScriptedAgent>) -> Result<OpenedDevice> {
    let ids = crate::ASSUMPTIONS.iter().map(|a| a.id.to_string());
    let context = OpenContext::new()
        .with_memory("device", agent.endpoint())
        .with_accepted_assumptions(ids);
    Registry::new()
        .with(driver())
        .open("infinera-xtm+mem://device", &context)
        .await
}

fn channel() -> ChannelId {
    ChannelId("ikePeer:1:2:3".to_owned())
}

fn key(size: usize) -> Key {
    let id = "bc490419-7d60-487f-adc1-4ddcc177c139".parse().unwrap();
    Key::new(id, Zeroizing::new(vec![0xab; size]))
}

#[tokio::test(start_paused = true)]
async fn a_key_is_confirmed_by_an_authentication_and_traffic_keys_after_it() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let longest = Some(24 * HOUR + Duration::from_secs(300));
    let declared = encryptor.encryptor_capabilities();
    assert_eq!(declared.activation, Activation::NextExchange { longest });
    assert_eq!(encryptor.channels().await.unwrap(), [channel()]);
    let staged = encryptor.stage(&channel(), &key(32)).await.unwrap();
    let sent = VarBind::new(peer(oid::PEER_PSK), Value::text("ab".repeat(32)));
    assert_eq!(agent.accepted_sets(), [sent]);
    let confirm = async || encryptor.confirm(&staged, HOUR).await.unwrap();
    assert!(
        confirm()
            .await
            .evidence()
            .contains("not authenticated anew")
    );
    agent.set_value(peer(oid::PEER_LAST_REAUTH), at(2));
    assert!(confirm().await.evidence().contains("no traffic keys since"));
    agent.set_value(plane(oid::PLANE_LAST_REKEY_TX), at(2));
    assert!(!confirm().await.is_confirmed());
    agent.set_value(plane(oid::PLANE_LAST_REKEY_RX), at(3));
    let confirmation = confirm().await;
    assert!(confirmation.is_confirmed(), "{confirmation:?}");
    assert!(confirmation.evidence().contains("dpEncr:1:2:9"));
    assert!(!confirmation.evidence().contains("dpEncr:1:4:9"));
    agent.set_value(plane(oid::PLANE_MODE), Value::Integer(1));
    assert!(confirm().await.evidence().contains("in clear"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_authentication_is_not_confirmed() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(64)).await.unwrap();
    agent.set_value(peer(oid::PEER_AUTH_FAILURE), Value::Integer(2));
    let confirmation = encryptor.confirm(&staged, HOUR).await.unwrap();
    assert!(
        confirmation.evidence().contains("different keys"),
        "{confirmation:?}"
    );
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Failed);
    let health = encryptor.health().await.unwrap();
    assert_eq!(health.state, HealthState::Degraded);
    assert!(health.faults[0].contains("AuthenticationFailure"));
}

#[tokio::test(start_paused = true)]
async fn the_failure_mode_is_that_of_the_data_planes_of_the_peer() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let mode = async || encryptor.channel(&channel()).await.unwrap().failure_mode;
    let other = oid::of(oid::PLANE, oid::PLANE_FAILURE_POLICY, ROW + 1);
    agent.set_value(other, Value::Integer(1));
    assert_eq!(mode().await, FailureMode::Block);
    agent.set_value(plane(oid::PLANE_FAILURE_POLICY), Value::Integer(1));
    assert_eq!(mode().await, FailureMode::Unknown);
}

#[tokio::test(start_paused = true)]
async fn encryption_is_switched_for_the_data_planes_of_the_peer_only() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    encryptor.set_encryption(&channel(), false).await.unwrap();
    let sent = VarBind::new(plane(oid::PLANE_MODE), Value::Integer(1));
    assert_eq!(agent.accepted_sets(), [sent]);
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Disabled);
}

#[tokio::test(start_paused = true)]
async fn sizes_and_names_are_checked() {
    let agent = agent();
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    for size in [31, 65] {
        let error = encryptor.stage(&channel(), &key(size)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{size}");
    }
    let error = encryptor.channel(&"7".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let twin = oid::of(oid::PEER, oid::PEER_NAME, ROW + 1);
    agent.set_value(twin, Value::text("ikePeer:1:2:3"));
    let error = encryptor.channel(&channel()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misbehaved(_)));
    agent.remove(&peer(oid::PEER_NAME));
    agent.remove(&oid::of(oid::PEER, oid::PEER_NAME, ROW + 1));
    let error = open(&agent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
}
