//! All data of the contracts travels: what was serialised and deserialised is what it was.

mod calls;
mod encryption;
mod keys;
mod light;
mod values;

use calls::*;
use encryption::*;
use keys::*;
use light::*;
use values::*;

use crate::{
    Effect, Key, Operation, Outcome, Request,
    request::{Keys, RandomBytes},
    units::{BitsPerSecond, Bytes, Celsius, Hertz, Nanometres, Ratio, ShotNoiseUnits},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{borrow::Cow, collections::BTreeSet, fmt::Debug, fs, path::Path};
use zeroize::Zeroizing;

/// A value comes back as it was, through text and through a value of JSON.
fn comes_back<T: Serialize + DeserializeOwned + Debug>(value: &T) -> Result<(), TestCaseError> {
    let text = serde_json::to_string(value).expect("serialises");
    let wrong = |e: serde_json::Error| TestCaseError::fail(format!("{text}: {e}"));
    let from_text: T = serde_json::from_str(&text).map_err(wrong)?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(wrong)?;
    let from_value: T = serde_json::from_value(json).map_err(wrong)?;
    for back in [from_text, from_value] {
        // By `Debug`, because `NaN` does not equal itself and an error has no `PartialEq`.
        prop_assert_eq!(format!("{back:?}"), format!("{value:?}"));
        prop_assert_eq!(
            serde_json::to_string(&back).expect("serialises"),
            text.clone()
        );
    }
    Ok(())
}

/// Types that hold secrets or code, or are not reachable from outside, and do not travel.
const STAYS: &[&str] = &[
    "AssumptionDeclaration",
    "Call",
    "CallEnd",
    "CallGuard",
    "Checked",
    "EventHub",
    "EventStream",
    "Key",
    "PlanBuilder",
    "Proxy",
    "ProxyDevice",
    "Seen",
];

macro_rules! travelling {
    ($($type:ident: $strategy:expr;)*) => {
        const TRAVELS: &[&str] = &[$(stringify!($type)),*];

        #[test]
        fn what_travels_comes_back_as_it_was() {
            $(
                let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
                let mut runner = TestRunner::new_with_rng(
                    config,
                    proptest::test_runner::TestRng::deterministic_rng(
                        proptest::test_runner::RngAlgorithm::ChaCha,
                    ),
                );
                if let Err(error) = runner.run(&$strategy, |value| comes_back(&value)) {
                    panic!("{}: {error}", stringify!($type));
                }
            )*
        }
    };
}

travelling! {
    Activation: activation();
    ActivePath: active_path();
    AlarmLevels: alarm_levels();
    ApplyReport: apply_report();
    Assumption: assumption();
    Attenuation: attenuation();
    AttenuatorCapabilities: attenuator_capabilities();
    Bits: bits();
    BitsPerSecond: number().prop_map(BitsPerSecond);
    Bytes: any::<u64>().prop_map(Bytes);
    Capabilities: capabilities();
    Celsius: number().prop_map(Celsius);
    Certainty: certainty(text());
    ChannelId: channel_id();
    ChannelState: channel_state();
    ChannelStatus: channel_status();
    Confirmation: confirmation();
    ConfirmationBasis: basis();
    Confirmed: confirmed();
    CrossConnect: cross_connect();
    CrossConnects: cross_connects();
    DecibelMilliwatts: dbm();
    Decibels: db();
    Declarations: declarations();
    Descriptor: descriptor();
    DeviceKind: kind();
    DeviceMisbehaved: misbehaviour();
    DeviceUri: device_uri();
    Effect: effect();
    EncryptorCapabilities: encryptor_capabilities();
    Error: error();
    ErrorKind: error_kind();
    Event: event();
    EventKind: event_kind();
    EventSupport: event_support();
    ExternalCommand: command();
    ExternalCommandKind: command_kind();
    FailureMode: failure_mode();
    Fingerprint: fingerprint();
    Geometry: geometry();
    GroupId: group_id();
    Health: health();
    HealthState: health_state();
    HalfDoneRoll: half_done_roll();
    Hertz: number().prop_map(Hertz);
    Hitless: hitless();
    Identity: identity();
    KeyAlphabet: key_alphabet();
    KeyArgument: key_argument();
    KeyForm: key_form();
    KeyId: key_id();
    KeyIdForm: key_id_form();
    KeyLabel: key_label();
    KeyRequest: key_request();
    KeyRole: key_role();
    KeySizes: key_sizes();
    KeyStore: key_store();
    Keys: keys();
    Maturity: maturity();
    Measured: measured(number().prop_map(Ratio));
    ModuleState: module_state();
    ModuleStatus: module_status();
    MonitorSetting: monitor_setting();
    MonitorStatus: monitor_status();
    Nanometres: number().prop_map(Nanometres);
    Operation: operation();
    Origin: origin();
    Outcome: outcome();
    ParameterSpec: parameter_spec();
    ParameterType: parameter_type();
    ParameterValue: parameter_value();
    PathId: path_id();
    PathStatus: path_status();
    Performance: performance();
    Plan: plan();
    PolicyOwner: policy_owner();
    Port: port();
    PortState: port_state();
    PortStatus: port_status();
    PowerFailureBehaviour: power_failure();
    PowerMeterCapabilities: meter_capabilities();
    ProtectionCapabilities: protection_capabilities();
    ProtectionSetting: protection_setting();
    ProtectionStatus: protection_status();
    QkdCapabilities: qkd_capabilities();
    Quality: quality();
    RandomBytes: random_bytes();
    RandomCapabilities: random_capabilities();
    Ratio: number().prop_map(Ratio);
    Readback: readback();
    Reading: reading();
    ReadingValue: reading_value();
    Redelivery: redelivery();
    Request: request();
    RequestExtension: extension();
    Role: role();
    Scope: scope();
    SelectionMode: selection_mode();
    SettingKind: setting_kind();
    Severity: severity();
    ShotNoiseUnits: number().prop_map(ShotNoiseUnits);
    Slot: slot();
    Staged: staged();
    Staging: staging();
    Step: step();
    StreamItem: stream_item();
    Support: support();
    SwitchCapabilities: switch_capabilities();
    SwitchRequest: switch_request();
    SwitchState: switch_state();
    TrafficCounters: counters();
    TransportFault: transport_fault();
    Words: words();
}

/// Names of the public types in the sources below a folder.
fn public_types(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            public_types(&path, found);
        } else {
            let source = fs::read_to_string(&path).unwrap();
            for line in source.lines() {
                let declared = line.trim_start().strip_prefix("pub ");
                let name = declared.and_then(|l| {
                    l.strip_prefix("struct ")
                        .or_else(|| l.strip_prefix("enum "))
                });
                let name = name.and_then(|l| l.split(|c: char| !c.is_alphanumeric()).next());
                found.extend(name.filter(|n| !n.is_empty()).map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_public_type_travels_or_is_listed_as_staying() {
    let mut found = BTreeSet::new();
    public_types(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    for name in &found {
        let (travels, stays) = (TRAVELS.contains(&&**name), STAYS.contains(&&**name));
        assert!(
            travels != stays,
            "{name} is in none of the lists, or in both"
        );
    }
    for stays in STAYS {
        assert!(found.contains(*stays), "{stays} is gone");
    }
}

#[test]
fn each_operation_has_a_request_that_is_named_as_it_is() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..4000 {
        let request = request().new_tree(&mut runner).unwrap().current();
        let operation = request.operation();
        if seen.insert(operation) {
            let json = serde_json::to_value(&request).unwrap();
            assert_eq!(json["operation"], operation.name());
            assert!(request.to_string().starts_with(operation.name()));
            assert_eq!(request.clone().into_owned(), request);
        }
    }
    let all: BTreeSet<Operation> = Operation::ALL.iter().copied().collect();
    assert_eq!(seen, all);
}

#[test]
fn no_key_byte_is_in_what_travels() {
    let key = || Key::new("0102".parse().unwrap(), Zeroizing::new(vec![0xab; 32]));
    let (near, far) = (key(), key());
    let request = Request::Stage {
        channel: Cow::Owned("ca1".into()),
        key: (&near).into(),
    };
    let outcome = Outcome::Keys(Keys::Present(vec![far]));
    let random = Outcome::Random(RandomBytes::Present(Zeroizing::new(vec![0xab; 32])));
    let texts = [
        serde_json::to_string(&request).unwrap(),
        serde_json::to_string(&outcome).unwrap(),
        serde_json::to_string(&random).unwrap(),
        format!("{request} {request:?} {outcome:?} {random:?}"),
    ];
    for text in &texts {
        assert!(!text.contains("abab") && !text.contains("171"), "{text}");
    }
    // The other side has the label, and gets the bytes in addition.
    let there: Request<'_> = serde_json::from_str(&texts[0]).unwrap();
    assert_eq!(there.key(), None);
    assert_eq!(there.with_key(&near).unwrap(), request);
    let other = Key::new("0103".parse().unwrap(), Zeroizing::new(vec![1; 32]));
    assert!(there.with_key(&other).is_err());
    let secrets = || vec![Zeroizing::new(vec![0xab; 32])];
    let there: Outcome = serde_json::from_str(&texts[1]).unwrap();
    assert_eq!(there.with_secrets(secrets()).unwrap(), outcome);
    let there: Outcome = serde_json::from_str(&texts[1]).unwrap();
    let lost = there.with_secrets(Vec::new()).unwrap_err();
    assert_eq!(lost.effect(), Effect::Unknown);
    let there: Outcome = serde_json::from_str(&texts[2]).unwrap();
    assert_eq!(there.with_secrets(secrets()).unwrap(), random);
}
