//! Power meters: monitors as they are read and set.

use super::{
    change,
    switch::{only, paths},
};
use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, not_applicable},
    journal::Snapshot,
    requirement::Impact,
    restore,
};
use qkd_hal::{
    ErrorKind, Operation as Op,
    reading::Quality,
    units::{DecibelMilliwatts, Nanometres},
};
use qkd_switch_hal::{AlarmLevels, Geometry, MonitorSetting, MonitorStatus, Port, PowerMeter};
use std::{sync::Arc, time::Duration};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "PWR-01/power",
        "reads all power monitors",
        &[Precondition::Op(Op::Power)],
        |b| Box::pin(power(b)),
    ),
    Case::new(
        "PWR-02/unmonitored",
        "asks for the power where there is no monitor",
        &[Precondition::Op(Op::Power)],
        |b| Box::pin(unmonitored(b)),
    )
    .negative(),
    Case::new(
        "PWR-03/foreign-light",
        "reads the power at a port where no path ends",
        &[
            Precondition::Op(Op::Power),
            Precondition::Op(Op::Connections),
            Precondition::Emulator,
        ],
        |b| Box::pin(no_light(b)),
    )
    .negative(),
    Case::new(
        "PWR-04/order",
        "sends light to one monitor, and requests powers in a different order",
        &[
            Precondition::Op(Op::Power),
            Precondition::Op(Op::Apply),
            Precondition::Op(Op::Connections),
            Precondition::Live,
        ],
        |b| Box::pin(requested_order(b)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "PWR-05/monitor",
        "sets a monitor to other values, and reads them back",
        &[
            Precondition::Op(Op::SetMonitor),
            Precondition::Op(Op::Monitor),
            Precondition::Live,
        ],
        |b| Box::pin(monitor(b)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "PWR-06/outside",
        "sets a monitor to what it does not declare",
        &[Precondition::Op(Op::SetMonitor)],
        |b| Box::pin(outside(b)),
    )
    .negative(),
    Case::new(
        "PWR-07/alarm",
        "asks for an alarm above the power that there is",
        &[
            Precondition::Op(Op::SetMonitor),
            Precondition::Op(Op::Monitor),
            Precondition::Op(Op::Power),
            Precondition::Live,
        ],
        |b| Box::pin(alarm(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
];

/// A monitor that may be set: of those whose ports the file names; of an emulator, the last.
fn settable(b: &CaseContext, meter: &dyn PowerMeter) -> Result<Port, NotPassed> {
    let may = b.allowed_ports()?;
    let port = monitors(meter).into_iter().rfind(|p| may(*p));
    port.ok_or_else(|| NotPassed::Disabled("no port with a monitor may be touched".to_owned()))
}

fn monitor_snapshot(now: &MonitorStatus) -> Snapshot {
    let level = |l: Option<DecibelMilliwatts>| l.map(|l| l.0);
    Snapshot::Monitor {
        port: now.port.0,
        low: level(now.alarms.low),
        high: level(now.alarms.high),
        averaging: now.averaging.map(|t| t.as_secs_f64()),
        wavelength: now.wavelength.map(|w| w.0),
    }
}

async fn monitor(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let meter = opened.power_meter()?;
    let port = settable(b, &*meter)?;
    let before = b.call(Op::Monitor, meter.monitor(port)).await?;
    let declared = meter.meter_capabilities();
    let mut wishes = Vec::new();
    wishes.extend(
        declared
            .averaging
            .iter()
            .find(|t| Some(**t) != before.averaging)
            .map(|t| MonitorSetting::Averaging(*t)),
    );
    if let (Some(range), Some(now)) = (&declared.wavelengths, before.wavelength) {
        let other = if range.contains(&(now.0 + 1.0)) {
            now.0 + 1.0
        } else {
            now.0 - 1.0
        };
        wishes.push(MonitorSetting::Wavelength(Nanometres(other)));
    }
    if let Some(range) = &declared.alarms {
        let low = before
            .alarms
            .low
            .map_or((-30.0_f64).clamp(*range.start(), *range.end()), |low| {
                low.0 + 1.0
            });
        wishes.push(MonitorSetting::Alarms(AlarmLevels {
            low: Some(DecibelMilliwatts(low)),
            high: before.alarms.high.filter(|h| h.0 > low),
        }));
    }
    restore::with_restore(b, &opened, monitor_snapshot(&before), async {
        for wish in wishes {
            let was = b.state();
            b.call(Op::SetMonitor, meter.set_monitor(port, &wish))
                .await?;
            let now = b.call(Op::Monitor, meter.monitor(port)).await?;
            let right = match wish {
                MonitorSetting::Averaging(time) => now.averaging == Some(time),
                MonitorSetting::Wavelength(nm) => {
                    now.wavelength.is_some_and(|w| (w.0 - nm.0).abs() < 0.05)
                }
                MonitorSetting::Alarms(levels) => {
                    let same = |a: Option<DecibelMilliwatts>, b: Option<DecibelMilliwatts>| {
                        a.map(|l| (l.0 * 10.0).round()) == b.map(|l| (l.0 * 10.0).round())
                    };
                    same(now.alarms.low, levels.low) && same(now.alarms.high, levels.high)
                }
                _ => true,
            };
            ensure(right, || {
                format!("{wish:?} was set, and the monitor reports {now:?}")
            })?;
            ensure(was.is_none() || was != b.state(), || {
                format!("{wish:?} was set, and the device has not changed")
            })?;
        }
        Ok(())
    })
    .await
}

async fn outside(b: &CaseContext) -> CaseOutcome {
    let meter = open(b).await?;
    let port = monitors(&*meter)[0];
    let declared = meter.meter_capabilities();
    let wishes = [
        MonitorSetting::Averaging(
            declared
                .averaging
                .iter()
                .max()
                .map_or(Duration::from_millis(10), |t| *t * 3),
        ),
        MonitorSetting::Wavelength(Nanometres(
            declared
                .wavelengths
                .as_ref()
                .map_or(1550.0, |r| r.end() + 1.0),
        )),
        MonitorSetting::Alarms(AlarmLevels {
            low: Some(DecibelMilliwatts(
                declared.alarms.as_ref().map_or(0.0, |r| r.start() - 1.0),
            )),
            high: None,
        }),
    ];
    let sent = b.records().len();
    for wish in wishes {
        let error = expect_error(
            format!("{wish:?}, which is not declared"),
            meter.set_monitor(port, &wish).await,
        )?;
        ensure(error.kind() == ErrorKind::InvalidInput, || {
            format!("{wish:?}, which is not declared: {error}")
        })?;
    }
    b.check_no_traffic_since(sent)
}

async fn alarm(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let meter = opened.power_meter()?;
    let port = settable(b, &*meter)?;
    let Some(range) = &meter.meter_capabilities().alarms else {
        return not_applicable("it has no alarms to set");
    };
    let before = b.call(Op::Monitor, meter.monitor(port)).await?;
    let power = only(b.call(Op::Power, meter.power(&[port])).await?)?;
    let above = (power.value.0.max(*range.start()) + 5.0).round();
    if !range.contains(&above) || before.alarmed.is_none() {
        return not_applicable(
            "no alarm can be set above that power, or the device does not report it",
        );
    }
    restore::with_restore(b, &opened, monitor_snapshot(&before), async {
        for (low, alarmed) in [(Some(DecibelMilliwatts(above)), true), (None, false)] {
            b.call(
                Op::SetMonitor,
                meter.set_monitor(
                    port,
                    &MonitorSetting::Alarms(AlarmLevels { low, high: None }),
                ),
            )
            .await?;
            let now = b.call(Op::Monitor, meter.monitor(port)).await?.alarmed;
            ensure(now == Some(alarmed), || {
                format!(
                    "the power is {}, the low level of the alarm {low:?}, and the alarm is \
                     active: {now:?}",
                    power.value
                )
            })?;
        }
        Ok(())
    })
    .await
}

async fn open(b: &CaseContext) -> Result<Arc<dyn PowerMeter>, NotPassed> {
    Ok(b.open().await?.power_meter()?)
}

fn monitors(meter: &dyn PowerMeter) -> Vec<Port> {
    meter
        .meter_capabilities()
        .monitors
        .iter()
        .copied()
        .collect()
}

/// Between the floor of any photodiode and the damage threshold of any fibre, in dBm.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = -100.0..=40.0;

async fn power(b: &CaseContext) -> CaseOutcome {
    let meter = open(b).await?;
    let monitors = monitors(&*meter);
    let all = b.call(Op::Power, meter.power(&monitors)).await?;
    ensure(all.len() == monitors.len(), || {
        format!(
            "{} monitors were asked, and {} answered",
            monitors.len(),
            all.len()
        )
    })?;
    for (port, reading) in monitors.iter().zip(&all) {
        let right = reading.quality != Quality::Good || PLAUSIBLE.contains(&reading.value.0);
        ensure(right, || {
            format!(
                "the power at port {port} is {}, and called good",
                reading.value
            )
        })?;
    }
    Ok(())
}

async fn requested_order(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let (switch, meter) = (opened.switch()?, opened.power_meter()?);
    let mut monitors = monitors(&*meter);
    monitors.reverse();
    let present = paths(b, &*switch).await?;
    let wanted = change(b, &*switch, &present).await?;
    restore::with_restore(
        b,
        &opened,
        Snapshot::Connections(present.to_string()),
        async {
            match b
                .call(
                    Op::Apply,
                    switch.apply(&restore::plan(&*switch, &present, &wanted).await?),
                )
                .await
            {
                Err(e) if e.kind() == ErrorKind::NotReady => {
                    return not_applicable(format!("its paths cannot be changed at present: {e}"));
                }
                applied => ensure(applied?.verified, || {
                    "it was applied, and not verified".to_owned()
                })?,
            }
            let all = b.call(Op::Power, meter.power(&monitors)).await?;
            ensure(all.len() == monitors.len(), || {
                format!(
                    "{} monitors were asked, and {} answered",
                    monitors.len(),
                    all.len()
                )
            })?;
            for (port, reported) in monitors.iter().zip(&all) {
                let alone = only(b.call(Op::Power, meter.power(&[*port])).await?)?;
                ensure((reported.value.0 - alone.value.0).abs() < 3.0, || {
                    format!(
                        "port {port} reads {} among others, and {} alone",
                        reported.value, alone.value
                    )
                })?;
            }
            Ok(())
        },
    )
    .await
}

async fn unmonitored(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let meter = opened.power_meter()?;
    let monitors = &meter.meter_capabilities().monitors;
    // For a device that is also a switch, one of its ports; otherwise, the first number without a
    // monitor.
    let mut ports: Vec<Port> = match opened.switch() {
        Ok(switch) => switch.switch_capabilities().geometry.ports().collect(),
        Err(_) => Vec::new(),
    };
    ports.extend((1..=u32::MAX).map(Port).find(|p| !monitors.contains(p)));
    let sent = b.records().len();
    for port in ports.into_iter().filter(|p| !monitors.contains(p)).take(3) {
        let error = expect_error(
            format!("the power at port {port}, which has no monitor"),
            meter.power(&[port]).await,
        )?;
        ensure(error.kind() == ErrorKind::InvalidInput, || {
            format!("the power at port {port}, which has no monitor: {error}")
        })?;
    }
    b.check_no_traffic_since(sent)
}

async fn no_light(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let (switch, meter) = (opened.switch()?, opened.power_meter()?);
    if !matches!(
        switch.switch_capabilities().geometry,
        Geometry::Matrix { .. }
    ) {
        return not_applicable("light comes to its monitors without a path");
    }
    let Some(dark) = monitors(&*meter).into_iter().next_back() else {
        return not_applicable("it has no monitor");
    };
    if paths(b, &*switch).await?.peer(dark).is_some() {
        return not_applicable("the port of its last monitor carries a path");
    }
    // A port without a path has no light: the reading is a bound, out of range or invalid, and
    // never of good quality.
    let reading = only(b.call(Op::Power, meter.power(&[dark])).await?)?;
    let right = reading.quality != Quality::Good || reading.value.0 < -40.0;
    ensure(right, || {
        format!(
            "no path ends at port {dark}, and its power is {}, of quality {:?}",
            reading.value, reading.quality
        )
    })
}
