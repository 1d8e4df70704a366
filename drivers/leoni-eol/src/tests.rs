//! The driver against a few scripted lines, in memory and under paused time.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::scripted::{PeerFault, ScriptedPeer, plan},
};
use qkd_hal::{DeviceMisbehaved, Effect, ErrorKind, Result, TransportFault};

fn answer(channel: &mut u32, request: &str) -> String {
    match request {
        "firmware?" => "ver3.27\r\n".to_owned(),
        "ch?" => format!("{channel}\r\n"),
        set => {
            *channel = set.strip_prefix("ch").unwrap().parse().unwrap();
            String::new()
        }
    }
}

async fn open(query: &str) -> (Result<OpenedDevice>, ScriptedPeer<u32>) {
    let far = ScriptedPeer::new(1, answer);
    let context = OpenContext::new().with_memory("switch", far.endpoint(b'\n'));
    (
        Registry::new()
            .with(driver())
            .open(&format!("leoni-eol+mem://switch?{query}"), &context)
            .await,
        far,
    )
}

#[tokio::test(start_paused = true)]
async fn each_model_moves_and_verifies() {
    for (query, to, sent) in [
        ("model=1x2", "common-2", "ch2"),
        ("model=1x4", "common-4", "ch4"),
        ("model=2x2&ch1=bar", "1-4,2-3", "ch2"),
        ("model=2x2&ch1=cross", "1-3,2-4", "ch2"),
    ] {
        let (opened, far) = open(query).await;
        let opened = opened.unwrap();
        let wanted = plan(&opened, to).await.unwrap();
        far.now().seen.clear();
        assert!(
            opened
                .switch()
                .unwrap()
                .apply(&wanted)
                .await
                .unwrap()
                .verified
        );
        assert_eq!(far.now().seen, ["ch?", sent, "ch?"]);
        assert_eq!(
            opened
                .switch()
                .unwrap()
                .connections()
                .await
                .unwrap()
                .value
                .to_string(),
            to
        );
        assert_eq!(
            opened
                .switch()
                .unwrap()
                .identity()
                .await
                .unwrap()
                .to_string(),
            "LEONI, firmware 3.27"
        );
    }
    for query in [
        "",
        "model=1x8",
        "model=2x2",
        "model=2x2&ch1=up",
        "model=1x2&ch1=bar",
    ] {
        assert_eq!(
            open(query).await.0.unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{query}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_set_is_reported_and_the_next_one_works() {
    let (opened, far) = open("model=1x4").await;
    let opened = opened.unwrap();
    let to = plan(&opened, "common-3").await.unwrap();
    far.inject("ch3", PeerFault::DropRequest);
    let error = opened.switch().unwrap().apply(&to).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            Effect::Unknown
        )
    );
    assert!(opened.switch().unwrap().apply(&to).await.unwrap().verified);
}

#[tokio::test(start_paused = true)]
async fn mismatched_late_duplicated_and_missing_replies_fail_only_one_call() {
    let (opened, far) = open("model=1x4").await;
    let opened = opened.unwrap();
    let switch = opened.switch().unwrap();
    let wrong = [
        (
            "ver3.27\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
        (
            "5\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (
            "\u{fffd}\r\n",
            ErrorKind::Transport(TransportFault::Framing),
        ),
    ];
    far.assert_one_read_fails(&opened, "ch?", &wrong, "common-1")
        .await;
    far.inject("ch?", PeerFault::Duplicate);
    switch.connections().await.unwrap();
    assert!(
        switch
            .apply(&plan(&opened, "common-2").await.unwrap())
            .await
            .unwrap()
            .verified
    );
}

fn newer(channel: &mut u32, request: &str) -> String {
    match request {
        "firmware?" => "v8.09\r\n".to_owned(),
        "type?" => "mol 1x4\r\n".to_owned(),
        other => answer(channel, other),
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_device_reports_its_type_and_another_model_is_refused() {
    let open = async |model: &str| {
        let far = ScriptedPeer::new(1, newer);
        let context = OpenContext::new().with_memory("switch", far.endpoint(b'\n'));
        Registry::new()
            .with(driver())
            .open(&format!("leoni-eol+mem://switch?model={model}"), &context)
            .await
    };
    let opened = open("1x4").await.unwrap();
    assert_eq!(
        opened.device().identity().await.unwrap().to_string(),
        "LEONI mol 1x4, firmware 8.09"
    );
    let error = open("1x2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("`mol 1x4`"), "{error}");
}
