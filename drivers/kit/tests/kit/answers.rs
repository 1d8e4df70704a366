//! A device that is reached by requests: answers that cannot be those to the request, and calls
//! that end early.

use async_trait::async_trait;
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{
    Capabilities, Descriptor, DeviceKind, DeviceMisbehaved, Effect, ErrorKind, EventStream,
    Identity, Key, Maturity, Operation, Outcome, Request, Result,
    encryptor::{
        ChannelState, ChannelStatus, Confirmation, EncryptorCapabilities, KeyForm, KeyIdForm,
        KeyRole, KeySizes, Staged,
    },
    optics::{
        Geometry, MonitorStatus, Port, PortState, PortStatus, PowerMeterCapabilities,
        SwitchCapabilities,
        protection::{
            PathStatus, ProtectionCapabilities, ProtectionStatus, SelectionMode, SwitchRequest,
        },
    },
    reading::Measured,
    request::Caller,
    units::{Bits, DecibelMilliwatts},
};
use serde_json::json;
use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// The time that the peer needs to close the device.
const CLOSING: Duration = Duration::from_secs(10);

/// Gives one prepared outcome, and counts the calls of `close` that ended.
#[derive(Default)]
struct Peer {
    outcome: Mutex<Option<Outcome>>,
    closed: AtomicUsize,
}

#[async_trait]
impl Caller for Peer {
    async fn call(&self, _: &Request<'_>) -> Result<Outcome> {
        Ok(self.outcome.lock().unwrap().take().unwrap())
    }
    fn events(&self) -> EventStream {
        EventStream::ended()
    }
    async fn close(&self) -> Result<()> {
        sleep(CLOSING).await;
        self.closed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A device that declares all operations, and its peer.
fn open() -> (OpenedDevice, Arc<Peer>) {
    let kinds = [
        DeviceKind::Encryptor,
        DeviceKind::OpticalSwitch,
        DeviceKind::PowerMeter,
        DeviceKind::ProtectionSwitch,
    ];
    let descriptor = Descriptor::new("fake", "fake+mem://x", Maturity::Emulated);
    let form = KeyForm::new(
        KeyRole::Psk,
        KeySizes::AnyUpTo(Bits(256)),
        KeyIdForm::Bytes { least: 1, most: 32 },
    );
    let declarations = json!({
        "descriptor": descriptor.with_kinds(&kinds),
        "capabilities": Capabilities::none().with(Operation::ALL),
        "parameters": [],
        "module": null,
        "encryptor": EncryptorCapabilities::two_slot(2, true, form),
        "random": null,
        "switch": SwitchCapabilities::new(Geometry::matrix(2, 2)),
        "protection": ProtectionCapabilities::default(),
        "meter": PowerMeterCapabilities::for_ports([Port(1), Port(2)]),
        "attenuator": null,
    });
    let declarations = serde_json::from_value(declarations).unwrap();
    let peer = Arc::new(Peer::default());
    let opened = OpenedDevice::from_caller(&declarations, Arc::clone(&peer) as _);
    (opened, peer)
}

fn key(n: u8) -> Key {
    let id = format!("{n:02x}").parse().unwrap();
    Key::new(id, vec![n; 32].into())
}

fn staged(channel: &str, n: u8) -> Staged {
    Staged::new(channel.into(), key(n).id().clone(), Some(2), "shown")
}

fn powers(count: usize) -> Outcome {
    Outcome::Power(vec![Measured::now(DecibelMilliwatts(-3.0)); count])
}

fn port(n: u32) -> PortStatus {
    PortStatus::new(Port(n), PortState::Enabled, None)
}

fn channel(name: &str) -> Outcome {
    Outcome::Channel(ChannelStatus::new(name.into(), ChannelState::Encrypting))
}

fn group(name: &str) -> Outcome {
    Outcome::ProtectionStatus(Measured::now(ProtectionStatus::new(
        name.into(),
        SelectionMode::Automatic,
        "a".into(),
        SwitchRequest::NoRequest,
        vec![PathStatus::new("a")],
    )))
}

#[tokio::test]
async fn an_answer_about_something_else_is_refused() {
    let (opened, peer) = open();
    let first_key = key(1);
    let stage = || Request::Stage {
        channel: Cow::Owned("ca1".into()),
        key: (&first_key).into(),
    };
    let confirm = || Request::Confirm {
        staged: Cow::Owned(staged("ca1", 1)),
        longest: Duration::ZERO,
    };
    let confirmation = |staged: Staged| {
        Outcome::Confirmation(Confirmation::new(&staged, true, "the counters grow"))
    };
    let read_ports = |ports: &'static [Port]| Request::Ports {
        ports: Cow::Borrowed(ports),
    };
    let read_powers = || Request::Power {
        ports: Cow::Borrowed(&[Port(2), Port(1)]),
    };
    let read_channel = || Request::Channel {
        channel: Cow::Owned("ca1".into()),
    };
    let read_group = || Request::ProtectionStatus {
        group: Cow::Owned("1".into()),
    };
    let monitor = |n| Outcome::Monitor(MonitorStatus::new(Port(n)));
    let two = &[Port(2), Port(1)];
    for (request, outcome, is_right) in [
        (read_powers(), powers(2), true),
        (read_powers(), powers(1), false),
        (read_powers(), powers(0), false),
        (read_powers(), powers(3), false),
        (
            read_ports(two),
            Outcome::Ports(vec![port(2), port(1)]),
            true,
        ),
        (
            read_ports(two),
            Outcome::Ports(vec![port(1), port(2)]),
            false,
        ),
        (read_ports(two), Outcome::Ports(Vec::new()), false),
        (read_ports(&[]), Outcome::Ports(vec![port(1)]), true),
        (Request::Monitor { port: Port(1) }, monitor(1), true),
        (Request::Monitor { port: Port(1) }, monitor(2), false),
        (read_channel(), channel("ca1"), true),
        (read_channel(), channel("ca2"), false),
        (read_group(), group("1"), true),
        (read_group(), group("2"), false),
        (stage(), Outcome::Staged(staged("ca1", 1)), true),
        (stage(), Outcome::Staged(staged("ca1", 2)), false),
        (stage(), Outcome::Staged(staged("ca2", 1)), false),
        (confirm(), confirmation(staged("ca1", 1)), true),
        (confirm(), confirmation(staged("ca1", 2)), false),
    ] {
        let what = format!("{request}: {outcome:?}");
        *peer.outcome.lock().unwrap() = Some(outcome);
        let result = opened.call(&request).await;
        if is_right {
            result.unwrap();
            continue;
        }
        let error = result.expect_err(&what);
        let effect = if request.operation().is_mutating() {
            Effect::Unknown
        } else {
            Effect::None
        };
        assert_eq!(
            (error.kind(), error.effect()),
            (
                ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
                effect
            ),
            "{what}: {error}"
        );
    }
}

#[tokio::test]
async fn after_an_outcome_of_another_operation_the_device_may_have_changed() {
    let (opened, peer) = open();
    let activate = Request::Activate {
        staged: Cow::Owned(staged("ca1", 1)),
    };
    for (request, effect) in [(activate, Effect::Unknown), (Request::Health, Effect::None)] {
        *peer.outcome.lock().unwrap() = Some(Outcome::Identity(Identity::new("fake")));
        let error = opened.call(&request).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::Internal, effect),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_is_closed_by_the_next_close_after_one_that_was_dropped() {
    let (opened, peer) = open();
    let device = opened.device();
    timeout(CLOSING / 2, device.close()).await.unwrap_err();
    let refused = device.health().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
    for _ in 0..2 {
        device.close().await.unwrap();
        assert_eq!(peer.closed.load(Ordering::Relaxed), 1);
    }
}
