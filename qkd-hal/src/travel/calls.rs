//! Strategies for declarations, requests and outcomes.

use super::{encryption::*, keys::*, light::*, values::*};
use crate::{
    Declarations, DeviceUri, Key, Outcome, Request, Support,
    encryptor::ChannelId,
    request::{KeyArgument, KeyLabel, Keys, RandomBytes},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::{borrow::Cow, fmt::Debug};
use zeroize::Zeroizing;

pub(super) fn declarations() -> impl Strategy<Value = Declarations> {
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
pub(super) fn key_label() -> impl Strategy<Value = KeyLabel> {
    (key_id(), bits()).prop_map(|(id, size)| KeyLabel { id, size })
}
pub(super) fn keys() -> impl Strategy<Value = Keys> {
    vec(key_label(), 0..3).prop_map(Keys::Absent)
}
pub(super) fn random_bytes() -> impl Strategy<Value = RandomBytes> {
    any::<u32>().prop_map(|n| RandomBytes::Absent(n as usize))
}
pub(super) fn key_argument() -> impl Strategy<Value = KeyArgument<'static>> {
    (key_id(), option::of(key_role())).prop_map(|(id, role)| {
        let mut key = Key::new(id, Zeroizing::new(vec![7; 32]));
        if let Some(role) = role {
            key = key.with_role(role);
        }
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
pub(super) fn cow<T: Debug + Clone + 'static>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Cow<'static, T>> {
    value.prop_map(Cow::Owned)
}
pub(super) fn request() -> impl Strategy<Value = Request<'static>> {
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
        (cow(staged()), duration())
            .prop_map(|(staged, longest)| Request::Confirm { staged, longest }),
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
pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
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
pub(super) fn support() -> impl Strategy<Value = Support> {
    use Support::*;
    select(vec![Unsupported, Emulated, Applied])
}
pub(super) fn device_uri() -> impl Strategy<Value = DeviceUri> {
    select(vec![
        "polatis+tcp://192.0.2.7:5025?assume=polatis.serial-38400",
        "dicon+serial:///dev/ttyS0?model=gp600",
        "polatis+snmp://[fe80::1%25eth0]:1161?bulk=8",
    ])
    .prop_map(|text| text.parse().expect("a URI"))
}
