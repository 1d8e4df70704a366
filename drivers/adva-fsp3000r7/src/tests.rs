//! The driver against a scripted agent, in memory and under paused time.

use crate::{driver, proto::oid};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    credentials::{CredentialEntry, Credentials},
    link::{
        scripted_agent::{Objects, ScriptedAgent},
        snmp::{ErrorStatus, Oid, Value, VarBind},
    },
};
use qkd_hal::{
    Effect, ErrorKind, EventKind, Key, KeyId, Result,
    device::HealthState,
    encryptor::{ChannelId, ChannelState, Staged},
    event::StreamItem,
};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

const ROW: u32 = 268_503_362;
const MODULE: u32 = 33_619_968;
const HALF_A_MINUTE: Duration = Duration::from_secs(30);
/// 2026-12-01 02:00:00.0 and the second after it.
const BEFORE: [u8; 8] = [7, 234, 12, 1, 2, 0, 0, 0];
const AFTER: [u8; 8] = [7, 234, 12, 1, 2, 0, 1, 0];

fn config(column: u32) -> Oid {
    oid::of(oid::PORT_CONFIG, column, ROW)
}
fn status(column: u32) -> Oid {
    oid::of(oid::PORT_STATUS, column, ROW)
}
fn module(column: u32) -> Oid {
    oid::of(oid::MODULE_STATUS, column, MODULE)
}

/// A forced exchange succeeds at once.
fn exchange(objects: &mut Objects, bind: &VarBind) {
    if bind.oid == config(oid::FORCE_EXCHANGE) {
        objects.insert(status(oid::LAST_GOOD), Value::text(AFTER));
        objects.insert(status(oid::FAILURES), Value::Gauge32(0));
    }
}

/// A forced exchange fails.
fn fail(objects: &mut Objects, bind: &VarBind) {
    if bind.oid == config(oid::FORCE_EXCHANGE) {
        objects.insert(status(oid::LAST_BAD), Value::text(AFTER));
        objects.insert(status(oid::FAILURES), Value::Gauge32(3));
    }
}

fn agent(react: fn(&mut Objects, &VarBind)) -> Arc<ScriptedAgent> {
    let objects = [
        (
            Oid::from([1, 3, 6, 1, 2, 1, 1, 2, 0]),
            Value::ObjectId("1.3.6.1.4.1.2544.1.11.1.1".parse().unwrap()),
        ),
        (
            Oid::from([1, 3, 6, 1, 2, 1, 1, 1, 0]),
            Value::text("FSP 3000R7"),
        ),
        (Oid::from(oid::PASSWORD_ERROR), Value::Integer(1)),
        (Oid::from(oid::PASSWORD_REQUEST), Value::Gauge32(0)),
        (module(oid::FAILED_LOGINS), Value::Gauge32(0)),
        (config(oid::LIFE_TIME), Value::Integer(2)),
        (config(oid::ENCRYPTION_OFF), Value::Integer(1)),
        (config(oid::FORCE_EXCHANGE), Value::Integer(1)),
        (status(oid::FAILURES), Value::Gauge32(0)),
        (status(oid::LAST_GOOD), Value::text(BEFORE)),
        (status(oid::LAST_BAD), Value::text([0; 8])),
        (status(oid::REMAINING), Value::Gauge32(3600)),
        (
            oid::of(oid::CURRENT_15_MIN, oid::RUN_SECONDS, ROW),
            Value::Gauge32(7),
        ),
    ];
    let agent = ScriptedAgent::new(objects.into(), react);
    agent.report_request_id(Oid::from(oid::PASSWORD_REQUEST));
    agent
}

async fn open_with(agent: &Arc<ScriptedAgent>, entry: CredentialEntry) -> Result<OpenedDevice> {
    let ids = crate::ASSUMPTIONS.iter().map(|a| a.id.to_string());
    let context = OpenContext::new()
        .with_memory("device", agent.endpoint())
        .with_credentials(Credentials::from_environment().with(entry))
        .with_accepted_assumptions(ids);
    Registry::new()
        .with(driver())
        .open("adva-fsp3000r7+mem://device?credentials=noc", &context)
        .await
}

async fn open(agent: &Arc<ScriptedAgent>) -> OpenedDevice {
    let entry = CredentialEntry::new("noc").with("officer_password", "open sesame");
    open_with(agent, entry).await.unwrap()
}

fn channel() -> ChannelId {
    ChannelId(ROW.to_string())
}

fn key() -> Key {
    let id = "bc490419-7d60-487f-adc1-4ddcc177c139".parse().unwrap();
    Key::new(id, Zeroizing::new(vec![0xab; 32]))
}

#[tokio::test(start_paused = true)]
async fn a_roll_sends_the_password_first_and_clears_the_condition() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    assert_eq!(encryptor.channels().await.unwrap(), [channel()]);
    let staged = encryptor.stage(&channel(), &key()).await.unwrap();
    let password = || VarBind::new(Oid::from(oid::OFFICER_PASSWORD), Value::text("open sesame"));
    assert_eq!(
        agent.accepted_sets(),
        [
            password(),
            VarBind::new(config(oid::AUTH_KEY), Value::text("ab".repeat(32))),
        ]
    );
    let confirmation = encryptor.confirm(&staged, Duration::ZERO).await.unwrap();
    assert!(!confirmation.is_confirmed(), "{confirmation:?}");
    encryptor.activate(&staged).await.unwrap();
    assert_eq!(
        agent.accepted_sets(),
        [
            password(),
            VarBind::new(config(oid::FORCE_EXCHANGE), Value::Integer(2)),
            password(),
            VarBind::new(config(oid::CLEAR_FORCED), Value::Integer(2)),
        ]
    );
    let confirmation = encryptor.confirm(&staged, HALF_A_MINUTE).await.unwrap();
    assert!(confirmation.is_confirmed(), "{confirmation:?}");
    assert!(!format!("{staged:?} {confirmation:?}").contains("abab"));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_fails_is_not_confirmed() {
    let agent = agent(fail);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key()).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    let confirmation = encryptor.confirm(&staged, HALF_A_MINUTE).await.unwrap();
    assert!(!confirmation.is_confirmed());
    assert!(
        confirmation.evidence().contains("different keys"),
        "{confirmation:?}"
    );
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Failed);
    let health = encryptor.health().await.unwrap();
    assert_eq!(health.state, HealthState::Degraded);
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_not_sent_again() {
    // Over a result, and over an error-status: which one a device sends is not published.
    for refuses in [false, true] {
        let agent = agent(exchange);
        let opened = open(&agent).await;
        let encryptor = opened.encryptor().unwrap();
        agent.set_value(Oid::from(oid::PASSWORD_ERROR), Value::Integer(2));
        if refuses {
            agent.refuse(ErrorStatus::AuthorizationError);
        }
        let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::Authentication, Effect::None)
        );
        assert!(error.message().contains("after 3 wrong ones"), "{error}");
        assert!(!format!("{error:?}").contains("sesame"));
        let _ = agent.accepted_sets();
        let again = encryptor.stage(&channel(), &key()).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Authentication);
        assert_eq!(agent.accepted_sets(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_when_one_more_wrong_password_would_lock_the_input() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    agent.set_value(module(oid::FAILED_LOGINS), Value::Gauge32(2));
    let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.message().contains("2 of 3"), "{error}");
    assert_eq!(agent.accepted_sets(), []);
    // 4294967295 is undefined.
    agent.set_value(module(oid::FAILED_LOGINS), Value::Gauge32(u32::MAX));
    encryptor.stage(&channel(), &key()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_the_password_the_device_is_read_only() {
    let agent = agent(exchange);
    let opened = open_with(&agent, CredentialEntry::new("noc").with("user", "noc"))
        .await
        .unwrap();
    let encryptor = opened.encryptor().unwrap();
    encryptor.channel(&channel()).await.unwrap();
    encryptor.telemetry().await.unwrap();
    let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.message().contains("officer_password"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_result_of_another_request_is_not_taken() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    // The device shows the request of another manager.
    agent.report_request_id(Oid::from([1, 3]));
    agent.set_value(
        Oid::from(oid::PASSWORD_REQUEST),
        Value::Gauge32(4_000_000_000),
    );
    let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Timeout, Effect::Unknown)
    );
    // The device has not checked the password yet.
    agent.report_request_id(Oid::from(oid::PASSWORD_REQUEST));
    agent.set_value(Oid::from(oid::PASSWORD_ERROR), Value::Integer(7));
    let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    agent.set_value(Oid::from(oid::PASSWORD_ERROR), Value::Integer(5));
    let error = encryptor.stage(&channel(), &key()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.vendor_code()),
        (ErrorKind::Refused, Some("passwdTooSimple"))
    );
}

#[tokio::test(start_paused = true)]
async fn encryption_is_switched_off_in_two_steps_where_the_device_permits_it() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    agent.set_value(status(oid::OFF_CAPABILITY), Value::Integer(2));
    let error = encryptor
        .set_encryption(&channel(), false)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(agent.accepted_sets(), []);
    agent.set_value(status(oid::OFF_CAPABILITY), Value::Integer(1));
    encryptor.set_encryption(&channel(), false).await.unwrap();
    let changes = |agent: &ScriptedAgent| -> Vec<(Oid, Value)> {
        let sets = agent.accepted_sets().into_iter().skip(1).step_by(2);
        sets.map(|bind| (bind.oid, bind.value)).collect()
    };
    assert_eq!(
        changes(&agent),
        [
            (config(oid::OFF_STATE), Value::Integer(1)),
            (config(oid::ENCRYPTION_OFF), Value::Integer(2)),
        ]
    );
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Disabled);
    encryptor.set_encryption(&channel(), true).await.unwrap();
    assert_eq!(
        changes(&agent),
        [
            (config(oid::ENCRYPTION_OFF), Value::Integer(1)),
            (config(oid::OFF_STATE), Value::Integer(2)),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_not_staged_last_is_not_activated() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key()).await.unwrap();
    let _ = agent.accepted_sets();
    let other: KeyId = "6c1bd1a5-0a51-4bfb-9ff1-4f3b4f8f6a10".parse().unwrap();
    for never in [
        Staged::new(channel(), other.clone(), None, ""),
        Staged::new(channel(), other, None, "").with_baseline(staged.baseline.clone()),
    ] {
        let error = encryptor.activate(&never).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotReady);
    }
    assert_eq!(agent.accepted_sets(), []);
    // Another process finishes the roll.
    let later = open(&agent).await;
    let later = later.encryptor().unwrap();
    later.activate(&staged).await.unwrap();
    let confirmation = later.confirm(&staged, HALF_A_MINUTE).await.unwrap();
    assert!(confirmation.is_confirmed(), "{confirmation:?}");
    assert!(confirmation.outage().is_some());
}

#[tokio::test(start_paused = true)]
async fn conditions_are_events() {
    let agent = agent(exchange);
    let opened = open(&agent).await;
    let mut events = opened.device().events();
    let entity = VarBind::new(
        Oid::from(oid::EVENT_ENTITY).child(&[1]),
        Value::text("PORT-1-2-N"),
    );
    agent.notify(Oid::from(oid::TRAPS).child(&[150]), vec![entity]);
    let StreamItem::Event(event) = events.next().await.unwrap() else {
        panic!("an event was lost");
    };
    let EventKind::Alarm { code, subject, .. } = &event.kind else {
        panic!("{event:?}");
    };
    assert_eq!(
        (code.as_str(), subject.as_deref()),
        ("150", Some("PORT-1-2-N"))
    );
}

#[tokio::test(start_paused = true)]
async fn another_make_and_a_device_without_ports_are_refused() {
    let agent = agent(exchange);
    agent.remove(&config(oid::LIFE_TIME));
    let entry = || CredentialEntry::new("noc");
    let error = open_with(&agent, entry()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    agent.set_value(
        Oid::from([1, 3, 6, 1, 2, 1, 1, 2, 0]),
        Value::ObjectId("1.3.6.1.4.1.2544.1.12.1".parse().unwrap()),
    );
    let error = open_with(&agent, entry()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdentityChanged);
}
