//! The driver against a few scripted lines, in memory and under paused time.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::scripted::{PeerFault, ScriptedPeer, plan},
};
use qkd_hal::{
    Certainty, DeviceMisbehaved, Effect, ErrorKind, Result, TransportFault,
    parameter::ParameterValue,
};
use qkd_switch_hal::{Geometry, PowerFailureBehaviour};

fn module(channel: &mut u32, line: &str) -> String {
    match line {
        "ID?" => "\nMEMS 1x16 SW, rev B\r\n".to_owned(),
        "CF?" => "\n1,16\r\n".to_owned(),
        "I1?" => format!("\n{channel}\r\n"),
        set => {
            *channel = set.strip_prefix("I1 ").unwrap().parse().unwrap();
            String::new()
        }
    }
}

struct Matrix {
    outputs: [u32; 4],
    errors: Vec<&'static str>,
    refuses: bool,
    auto_save: bool,
    wavelength: String,
    configuration: &'static str,
}

fn matrix(device: &mut Matrix, line: &str) -> String {
    let words: Vec<&str> = line.split([' ', '?']).collect();
    match words[..] {
        ["*IDN", _] => "Dicon Fiberoptics Inc, GP600, 19A0M10D0117, 7.0\r".to_owned(),
        ["SYST:CONF", _] => format!("{}\r", device.configuration),
        ["X1", "DIM", _] => "4,3\r".to_owned(),
        ["SYST:ERR", _] => format!("{}\r", device.errors.pop().unwrap_or("+0, No Error")),
        ["X1", "CH", input, ""] => format!(
            "{input},{}\r",
            device.outputs[input.parse::<usize>().unwrap() - 1]
        ),
        _ if device.refuses => {
            device.errors.push("-222, Out of range");
            String::new()
        }
        ["X1", "CH", input, output] => {
            device.outputs[input.parse::<usize>().unwrap() - 1] = output.parse().unwrap();
            String::new()
        }
        ["WEN", ""] => format!("{}\r", u8::from(device.auto_save)),
        ["WEN", on] => {
            device.auto_save = on == "1";
            String::new()
        }
        ["X1", "WAVESAVAIL", _] => "1310,1550\r".to_owned(),
        ["X1", "W", ""] => format!("{}\r", device.wavelength),
        ["X1", "W", nm] => {
            nm.clone_into(&mut device.wavelength);
            String::new()
        }
        _ => panic!("{line}"),
    }
}

async fn open<D: Send + 'static>(far: &ScriptedPeer<D>, query: &str) -> Result<OpenedDevice> {
    let context = OpenContext::new().with_memory("switch", far.endpoint(b'\r'));
    Registry::new()
        .with(driver())
        .open(&format!("dicon+mem://switch?{query}"), &context)
        .await
}

async fn open_mems() -> (OpenedDevice, ScriptedPeer<u32>) {
    let far = ScriptedPeer::new(2, module);
    (open(&far, "model=mems").await.unwrap(), far)
}

async fn open_gp600() -> (OpenedDevice, ScriptedPeer<Matrix>) {
    let device = Matrix {
        outputs: [1, 0, 0, 0],
        errors: Vec::new(),
        refuses: false,
        auto_save: false,
        wavelength: "1550".into(),
        configuration: "X1",
    };
    let far = ScriptedPeer::new(device, matrix);
    let opened = open(&far, "model=gp600").await.unwrap();
    far.now().seen.clear();
    (opened, far)
}

#[tokio::test(start_paused = true)]
async fn the_module_moves_disconnects_and_verifies() {
    let (opened, far) = open_mems().await;
    let switch = opened.switch().unwrap();
    assert_eq!(
        switch.switch_capabilities().geometry,
        Geometry::OneByN {
            channels: 16,
            dark: true
        }
    );
    assert_eq!(
        switch.identity().await.unwrap().to_string(),
        "DiCon MEMS 1x16 SW, rev B"
    );
    for to in ["common-16", "dark", "common-1"] {
        assert!(
            switch
                .apply(&plan(&opened, to).await.unwrap())
                .await
                .unwrap()
                .verified
        );
        assert_eq!(switch.connections().await.unwrap().value.to_string(), to);
    }
    let sets: Vec<_> = far
        .now()
        .seen
        .iter()
        .filter(|l| l.starts_with("I1 "))
        .cloned()
        .collect();
    assert_eq!(sets, ["I1 16", "I1 0", "I1 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_the_module_does_not_apply_is_reported() {
    let (opened, far) = open_mems().await;
    let to_5 = plan(&opened, "common-5").await.unwrap();
    far.inject("I1 5", PeerFault::DropRequest);
    let error = opened.switch().unwrap().apply(&to_5).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            Effect::Unknown
        )
    );
    // The module reports the old channel once more, and then the new one.
    far.inject("I1?", PeerFault::Answer("\n2\r\n"));
    far.inject("I1?", PeerFault::Answer("\n2\r\n"));
    assert!(
        opened
            .switch()
            .unwrap()
            .apply(&to_5)
            .await
            .unwrap()
            .verified
    );
}

#[tokio::test(start_paused = true)]
async fn mismatched_late_and_missing_replies_of_the_module_fail_only_one_call() {
    let (opened, far) = open_mems().await;
    let switch = opened.switch().unwrap();
    let wrong = [
        (
            "\n1,16\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
        ),
        (
            "\nwhat\r\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
        (
            "\n17\n",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
    ];
    far.assert_one_read_fails(&opened, "I1?", &wrong, "common-2")
        .await;
    // A single LF ends a line too, and input after a CR does not desynchronise the link.
    far.inject("I1?", PeerFault::Answer("\n2\n"));
    far.now().seen.clear();
    switch.connections().await.unwrap();
    switch.connections().await.unwrap();
    assert_eq!(far.now().seen, ["I1?", "I1?"]);
}

#[tokio::test(start_paused = true)]
async fn the_matrix_is_read_input_by_input_and_asked_for_its_errors() {
    let (opened, far) = open_gp600().await;
    let switch = opened.switch().unwrap();
    let capabilities = switch.switch_capabilities();
    assert_eq!(
        (capabilities.geometry, capabilities.power_loss),
        (
            Geometry::matrix(4, 3),
            Certainty::Confirmed(PowerFailureBehaviour::BootMode)
        )
    );
    assert_eq!(
        switch.identity().await.unwrap().to_string(),
        "Dicon Fiberoptics Inc GP600, serial 19A0M10D0117, firmware 7.0"
    );
    assert_eq!(switch.connections().await.unwrap().value.to_string(), "1-5");
    let plan = plan(&opened, "1-7,4-5").await.unwrap();
    far.now().device.errors.push("-113, Left by another client");
    far.now().seen.clear();
    let applied = switch.apply(&plan).await.unwrap();
    assert!(applied.verified && applied.steps == 3);
    let seen: Vec<_> = far
        .now()
        .seen
        .iter()
        .filter(|l| !l.starts_with("X1 CH") || !l.ends_with('?'))
        .cloned()
        .collect();
    let sets = [
        "SYST:ERR?",
        "SYST:ERR?",
        "X1 CH 1 0",
        "SYST:ERR?",
        "SYST:ERR?",
        "X1 CH 1 3",
        "SYST:ERR?",
        "SYST:ERR?",
        "X1 CH 4 1",
        "SYST:ERR?",
    ];
    assert_eq!(seen, sets);
    assert_eq!(far.now().device.outputs, [3, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_reports_the_completed_steps() {
    let (opened, far) = open_gp600().await;
    let switch = opened.switch().unwrap();
    let plan = plan(&opened, "2-6").await.unwrap();
    far.now().device.refuses = true;
    let error = switch.apply(&plan).await.unwrap_err();
    assert_eq!(
        (
            error.kind(),
            error.effect(),
            error.vendor_code(),
            error.vendor_text()
        ),
        (
            ErrorKind::Refused,
            Effect::None,
            Some("-222"),
            Some("Out of range")
        )
    );
    far.now().device.refuses = false;
    // The error of the second step is lost; the step was made, and is reported as made.
    far.inject("X1 CH 2 2", PeerFault::Answer(""));
    let error = switch.apply(&plan).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            Effect::Partial
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_error_query_leaves_the_effect_unknown_and_the_state_is_reported() {
    let (opened, far) = open_gp600().await;
    let switch = opened.switch().unwrap();
    let plan = plan(&opened, "1-5,3-7").await.unwrap();
    // A set is not answered: a line that was hung up instead shows in the next exchange, which is
    // over a new one.
    far.inject("X1 CH 3 3", PeerFault::Reset);
    let error = switch.apply(&plan).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            Effect::Unknown
        ),
        "{error}"
    );
    far.inject("SYST:ERR?", PeerFault::Answer("+0, No Error\r"));
    far.inject("SYST:ERR?", PeerFault::Reset);
    let error = switch.apply(&plan).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Transport(TransportFault::HungUp),
            Effect::Partial
        ),
        "{error}"
    );
    assert!(error.message().contains("done: connect 3-7"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn mismatched_replies_of_the_matrix_fail_only_one_call() {
    let (opened, far) = open_gp600().await;
    let switch = opened.switch().unwrap();
    let wrong = [
        (
            "3,2\r",
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
        ),
        (
            "+0, No Error\r",
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
        (
            "X1\r",
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
        (
            "2,4\r",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
        (
            "2,1\r",
            ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange),
        ),
    ];
    far.assert_one_read_fails(&opened, "CH 2?", &wrong, "1-5")
        .await;
    // A single different reply may have a wrong bit; two prove another device.
    let another = || PeerFault::Answer("Dicon Fiberoptics Inc, GP600, 20B0, 7.0\r");
    far.inject("*IDN?", another());
    switch.identity().await.unwrap();
    far.inject("*IDN?", another());
    far.inject("*IDN?", another());
    assert_eq!(
        switch.identity().await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
}

#[tokio::test(start_paused = true)]
async fn wavelength_and_auto_save_are_parameters() {
    let (opened, far) = open_gp600().await;
    let device = opened.device();
    assert_eq!(
        device.parameter("wavelengths").await.unwrap(),
        ParameterValue::Text("1310,1550".into())
    );
    assert_eq!(
        device.parameter("auto-save").await.unwrap(),
        ParameterValue::Flag(false)
    );
    device
        .set_parameter("auto-save", &ParameterValue::Flag(true))
        .await
        .unwrap();
    device
        .set_parameter("wavelength", &ParameterValue::Real(1310.0))
        .await
        .unwrap();
    assert_eq!(
        device.parameter("wavelength").await.unwrap(),
        ParameterValue::Real(1310.0)
    );
    assert!(far.now().device.auto_save);
    far.inject("WEN 0", PeerFault::DropRequest);
    let error = device
        .set_parameter("auto-save", &ParameterValue::Flag(false))
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied)
    );
    assert_eq!(
        device
            .set_parameter("wavelengths", &ParameterValue::Text("1".into()))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Unsupported
    );
}

#[tokio::test(start_paused = true)]
async fn other_devices_and_addresses_are_refused() {
    for query in ["", "model=mxs"] {
        assert_eq!(
            open(&ScriptedPeer::new(1, module), query)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidInput,
            "{query}"
        );
    }
    let far = ScriptedPeer::new(1, |_: &mut u32, _: &str| "Acme, Box, 1, 2\r".to_owned());
    assert_eq!(
        open(&far, "model=gp600").await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
    let far = ScriptedPeer::new(1, module);
    far.inject("CF?", PeerFault::Answer("\n1,0\r\n"));
    assert_eq!(
        open(&far, "model=mems").await.unwrap_err().kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::ValueOutOfRange)
    );
    let registry = Registry::new().with(driver());
    for uri in [
        "dicon+tcp://192.0.2.7?model=mems",
        "dicon+serial:///dev/null?model=gp600",
    ] {
        assert_eq!(
            registry
                .open(uri, &OpenContext::new())
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidInput,
            "{uri}"
        );
    }
    let (_, far) = open_gp600().await;
    far.now().device.configuration = "X2";
    assert_eq!(
        open(&far, "model=gp600").await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}
