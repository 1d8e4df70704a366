//! Cases for recovery: after each fault of the link or of the device, a typed error within the
//! deadline, or the right reply; and the next call succeeds.

use crate::{
    case::{Case, Precondition, Waits},
    case_context::CaseContext,
    case_outcome::{
        CaseOutcome, NotPassed, applicable, ensure, expect_error, fail, not_applicable,
    },
    lanes::{self, Contexts, Lane},
    reading,
    requirement::Impact,
};
use futures::future::join_all;
use qkd_driver_kit::{
    OpenedDevice,
    wrap::fault::{FaultScript, LinkFault},
};
use qkd_hal::{Effect, ErrorKind, Operation as Op};
use std::time::Duration;

const NEEDS_DEVICE: &[Precondition] = &[Precondition::Live];

pub(super) const CASES: &[Case] = &[
    Case::new(
        "DEV-26/drop",
        "drops each reply of a reading, in turn",
        NEEDS_DEVICE,
        |b| Box::pin(injected(b, LinkFault::Drop)),
    )
    .waits(Waits::EachExchange)
    .negative(),
    Case::new(
        "DEV-27/reorder",
        "lets each reply of a reading come after its deadline",
        NEEDS_DEVICE,
        |b| Box::pin(reordered(b)),
    )
    .waits(Waits::EachExchange)
    .negative(),
    Case::new(
        "DEV-28/duplicate",
        "duplicates each reply of a reading",
        NEEDS_DEVICE,
        |b| Box::pin(injected(b, LinkFault::Duplicate)),
    )
    .negative(),
    Case::new(
        "DEV-29/truncate",
        "truncates each reply to its first half",
        NEEDS_DEVICE,
        |b| Box::pin(injected(b, LinkFault::Truncate)),
    )
    .waits(Waits::EachExchange)
    .negative(),
    Case::new(
        "DEV-30/corrupt",
        "corrupts one bit of each reply",
        NEEDS_DEVICE,
        |b| Box::pin(corrupted(b)),
    )
    .negative(),
    Case::new(
        "DEV-31/reset",
        "resets the connection instead of each reply",
        NEEDS_DEVICE,
        |b| Box::pin(injected(b, LinkFault::Reset)),
    )
    .negative(),
    Case::new(
        "DEV-32/flood",
        "lets each reply never end",
        NEEDS_DEVICE,
        |b| Box::pin(injected(b, LinkFault::Flood)),
    )
    .negative(),
    Case::new(
        "DEV-33/throttle",
        "throttles each reply to one byte a second",
        NEEDS_DEVICE,
        |b| Box::pin(injected(b, LinkFault::Throttle(1))),
    )
    .waits(Waits::EachExchange)
    .negative(),
    Case::new(
        "DEV-34/delay",
        "delays each reply by a fifth of the deadline",
        NEEDS_DEVICE,
        |b| Box::pin(delayed(b)),
    ),
    Case::new(
        "DEV-35/opening",
        "drops each reply while the device is opened",
        NEEDS_DEVICE,
        |b| Box::pin(opening(b)),
    )
    .waits(Waits::EachExchange)
    .negative(),
    Case::new(
        "DEV-36/rebooted",
        "restarts the device, then reads",
        &[Precondition::Emulator],
        |b| Box::pin(rebooted(b)),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "DEV-37/another",
        "replaces the device at the same address",
        &[Precondition::Emulator, Precondition::Op(Op::Identity)],
        |b| Box::pin(another(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
];

/// More exchanges than this has no reading.
const MAX_EXCHANGES: usize = 64;

/// Injects a fault into each exchange of a reading in turn. A reading that succeeds nevertheless is
/// right; an error must be one of the transport and must not deny a change.
async fn injected(b: &CaseContext, fault: LinkFault) -> CaseOutcome {
    each(b, fault, |right, result| match result {
        Ok(read) => ensure(read == right, || {
            format!("it read `{read}`, and before `{right}`")
        }),
        Err(error) => {
            ensure(reading::is_transport_error(&error), || {
                format!("{error}: no error of a wire")
            })?;
            ensure(error.effect() == Effect::None, || {
                format!("{error}: a reading changes nothing")
            })
        }
    })
    .await
}

/// If the protocol has no checksum, one damaged bit can produce another valid reply: the case
/// accepts one such reading.
async fn corrupted(b: &CaseContext) -> CaseOutcome {
    each(b, LinkFault::Corrupt, |_, result| match result {
        Ok(_) => Ok(()),
        Err(error) => {
            let typed = reading::is_transport_error(&error)
                || matches!(
                    error.kind(),
                    ErrorKind::Refused | ErrorKind::NotFound | ErrorKind::Authentication
                );
            ensure(typed, || format!("{error}: no error of a damaged reply"))
        }
    })
    .await
}

async fn each(
    b: &CaseContext,
    fault: LinkFault,
    judge: impl Fn(&str, qkd_hal::Result<String>) -> CaseOutcome,
) -> CaseOutcome {
    let measured = b.session.declared().and_then(|d| d.measured.as_ref());
    let count = match measured {
        Some(measured) if lanes::causes_timeout(fault) => measured.exchanges,
        _ => 1,
    };
    let contexts = Contexts::parallel(b, count).await?;
    let verdict = each_on(&contexts, count, fault, judge).await;
    contexts.merge_notes();
    verdict
}

async fn each_on(
    contexts: &Contexts<'_>,
    count: usize,
    fault: LinkFault,
    judge: impl Fn(&str, qkd_hal::Result<String>) -> CaseOutcome,
) -> CaseOutcome {
    let lanes = lanes::open(contexts, count).await?;
    let mut touched = false;
    for first in (0..MAX_EXCHANGES).step_by(lanes.len()) {
        let all = lanes
            .iter()
            .zip(first..)
            .map(|(lane, exchange)| one(lane, (exchange, fault), &judge));
        for outcome in join_all(all).await {
            match outcome? {
                Reach::Reached => touched = true,
                Reach::Behind => return Ok(()),
                Reach::NoWire if touched => return Ok(()),
                Reach::NoWire => {
                    return not_applicable("its reading touches no wire");
                }
            }
        }
    }
    fail(format!(
        "a reading takes more than {MAX_EXCHANGES} exchanges"
    ))
}

/// Whether a reading reached the exchange with the fault.
enum Reach {
    Reached,
    Behind,
    NoWire,
}

/// Injects a fault into one exchange of a reading, and checks that later calls are not affected.
async fn one(
    lane: &Lane<'_>,
    (exchange, fault): (usize, LinkFault),
    judge: impl Fn(&str, qkd_hal::Result<String>) -> CaseOutcome,
) -> Result<Reach, NotPassed> {
    let (b, right) = (lane.bench, lane.expected.as_str());
    let sent = lane.script.count();
    lane.script.inject(exchange, fault);
    let result = reading::try_steady(b, &lane.opened).await;
    let injected = lane.script.was_injected();
    lane.script.clear();
    judge(right, result?).map_err(|stop| at(exchange, stop))?;
    // The link may detect the fault after the reply: neither of the next two calls may be affected.
    for n in 1..=2 {
        let next = next_call_after(b, &lane.opened, fault).await?;
        match next {
            Ok(read) => ensure(read == right, || {
                format!("call {n} after it read `{read}`, and before `{right}`")
            })
            .map_err(|stop| at(exchange, stop))?,
            Err(error) => {
                return Err(at(
                    exchange,
                    NotPassed::Fails(format!("call {n} after it fails: {error}")),
                ));
            }
        }
    }
    Ok(if injected {
        Reach::Reached
    } else if lane.script.count() == sent {
        Reach::NoWire
    } else {
        Reach::Behind
    })
}

/// Makes the next call after a fault. On a line that cannot be disconnected (a serial line),
/// pending input must arrive first: until then the calls fail, and none receives it.
async fn next_call_after(
    b: &CaseContext,
    opened: &OpenedDevice,
    fault: LinkFault,
) -> Result<qkd_hal::Result<String>, NotPassed> {
    let lasts = if matches!(fault, LinkFault::Throttle(_) | LinkFault::Reorder(_)) {
        8
    } else {
        0
    };
    for _ in 0..lasts {
        match reading::try_steady(b, opened).await? {
            Err(error) if reading::is_transport_error(&error) => {}
            other => return Ok(other),
        }
    }
    reading::try_steady(b, opened).await
}

fn at(exchange: usize, stop: NotPassed) -> NotPassed {
    match stop {
        NotPassed::Fails(why) => NotPassed::Fails(format!("at exchange {}: {why}", exchange + 1)),
        other => other,
    }
}

async fn reordered(b: &CaseContext) -> CaseOutcome {
    injected(
        b,
        LinkFault::Reorder(b.session.deadline() + b.session.deadline() / 4),
    )
    .await
}

async fn delayed(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let right = reading::stable_reading(b, &opened).await?;
    b.script()
        .inject(0, LinkFault::Delay(b.session.deadline() / 5));
    let read = reading::stable_reading(b, &opened).await?;
    applicable(b.script().was_injected(), "its reading touches no wire")?;
    ensure(read == right, || {
        format!("it read `{read}`, and before `{right}`")
    })
}

async fn opening(b: &CaseContext) -> CaseOutcome {
    // How many exchanges it takes.
    let sent = b.script().count();
    b.open().await?.device().close().await?;
    let exchanges = b.script().count() - sent;
    let contexts = Contexts::parallel(b, exchanges).await?;
    let verdict = opening_on(&contexts, exchanges).await;
    contexts.merge_notes();
    verdict?;
    if exchanges == 0 {
        not_applicable("opening it touches no wire")
    } else {
        Ok(())
    }
}

async fn opening_on(contexts: &Contexts<'_>, exchanges: usize) -> CaseOutcome {
    let mut places = Vec::new();
    for lane in lanes::open(contexts, exchanges).await? {
        lane.opened.device().close().await?;
        places.push(lane.bench);
    }
    for first in (0..exchanges.min(MAX_EXCHANGES)).step_by(places.len()) {
        let some = places.iter().zip(first..exchanges.min(MAX_EXCHANGES));
        let outcomes = join_all(some.map(|(b, exchange)| opening_without(b, exchange))).await;
        outcomes.into_iter().collect::<CaseOutcome>()?;
        for b in contexts.all() {
            b.open().await?.device().close().await?;
        }
    }
    Ok(())
}

/// Opens the device while the reply of one exchange is lost.
async fn opening_without(b: &CaseContext, exchange: usize) -> CaseOutcome {
    let script = FaultScript::new();
    script.inject(exchange, LinkFault::Drop);
    let begun = tokio::time::Instant::now();
    let result = b.open_another(&script).await;
    let took = begun.elapsed();
    script.clear();
    // Opening connects and identifies: each within the deadline.
    let allowed = b.session.allowed(Op::Identity) * 3;
    ensure(took <= allowed, || {
        format!(
            "at exchange {}: opening took {took:?}, and has {allowed:?}",
            exchange + 1
        )
    })?;
    match result {
        Ok(opened) => Ok(opened.device().close().await?),
        Err(error) => ensure(reading::is_transport_error(&error), || {
            format!("at exchange {}: {error}: no error of a wire", exchange + 1)
        }),
    }
}

async fn rebooted(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    reading::stable_reading(b, &opened).await?;
    b.fault("reboot")?;
    // It may be unresponsive while it restarts; then it responds again on the same handle.
    let patience = if b.session.dut.target_kind().has_wall_time() {
        20
    } else {
        600
    };
    let end = tokio::time::Instant::now() + Duration::from_secs(patience);
    loop {
        match reading::try_steady(b, &opened).await? {
            Ok(_) => return Ok(()),
            Err(error) => {
                let reported =
                    reading::is_transport_error(&error) || error.kind() == ErrorKind::NotReady;
                ensure(reported, || format!("after a restart: {error}"))?;
                ensure(tokio::time::Instant::now() < end, || {
                    format!("{patience} s after a restart it does not answer: {error}")
                })?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn another(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let identity = b.call(Op::Identity, opened.device().identity()).await?;
    if identity.serial.is_none() {
        return not_applicable("it has no serial number that distinguishes it from another device");
    }
    b.fault("identity=SN-ANOTHER-1")?;
    // The link is lost, as when a device is replaced; the next call reaches the other device.
    let plugged = b.fault("unplug").is_ok();
    if !plugged {
        b.inject(LinkFault::Reset);
    }
    let _ = b.call(Op::Identity, opened.device().identity()).await;
    b.script().clear();
    if plugged {
        b.fault("clear")?;
    }
    let mut last = None;
    for _ in 0..3 {
        match b.call(Op::Identity, opened.device().identity()).await {
            Ok(now) => {
                return fail(format!(
                    "`{identity}` was opened, and `{now}` answers without being noticed"
                ));
            }
            Err(error) if error.kind() == ErrorKind::IdentityChanged => {
                last = Some(error);
                break;
            }
            Err(error) => last = Some(error),
        }
    }
    // The first device is restored; the tested behaviour is complete.
    b.fault(&format!("identity={}", identity.serial.unwrap_or_default()))?;
    let error = last.ok_or_else(|| NotPassed::Broken("no call was made".to_owned()))?;
    ensure(error.kind() == ErrorKind::IdentityChanged, || {
        format!("another device responds, and: {error}")
    })?;
    // From now on every call is refused, even if the previous device returns.
    let after = expect_error(
        "a call on a handle whose device was replaced",
        reading::try_steady(b, &opened).await?,
    )?;
    ensure(
        matches!(after.kind(), ErrorKind::IdentityChanged | ErrorKind::Closed),
        || format!("the next call: {after}"),
    )
}
