//! All data of the contracts travels: what was serialised and deserialised is what it was.

use crate::{
    Assumption, Capabilities, Certainty, Declarations, Descriptor, DeviceKind, DeviceMisbehaved,
    DeviceUri, Effect, Error, ErrorKind, Event, EventKind, Health, Identity, Key, KeyId, Maturity,
    Operation, Outcome, Request, StreamItem, Support, TransportFault,
    capability::EventSupport,
    device::HealthState,
    encryptor::{
        Activation, ChannelId, ChannelState, ChannelStatus, Confirmation, ConfirmationBasis,
        Confirmed, EncryptorCapabilities, FailureMode, KeySizes, Slot, Staged, Staging,
        TrafficCounters,
    },
    event::{Origin, Severity},
    optics::{
        AlarmLevels, ApplyReport, Attenuation, AttenuatorCapabilities, CrossConnect, CrossConnects,
        Fingerprint, Geometry, MonitorSetting, MonitorStatus, Plan, Port, PortState, PortStatus,
        PowerFailureBehaviour, PowerMeterCapabilities, Readback, Scope, Step, SwitchCapabilities,
        SwitchState,
        protection::{
            ActivePath, ExternalCommand, ExternalCommandKind, GroupId, PathId, PathStatus,
            ProtectionCapabilities, ProtectionSetting, ProtectionStatus, SelectionMode,
            SettingKind, SwitchRequest,
        },
    },
    parameter::{ParameterSpec, ParameterType, ParameterValue, Words},
    qkd::{
        KeyRequest, KeyStore, ModuleState, ModuleStatus, Performance, QkdCapabilities, Redelivery,
        RequestExtension, Role,
    },
    random::RandomCapabilities,
    reading::{Measured, Quality, Reading, ReadingValue},
    request::{KeyArgument, KeyLabel, Keys, RandomBytes},
    units::{
        Bits, BitsPerSecond, Bytes, Celsius, DecibelMilliwatts, Decibels, Hertz, Nanometres, Ratio,
        ShotNoiseUnits,
    },
};
use proptest::{
    collection::{btree_set, vec},
    option,
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt::Debug,
    fs,
    ops::RangeInclusive,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
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

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,8}", "[a-z0-9-]{1,12}", Just("inf".to_owned())]
}
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        -100.0..100.0,
        select(vec![
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            0.0,
            1.0,
            1e300
        ]),
    ]
}
fn duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_nanos)
}
fn time() -> impl Strategy<Value = SystemTime> {
    (0..253_402_300_799_u64, 0..1_000_000_000_u32)
        .prop_map(|(s, ns)| SystemTime::UNIX_EPOCH + Duration::new(s, ns))
}
/// A finite range: infinite ones are written as types, not as ranges.
fn range() -> impl Strategy<Value = RangeInclusive<f64>> {
    (-1e6..1e6_f64, 0.0..1e6_f64).prop_map(|(low, width)| low..=low + width)
}
fn quality() -> impl Strategy<Value = Quality> {
    use Quality::{Good, Invalid, OutOfRange, Stale};
    select(vec![Good, Stale, OutOfRange, Invalid])
}
fn measured<T: Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Measured<T>> {
    (value, time(), quality()).prop_map(|(value, at, quality)| Measured { value, at, quality })
}
fn certainty<T: Debug + Clone>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Certainty<T>> {
    (0..3, value).prop_map(|(n, value)| match n {
        0 => Certainty::Confirmed(value),
        1 => Certainty::Inferred(value),
        _ => Certainty::Unknown,
    })
}
fn key_id() -> impl Strategy<Value = KeyId> {
    prop_oneof![
        vec(any::<u8>(), 1..KeyId::MAX).prop_map(|b| KeyId::from_bytes(&b).expect("a key id")),
        "[!-~]{1,40}".prop_map(|t| t.parse().expect("a key id")),
    ]
}
fn bits() -> impl Strategy<Value = Bits> {
    any::<u64>().prop_map(Bits)
}
fn identity() -> impl Strategy<Value = Identity> {
    let optional = || option::of(text());
    (text(), optional(), optional(), optional()).prop_map(|(vendor, model, serial, firmware)| {
        Identity {
            vendor,
            model,
            serial,
            firmware,
        }
    })
}
fn operation() -> impl Strategy<Value = Operation> {
    select(Operation::ALL)
}
fn assumption() -> impl Strategy<Value = Assumption> {
    let texts = (text(), text(), text(), text());
    (texts, vec(operation(), 0..3)).prop_map(|((id, statement, source, disproof), operations)| {
        Assumption {
            id: id.into(),
            statement: statement.into(),
            source: source.into(),
            disproof: disproof.into(),
            operations: operations.into(),
        }
    })
}
fn kind() -> impl Strategy<Value = DeviceKind> {
    use DeviceKind::*;
    select(vec![
        QkdModule,
        Encryptor,
        OpticalSwitch,
        RandomSource,
        ProtectionSwitch,
        PowerMeter,
        Attenuator,
    ])
}
fn maturity() -> impl Strategy<Value = Maturity> {
    select(vec![
        Maturity::Emulated,
        Maturity::CrossChecked,
        Maturity::LabVerified,
    ])
}
fn descriptor() -> impl Strategy<Value = Descriptor> {
    let assumptions = vec(assumption(), 0..2);
    let accepted = btree_set(text(), 0..2);
    (
        text(),
        text(),
        vec(kind(), 0..3),
        maturity(),
        assumptions,
        accepted,
        duration(),
    )
        .prop_map(
            |(driver, uri, kinds, maturity, assumptions, accepted, deadline)| {
                Descriptor::new(driver, uri, maturity)
                    .with_kinds(&kinds)
                    .with_assumptions(assumptions, accepted)
                    .with_deadline(deadline)
            },
        )
}
fn capabilities() -> impl Strategy<Value = Capabilities> {
    let operations = || vec(operation(), 0..9);
    (operations(), operations(), event_support()).prop_map(|(applied, emulated, events)| {
        Capabilities::none()
            .with(&applied)
            .with_emulated(&emulated)
            .with_events(events)
    })
}
fn event_support() -> impl Strategy<Value = EventSupport> {
    select(vec![
        EventSupport::LinkOnly,
        EventSupport::Polled,
        EventSupport::Native,
    ])
}
fn health_state() -> impl Strategy<Value = HealthState> {
    select(vec![
        HealthState::Ok,
        HealthState::Degraded,
        HealthState::Failed,
    ])
}
fn health() -> impl Strategy<Value = Health> {
    (health_state(), vec(text(), 0..3)).prop_map(|(state, faults)| Health { state, faults })
}
fn transport_fault() -> impl Strategy<Value = TransportFault> {
    use TransportFault::*;
    select(vec![
        Framing, Overrun, Break, HungUp, Unplugged, Stall, System,
    ])
}
fn misbehaviour() -> impl Strategy<Value = DeviceMisbehaved> {
    use DeviceMisbehaved::*;
    select(vec![
        ReplyForAnotherRequest,
        UnsolicitedData,
        UnexpectedReply,
        KeyIdReused,
        WrongKeySize,
        WrongKeyCount,
        QberOutOfRange,
        ValueOutOfRange,
        ChangeNotApplied,
        NamesNotIncreasing,
        ShortPacket,
    ])
}
fn error_kind() -> impl Strategy<Value = ErrorKind> {
    use ErrorKind::*;
    prop_oneof![
        transport_fault().prop_map(Transport),
        misbehaviour().prop_map(Misbehaved),
        select(vec![
            Unsupported,
            InvalidInput,
            NotFound,
            Busy,
            Unreachable,
            Timeout,
            Refused,
            Authentication,
            NotReady,
            Exhausted,
            StateChanged,
            IdentityChanged,
            AssumptionNotAccepted,
            Closed,
            Internal,
        ]),
    ]
}
fn effect() -> impl Strategy<Value = Effect> {
    select(vec![Effect::None, Effect::Unknown, Effect::Partial])
}
fn error() -> impl Strategy<Value = Error> {
    let place = (option::of(text()), option::of(text()));
    let vendor = (option::of(text()), option::of(text()));
    (
        error_kind(),
        effect(),
        text(),
        place,
        vendor,
        vec(text(), 0..3),
    )
        .prop_map(
            |(kind, effect, message, (operation, device), (code, words), sources)| {
                let mut error = Error::new(kind, message).with_effect(effect);
                if let Some(operation) = operation {
                    error = error.with_operation(operation);
                }
                if let Some(device) = device {
                    error = error.with_device(device);
                }
                if let Some(code) = code {
                    error = error.with_vendor_code(code);
                }
                if let Some(words) = words {
                    error = error.with_vendor_text(words);
                }
                let sources = sources
                    .into_iter()
                    .map(|s| Error::new(ErrorKind::Internal, s));
                match sources.reduce(|inner, outer| outer.with_source(inner)) {
                    Some(source) => error.with_source(source),
                    None => error,
                }
            },
        )
}
fn origin() -> impl Strategy<Value = Origin> {
    select(vec![Origin::Device, Origin::Poll, Origin::Driver])
}
fn severity() -> impl Strategy<Value = Severity> {
    use Severity::*;
    select(vec![
        Cleared,
        Indeterminate,
        Warning,
        Minor,
        Major,
        Critical,
    ])
}
fn event_kind() -> impl Strategy<Value = EventKind> {
    let three = || (text(), text(), text());
    prop_oneof![
        text().prop_map(|reason| EventKind::LinkLost { reason }),
        Just(EventKind::LinkRestored),
        text().prop_map(|found| EventKind::IdentityChanged { found }),
        Just(EventKind::Restarted),
        (text(), text(), option::of(text()), severity()).prop_map(
            |(code, text, subject, severity)| EventKind::Alarm {
                code,
                text,
                subject,
                severity
            }
        ),
        (text(), text()).prop_map(|(subject, state)| EventKind::StateChanged { subject, state }),
        three().prop_map(|(group, path, request)| EventKind::SwitchOver {
            group,
            path,
            request
        }),
        (text(), text()).prop_map(|(name, detail)| EventKind::Vendor { name, detail }),
        vec(key_id(), 0..3).prop_map(|ids| EventKind::KeyLost { ids }),
    ]
}
fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), time(), origin(), event_kind()).prop_map(|(sequence, at, origin, kind)| Event {
        sequence,
        at,
        origin,
        kind,
    })
}
fn stream_item() -> impl Strategy<Value = StreamItem> {
    prop_oneof![
        event().prop_map(|e| StreamItem::Event(Arc::new(e))),
        any::<u64>().prop_map(StreamItem::Lost),
    ]
}
fn words() -> impl Strategy<Value = Words> {
    prop_oneof![
        Just(Words::Declared(&["dark", "restore"])),
        vec(text(), 0..3).prop_map(Words::Received),
    ]
}
fn parameter_type() -> impl Strategy<Value = ParameterType> {
    prop_oneof![
        words().prop_map(ParameterType::Choice),
        (any::<i64>(), any::<i64>()).prop_map(|(min, max)| ParameterType::Integer { min, max }),
        (number(), number()).prop_map(|(min, max)| ParameterType::Real { min, max }),
        Just(ParameterType::Flag),
        any::<u32>().prop_map(|max| ParameterType::Text { max: max as usize }),
    ]
}
fn parameter_spec() -> impl Strategy<Value = ParameterSpec> {
    let texts = (text(), text(), text());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (texts, parameter_type(), flags).prop_map(
        |((name, title, unit), values, (readable, writable, disruptive))| ParameterSpec {
            name: name.into(),
            title: title.into(),
            values,
            unit: unit.into(),
            readable,
            writable,
            disruptive,
        },
    )
}
fn parameter_value() -> impl Strategy<Value = ParameterValue> {
    prop_oneof![
        any::<i64>().prop_map(ParameterValue::Integer),
        number().prop_map(ParameterValue::Real),
        any::<bool>().prop_map(ParameterValue::Flag),
        text().prop_map(ParameterValue::Text),
    ]
}
fn reading_value() -> impl Strategy<Value = ReadingValue> {
    prop_oneof![
        any::<u64>().prop_map(ReadingValue::Count),
        number().prop_map(ReadingValue::Number),
        any::<bool>().prop_map(ReadingValue::Flag),
        text().prop_map(ReadingValue::Text),
    ]
}
fn reading() -> impl Strategy<Value = Reading> {
    (text(), reading_value(), text(), time(), quality()).prop_map(
        |(name, value, unit, at, quality)| Reading {
            name: name.into(),
            value,
            unit: unit.into(),
            at,
            quality,
        },
    )
}
fn role() -> impl Strategy<Value = Role> {
    use Role::*;
    select(vec![Transmitter, Receiver, Transceiver, KeyDelivery])
}
fn module_state() -> impl Strategy<Value = ModuleState> {
    use ModuleState::*;
    select(vec![
        Off,
        Booting,
        Initialising,
        AwaitingAuthenticationKey,
        Calibrating,
        Generating,
        Standby,
        Error,
        Maintenance,
        Unknown,
    ])
}
fn module_status() -> impl Strategy<Value = ModuleStatus> {
    let optional = || option::of(text());
    (module_state(), role(), optional(), optional(), optional()).prop_map(
        |(state, role, vendor_state, peer, pairing_group)| ModuleStatus {
            state,
            vendor_state,
            role,
            peer,
            pairing_group,
        },
    )
}
fn performance() -> impl Strategy<Value = Performance> {
    let value = || option::of(measured(number()));
    let ratio = |m: Option<Measured<f64>>| m.map(|m| m.map(Ratio));
    (
        value(),
        value(),
        value(),
        value(),
        option::of(measured(bits())),
    )
        .prop_map(
            move |(rate, qber, noise, visibility, last_block)| Performance {
                secret_key_rate: rate.map(|m| m.map(BitsPerSecond)),
                qber: ratio(qber),
                excess_noise: noise.map(|m| m.map(ShotNoiseUnits)),
                visibility: ratio(visibility),
                last_block,
            },
        )
}
fn key_store() -> impl Strategy<Value = KeyStore> {
    vec(option::of(any::<u64>()), 7).prop_map(|n| KeyStore {
        stored: n[0],
        capacity: n[1],
        key_size: n[2].map(Bits),
        min_key_size: n[3].map(Bits),
        max_key_size: n[4].map(Bits),
        max_per_request: n[5],
        max_additional_receivers: n[6],
    })
}
fn extension() -> impl Strategy<Value = RequestExtension> {
    (text(), text(), any::<bool>()).prop_map(|(name, value, mandatory)| RequestExtension {
        name,
        value,
        mandatory,
    })
}
fn key_request() -> impl Strategy<Value = KeyRequest> {
    let lists = (vec(text(), 0..2), vec(extension(), 0..2));
    (any::<u32>(), option::of(bits()), lists).prop_map(
        |(count, size, (additional_receivers, extensions))| KeyRequest {
            count,
            size,
            additional_receivers,
            extensions,
        },
    )
}
fn redelivery() -> impl Strategy<Value = Redelivery> {
    use Redelivery::*;
    select(vec![Refused, Repeats, Unknown])
}
fn qkd_capabilities() -> impl Strategy<Value = QkdCapabilities> {
    let time = || option::of(duration());
    (role(), redelivery(), time(), time(), time()).prop_map(
        |(role, redelivery, reinitialisation, start_stop_timeout, calibration_timeout)| {
            QkdCapabilities {
                role,
                redelivery,
                reinitialisation,
                start_stop_timeout,
                calibration_timeout,
            }
        },
    )
}
fn random_capabilities() -> impl Strategy<Value = RandomCapabilities> {
    (any::<u32>(), option::of(number())).prop_map(|(max, rate)| RandomCapabilities {
        max_request: max as usize,
        rate: rate.map(BitsPerSecond),
    })
}
fn channel_id() -> impl Strategy<Value = ChannelId> {
    text().prop_map(ChannelId)
}
fn staging() -> impl Strategy<Value = Staging> {
    prop_oneof![
        (any::<u8>(), any::<bool>()).prop_map(|(count, receive_ready)| Staging::Slots {
            count,
            receive_ready
        }),
        Just(Staging::Overwrite),
    ]
}
fn activation() -> impl Strategy<Value = Activation> {
    select(vec![
        Activation::SlotPointer,
        Activation::ForcedReinitialisation,
    ])
}
fn failure_mode() -> impl Strategy<Value = FailureMode> {
    use FailureMode::*;
    select(vec![Block, AllowClear, Unknown])
}
fn key_sizes() -> impl Strategy<Value = KeySizes> {
    prop_oneof![
        bits().prop_map(KeySizes::AnyUpTo),
        vec(bits(), 0..3).prop_map(KeySizes::OneOf),
        Just(KeySizes::Unknown),
    ]
}
fn basis() -> impl Strategy<Value = ConfirmationBasis> {
    select(vec![
        ConfirmationBasis::KeyAndCounters,
        ConfirmationBasis::StateOnly,
    ])
}
fn encryptor_capabilities() -> impl Strategy<Value = EncryptorCapabilities> {
    let shape = (staging(), activation(), key_sizes(), basis());
    let flags = (any::<bool>(), any::<bool>());
    (shape, flags, option::of(duration()), duration()).prop_map(
        |(
            (staging, activation, key_sizes, evidence),
            (activate_both, hitless),
            outage,
            confirm_timeout,
        )| EncryptorCapabilities {
            staging,
            activation,
            key_sizes,
            activate_both,
            hitless,
            outage,
            confirm_timeout,
            evidence,
        },
    )
}
fn channel_state() -> impl Strategy<Value = ChannelState> {
    use ChannelState::*;
    select(vec![
        Disabled,
        Initialising,
        Exchanging,
        Encrypting,
        Failed,
        Unknown,
    ])
}
fn slot() -> impl Strategy<Value = Slot> {
    (any::<u8>(), option::of(key_id()), any::<bool>())
        .prop_map(|(number, key_id, active)| Slot::new(number, key_id, active))
}
fn channel_status() -> impl Strategy<Value = ChannelStatus> {
    let texts = (option::of(text()), option::of(text()));
    (
        channel_id(),
        channel_state(),
        texts,
        vec(slot(), 0..3),
        failure_mode(),
    )
        .prop_map(
            |(channel, state, (vendor_state, cipher), slots, failure_mode)| ChannelStatus {
                channel,
                state,
                vendor_state,
                slots,
                failure_mode,
                cipher,
            },
        )
}
fn staged() -> impl Strategy<Value = Staged> {
    let baseline = proptest::collection::btree_map(text(), text(), 0..2);
    (
        channel_id(),
        key_id(),
        option::of(any::<u8>()),
        text(),
        baseline,
    )
        .prop_map(|(channel, key_id, slot, evidence, baseline)| {
            Staged::new(channel, key_id, slot, evidence).with_baseline(baseline)
        })
}
fn confirmation() -> impl Strategy<Value = Confirmation> {
    (staged(), any::<bool>(), text(), option::of(duration())).prop_map(
        |(staged, confirmed, evidence, outage)| {
            let confirmation = Confirmation::new(&staged, confirmed, evidence);
            match outage {
                Some(outage) => confirmation.with_outage(outage),
                None => confirmation,
            }
        },
    )
}
fn confirmed() -> impl Strategy<Value = Confirmed> {
    (staged(), text()).prop_map(|(staged, evidence)| {
        let confirmation = Confirmation::new(&staged, true, evidence);
        confirmation.confirmed().expect("it is confirmed")
    })
}
fn counters() -> impl Strategy<Value = TrafficCounters> {
    vec(option::of(any::<u64>()), 6).prop_map(|n| TrafficCounters {
        encrypted: n[0],
        accepted: n[1],
        refused: n[2],
        clear: n[3],
        unknown_key: n[4],
        integrity_failures: n[5],
    })
}
fn port() -> impl Strategy<Value = Port> {
    any::<u32>().prop_map(Port)
}
fn ports() -> impl Strategy<Value = BTreeSet<Port>> {
    btree_set(port(), 0..5)
}
fn cross_connect() -> impl Strategy<Value = CrossConnect> {
    (any::<u32>(), any::<u32>()).prop_map(|(a, b)| CrossConnect::new(a, b))
}
fn cross_connects() -> impl Strategy<Value = CrossConnects> {
    vec((1..5_u32, 5..9_u32), 0..6).prop_map(|pairs| {
        let mut all = CrossConnects::dark();
        for (ingress, egress) in pairs {
            let _ = all.insert(CrossConnect::new(ingress, egress));
        }
        all
    })
}
fn geometry() -> impl Strategy<Value = Geometry> {
    prop_oneof![
        (0..300_u32, 0..300_u32).prop_map(|(i, e)| Geometry::matrix(i, e)),
        (0..300_u32, any::<bool>())
            .prop_map(|(channels, dark)| Geometry::OneByN { channels, dark }),
        Just(Geometry::Crossbar),
    ]
}
fn step() -> impl Strategy<Value = Step> {
    let list = || vec(cross_connect(), 0..3);
    prop_oneof![
        cross_connect().prop_map(Step::Disconnect),
        cross_connect().prop_map(Step::Connect),
        (list(), list()).prop_map(|(from, to)| Step::Move { from, to }),
    ]
}
fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::Touched),
        ports().prop_map(Scope::Ports),
        Just(Scope::All)
    ]
}
fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    any::<[u8; 32]>().prop_map(Fingerprint::from_bytes)
}
fn switch_state() -> impl Strategy<Value = SwitchState> {
    (identity(), cross_connects()).prop_map(|(device, connections)| SwitchState {
        device,
        geometry: Geometry::matrix(4, 4),
        connections,
    })
}
fn plan() -> impl Strategy<Value = Plan> {
    (switch_state(), cross_connects(), any::<bool>()).prop_map(|(state, wanted, all)| {
        let scope = if all { Scope::All } else { Scope::Touched };
        state
            .plan()
            .to(wanted)
            .scope(scope)
            .build()
            .expect("a plan")
    })
}
fn power_failure() -> impl Strategy<Value = PowerFailureBehaviour> {
    use PowerFailureBehaviour::*;
    select(vec![Holds, GoesDark, BootMode])
}
fn readback() -> impl Strategy<Value = Readback> {
    select(vec![Readback::Device, Readback::LastAcknowledged])
}
fn switch_capabilities() -> impl Strategy<Value = SwitchCapabilities> {
    (
        geometry(),
        readback(),
        option::of(duration()),
        certainty(power_failure()),
    )
        .prop_map(
            |(geometry, readback, settling, power_loss)| SwitchCapabilities {
                geometry,
                readback,
                settling,
                power_loss,
            },
        )
}
fn port_state() -> impl Strategy<Value = PortState> {
    use PortState::*;
    select(vec![Enabled, Disabled, Failed, Unknown])
}
fn dbm() -> impl Strategy<Value = DecibelMilliwatts> {
    number().prop_map(DecibelMilliwatts)
}
fn db() -> impl Strategy<Value = Decibels> {
    number().prop_map(Decibels)
}
fn port_status() -> impl Strategy<Value = PortStatus> {
    let power = option::of(measured(dbm()));
    let attenuation = option::of(measured(db()));
    (port(), port_state(), option::of(port()), power, attenuation).prop_map(
        |(port, state, peer, power, attenuation)| PortStatus {
            port,
            state,
            peer,
            power,
            attenuation,
        },
    )
}
fn apply_report() -> impl Strategy<Value = ApplyReport> {
    (any::<u32>(), any::<bool>(), duration())
        .prop_map(|(steps, verified, took)| ApplyReport::new(steps as usize, verified, took))
}
fn alarm_levels() -> impl Strategy<Value = AlarmLevels> {
    (option::of(dbm()), option::of(dbm())).prop_map(|(low, high)| AlarmLevels { low, high })
}
fn monitor_setting() -> impl Strategy<Value = MonitorSetting> {
    prop_oneof![
        number().prop_map(|nm| MonitorSetting::Wavelength(Nanometres(nm))),
        duration().prop_map(MonitorSetting::Averaging),
        alarm_levels().prop_map(MonitorSetting::Alarms),
    ]
}
fn monitor_status() -> impl Strategy<Value = MonitorStatus> {
    let times = (option::of(number()), option::of(duration()));
    (port(), times, alarm_levels(), option::of(any::<bool>())).prop_map(
        |(port, (wavelength, averaging), alarms, alarmed)| MonitorStatus {
            port,
            wavelength: wavelength.map(Nanometres),
            averaging,
            alarms,
            alarmed,
        },
    )
}
fn meter_capabilities() -> impl Strategy<Value = PowerMeterCapabilities> {
    let ranges = (option::of(range()), option::of(range()));
    (ports(), vec(duration(), 0..3), ranges).prop_map(
        |(monitors, averaging, (wavelengths, alarms))| PowerMeterCapabilities {
            monitors,
            averaging,
            wavelengths,
            alarms,
        },
    )
}
fn attenuation() -> impl Strategy<Value = Attenuation> {
    prop_oneof![
        Just(Attenuation::Transparent),
        db().prop_map(Attenuation::Loss),
        dbm().prop_map(Attenuation::OutputPower),
        (db(), port()).prop_map(|(below, reference)| Attenuation::Relative { below, reference }),
        Just(Attenuation::Maximum),
        "[A-Z]{1,8}".prop_map(Attenuation::Other),
    ]
}
fn attenuator_capabilities() -> impl Strategy<Value = AttenuatorCapabilities> {
    let ranges = vec(option::of(range()), 3);
    (ports(), any::<bool>(), ranges).prop_map(|(ports, ends, ranges)| AttenuatorCapabilities {
        ports,
        ends,
        loss: ranges[0].clone(),
        output_power: ranges[1].clone(),
        relative: ranges[2].clone(),
    })
}
fn group_id() -> impl Strategy<Value = GroupId> {
    text().prop_map(GroupId)
}
fn path_id() -> impl Strategy<Value = PathId> {
    text().prop_map(PathId)
}
fn selection_mode() -> impl Strategy<Value = SelectionMode> {
    select(vec![SelectionMode::Automatic, SelectionMode::Manual])
}
fn setting_kind() -> impl Strategy<Value = SettingKind> {
    use SettingKind::*;
    select(vec![Mode, Preferred, Revertive, WaitToRestore, Threshold])
}
fn protection_setting() -> impl Strategy<Value = ProtectionSetting> {
    prop_oneof![
        selection_mode().prop_map(ProtectionSetting::Mode),
        path_id().prop_map(ProtectionSetting::Preferred),
        any::<bool>().prop_map(ProtectionSetting::Revertive),
        duration().prop_map(ProtectionSetting::WaitToRestore),
        (path_id(), dbm()).prop_map(|(path, level)| ProtectionSetting::Threshold { path, level }),
    ]
}
fn command_kind() -> impl Strategy<Value = ExternalCommandKind> {
    use ExternalCommandKind::*;
    select(vec![Clear, Lockout, Force, Manual])
}
fn command() -> impl Strategy<Value = ExternalCommand> {
    prop_oneof![
        Just(ExternalCommand::Clear),
        Just(ExternalCommand::Lockout),
        path_id().prop_map(ExternalCommand::Force),
        path_id().prop_map(ExternalCommand::Manual),
    ]
}
fn switch_request() -> impl Strategy<Value = SwitchRequest> {
    use SwitchRequest::*;
    select(vec![
        NoRequest,
        DoNotRevert,
        WaitToRestore,
        ManualSwitch,
        SignalDegrade,
        SignalFail,
        ForcedSwitch,
        LockoutOfProtection,
        Unknown,
    ])
}
fn active_path() -> impl Strategy<Value = ActivePath> {
    (path_id(), switch_request(), option::of((time(), origin()))).prop_map(
        |(path, request, since)| ActivePath {
            path,
            request,
            since,
        },
    )
}
fn path_status() -> impl Strategy<Value = PathStatus> {
    let power = (option::of(measured(dbm())), option::of(dbm()));
    (
        path_id(),
        option::of(port()),
        power,
        option::of(any::<bool>()),
    )
        .prop_map(|(path, port, (power, threshold), failed)| PathStatus {
            path,
            port,
            power,
            threshold,
            failed,
        })
}
fn protection_status() -> impl Strategy<Value = ProtectionStatus> {
    let settings = (
        option::of(path_id()),
        option::of(any::<bool>()),
        option::of(duration()),
    );
    let counts = option::of(any::<u64>());
    (
        group_id(),
        selection_mode(),
        active_path(),
        settings,
        vec(path_status(), 0..3),
        counts,
    )
        .prop_map(
            |(group, mode, active, (preferred, revertive, wait_to_restore), paths, n)| {
                ProtectionStatus {
                    group,
                    mode,
                    preferred,
                    active,
                    revertive,
                    wait_to_restore,
                    paths,
                    switch_overs: n,
                }
            },
        )
}
fn protection_capabilities() -> impl Strategy<Value = ProtectionCapabilities> {
    let kinds = (
        btree_set(setting_kind(), 0..4),
        btree_set(command_kind(), 0..4),
    );
    let wait = option::of((duration(), duration()).prop_map(|(a, b)| a.min(b)..=a.max(b)));
    let rest = (
        option::of(range()),
        option::of(duration()),
        certainty(power_failure()),
    );
    (kinds, wait, duration(), rest).prop_map(
        |((settings, commands), wait_to_restore, wait_step, (threshold, time, power_loss))| {
            ProtectionCapabilities {
                settings,
                commands,
                wait_to_restore,
                wait_step,
                threshold,
                switching_time: time,
                power_loss,
            }
        },
    )
}
fn declarations() -> impl Strategy<Value = Declarations> {
    let base = (descriptor(), capabilities(), vec(parameter_spec(), 0..2));
    let of_keys = (
        option::of(qkd_capabilities()),
        option::of(encryptor_capabilities()),
        option::of(random_capabilities()),
    );
    let of_light = (
        option::of(switch_capabilities()),
        option::of(protection_capabilities()),
        option::of(meter_capabilities()),
        option::of(attenuator_capabilities()),
    );
    (base, of_keys, of_light).prop_map(
        |(
            (descriptor, capabilities, parameters),
            (module, encryptor, random),
            (switch, protection, meter, attenuator),
        )| Declarations {
            descriptor,
            capabilities,
            parameters,
            module,
            encryptor,
            random,
            switch,
            protection,
            meter,
            attenuator,
        },
    )
}
fn key_label() -> impl Strategy<Value = KeyLabel> {
    (key_id(), bits()).prop_map(|(id, size)| KeyLabel { id, size })
}
fn keys() -> impl Strategy<Value = Keys> {
    vec(key_label(), 0..3).prop_map(Keys::Absent)
}
fn random_bytes() -> impl Strategy<Value = RandomBytes> {
    any::<u32>().prop_map(|n| RandomBytes::Absent(n as usize))
}
fn key_argument() -> impl Strategy<Value = KeyArgument<'static>> {
    key_id().prop_map(|id| {
        let key = Key::new(id, Zeroizing::new(vec![7; 32]));
        let channel = Cow::Owned(ChannelId::from("ca1"));
        let request = Request::Stage {
            channel,
            key: (&key).into(),
        };
        match request.into_owned() {
            Request::Stage { key, .. } => key,
            _ => unreachable!("it was made above"),
        }
    })
}
fn cow<T: Debug + Clone + 'static>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Cow<'static, T>> {
    value.prop_map(Cow::Owned)
}
fn request() -> impl Strategy<Value = Request<'static>> {
    let channel = || cow(channel_id());
    let ports = || vec(port(), 0..4).prop_map(Cow::Owned);
    let name = || text().prop_map(Cow::Owned);
    let without = select(vec![
        Request::Identity,
        Request::Health,
        Request::Telemetry,
        Request::ModuleStatus,
        Request::Performance,
        Request::KeyStore,
        Request::Start,
        Request::Stop,
        Request::Calibrate,
        Request::Channels,
        Request::Connections,
        Request::ProtectionGroups,
    ]);
    let of_keys = prop_oneof![
        name().prop_map(|name| Request::GetParameter { name }),
        (name(), cow(parameter_value()))
            .prop_map(|(name, value)| Request::SetParameter { name, value }),
        cow(key_request()).prop_map(|request| Request::TakeKeys { request }),
        vec(key_id(), 0..3).prop_map(|ids| Request::TakeKeysById { ids: ids.into() }),
        channel().prop_map(|channel| Request::Channel { channel }),
        (channel(), key_argument()).prop_map(|(channel, key)| Request::Stage { channel, key }),
        cow(staged()).prop_map(|staged| Request::Activate { staged }),
        cow(staged()).prop_map(|staged| Request::Confirm { staged }),
        cow(confirmed()).prop_map(|confirmed| Request::Retire { confirmed }),
        channel().prop_map(|channel| Request::Zeroize { channel }),
        (channel(), any::<bool>()).prop_map(|(channel, on)| Request::SetEncryption { channel, on }),
        channel().prop_map(|channel| Request::Counters { channel }),
        any::<u32>().prop_map(|n| Request::Random { length: n as usize }),
    ];
    let of_light = prop_oneof![
        ports().prop_map(|ports| Request::Ports { ports }),
        cow(plan()).prop_map(|plan| Request::Apply { plan }),
        (port(), any::<bool>()).prop_map(|(port, enabled)| Request::SetPort { port, enabled }),
        ports().prop_map(|ports| Request::Power { ports }),
        port().prop_map(|port| Request::Monitor { port }),
        (port(), monitor_setting()).prop_map(|(port, change)| Request::SetMonitor { port, change }),
        port().prop_map(|port| Request::Attenuation { port }),
        (port(), cow(attenuation()))
            .prop_map(|(port, wanted)| Request::SetAttenuation { port, wanted }),
        cow(group_id()).prop_map(|group| Request::ProtectionStatus { group }),
        (cow(group_id()), cow(protection_setting()))
            .prop_map(|(group, setting)| Request::SetProtection { group, setting }),
        (cow(group_id()), cow(command()))
            .prop_map(|(group, command)| Request::ProtectionCommand { group, command }),
    ];
    prop_oneof![without, of_keys, of_light]
}
fn outcome() -> impl Strategy<Value = Outcome> {
    let of_keys = prop_oneof![
        Just(()).prop_map(|()| Outcome::Done),
        identity().prop_map(Outcome::Identity),
        health().prop_map(Outcome::Health),
        vec(reading(), 0..3).prop_map(Outcome::Telemetry),
        parameter_value().prop_map(Outcome::Parameter),
        module_status().prop_map(Outcome::ModuleStatus),
        performance().prop_map(Outcome::Performance),
        key_store().prop_map(Outcome::KeyStore),
        keys().prop_map(Outcome::Keys),
        vec(channel_id(), 0..3).prop_map(Outcome::Channels),
        channel_status().prop_map(Outcome::Channel),
        staged().prop_map(Outcome::Staged),
        confirmation().prop_map(Outcome::Confirmation),
        counters().prop_map(Outcome::Counters),
        random_bytes().prop_map(Outcome::Random),
    ];
    let of_light = prop_oneof![
        measured(cross_connects()).prop_map(Outcome::Connections),
        vec(port_status(), 0..3).prop_map(Outcome::Ports),
        apply_report().prop_map(Outcome::Applied),
        vec(measured(dbm()), 0..3).prop_map(Outcome::Power),
        monitor_status().prop_map(Outcome::Monitor),
        attenuation().prop_map(Outcome::Attenuation),
        vec(group_id(), 0..3).prop_map(Outcome::ProtectionGroups),
        measured(protection_status()).prop_map(Outcome::ProtectionStatus),
    ];
    prop_oneof![of_keys, of_light]
}
fn support() -> impl Strategy<Value = Support> {
    use Support::*;
    select(vec![Unsupported, Emulated, Applied])
}
fn device_uri() -> impl Strategy<Value = DeviceUri> {
    select(vec![
        "polatis+tcp://192.0.2.7:5025?assume=polatis.serial-38400",
        "dicon+serial:///dev/ttyS0?model=gp600",
        "polatis+snmp://[fe80::1%25eth0]:1161?bulk=8",
    ])
    .prop_map(|text| text.parse().expect("a URI"))
}

/// Types that hold secrets or code, and do not travel.
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
    Hertz: number().prop_map(Hertz);
    Identity: identity();
    KeyArgument: key_argument();
    KeyId: key_id();
    KeyLabel: key_label();
    KeyRequest: key_request();
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
