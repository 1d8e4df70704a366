//! Random sources.

use crate::{
    bench::Bench,
    case::{Case, Need, Stop, Verdict, Waits, fails, holds, refused},
    requirement::Impact,
};
use qkd_driver_kit::wrap::fault::Fate;
use qkd_hal::{ErrorKind, Operation as Op, RandomSource, TransportFault};
use std::sync::Arc;

const RANDOM: &[Need] = &[Need::Op(Op::Random), Need::Live];
const EMULATED: &[Need] = &[Need::Op(Op::Random), Need::Emulator];

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
        &[Need::Op(Op::Random)],
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
        "lets somebody switch the source off, and asks",
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
        |b| Box::pin(side_by_side(b)),
    )
    .negative(),
    Case::new(
        "RNG-12/lost",
        "loses each transfer of a request, in turn",
        RANDOM,
        |b| Box::pin(lost(b)),
    )
    .waits(Waits::Deadlines(2))
    .negative(),
];

async fn open(b: &Bench) -> Result<Arc<dyn RandomSource>, Stop> {
    Ok(b.open().await?.as_random()?)
}

async fn take(
    b: &Bench,
    source: &dyn RandomSource,
    length: usize,
) -> qkd_hal::Result<zeroize::Zeroizing<Vec<u8>>> {
    let bytes = b.call(Op::Random, source.random(length)).await?;
    b.secret(&bytes);
    Ok(bytes)
}

async fn length(b: &Bench) -> Verdict {
    let source = open(b).await?;
    for n in [1, 13, 512, 513, 4096] {
        let n = n.min(source.random_capabilities().max_request);
        let bytes = take(b, &*source, n).await?;
        holds(bytes.len() == n, || {
            format!("{n} bytes were asked for, and {} came", bytes.len())
        })?;
    }
    Ok(())
}

async fn fresh(b: &Bench) -> Verdict {
    let source = open(b).await?;
    let (first, second) = (take(b, &*source, 64).await?, take(b, &*source, 64).await?);
    holds(first != second, || "the same bytes came twice".to_owned())?;
    let tail = &first[32..];
    holds(!second.windows(tail.len()).any(|w| w == tail), || {
        "bytes that were given came again".to_owned()
    })
}

async fn bits(b: &Bench) -> Verdict {
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
    let verdict = crate::bits::look_random(&bits);
    bits.iter_mut().for_each(|bit| *bit = false);
    verdict.map_err(Stop::Fails)
}

async fn outside(b: &Bench) -> Verdict {
    let source = open(b).await?;
    let sent = b.records().len();
    let most = source.random_capabilities().max_request;
    for n in [0, most.saturating_add(1), usize::MAX] {
        let error = refused(format!("{n} bytes"), source.random(n).await)?;
        holds(error.kind() == ErrorKind::InvalidInput, || {
            format!("{n} bytes: {error}")
        })?;
    }
    b.silent_since(sent)
}

/// While it does not work there are no bytes; when it works again, there are.
async fn not_ready(b: &Bench, fault: &str) -> Verdict {
    let source = open(b).await?;
    b.fault(fault)?;
    let result = take(b, &*source, 256).await;
    b.fault("clear")?;
    let error = refused(format!("bytes of a source after `{fault}`"), result)?;
    holds(error.kind() == ErrorKind::NotReady, || {
        format!("bytes of a source after `{fault}`: {error}")
    })?;
    take(b, &*source, 256).await.map(drop).map_err(Stop::from)
}

async fn failed(b: &Bench) -> Verdict {
    not_ready(b, "fail").await
}

async fn switched_off(b: &Bench) -> Verdict {
    not_ready(b, "operator=disable").await
}

async fn short(b: &Bench) -> Verdict {
    let source = open(b).await?;
    b.fault("short")?;
    match take(b, &*source, 2000).await {
        // It may have asked again for what was missing: then all of it is fresh.
        Ok(bytes) => holds(
            bytes.len() == 2000 && !bytes.windows(64).any(|w| w.iter().all(|x| *x == 0)),
            || "a short transfer was filled up".to_owned(),
        )?,
        Err(error) => holds(
            matches!(
                error.kind(),
                ErrorKind::Misbehaved(_) | ErrorKind::Transport(_) | ErrorKind::Timeout
            ),
            || format!("a short transfer: {error}"),
        )?,
    }
    take(b, &*source, 256).await.map(drop).map_err(Stop::from)
}

async fn stalled(b: &Bench) -> Verdict {
    let source = open(b).await?;
    b.fault("stall")?;
    if let Err(error) = take(b, &*source, 256).await {
        holds(
            error.kind() == ErrorKind::Transport(TransportFault::Stall),
            || format!("a stalled transfer: {error}"),
        )?;
    }
    take(b, &*source, 256).await.map(drop).map_err(Stop::from)
}

async fn unplugged(b: &Bench) -> Verdict {
    let source = open(b).await?;
    b.fault("unplug")?;
    let error = refused(
        "bytes of a source that was pulled out",
        take(b, &*source, 256).await,
    )?;
    let told = matches!(
        error.kind(),
        ErrorKind::Transport(TransportFault::Unplugged)
            | ErrorKind::NotFound
            | ErrorKind::Unreachable
    );
    holds(told, || {
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
    holds(back, || {
        "it was plugged in again, and gives nothing".to_owned()
    })
}

async fn secret(b: &Bench) -> Verdict {
    let opened = b.open().await?;
    let source = opened.as_random()?;
    let bytes = take(b, &*source, 32).await?;
    b.print(&opened);
    // What was noted here is searched when the case ends.
    if bytes.is_empty() {
        fails("no bytes came")
    } else {
        Ok(())
    }
}

async fn side_by_side(b: &Bench) -> Verdict {
    let source = open(b).await?;
    let all = futures::future::join_all((0..8).map(|n| take(b, &*source, 64 + n))).await;
    let mut seen = std::collections::BTreeSet::new();
    for (n, bytes) in all.into_iter().enumerate() {
        let bytes = bytes?;
        holds(bytes.len() == 64 + n, || {
            format!(
                "side {n} asked for {} bytes and got {}",
                64 + n,
                bytes.len()
            )
        })?;
        holds(seen.insert(crate::bits::digest(&bytes[..32])), || {
            "two sides got the same bytes".to_owned()
        })?;
    }
    Ok(())
}

async fn lost(b: &Bench) -> Verdict {
    let source = open(b).await?;
    for exchange in 0..16 {
        let (result, struck) = b
            .struck(exchange, Fate::Lost, take(b, &*source, 1024))
            .await;
        if let Err(error) = result {
            holds(crate::reading::is_of_the_wire(&error), || {
                format!("{error}: no error of a wire")
            })?;
        }
        let next = take(b, &*source, 64).await?;
        holds(next.len() == 64, || {
            format!("64 bytes were asked for, and {} came", next.len())
        })?;
        if !struck {
            return Ok(());
        }
    }
    fails("1024 bytes take more than 16 exchanges")
}
