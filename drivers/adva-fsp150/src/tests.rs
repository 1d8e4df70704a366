//! The driver against a scripted agent, in memory and under paused time.

use crate::{
    driver,
    proto::oid::{self, Flow},
};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    credentials::{CredentialEntry, Credentials},
    link::{
        scripted_agent::{Objects, ScriptedAgent},
        snmp::{ErrorStatus, Oid, Value, VarBind},
    },
};
use qkd_hal::{
    Effect, ErrorKind, EventKind, Key, Result,
    encryptor::{ChannelId, ChannelState, FailureMode},
    event::StreamItem,
};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

const FLOW: Flow = Flow { ne: 1, number: 1 };
const OTHER: Flow = Flow { ne: 1, number: 2 };
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn sa(entry: &[u32], column: u32, number: u32) -> Oid {
    oid::column(entry, column).child(&[1, 1, 1, number])
}
/// 2026-12-01, at this hour.
fn at(hour: u8) -> Value {
    Value::text([7, 234, 12, 1, hour, 0, 0, 0])
}
fn profile(number: u32) -> Value {
    Value::ObjectId(oid::of_profile(1, number))
}

/// A restarted exchange gives the flow a second SA in each direction.
fn exchange(objects: &mut Objects, bind: &VarBind) {
    if bind.oid == oid::of_flow(oid::ACTION, FLOW) {
        for entry in [oid::TX_SA, oid::RX_SA] {
            objects.insert(sa(entry, oid::SA_STATE, 1), Value::Integer(2));
            objects.insert(sa(entry, oid::SA_STATE, 2), Value::Integer(1));
            objects.insert(sa(entry, oid::SA_CREATED, 2), at(2));
        }
    }
}

/// A restarted exchange fails.
fn fail(objects: &mut Objects, bind: &VarBind) {
    if bind.oid == oid::of_flow(oid::ACTION, FLOW) {
        objects.insert(oid::of_flow(oid::FAILURES, FLOW), Value::Gauge32(5));
        objects.insert(
            oid::of_flow(oid::OPERATIONAL_STATE, FLOW),
            Value::Integer(2),
        );
    }
}

fn agent(react: fn(&mut Objects, &VarBind)) -> Arc<ScriptedAgent> {
    let mut objects: Objects = [
        (
            Oid::from([1, 3, 6, 1, 2, 1, 1, 2, 0]),
            Value::ObjectId("1.3.6.1.4.1.2544.1.12.1.1".parse().unwrap()),
        ),
        (Oid::from(oid::PASSWORD_CONTROL), Value::Integer(1)),
        (oid::of_profile(oid::PROFILE_MODE, 7), Value::Integer(1)),
        (oid::of_profile(oid::PROFILE_MODE, 8), Value::Integer(2)),
        (
            Oid::from(oid::SECURE_BLOCKING).child(&[1, 1, 1, 1, 1]),
            Value::Integer(1),
        ),
    ]
    .into();
    for (flow, number) in [(FLOW, 7), (OTHER, 8)] {
        objects.insert(oid::of_flow(oid::CIPHER, flow), Value::Integer(1));
        objects.insert(oid::of_flow(oid::ADMIN_STATE, flow), Value::Integer(1));
        objects.insert(
            oid::of_flow(oid::OPERATIONAL_STATE, flow),
            Value::Integer(1),
        );
        objects.insert(oid::of_flow(oid::FLOW_PROFILE, flow), profile(number));
        objects.insert(oid::of_flow(oid::FAILURES, flow), Value::Gauge32(4));
    }
    for entry in [oid::TX_SA, oid::RX_SA] {
        objects.insert(sa(entry, oid::SA_STATE, 1), Value::Integer(1));
        objects.insert(sa(entry, oid::SA_CREATED, 1), at(1));
    }
    ScriptedAgent::new(objects, react)
}

async fn open_with(agent: &Arc<ScriptedAgent>, query: &str) -> Result<OpenedDevice> {
    let entry = CredentialEntry::new("noc").with("officer_password", "open sesame");
    let ids = crate::ASSUMPTIONS.iter().map(|a| a.id.to_string());
    let context = OpenContext::new()
        .with_memory("device", agent.endpoint())
        .with_credentials(Credentials::from_environment().with(entry))
        .with_accepted_assumptions(ids);
    Registry::new()
        .with(driver())
        .open(&format!("adva-fsp150+mem://device?{query}"), &context)
        .await
}

async fn open(agent: &Arc<ScriptedAgent>) -> OpenedDevice {
    open_with(agent, "credentials=noc").await.unwrap()
}

fn channel() -> ChannelId {
    ChannelId("1.1".to_owned())
}

fn key() -> Key {
    let id = "bc490419-7d60-487f-adc1-4ddcc177c139".parse().unwrap();
    Key::new(id, Zeroizing::new(vec![0xab; 32]))
}

fn password() -> VarBind {
    VarBind::new(Oid::from(oid::CRYPTO_PASSWORD), Value::text("open sesame"))
}

#[tokio::test(start_paused = true)]
async fn a_roll_is_confirmed_by_new_associations_in_both_directions() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    assert_eq!(encryptor.channels().await.unwrap().len(), 2);
    let staged = encryptor.stage(&channel(), &key()).await.unwrap();
    let name = oid::of_profile(oid::PROFILE_PASSWORD, 7);
    assert_eq!(
        agent.accepted_sets(),
        [password(), VarBind::new(name, Value::text("ab".repeat(32)))]
    );
    let early = encryptor.confirm(&staged, Duration::ZERO).await.unwrap();
    assert!(!early.is_confirmed(), "{early:?}");
    encryptor.activate(&staged).await.unwrap();
    let restart = VarBind::new(oid::of_flow(oid::ACTION, FLOW), Value::Integer(2));
    assert_eq!(agent.accepted_sets(), [password(), restart]);
    let confirmation = encryptor.confirm(&staged, HALF_A_MINUTE).await.unwrap();
    assert!(confirmation.is_confirmed(), "{confirmation:?}");
    // SAs are needed in both directions.
    agent.set_value(sa(oid::RX_SA, oid::SA_STATE, 2), Value::Integer(2));
    let half = encryptor.confirm(&staged, HALF_A_MINUTE).await.unwrap();
    assert!(!half.is_confirmed(), "{half:?}");
    assert!(!format!("{staged:?}").contains("abab"));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_fails_is_not_confirmed() {
    let agent = agent(fail);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key()).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    let confirmation = encryptor.confirm(&staged, HALF_A_MINUTE).await.unwrap();
    assert!(
        confirmation.evidence().contains("different keys"),
        "{confirmation:?}"
    );
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Failed);
    assert_eq!(status.cipher.as_deref(), Some("AES-256-GCM"));
}

#[tokio::test(start_paused = true)]
async fn a_profile_of_several_flows_is_changed_only_on_request() {
    let agent = agent(exchange);
    agent.set_value(oid::of_flow(oid::FLOW_PROFILE, OTHER), profile(7));
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::NotReady, Effect::None)
    );
    assert!(error.message().contains("1.1, 1.2"), "{error}");
    assert_eq!(agent.accepted_sets(), []);
    let opened = open_with(&agent, "credentials=noc&shared-profile=change")
        .await
        .unwrap();
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key()).await.unwrap();
    assert!(staged.evidence.contains("1.1, 1.2"), "{staged:?}");
    let error = open_with(&agent, "shared-profile=yes").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn a_profile_without_a_password_takes_no_key() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    for pointer in [profile(8), Value::ObjectId(Oid::from([0, 0]))] {
        agent.set_value(oid::of_flow(oid::FLOW_PROFILE, FLOW), pointer);
        let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotReady);
    }
    assert_eq!(agent.accepted_sets(), []);
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_not_sent_again() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    agent.refuse(ErrorStatus::NoAccess);
    let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Authentication, Effect::None)
    );
    assert!(error.message().contains("not published"), "{error}");
    let _ = agent.accepted_sets();
    let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(agent.accepted_sets(), []);
    // A device that demands no password gets none.
    agent.set_value(Oid::from(oid::PASSWORD_CONTROL), Value::Integer(2));
    encryptor.stage(&channel(), &key()).await.unwrap();
    assert_eq!(agent.accepted_sets().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn counters_are_the_largest_of_their_intervals_summed_over_channels() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    for (sc, interval, packets) in [(1, 1, 5), (1, 3, 100), (2, 1, 7)] {
        let name = oid::column(oid::TX_SC_STATS, oid::TX_ENCRYPTED).child(&[1, 1, sc, interval]);
        agent.set_value(name, Value::Counter64(packets));
    }
    let other = oid::column(oid::TX_SC_STATS, oid::TX_ENCRYPTED).child(&[1, 2, 1, 1]);
    agent.set_value(other, Value::Counter64(1_000_000));
    let counters = encryptor.counters(&channel()).await.unwrap();
    assert_eq!((counters.encrypted, counters.clear), (Some(107), None));
}

#[tokio::test(start_paused = true)]
async fn the_failure_mode_is_known_only_if_all_flows_block() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    let mode = async || encryptor.channel(&channel()).await.unwrap().failure_mode;
    assert_eq!(mode().await, FailureMode::Block);
    let second = Oid::from(oid::SECURE_BLOCKING).child(&[1, 1, 1, 1, 2]);
    agent.set_value(second, Value::Integer(2));
    assert_eq!(mode().await, FailureMode::Unknown);
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_secure_state_are_events() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let mut events = opened.device().events();
    let bind = VarBind::new(
        Oid::from(oid::SECURE_STATE).child(&[1, 1]),
        Value::Integer(4),
    );
    agent.notify(Oid::from(oid::STATE_CHANGE), vec![bind]);
    let StreamItem::Event(event) = events.next().await.unwrap() else {
        panic!("an event was lost");
    };
    let EventKind::StateChanged { subject, state } = &event.kind else {
        panic!("{event:?}");
    };
    assert_eq!(
        (subject.as_str(), state.as_str()),
        ("flow 1.1", "unsecureBlocked")
    );
}
