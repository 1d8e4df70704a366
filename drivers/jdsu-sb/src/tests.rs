//! The driver against a few scripted lines, in memory and under paused time.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::scripted::{PeerFault, ScriptedPeer, plan},
    wrap::fault::{FaultScript, LinkFault},
};
use qkd_hal::{
    Certainty, DeviceMisbehaved, Effect, ErrorKind, Operation, Result, Support, TransportFault,
    device::HealthState, parameter::ParameterValue,
};
use qkd_switch_hal::{Geometry, PowerFailureBehaviour};
use std::time::Duration;

#[derive(Default)]
struct Sb {
    channel: u32,
    drivers: u32,
    status: u32,
    /// Number of queries that still report a move.
    moving: u32,
    /// Number of such queries after each set.
    slow: u32,
    errors: Vec<u32>,
    /// A set is refused: in the status byte, and in the error queue.
    refuses: (u32, u32),
    failed: bool,
}

fn answer(device: &mut Sb, message: &str) -> String {
    assert!(message.len() < crate::proto::BUFFER);
    let mut reply = String::new();
    for command in message.split(';') {
        let (word, argument) = command.split_once(' ').unwrap_or((command, ""));
        let said = match (word, argument) {
            ("IDN?", "") => "JDS Uniphase, SB Switch, 2.00".to_owned(),
            ("CLOSE?", "MAX") => "8".to_owned(),
            ("CLOSE?", "") => device.channel.to_string(),
            ("CNB?", "") => if device.settles() { "4" } else { "0" }.to_owned(),
            ("STB?", "") => {
                device.status |= if device.settles() { 4 } else { 0 };
                format!("{:03}", device.status)
            }
            ("LERR?", "") => format!("{:03}", device.errors.pop().unwrap_or(0)),
            ("ERR?", "") => if device.failed { "330" } else { "0" }.to_owned(),
            ("TST?", "") => u32::from(device.failed).to_string(),
            ("XDRS?", "") => device.drivers.to_string(),
            ("SRE?", "") => "0".to_owned(),
            ("OPC?", "") => "1".to_owned(),
            ("LRN?", "") => format!("CLOSE {};XDRS {};SRE 0", device.channel, device.drivers),
            ("CSB", "") => {
                device.status = 0;
                continue;
            }
            (_, _) if device.refuses != (0, 0) => {
                device.status |= device.refuses.0;
                device
                    .errors
                    .extend([device.refuses.1].iter().filter(|e| **e > 0));
                continue;
            }
            ("CLOSE", channel) => {
                device.channel = channel.parse().unwrap();
                device.moving = device.slow;
                continue;
            }
            ("XDRS", mask) => {
                device.drivers = mask.parse().unwrap();
                continue;
            }
            other => panic!("{other:?}"),
        };
        reply = said + "\r\n";
    }
    reply
}

impl Sb {
    fn settles(&mut self) -> bool {
        let settled = self.moving == 0;
        self.moving = self.moving.saturating_sub(1);
        settled
    }
}

async fn open_with(context: OpenContext) -> (Result<OpenedDevice>, ScriptedPeer<Sb>) {
    let far = ScriptedPeer::new(
        Sb {
            channel: 2,
            slow: 3,
            ..Sb::default()
        },
        answer,
    );
    let context = context.with_memory("switch", far.endpoint(b'\r'));
    (
        Registry::new()
            .with(driver())
            .open("jdsu-sb+mem://switch", &context)
            .await,
        far,
    )
}

async fn open() -> (OpenedDevice, ScriptedPeer<Sb>) {
    let (opened, far) = open_with(OpenContext::new()).await;
    (opened.unwrap(), far)
}

#[tokio::test(start_paused = true)]
async fn it_reports_its_identity() {
    let (opened, _) = open().await;
    let switch = opened.switch().unwrap();
    assert_eq!(
        switch.identity().await.unwrap().to_string(),
        "JDS Uniphase SB Switch, firmware 2.00"
    );
    let capabilities = switch.switch_capabilities();
    assert_eq!(
        capabilities.geometry,
        Geometry::OneByN {
            channels: 8,
            dark: true
        }
    );
    assert_eq!(
        (capabilities.settling, capabilities.power_loss),
        (
            Some(Duration::from_millis(384)),
            Certainty::Confirmed(PowerFailureBehaviour::GoesDark)
        )
    );
    assert_eq!(
        switch.capabilities().supports(Operation::Health),
        Support::Applied
    );
}

#[tokio::test(start_paused = true)]
async fn it_moves_waits_for_settling_and_verifies() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    let to_7 = plan(&opened, "common-7").await.unwrap();
    far.now().device.errors = vec![330, 101];
    far.now().seen.clear();
    assert!(switch.apply(&to_7).await.unwrap().verified);
    let seen = far.now().seen.clone();
    assert_eq!(
        seen,
        [
            "CNB?",
            "CLOSE?",
            "LERR?",
            "LERR?",
            "LERR?",
            "CSB;CLOSE 7;LERR?",
            "STB?",
            "STB?",
            "STB?",
            "STB?",
            "CNB?",
            "CLOSE?"
        ]
    );
    assert!(
        switch
            .apply(&plan(&opened, "dark").await.unwrap())
            .await
            .unwrap()
            .verified
    );
    assert_eq!(
        switch.connections().await.unwrap().value.to_string(),
        "dark"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_reported_at_any_position() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    let to_7 = plan(&opened, "common-7").await.unwrap();
    for (refuses, code, words) in [
        ((0, 222), Some("222"), None),
        ((1, 0), None, Some("a parameter error")),
        ((32, 0), None, Some("a syntax error")),
    ] {
        far.now().device.refuses = refuses;
        let error = switch.apply(&to_7).await.unwrap_err();
        assert_eq!(
            (
                error.kind(),
                error.effect(),
                error.vendor_code(),
                error.vendor_text()
            ),
            (ErrorKind::Refused, Effect::None, code, words)
        );
    }
    far.now().device.refuses = (0, 0);
    assert!(switch.apply(&to_7).await.unwrap().verified);
}

#[tokio::test(start_paused = true)]
async fn an_endless_queue_and_optics_that_never_settle_are_reported() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    let to_7 = plan(&opened, "common-7").await.unwrap();
    far.now().device.errors = vec![330; 9];
    let error = switch.apply(&to_7).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
            Effect::None
        )
    );
    far.now().device.errors.clear();
    far.now().device.slow = 1_000;
    let error = switch.apply(&to_7).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            Effect::Unknown
        ),
        "{error}"
    );
    assert_eq!(
        switch.connections().await.unwrap_err().kind(),
        ErrorKind::NotReady
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_set_and_a_lost_reply_leave_the_effect_unknown() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    let to_7 = plan(&opened, "common-7").await.unwrap();
    far.inject("CLOSE 7", PeerFault::DropRequest);
    let error = switch.apply(&to_7).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Timeout, Effect::Unknown)
    );
    far.inject("CLOSE 7", PeerFault::Reset);
    let error = switch.apply(&to_7).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Transport(TransportFault::HungUp),
            Effect::Unknown
        )
    );
    far.inject("CLOSE 7", PeerFault::Answer("7\r\n"));
    let error = switch.apply(&to_7).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
            Effect::Unknown
        )
    );
    assert!(switch.apply(&to_7).await.unwrap().verified);
}

#[tokio::test(start_paused = true)]
async fn mismatched_late_duplicated_and_missing_replies_fail_only_one_call() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    let wrong = [
        (
            "004\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
        ),
        (
            "what\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
        (
            "9\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
    ];
    far.assert_one_read_fails(&opened, "CLOSE?", &wrong, "common-2")
        .await;
    far.inject("CLOSE?", PeerFault::Duplicate);
    switch.connections().await.unwrap();
    assert!(
        switch
            .apply(&plan(&opened, "common-1").await.unwrap())
            .await
            .unwrap()
            .verified
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_end_that_arrives_after_its_reply_keeps_the_link_synchronised() {
    let script = FaultScript::new();
    let (opened, far) = open_with(OpenContext::new().with_faults(script.clone())).await;
    let opened = opened.unwrap();
    far.now().seen.clear();
    // 120 characters per second, as the real line.
    script.inject(0, LinkFault::Throttle(120));
    opened.switch().unwrap().connections().await.unwrap();
    opened.switch().unwrap().connections().await.unwrap();
    assert_eq!(far.now().seen, ["CNB?", "CLOSE?", "CNB?", "CLOSE?"]);
}

#[tokio::test(start_paused = true)]
async fn health_and_parameters() {
    let (opened, far) = open().await;
    let device = opened.device();
    assert_eq!(device.health().await.unwrap().state, HealthState::Ok);
    far.now().device.failed = true;
    assert_eq!(
        device.health().await.unwrap().faults,
        ["the self-test has failed"]
    );
    device
        .set_parameter("relay-drivers", &ParameterValue::Integer(129))
        .await
        .unwrap();
    assert_eq!(
        device.parameter("relay-drivers").await.unwrap(),
        ParameterValue::Integer(129)
    );
    assert_eq!(
        device.parameter("learn").await.unwrap(),
        ParameterValue::Text("CLOSE 2;XDRS 129;SRE 0".into())
    );
    assert_eq!(
        device.parameter("pending").await.unwrap(),
        ParameterValue::Flag(false)
    );
    assert_eq!(
        device.parameter("service-requests").await.unwrap(),
        ParameterValue::Integer(0)
    );
    assert_eq!(
        device
            .set_parameter("relay-drivers", &ParameterValue::Integer(256))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        device
            .set_parameter("learn", &ParameterValue::Text("CLOSE 1".into()))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Unsupported
    );
    far.inject("XDRS 1;", PeerFault::Answer("000\r\n"));
    let error = device
        .set_parameter("relay-drivers", &ParameterValue::Integer(1))
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied)
    );
}

#[tokio::test(start_paused = true)]
async fn another_vendor_is_refused() {
    let far = ScriptedPeer::new((), |(): &mut (), _: &str| "Acme, Box, 1\r\n".to_owned());
    let context = OpenContext::new().with_memory("switch", far.endpoint(b'\r'));
    let error = Registry::new()
        .with(driver())
        .open("jdsu-sb+mem://switch", &context)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdentityChanged);
}
