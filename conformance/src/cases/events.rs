//! Events: numbered, reported once, and a slow reader is told what it lost.

use crate::{
    bench::Bench,
    case::{Case, Need, Stop, Verdict, fails, holds},
    reading,
    requirement::Impact,
};
use qkd_driver_kit::wrap::fault::Fate;
use qkd_hal::{
    Event, EventKind, EventStream,
    capability::EventSupport,
    event::{Delivery, Origin},
};
use std::{sync::Arc, time::Duration};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "DEV-38/once",
        "hangs up, reads again, and looks at the events",
        &[Need::Live],
        |b| Box::pin(once(b)),
    )
    .negative(),
    Case::new(
        "DEV-39/slow-reader",
        "makes more events than are kept, then reads them",
        &[Need::Memory],
        |b| Box::pin(slow_reader(b)),
    )
    .negative(),
    Case::new(
        "DEV-40/alarm",
        "raises an alarm of the device",
        &[Need::Memory],
        |b| Box::pin(alarm(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
];

fn drain(events: &mut EventStream) -> Vec<Delivery> {
    std::iter::from_fn(|| events.try_next()).collect()
}

async fn once(b: &Bench) -> Verdict {
    let opened = b.open().await?;
    reading::steady(b, &opened).await?;
    let mut events = opened.device().events();
    b.strike(Fate::HangsUp);
    let _ = reading::try_steady(b, &opened).await?;
    let struck = b.script().struck();
    b.script().clear();
    for _ in 0..3 {
        reading::steady(b, &opened).await?;
    }
    if !struck {
        return Err(Stop::NotApplicable(
            "its reading touches no wire".to_owned(),
        ));
    }
    let all = drain(&mut events);
    let of = |what: &dyn Fn(&EventKind) -> bool| {
        all.iter()
            .filter(|d| matches!(d, Delivery::Event(e) if what(&e.kind)))
            .count()
    };
    let lost = of(&|kind| matches!(kind, EventKind::LinkLost { .. }));
    let restored = of(&|kind| matches!(kind, EventKind::LinkRestored));
    holds(lost <= 1 && restored == lost, || {
        format!("one hang-up was told as {lost} losses and {restored} returns of the link")
    })?;
    let mut before = None;
    for delivery in &all {
        if let Delivery::Event(event) = delivery {
            holds(before.is_none_or(|n| event.sequence == n + 1), || {
                format!("event {} comes behind event {before:?}", event.sequence)
            })?;
            before = Some(event.sequence);
        }
    }
    // A connection that was hung up is an event; a datagram, or a request with a connection of its own, is none.
    if lost == 0 {
        Err(Stop::NotApplicable("its link told of no loss".to_owned()))
    } else {
        Ok(())
    }
}

/// More than any hub keeps.
const MANY: usize = 600;

/// How many events have come since; `None` if the stream has ended.
async fn news(events: &mut EventStream) -> Option<u64> {
    let mut count = 0;
    loop {
        match tokio::time::timeout(Duration::ZERO, events.next()).await {
            Ok(Some(Delivery::Event(_))) => count += 1,
            Ok(Some(Delivery::Lost(n))) => count += n,
            Ok(None) => return None,
            Err(_) => return Some(count),
        }
    }
}

async fn slow_reader(b: &Bench) -> Verdict {
    let opened = b.open().await?;
    reading::steady(b, &opened).await?;
    let (mut slow, mut quick) = (opened.device().events(), opened.device().events());
    let mut made = 0;
    for round in 0..MANY {
        b.strike(Fate::HangsUp);
        let _ = reading::try_steady(b, &opened).await?;
        b.script().clear();
        reading::steady(b, &opened).await?;
        let mut new = news(&mut quick).await;
        if new == Some(0) && b.fault("alarm=223").is_ok() {
            // Not by the link, then by the device.
            tokio::time::sleep(Duration::from_secs(1)).await;
            b.fault("clear")?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            new = news(&mut quick).await;
        }
        match new {
            None => {
                return fails(format!(
                    "the events of an open handle ended, in round {round}"
                ));
            }
            Some(0) => {
                return Err(Stop::NotApplicable(
                    "it makes no events by which this could be seen".to_owned(),
                ));
            }
            Some(n) => made += n,
        }
    }
    let mut expected = None;
    let (mut lost, mut seen) = (0, 0);
    while let Some(delivery) = slow.try_next() {
        match delivery {
            Delivery::Lost(n) => lost += n,
            Delivery::Event(event) => {
                holds(expected.is_none_or(|next| event.sequence == next), || {
                    format!("event {} comes where {expected:?} was due", event.sequence)
                })?;
                expected = Some(event.sequence + 1);
                seen += 1;
            }
        }
    }
    holds(lost + seen == made, || {
        format!(
            "{made} events were made; a slow reader got {seen}, and was told that it lost {lost}"
        )
    })?;
    holds(seen > 0, || "after the loss nothing came".to_owned())
}

async fn alarm(b: &Bench) -> Verdict {
    let opened = b.open().await?;
    if opened.device().capabilities().events == EventSupport::LinkOnly {
        return Err(Stop::NotApplicable(
            "it has no events of its own".to_owned(),
        ));
    }
    reading::steady(b, &opened).await?;
    let mut events = opened.device().events();
    let (mut raised, mut told) = (false, None);
    for fault in ["alarm=223", "alarm=psu", "fail", "cut"] {
        match b.fault(fault) {
            Ok(()) => raised = true,
            Err(Stop::NotApplicable(_)) => continue,
            Err(stop) => return Err(stop),
        }
        told = tokio::time::timeout(Duration::from_secs(120), of_the_device(&mut events))
            .await
            .ok()
            .flatten();
        b.fault("clear")?;
        if told.is_some() {
            break;
        }
    }
    if !raised {
        return Err(Stop::NotApplicable(
            "its emulator has no failure of the device".to_owned(),
        ));
    }
    let Some(event) = told else {
        return fails("the device failed, and no event told of it within two minutes");
    };
    let native = opened.device().capabilities().events == EventSupport::Native;
    holds(!native || event.origin == Origin::Device, || {
        format!(
            "it declares native events, and this one was found by {:?}",
            event.origin
        )
    })
}

/// The next event that the device sent, or that polling found.
async fn of_the_device(events: &mut EventStream) -> Option<Arc<Event>> {
    while let Some(delivery) = events.next().await {
        if let Delivery::Event(event) = delivery
            && event.origin != Origin::Driver
            && matches!(
                event.kind,
                EventKind::Alarm { .. } | EventKind::StateChanged { .. } | EventKind::Vendor { .. }
            )
        {
            return Some(event);
        }
    }
    None
}
