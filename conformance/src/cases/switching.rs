//! Optical switches, as they are changed: plans, and what may come between.

use super::switch::{only, open, paths};
use crate::{
    case::{Case, Precondition, Waits},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, fail, not_applicable},
    journal::Snapshot,
    lanes::{self, Contexts},
    requirement::Impact,
    restore,
    result::TargetKind,
};
use futures::future::join_all;
use qkd_driver_kit::{OpenedDevice, wrap::fault::LinkFault};
use qkd_hal::{DeviceMisbehaved, Effect, ErrorKind, Operation as Op, reading::Quality};
use qkd_switch_hal::{
    CrossConnect, CrossConnects, Geometry, OpticalSwitch, Plan, Port, PortState, Readback,
    SwitchState,
};
use std::{collections::BTreeSet, sync::Arc};

const APPLY: &[Precondition] = &[Precondition::Op(Op::Apply), Precondition::Live];
const EMULATED: &[Precondition] = &[Precondition::Op(Op::Apply), Precondition::Emulator];

pub(super) const CASES: &[Case] = &[
    Case::new(
        "SWI-11/free-ports",
        "makes a path between free ports of a matrix, reads it back, takes it away",
        APPLY,
        |b| Box::pin(round_trip(b, true)),
    )
    .impact(Impact::Reversible),
    Case::new(
        "SWI-11/move",
        "moves a switch that cannot be dark to another path, reads it back, moves it back",
        APPLY,
        |b| Box::pin(round_trip(b, false)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-12/empty",
        "applies a plan that changes nothing",
        &[Precondition::Op(Op::Apply)],
        |b| Box::pin(empty(b)),
    )
    .negative(),
    Case::new(
        "SWI-13/foreign",
        "lets a second operator change a port of the plan, then applies it",
        EMULATED,
        |b| Box::pin(foreign(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-14/elsewhere",
        "lets a second operator change other ports, then applies the plan",
        EMULATED,
        |b| Box::pin(elsewhere(b)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-15/another",
        "applies a plan that was made for another device",
        &[Precondition::Op(Op::Apply)],
        |b| Box::pin(another(b)),
    )
    .negative(),
    Case::new(
        "SWI-16/refused",
        "lets the device refuse each step of a plan, in turn",
        EMULATED,
        |b| Box::pin(refused_steps(b)),
    )
    .waits(Waits::Deadlines(2))
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-17/drop",
        "loses each reply of an apply, in turn",
        EMULATED,
        |b| Box::pin(interrupted(b, LinkFault::Drop)),
    )
    .waits(Waits::EachExchange)
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-17/reset",
        "hangs up at each exchange of an apply, in turn",
        EMULATED,
        |b| Box::pin(interrupted(b, LinkFault::Reset)),
    )
    .waits(Waits::Deadlines(2))
    .negative()
    .impact(Impact::Disruptive),
    Case::new("SWI-18/stale", "applies a plan twice", APPLY, |b| {
        Box::pin(stale(b))
    })
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-19/bystanders",
        "moves a path, and looks at all others",
        EMULATED,
        |b| Box::pin(other_paths_stay(b)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-20/side-by-side",
        "applies two plans for the same ports at once",
        EMULATED,
        |b| Box::pin(parallel_plans(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-21/port",
        "shuts a free port, looks, opens it",
        &[
            Precondition::Op(Op::SetPort),
            Precondition::Op(Op::Ports),
            Precondition::Live,
        ],
        |b| Box::pin(port(b)),
    )
    .impact(Impact::Reversible),
    Case::new(
        "SWI-22/full",
        "applies a plan while the device refuses every change",
        EMULATED,
        |b| Box::pin(full(b)),
    )
    .waits(Waits::Deadlines(1))
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-23/unread",
        "applies a plan that was made without reading, to a switch that can be read",
        &[Precondition::Op(Op::Apply)],
        |b| Box::pin(unread(b)),
    )
    .negative(),
    Case::new(
        "SWI-24/acknowledged",
        "changes a switch that cannot be read, and checks the quality of the reported state",
        EMULATED,
        |b| Box::pin(acknowledged(b)),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "SWI-25/meanwhile",
        "lets a second operator change a port of the plan between its steps",
        EMULATED,
        |b| Box::pin(concurrent_change(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-26/at-once",
        "applies a plan, and reads the paths at once and again",
        EMULATED,
        |b| Box::pin(at_once(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-27/ignored",
        "applies a plan that the device takes and does not carry out",
        EMULATED,
        |b| Box::pin(ignored(b)),
    )
    .waits(Waits::Deadlines(1))
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-27/ignored-port",
        "shuts a port, which the device takes and does not do",
        &[
            Precondition::Op(Op::SetPort),
            Precondition::Op(Op::Ports),
            Precondition::Emulator,
        ],
        |b| Box::pin(ignored_port(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
];

/// A switch, and a plan for a change that may be made here.
struct Planned {
    opened: OpenedDevice,
    switch: Arc<dyn OpticalSwitch>,
    present: CrossConnects,
    wanted: CrossConnects,
    plan: Plan,
}

impl Planned {
    async fn make(b: &CaseContext) -> Result<Self, NotPassed> {
        let opened = b.open().await?;
        let switch = opened.switch()?;
        let present = paths(b, &*switch).await?;
        let wanted = change(b, &*switch, &present).await?;
        let plan = restore::plan(&*switch, &present, &wanted).await?;
        Ok(Self {
            opened,
            switch,
            present,
            wanted,
            plan,
        })
    }

    /// Runs a part of a case that changes the paths, and restores them.
    ///
    /// # Errors
    /// As [`restore::with_restore`].
    async fn with_restore<T>(
        &self,
        b: &CaseContext,
        change: impl Future<Output = Result<T, NotPassed>>,
    ) -> Result<T, NotPassed> {
        let before = Snapshot::Connections(self.present.to_string());
        restore::with_restore(b, &self.opened, before, change).await
    }
}

/// Returns cross-connects that differ from the present ones only at ports that may be changed: on a
/// real device, those that its file names.
pub(crate) async fn change(
    b: &CaseContext,
    switch: &dyn OpticalSwitch,
    present: &CrossConnects,
) -> Result<CrossConnects, NotPassed> {
    let geometry = switch.switch_capabilities().geometry;
    let touchable = b.allowed_ports()?;
    // A port that is shut or has failed cannot carry a path, even if it is free.
    let out_of_use: BTreeSet<Port> = match b.session.can(Op::Ports) {
        true => switch
            .ports(&[])
            .await?
            .iter()
            .filter(|p| p.state != PortState::Enabled)
            .map(|p| p.port)
            .collect(),
        false => BTreeSet::new(),
    };
    let may =
        |port: &Port| (touchable(*port) || *port == Port::COMMON) && !out_of_use.contains(port);
    if let Geometry::Matrix { .. } = geometry {
        let free = |ingress: bool| {
            geometry
                .ports()
                .filter(|p| geometry.is_ingress(*p) == ingress && present.peer(*p).is_none())
                .find(may)
        };
        let (Some(ingress), Some(egress)) = (free(true), free(false)) else {
            return Err(NotPassed::Disabled(
                "no ingress and egress port that may be touched is free".to_owned(),
            ));
        };
        return Ok(present.with_changes(&geometry, &[], &[CrossConnect { ingress, egress }])?);
    }
    for ingress in geometry
        .ports()
        .filter(|p| geometry.is_ingress(*p) && may(p))
    {
        for egress in geometry
            .ports()
            .filter(|p| geometry.is_egress(*p) && may(p))
        {
            if present.peer(ingress) == Some(egress) {
                continue;
            }
            let connect = CrossConnect { ingress, egress };
            let Ok(wanted) = present.with_changes(&geometry, &[], &[connect]) else {
                continue;
            };
            // The ports of the displaced path may be changed too.
            let removed = present.iter().filter(|c| !wanted.contains(*c));
            let added = wanted.iter().filter(|c| !present.contains(*c));
            if removed
                .chain(added)
                .all(|c| may(&c.ingress) && may(&c.egress))
            {
                return Ok(wanted);
            }
        }
    }
    Err(NotPassed::Disabled(
        "no other path may be made with the ports that may be touched".to_owned(),
    ))
}

async fn round_trip(b: &CaseContext, matrix: bool) -> CaseOutcome {
    let opened = b.open().await?;
    let switch = opened.switch()?;
    if matches!(
        switch.switch_capabilities().geometry,
        Geometry::Matrix { .. }
    ) != matrix
    {
        return not_applicable(format!(
            "its geometry is {}",
            switch.switch_capabilities().geometry
        ));
    }
    let present = paths(b, &*switch).await?;
    let wanted = change(b, &*switch, &present).await?;
    let plan = restore::plan(&*switch, &present, &wanted).await?;
    let before = b.state();
    restore::with_restore(
        b,
        &opened,
        Snapshot::Connections(present.to_string()),
        async {
            let applied = b.call(Op::Apply, switch.apply(&plan)).await?;
            ensure(applied.verified, || {
                "it was applied, and not verified".to_owned()
            })?;
            ensure(applied.steps == plan.steps().len(), || {
                format!(
                    "{} steps of {} were reported",
                    applied.steps,
                    plan.steps().len()
                )
            })?;
            let now = paths(b, &*switch).await?;
            ensure(now == wanted, || {
                format!("it was applied, and the switch is at {now} instead of {wanted}")
            })?;
            ensure(before.is_none() || before != b.state(), || {
                "it was applied, and the device has not changed".to_owned()
            })
        },
    )
    .await?;
    let now = paths(b, &*switch).await?;
    ensure(now == present, || {
        format!("it was restored to {present}, and is at {now}")
    })
}

async fn empty(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    let present = paths(b, &*switch).await?;
    let plan = restore::plan(&*switch, &present, &present).await?;
    let sent = b.records().len();
    let applied = b.call(Op::Apply, switch.apply(&plan)).await?;
    ensure(applied.steps == 0, || {
        format!("an empty plan took {} steps", applied.steps)
    })?;
    match b.records()[sent..].iter().find(|r| r.changes) {
        None => Ok(()),
        Some(record) => fail(format!("an empty plan sent `{}`", record.name)),
    }
}

/// Returns the fault of a second operator who connects the plan's ingress port elsewhere.
fn conflicting_change(
    switch: &dyn OpticalSwitch,
    present: &CrossConnects,
    wanted: &CrossConnects,
) -> Result<String, NotPassed> {
    let geometry = switch.switch_capabilities().geometry;
    let new = wanted
        .iter()
        .find(|c| !present.contains(*c))
        .ok_or_else(|| NotPassed::Broken("the plan makes no path".to_owned()))?;
    let other = geometry
        .ports()
        .filter(|p| geometry.is_egress(*p))
        .find(|p| *p != new.egress && present.peer(*p).is_none());
    let other = other.ok_or_else(|| NotPassed::NotApplicable("it has no third port".to_owned()))?;
    Ok(format!("operator=connect:{}-{}", new.ingress.0, other.0))
}

async fn foreign(b: &CaseContext) -> CaseOutcome {
    let planned = Planned::make(b).await?;
    let Planned {
        switch,
        present,
        wanted,
        plan,
        ..
    } = &planned;
    planned
        .with_restore(b, async {
            b.fault(&conflicting_change(&**switch, present, wanted)?)?;
            let before = b.state();
            let error = expect_error(
                "a plan for a state that has moved on",
                b.call(Op::Apply, switch.apply(plan)).await,
            )?;
            let right = error.kind() == ErrorKind::StateChanged && error.effect() == Effect::None;
            ensure(right, || {
                format!("a plan for a state that has moved on: {error}")
            })?;
            ensure(b.state() == before, || {
                "the plan was refused, and the switch has changed".to_owned()
            })
        })
        .await
}

async fn elsewhere(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let switch = opened.switch()?;
    let geometry = switch.switch_capabilities().geometry;
    let present = paths(b, &*switch).await?;
    let wanted = change(b, &*switch, &present).await?;
    let plan = restore::plan(&*switch, &present, &wanted).await?;
    let free = |ingress: bool| {
        geometry.ports().find(|p| {
            geometry.is_ingress(*p) == ingress
                && wanted.peer(*p).is_none()
                && !plan.fingerprinted_ports().contains(p)
        })
    };
    let (true, Some(i), Some(e)) = (
        matches!(geometry, Geometry::Matrix { .. }),
        free(true),
        free(false),
    ) else {
        return not_applicable("all its ports belong to one path");
    };
    restore::with_restore(
        b,
        &opened,
        Snapshot::Connections(present.to_string()),
        async {
            b.fault(&format!("operator=connect:{}-{}", i.0, e.0))?;
            b.call(Op::Apply, switch.apply(&plan)).await?;
            let now = paths(b, &*switch).await?;
            let both = wanted.iter().all(|c| now.contains(c))
                && now.contains(CrossConnect {
                    ingress: i,
                    egress: e,
                });
            ensure(both, || {
                format!(
                    "the plan had {wanted}, a second operator {i}-{e}, and the switch is at {now}"
                )
            })
        },
    )
    .await
}

async fn another(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    let geometry = switch.switch_capabilities().geometry;
    let other = qkd_hal::Identity::new("another vendor")
        .with_model("none")
        .with_serial("SN-NONE");
    let plan = match geometry {
        // A real device: even a driver that accepted the plan must have nothing to change.
        _ if b.session.dut.target_kind() == TargetKind::Device => {
            let present = paths(b, &*switch).await?;
            SwitchState {
                device: other.clone(),
                geometry,
                connections: present.clone(),
            }
            .plan()
            .to(present.clone())
            .build()?
        }
        Geometry::Matrix { ingress, .. } => {
            let wanted: CrossConnects =
                std::iter::once(CrossConnect::new(1, ingress + 1)).collect::<Result<_, _>>()?;
            SwitchState {
                device: other.clone(),
                geometry,
                connections: CrossConnects::dark(),
            }
            .plan()
            .to(wanted.clone())
            .build()?
        }
        _ => {
            let wanted = match geometry {
                Geometry::OneByN { .. } => {
                    std::iter::once(CrossConnect::new(0, 1)).collect::<Result<_, _>>()?
                }
                _ => [CrossConnect::new(1, 3), CrossConnect::new(2, 4)]
                    .into_iter()
                    .collect::<Result<_, _>>()?,
            };
            Plan::unverified(&other, &geometry, &wanted)?
        }
    };
    let sent = b.records().len();
    let error = expect_error(
        "a plan that was made for another device",
        switch.apply(&plan).await,
    )?;
    let right = error.kind() == ErrorKind::IdentityChanged && error.effect() == Effect::None;
    ensure(right, || {
        format!("a plan that was made for another device: {error}")
    })?;
    match b.records()[sent..].iter().find(|r| r.changes) {
        None => Ok(()),
        Some(record) => fail(format!(
            "a plan that was made for another device sent `{}`",
            record.name
        )),
    }
}

/// Returns whether an error is a possible refusal by a device: an error text, an unchanged state,
/// or no reply if its protocol has no refusal.
fn refusal(error: &qkd_hal::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Refused | ErrorKind::Misbehaved(_) | ErrorKind::Timeout
    )
}

/// More steps than this has no plan of a case.
const MAX_STEPS: usize = 64;

async fn refused_steps(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let switch = opened.switch()?;
    let start = paths(b, &*switch).await?;
    restore::with_restore(
        b,
        &opened,
        Snapshot::Connections(start.to_string()),
        async {
            for refusals in 1..=3 {
                let present = paths(b, &*switch).await?;
                let wanted = change(b, &*switch, &present).await?;
                let plan = restore::plan(&*switch, &present, &wanted).await?;
                let before = b.state();
                b.fault(&format!("refuse={refusals}"))?;
                match b.call(Op::Apply, switch.apply(&plan)).await {
                    // The driver may send the command again, and the device then applies it.
                    Ok(_) => ensure(paths(b, &*switch).await? == wanted, || {
                        "it was refused and then called applied, and the paths are others"
                            .to_owned()
                    })?,
                    Err(error) => {
                        ensure(refusal(&error), || {
                            format!("the device refused a step: {error}")
                        })?;
                        b.check_reported_effect(&before, &error)?;
                        ensure(
                            ["done", "applied", "sent before"]
                                .iter()
                                .any(|word| error.message().contains(word)),
                            || format!("the error does not say what was done: {error}"),
                        )?;
                    }
                }
                b.fault("clear")?;
                restore::change_to(&*switch, &start).await?;
            }
            Ok(())
        },
    )
    .await
}

async fn interrupted(b: &CaseContext, fault: LinkFault) -> CaseOutcome {
    let count = match lanes::causes_timeout(fault) && b.session.dut.target_kind().has_wall_time() {
        true => exchanges_of_apply(b).await?,
        false => 1,
    };
    let contexts = Contexts::parallel(b, count).await?;
    let verdict = interrupted_on(&contexts, fault).await;
    contexts.merge_notes();
    verdict
}

/// Returns the number of exchanges of the change in [`interrupted_at`] without a fault.
async fn exchanges_of_apply(b: &CaseContext) -> Result<usize, NotPassed> {
    let planned = Planned::make(b).await?;
    let Planned { switch, plan, .. } = &planned;
    planned
        .with_restore(b, async {
            let before = b.script().count();
            b.call(Op::Apply, switch.apply(plan)).await?;
            Ok(b.script().count() - before)
        })
        .await
}

async fn interrupted_on(contexts: &Contexts<'_>, fault: LinkFault) -> CaseOutcome {
    for first in (0..MAX_STEPS).step_by(contexts.count()) {
        let places = contexts.all().zip(first..);
        let all = places.map(|(b, exchange)| interrupted_at(b, exchange, fault));
        for injected in join_all(all).await {
            if !injected? {
                return Ok(());
            }
        }
    }
    fail(format!("an apply takes more than {MAX_STEPS} exchanges"))
}

/// Applies a plan while one exchange has a fault; returns whether that exchange was reached.
async fn interrupted_at(
    b: &CaseContext,
    exchange: usize,
    fault: LinkFault,
) -> Result<bool, NotPassed> {
    let planned = Planned::make(b).await?;
    let Planned {
        switch,
        present,
        plan,
        ..
    } = &planned;
    planned
        .with_restore(b, async {
            let before = b.state();
            let (result, injected) = b
                .with_fault(exchange, fault, b.call(Op::Apply, switch.apply(plan)))
                .await;
            let place = exchange + 1;
            match result {
                Ok(_) => ensure(before != b.state(), || {
                    format!(
                        "at exchange {place}: it was called applied, and the device has not \
                         changed"
                    )
                })?,
                Err(error) => {
                    b.check_reported_effect(&before, &error)?;
                    let typed = crate::reading::is_transport_error(&error)
                        || error.kind() == ErrorKind::StateChanged;
                    ensure(typed, || {
                        format!("at exchange {place}: {error}: no error of a wire")
                    })?;
                }
            }
            // Whatever it was: reading shows it, and the way back works.
            restore::change_to(&**switch, present).await?;
            Ok(injected)
        })
        .await
}

async fn stale(b: &CaseContext) -> CaseOutcome {
    let planned = Planned::make(b).await?;
    let Planned {
        switch,
        wanted,
        plan,
        ..
    } = &planned;
    planned
        .with_restore(b, async {
            b.call(Op::Apply, switch.apply(plan)).await?;
            let error = expect_error(
                "the same plan, a second time",
                b.call(Op::Apply, switch.apply(plan)).await,
            )?;
            let right = error.kind() == ErrorKind::StateChanged && error.effect() == Effect::None;
            ensure(right, || format!("the same plan, a second time: {error}"))?;
            let now = paths(b, &**switch).await?;
            ensure(now == *wanted, || {
                format!(
                    "the second time it was refused, and the switch is at {now} instead of \
                     {wanted}"
                )
            })
        })
        .await
}

async fn other_paths_stay(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let switch = opened.switch()?;
    let geometry = switch.switch_capabilities().geometry;
    let start = paths(b, &*switch).await?;
    let Geometry::Matrix { ingress, egress } = geometry else {
        return not_applicable("it has one path");
    };
    if ingress < 3 || egress < 3 {
        return not_applicable("it has fewer than three paths");
    }
    restore::with_restore(
        b,
        &opened,
        Snapshot::Connections(start.to_string()),
        async {
            // Two paths are exchanged; a third is not in the plan.
            let paths_of = |list: [(u32, u32); 3]| {
                list.map(|(i, e)| CrossConnect::new(i, ingress + e))
                    .into_iter()
                    .collect::<Result<CrossConnects, _>>()
            };
            let (first, second) = (
                paths_of([(1, 1), (2, 2), (3, 3)])?,
                paths_of([(1, 2), (2, 1), (3, 3)])?,
            );
            restore::change_to(&*switch, &first).await?;
            let plan = restore::plan(&*switch, &first, &second).await?;
            ensure(!plan.fingerprinted_ports().contains(&Port(3)), || {
                "the plan covers a port that it does not need".to_owned()
            })?;
            b.call(Op::Apply, switch.apply(&plan)).await?;
            let now = paths(b, &*switch).await?;
            ensure(now == second, || {
                format!("two paths of three changed places: {now} instead of {second}")
            })
        },
    )
    .await
}

async fn parallel_plans(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let switch: Arc<dyn OpticalSwitch> = opened.switch()?;
    let present = paths(b, &*switch).await?;
    let one = change(b, &*switch, &present).await?;
    let geometry = switch.switch_capabilities().geometry;
    let path = one
        .iter()
        .find(|c| !present.contains(*c))
        .ok_or_else(|| NotPassed::Broken("the plan makes no path".to_owned()))?;
    let other = geometry
        .ports()
        .filter(|p| geometry.is_egress(*p))
        .find(|p| *p != path.egress && present.peer(*p).is_none());
    let Some(other) = other else {
        return not_applicable("it has no third port");
    };
    let two = present.with_changes(
        &geometry,
        &[],
        &[CrossConnect {
            ingress: path.ingress,
            egress: other,
        }],
    )?;
    let plans = [
        restore::plan(&*switch, &present, &one).await?,
        restore::plan(&*switch, &present, &two).await?,
    ];
    restore::with_restore(
        b,
        &opened,
        Snapshot::Connections(present.to_string()),
        async {
            let (first, second) = tokio::join!(switch.apply(&plans[0]), switch.apply(&plans[1]));
            let now = paths(b, &*switch).await?;
            for (result, wanted) in [(&first, &one), (&second, &two)] {
                match result {
                    Ok(_) => {}
                    Err(e) => ensure(
                        matches!(
                            e.kind(),
                            ErrorKind::StateChanged
                                | ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied)
                        ),
                        || format!("of two plans at once, the one for {wanted} ended with {e}"),
                    )?,
                }
            }
            let won = [(&first, &one), (&second, &two)]
                .iter()
                .filter(|(result, wanted)| result.is_ok() && now == **wanted)
                .count();
            ensure(won == 1 && (first.is_err() || second.is_err()), || {
                format!(
                    "two plans for the same ports at once: {:?} and {:?}, and the switch is at \
                     {now}",
                    first.is_ok(),
                    second.is_ok()
                )
            })
        },
    )
    .await
}

async fn port(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let switch = opened.switch()?;
    let present = paths(b, &*switch).await?;
    let wanted = change(b, &*switch, &present).await?;
    let free = wanted
        .iter()
        .find(|c| !present.contains(*c))
        .map(|c| c.egress)
        .ok_or_else(|| NotPassed::Broken("the plan makes no path".to_owned()))?;
    let state =
        async || Ok::<_, NotPassed>(only(b.call(Op::Ports, switch.ports(&[free])).await?)?.state);
    let before = state().await?;
    ensure(before == PortState::Enabled, || {
        format!("port {free} is {before:?} to begin with")
    })?;
    restore::with_restore(b, &opened, Snapshot::Port(free.0, true), async {
        b.call(Op::SetPort, switch.set_port(free, false)).await?;
        let now = state().await?;
        ensure(now == PortState::Disabled, || {
            format!("port {free} was shut, and is {now:?}")
        })
    })
    .await?;
    let now = state().await?;
    ensure(now == PortState::Enabled, || {
        format!("port {free} was opened again, and is {now:?}")
    })
}

async fn full(b: &CaseContext) -> CaseOutcome {
    let planned = Planned::make(b).await?;
    let Planned { switch, plan, .. } = &planned;
    planned
        .with_restore(b, async {
            b.fault("full")?;
            let before = b.state();
            let error = expect_error(
                "a plan, while the device refuses every change",
                b.call(Op::Apply, switch.apply(plan)).await,
            )?;
            ensure(refusal(&error), || {
                format!("the device refuses every change: {error}")
            })?;
            ensure(b.state() == before, || {
                "every change was refused, and the device has changed".to_owned()
            })?;
            ensure(error.effect() != Effect::Partial, || {
                format!("nothing was changed, and the error says in part: {error}")
            })?;
            b.fault("clear")?;
            b.call(Op::Apply, switch.apply(plan))
                .await
                .map(drop)
                .map_err(NotPassed::from)
        })
        .await
}

async fn at_once(b: &CaseContext) -> CaseOutcome {
    let planned = Planned::make(b).await?;
    let Planned {
        switch,
        wanted,
        plan,
        ..
    } = &planned;
    planned
        .with_restore(b, async {
            b.call(Op::Apply, switch.apply(plan)).await?;
            for nth in 1..=3 {
                let now = b.call(Op::Connections, switch.connections()).await?;
                let right = now.value == *wanted || now.quality == Quality::Stale;
                ensure(right, || {
                    format!(
                        "reading {nth} after the change shows {}, where {wanted} was applied, and \
                         calls it {:?}",
                        now.value, now.quality
                    )
                })?;
            }
            Ok(())
        })
        .await
}

/// More than any plan here has changes.
const IGNORE_ALL_CHANGES: &str = "ignore=99";

/// Whether an error says that the device took a change and did not do it.
fn not_done(what: &str, error: &qkd_hal::Error) -> CaseOutcome {
    let right = error.kind() == ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied);
    ensure(right, || format!("{what}: {error}"))?;
    ensure(error.effect() != Effect::Partial, || {
        format!("{what}, and the error says in part: {error}")
    })
}

async fn ignored(b: &CaseContext) -> CaseOutcome {
    let planned = Planned::make(b).await?;
    let Planned { switch, plan, .. } = &planned;
    if switch.switch_capabilities().readback != Readback::Device {
        return not_applicable("it does not report its cross-connects");
    }
    planned
        .with_restore(b, async {
            b.fault(IGNORE_ALL_CHANGES)?;
            let result = b.call(Op::Apply, switch.apply(plan)).await;
            b.fault("clear")?;
            not_done(
                "a plan that the device does not carry out",
                &expect_error("a plan that the device does not carry out", result)?,
            )
        })
        .await
}

async fn ignored_port(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let switch = opened.switch()?;
    let enabled = |all: Vec<qkd_switch_hal::PortStatus>| {
        all.into_iter()
            .filter(|p| p.state == PortState::Enabled && p.peer.is_none())
            .map(|p| p.port)
            .next_back()
    };
    let Some(port) = enabled(b.call(Op::Ports, switch.ports(&[])).await?) else {
        return not_applicable("no port is free and enabled");
    };
    restore::with_restore(b, &opened, Snapshot::Port(port.0, true), async {
        b.fault(IGNORE_ALL_CHANGES)?;
        let result = b.call(Op::SetPort, switch.set_port(port, false)).await;
        b.fault("clear")?;
        not_done(
            "a port that the device does not shut",
            &expect_error("a port that the device does not shut", result)?,
        )
    })
    .await
}

async fn unread(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    let present = paths(b, &*switch).await?;
    let geometry = switch.switch_capabilities().geometry;
    if matches!(geometry, Geometry::Matrix { .. }) {
        return not_applicable("no plan can be made for a matrix without reading it");
    }
    let plan = Plan::unverified(&restore::identity(&*switch).await?, &geometry, &present)?;
    let error = expect_error(
        "a plan that was made without reading",
        switch.apply(&plan).await,
    )?;
    ensure(error.kind() == ErrorKind::InvalidInput, || {
        format!("a plan that was made without reading: {error}")
    })
}

async fn acknowledged(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    if switch.switch_capabilities().readback != Readback::LastAcknowledged {
        return not_applicable("it reports its cross-connects");
    }
    let geometry = switch.switch_capabilities().geometry;
    let identity = restore::identity(&*switch).await?;
    let to = |channel: u32| -> Result<CrossConnects, qkd_hal::Error> {
        std::iter::once(CrossConnect::new(0, channel)).collect()
    };
    for channel in [2, 1] {
        let before = b.state();
        let applied = b
            .call(
                Op::Apply,
                switch.apply(&Plan::unverified(&identity, &geometry, &to(channel)?)?),
            )
            .await?;
        ensure(!applied.verified, || {
            "it cannot be read, and calls the change verified".to_owned()
        })?;
        ensure(before != b.state(), || {
            format!("channel {channel} was acknowledged, and the device has not moved")
        })?;
        let now = b.call(Op::Connections, switch.connections()).await?;
        ensure(now.quality == Quality::Stale, || {
            format!("what was last acknowledged is called {:?}", now.quality)
        })?;
        ensure(now.value == to(channel)?, || {
            format!(
                "channel {channel} was acknowledged, and it reports {}",
                now.value
            )
        })?;
    }
    // A reply that was lost: nothing is known any more.
    b.inject(LinkFault::Drop);
    let error = expect_error(
        "a move whose acknowledgement was lost",
        b.call(
            Op::Apply,
            switch.apply(&Plan::unverified(&identity, &geometry, &to(2)?)?),
        )
        .await,
    )?;
    b.script().clear();
    ensure(error.effect() == Effect::Unknown, || {
        format!("a move whose acknowledgement was lost: {error}")
    })?;
    let error = expect_error(
        "the paths, after an acknowledgement was lost",
        switch.connections().await,
    )?;
    ensure(error.kind() == ErrorKind::NotReady, || {
        format!("the paths, after an acknowledgement was lost: {error}")
    })
}

async fn concurrent_change(b: &CaseContext) -> CaseOutcome {
    let planned = Planned::make(b).await?;
    let Planned {
        switch,
        present,
        wanted,
        plan,
        ..
    } = &planned;
    planned
        .with_restore(b, async {
            // Exchange at which the second operator acts: after the check, before the read-back.
            let sent = b.records().len();
            b.call(Op::Apply, switch.apply(plan)).await?;
            let records = b.records();
            let changing = records[sent..]
                .iter()
                .position(|r| r.changes)
                .ok_or_else(|| {
                    NotPassed::Broken("the apply sent nothing that changes".to_owned())
                })?;
            restore::change_to(&**switch, present).await?;
            let fault = conflicting_change(&**switch, present, wanted)?;
            b.fault(&format!("{fault}@after={changing}@once"))?;
            let before = b.state();
            let result = b.call(Op::Apply, switch.apply(plan)).await;
            b.fault("clear")?;
            match result {
                Ok(_) => {
                    let now = paths(b, &**switch).await?;
                    ensure(now == *wanted, || {
                        format!(
                            "it was called applied, and a second operator has left the switch at \
                             {now}"
                        )
                    })
                }
                Err(error) => {
                    let right = matches!(
                        error.kind(),
                        ErrorKind::StateChanged
                            | ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied)
                    );
                    ensure(right, || format!("a second operator came between: {error}"))?;
                    b.check_reported_effect(&before, &error)
                }
            }
        })
        .await
}
