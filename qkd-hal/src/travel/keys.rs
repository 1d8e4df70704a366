//! Strategies for data of QKD modules, random sources and encryptors.

use super::values::*;
use crate::{
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
