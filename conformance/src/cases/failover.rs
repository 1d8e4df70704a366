//! Cases for switch-overs of protection switches: automatic and by command.

use super::protection::{Group, others};
use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{
        CaseOutcome, NotPassed, applicable, ensure, expect_error, fail, not_applicable,
    },
    requirement::Impact,
    restore,
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, EventKind, EventStream, Operation as Op,
    capability::EventSupport,
    event::{Origin, StreamItem},
};
use qkd_switch_hal::protection::{
    ExternalCommand, ExternalCommandKind, GroupId, PathId, ProtectionSetting, SelectionMode,
    SettingKind, SwitchRequest,
};
use std::time::Duration;

const EMULATED: &[Precondition] = &[
    Precondition::Op(Op::ProtectionStatus),
    Precondition::Emulator,
];
const COMMANDED: &[Precondition] = &[Precondition::Op(Op::ProtectionCommand), Precondition::Live];
const COMMANDED_EMULATED: &[Precondition] = &[
    Precondition::Op(Op::ProtectionCommand),
    Precondition::Emulator,
];

pub(super) const CASES: &[Case] = &[
    Case::new(
        "PRT-07/signal-fail",
        "removes the light of the active path in automatic mode",
        EMULATED,
        |b| Box::pin(signal_fail(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-08/event",
        "removes the light of the active path and waits for the event",
        EMULATED,
        |b| Box::pin(event(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-09/spare-failed",
        "takes the light of the other path away",
        EMULATED,
        |b| Box::pin(spare_failed(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-10/manual-to-dark",
        "asks for a manual switch to a path without light",
        COMMANDED_EMULATED,
        |b| Box::pin(manual_to_dark(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-11/force",
        "forces the signal over, and takes it back",
        COMMANDED,
        |b| Box::pin(force(b)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-12/manual-mode",
        "takes the light away in manual mode",
        &[Precondition::Op(Op::SetProtection), Precondition::Emulator],
        |b| Box::pin(manual_mode(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-13/refused",
        "gives a command that the device refuses",
        COMMANDED_EMULATED,
        |b| Box::pin(refused_command(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-14/standing",
        "gives a manual switch while a command of higher priority is active",
        COMMANDED,
        |b| Box::pin(active_command(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-15/restore",
        "mends the preferred path, and waits",
        &[Precondition::Op(Op::SetProtection), Precondition::Memory],
        |b| Box::pin(restore(b)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-16/ignored",
        "sets a group, which the device takes and does not do",
        &[Precondition::Op(Op::SetProtection), Precondition::Emulator],
        |b| Box::pin(ignored(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
];

/// Takes the light of a path away.
fn cut(b: &CaseContext, group: &GroupId, path: &PathId) -> CaseOutcome {
    b.fault(&format!("cut={group}/{path}"))
}

/// Reduces the power so that the active path fails and another is available: on the active path,
/// or, if paths share their inputs, on one of the others.
async fn fail_active_path(b: &CaseContext, group: &Group) -> CaseOutcome {
    let active = &group.before.active.path;
    let others = group
        .before
        .paths
        .iter()
        .map(|p| &p.path)
        .filter(|p| *p != active);
    for path in std::iter::once(active).chain(others) {
        cut(b, &group.id, path)?;
        let now = group.now(b).await?;
        let gone = now.active.path != *active || now.path(active)?.failed == Some(true);
        if gone
            && now
                .paths
                .iter()
                .any(|p| p.path != *active && p.failed != Some(true))
        {
            return Ok(());
        }
        b.fault("clear")?;
    }
    not_applicable("no light can be taken away so that one path fails and another is left")
}

/// Checks that the group is in automatic mode with an available standby path: only then is it
/// required to switch over.
fn protected(group: &Group) -> CaseOutcome {
    if group.before.is_protected() {
        Ok(())
    } else {
        not_applicable("the group is not protected at present")
    }
}

async fn signal_fail(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    protected(&group)?;
    let active = group.before.active.path.clone();
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        fail_active_path(b, &group).await?;
        // A hold-off time of a device is shorter than this.
        let mut now = group.now(b).await?;
        for _ in 0..40 {
            if now.active.path != active {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            now = group.now(b).await?;
        }
        ensure(now.active.path != active, || {
            format!("path {active} has failed, and it is still active")
        })?;
        ensure(
            matches!(
                now.active.request,
                SwitchRequest::SignalFail | SwitchRequest::Unknown
            ),
            || {
                format!(
                    "it switched over after a signal fail, and reports `{}`",
                    now.active.request
                )
            },
        )?;
        let failed = now.path(&active)?.failed;
        ensure(failed != Some(false), || {
            format!("path {active} has failed, and it is reported as available")
        })?;
        let over = now.switch_overs.zip(group.before.switch_overs);
        ensure(over.is_none_or(|(after, before)| after > before), || {
            "it switched over, and did not count it".to_owned()
        })?;
        b.fault("clear")
    })
    .await
}

/// The next switch-over of a group.
async fn switch_over(events: &mut EventStream, of: &GroupId) -> Option<(String, String, Origin)> {
    while let Some(delivery) = events.next().await {
        if let StreamItem::Event(event) = delivery
            && let EventKind::SwitchOver {
                group,
                path,
                request,
            } = &event.kind
            && *group == of.0
        {
            return Some((path.clone(), request.clone(), event.origin));
        }
    }
    None
}

async fn event(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    let support = group.protection.capabilities().events;
    if support == EventSupport::LinkOnly {
        return not_applicable("it has no events of its own");
    }
    if support == EventSupport::Native && b.session.dut.target_kind().has_wall_time() {
        return Err(NotPassed::Disabled(
            "no receiver of notifications is configured".to_owned(),
        ));
    }
    protected(&group)?;
    let mut events = group.protection.events();
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        fail_active_path(b, &group).await?;
        let reported =
            tokio::time::timeout(Duration::from_secs(30), switch_over(&mut events, &group.id))
                .await
                .ok()
                .flatten();
        let Some((path, _, origin)) = reported else {
            return fail("it switched over, and no event reported it within 30 s");
        };
        let now = group.now(b).await?.active.path;
        ensure(path == now.0, || {
            format!("the event reports path {path}, and the active path is {now}")
        })?;
        let right = if support == EventSupport::Native {
            Origin::Device
        } else {
            Origin::Poll
        };
        ensure(origin == right, || {
            format!("it declares {support:?} events, and this one is of origin {origin:?}")
        })?;
        b.fault("clear")
    })
    .await
}

async fn spare_failed(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    protected(&group)?;
    let active = group.before.active.path.clone();
    // Each path of a crossbar needs the inputs of the others: only a path whose input can fail
    // without that of the active path counts.
    let other = group.other()?;
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        cut(b, &group.id, &other)?;
        let now = group.now(b).await?;
        if now.active.path != active {
            return not_applicable("its paths share their light");
        }
        let reported = now.path(&other)?.failed;
        ensure(reported != Some(false), || {
            format!("path {other} has failed, and it is reported as available")
        })?;
        if now.paths.len() == 2 {
            ensure(!now.is_protected(), || {
                "the only standby path has failed, and the group is reported as protected"
                    .to_owned()
            })?;
        }
        b.fault("clear")
    })
    .await
}

async fn manual_to_dark(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    applicable(
        group.accepts(ExternalCommandKind::Manual),
        "it takes no manual switch",
    )?;
    let other = group.other()?;
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        cut(b, &group.id, &other)?;
        if group.now(b).await?.active.path != group.before.active.path {
            return not_applicable("its paths share their light");
        }
        let before = b.state();
        let error = expect_error(
            "a manual switch to a path without light",
            b.call(
                Op::ProtectionCommand,
                group
                    .protection
                    .command(&group.id, &ExternalCommand::Manual(other.clone())),
            )
            .await,
        )?;
        ensure(error.kind() == ErrorKind::NotReady, || {
            format!("a manual switch to a path without light: {error}")
        })?;
        ensure(error.effect() == Effect::None, || {
            format!("its effect is not none: {error}")
        })?;
        ensure(before == b.state(), || {
            "it was refused, and the device has changed".to_owned()
        })?;
        b.fault("clear")
    })
    .await
}

/// Forces the signal to a path, in a mode in which the device accepts it.
async fn forced(b: &CaseContext, group: &Group, path: &PathId) -> CaseOutcome {
    let command = ExternalCommand::Force(path.clone());
    match b
        .call(
            Op::ProtectionCommand,
            group.protection.command(&group.id, &command),
        )
        .await
    {
        // A device without lasting commands accepts it in manual mode only.
        Err(e) if e.kind() == ErrorKind::NotReady && group.sets(SettingKind::Mode) => {
            group.mode(b, SelectionMode::Manual).await?;
            Ok(b.call(
                Op::ProtectionCommand,
                group.protection.command(&group.id, &command),
            )
            .await?)
        }
        other => Ok(other?),
    }
}

async fn force(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    applicable(
        group.accepts(ExternalCommandKind::Force),
        "it takes no forced switch",
    )?;
    let other = group.other()?;
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        let before = b.state();
        forced(b, &group, &other).await?;
        let now = group.now(b).await?;
        ensure(now.active.path == other, || {
            format!(
                "path {other} was forced, and the signal is on {}",
                now.active.path
            )
        })?;
        let right = matches!(
            now.active.request,
            SwitchRequest::ForcedSwitch | SwitchRequest::ManualSwitch | SwitchRequest::Unknown
        );
        ensure(right, || {
            format!(
                "path {other} was forced, and it says `{}`",
                now.active.request
            )
        })?;
        ensure(!now.is_protected(), || {
            "a forced group is reported as protected".to_owned()
        })?;
        ensure(before.is_none() || before != b.state(), || {
            "it was forced, and the device has not changed".to_owned()
        })
    })
    .await?;
    let now = group.now(b).await?.active.path;
    ensure(now == group.before.active.path, || {
        format!("the group was restored, but the active path is {now}")
    })
}

async fn manual_mode(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    applicable(group.sets(SettingKind::Mode), "its mode cannot be set")?;
    let active = group.before.active.path.clone();
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        group.mode(b, SelectionMode::Manual).await?;
        cut(b, &group.id, &active)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = group.now(b).await?;
        ensure(now.active.path == active, || {
            format!(
                "in manual mode, the selector switched over to {}",
                now.active.path
            )
        })?;
        ensure(
            now.mode == SelectionMode::Manual && !now.is_protected(),
            || "in manual mode, the group is reported as protected".to_owned(),
        )?;
        let failed = now.path(&active)?.failed;
        ensure(failed != Some(false), || {
            format!("path {active} has failed, and it is reported as available")
        })?;
        b.fault("clear")
    })
    .await
}

async fn refused_command(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    applicable(
        group.accepts(ExternalCommandKind::Force),
        "it takes no forced switch",
    )?;
    let other = group.other()?;
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        if !group.accepts(ExternalCommandKind::Lockout) {
            group.mode(b, SelectionMode::Manual).await?;
        }
        b.fault("full")?;
        let before = b.state();
        let result = b
            .call(
                Op::ProtectionCommand,
                group
                    .protection
                    .command(&group.id, &ExternalCommand::Force(other.clone())),
            )
            .await;
        let after = b.state();
        b.fault("clear")?;
        let error = expect_error("a forced switch that the device refuses", result)?;
        let kind = error.kind();
        ensure(
            matches!(kind, ErrorKind::Refused | ErrorKind::Misbehaved(_)),
            || format!("the device refuses every change: {error}"),
        )?;
        ensure(before == after, || {
            "every change was refused, and the device has changed".to_owned()
        })?;
        ensure(error.effect() != Effect::Partial, || {
            format!("nothing was changed, and the error says in part: {error}")
        })
    })
    .await
}

async fn active_command(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    if ![
        ExternalCommandKind::Lockout,
        ExternalCommandKind::Manual,
        ExternalCommandKind::Clear,
    ]
    .iter()
    .all(|c| group.accepts(*c))
    {
        return not_applicable("its commands do not stay active");
    }
    let other = group.other()?;
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        b.call(
            Op::ProtectionCommand,
            group
                .protection
                .command(&group.id, &ExternalCommand::Lockout),
        )
        .await?;
        let now = group.now(b).await?;
        ensure(
            now.active.request == SwitchRequest::LockoutOfProtection,
            || format!("it was locked out, and says `{}`", now.active.request),
        )?;
        ensure(!now.is_protected(), || {
            "a locked-out group is reported as protected".to_owned()
        })?;
        let before = b.state();
        let error = expect_error(
            "a manual switch during a lockout",
            group
                .protection
                .command(&group.id, &ExternalCommand::Manual(other.clone()))
                .await,
        )?;
        ensure(error.kind() == ErrorKind::NotReady, || {
            format!("a manual switch during a lockout: {error}")
        })?;
        ensure(before == b.state(), || {
            "it was refused, and the device has changed".to_owned()
        })?;
        b.call(
            Op::ProtectionCommand,
            group.protection.command(&group.id, &ExternalCommand::Clear),
        )
        .await?;
        let now = group.now(b).await?;
        ensure(
            now.active.request != SwitchRequest::LockoutOfProtection,
            || "the lockout was cleared, and is still active".to_owned(),
        )
    })
    .await
}

async fn restore(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    protected(&group)?;
    let (true, true, Some(wait)) = (
        group.sets(SettingKind::Revertive),
        group.sets(SettingKind::WaitToRestore),
        group.before.wait_to_restore,
    ) else {
        return not_applicable("whether and when it restores cannot be set");
    };
    let declared = group.protection.protection_capabilities();
    let least = declared
        .wait_to_restore
        .as_ref()
        .map_or(wait, |r| *r.start());
    // Long enough to see it waiting.
    let wait = least.max(declared.wait_step * 10);
    let active = group.before.active.path.clone();
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        for setting in [
            ProtectionSetting::Revertive(true),
            ProtectionSetting::WaitToRestore(wait),
        ] {
            b.call(
                Op::SetProtection,
                group.protection.set_protection(&group.id, &setting),
            )
            .await?;
        }
        fail_active_path(b, &group).await?;
        let away = group.now(b).await?.active.path;
        if away == active {
            return not_applicable("it holds its decision off");
        }
        b.fault("clear")?;
        let now = group.now(b).await?;
        ensure(now.active.path == away, || {
            format!(
                "it waits {wait:?} before it restores, and the signal is on {} at once",
                now.active.path
            )
        })?;
        tokio::time::sleep(wait + Duration::from_secs(1)).await;
        let now = group.now(b).await?;
        ensure(now.active.path == active, || {
            format!(
                "path {active} has been available for {wait:?}, and the active path is {}",
                now.active.path
            )
        })?;
        ensure(
            matches!(
                now.active.request,
                SwitchRequest::NoRequest | SwitchRequest::Unknown
            ),
            || format!("it is restored, and says `{}`", now.active.request),
        )
    })
    .await
}

async fn ignored(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    let wishes = others(&group);
    restore::with_restore(b, &group.opened, group.snapshot(), async {
        for wish in &wishes {
            b.fault("ignore=99")?;
            let before = b.state();
            let result = b
                .call(
                    Op::SetProtection,
                    group.protection.set_protection(&group.id, wish),
                )
                .await;
            let after = b.state();
            b.fault("clear")?;
            let error = expect_error(format!("`{wish}`, which the device does not do"), result)?;
            let right = error.kind() == ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied);
            ensure(right, || {
                format!("`{wish}`, which the device does not do: {error}")
            })?;
            ensure(before == after, || {
                format!("`{wish}` was not to be done, and the device has changed")
            })?;
        }
        Ok(())
    })
    .await
}
