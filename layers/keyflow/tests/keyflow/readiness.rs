//! Checks before a key is taken, and the steps of an ordinary roll.

use crate::{
    bench::{Exchanges, FAMILIES, Family, World},
    mocks::{Log, MockEnd, id, key, pair},
};
use qkd_hal::{
    Assumption, Effect, Error, ErrorKind, Key, Operation,
    encryptor::{
        ChannelState, Confirmation, FailureMode, HalfDoneRoll, Hitless, KeyForm, KeySizes, Staged,
    },
    units::Bits,
};
use qkd_keyflow::{
    EncryptorPair,
    End::{self, Far, Near},
    KeySource, Readiness, RollOutcome, StopPoint, find_channel,
};
use std::time::Duration;
use zeroize::Zeroizing;

const fn assumption(id: &'static str, operations: &'static [Operation]) -> Assumption {
    Assumption::declare(id, "The device does so.")
        .source("a test")
        .disproof("it does not")
        .operations(operations)
}

static ASSUMED: [Assumption; 3] = [
    assumption("mock.staging", &[Operation::Stage]),
    assumption("mock.accepted", &[Operation::Confirm]),
    assumption("mock.zeroizing", &[Operation::Zeroize]),
];

fn both() -> [MockEnd; 2] {
    [Near, Far].map(MockEnd::slots)
}

async fn readiness([near, far]: [MockEnd; 2]) -> Readiness {
    pair(near, far).await.readiness().await.unwrap()
}

/// The form of the keys of an end that takes keys.
fn form(end: &mut MockEnd) -> &mut KeyForm {
    end.capabilities.key.as_mut().expect("it takes keys")
}

#[tokio::test]
async fn a_roll_that_cannot_start_says_why_before_a_key_is_taken() {
    type Change = fn(&mut MockEnd);
    let cases: [(&str, End, Change, ErrorKind, &str); 8] = [
        (
            "assumption",
            Far,
            |end| end.assumptions = &ASSUMED,
            ErrorKind::AssumptionNotAccepted,
            "no key was taken: `mock.staging`: The device does so.",
        ),
        (
            "operation",
            Near,
            |end| end.operations = end.operations.clone().without(&[Operation::Stage]),
            ErrorKind::Unsupported,
            "does not support `stage`",
        ),
        (
            "activation of the second end",
            Far,
            |end| end.operations = end.operations.clone().without(&[Operation::Activate]),
            ErrorKind::Unsupported,
            "does not support `activate`",
        ),
        (
            "confirmation",
            Far,
            |end| end.operations = end.operations.clone().without(&[Operation::Confirm]),
            ErrorKind::Unsupported,
            "does not support `confirm`",
        ),
        (
            "key size",
            Far,
            |end| form(end).sizes = KeySizes::one_of(&[Bits(192)]),
            ErrorKind::InvalidInput,
            "no common key size; name one: the near end accepts 128 bit, 256 bit, the far end \
             192 bit",
        ),
        (
            "disabled",
            Far,
            |end| end.status.state = ChannelState::Disabled,
            ErrorKind::NotReady,
            "encryption is disabled on channel 1",
        ),
        (
            "one channel",
            Far,
            |end| end.uri = "mock+mem://near",
            ErrorKind::InvalidInput,
            "channel 1 is both ends of the pair",
        ),
        (
            "reading",
            Near,
            |end| end.operations = end.operations.clone().without(&[Operation::Channel]),
            ErrorKind::Unsupported,
            "does not support `channel`",
        ),
    ];
    for (what, end, change, kind, reason) in cases {
        let mut ends = both();
        change(&mut ends[end as usize]);
        let uri = ends[end as usize].uri;
        let readiness = readiness(ends).await;
        let text = readiness.to_string();
        assert!(
            text.contains("cannot start: ") && text.contains(reason),
            "{what}: {text}"
        );
        let json = serde_json::to_value(&readiness).unwrap();
        assert_eq!(
            json["obstacles"][0]["kind"],
            kind.name(),
            "{what}: {json:#}"
        );
        let error = readiness.ready().unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (kind, Effect::None),
            "{what}"
        );
        assert!(error.message().contains(reason), "{what}: {error}");
        assert_eq!(
            error.device(),
            (what != "key size").then_some(uri),
            "{what}"
        );
    }
}

#[tokio::test]
async fn all_reasons_are_named_at_once() {
    let mut ends = both();
    ends[0].assumptions = &ASSUMED;
    ends[1].status.state = ChannelState::Disabled;
    let error = readiness(ends).await.ready().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AssumptionNotAccepted);
    for part in ["`mock.staging`", "mock+mem://far: encryption is disabled"] {
        assert!(error.message().contains(part), "{error}");
    }
    assert!(!error.message().contains("mock.accepted"), "{error}");
    assert!(!error.message().contains("mock.zeroizing"), "{error}");
}

#[tokio::test]
async fn an_end_that_is_not_activated_needs_no_activation() {
    let ends = [Near, Far].map(MockEnd::overwriting);
    let [near, mut far] = ends;
    far.operations = far.operations.without(&[Operation::Activate]);
    let readiness = readiness([near, far]).await;
    assert_eq!(readiness.obstacles, []);
    let text = readiness.to_string();
    assert!(
        text.contains("steps: stage at both ends, activate at the near end, confirm at both ends"),
        "{text}"
    );
    // Where one of the two asks for it, both are activated.
    let [near, far] = [MockEnd::overwriting(Near), MockEnd::slots(Far)];
    let readiness = pair(near, far).await.readiness().await.unwrap();
    let text = readiness.to_string();
    assert!(text.contains("activate at both ends"), "{text}");
    assert!(text.contains("retire at the far end"), "{text}");
}

#[tokio::test]
async fn the_outage_is_that_of_both_ends() {
    for (near, far, is_none, declared, text) in [
        (
            MockEnd::slots(Near),
            MockEnd::slots(Far),
            true,
            None,
            "No outage expected",
        ),
        (
            MockEnd::slots(Near),
            MockEnd::overwriting(Far),
            false,
            Some(Duration::from_secs(2)),
            "Traffic drops while the encryptors re-initialise, for up to 2s (declared).",
        ),
        (
            MockEnd::slots(Near).with_state(ChannelState::Failed),
            MockEnd::slots(Far),
            false,
            None,
            "traffic does not pass until both use the new key",
        ),
        (
            MockEnd::slots(Near).with_slots(&[(1, Some(id(1)), true)]),
            MockEnd::slots(Far).with_slots(&[(1, Some(id(2)), true)]),
            false,
            None,
            "traffic does not pass until both use the new key",
        ),
    ] {
        let readiness = readiness([near, far]).await;
        assert_eq!(
            (readiness.outage.is_none(), readiness.outage.declared()),
            (is_none, declared)
        );
        assert!(readiness.to_string().contains(text), "{readiness}");
    }
    let [mut near, far] = both();
    near.capabilities.hitless = Hitless::no("a test");
    near.status.failure_mode = FailureMode::AllowClear;
    let readiness = readiness([near, far]).await;
    let text = readiness.to_string();
    for part in [
        "Traffic drops while the encryptors change to the new key, for a time that is not \
         declared.",
        "TRAFFIC MAY PASS UNENCRYPTED at the near end while no key is agreed.",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let json = serde_json::to_value(&readiness).unwrap();
    assert_eq!(
        json["outage"],
        serde_json::json!({"kind": "drops", "reinitialises": false, "declared_ns": null})
    );
}

#[tokio::test]
async fn the_key_size_is_the_largest_that_both_accept_or_the_named_one() {
    let [near, far] = [MockEnd::slots(Near), MockEnd::overwriting(Far)];
    let pair = pair(near, far).await;
    let size = async |pair: &EncryptorPair| pair.readiness().await.unwrap().ready();
    assert_eq!(size(&pair).await.unwrap().key_size(), Bits(256));
    let named = |bits| pair.clone().with_key_size(Bits(bits));
    assert_eq!(size(&named(128)).await.unwrap().key_size(), Bits(128));
    let error = size(&named(192)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.message().contains("192 bit does not fit both ends"),
        "{error}"
    );
}

#[tokio::test]
async fn a_channel_is_the_only_one_or_the_named_one() {
    let channels = |all: &'static [&'static str]| {
        let mut encryptor = qkd_hal::mock::MockEncryptor::new();
        encryptor
            .expect_channels()
            .returning(|| Ok(all.iter().map(|c| (*c).into()).collect()));
        encryptor
    };
    let (one, two, none) = (channels(&["a"]), channels(&["a", "b"]), channels(&[]));
    assert_eq!(find_channel(&one, None).await.unwrap().0, "a");
    assert_eq!(find_channel(&two, Some("b")).await.unwrap().0, "b");
    for (encryptor, named, kind, text) in [
        (&two, None, ErrorKind::InvalidInput, "name one of: a, b"),
        (
            &two,
            Some("c"),
            ErrorKind::NotFound,
            "no channel `c`; there are: a, b",
        ),
        (&none, None, ErrorKind::InvalidInput, "no channel"),
    ] {
        let error = find_channel(encryptor, named).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains(text), "{error}");
    }
}

#[tokio::test]
async fn keys_that_are_not_one_or_do_not_fit_are_refused_before_anything_is_sent() {
    let other = |n: u8, bytes: usize| Key::new(id(1), Zeroizing::new(vec![n; bytes]));
    for (near, far, text) in [
        (key(1), key(2), "are not the same"),
        (key(1), other(2, 32), "are not the same"),
        (
            other(1, 24),
            other(1, 24),
            "the near end: unsupported key size 192 bit",
        ),
    ] {
        let mut log = Log::default();
        let roll = readiness(both()).await.ready().unwrap();
        let error = roll.run([&near, &far], &mut log).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::InvalidInput, Effect::None)
        );
        assert!(error.message().contains(text), "{error}");
        assert_eq!(log.records, []);
    }
}

/// Ends at which the calls of a roll succeed up to one.
fn failing_at(place: usize) -> [MockEnd; 2] {
    let calls = [
        "stage near",
        "stage far",
        "activate near",
        "activate far",
        "confirm near",
        "confirm far",
        "retire near",
        "retire far",
    ];
    let error = move |call: &str| {
        (calls.get(place) == Some(&call)).then(|| {
            Error::new(ErrorKind::Refused, "the device refused")
                .with_vendor_code("17")
                .with_device("mock")
        })
    };
    [Near, Far].map(|end| {
        let mut mock = MockEnd::slots(end);
        let name = if end == Near { "near" } else { "far" };
        let fails = move |step: &str| error(&format!("{step} {name}"));
        mock.encryptor
            .expect_stage()
            .returning(move |channel, key| {
                let staged = Staged::new(channel.clone(), key.id().clone(), Some(2), "staged");
                fails("stage").map_or(Ok(staged), Err)
            });
        mock.encryptor
            .expect_activate()
            .returning(move |_| fails("activate").map_or(Ok(()), Err));
        mock.encryptor.expect_confirm().returning(move |staged, _| {
            let confirmation = Confirmation::new(staged, true, "as read");
            fails("confirm").map_or(Ok(confirmation), Err)
        });
        mock.encryptor
            .expect_retire()
            .returning(move |_| fails("retire").map_or(Ok(()), Err));
        mock
    })
}

#[tokio::test]
async fn an_error_says_how_far_the_roll_came_and_ends_it() {
    for (place, effect, progress) in [
        (0, Effect::None, "the device refused"),
        (1, Effect::Partial, "(the first end has the new key staged)"),
        (2, Effect::Partial, "neither was activated before)"),
        (
            3,
            Effect::Partial,
            "(the first end was activated, the second was not)",
        ),
        (4, Effect::Partial, "(the new key was activated)"),
        (5, Effect::Partial, "(the new key was activated)"),
        (
            6,
            Effect::Partial,
            "(the new key protects traffic; the one before was not retired)",
        ),
        (
            7,
            Effect::Partial,
            "(the new key protects traffic; the one before was not retired)",
        ),
    ] {
        let roll = readiness(failing_at(place)).await.ready().unwrap();
        let mut log = Log::default();
        let error = roll.run([&key(1), &key(1)], &mut log).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::Refused, effect),
            "{error}"
        );
        assert!(error.message().contains(progress), "{place}: {error}");
        assert_eq!(
            (error.device(), error.vendor_code()),
            (Some("mock"), Some("17"))
        );
        let words = log.words();
        assert_eq!(words.len(), 1 + 2 * (place + 1), "{words:?}");
        assert!(words.last().unwrap().starts_with("failed "), "{words:?}");
    }
}

#[tokio::test]
async fn each_step_is_recorded_before_and_after_it() {
    let roll = readiness(failing_at(usize::MAX)).await.ready().unwrap();
    let mut log = Log::default();
    let outcome = roll.run([&key(1), &key(1)], &mut log).await.unwrap();
    assert!(matches!(outcome, RollOutcome::Ended(r) if r.is_confirmed() && r.retired));
    let step = |event: &str, done: &str| {
        ["near end", "far end"]
            .map(|end| {
                [
                    format!("begun {event} {end}"),
                    format!("{done} {event} {end}"),
                ]
            })
            .concat()
    };
    let expected = [
        vec!["taken".to_owned()],
        step("stage", "staged"),
        step("activate", "done"),
        step("confirm", "done"),
        step("retire", "done"),
        vec!["finished".to_owned()],
    ];
    assert_eq!(log.words(), expected.concat());
    assert!(log.records.iter().all(|r| *r.key_id() == id(1)));
}

/// A roll of an emulated pair that is asked to stop after `n` records.
async fn stopped(family: Family, n: usize) -> (World, RollOutcome) {
    let world = World::new(family, 1).await;
    let exchanges = Exchanges::cut_at(None);
    let outcome = world.run(&exchanges, async |pair| {
        let roll = pair.readiness().await?.ready()?;
        let [near, far] = world.modules().take(roll.key_size()).await?;
        let mut journal = world.journal(&exchanges);
        journal.stop_after = Some(n);
        roll.run([&near, &far], &mut journal).await
    });
    let outcome = outcome.await.unwrap();
    (world, outcome)
}

/// The evidence names the effects of a roll on the interface, and the state after an interrupted roll
/// is the worse of both declarations.
#[tokio::test(start_paused = true)]
async fn a_roll_that_makes_the_interface_anew_says_so_before_a_key_is_taken() {
    let world = World::new(Family::LinuxMka, 1).await;
    let exchanges = Exchanges::cut_at(None);
    let readiness = world.run(&exchanges, async |pair| pair.readiness().await);
    let readiness = readiness.await.unwrap();
    assert_eq!(readiness.half_done, HalfDoneRoll::StopsAtActivation);
    let text = readiness.to_string();
    for part in [
        "activate at both ends",
        "for up to 14s (declared)",
        "addresses and routes are lost",
        "If the roll is interrupted, traffic stops at the first activation",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("Not hitless").count(), 1, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_roll_stops_only_where_the_key_before_stays_in_use() {
    for family in FAMILIES {
        for n in 0..12 {
            let (world, outcome) = stopped(family, n).await;
            let expected = match (family, n) {
                (_, 0 | 1) => Some(StopPoint::NothingChanged),
                (Family::Nokia | Family::StrongSwan | Family::LinuxMacsec, 2 | 3) => {
                    Some(StopPoint::NearStaged)
                }
                _ => None,
            };
            match (outcome, expected) {
                (RollOutcome::Stopped(at), Some(expected)) => assert_eq!(at, expected),
                (RollOutcome::Ended(report), None) => assert!(report.is_confirmed()),
                (outcome, _) => panic!("{family:?}, {n}: {outcome:?}"),
            }
            let [near, far] = world.in_use();
            assert_eq!(near.fingerprint, far.fingerprint, "{family:?}, {n}");
            let place = usize::from(expected.is_none());
            let expected = world.fingerprint(&world.issued()[place].secret);
            assert_eq!(near.fingerprint, expected, "{family:?}, {n}");
        }
    }
}
