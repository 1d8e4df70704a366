//! Strategies for data of QKD modules, random sources and encryptors.

use super::values::*;
use crate::{
    encryptor::{
        Activation, ChannelId, ChannelState, ChannelStatus, Confirmation, ConfirmationBasis,
        Confirmed, EncryptorCapabilities, FailureMode, KeySizes, Slot, Staged, Staging,
        TrafficCounters,
    },
    qkd::{
        KeyRequest, KeyStore, ModuleState, ModuleStatus, Performance, QkdCapabilities, Redelivery,
        RequestExtension, Role,
    },
    random::RandomCapabilities,
    reading::Measured,
    units::{Bits, BitsPerSecond, Ratio, ShotNoiseUnits},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

pub(super) fn role() -> impl Strategy<Value = Role> {
    use Role::*;
    select(vec![Transmitter, Receiver, Transceiver, KeyDelivery])
}
pub(super) fn module_state() -> impl Strategy<Value = ModuleState> {
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
pub(super) fn module_status() -> impl Strategy<Value = ModuleStatus> {
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
pub(super) fn performance() -> impl Strategy<Value = Performance> {
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
pub(super) fn key_store() -> impl Strategy<Value = KeyStore> {
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
pub(super) fn extension() -> impl Strategy<Value = RequestExtension> {
    (text(), text(), any::<bool>()).prop_map(|(name, value, mandatory)| RequestExtension {
        name,
        value,
        mandatory,
    })
}
pub(super) fn key_request() -> impl Strategy<Value = KeyRequest> {
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
pub(super) fn redelivery() -> impl Strategy<Value = Redelivery> {
    use Redelivery::*;
    select(vec![Refused, Repeats, Unknown])
}
pub(super) fn qkd_capabilities() -> impl Strategy<Value = QkdCapabilities> {
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
pub(super) fn random_capabilities() -> impl Strategy<Value = RandomCapabilities> {
    (any::<u32>(), option::of(number())).prop_map(|(max, rate)| RandomCapabilities {
        max_request: max as usize,
        rate: rate.map(BitsPerSecond),
    })
}
pub(super) fn channel_id() -> impl Strategy<Value = ChannelId> {
    text().prop_map(ChannelId)
}
pub(super) fn staging() -> impl Strategy<Value = Staging> {
    prop_oneof![
        (any::<u8>(), any::<bool>()).prop_map(|(count, receive_ready)| Staging::Slots {
            count,
            receive_ready
        }),
        Just(Staging::Overwrite),
    ]
}
pub(super) fn activation() -> impl Strategy<Value = Activation> {
    select(vec![
        Activation::SlotPointer,
        Activation::ForcedReinitialisation,
    ])
}
pub(super) fn failure_mode() -> impl Strategy<Value = FailureMode> {
    use FailureMode::*;
    select(vec![Block, AllowClear, Unknown])
}
pub(super) fn key_sizes() -> impl Strategy<Value = KeySizes> {
    prop_oneof![
        bits().prop_map(KeySizes::AnyUpTo),
        vec(bits(), 0..3).prop_map(KeySizes::OneOf),
        Just(KeySizes::Unknown),
    ]
}
pub(super) fn basis() -> impl Strategy<Value = ConfirmationBasis> {
    select(vec![
        ConfirmationBasis::KeyAndCounters,
        ConfirmationBasis::StateOnly,
    ])
}
pub(super) fn encryptor_capabilities() -> impl Strategy<Value = EncryptorCapabilities> {
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
pub(super) fn channel_state() -> impl Strategy<Value = ChannelState> {
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
pub(super) fn slot() -> impl Strategy<Value = Slot> {
    (any::<u8>(), option::of(key_id()), any::<bool>())
        .prop_map(|(number, key_id, active)| Slot::new(number, key_id, active))
}
pub(super) fn channel_status() -> impl Strategy<Value = ChannelStatus> {
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
pub(super) fn staged() -> impl Strategy<Value = Staged> {
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
pub(super) fn confirmation() -> impl Strategy<Value = Confirmation> {
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
pub(super) fn confirmed() -> impl Strategy<Value = Confirmed> {
    (staged(), text()).prop_map(|(staged, evidence)| {
        let confirmation = Confirmation::new(&staged, true, evidence);
        confirmation.confirmed().expect("it is confirmed")
    })
}
pub(super) fn counters() -> impl Strategy<Value = TrafficCounters> {
    vec(option::of(any::<u64>()), 6).prop_map(|n| TrafficCounters {
        encrypted: n[0],
        accepted: n[1],
        refused: n[2],
        clear: n[3],
        unknown_key: n[4],
        integrity_failures: n[5],
    })
}
