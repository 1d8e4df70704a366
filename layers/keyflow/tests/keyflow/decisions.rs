//! The recovery to which each state of the devices and the records leads.

use crate::mocks::{Log, MockEnd, Source, id, key, pair};
use qkd_hal::{
    ErrorKind, KeyId,
    encryptor::{ChannelState, Confirmation, Staged},
};
use qkd_keyflow::{
    EncryptorPair,
    End::{self, Far, Near},
    Recovery, RollOutcome, RollRecord,
    Step::{self, Activate, Confirm, Retire, Stage},
    StopPoint,
};

/// The key before the roll.
const OLD: u8 = 9;

fn taken(n: u8) -> RollRecord {
    RollRecord::Taken { key_id: id(n) }
}

fn begun(n: u8, end: End, step: Step) -> RollRecord {
    let key_id = id(n);
    RollRecord::Begun { key_id, end, step }
}

fn done(n: u8, end: End, step: Step) -> RollRecord {
    let key_id = id(n);
    RollRecord::Done { key_id, end, step }
}

fn failed(n: u8, end: End, step: Step, may_have_changed: bool) -> RollRecord {
    RollRecord::Failed {
        key_id: id(n),
        end,
        step,
        may_have_changed,
        error: "refused".to_owned(),
    }
}

fn not_confirmed(n: u8, end: End) -> RollRecord {
    RollRecord::NotConfirmed {
        key_id: id(n),
        end,
        evidence: "no new SAK".to_owned(),
    }
}

fn void(n: u8) -> RollRecord {
    RollRecord::Void { key_id: id(n) }
}

/// Slots 1 and 2 of an end: keys, and the number of the active slot.
type Slots = (Option<u8>, Option<u8>, u8);

fn end_with(end: End, (one, two, active): Slots) -> MockEnd {
    let slot = |number, key: Option<u8>| key.map(|n| (number, Some(id(n)), number == active));
    let all: Vec<_> = [slot(1, one), slot(2, two)].into_iter().flatten().collect();
    MockEnd::slots(end).with_slots(&all)
}

async fn slot_pair(near: Slots, far: Slots) -> EncryptorPair {
    pair(end_with(Near, near), end_with(Far, far)).await
}

async fn overwriting_pair(states: [ChannelState; 2]) -> EncryptorPair {
    pair(
        MockEnd::overwriting(Near).with_state(states[0]),
        MockEnd::overwriting(Far).with_state(states[1]),
    )
    .await
}

/// The recovery in words, with the numbers of keys.
async fn decide(pair: &EncryptorPair, records: &[RollRecord]) -> String {
    let state = pair.recovery(records).await.unwrap();
    let number = |key: &KeyId| key.as_bytes()[0].to_string();
    let lost: Vec<String> = state.recovery.lost().iter().map(number).collect();
    let lost = match lost.as_slice() {
        [] => String::new(),
        all => format!("; lost {}", all.join(", ")),
    };
    let what = match &state.recovery {
        Recovery::Nothing { in_use: None, .. } => "nothing".to_owned(),
        Recovery::Nothing {
            in_use: Some(key), ..
        } => format!("nothing, {} in use", number(key)),
        Recovery::Forward(forward) => {
            assert_eq!(forward.obstacles, []);
            let steps = forward.steps.iter().map(|s| {
                let end = if s.end == Near { "near" } else { "far" };
                format!("{} {end}", s.step)
            });
            let steps: Vec<String> = steps.collect();
            format!("forward {}: {}", number(&forward.key_id), steps.join(", "))
        }
        Recovery::FreshKey(readiness) => {
            assert_eq!(readiness.obstacles, []);
            "fresh key".to_owned()
        }
    };
    format!("{what}{lost}")
}

const BOTH_OLD: [Slots; 2] = [(Some(OLD), None, 1), (Some(OLD), None, 1)];

#[tokio::test]
async fn a_pair_with_slots_goes_forward_where_both_ends_show_the_key() {
    let old = Some(OLD);
    let staged = [taken(1), begun(1, Near, Stage), begun(1, Far, Stage)];
    let both_confirmed = [done(1, Near, Confirm), done(1, Far, Confirm)];
    let confirmed = [&staged[..], &both_confirmed].concat();
    let all = "activate near, activate far, confirm near, confirm far, retire near, retire far";
    let [near_old, far_old] = BOTH_OLD;
    for (records, near, far, expected) in [
        (&[][..], near_old, far_old, "nothing".to_owned()),
        (
            &staged[..1],
            near_old,
            far_old,
            "nothing; lost 1".to_owned(),
        ),
        (&staged, near_old, far_old, "nothing; lost 1".to_owned()),
        (
            &staged,
            (old, Some(1), 1),
            far_old,
            "fresh key; lost 1".to_owned(),
        ),
        (
            &staged,
            near_old,
            (old, Some(1), 1),
            "fresh key; lost 1".to_owned(),
        ),
        (
            &staged,
            (old, Some(1), 1),
            (old, Some(1), 1),
            format!("forward 1: {all}"),
        ),
        (
            &staged,
            (old, Some(1), 1),
            (Some(1), old, 2),
            format!("forward 1: {all}"),
        ),
        (
            &staged,
            (old, Some(1), 2),
            (old, Some(1), 1),
            "forward 1: activate far, confirm near, confirm far, retire near, retire far"
                .to_owned(),
        ),
        (
            &staged,
            (old, Some(1), 1),
            (old, Some(1), 2),
            "forward 1: activate near, confirm near, confirm far, retire near, retire far"
                .to_owned(),
        ),
        (
            &staged,
            (old, Some(1), 2),
            (old, Some(1), 2),
            "forward 1: confirm near, confirm far, retire near, retire far".to_owned(),
        ),
        (
            &confirmed,
            (None, Some(1), 2),
            (old, Some(1), 2),
            "forward 1: confirm near, confirm far, retire far".to_owned(),
        ),
        (
            &staged,
            (None, Some(1), 2),
            (None, Some(1), 2),
            "forward 1: confirm near, confirm far".to_owned(),
        ),
        (
            &confirmed,
            (None, Some(1), 2),
            (None, Some(1), 2),
            "nothing, 1 in use".to_owned(),
        ),
        (
            &staged,
            (old, Some(1), 2),
            far_old,
            "fresh key; lost 1".to_owned(),
        ),
    ] {
        let pair = slot_pair(near, far).await;
        assert_eq!(
            decide(&pair, records).await,
            expected,
            "{records:?} {near:?} {far:?}"
        );
    }
}

#[tokio::test]
async fn a_key_that_was_given_up_or_not_confirmed_is_not_used_again() {
    let both = ((Some(OLD), Some(1), 2), (Some(OLD), Some(1), 2));
    let pair = slot_pair(both.0, both.1).await;
    let staged = [taken(1), begun(1, Near, Stage), begun(1, Far, Stage)];
    let forward = "forward 1: confirm near, confirm far, retire near, retire far";
    for (more, expected) in [
        (&[][..], forward),
        (&[void(1)], "fresh key; lost 1"),
        (&[not_confirmed(1, Far)], "fresh key; lost 1"),
        (
            &[not_confirmed(1, Far), done(1, Near, Confirm)],
            "fresh key; lost 1",
        ),
        (&[not_confirmed(1, Far), done(1, Far, Confirm)], forward),
    ] {
        let records = [&staged[..], more].concat();
        assert_eq!(decide(&pair, &records).await, expected, "{more:?}");
    }
}

#[tokio::test]
async fn records_of_several_interrupted_rolls_are_put_together() {
    let old = Some(OLD);
    // A first recovery was cut before it staged its key 2.
    let pair = slot_pair((old, Some(1), 2), (old, None, 1)).await;
    let records = [taken(1), begun(1, Near, Stage), void(1), taken(2)];
    assert_eq!(decide(&pair, &records).await, "fresh key; lost 1, 2");
    // The roll to key 1 was complete and not closed; the next one was cut after its first stage.
    let pair = slot_pair((Some(2), Some(1), 2), (None, Some(1), 2)).await;
    let confirmed = [taken(1), done(1, Near, Confirm), done(1, Far, Confirm)];
    let next = [taken(2), begun(2, Near, Stage)];
    assert_eq!(
        decide(&pair, &[&confirmed[..], &next].concat()).await,
        "forward 1: confirm near, confirm far, retire near; lost 2"
    );
    let closed = [RollRecord::Finished { key_id: id(1) }];
    assert_eq!(
        decide(&pair, &[&confirmed[..], &closed, &next].concat()).await,
        "fresh key; lost 2"
    );
    // A stopped roll leaves its key in a slot, and nothing to do.
    let pair = slot_pair((old, Some(1), 1), (old, None, 1)).await;
    let stopped = RollRecord::Stopped { key_id: id(1) };
    assert_eq!(
        decide(&pair, &[taken(1), begun(1, Near, Stage), stopped]).await,
        "nothing"
    );
}

#[tokio::test]
async fn a_slot_without_a_name_proves_nothing() {
    let ends = |key: Option<KeyId>| {
        [Near, Far].map(|end| {
            let slots = [(1, Some(id(OLD)), true), (2, key.clone(), false)];
            MockEnd::slots(end).with_slots(&slots)
        })
    };
    let records = [taken(1), begun(1, Near, Stage)];
    let [near, far] = ends(None);
    let unnamed = pair(near, far).await;
    assert_eq!(decide(&unnamed, &records).await, "fresh key; lost 1");
    assert_eq!(decide(&unnamed, &records[..1]).await, "nothing; lost 1");
    // A device shows the bytes of a name, also if the ID is a text.
    let text: KeyId = "not-a-number".parse().unwrap();
    let [near, far] = ends(KeyId::from_bytes(text.as_bytes()));
    let named = pair(near, far).await;
    let key_id = text.clone();
    let state = named.recovery(&[RollRecord::Taken { key_id }]).await;
    assert!(matches!(state.unwrap().recovery, Recovery::Forward(f) if f.key_id == text));
}

#[tokio::test]
async fn a_pair_that_overwrites_its_secret_gets_a_fresh_key() {
    use ChannelState::{Encrypting, Exchanging};
    let staged = [begun(1, Near, Stage), done(1, Near, Stage)];
    let confirmed = [
        taken(1),
        done(1, Near, Stage),
        done(1, Near, Confirm),
        done(1, Far, Confirm),
    ];
    let full = [&[done(1, Far, Stage)][..], &confirmed].concat();
    for (records, states, expected) in [
        (&[][..], [Encrypting; 2], "nothing"),
        (&[taken(1)], [Encrypting; 2], "nothing; lost 1"),
        (
            &[begun(1, Near, Stage)],
            [Encrypting; 2],
            "fresh key; lost 1",
        ),
        (
            &[begun(1, Far, Stage)],
            [Encrypting; 2],
            "fresh key; lost 1",
        ),
        (&staged, [Encrypting; 2], "fresh key; lost 1"),
        (
            &[begun(1, Near, Stage), failed(1, Near, Stage, false)],
            [Encrypting; 2],
            "nothing; lost 1",
        ),
        (
            &[begun(1, Near, Stage), failed(1, Near, Stage, true)],
            [Encrypting; 2],
            "fresh key; lost 1",
        ),
        (
            // The outcome of the first attempt was not written down.
            &[
                begun(1, Near, Stage),
                begun(1, Near, Stage),
                failed(1, Near, Stage, false),
            ],
            [Encrypting; 2],
            "fresh key; lost 1",
        ),
        (&full, [Encrypting; 2], "nothing, 1 in use"),
        (&full, [Encrypting, Exchanging], "fresh key; lost 1"),
        (
            &full[..full.len() - 1],
            [Encrypting; 2],
            "fresh key; lost 1",
        ),
        (
            &[&full[..], &[taken(2), begun(2, Near, Stage)]].concat(),
            [Encrypting; 2],
            "fresh key; lost 1, 2",
        ),
    ] {
        let pair = overwriting_pair(states).await;
        assert_eq!(
            decide(&pair, records).await,
            expected,
            "{records:?} {states:?}"
        );
    }
}

#[tokio::test]
async fn one_end_that_shows_no_name_decides_for_a_mixed_pair() {
    let mixed = async |near: Slots| pair(end_with(Near, near), MockEnd::overwriting(Far)).await;
    let staged = [begun(1, Near, Stage), begun(1, Far, Stage)];
    let old = Some(OLD);
    let is_staged = mixed((old, Some(1), 1)).await;
    assert_eq!(decide(&is_staged, &staged[..1]).await, "fresh key; lost 1");
    assert_eq!(decide(&is_staged, &staged).await, "fresh key; lost 1");
    // The far end confirms a key again only after another interruption of traffic.
    let confirmed = [
        &staged[..],
        &[done(1, Near, Confirm), done(1, Far, Confirm)],
    ]
    .concat();
    let is_active = mixed((old, Some(1), 2)).await;
    assert_eq!(decide(&is_active, &confirmed).await, "nothing, 1 in use");
}

#[tokio::test]
async fn one_end_is_activated_where_it_activates_both() {
    let ends = [Near, Far].map(|end| {
        let mut end = end_with(end, (Some(OLD), Some(1), 1));
        end.capabilities.activate_both = false;
        end
    });
    let [near, far] = ends;
    let pair = pair(near, far).await;
    assert_eq!(
        decide(&pair, &[taken(1)]).await,
        "forward 1: activate near, confirm near, confirm far, retire near, retire far"
    );
}

fn confirms(mock: &mut MockEnd, is_confirmed: bool) {
    mock.encryptor
        .expect_confirm()
        .times(1)
        .returning(move |staged, _| Ok(Confirmation::new(staged, is_confirmed, "as read")));
}

#[tokio::test]
async fn a_forward_recovery_uses_the_staged_values_that_were_written_down() {
    let elsewhere = Staged::new("1".into(), id(1), Some(1), "another slot");
    let another_key = Staged::new("1".into(), id(2), Some(2), "another key");
    let another_channel = Staged::new("2".into(), id(1), Some(2), "another channel");
    for unfit in [elsewhere, another_key, another_channel] {
        let written = Staged::new("1".into(), id(1), Some(2), "as staged");
        let mut near = end_with(Near, (Some(OLD), Some(1), 2));
        let mut far = end_with(Far, (Some(OLD), Some(1), 1));
        let expected = written.clone();
        near.encryptor
            .expect_confirm()
            .times(1)
            .returning(move |s, _| {
                assert_eq!(*s, expected);
                Ok(Confirmation::new(s, true, "as read"))
            });
        far.encryptor.expect_activate().times(1).returning(|s| {
            assert_eq!(
                *s,
                Staged::new("1".into(), id(1), Some(2), "shown by the device")
            );
            Ok(())
        });
        confirms(&mut far, true);
        for mock in [&mut near, &mut far] {
            mock.encryptor
                .expect_retire()
                .times(1)
                .returning(|_| Ok(()));
        }
        let pair = pair(near, far).await;
        let staged = |end, staged| RollRecord::Staged {
            key_id: id(1),
            end,
            staged,
        };
        let records = [staged(Near, written), staged(Far, unfit)];
        let state = pair.recovery(&records).await.unwrap();
        let (mut source, mut log) = (Source { n: 2, taken: 0 }, Log::default());
        let outcome = state.recovery.finish(&mut source, &mut log).await.unwrap();
        let Some(RollOutcome::Ended(report)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(report.is_confirmed() && report.retired && report.key_id == id(1));
        assert_eq!(source.taken, 0);
        assert_eq!(
            log.words(),
            [
                "begun activate far end",
                "done activate far end",
                "begun confirm near end",
                "done confirm near end",
                "begun confirm far end",
                "done confirm far end",
                "begun retire near end",
                "done retire near end",
                "begun retire far end",
                "done retire far end",
                "finished",
            ]
        );
    }
}

#[tokio::test]
async fn a_forward_recovery_that_is_not_confirmed_retires_nothing_and_is_not_repeated() {
    let mut near = end_with(Near, (Some(OLD), Some(1), 2));
    let mut far = end_with(Far, (Some(OLD), Some(1), 2));
    confirms(&mut near, true);
    confirms(&mut far, false);
    let pair = pair(near, far).await;
    let mut records = vec![taken(1)];
    let state = pair.recovery(&records).await.unwrap();
    let (mut source, mut log) = (Source { n: 2, taken: 0 }, Log::default());
    let outcome = state.recovery.finish(&mut source, &mut log).await.unwrap();
    assert!(
        matches!(&outcome, Some(RollOutcome::Ended(r)) if !r.is_confirmed() && !r.retired),
        "{outcome:?}"
    );
    records.extend(log.records);
    assert_eq!(decide(&pair, &records).await, "fresh key; lost 1");
}

#[tokio::test]
async fn a_recovery_that_is_stopped_takes_no_key_and_leaves_the_state_as_it_is() {
    let staged = [taken(1), begun(1, Near, Stage)];
    for far in [(Some(OLD), Some(1), 1), (Some(OLD), None, 1)] {
        let pair = slot_pair((Some(OLD), Some(1), 1), far).await;
        let state = pair.recovery(&staged).await.unwrap();
        let (mut source, mut log) = (Source { n: 2, taken: 0 }, Log::stopping_after(0));
        let outcome = state.recovery.finish(&mut source, &mut log).await.unwrap();
        assert_eq!(
            outcome,
            Some(RollOutcome::Stopped(StopPoint::NothingChanged))
        );
        assert_eq!((source.taken, log.records.len()), (0, 0));
    }
}

#[tokio::test]
async fn a_lost_key_is_given_up_before_the_fresh_one_is_staged_and_refused_as_such() {
    let pair = slot_pair((Some(OLD), Some(1), 1), (Some(OLD), None, 1)).await;
    let records = [taken(1), begun(1, Near, Stage)];
    let state = pair.recovery(&records).await.unwrap();
    let (mut source, mut log) = (Source { n: 1, taken: 0 }, Log::default());
    let error = state.recovery.finish(&mut source, &mut log).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.message().contains("must not be used again"),
        "{error}"
    );
    assert_eq!(log.records, []);

    let Recovery::FreshKey(readiness) = pair.recovery(&records).await.unwrap().recovery else {
        panic!("not a fresh key");
    };
    let roll = readiness.ready().unwrap();
    let mut log = Log::stopping_after(2);
    let outcome = roll.run([&key(2), &key(2)], &mut log).await.unwrap();
    assert_eq!(outcome, RollOutcome::Stopped(StopPoint::NothingChanged));
    assert_eq!(log.words(), ["void", "taken", "stopped"]);
    // The recovery is still due.
    let all = [&records[..], &log.records].concat();
    assert_eq!(decide(&pair, &all).await, "fresh key; lost 1");
}

#[tokio::test]
async fn nothing_to_do_closes_the_records() {
    let pair = slot_pair((None, Some(1), 2), (None, Some(1), 2)).await;
    let confirmed = [
        taken(1),
        done(1, Near, Confirm),
        done(1, Far, Confirm),
        taken(2),
    ];
    for (records, expected) in [
        (&confirmed[..], &["stopped", "finished"][..]),
        (&confirmed[3..], &["stopped"]),
        (&[], &[]),
    ] {
        let state = pair.recovery(records).await.unwrap();
        let (mut source, mut log) = (Source { n: 3, taken: 0 }, Log::default());
        let outcome = state.recovery.finish(&mut source, &mut log).await.unwrap();
        assert_eq!((outcome, source.taken), (None, 0));
        assert_eq!(log.words(), expected);
        let all = [records, &log.records].concat();
        assert_eq!(decide(&pair, &all).await, "nothing");
    }
}

#[tokio::test]
async fn a_state_prints_and_serialises() {
    let pair = slot_pair((Some(OLD), Some(1), 2), (Some(OLD), Some(1), 1)).await;
    let state = pair.recovery(&[taken(1), taken(2)]).await.unwrap();
    let text = state.to_string();
    for part in [
        &format!("the roll is completed with its key {}", id(1)),
        &format!(
            "near end: mock+mem://near, channel 1: encrypting; slot 1: key {}",
            id(OLD)
        ),
        &format!("key {} is lost and is never used again", id(2)),
        "steps: activate at the far end, confirm at both ends, retire at both ends",
        "No outage expected",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let json = serde_json::to_value(&state).unwrap();
    assert_eq!(json["recovery"]["action"], "forward");
    assert_eq!(json["recovery"]["outage"]["kind"], "none");
    assert_eq!(json["recovery"]["steps"][0]["end"], "far");
    assert_eq!(json["recovery"]["steps"][0]["step"], "activate");
    // Staging would overwrite what the other end sends with.
    let state = pair.recovery(&[taken(1), void(1)]).await.unwrap();
    let json = serde_json::to_value(&state).unwrap();
    assert_eq!(json["recovery"]["action"], "fresh-key");
    assert_eq!(json["recovery"]["outage"]["kind"], "interrupted");
    let text = state.to_string();
    assert!(
        text.contains("a fresh key replaces that of the interrupted roll"),
        "{text}"
    );
    assert!(text.contains("traffic does not pass until"), "{text}");
    for step in [Activate, Retire] {
        assert!(text.contains(&format!("{step} at both ends")), "{text}");
    }
}
