//! Cases for operations of every device: identity, health, telemetry, concurrency, close.

use crate::{
    case::{Case, Precondition, Waits},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, fail, not_applicable},
    reading,
    requirement::Impact,
};
use futures::future::join_all;
use qkd_driver_kit::wrap::fault::LinkFault;
use qkd_hal::{
    DeviceKind, ErrorKind, Operation as Op, Support,
    device::HealthState,
    reading::{Quality, ReadingValue},
    units::{
        Bits, BitsPerSecond, Bytes, Celsius, DecibelMilliwatts, Decibels, Hertz, Nanometres,
        ShotNoiseUnits,
    },
};
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "DEV-01/twice",
        "asks for the identity twice",
        &[Precondition::Op(Op::Identity)],
        |b| Box::pin(identity_twice(b)),
    ),
    Case::new(
        "DEV-02/reopened",
        "opens it a second time and compares the identity",
        &[Precondition::Op(Op::Identity)],
        |b| Box::pin(identity_reopened(b)),
    ),
    Case::new(
        "DEV-03/kinds",
        "asks for a handle of each kind, declared or not",
        &[],
        |b| Box::pin(kinds(b)),
    )
    .negative(),
    Case::new(
        "DEV-04/well",
        "asks a device that works",
        &[Precondition::Op(Op::Health)],
        |b| Box::pin(health_agrees(b)),
    ),
    Case::new(
        "DEV-05/failing",
        "lets the device fail, asks, mends it, asks again",
        &[Precondition::Op(Op::Health), Precondition::Emulator],
        |b| Box::pin(health_shows(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "DEV-06/form",
        "checks name, unit, value, time and quality of each item",
        &[Precondition::Op(Op::Telemetry)],
        |b| Box::pin(telemetry_form(b)),
    ),
    Case::new(
        "DEV-07/again",
        "reads the telemetry twice",
        &[Precondition::Op(Op::Telemetry)],
        |b| Box::pin(telemetry_again(b)),
    ),
    Case::new(
        "DEV-08/side-by-side",
        "reads sixteen times at once",
        &[Precondition::Live],
        |b| Box::pin(parallel_calls(b)),
    ),
    Case::new(
        "DEV-09/dropped",
        "drops a call in its middle, then reads",
        &[Precondition::Live],
        |b| Box::pin(dropped(b)),
    )
    .negative(),
    Case::new("DEV-10/closed", "closes the handle and reads", &[], |b| {
        Box::pin(closed(b))
    })
    .negative(),
    Case::new("DEV-11/twice", "closes the handle twice", &[], |b| {
        Box::pin(closed_twice(b))
    })
    .negative(),
    Case::new(
        "DEV-12/named",
        "loses a reply, closes the handle, and looks into both errors",
        &[Precondition::Live],
        |b| Box::pin(error_names(b)),
    )
    .waits(Waits::Deadlines(1))
    .negative(),
    Case::new(
        "DEV-13/reads",
        "calls every reading operation and looks at the wire and the model",
        &[],
        |b| Box::pin(reads_only(b)),
    ),
];

async fn identity_twice(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    let (first, second) = (
        b.call(Op::Identity, device.identity()).await?,
        b.call(Op::Identity, device.identity()).await?,
    );
    ensure(!first.vendor.trim().is_empty(), || {
        "it names no vendor".to_owned()
    })?;
    for (what, text) in [
        ("model", &first.model),
        ("serial number", &first.serial),
        ("firmware", &first.firmware),
    ] {
        let clean = text
            .as_ref()
            .is_none_or(|t| !t.trim().is_empty() && !t.chars().any(char::is_control));
        ensure(clean, || {
            format!("its {what} is {text:?}: empty, or with control characters")
        })?;
    }
    ensure(first == second, || {
        format!("it says `{first}` and then `{second}`")
    })
}

async fn identity_reopened(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let first = b.call(Op::Identity, opened.device().identity()).await?;
    opened.device().close().await?;
    let second = b
        .call(Op::Identity, b.open().await?.device().identity())
        .await?;
    ensure(first == second, || {
        format!("it says `{first}`, and opened again `{second}`")
    })
}

async fn kinds(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let declared: BTreeSet<DeviceKind> =
        opened.device().descriptor().kinds.iter().copied().collect();
    ensure(!declared.is_empty(), || "it declares no kind".to_owned())?;
    let handles = [
        (DeviceKind::QkdModule, opened.module().err()),
        (DeviceKind::Encryptor, opened.encryptor().err()),
        (DeviceKind::OpticalSwitch, opened.switch().err()),
        (DeviceKind::RandomSource, opened.random().err()),
    ];
    for (kind, error) in handles {
        match (declared.contains(&kind), error) {
            (true, None) => {}
            (true, Some(e)) => {
                return fail(format!(
                    "it declares to be a {kind}, and has no such handle: {e}"
                ));
            }
            (false, None) => {
                return fail(format!(
                    "it has a handle of a {kind}, which it does not declare"
                ));
            }
            (false, Some(e)) => {
                ensure(e.kind() == ErrorKind::Unsupported, || {
                    format!(
                        "the handle of a {kind} that it is not: {} instead of unsupported",
                        e.kind()
                    )
                })?;
            }
        }
    }
    Ok(())
}

async fn health_agrees(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    let health = b.call(Op::Health, device.health()).await?;
    match health.state {
        HealthState::Ok => ensure(health.faults.is_empty(), || {
            format!("it says ok, and names faults: {}", health.faults.join(", "))
        }),
        _ => ensure(!health.faults.is_empty(), || {
            format!("it says {:?}, and names no fault", health.state)
        }),
    }
}

/// The faults that a device may have, of which its emulator has some.
const FAILURES: [&str; 4] = ["fail", "port-fails=1", "alarm=223", "cut"];

async fn health_shows(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    if device.capabilities().supports(Op::Health) == Support::Emulated {
        return not_applicable("its health is only whether it answers");
    }
    let well = b.call(Op::Health, device.health()).await?;
    ensure(well.state == HealthState::Ok, || {
        format!("it is not well to begin with: {:?}", well.faults)
    })?;
    let mut had = false;
    for failure in FAILURES {
        match b.fault(failure) {
            Ok(()) => had = true,
            Err(NotPassed::NotApplicable(_)) => continue,
            Err(stop) => return Err(stop),
        }
        let ill = reading::until(b, || async {
            Ok(b.call(Op::Health, device.health()).await?.state != HealthState::Ok)
        })
        .await?;
        if ill {
            let shown = b.call(Op::Health, device.health()).await?;
            ensure(!shown.faults.is_empty(), || {
                format!(
                    "after `{failure}` it says {:?}, and names no fault",
                    shown.state
                )
            })?;
            b.fault("clear")?;
            let mended = reading::until(b, || async {
                Ok(b.call(Op::Health, device.health()).await?.state == HealthState::Ok)
            })
            .await?;
            return ensure(mended, || {
                format!("`{failure}` has gone, and it does not get well")
            });
        }
        b.fault("clear")?;
    }
    if had {
        fail("the device failed, and its health stayed ok".to_owned())
    } else {
        not_applicable("its emulator has no failure of the device")
    }
}

/// Units of the contract, and units of time and electricity that devices also report.
const UNITS: [&str; 15] = [
    "",
    Bits::SYMBOL,
    Bytes::SYMBOL,
    BitsPerSecond::SYMBOL,
    Decibels::SYMBOL,
    DecibelMilliwatts::SYMBOL,
    Nanometres::SYMBOL,
    Celsius::SYMBOL,
    Hertz::SYMBOL,
    ShotNoiseUnits::SYMBOL,
    "s",
    "min",
    "V",
    "A",
    "W",
];

async fn telemetry_form(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    let begun = SystemTime::now();
    let all = b.call(Op::Telemetry, device.telemetry()).await?;
    ensure(!all.is_empty(), || {
        "it declares telemetry, and has none".to_owned()
    })?;
    let mut seen = BTreeSet::new();
    for item in &all {
        let name = item.name.as_ref();
        ensure(seen.insert(name.to_owned()), || {
            format!("`{name}` comes twice")
        })?;
        ensure(
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_graphic() && !c.is_ascii_uppercase() || c == ' '),
            || format!("`{name}` is not a name in lower case"),
        )?;
        ensure(UNITS.contains(&&*item.unit), || {
            format!(
                "`{name}` has the unit `{}`, which is not one of {UNITS:?}",
                item.unit
            )
        })?;
        if let ReadingValue::Number(v) = item.value {
            ensure(v.is_finite() || item.quality == Quality::Invalid, || {
                format!("`{name}` is {v}, of quality {:?}", item.quality)
            })?;
        }
        let age = begun.duration_since(item.at).unwrap_or_default();
        ensure(
            item.at <= SystemTime::now() + Duration::from_secs(1),
            || format!("`{name}` was taken in the future"),
        )?;
        ensure(
            age < Duration::from_secs(60) || item.quality != Quality::Good,
            || format!("`{name}` is good, and {age:?} old"),
        )?;
    }
    Ok(())
}

async fn telemetry_again(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    let names = |all: Vec<qkd_hal::reading::Reading>| {
        all.into_iter()
            .map(|r| (r.name.into_owned(), r.unit))
            .collect::<Vec<_>>()
    };
    let (first, second) = (
        names(b.call(Op::Telemetry, device.telemetry()).await?),
        names(b.call(Op::Telemetry, device.telemetry()).await?),
    );
    ensure(first == second, || {
        format!("it first reported {first:?}, then {second:?}")
    })
}

async fn parallel_calls(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let right = reading::stable_reading(b, &opened).await?;
    for answer in join_all((0..16).map(|_| reading::stable_reading(b, &opened))).await {
        let answer = answer?;
        ensure(answer == right, || {
            format!("one of 16 parallel calls read `{answer}`, and a single call `{right}`")
        })?;
    }
    Ok(())
}

async fn dropped(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let right = reading::stable_reading(b, &opened).await?;
    // The reply is on its way when the caller goes.
    b.inject(LinkFault::Delay(Duration::from_millis(50)));
    let gone = tokio::time::timeout(
        Duration::from_millis(10),
        reading::stable_reading(b, &opened),
    )
    .await;
    b.script().clear();
    if gone.is_ok() && b.script().count() == 0 {
        return not_applicable("its reading touches no wire");
    }
    for _ in 0..3 {
        let next = reading::stable_reading(b, &opened).await?;
        ensure(next == right, || {
            format!("after a dropped call the next one read `{next}`, and before `{right}`")
        })?;
    }
    Ok(())
}

async fn closed(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    opened.device().close().await?;
    let sent = b.records().len();
    for (operation, result) in reading::read_all(b, &opened).await {
        let error = expect_error(format!("{operation} on a closed handle"), result)?;
        ensure(error.kind() == ErrorKind::Closed, || {
            format!(
                "{operation} on a closed handle: {} instead of closed",
                error.kind()
            )
        })?;
    }
    b.check_no_traffic_since(sent)
}

async fn closed_twice(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    device.close().await?;
    if let Err(error) = device.close().await {
        return fail(format!("the second close fails: {error}"));
    }
    let mut events = device.events();
    let ended = tokio::time::timeout(Duration::from_secs(1), async {
        while events.next().await.is_some() {}
    })
    .await;
    ensure(ended.is_ok(), || {
        "the events of a closed handle do not end".to_owned()
    })
}

async fn error_names(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let device = opened.device();
    b.inject(LinkFault::Drop);
    let lost = reading::try_steady(b, &opened).await?.err();
    b.script().clear();
    device.close().await?;
    let closed = expect_error("a call on a closed handle", device.identity().await)?;
    for error in lost.iter().chain([&closed]) {
        ensure(
            error.device() == Some(device.descriptor().uri.as_str()),
            || format!("the error names the device {:?}: {error}", error.device()),
        )?;
        let named = error
            .operation()
            .is_some_and(|name| Op::ALL.iter().any(|op| op.name() == name));
        ensure(named, || {
            format!(
                "the error names the operation {:?}: {error}",
                error.operation()
            )
        })?;
        ensure(!error.message().trim().is_empty(), || {
            "the error has no sentence".to_owned()
        })?;
    }
    Ok(())
}

async fn reads_only(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let (before, sent) = (b.state(), b.records().len());
    for (operation, result) in reading::read_all(b, &opened).await {
        if let Some(record) = b.records()[sent..].iter().find(|r| r.changes) {
            return fail(format!(
                "{operation} reads, and sent `{}`, which may change the device",
                record.name
            ));
        }
        ensure(b.state() == before, || {
            format!("{operation} reads, and the device has changed")
        })?;
        if let Err(error) = result {
            let harmless = matches!(
                error.kind(),
                ErrorKind::NotReady | ErrorKind::NotFound | ErrorKind::Unsupported
            );
            ensure(harmless, || format!("{operation}: {error}"))?;
        }
    }
    Ok(())
}
