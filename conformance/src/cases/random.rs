//! Cases for random sources.

use crate::{
    case::{Case, Precondition, Waits},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, fail},
    requirement::Impact,
};
use qkd_driver_kit::wrap::fault::LinkFault;
use qkd_hal::{ErrorKind, Operation as Op, RandomSource, TransportFault};
use std::sync::Arc;

const RANDOM: &[Precondition] = &[Precondition::Op(Op::Random), Precondition::Live];
const EMULATED: &[Precondition] = &[Precondition::Op(Op::Random), Precondition::Emulator];

pub(super) const CASES: &[Case] = &[
    Case::new(
        "RNG-01/length",
        "asks for 1, 13, 512, 513 and 4096 bytes",
        RANDOM,
        |b| Box::pin(length(b)),
    ),
    Case::new(
        "RNG-02/fresh",
        "asks twice for the same number of bytes",
        RANDOM,
        |b| Box::pin(fresh(b)),
    ),
    Case::new("RNG-03/bits", "looks at the bits of 64 KiB", RANDOM, |b| {
        Box::pin(bits(b))
    }),
    Case::new(
        "RNG-04/outside",
        "asks for no bytes, and for too many",
        &[Precondition::Op(Op::Random)],
        |b| Box::pin(outside(b)),
    )
    .negative(),
    Case::new(
        "RNG-05/failed",
        "lets the source fail, and asks",
        EMULATED,
        |b| Box::pin(failed(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "RNG-06/switched-off",
        "disables the source as an operator, and requests bytes",
        EMULATED,
        |b| Box::pin(switched_off(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new("RNG-07/short", "lets a transfer be short", EMULATED, |b| {
        Box::pin(short(b))
    })
    .negative(),
    Case::new("RNG-08/stalled", "lets a transfer stall", EMULATED, |b| {
        Box::pin(stalled(b))
    })
    .negative(),
    Case::new(
        "RNG-09/unplugged",
        "pulls it out, and plugs it in again",
        EMULATED,
        |b| Box::pin(unplugged(b)),
    )
    .negative(),
    Case::new(
        "RNG-10/secret",
        "looks for the bytes in all that was recorded and printed",
        RANDOM,
        |b| Box::pin(secret(b)),
    )
    .negative(),
    Case::new(
        "RNG-11/side-by-side",
        "asks from eight sides at once",
        RANDOM,
        |b| Box::pin(parallel_calls(b)),
    )
    .negative(),
    Case::new(
        "RNG-12/drop",
        "loses each transfer of a request, in turn",
        RANDOM,
        |b| Box::pin(lost(b)),
    )
    .waits(Waits::Deadlines(2))
    .negative(),
];

async fn open(b: &CaseContext) -> Result<Arc<dyn RandomSource>, NotPassed> {
    Ok(b.open().await?.random()?)
}

async fn take(
    b: &CaseContext,
    source: &dyn RandomSource,
    length: usize,
) -> qkd_hal::Result<zeroize::Zeroizing<Vec<u8>>> {
    let bytes = b.call(Op::Random, source.random(length)).await?;
    b.secret(&bytes);
    Ok(bytes)
}

async fn length(b: &CaseContext) -> CaseOutcome {
    let source = open(b).await?;
    for n in [1, 13, 512, 513, 4096] {
        let n = n.min(source.random_capabilities().max_request);
        let bytes = take(b, &*source, n).await?;
        ensure(bytes.len() == n, || {
            format!("{n} bytes were asked for, and {} came", bytes.len())
        })?;
    }
    Ok(())
}

async fn fresh(b: &CaseContext) -> CaseOutcome {
    let source = open(b).await?;
    let (first, second) = (take(b, &*source, 64).await?, take(b, &*source, 64).await?);
    ensure(first != second, || "the same bytes came twice".to_owned())?;
    let tail = &first[32..];
    ensure(!second.windows(tail.len()).any(|w| w == tail), || {
        "bytes that were given came again".to_owned()
    })
}

async fn bits(b: &CaseContext) -> CaseOutcome {
    let source = open(b).await?;
    let n = source.random_capabilities().max_request.min(4096);
    let mut bits = Vec::new();
    for _ in 0..16 {
        let bytes = take(b, &*source, n).await?;
        bits.extend(
            bytes
                .iter()
                .flat_map(|byte| (0..8).map(move |n| byte >> n & 1 == 1)),
        );
    }
    let verdict = crate::randomness::check_randomness(&bits);
    bits.iter_mut().for_each(|bit| *bit = false);
    verdict.map_err(NotPassed::Fails)
}

async fn outside(b: &CaseContext) -> CaseOutcome {
    let source = open(b).await?;
    let sent = b.records().len();
    let most = source.random_capabilities().max_request;
    for n in [0, most.saturating_add(1), usize::MAX] {
        let error = expect_error(format!("{n} bytes"), source.random(n).await)?;
        ensure(error.kind() == ErrorKind::InvalidInput, || {
            format!("{n} bytes: {error}")
        })?;
    }
    b.check_no_traffic_since(sent)
}

/// Checks that a source without function delivers no bytes, and delivers bytes when it works again.
async fn not_ready(b: &CaseContext, fault: &str) -> CaseOutcome {
    let source = open(b).await?;
    b.fault(fault)?;
    let result = take(b, &*source, 256).await;
    b.fault("clear")?;
    let error = expect_error(format!("bytes of a source after `{fault}`"), result)?;
    ensure(error.kind() == ErrorKind::NotReady, || {
        format!("bytes of a source after `{fault}`: {error}")
    })?;
    take(b, &*source, 256)
        .await
        .map(drop)
        .map_err(NotPassed::from)
}

async fn failed(b: &CaseContext) -> CaseOutcome {
    not_ready(b, "fail").await
}

async fn switched_off(b: &CaseContext) -> CaseOutcome {
    not_ready(b, "operator=disable").await
}

async fn short(b: &CaseContext) -> CaseOutcome {
    let source = open(b).await?;
    b.fault("short")?;
    match take(b, &*source, 2000).await {
        // It may have asked again for what was missing: then all of it is fresh.
        Ok(bytes) => ensure(
            bytes.len() == 2000 && !bytes.windows(64).any(|w| w.iter().all(|x| *x == 0)),
            || "a short transfer was filled up".to_owned(),
        )?,
        Err(error) => ensure(
            matches!(
                error.kind(),
                ErrorKind::Misbehaved(_) | ErrorKind::Transport(_) | ErrorKind::Timeout
            ),
            || format!("a short transfer: {error}"),
        )?,
    }
    take(b, &*source, 256)
        .await
        .map(drop)
        .map_err(NotPassed::from)
}

async fn stalled(b: &CaseContext) -> CaseOutcome {
    let source = open(b).await?;
    b.fault("stall")?;
    if let Err(error) = take(b, &*source, 256).await {
        ensure(
            error.kind() == ErrorKind::Transport(TransportFault::Stall),
            || format!("a stalled transfer: {error}"),
        )?;
    }
    take(b, &*source, 256)
        .await
        .map(drop)
        .map_err(NotPassed::from)
}

async fn unplugged(b: &CaseContext) -> CaseOutcome {
    let source = open(b).await?;
    b.fault("unplug")?;
    let error = expect_error(
        "bytes of a source that was pulled out",
        take(b, &*source, 256).await,
    )?;
    let reported = matches!(
        error.kind(),
        ErrorKind::Transport(TransportFault::Unplugged)
            | ErrorKind::NotFound
            | ErrorKind::Unreachable
    );
    ensure(reported, || {
        format!("bytes of a source that was pulled out: {error}")
    })?;
    b.fault("clear")?;
    let back = crate::reading::until(b, || async {
        match source.random(256).await {
            Ok(bytes) => {
                b.secret(&bytes);
                Ok(true)
            }
            Err(e) if e.kind().is_transient() || e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    })
    .await?;
    ensure(back, || {
        "it was plugged in again, and gives nothing".to_owned()
    })
}

async fn secret(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let source = opened.random()?;
    let bytes = take(b, &*source, 32).await?;
    b.print(&opened);
    // What was noted here is searched when the case ends.
    if bytes.is_empty() {
        fail("no bytes came")
    } else {
        Ok(())
    }
}

async fn parallel_calls(b: &CaseContext) -> CaseOutcome {
    let source = open(b).await?;
    let all = futures::future::join_all((0..8).map(|n| take(b, &*source, 64 + n))).await;
    let mut seen = std::collections::BTreeSet::new();
    for (n, bytes) in all.into_iter().enumerate() {
        let bytes = bytes?;
        ensure(bytes.len() == 64 + n, || {
            format!(
                "side {n} asked for {} bytes and got {}",
                64 + n,
                bytes.len()
            )
        })?;
        ensure(seen.insert(crate::randomness::digest(&bytes[..32])), || {
            "two sides got the same bytes".to_owned()
        })?;
    }
    Ok(())
}

async fn lost(b: &CaseContext) -> CaseOutcome {
    let source = open(b).await?;
    for exchange in 0..16 {
        let (result, injected) = b
            .with_fault(exchange, LinkFault::Drop, take(b, &*source, 1024))
            .await;
        if let Err(error) = result {
            ensure(crate::reading::is_transport_error(&error), || {
                format!("{error}: no error of a wire")
            })?;
        }
        let next = take(b, &*source, 64).await?;
        ensure(next.len() == 64, || {
            format!("64 bytes were asked for, and {} came", next.len())
        })?;
        if !injected {
            return Ok(());
        }
    }
    fail("1024 bytes take more than 16 exchanges")
}
