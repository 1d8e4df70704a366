//! The driver against a scripted agent, in memory and under paused time.

use crate::{
    driver,
    proto::oid::{self, Row},
};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        scripted_agent::{Objects, ScriptedAgent},
        snmp::{ErrorStatus, Oid, Value, VarBind},
    },
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, Key, Result,
    encryptor::{Activation, ChannelState, FailureMode},
};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

const ROW: Row = Row { port: 48, key: 0 };
const HOUR: Duration = Duration::from_secs(3600);
/// Hundredths of a second.
const HOUR_TICKS: u32 = 360_000;

fn key_column(column: u32) -> Oid {
    oid::of(oid::KEY, column, ROW)
}
fn peer() -> Oid {
    oid::of(oid::PORT, oid::PEER_AUTHENTICATION, ROW)
}
fn mode() -> Oid {
    oid::of(oid::REAUTHENTICATION, oid::FAILURE_MODE, ROW)
}

/// The agent shows another fingerprint for each key.
fn fingerprint(objects: &mut Objects, bind: &VarBind) {
    if bind.oid == key_column(oid::KEY_VALUE) {
        let Value::OctetString(digits) = &bind.value else {
            return;
        };
        let status = if digits.is_empty() { 2 } else { 1 };
        objects.insert(key_column(oid::KEY_STATUS), Value::Integer(status));
        let sum = digits
            .iter()
            .fold(0u32, |n, b| n.wrapping_mul(31).wrapping_add(u32::from(*b)));
        let text = Value::text(format!("{sum:08x}"));
        objects.insert(key_column(oid::KEY_FINGERPRINT), text);
    }
}

fn agent(react: fn(&mut Objects, &VarBind)) -> Arc<ScriptedAgent> {
    let objects = [
        (
            Oid::from([1, 3, 6, 1, 2, 1, 1, 2, 0]),
            Value::ObjectId("1.3.6.1.4.1.1271.3".parse().unwrap()),
        ),
        (Oid::from(oid::UPTIME), Value::TimeTicks(1000)),
        (Oid::from(oid::SERIAL), Value::text("M1234")),
        (
            Oid::from(oid::CHASSIS).child(&[oid::FEATURE, 0]),
            Value::Integer(2),
        ),
        (key_column(oid::KEY_STATUS), Value::Integer(1)),
        (key_column(oid::KEY_FINGERPRINT), Value::text("00000000")),
        (key_column(oid::KEY_DESCRIPTION), Value::text("")),
        (peer(), Value::Integer(1)),
        (
            oid::of(oid::REAUTHENTICATION, oid::PERIOD, ROW),
            Value::Gauge32(1),
        ),
        (mode(), Value::Integer(1)),
    ];
    ScriptedAgent::new(objects.into(), react)
}

async fn open(agent: &Arc<ScriptedAgent>) -> Result<OpenedDevice> {
    let ids = crate::ASSUMPTIONS.iter().map(|a| a.id.to_string());
    let context = OpenContext::new()
        .with_memory("device", agent.endpoint())
        .with_accepted_assumptions(ids);
    Registry::new()
        .with(driver())
        .open("ciena-waveserver+mem://device", &context)
        .await
}

fn key(byte: u8, size: usize) -> Key {
    let id = "bc490419-7d60-487f-adc1-4ddcc177c139".parse().unwrap();
    Key::new(id, Zeroizing::new(vec![byte; size]))
}

#[tokio::test(start_paused = true)]
async fn a_key_is_confirmed_when_one_period_has_passed_on_the_clock_of_the_device() {
    let agent = agent(fingerprint);
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let longest = Some(HOUR);
    let declared = encryptor.encryptor_capabilities();
    assert_eq!(declared.activation, Activation::NextExchange { longest });
    let channel = &encryptor.channels().await.unwrap()[0];
    assert_eq!(channel.0, "48");
    let staged = encryptor.stage(channel, &key(0xab, 32)).await.unwrap();
    assert_eq!(
        agent.accepted_sets(),
        [
            VarBind::new(key_column(oid::KEY_VALUE), Value::text("ab".repeat(32))),
            VarBind::new(
                key_column(oid::KEY_DESCRIPTION),
                Value::text("bc490419-7d60-487f-adc1-4ddcc177c139")
            ),
        ]
    );
    assert!(!format!("{staged:?}").contains("abab"));
    // Peer authentication is that of the key before, as long as the period has not passed.
    let early = encryptor.confirm(&staged, Duration::ZERO).await.unwrap();
    assert!(!early.is_confirmed(), "{early:?}");
    let waiting = tokio::spawn({
        let (encryptor, staged) = (opened.encryptor().unwrap(), staged.clone());
        async move { encryptor.confirm(&staged, 2 * HOUR).await.unwrap() }
    });
    tokio::time::sleep(HOUR / 2).await;
    agent.set_value(Oid::from(oid::UPTIME), Value::TimeTicks(3001 + HOUR_TICKS));
    let confirmation = waiting.await.unwrap();
    assert!(confirmation.is_confirmed(), "{confirmation:?}");
    agent.set_value(key_column(oid::KEY_FINGERPRINT), Value::text("ffffffff"));
    let other = encryptor.confirm(&staged, 2 * HOUR).await.unwrap();
    assert!(!other.is_confirmed() && other.evidence().contains("another key"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_authentication_is_not_confirmed() {
    let agent = agent(fingerprint);
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let channel = &encryptor.channels().await.unwrap()[0];
    let staged = encryptor.stage(channel, &key(1, 16)).await.unwrap();
    agent.set_value(Oid::from(oid::UPTIME), Value::TimeTicks(3001 + HOUR_TICKS));
    agent.set_value(peer(), Value::Integer(2));
    let confirmation = encryptor.confirm(&staged, HOUR).await.unwrap();
    assert!(!confirmation.is_confirmed());
    assert!(
        confirmation.evidence().contains("different keys"),
        "{confirmation:?}"
    );
    let status = encryptor.channel(channel).await.unwrap();
    assert_eq!(status.state, ChannelState::Failed);
    // A restart of the device is an authentication, too.
    agent.set_value(Oid::from(oid::UPTIME), Value::TimeTicks(3));
    agent.set_value(peer(), Value::Integer(1));
    let confirmation = encryptor.confirm(&staged, HOUR).await.unwrap();
    assert!(confirmation.is_confirmed(), "{confirmation:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_does_not_show_is_reported_and_one_may_be_staged_again() {
    let without = agent(|_, _| {});
    let opened = open(&without).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let channel = &encryptor.channels().await.unwrap()[0];
    let error = encryptor.stage(channel, &key(1, 16)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            Effect::Unknown
        )
    );
    let agent = agent(fingerprint);
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    encryptor.stage(channel, &key(1, 16)).await.unwrap();
    encryptor.stage(channel, &key(1, 16)).await.unwrap();
    agent.refuse(ErrorStatus::WrongLength);
    let error = encryptor.stage(channel, &key(2, 16)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Refused, Effect::None)
    );
}

#[tokio::test(start_paused = true)]
async fn sizes_are_checked_and_the_failure_mode_is_read_and_never_written() {
    let agent = agent(fingerprint);
    let opened = open(&agent).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let channel = &encryptor.channels().await.unwrap()[0];
    for size in [15, 257] {
        let error = encryptor.stage(channel, &key(1, size)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{size}");
    }
    for size in [16, 256] {
        encryptor.stage(channel, &key(1, size)).await.unwrap();
    }
    let failure_mode = async || encryptor.channel(channel).await.unwrap().failure_mode;
    assert_eq!(failure_mode().await, FailureMode::Block);
    agent.set_value(mode(), Value::Integer(2));
    assert_eq!(failure_mode().await, FailureMode::AllowClear);
    encryptor.zeroize(channel).await.unwrap();
    let status = encryptor.channel(channel).await.unwrap();
    assert_eq!(status.state, ChannelState::Initialising);
    assert!(agent.accepted_sets().iter().all(|bind| bind.oid != mode()));
    let error = encryptor.channel(&"49".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
