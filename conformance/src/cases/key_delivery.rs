//! Cases for key delivery: unique keys, equal at both ends, each delivered once, and every loss
//! reported.

use super::{made_up::made_up_id, module};
use crate::{
    case::{Case, Precondition, Waits},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, fail, not_applicable},
    reading,
    requirement::Impact,
    result::TargetKind,
};
use qkd_driver_kit::wrap::fault::LinkFault;
use qkd_hal::{
    Effect, ErrorKind, EventKind, Key, KeyId, Operation as Op, QkdModule,
    event::StreamItem,
    qkd::{KeyRequest, Redelivery},
    units::Bits,
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::time::Instant;

const TAKE: &[Precondition] = &[Precondition::Op(Op::TakeKeys), Precondition::Live];
const PAIR: &[Precondition] = &[Precondition::Op(Op::TakeKeys), Precondition::Peer];
const EMULATED: &[Precondition] = &[Precondition::Op(Op::TakeKeys), Precondition::Emulator];

pub(super) const CASES: &[Case] = &[
    Case::new(
        "QKD-09/count-and-size",
        "takes keys of the default size",
        TAKE,
        |b| Box::pin(count_and_size(b)),
    )
    .impact(Impact::Destructive),
    Case::new("QKD-10/unique", "takes keys a hundred times", TAKE, |b| {
        Box::pin(unique(b))
    })
    .impact(Impact::Destructive),
    Case::new(
        "QKD-11/pairing",
        "takes keys here and their twins there",
        PAIR,
        |b| Box::pin(pairing(b)),
    )
    .impact(Impact::Destructive),
    Case::new(
        "QKD-12/order",
        "takes keys of the peer in a different order",
        PAIR,
        |b| Box::pin(requested_order(b)),
    )
    .impact(Impact::Destructive),
    Case::new("QKD-13/twice", "takes a twin twice", PAIR, |b| {
        Box::pin(twice(b))
    })
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "QKD-14/unknown",
        "requests a key that was never taken",
        &[Precondition::Op(Op::TakeKeysById), Precondition::Live],
        |b| Box::pin(unknown(b)),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "QKD-15/zero",
        "asks for no key",
        &[Precondition::Op(Op::TakeKeys)],
        |b| Box::pin(zero(b)),
    )
    .negative(),
    Case::new(
        "QKD-16/odd-size",
        "requests keys of sizes that are not a multiple of 8",
        &[Precondition::Op(Op::TakeKeys)],
        |b| Box::pin(invalid_size(b)),
    )
    .negative(),
    Case::new(
        "QKD-17/repeated",
        "asks for one id twice in one request",
        &[Precondition::Op(Op::TakeKeysById)],
        |b| Box::pin(repeated(b)),
    )
    .negative(),
    Case::new(
        "QKD-18/too-many",
        "asks for more keys than may be asked for at once",
        &[
            Precondition::Op(Op::TakeKeys),
            Precondition::Op(Op::KeyStore),
            Precondition::Live,
        ],
        |b| Box::pin(too_many(b)),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "QKD-19/size",
        "asks for keys beyond the sizes that it names",
        &[
            Precondition::Op(Op::TakeKeys),
            Precondition::Op(Op::KeyStore),
            Precondition::Live,
        ],
        |b| Box::pin(size(b)),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "QKD-20/drop",
        "loses the reply to a request for keys",
        EMULATED,
        |b| Box::pin(lost(b)),
    )
    .waits(Waits::Deadlines(1))
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "QKD-21/void",
        "loses the reply, then looks whether one of those keys comes again",
        EMULATED,
        |b| Box::pin(void(b)),
    )
    .waits(Waits::Deadlines(1))
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "QKD-22/empty",
        "empties the store, and asks for a key",
        EMULATED,
        |b| Box::pin(empty(b)),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "QKD-23/side-by-side",
        "takes keys from eight sides at once",
        TAKE,
        |b| Box::pin(parallel_calls(b)),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "QKD-24/secret",
        "takes keys, and looks for them in all that was recorded and printed",
        TAKE,
        |b| Box::pin(secret(b)),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "QKD-25/spent",
        "compares the store before and after",
        &[
            Precondition::Op(Op::TakeKeys),
            Precondition::Op(Op::KeyStore),
            Precondition::Memory,
        ],
        |b| Box::pin(spent(b)),
    )
    .impact(Impact::Destructive),
    Case::new(
        "QKD-26/random",
        "looks at the bits of many keys",
        TAKE,
        |b| Box::pin(random(b)),
    )
    .impact(Impact::Destructive),
];

/// Takes keys, and notes them as secrets.
async fn take(
    b: &CaseContext,
    module: &dyn QkdModule,
    request: &KeyRequest,
) -> qkd_hal::Result<Vec<Key>> {
    let mut result = b.call(Op::TakeKeys, module.take_keys(request)).await;
    // A store that is empty, after a restart or because the line is slow, has keys later.
    let end = Instant::now() + reading::settle_timeout(b);
    while matches!(&result, Err(e) if e.kind() == ErrorKind::Exhausted) && Instant::now() < end {
        tokio::time::sleep(reading::pause(b)).await;
        result = b.call(Op::TakeKeys, module.take_keys(request)).await;
    }
    let keys = result?;
    keys.iter().for_each(|key| b.secret(key.expose()));
    Ok(keys)
}

/// Returns the number of keys for one request: `wanted`, or the maximum of the module.
async fn at_once(b: &CaseContext, module: &dyn QkdModule, wanted: u32) -> qkd_hal::Result<u32> {
    if !b.session.can(Op::KeyStore) {
        return Ok(wanted);
    }
    let store = b.call(Op::KeyStore, module.key_store()).await?;
    let most = store.max_per_request.unwrap_or_else(|| wanted.into());
    Ok(u32::try_from(most).unwrap_or(wanted).clamp(1, wanted))
}

/// Takes `total` keys, in as few requests as the module's store allows.
async fn take_total(
    b: &CaseContext,
    module: &dyn QkdModule,
    total: u32,
) -> qkd_hal::Result<Vec<Key>> {
    let most = at_once(b, module, total).await?;
    let mut keys = Vec::new();
    let mut left = total;
    while left > 0 {
        let count = left.min(most);
        keys.extend(take(b, module, &KeyRequest::new(count)).await?);
        left -= count;
    }
    Ok(keys)
}

/// Takes keys of the peer in this order, with as few requests as the module allows.
async fn take_all_by_id(
    b: &CaseContext,
    module: &dyn QkdModule,
    ids: &[KeyId],
) -> qkd_hal::Result<Vec<Key>> {
    let wanted = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let most = at_once(b, module, wanted.max(1)).await?;
    let mut keys = Vec::new();
    for part in ids.chunks(most as usize) {
        keys.extend(take_by_id(b, module, part).await?);
    }
    Ok(keys)
}

async fn take_by_id(
    b: &CaseContext,
    module: &dyn QkdModule,
    ids: &[KeyId],
) -> qkd_hal::Result<Vec<Key>> {
    let keys = b
        .call(Op::TakeKeysById, module.take_keys_by_id(ids))
        .await?;
    keys.iter().for_each(|key| b.secret(key.expose()));
    Ok(keys)
}

/// Opens the module, if its keys may be taken: those of a real device only if its file allows it.
async fn open(b: &CaseContext) -> Result<Arc<dyn QkdModule>, NotPassed> {
    if b.session.dut.target_kind() == TargetKind::Device && !b.session.dut.keys {
        return Err(NotPassed::Disabled(
            "say that its keys may be taken, with keys = true".to_owned(),
        ));
    }
    module::open(b).await
}

async fn pair(b: &CaseContext) -> Result<[Arc<dyn QkdModule>; 2], NotPassed> {
    Ok([open(b).await?, b.open_peer().await?.module()?])
}

fn ids(keys: &[Key]) -> Vec<KeyId> {
    keys.iter().map(|k| k.id().clone()).collect()
}

async fn count_and_size(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let default = if b.session.can(Op::KeyStore) {
        b.call(Op::KeyStore, module.key_store()).await?.key_size
    } else {
        None
    };
    for count in [1, at_once(b, &*module, 3).await?] {
        let keys = take(b, &*module, &KeyRequest::new(count)).await?;
        ensure(keys.len() == count as usize, || {
            format!("{count} keys were asked for, and {} came", keys.len())
        })?;
        if let Some(size) = default {
            ensure(keys.iter().all(|k| k.size() == size), || {
                format!(
                    "the default size is {size}, and keys came of {:?}",
                    keys.iter().map(Key::size).collect::<Vec<_>>()
                )
            })?;
        }
    }
    Ok(())
}

async fn unique(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let (mut seen, mut bytes) = (BTreeSet::new(), BTreeSet::new());
    for n in 1..=100 {
        for key in take(b, &*module, &KeyRequest::new(1)).await? {
            ensure(seen.insert(key.id().clone()), || {
                format!(
                    "key id {} came twice, the second time in request {n}",
                    key.id()
                )
            })?;
            // Two keys with the same bytes are one key under two names.
            ensure(
                bytes.insert(crate::randomness::digest(key.expose())),
                || format!("key {} has the bytes of an earlier one", key.id()),
            )?;
        }
    }
    Ok(())
}

async fn pairing(b: &CaseContext) -> CaseOutcome {
    let [near, far] = pair(b).await?;
    for count in [1, at_once(b, &*near, 4).await?] {
        let keys = take(b, &*near, &KeyRequest::new(count)).await?;
        let twins = take_all_by_id(b, &*far, &ids(&keys)).await?;
        for (key, twin) in keys.iter().zip(&twins) {
            ensure(key == twin, || {
                format!(
                    "key {} has other bytes, or another size, at the far end",
                    key.id()
                )
            })?;
        }
        ensure(keys.len() == twins.len(), || {
            format!("{} keys here, and {} twins there", keys.len(), twins.len())
        })?;
    }
    Ok(())
}

async fn requested_order(b: &CaseContext) -> CaseOutcome {
    let [near, far] = pair(b).await?;
    let mut asked = ids(&take_total(b, &*near, 4).await?);
    asked.reverse();
    let twins = take_all_by_id(b, &*far, &asked).await?;
    ensure(ids(&twins) == asked, || {
        format!("asked for {asked:?}, and {:?} came", ids(&twins))
    })
}

async fn twice(b: &CaseContext) -> CaseOutcome {
    let [near, far] = pair(b).await?;
    let asked = ids(&take(b, &*near, &KeyRequest::new(1)).await?);
    take_by_id(b, &*far, &asked).await?;
    let again = expect_error(
        "a twin, the second time",
        take_by_id(b, &*far, &asked).await,
    )?;
    let right = match again.kind() {
        ErrorKind::NotFound => true,
        // A device that delivers a key again: the handle refuses it nevertheless, and the module
        // declares this behaviour.
        ErrorKind::Misbehaved(_) => far.qkd_capabilities().redelivery != Redelivery::Refused,
        _ => false,
    };
    ensure(right, || {
        format!(
            "a twin, the second time: {again}; redelivery is declared as {:?}",
            far.qkd_capabilities().redelivery
        )
    })
}

async fn unknown(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let error = expect_error(
        "a key that was never taken",
        take_by_id(b, &*module, &[made_up_id()]).await,
    )?;
    ensure(error.kind() == ErrorKind::NotFound, || {
        format!("a key that was never taken: {error}")
    })
}

async fn zero(b: &CaseContext) -> CaseOutcome {
    let module = module::open(b).await?;
    let sent = b.records().len();
    let error = expect_error(
        "a request for no key",
        module.take_keys(&KeyRequest::new(0)).await,
    )?;
    ensure(error.kind() == ErrorKind::InvalidInput, || {
        format!("a request for no key: {error}")
    })?;
    b.check_no_traffic_since(sent)
}

async fn invalid_size(b: &CaseContext) -> CaseOutcome {
    let module = module::open(b).await?;
    let sent = b.records().len();
    for bits in [0, 1, 255, 257] {
        let error = expect_error(
            format!("a key of {bits} bit"),
            module
                .take_keys(&KeyRequest::new(1).with_size(Bits(bits)))
                .await,
        )?;
        ensure(error.kind() == ErrorKind::InvalidInput, || {
            format!("a key of {bits} bit: {error}")
        })?;
    }
    b.check_no_traffic_since(sent)
}

async fn repeated(b: &CaseContext) -> CaseOutcome {
    let module = module::open(b).await?;
    let sent = b.records().len();
    let id = made_up_id();
    let error = expect_error(
        "one id twice",
        module.take_keys_by_id(&[id.clone(), id]).await,
    )?;
    ensure(error.kind() == ErrorKind::InvalidInput, || {
        format!("one id twice: {error}")
    })?;
    let error = expect_error("no id", module.take_keys_by_id(&[]).await)?;
    ensure(error.kind() == ErrorKind::InvalidInput, || {
        format!("no id: {error}")
    })?;
    b.check_no_traffic_since(sent)
}

/// A request beyond what the store allows: refused, with no key taken.
async fn beyond(
    b: &CaseContext,
    module: &dyn QkdModule,
    request: KeyRequest,
    what: String,
) -> CaseOutcome {
    let before = b.state();
    let error = expect_error(&what, take(b, module, &request).await)?;
    let right = matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Refused);
    ensure(right && error.effect() == Effect::None, || {
        format!("{what}: {error}")
    })?;
    ensure(b.state() == before, || {
        format!("{what} was refused, and keys have left the store")
    })
}

async fn too_many(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let store = b.call(Op::KeyStore, module.key_store()).await?;
    let most = store
        .max_per_request
        .ok_or_else(|| NotPassed::NotApplicable("it names no greatest number".to_owned()))?;
    let count = u32::try_from(most + 1)
        .map_err(|_| NotPassed::NotApplicable(format!("{most} keys may be asked for at once")))?;
    beyond(
        b,
        &*module,
        KeyRequest::new(count),
        format!("{count} keys, of at most {most}"),
    )
    .await
}

async fn size(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let store = b.call(Op::KeyStore, module.key_store()).await?;
    let outside = [
        store.max_key_size.map(|s| Bits(s.0 + 8)),
        store
            .min_key_size
            .filter(|s| s.0 > 8)
            .map(|s| Bits(s.0 - 8)),
    ];
    if outside.iter().all(Option::is_none) {
        return not_applicable("it names no sizes");
    }
    for size in outside.into_iter().flatten() {
        beyond(
            b,
            &*module,
            KeyRequest::new(1).with_size(size),
            format!("a key of {size}"),
        )
        .await?;
    }
    Ok(())
}

/// Loses the reply to a request for keys, at the exchange that carries it.
async fn lose(
    b: &CaseContext,
    module: &dyn QkdModule,
    fault: LinkFault,
) -> Result<qkd_hal::Error, NotPassed> {
    // There are keys to lose.
    let request = KeyRequest::new(at_once(b, module, 2).await?);
    take(b, module, &request).await?;
    let before = b.state();
    b.inject(fault);
    let error = expect_error(
        "a request for keys whose reply was lost",
        b.call(Op::TakeKeys, module.take_keys(&request)).await,
    )?;
    b.script().clear();
    ensure(b.state() != before, || {
        "the reply was lost, and no key has left the store: the case has lost another reply"
            .to_owned()
    })
    .map_err(|_| NotPassed::Broken("the reply that was lost was none with keys".to_owned()))?;
    Ok(error)
}

async fn lost(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let mut events = module.events();
    for fault in [LinkFault::Drop, LinkFault::Reset, LinkFault::Truncate] {
        let error = lose(b, &*module, fault).await?;
        ensure(error.effect() == Effect::Unknown, || {
            format!("a reply with keys was lost ({fault:?}): {error}")
        })?;
        let next = take(b, &*module, &KeyRequest::new(1)).await;
        ensure(next.as_ref().is_ok_and(|keys| keys.len() == 1), || {
            format!("the next request: {:?}", next.err().map(|e| e.to_string()))
        })?;
    }
    let reported = std::iter::from_fn(|| events.try_next())
        .any(|d| matches!(d, StreamItem::Event(e) if matches!(e.kind, EventKind::KeyLost { .. })));
    ensure(reported, || {
        "replies with keys were lost, and no event reports lost keys".to_owned()
    })
}

async fn void(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let mut seen: BTreeSet<KeyId> = ids(&take_total(b, &*module, 2).await?)
        .into_iter()
        .collect();
    let mut bytes = BTreeSet::new();
    lose(
        b,
        &*module,
        LinkFault::Reorder(b.session.deadline() + b.session.deadline() / 4),
    )
    .await?;
    // A late reply holds keys: they must not come to whoever asks next.
    for _ in 0..5 {
        let keys = take(b, &*module, &KeyRequest::new(1)).await?;
        ensure(keys.len() == 1, || {
            format!("one key was asked for, and {} came", keys.len())
        })?;
        for key in keys {
            ensure(seen.insert(key.id().clone()), || {
                format!("key id {} came twice", key.id())
            })?;
            ensure(
                bytes.insert(crate::randomness::digest(key.expose())),
                || format!("key {} has the bytes of an earlier one", key.id()),
            )?;
        }
    }
    Ok(())
}

async fn empty(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    b.fault("cut")?;
    b.fault("operator=drain")?;
    let error = expect_error(
        "a key from an empty store",
        b.call(Op::TakeKeys, module.take_keys(&KeyRequest::new(1)))
            .await,
    )?;
    b.fault("clear")?;
    ensure(
        error.kind() == ErrorKind::Exhausted && error.effect() == Effect::None,
        || format!("a key from an empty store: {error}"),
    )?;
    let refilled = reading::until(b, || async {
        match module.take_keys(&KeyRequest::new(1)).await {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::Exhausted => Ok(false),
            Err(e) => Err(e),
        }
    })
    .await?;
    ensure(refilled, || {
        "the line was mended, and no key comes".to_owned()
    })
}

async fn parallel_calls(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let several = at_once(b, &*module, 3).await?;
    let (one, more) = (KeyRequest::new(1), KeyRequest::new(several));
    let all = futures::future::join_all(
        (0..8).map(|n| take(b, &*module, if n % 2 == 0 { &one } else { &more })),
    )
    .await;
    let mut seen = BTreeSet::new();
    for (n, keys) in all.into_iter().enumerate() {
        let keys = keys?;
        let asked = if n % 2 == 0 { 1 } else { several };
        ensure(keys.len() == asked as usize, || {
            format!("side {n} got {} keys", keys.len())
        })?;
        for key in keys {
            ensure(seen.insert(key.id().clone()), || {
                format!("key id {} was given to two sides", key.id())
            })?;
        }
    }
    Ok(())
}

async fn secret(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let keys = take_total(b, &*module, 3).await?;
    b.print(&keys);
    if b.session.can(Op::KeyStore) {
        b.print(&b.call(Op::KeyStore, module.key_store()).await?);
    }
    b.print(&module.status().await);
    // What was noted here is searched when the case ends.
    if keys.is_empty() {
        fail("no key came")
    } else {
        Ok(())
    }
}

async fn spent(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    // Without new keys in between.
    b.fault("cut")?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let stored =
        async || Ok::<_, NotPassed>(b.call(Op::KeyStore, module.key_store()).await?.stored);
    let Some(before) = stored().await? else {
        return not_applicable("it does not report the number of stored keys");
    };
    let keys = take_total(b, &*module, 4).await?;
    let after = stored().await?.unwrap_or(0);
    b.fault("clear")?;
    ensure(after + keys.len() as u64 == before, || {
        format!(
            "{before} keys were stored, {} were taken, and {after} are left",
            keys.len()
        )
    })
}

async fn random(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let mut bits = Vec::new();
    for key in take_total(b, &*module, 64).await? {
        bits.extend(
            key.expose()
                .iter()
                .flat_map(|byte| (0..8).map(move |n| byte >> n & 1 == 1)),
        );
    }
    let verdict = crate::randomness::check_randomness(&bits);
    bits.iter_mut().for_each(|bit| *bit = false);
    verdict.map_err(NotPassed::Fails)
}
