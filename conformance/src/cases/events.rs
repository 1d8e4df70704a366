//! Cases for events: they are numbered and reported once, and a slow reader learns how many it
//! lost.

use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, applicable, ensure, fail, not_applicable},
    reading,
    requirement::Impact,
};
use qkd_driver_kit::wrap::fault::LinkFault;
use qkd_hal::{
    Event, EventKind, EventStream,
    capability::EventSupport,
    event::{Origin, StreamItem},
};
use std::{sync::Arc, time::Duration};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "DEV-38/once",
        "hangs up, reads again, and looks at the events",
        &[Precondition::Live],
        |b| Box::pin(once(b)),
    )
    .negative(),
    Case::new(
        "DEV-39/slow-reader",
        "makes more events than are kept, then reads them",
        &[Precondition::Memory],
        |b| Box::pin(slow_reader(b)),
    )
    .negative(),
    Case::new(
        "DEV-40/alarm",
        "raises an alarm of the device",
        &[Precondition::Memory],
        |b| Box::pin(alarm(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
];

fn drain(events: &mut EventStream) -> Vec<StreamItem> {
    std::iter::from_fn(|| events.try_next()).collect()
}

async fn once(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    reading::stable_reading(b, &opened).await?;
    let mut events = opened.device().events();
    b.inject(LinkFault::Reset);
    let _ = reading::try_steady(b, &opened).await?;
    let injected = b.script().was_injected();
    b.script().clear();
    for _ in 0..3 {
        reading::stable_reading(b, &opened).await?;
    }
    applicable(injected, "its reading touches no wire")?;
    let all = drain(&mut events);
    let of = |what: &dyn Fn(&EventKind) -> bool| {
        all.iter()
            .filter(|d| matches!(d, StreamItem::Event(e) if what(&e.kind)))
            .count()
    };
    let lost = of(&|kind| matches!(kind, EventKind::LinkLost { .. }));
    let restored = of(&|kind| matches!(kind, EventKind::LinkRestored));
    ensure(lost <= 1 && restored == lost, || {
        format!(
            "one closed connection was reported as {lost} losses and {restored} recoveries of the \
             link"
        )
    })?;
    let mut before = None;
    for delivery in &all {
        if let StreamItem::Event(event) = delivery {
            ensure(before.is_none_or(|n| event.sequence == n + 1), || {
                format!("event {} follows event {before:?}", event.sequence)
            })?;
            before = Some(event.sequence);
        }
    }
    // A closed connection is an event; a lost datagram, or a request with its own connection, is
    // not.
    if lost == 0 {
        not_applicable("its link reported no loss")
    } else {
        Ok(())
    }
}

/// More than any hub keeps.
const MANY: usize = 600;

/// Returns the number of events since; `None` if the stream has ended.
async fn next_sequence(events: &mut EventStream) -> Option<u64> {
    let mut count = 0;
    loop {
        match tokio::time::timeout(Duration::ZERO, events.next()).await {
            Ok(Some(StreamItem::Event(_))) => count += 1,
            Ok(Some(StreamItem::Lost(n))) => count += n,
            Ok(None) => return None,
            Err(_) => return Some(count),
        }
    }
}

async fn slow_reader(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    reading::stable_reading(b, &opened).await?;
    let (mut slow, mut quick) = (opened.device().events(), opened.device().events());
    let mut made = 0;
    for round in 0..MANY {
        b.inject(LinkFault::Reset);
        let _ = reading::try_steady(b, &opened).await?;
        b.script().clear();
        reading::stable_reading(b, &opened).await?;
        let mut new = next_sequence(&mut quick).await;
        if new == Some(0) && b.fault("alarm=223").is_ok() {
            // Not by the link, then by the device.
            tokio::time::sleep(Duration::from_secs(1)).await;
            b.fault("clear")?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            new = next_sequence(&mut quick).await;
        }
        match new {
            None => {
                return fail(format!(
                    "the events of an open handle ended, in round {round}"
                ));
            }
            Some(0) => {
                return not_applicable("it makes no events by which this could be seen");
            }
            Some(n) => made += n,
        }
    }
    let mut expected = None;
    let (mut lost, mut seen) = (0, 0);
    while let Some(delivery) = slow.try_next() {
        match delivery {
            StreamItem::Lost(n) => lost += n,
            StreamItem::Event(event) => {
                ensure(expected.is_none_or(|next| event.sequence == next), || {
                    format!("event {} comes where {expected:?} was due", event.sequence)
                })?;
                expected = Some(event.sequence + 1);
                seen += 1;
            }
        }
    }
    ensure(lost + seen == made, || {
        format!(
            "{made} events were made; a slow reader received {seen}, with {lost} reported as lost"
        )
    })?;
    ensure(seen > 0, || "after the loss nothing came".to_owned())
}

async fn alarm(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    if opened.device().capabilities().events == EventSupport::LinkOnly {
        return not_applicable("it has no events of its own");
    }
    reading::stable_reading(b, &opened).await?;
    let mut events = opened.device().events();
    let (mut raised, mut reported) = (false, None);
    for fault in ["alarm=223", "alarm=psu", "fail", "cut"] {
        match b.fault(fault) {
            Ok(()) => raised = true,
            Err(NotPassed::NotApplicable(_)) => continue,
            Err(stop) => return Err(stop),
        }
        reported = tokio::time::timeout(Duration::from_secs(120), of_the_device(&mut events))
            .await
            .ok()
            .flatten();
        b.fault("clear")?;
        if reported.is_some() {
            break;
        }
    }
    applicable(raised, "its emulator has no failure of the device")?;
    let Some(event) = reported else {
        return fail("the device failed, and no event reported it within two minutes");
    };
    let native = opened.device().capabilities().events == EventSupport::Native;
    ensure(!native || event.origin == Origin::Device, || {
        format!(
            "it declares native events, and this one was found by {:?}",
            event.origin
        )
    })
}

/// The next event that the device sent, or that polling found.
async fn of_the_device(events: &mut EventStream) -> Option<Arc<Event>> {
    while let Some(delivery) = events.next().await {
        if let StreamItem::Event(event) = delivery
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
