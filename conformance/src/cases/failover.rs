//! Protection switches, as they go over: by themselves, and by command.

use super::protection::{Group, others};
use crate::{
    bench::Bench,
    case::{Case, Need, Stop, Verdict, fails, holds, refused},
    requirement::Impact,
    stood,
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, EventKind, EventStream, Operation as Op,
    capability::EventSupport,
    event::{Delivery, Origin},
};
use qkd_switch_hal::protection::{
    CommandKind, GroupId, Mode, PathId, ProtectionSetting, Request, SettingKind, SwitchCommand,
};
use std::time::Duration;

const EMULATED: &[Need] = &[Need::Op(Op::ProtectionStatus), Need::Emulator];
const COMMANDED: &[Need] = &[Need::Op(Op::ProtectionCommand), Need::Live];
const COMMANDED_EMULATED: &[Need] = &[Need::Op(Op::ProtectionCommand), Need::Emulator];

pub(super) const CASES: &[Case] = &[
    Case::new(
        "PRT-07/signal-fail",
        "takes the light of the live path away, in automatic mode",
        EMULATED,
        |b| Box::pin(signal_fail(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-08/event",
        "takes the light of the live path away, and waits for the event",
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
        &[Need::Op(Op::SetProtection), Need::Emulator],
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
        "asks for a manual switch while a stronger command stands",
        COMMANDED,
        |b| Box::pin(standing(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-15/restore",
        "mends the preferred path, and waits",
        &[Need::Op(Op::SetProtection), Need::Memory],
        |b| Box::pin(restore(b)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "PRT-16/ignored",
        "sets a group, which the device takes and does not do",
        &[Need::Op(Op::SetProtection), Need::Emulator],
        |b| Box::pin(ignored(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
];

/// Takes the light of a path away.
fn cut(b: &Bench, group: &GroupId, path: &PathId) -> Verdict {
    b.fault(&format!("cut={group}/{path}"))
}

/// Takes light away so that the live path fails and another is left: that of the live path, or, where paths share their light, that of one of the others.
async fn fail_live(b: &Bench, group: &Group) -> Verdict {
    let live = &group.before.live.path;
    let others = group
        .before
        .paths
        .iter()
        .map(|p| &p.path)
        .filter(|p| *p != live);
    for path in std::iter::once(live).chain(others) {
        cut(b, &group.id, path)?;
        let now = group.now(b).await?;
        let gone = now.live.path != *live || now.path(live)?.failed == Some(true);
        if gone
            && now
                .paths
                .iter()
                .any(|p| p.path != *live && p.failed != Some(true))
        {
            return Ok(());
        }
        b.fault("clear")?;
    }
    Err(Stop::NotApplicable(
        "no light can be taken away so that one path fails and another is left".to_owned(),
    ))
}

/// Whether it stands in automatic mode, with another path that is well: only then does it have to go over.
fn protected(group: &Group) -> Verdict {
    if group.before.is_protected() {
        Ok(())
    } else {
        Err(Stop::NotApplicable(
            "the group is not protected as it stands".to_owned(),
        ))
    }
}

async fn signal_fail(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    protected(&group)?;
    let live = group.before.live.path.clone();
    stood::putting_back(b, &group.opened, group.stood(), async {
        fail_live(b, &group).await?;
        // A box that holds off its decision does so for less than this.
        let mut now = group.now(b).await?;
        for _ in 0..40 {
            if now.live.path != live {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            now = group.now(b).await?;
        }
        holds(now.live.path != live, || {
            format!("the light of path {live} is gone, and the signal is still there")
        })?;
        holds(
            matches!(now.live.request, Request::SignalFail | Request::Unknown),
            || {
                format!(
                    "it went over for want of light, and says `{}`",
                    now.live.request
                )
            },
        )?;
        let failed = now.path(&live)?.failed;
        holds(failed != Some(false), || {
            format!("the light of path {live} is gone, and it is told as well")
        })?;
        let over = now.switch_overs.zip(group.before.switch_overs);
        holds(over.is_none_or(|(after, before)| after > before), || {
            "it went over, and has not counted it".to_owned()
        })?;
        b.fault("clear")
    })
    .await
}

/// The next switch-over of a group.
async fn switch_over(events: &mut EventStream, of: &GroupId) -> Option<(String, String, Origin)> {
    while let Some(delivery) = events.next().await {
        if let Delivery::Event(event) = delivery
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

async fn event(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    let support = group.protection.capabilities().events;
    if support == EventSupport::LinkOnly {
        return Err(Stop::NotApplicable(
            "it has no events of its own".to_owned(),
        ));
    }
    if support == EventSupport::Native && b.session.dut.on().has_wall_time() {
        return Err(Stop::Disabled(
            "nobody receives notifications here".to_owned(),
        ));
    }
    protected(&group)?;
    let mut events = group.protection.events();
    stood::putting_back(b, &group.opened, group.stood(), async {
        fail_live(b, &group).await?;
        let told =
            tokio::time::timeout(Duration::from_secs(30), switch_over(&mut events, &group.id))
                .await
                .ok()
                .flatten();
        let Some((path, _, origin)) = told else {
            return fails("it went over, and no event told of it within 30 s");
        };
        let now = group.now(b).await?.live.path;
        holds(path == now.0, || {
            format!("the event tells of path {path}, and the signal is on {now}")
        })?;
        let right = if support == EventSupport::Native {
            Origin::Device
        } else {
            Origin::Poll
        };
        holds(origin == right, || {
            format!("it declares {support:?} events, and this one is of origin {origin:?}")
        })?;
        b.fault("clear")
    })
    .await
}

async fn spare_failed(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    protected(&group)?;
    let live = group.before.live.path.clone();
    // Of a crossbar, each path needs what the others need: only a path whose light can be taken without that of the live one counts.
    let other = group.other()?;
    stood::putting_back(b, &group.opened, group.stood(), async {
        cut(b, &group.id, &other)?;
        let now = group.now(b).await?;
        if now.live.path != live {
            return Err(Stop::NotApplicable(
                "its paths share their light".to_owned(),
            ));
        }
        let told = now.path(&other)?.failed;
        holds(told != Some(false), || {
            format!("the light of path {other} is gone, and it is told as well")
        })?;
        if now.paths.len() == 2 {
            holds(!now.is_protected(), || {
                "the only other path has failed, and the group is told as protected".to_owned()
            })?;
        }
        b.fault("clear")
    })
    .await
}

async fn manual_to_dark(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    if !group.takes(CommandKind::Manual) {
        return Err(Stop::NotApplicable("it takes no manual switch".to_owned()));
    }
    let other = group.other()?;
    stood::putting_back(b, &group.opened, group.stood(), async {
        cut(b, &group.id, &other)?;
        if group.now(b).await?.live.path != group.before.live.path {
            return Err(Stop::NotApplicable(
                "its paths share their light".to_owned(),
            ));
        }
        let before = b.state();
        let error = refused(
            "a manual switch to a path without light",
            b.call(
                Op::ProtectionCommand,
                group
                    .protection
                    .command(&group.id, &SwitchCommand::Manual(other.clone())),
            )
            .await,
        )?;
        holds(error.kind() == ErrorKind::NotReady, || {
            format!("a manual switch to a path without light: {error}")
        })?;
        holds(error.effect() == Effect::None, || {
            format!("its effect is not none: {error}")
        })?;
        holds(before == b.state(), || {
            "it was refused, and the device has changed".to_owned()
        })?;
        b.fault("clear")
    })
    .await
}

/// Forces the signal to a path, in whichever mode the box takes it.
async fn forced(b: &Bench, group: &Group, path: &PathId) -> Verdict {
    let command = SwitchCommand::Force(path.clone());
    match b
        .call(
            Op::ProtectionCommand,
            group.protection.command(&group.id, &command),
        )
        .await
    {
        // A box without standing commands takes it in manual mode only.
        Err(e) if e.kind() == ErrorKind::NotReady && group.sets(SettingKind::Mode) => {
            group.mode(b, Mode::Manual).await?;
            Ok(b.call(
                Op::ProtectionCommand,
                group.protection.command(&group.id, &command),
            )
            .await?)
        }
        other => Ok(other?),
    }
}

async fn force(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    if !group.takes(CommandKind::Force) {
        return Err(Stop::NotApplicable("it takes no forced switch".to_owned()));
    }
    let other = group.other()?;
    stood::putting_back(b, &group.opened, group.stood(), async {
        let before = b.state();
        forced(b, &group, &other).await?;
        let now = group.now(b).await?;
        holds(now.live.path == other, || {
            format!(
                "path {other} was forced, and the signal is on {}",
                now.live.path
            )
        })?;
        let right = matches!(
            now.live.request,
            Request::ForcedSwitch | Request::ManualSwitch | Request::Unknown
        );
        holds(right, || {
            format!(
                "path {other} was forced, and it says `{}`",
                now.live.request
            )
        })?;
        holds(!now.is_protected(), || {
            "a forced group is told as protected".to_owned()
        })?;
        holds(before.is_none() || before != b.state(), || {
            "it was forced, and the device has not changed".to_owned()
        })
    })
    .await?;
    let now = group.now(b).await?.live.path;
    holds(now == group.before.live.path, || {
        format!("it was put back, and the signal is on {now}")
    })
}

async fn manual_mode(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    if !group.sets(SettingKind::Mode) {
        return Err(Stop::NotApplicable("its mode cannot be set".to_owned()));
    }
    let live = group.before.live.path.clone();
    stood::putting_back(b, &group.opened, group.stood(), async {
        group.mode(b, Mode::Manual).await?;
        cut(b, &group.id, &live)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = group.now(b).await?;
        holds(now.live.path == live, || {
            format!("in manual mode, the signal went over to {}", now.live.path)
        })?;
        holds(now.mode == Mode::Manual && !now.is_protected(), || {
            "in manual mode, the group is told as protected".to_owned()
        })?;
        let failed = now.path(&live)?.failed;
        holds(failed != Some(false), || {
            format!("the light of path {live} is gone, and it is told as well")
        })?;
        b.fault("clear")
    })
    .await
}

async fn refused_command(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    if !group.takes(CommandKind::Force) {
        return Err(Stop::NotApplicable("it takes no forced switch".to_owned()));
    }
    let other = group.other()?;
    stood::putting_back(b, &group.opened, group.stood(), async {
        if !group.takes(CommandKind::Lockout) {
            group.mode(b, Mode::Manual).await?;
        }
        b.fault("full")?;
        let before = b.state();
        let result = b
            .call(
                Op::ProtectionCommand,
                group
                    .protection
                    .command(&group.id, &SwitchCommand::Force(other.clone())),
            )
            .await;
        let after = b.state();
        b.fault("clear")?;
        let error = refused("a forced switch that the device refuses", result)?;
        let kind = error.kind();
        holds(
            matches!(kind, ErrorKind::Refused | ErrorKind::Misbehaved(_)),
            || format!("the device refuses every change: {error}"),
        )?;
        holds(before == after, || {
            "every change was refused, and the device has changed".to_owned()
        })?;
        holds(error.effect() != Effect::Partial, || {
            format!("nothing was changed, and the error says in part: {error}")
        })
    })
    .await
}

async fn standing(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    if ![
        CommandKind::Lockout,
        CommandKind::Manual,
        CommandKind::Clear,
    ]
    .iter()
    .all(|c| group.takes(*c))
    {
        return Err(Stop::NotApplicable("its commands do not stand".to_owned()));
    }
    let other = group.other()?;
    stood::putting_back(b, &group.opened, group.stood(), async {
        b.call(
            Op::ProtectionCommand,
            group.protection.command(&group.id, &SwitchCommand::Lockout),
        )
        .await?;
        let now = group.now(b).await?;
        holds(now.live.request == Request::LockoutOfProtection, || {
            format!("it was locked out, and says `{}`", now.live.request)
        })?;
        holds(!now.is_protected(), || {
            "a group that is locked out is told as protected".to_owned()
        })?;
        let before = b.state();
        let error = refused(
            "a manual switch while a lockout stands",
            group
                .protection
                .command(&group.id, &SwitchCommand::Manual(other.clone()))
                .await,
        )?;
        holds(error.kind() == ErrorKind::NotReady, || {
            format!("a manual switch while a lockout stands: {error}")
        })?;
        holds(before == b.state(), || {
            "it was refused, and the device has changed".to_owned()
        })?;
        b.call(
            Op::ProtectionCommand,
            group.protection.command(&group.id, &SwitchCommand::Clear),
        )
        .await?;
        let now = group.now(b).await?;
        holds(now.live.request != Request::LockoutOfProtection, || {
            "the lockout was cleared, and stands".to_owned()
        })
    })
    .await
}

async fn restore(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    protected(&group)?;
    let (true, true, Some(wait)) = (
        group.sets(SettingKind::Revert),
        group.sets(SettingKind::WaitToRestore),
        group.before.wait_to_restore,
    ) else {
        return Err(Stop::NotApplicable(
            "whether and when it restores cannot be set".to_owned(),
        ));
    };
    let declared = group.protection.protection_capabilities();
    let least = declared
        .wait_to_restore
        .as_ref()
        .map_or(wait.as_secs_f64(), |r| *r.start());
    // Long enough to see it waiting.
    let wait = Duration::from_secs_f64(least).max(declared.wait_step * 10);
    let live = group.before.live.path.clone();
    stood::putting_back(b, &group.opened, group.stood(), async {
        for setting in [
            ProtectionSetting::Revert(true),
            ProtectionSetting::WaitToRestore(wait),
        ] {
            b.call(
                Op::SetProtection,
                group.protection.set_protection(&group.id, &setting),
            )
            .await?;
        }
        fail_live(b, &group).await?;
        let away = group.now(b).await?.live.path;
        if away == live {
            return Err(Stop::NotApplicable("it holds its decision off".to_owned()));
        }
        b.fault("clear")?;
        let now = group.now(b).await?;
        holds(now.live.path == away, || {
            format!(
                "it waits {wait:?} before it restores, and the signal is on {} at once",
                now.live.path
            )
        })?;
        tokio::time::sleep(wait + Duration::from_secs(1)).await;
        let now = group.now(b).await?;
        holds(now.live.path == live, || {
            format!(
                "path {live} has been well for {wait:?}, and the signal is on {}",
                now.live.path
            )
        })?;
        holds(
            matches!(now.live.request, Request::NoRequest | Request::Unknown),
            || format!("it is restored, and says `{}`", now.live.request),
        )
    })
    .await
}

async fn ignored(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    let wishes = others(&group);
    stood::putting_back(b, &group.opened, group.stood(), async {
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
            let error = refused(format!("`{wish}`, which the device does not do"), result)?;
            let right = error.kind() == ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied);
            holds(right, || {
                format!("`{wish}`, which the device does not do: {error}")
            })?;
            holds(before == after, || {
                format!("`{wish}` was not to be done, and the device has changed")
            })?;
        }
        Ok(())
    })
    .await
}
