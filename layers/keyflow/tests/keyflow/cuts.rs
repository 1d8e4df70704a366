//! A roll that ends at any exchange is put in order by another process: both ends use one key.

use crate::bench::{CUTS, Cut, Exchanges, FAMILIES, Family, Issued, World};
use qkd_hal::KeyId;
use qkd_keyflow::{Recovery, RollOutcome};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;

/// The way in which a recovery put a pair in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Nothing,
    Forward,
    FreshKey,
}

/// A recovery that ended.
struct Recovered {
    way: Way,
    in_use: Option<KeyId>,
    lost: Vec<KeyId>,
}

/// The process after the one that was cut.
async fn recover(world: &World, exchanges: &Arc<Exchanges>) -> Option<Recovered> {
    world
        .run(exchanges, async |pair| {
            let state = pair.recovery(&world.records()).await?;
            let lost = state.recovery.lost().to_vec();
            let mut in_use = None;
            let way = match &state.recovery {
                Recovery::Nothing { in_use: key, .. } => {
                    in_use.clone_from(key);
                    Way::Nothing
                }
                Recovery::Forward(_) => Way::Forward,
                _ => Way::FreshKey,
            };
            let mut journal = world.journal(exchanges);
            let finished = state
                .recovery
                .finish(&mut world.modules(), &mut journal)
                .await?;
            match finished {
                Some(RollOutcome::Ended(report)) => {
                    assert!(report.is_confirmed(), "{report:?}");
                    in_use = Some(report.key_id);
                }
                Some(other) => panic!("{other:?}"),
                None => assert_eq!(way, Way::Nothing),
            }
            Ok(Recovered { way, in_use, lost })
        })
        .await
}

/// Both ends use one key, and each key that was taken is in use or reported as lost.
fn check_keys(world: &World, what: &str, before: &str, recovered: &Recovered) {
    let [near, far] = world.in_use();
    assert_eq!(near, far, "{what}");
    let issued = world.issued();
    let of = |id: &KeyId| -> &Issued { issued.iter().find(|k| k.id == *id).unwrap() };
    let old = &issued[0];
    let key = recovered.in_use.as_ref().map_or(old, of);
    assert_eq!(near.fingerprint, world.fingerprint(&key.secret), "{what}");
    if world.family.shows_keys() {
        assert_eq!(near.id.as_deref(), Some(key.id.as_bytes()), "{what}");
        assert_eq!(near.keys, 1, "{what}: no key before it is left");
    }
    assert_eq!(
        recovered.in_use.is_none(),
        near.fingerprint == before,
        "{what}: the key before is in use only if nothing was to be done"
    );
    for taken in issued.iter().skip(1) {
        let (is_lost, is_in_use) = (recovered.lost.contains(&taken.id), taken.id == key.id);
        assert!(is_lost != is_in_use, "{what}: key {} was taken", taken.id);
    }
}

/// Traffic is encrypted in both directions.
async fn check_traffic(world: &World, what: &str) {
    world.end_exchanges().await;
    let before = world.traffic();
    sleep(Duration::from_secs(3)).await;
    assert_ne!(world.has_agreed(), Some(false), "{what}");
    let (before, now) = (before.into_iter().flatten(), world.traffic());
    for (before, now) in before.zip(now.into_iter().flatten()) {
        assert!(now.encrypted >= before.encrypted + 2900, "{what}: {now:?}");
        assert!(now.accepted >= before.accepted + 2900, "{what}: {now:?}");
        assert_eq!((now.dropped(), now.clear), (before.dropped(), 0), "{what}");
    }
}

/// The state after a recovery is one in which there is nothing to do.
async fn check_is_closed(world: &World, what: &str) {
    let exchanges = Exchanges::cut_at(None);
    let state = world
        .run(&exchanges, async |pair| {
            pair.recovery(&world.records()).await
        })
        .await
        .unwrap();
    match state.recovery {
        Recovery::Nothing { in_use: None, lost } => assert_eq!(lost, [], "{what}"),
        other => panic!("{what}: {other:?}"),
    }
}

/// Exchanges at which a roll is cut.
fn cuts_of(family: Family) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(0), move |n| Some(family.next_cut(*n)))
}

/// Cuts a roll at each exchange in turn, and recovers. Returns the number of each way.
async fn cut_everywhere(
    family: Family,
    cut: Cut,
    prepare: impl Fn(World) -> World,
) -> BTreeMap<Way, usize> {
    let mut ways = BTreeMap::new();
    let mut failed_exchanges = None;
    for n in cuts_of(family) {
        let what = format!("{family:?}, exchange {n}, {cut:?}");
        let world = prepare(World::new(family, n as u64).await);
        let old = world.in_use()[0].fingerprint.clone();
        let traffic = world.traffic();
        let first = Exchanges::cut_at(Some((n, cut)));
        let rolled = world.run(&first, async |pair| world.roll(&first, pair).await);
        if let Some(outcome) = rolled.await {
            assert!(
                matches!(outcome, RollOutcome::Ended(r) if r.is_confirmed()),
                "{what}"
            );
            assert!(!first.is_cut() && n > 20, "{what}");
            break;
        }
        sleep(world.delay(family.longest_gap())).await;
        if let Some(failed) = world.failed_exchanges() {
            *failed_exchanges.get_or_insert(0) += failed;
        }
        let second = Exchanges::cut_at(None);
        let recovered = recover(&world, &second).await.unwrap();
        for key in world.issued().iter() {
            let is_fresh =
                recovered.way == Way::FreshKey && recovered.in_use.as_ref() == Some(&key.id);
            assert_eq!(
                second.has_written(&key.secret),
                is_fresh,
                "{what}: {}",
                key.id
            );
        }
        check_keys(&world, &what, &old, &recovered);
        check_traffic(&world, &what).await;
        check_is_closed(&world, &what).await;
        if family.is_hitless() {
            let (before, now) = (traffic.unwrap(), world.traffic().unwrap());
            for (before, now) in before.into_iter().zip(now) {
                assert_eq!(now.dropped(), before.dropped(), "{what}: hitless");
            }
        }
        *ways.entry(recovered.way).or_default() += 1;
    }
    assert_ne!(failed_exchanges, Some(0), "{family:?}, {cut:?}");
    ways
}

fn check_ways(family: Family, ways: &BTreeMap<Way, usize>) {
    let expected: &[Way] = match family {
        Family::Nokia | Family::StrongSwan | Family::LinuxMacsec => {
            &[Way::Nothing, Way::Forward, Way::FreshKey]
        }
        // No device shows which key it has, or the one before is gone.
        _ => &[Way::Nothing, Way::FreshKey],
    };
    assert_eq!(
        ways.keys().copied().collect::<Vec<_>>(),
        expected,
        "{family:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_roll_that_is_cut_at_any_exchange_ends_with_one_key_at_both_ends() {
    for family in FAMILIES {
        for cut in CUTS {
            let ways = cut_everywhere(family, cut, |world| world).await;
            check_ways(family, &ways);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn staged_values_that_were_not_written_down_are_read_from_the_devices() {
    for cut in CUTS {
        let ways = cut_everywhere(Family::Nokia, cut, World::without_staged_values).await;
        check_ways(Family::Nokia, &ways);
    }
}

#[tokio::test(start_paused = true)]
async fn the_far_end_may_be_the_key_server() {
    for cut in CUTS {
        let prepare = |world: World| world.without_staged_values().with_far_key_server();
        let ways = cut_everywhere(Family::Nokia, cut, prepare).await;
        check_ways(Family::Nokia, &ways);
    }
}

/// The ends have different secrets by the time of the next exchange, which fails.
#[tokio::test(start_paused = true)]
async fn an_exchange_between_the_processes_does_not_prevent_the_recovery() {
    for cut in CUTS {
        for (family, seconds) in [
            (Family::PacketLight, 20),
            (Family::AdvaFsp3000R7, 8),
            (Family::AdvaFsp150, 8),
        ] {
            let period = Duration::from_secs(seconds);
            let prepare = |world: World| world.with_exchange_period(period);
            let ways = cut_everywhere(family, cut, prepare).await;
            check_ways(family, &ways);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_is_cut_is_recovered() {
    for family in FAMILIES {
        for n in cuts_of(family) {
            let world = World::new(family, n as u64).await;
            let old = world.in_use()[0].fingerprint.clone();
            let first = Exchanges::cut_at(Some((n, Cut::BeforeReply)));
            if world
                .run(&first, async |pair| world.roll(&first, pair).await)
                .await
                .is_some()
            {
                break;
            }
            let mut recovered = None;
            let mut places = Vec::new();
            while recovered.is_none() {
                sleep(world.delay(family.longest_gap())).await;
                // The first recoveries are cut, a later one is not.
                let due = (places.len() < 3).then(|| (world.choose(60), CUTS[world.choose(2)]));
                places.push(due);
                recovered = recover(&world, &Exchanges::cut_at(due)).await;
            }
            let what = format!("{family:?}, exchange {n}, then {places:?}");
            check_keys(&world, &what, &old, &recovered.unwrap());
            check_traffic(&world, &what).await;
            check_is_closed(&world, &what).await;
        }
    }
}
