//! Strategies for values of every device: identity, errors, events, parameters, readings.

use crate::{
    Assumption, Capabilities, Certainty, Descriptor, DeviceKind, DeviceMisbehaved, Effect, Error,
    ErrorKind, Event, EventKind, Health, Identity, KeyId, Maturity, Operation, StreamItem,
    TransportFault,
    capability::EventSupport,
    device::HealthState,
    event::{Origin, Severity},
    parameter::{ParameterSpec, ParameterType, ParameterValue, Words},
    reading::{Measured, Quality, Reading, ReadingValue},
    units::Bits,
};
use proptest::{
    collection::{btree_set, vec},
    option,
    prelude::*,
    sample::select,
};
use std::{
    fmt::Debug,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,8}", "[a-z0-9-]{1,12}", Just("inf".to_owned())]
}
pub(super) fn number() -> impl Strategy<Value = f64> {
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
pub(super) fn duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_nanos)
}
pub(super) fn time() -> impl Strategy<Value = SystemTime> {
    (0..253_402_300_799_u64, 0..1_000_000_000_u32)
        .prop_map(|(s, ns)| SystemTime::UNIX_EPOCH + Duration::new(s, ns))
}
pub(super) fn range() -> impl Strategy<Value = RangeInclusive<f64>> {
    let limit = f64::INFINITY;
    prop_oneof![
        (-1e6..1e6_f64, 0.0..1e6_f64).prop_map(|(low, width)| low..=low + width),
        select(vec![-limit..=0.0, -30.0..=limit, -limit..=limit]),
    ]
}
pub(super) fn quality() -> impl Strategy<Value = Quality> {
    use Quality::{Good, Invalid, OutOfRange, Stale};
    select(vec![Good, Stale, OutOfRange, Invalid])
}
pub(super) fn measured<T: Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Measured<T>> {
    (value, time(), quality()).prop_map(|(value, at, quality)| Measured { value, at, quality })
}
pub(super) fn certainty<T: Debug + Clone>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Certainty<T>> {
    (0..3, value).prop_map(|(n, value)| match n {
        0 => Certainty::Confirmed(value),
        1 => Certainty::Inferred(value),
        _ => Certainty::Unknown,
    })
}
pub(super) fn key_id() -> impl Strategy<Value = KeyId> {
    prop_oneof![
        vec(any::<u8>(), 1..KeyId::MAX).prop_map(|b| KeyId::from_bytes(&b).expect("a key id")),
        "[!-~]{1,40}".prop_map(|t| t.parse().expect("a key id")),
    ]
}
pub(super) fn bits() -> impl Strategy<Value = Bits> {
    any::<u64>().prop_map(Bits)
}
pub(super) fn identity() -> impl Strategy<Value = Identity> {
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
pub(super) fn operation() -> impl Strategy<Value = Operation> {
    select(Operation::ALL)
}
pub(super) fn assumption() -> impl Strategy<Value = Assumption> {
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
pub(super) fn kind() -> impl Strategy<Value = DeviceKind> {
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
pub(super) fn maturity() -> impl Strategy<Value = Maturity> {
    select(vec![
        Maturity::Emulated,
        Maturity::CrossChecked,
        Maturity::LabVerified,
    ])
}
pub(super) fn descriptor() -> impl Strategy<Value = Descriptor> {
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
pub(super) fn capabilities() -> impl Strategy<Value = Capabilities> {
    let operations = || vec(operation(), 0..9);
    (operations(), operations(), event_support()).prop_map(|(applied, emulated, events)| {
        Capabilities::none()
            .with(&applied)
            .with_emulated(&emulated)
            .with_events(events)
    })
}
pub(super) fn event_support() -> impl Strategy<Value = EventSupport> {
    select(vec![
        EventSupport::LinkOnly,
        EventSupport::Polled,
        EventSupport::Native,
    ])
}
pub(super) fn health_state() -> impl Strategy<Value = HealthState> {
    select(vec![
        HealthState::Ok,
        HealthState::Degraded,
        HealthState::Failed,
    ])
}
pub(super) fn health() -> impl Strategy<Value = Health> {
    (health_state(), vec(text(), 0..3)).prop_map(|(state, faults)| Health { state, faults })
}
pub(super) fn transport_fault() -> impl Strategy<Value = TransportFault> {
    use TransportFault::*;
    select(vec![
        Framing, Overrun, Break, HungUp, Unplugged, Stall, System,
    ])
}
pub(super) fn misbehaviour() -> impl Strategy<Value = DeviceMisbehaved> {
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
pub(super) fn error_kind() -> impl Strategy<Value = ErrorKind> {
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
pub(super) fn effect() -> impl Strategy<Value = Effect> {
    select(vec![Effect::None, Effect::Unknown, Effect::Partial])
}
pub(super) fn error() -> impl Strategy<Value = Error> {
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
pub(super) fn origin() -> impl Strategy<Value = Origin> {
    select(vec![Origin::Device, Origin::Poll, Origin::Driver])
}
pub(super) fn severity() -> impl Strategy<Value = Severity> {
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
pub(super) fn event_kind() -> impl Strategy<Value = EventKind> {
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
pub(super) fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), time(), origin(), event_kind()).prop_map(|(sequence, at, origin, kind)| Event {
        sequence,
        at,
        origin,
        kind,
    })
}
pub(super) fn stream_item() -> impl Strategy<Value = StreamItem> {
    prop_oneof![
        event().prop_map(|e| StreamItem::Event(Arc::new(e))),
        any::<u64>().prop_map(StreamItem::Lost),
    ]
}
pub(super) fn words() -> impl Strategy<Value = Words> {
    prop_oneof![
        Just(Words::Declared(&["dark", "restore"])),
        vec(text(), 0..3).prop_map(Words::Received),
    ]
}
pub(super) fn parameter_type() -> impl Strategy<Value = ParameterType> {
    prop_oneof![
        words().prop_map(ParameterType::Choice),
        (any::<i64>(), any::<i64>()).prop_map(|(min, max)| ParameterType::Integer { min, max }),
        (number(), number()).prop_map(|(min, max)| ParameterType::Real { min, max }),
        Just(ParameterType::Flag),
        any::<u32>().prop_map(|max| ParameterType::Text { max: max as usize }),
    ]
}
pub(super) fn parameter_spec() -> impl Strategy<Value = ParameterSpec> {
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
pub(super) fn parameter_value() -> impl Strategy<Value = ParameterValue> {
    prop_oneof![
        any::<i64>().prop_map(ParameterValue::Integer),
        number().prop_map(ParameterValue::Real),
        any::<bool>().prop_map(ParameterValue::Flag),
        text().prop_map(ParameterValue::Text),
    ]
}
pub(super) fn reading_value() -> impl Strategy<Value = ReadingValue> {
    prop_oneof![
        any::<u64>().prop_map(ReadingValue::Count),
        number().prop_map(ReadingValue::Number),
        any::<bool>().prop_map(ReadingValue::Flag),
        text().prop_map(ReadingValue::Text),
    ]
}
pub(super) fn reading() -> impl Strategy<Value = Reading> {
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
