//! The kit's switch over a short protocol whose device may report the old state for some time.

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice, Registry,
    driver_info::Transport,
    link::{
        scripted::{PeerFault, ScriptedPeer, plan},
        stream::Resync,
        text::{TextDecodeError, number},
    },
    switching::{Protocol, Settling, SwitchCall, TransportConfig, position},
};
use qkd_hal::{
    DeviceKind, DeviceMisbehaved, DeviceUri, Effect, ErrorKind, Identity, Maturity, Operation,
    Result, Support, reading::Quality,
};
use qkd_switch_hal::{CrossConnects, Geometry, Step, SwitchCapabilities};
use std::time::Duration;
use tokio::time::Instant;

const GEOMETRY: Geometry = Geometry::OneByN {
    channels: 4,
    dark: true,
};
const MAX_TIME: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const STARTUP: Duration = Duration::from_millis(700);

struct Toy;

#[async_trait]
impl Protocol for Toy {
    fn switch_capabilities(&self) -> SwitchCapabilities {
        SwitchCapabilities::new(GEOMETRY)
    }
    fn settling(&self) -> Settling {
        Settling::polled(MAX_TIME, POLL_INTERVAL)
    }
    async fn identity(&self, call: &SwitchCall<'_>) -> Result<Identity> {
        self.state(call).await.map(|_| Identity::new("Nobody"))
    }
    async fn state(&self, call: &SwitchCall<'_>) -> Result<CrossConnects> {
        position::paths(
            &GEOMETRY,
            call.query("get", "?\n", |reply| number("a channel", reply))
                .await?,
        )
    }
    async fn step(&self, call: &SwitchCall<'_>, step: &Step) -> Result<()> {
        match position::target(&GEOMETRY, step)? {
            // Channel 4 is answered, the others are not.
            4 => {
                call.command("set", "4\n", |reply| {
                    if reply == b"ok\r\n" {
                        Ok(())
                    } else {
                        Err(TextDecodeError::unexpected("ok", ""))
                    }
                })
                .await
            }
            n => call.command_no_reply("set", format!("{n}\n")).await,
        }
    }
}

static INFO: DriverInfo = DriverInfo {
    name: "toy",
    version: "0",
    family: "none",
    vendor: "nobody",
    kinds: &[DeviceKind::OpticalSwitch],
    transports: &[Transport {
        name: "tcp",
        example: "toy+tcp://192.0.2.7",
    }],
    maturity: Maturity::Emulated,
    evidence: &[],
    assumptions: &[],
    unknowns: &[],
    parameters: &[],
    probes: &[],
    resynchronises: "",
};

struct ToyDriver;

#[async_trait]
impl Driver for ToyDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }
    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        TransportConfig::new(Resync::Quiet(POLL_INTERVAL))
            .startup_delay(STARTUP)
            .open(&INFO, uri, context)
            .await?
            .switch(Toy)
            .await
    }
}

struct Device {
    channel: u32,
    old: u32,
    /// When it stops telling the old channel, and how long after a set it does.
    truth: Instant,
    lag: Duration,
}

fn answer(device: &mut Device, line: &str) -> String {
    match line {
        "?" => format!(
            "{}\r\n",
            if Instant::now() < device.truth {
                device.old
            } else {
                device.channel
            }
        ),
        set => {
            (device.old, device.truth) = (device.channel, Instant::now() + device.lag);
            device.channel = set.parse().unwrap();
            if device.channel == 4 {
                "ok\r\n".to_owned()
            } else {
                String::new()
            }
        }
    }
}

async fn open(query: &str) -> (OpenedDevice, ScriptedPeer<Device>) {
    let far = ScriptedPeer::new(
        Device {
            channel: 1,
            old: 1,
            truth: Instant::now(),
            lag: Duration::ZERO,
        },
        answer,
    );
    let context = OpenContext::new().with_memory("switch", far.endpoint(b'\n'));
    (
        Registry::new()
            .with(ToyDriver)
            .open(&format!("toy+mem://switch{query}"), &context)
            .await
            .unwrap(),
        far,
    )
}

#[tokio::test(start_paused = true)]
async fn a_whole_device_of_three_methods() {
    let begun = Instant::now();
    let (opened, far) = open("").await;
    assert!(begun.elapsed() >= STARTUP, "nothing was sent before");
    let switch = opened.switch().unwrap();
    for to in ["common-4", "common-2", "dark"] {
        let applied = switch
            .apply(&plan(&opened, to).await.unwrap())
            .await
            .unwrap();
        assert!(applied.verified && applied.took < POLL_INTERVAL);
    }
    assert_eq!(far.now().device.channel, 0);
    assert_eq!(
        switch.capabilities().supports(Operation::GetParameter),
        Support::Unsupported
    );
    switch.health().await.unwrap();
    switch.close().await.unwrap();
    assert_eq!(
        switch.connections().await.unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_state_is_polled_until_the_new_state_is_reported() {
    let (opened, far) = open("").await;
    let switch = opened.switch().unwrap();
    far.now().device.lag = MAX_TIME - Duration::from_millis(50);
    let applied = switch
        .apply(&plan(&opened, "common-3").await.unwrap())
        .await
        .unwrap();
    assert!(
        applied.verified && applied.took >= MAX_TIME - POLL_INTERVAL,
        "{applied:?}"
    );
    // Longer than it may: it is not believed that it will.
    let next = plan(&opened, "common-2").await.unwrap();
    far.now().device.lag = MAX_TIME * 2;
    let error = switch.apply(&next).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            Effect::Unknown
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_the_settling_time_leaves_the_effect_unknown() {
    let (opened, far) = open("?deadline=800ms").await;
    let switch = opened.switch().unwrap();
    let to_3 = plan(&opened, "common-3").await.unwrap();
    far.now().device.lag = Duration::from_secs(60);
    let error = switch.apply(&to_3).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Timeout, Effect::Unknown)
    );
    // Whoever asks while it must not have settled waits, and what comes after that is the truth.
    let reported = switch.connections().await.unwrap();
    assert_eq!(
        (reported.value.to_string().as_str(), reported.quality),
        ("common-1", Quality::Good)
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_with_a_lost_reply_is_read_back_until_it_is_applied() {
    let (opened, far) = open("?deadline=3s").await;
    let switch = opened.switch().unwrap();
    let to_4 = plan(&opened, "common-4").await.unwrap();
    far.inject("4", PeerFault::Answer("no\r\n"));
    let begun = Instant::now();
    let error = switch.apply(&to_4).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
            Effect::Unknown
        )
    );
    assert!(begun.elapsed() >= MAX_TIME, "it may have been carried out");
    assert!(switch.apply(&to_4).await.unwrap().verified);
    assert_eq!(
        switch.apply(&to_4).await.unwrap_err().kind(),
        ErrorKind::StateChanged
    );
}
