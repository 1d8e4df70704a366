//! Rolls of encryptors that activate a key automatically, keep keys under their ids, or take none.

use crate::mocks::{Log, MockEnd, Source, id, key, pair};
use qkd_hal::{
    ErrorKind,
    encryptor::{Confirmation, Staged},
};
use qkd_keyflow::{
    End::{self, Far, Near},
    ExchangeWait, Readiness, Recovery, RollOutcome, RollRecord, Step,
};
use std::time::Duration;

const TWO_MINUTES: Duration = Duration::from_secs(120);

/// Ends that use a staged key at their next exchange, with what they declare of it.
async fn waiting(longest: [Option<Duration>; 2]) -> Readiness {
    let [near, far] = longest;
    let ends = (
        MockEnd::next_exchange(Near, near),
        MockEnd::next_exchange(Far, far),
    );
    pair(ends.0, ends.1).await.readiness().await.unwrap()
}

fn stages(mock: &mut MockEnd) {
    mock.encryptor
        .expect_stage()
        .times(1)
        .returning(|channel, key| {
            Ok(Staged::new(
                channel.clone(),
                key.id().clone(),
                None,
                "as read",
            ))
        });
}

fn confirms_within(mock: &mut MockEnd, expected: Duration) {
    mock.encryptor
        .expect_confirm()
        .times(1)
        .returning(move |staged, longest| {
            assert_eq!(longest, expected);
            Ok(Confirmation::new(staged, true, "as read"))
        });
}

#[tokio::test]
async fn a_roll_that_waits_for_the_next_exchange_activates_nothing() {
    // A mock panics if it is activated or retired.
    let ends = [Near, Far].map(|end| {
        let mut mock = MockEnd::next_exchange(end, Some(TWO_MINUTES));
        stages(&mut mock);
        confirms_within(&mut mock, TWO_MINUTES + Duration::from_secs(30));
        mock
    });
    let [near, far] = ends;
    let readiness = pair(near, far).await.readiness().await.unwrap();
    let text = readiness.to_string();
    assert!(
        text.contains("steps: stage at both ends, confirm at both ends\n")
            && text.contains("use the new key at their next key exchange, within 2m.\n")
            && text.contains("If the roll is interrupted, traffic passes until the next key"),
        "{text}"
    );
    let roll = readiness.ready().unwrap();
    let outcome = roll
        .run([&key(1), &key(1)], &mut Log::default())
        .await
        .unwrap();
    let RollOutcome::Ended(report) = outcome else {
        panic!("it was not stopped")
    };
    assert!(report.is_confirmed() && !report.retired);
}

#[tokio::test]
async fn the_wait_for_an_exchange_is_the_longer_one_that_both_declare() {
    let longer = TWO_MINUTES * 2;
    for (declared, longest) in [
        ([Some(TWO_MINUTES), Some(longer)], Some(longer)),
        ([Some(TWO_MINUTES), None], None),
        ([None, None], None),
    ] {
        let readiness = waiting(declared).await;
        let wait = ExchangeWait::NextExchange { longest };
        assert_eq!(readiness.exchange_wait, wait);
        assert_eq!(
            readiness.to_string().contains("not declared"),
            longest.is_none(),
            "{readiness}"
        );
    }
    let slots = pair(MockEnd::slots(Near), MockEnd::slots(Far)).await;
    let readiness = slots.readiness().await.unwrap();
    assert_eq!(readiness.exchange_wait, ExchangeWait::None);
    assert!(!readiness.to_string().contains("next key exchange"));
}

#[tokio::test]
async fn a_device_that_takes_no_key_is_refused_before_a_key_is_taken() {
    let near_only = pair(MockEnd::slots(Near), MockEnd::status_only(Far)).await;
    for pair in [
        near_only,
        pair(MockEnd::status_only(Near), MockEnd::slots(Far)).await,
    ] {
        let error = pair.readiness().await.unwrap().ready().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("takes no key"), "{error}");
    }
}

#[tokio::test]
async fn ends_that_take_keys_of_different_roles_are_refused_before_a_key_is_taken() {
    let mixed = pair(MockEnd::slots(Near), MockEnd::named(Far)).await;
    let error = mixed.readiness().await.unwrap().ready().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error
            .message()
            .contains("the near end takes a pre-shared key, and the far end a PPK"),
        "{error}"
    );
}

#[tokio::test]
async fn one_end_makes_the_new_association_and_both_delete_the_key_before() {
    let ends = [Near, Far].map(|end| {
        let mut mock = MockEnd::named(end);
        stages(&mut mock);
        confirms_within(&mut mock, Duration::from_secs(10));
        let times = usize::from(end == Near);
        mock.encryptor
            .expect_activate()
            .times(times)
            .returning(|_| Ok(()));
        mock.encryptor
            .expect_retire()
            .times(1)
            .returning(|_| Ok(()));
        mock
    });
    let [near, far] = ends;
    let readiness = pair(near, far).await.readiness().await.unwrap();
    let roll = readiness.ready().unwrap();
    let mut log = Log::default();
    let outcome = roll.run([&key(1), &key(1)], &mut log).await.unwrap();
    assert!(matches!(outcome, RollOutcome::Ended(_)));
    let words = log.words();
    assert_eq!(words.last().map(String::as_str), Some("finished"));
}

#[tokio::test]
async fn a_roll_of_named_keys_is_recovered_with_the_staged_values() {
    let staged = |end: End| {
        let value = Staged::new("1".into(), id(1), None, "as staged");
        let baseline = [("association".to_owned(), end.to_string())].into();
        value.with_baseline(baseline)
    };
    let records: Vec<RollRecord> = [Near, Far]
        .into_iter()
        .flat_map(|end| {
            let key_id = id(1);
            [
                RollRecord::Taken {
                    key_id: key_id.clone(),
                },
                RollRecord::Begun {
                    key_id: key_id.clone(),
                    end,
                    step: Step::Stage,
                },
                RollRecord::Staged {
                    key_id,
                    end,
                    staged: staged(end),
                },
            ]
        })
        .collect();
    let ends = [Near, Far].map(|end| {
        let old_and_new = [(1, Some(id(9)), true), (2, Some(id(1)), false)];
        let mut mock = MockEnd::named(end).with_slots(&old_and_new);
        mock.encryptor
            .expect_activate()
            .times(usize::from(end == Near))
            .returning(move |value| {
                assert_eq!(*value, staged(end));
                Ok(())
            });
        confirms_within(&mut mock, Duration::from_secs(10));
        mock.encryptor
            .expect_retire()
            .times(1)
            .returning(|_| Ok(()));
        mock
    });
    let [near, far] = ends;
    let state = pair(near, far).await.recovery(&records).await.unwrap();
    assert!(matches!(state.recovery, Recovery::Forward(_)), "{state}");
    let mut source = Source { n: 2, taken: 0 };
    state
        .recovery
        .finish(&mut source, &mut Log::default())
        .await
        .unwrap();
    assert_eq!(source.taken, 0);
}
