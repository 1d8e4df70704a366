//! Power meters: monitors as they are read and set.

use super::{
    change,
    switch::{only, paths},
};
use crate::{
    bench::Bench,
    case::{Case, Need, Stop, Verdict, holds, refused},
    journal::Stood,
    requirement::Impact,
    stood,
};
use qkd_hal::{ErrorKind, Operation as Op, reading::Quality};
use qkd_switch_hal::{Port, PowerMeter};
use std::sync::Arc;

pub(super) const CASES: &[Case] = &[
    Case::new("PWR-01/power", "reads all power monitors", &[Need::Op(Op::Power)], |b| Box::pin(power(b))),
    Case::new("PWR-02/unmonitored", "asks for the power where there is no monitor", &[Need::Op(Op::Power)], |b| Box::pin(unmonitored(b))).negative(),
    Case::new("PWR-03/foreign-light", "reads the power at a port where no path ends", &[Need::Op(Op::Power), Need::Op(Op::Connections), Need::Emulator], |b| {
        Box::pin(no_light(b))
    })
    .negative(),
    Case::new(
        "PWR-04/order",
        "brings light to one monitor, and asks for powers in an order of its own",
        &[Need::Op(Op::Power), Need::Op(Op::Apply), Need::Op(Op::Connections), Need::Live],
        |b| Box::pin(order(b)),
    )
    .impact(Impact::Disruptive),
];

async fn open(b: &Bench) -> Result<Arc<dyn PowerMeter>, Stop> {
    Ok(b.open().await?.as_meter()?)
}

fn monitors(meter: &dyn PowerMeter) -> Vec<Port> {
    meter.meter_capabilities().monitors.iter().copied().collect()
}

/// Between the floor of any photodiode and the damage threshold of any fibre, in dBm.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = -100.0..=40.0;

async fn power(b: &Bench) -> Verdict {
    let meter = open(b).await?;
    let monitors = monitors(&*meter);
    let all = b.call(Op::Power, meter.power(&monitors)).await?;
    holds(all.len() == monitors.len(), || format!("{} monitors were asked, and {} answered", monitors.len(), all.len()))?;
    for (port, reading) in monitors.iter().zip(&all) {
        let right = reading.quality != Quality::Good || PLAUSIBLE.contains(&reading.value.0);
        holds(right, || format!("the power at port {port} is {}, and called good", reading.value))?;
    }
    Ok(())
}

async fn order(b: &Bench) -> Verdict {
    let opened = b.open().await?;
    let (switch, meter) = (opened.as_switch()?, opened.as_meter()?);
    let mut monitors = monitors(&*meter);
    monitors.reverse();
    let present = paths(b, &*switch).await?;
    let wanted = change(b, &*switch, &present).await?;
    stood::putting_back(b, &opened, Stood::Connections(present.to_string()), async {
        b.call(Op::Apply, switch.apply(&stood::plan(&*switch, &present, &wanted).await?)).await?;
        let all = b.call(Op::Power, meter.power(&monitors)).await?;
        holds(all.len() == monitors.len(), || format!("{} monitors were asked, and {} answered", monitors.len(), all.len()))?;
        for (port, told) in monitors.iter().zip(&all) {
            let alone = only(b.call(Op::Power, meter.power(&[*port])).await?)?;
            holds((told.value.0 - alone.value.0).abs() < 3.0, || format!("port {port} reads {} among others, and {} alone", told.value, alone.value))?;
        }
        Ok(())
    })
    .await
}

async fn unmonitored(b: &Bench) -> Verdict {
    let meter = open(b).await?;
    let monitors = &meter.meter_capabilities().monitors;
    // Of a box that is a switch too, a port that it has; of another, the first number that is no monitor's.
    let mut ports: Vec<Port> = match b.open().await?.as_switch() {
        Ok(switch) => switch.switch_capabilities().geometry.ports().collect(),
        Err(_) => Vec::new(),
    };
    ports.extend((1..=u32::MAX).map(Port).find(|p| !monitors.contains(p)));
    let sent = b.records().len();
    for port in ports.into_iter().filter(|p| !monitors.contains(p)).take(3) {
        let error = refused(format!("the power at port {port}, which has no monitor"), meter.power(&[port]).await)?;
        holds(error.kind() == ErrorKind::InvalidInput, || format!("the power at port {port}, which has no monitor: {error}"))?;
    }
    b.silent_since(sent)
}

async fn no_light(b: &Bench) -> Verdict {
    let opened = b.open().await?;
    let (switch, meter) = (opened.as_switch()?, opened.as_meter()?);
    let Some(dark) = monitors(&*meter).into_iter().next_back() else { return Err(Stop::NotApplicable("it has no monitor".to_owned())) };
    if paths(b, &*switch).await?.peer(dark).is_some() {
        return Err(Stop::NotApplicable("the port of its last monitor carries a path".to_owned()));
    }
    // Where no path ends, there is no light: a bound, out of range, or nothing valid; never a good level.
    let reading = only(b.call(Op::Power, meter.power(&[dark])).await?)?;
    let right = reading.quality != Quality::Good || reading.value.0 < -40.0;
    holds(right, || format!("no path ends at port {dark}, and its power is {}, of quality {:?}", reading.value, reading.quality))
}
