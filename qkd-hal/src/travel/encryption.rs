//! Strategies for data of encryptors.

use super::values::*;
use crate::encryptor::{
    Activation, ChannelId, ChannelState, ChannelStatus, Confirmation, ConfirmationBasis, Confirmed,
    EncryptorCapabilities, FailureMode, HalfDoneRoll, Hitless, KeyAlphabet, KeyForm, KeyIdForm,
    KeyRole, KeySizes, PolicyOwner, Slot, Staged, Staging, TrafficCounters,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

pub(super) fn channel_id() -> impl Strategy<Value = ChannelId> {
    text().prop_map(ChannelId)
}
pub(super) fn staging() -> impl Strategy<Value = Staging> {
    prop_oneof![
        (any::<u8>(), any::<bool>()).prop_map(|(count, receive_ready)| Staging::Slots {
            count,
            receive_ready
        }),
        select(vec![Staging::Overwrite, Staging::Named, Staging::None]),
    ]
}
pub(super) fn activation() -> impl Strategy<Value = Activation> {
    use Activation::*;
    prop_oneof![
        select(vec![
            SlotPointer,
            ForcedReinitialisation,
            MakeBeforeBreak,
            None
        ]),
        option::of(duration()).prop_map(|longest| NextExchange { longest }),
    ]
}
pub(super) fn failure_mode() -> impl Strategy<Value = FailureMode> {
    use FailureMode::*;
    select(vec![Block, AllowClear, Unknown])
}
pub(super) fn key_role() -> impl Strategy<Value = KeyRole> {
    use KeyRole::*;
    select(vec![Cak, Sak, Ppk, Psk, KeyEncryptionPassword])
}
pub(super) fn key_sizes() -> impl Strategy<Value = KeySizes> {
    prop_oneof![
        bits().prop_map(KeySizes::AnyUpTo),
        (bits(), bits()).prop_map(|(least, most)| KeySizes::Within { least, most }),
        vec(bits(), 0..3).prop_map(KeySizes::OneOf),
        Just(KeySizes::Unknown),
    ]
}
pub(super) fn key_alphabet() -> impl Strategy<Value = KeyAlphabet> {
    select(vec![KeyAlphabet::AnyByte, KeyAlphabet::PrintableAscii])
}
pub(super) fn key_id_form() -> impl Strategy<Value = KeyIdForm> {
    prop_oneof![
        Just(KeyIdForm::None),
        (any::<u8>(), any::<u8>()).prop_map(|(least, most)| KeyIdForm::Bytes { least, most }),
        any::<u8>().prop_map(|most| KeyIdForm::Text { most }),
    ]
}
pub(super) fn key_form() -> impl Strategy<Value = KeyForm> {
    (key_role(), key_sizes(), key_alphabet(), key_id_form()).prop_map(
        |(role, sizes, alphabet, id)| KeyForm::new(role, sizes, id).with_alphabet(alphabet),
    )
}
pub(super) fn hitless() -> impl Strategy<Value = Hitless> {
    (any::<bool>(), text()).prop_map(|(is_hitless, evidence)| match is_hitless {
        true => Hitless::yes(evidence),
        false => Hitless::no(evidence),
    })
}
pub(super) fn half_done_roll() -> impl Strategy<Value = HalfDoneRoll> {
    use HalfDoneRoll::*;
    select(vec![
        PreviousKeyProtects,
        FailsAtNextExchange,
        StopsAtActivation,
        NotApplicable,
    ])
}
pub(super) fn policy_owner() -> impl Strategy<Value = PolicyOwner> {
    use PolicyOwner::*;
    select(vec![ByDevice, ByController, Unsupported])
}
pub(super) fn basis() -> impl Strategy<Value = ConfirmationBasis> {
    use ConfirmationBasis::*;
    select(vec![KeyAndCounters, KeyOnly, StateOnly])
}
pub(super) fn encryptor_capabilities() -> impl Strategy<Value = EncryptorCapabilities> {
    let shape = (
        staging(),
        activation(),
        option::of(key_form()),
        any::<bool>(),
    );
    let traffic = (hitless(), half_done_roll(), option::of(duration()));
    let policies = (policy_owner(), policy_owner());
    (shape, traffic, duration(), basis(), policies).prop_map(
        |(
            (staging, activation, key, activate_both),
            (hitless, half_done_roll, outage),
            confirm_timeout,
            evidence,
            (starvation, failure),
        )| EncryptorCapabilities {
            staging,
            activation,
            key,
            activate_both,
            hitless,
            half_done_roll,
            outage,
            confirm_timeout,
            evidence,
            starvation,
            failure,
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
