//! The driver against a few scripted lines, in memory and under paused time.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::scripted::{PeerFault, ScriptedPeer, plan},
};
use qkd_hal::{DeviceMisbehaved, Effect, ErrorKind, Result, TransportFault, reading::Quality};
use std::time::Duration;

struct Board {
    position: u32,
    /// Old position, and the number of readings that still return it.
    old: (u32, u32),
    /// Number of stale readings after each set.
    lag: u32,
}

fn answer(device: &mut Board, line: &str) -> String {
    match line {
        "I?" => "OSW22-1310E 1.02\r\n".to_owned(),
        "T?" => "22\r\n".to_owned(),
        "S?" if device.old.1 > 0 => {
            device.old.1 -= 1;
            format!("{}\r\n", device.old.0)
        }
        "S?" => format!("{}\r\n", device.position),
        set => {
            device.old = (device.position, device.lag);
            device.position = set.strip_prefix("S ").unwrap().parse().unwrap();
            String::new()
        }
    }
}

async fn open_with(query: &str) -> (Result<OpenedDevice>, ScriptedPeer<Board>) {
    let far = ScriptedPeer::new(
        Board {
            position: 1,
            old: (1, 0),
            lag: 1,
        },
        answer,
    );
    let context = OpenContext::new().with_memory("switch", far.endpoint(b'\n'));
    (
        Registry::new()
            .with(driver())
            .open(&format!("thorlabs-osw+mem://switch?{query}"), &context)
            .await,
        far,
    )
}

async fn open() -> (OpenedDevice, ScriptedPeer<Board>) {
    let (opened, far) = open_with("model=osw22").await;
    (opened.unwrap(), far)
}

#[tokio::test(start_paused = true)]
async fn it_moves_and_verifies_although_the_first_reading_is_stale() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    assert_eq!(
        switch.identity().await.unwrap().to_string(),
        "Thorlabs 22, firmware OSW22-1310E 1.02"
    );
    let cross = plan(&opened, "1-4,2-3").await.unwrap();
    far.now().seen.clear();
    let applied = switch.apply(&cross).await.unwrap();
    assert!(
        applied.verified && applied.took < Duration::from_millis(300),
        "{applied:?}"
    );
    assert_eq!(far.now().seen, ["S?", "S 2", "S?", "S?"]);
    assert_eq!(
        switch.connections().await.unwrap().value.to_string(),
        "1-4,2-3"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stale_reading_is_polled() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    far.now().device.lag = 4;
    let applied = switch
        .apply(&plan(&opened, "1-4,2-3").await.unwrap())
        .await
        .unwrap();
    assert!(
        applied.verified && applied.took >= Duration::from_millis(900),
        "{applied:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_set_is_reported_after_the_settling_time() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    let cross = plan(&opened, "1-4,2-3").await.unwrap();
    far.inject("S 2", PeerFault::DropRequest);
    let error = switch.apply(&cross).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            Effect::Unknown
        )
    );
    assert!(switch.apply(&cross).await.unwrap().verified);
}

#[tokio::test(start_paused = true)]
async fn a_reading_cut_off_by_the_deadline_is_not_of_good_quality() {
    let (opened, far) = open_with("model=osw22&deadline=2s").await;
    let opened = opened.unwrap();
    let switch = opened.switch().unwrap();
    let cross = plan(&opened, "1-4,2-3").await.unwrap();
    far.now().device.lag = 9;
    let error = switch.apply(&cross).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Timeout, Effect::Unknown),
        "{error}"
    );
    far.now().device.old.1 = 100;
    // The switch is polled for the rest of the 3 s; the state that it reports then is current.
    let now = switch.connections().await.unwrap();
    assert_eq!(
        (now.value.to_string().as_str(), now.quality),
        ("1-3,2-4", Quality::Good)
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_position_is_stale_if_the_deadline_is_short() {
    let (opened, far) = open_with("model=osw22&deadline=1200ms").await;
    let opened = opened.unwrap();
    let switch = opened.switch().unwrap();
    let cross = plan(&opened, "1-4,2-3").await.unwrap();
    far.now().device.lag = 100;
    switch.apply(&cross).await.unwrap_err();
    assert_eq!(switch.connections().await.unwrap().quality, Quality::Stale);
    far.now().device.old.1 = 0;
    let now = switch.connections().await.unwrap();
    assert_eq!(
        (now.value.to_string().as_str(), now.quality),
        ("1-4,2-3", Quality::Good)
    );
}

#[tokio::test(start_paused = true)]
async fn mismatched_late_duplicated_and_missing_replies_fail_only_one_call() {
    let (opened, far) = open().await;
    let switch = opened.switch().unwrap();
    let wrong = [
        (
            "OSW22-1310E 1.02\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
        (
            "3\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (
            "\u{fffd}\r\n",
            ErrorKind::Transport(TransportFault::Framing),
        ),
    ];
    far.assert_one_read_fails(&opened, "S?", &wrong, "1-3,2-4")
        .await;
    far.inject("S?", PeerFault::Duplicate);
    switch.connections().await.unwrap();
    assert!(
        switch
            .apply(&plan(&opened, "1-4,2-3").await.unwrap())
            .await
            .unwrap()
            .verified
    );
}

#[tokio::test(start_paused = true)]
async fn another_board_closes_the_handle_and_models_are_checked() {
    let (opened, far) = open_with("model=osw12").await;
    let opened = opened.unwrap();
    assert_eq!(
        opened
            .switch()
            .unwrap()
            .connections()
            .await
            .unwrap()
            .value
            .to_string(),
        "common-1"
    );
    far.inject("S?", PeerFault::Reset);
    far.inject("I?", PeerFault::Answer("OSW12-850E 2.0\r\n"));
    far.inject("I?", PeerFault::Answer("OSW12-850E 2.0\r\n"));
    let switch = opened.switch().unwrap();
    switch.connections().await.unwrap_err();
    assert_eq!(
        switch.connections().await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
    for query in ["", "model=osw44", "model=osw12&flow=some"] {
        assert_eq!(
            open_with(query).await.0.unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{query}"
        );
    }
}
