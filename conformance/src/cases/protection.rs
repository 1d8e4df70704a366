//! Protection switches, as they are read and set.

use crate::{
    bench::Bench,
    case::{Case, Need, Stop, Verdict, fails, holds, refused},
    journal::Stood,
    requirement::Impact,
    result::On,
    stood::{self, protected},
};
use qkd_driver_kit::Opened;
use qkd_hal::{Effect, ErrorKind, Operation as Op, units::DecibelMilliwatts};
use qkd_switch_hal::protection::{
    CommandKind, GroupId, Mode, PathId, Protection, ProtectionSetting, ProtectionStatus,
    SettingKind, SwitchCommand,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const STATUS: &[Need] = &[Need::Op(Op::ProtectionStatus)];

pub(super) const CASES: &[Case] = &[
    Case::new("PRT-01/groups", "reads every group, twice", STATUS, |b| {
        Box::pin(groups(b))
    }),
    Case::new(
        "PRT-02/paths",
        "compares the live and the preferred path with those that are there",
        STATUS,
        |b| Box::pin(paths(b)),
    ),
    Case::new(
        "PRT-03/no-group",
        "asks for a group that is not there, and changes it",
        STATUS,
        |b| Box::pin(no_group(b)),
    )
    .negative(),
    Case::new(
        "PRT-04/no-path",
        "wants a path that is not there",
        &[Need::Op(Op::SetProtection), Need::Op(Op::ProtectionCommand)],
        |b| Box::pin(no_path(b)),
    )
    .negative(),
    Case::new(
        "PRT-05/undeclared",
        "sets and commands what the device does not declare",
        STATUS,
        |b| Box::pin(undeclared(b)),
    )
    .negative(),
    Case::new(
        "PRT-06/settings",
        "sets each setting to another value, and reads it back",
        &[Need::Op(Op::SetProtection), Need::Live],
        |b| Box::pin(settings(b)),
    )
    .impact(Impact::Disruptive),
];

/// The device, its protection, and the group that may be touched, as it stands.
pub(super) struct Group {
    pub(super) opened: Opened,
    pub(super) protection: Arc<dyn Protection>,
    pub(super) id: GroupId,
    pub(super) before: ProtectionStatus,
}

impl Group {
    /// The group that the file names; of an emulator, the first.
    pub(super) async fn open(b: &Bench) -> Result<Self, Stop> {
        let opened = b.open().await?;
        let protection = opened.as_protection()?;
        let groups = b.call(Op::ProtectionGroups, protection.groups()).await?;
        let id = match (&b.session.dut.group, b.session.dut.on()) {
            (Some(name), _) => groups.into_iter().find(|g| g.0 == *name).ok_or_else(|| {
                Stop::Disabled(format!("the file names group {name}, which is not there"))
            })?,
            (None, On::Device) => {
                return Err(Stop::Disabled(
                    "name the group that may be touched with group = \"..\"".to_owned(),
                ));
            }
            (None, _) => groups
                .into_iter()
                .next()
                .ok_or_else(|| Stop::NotApplicable("it has no group".to_owned()))?,
        };
        let before = b
            .call(Op::ProtectionStatus, protection.protection(&id))
            .await?
            .value;
        Ok(Self {
            opened,
            protection,
            id,
            before,
        })
    }

    /// How it stands now.
    pub(super) async fn now(&self, b: &Bench) -> Result<ProtectionStatus, Stop> {
        Ok(
            b.call(Op::ProtectionStatus, self.protection.protection(&self.id))
                .await?
                .value,
        )
    }

    /// How it stood, for the journal.
    pub(super) fn stood(&self) -> Stood {
        protected(&*self.protection, &self.before)
    }

    pub(super) fn takes(&self, command: CommandKind) -> bool {
        self.protection
            .protection_capabilities()
            .commands
            .contains(&command)
    }
    pub(super) fn sets(&self, setting: SettingKind) -> bool {
        self.protection
            .protection_capabilities()
            .settings
            .contains(&setting)
    }

    /// A path that is not live.
    pub(super) fn other(&self) -> Result<PathId, Stop> {
        let other = self
            .before
            .paths
            .iter()
            .find(|p| p.path != self.before.live.path);
        other
            .map(|p| p.path.clone())
            .ok_or_else(|| Stop::NotApplicable("the group has one path".to_owned()))
    }

    /// Puts the group in a mode, where that can be set and is not the one in which it stands.
    pub(super) async fn mode(&self, b: &Bench, mode: Mode) -> Verdict {
        if self.now(b).await?.mode == mode {
            return Ok(());
        }
        if !self.sets(SettingKind::Mode) {
            return Err(Stop::NotApplicable(format!(
                "it cannot be put in {mode} mode"
            )));
        }
        Ok(b.call(
            Op::SetProtection,
            self.protection
                .set_protection(&self.id, &ProtectionSetting::Mode(mode)),
        )
        .await?)
    }
}

async fn groups(b: &Bench) -> Verdict {
    let protection = b.open().await?.as_protection()?;
    let groups = b.call(Op::ProtectionGroups, protection.groups()).await?;
    let different: BTreeSet<_> = groups.iter().collect();
    holds(different.len() == groups.len(), || {
        format!("a group is there twice: {groups:?}")
    })?;
    holds(
        groups == b.call(Op::ProtectionGroups, protection.groups()).await?,
        || "its groups are others when asked again".to_owned(),
    )?;
    for group in &groups {
        let [first, second] = [
            b.call(Op::ProtectionStatus, protection.protection(group))
                .await?,
            b.call(Op::ProtectionStatus, protection.protection(group))
                .await?,
        ];
        holds(first.value.group == *group, || {
            format!(
                "group {group} was asked for, and {} told of",
                first.value.group
            )
        })?;
        let told = |s: &ProtectionStatus| {
            (
                s.mode,
                s.preferred.clone(),
                s.live.path.clone(),
                s.revert,
                s.wait_to_restore,
            )
        };
        holds(told(&first.value) == told(&second.value), || {
            format!("group {group} stands otherwise when asked again")
        })?;
    }
    Ok(())
}

async fn paths(b: &Bench) -> Verdict {
    let protection = b.open().await?.as_protection()?;
    for group in b.call(Op::ProtectionGroups, protection.groups()).await? {
        let now = b
            .call(Op::ProtectionStatus, protection.protection(&group))
            .await?
            .value;
        for (what, path) in [
            ("live", Some(&now.live.path)),
            ("preferred", now.preferred.as_ref()),
        ] {
            let Some(path) = path else { continue };
            holds(now.path(path).is_ok(), || {
                format!("path {path} of group {group} is {what}, and not among its paths")
            })?;
        }
        holds(now.paths.len() >= 2, || {
            format!(
                "group {group} has {} path, which protects nothing",
                now.paths.len()
            )
        })?;
        let different: BTreeSet<_> = now.paths.iter().map(|p| &p.path).collect();
        holds(different.len() == now.paths.len(), || {
            format!("a path of group {group} is there twice")
        })?;
        for path in &now.paths {
            let lit = path
                .power
                .zip(path.threshold)
                .filter(|(power, _)| power.quality == qkd_hal::reading::Quality::Good);
            if let Some((power, threshold)) = lit
                && power.value.0 < threshold.0 - 3.0
            {
                holds(path.failed != Some(false), || {
                    format!(
                        "path {} has {} where {threshold} are due, and is told as well",
                        path.path, power.value
                    )
                })?;
            }
        }
    }
    Ok(())
}

async fn no_group(b: &Bench) -> Verdict {
    let opened = b.open().await?;
    let protection = opened.as_protection()?;
    let before = b.state();
    let none = GroupId::from("no-such-group");
    let mut errors = vec![(
        "reading it",
        refused(
            "the status of a group that is not there",
            protection.protection(&none).await,
        )?,
    )];
    let declared = protection.protection_capabilities();
    if b.session.can(Op::SetProtection) && declared.settings.contains(&SettingKind::Revert) {
        errors.push((
            "setting it",
            refused(
                "setting a group that is not there",
                protection
                    .set_protection(&none, &ProtectionSetting::Revert(true))
                    .await,
            )?,
        ));
    }
    if b.session.can(Op::ProtectionCommand) && declared.commands.contains(&CommandKind::Clear) {
        errors.push((
            "clearing it",
            refused(
                "clearing a group that is not there",
                protection.command(&none, &SwitchCommand::Clear).await,
            )?,
        ));
    }
    for (what, error) in errors {
        holds(error.kind() == ErrorKind::NotFound, || {
            format!("a group that is not there, {what}: {error}")
        })?;
        holds(error.effect() == Effect::None, || {
            format!("a group that is not there, {what}: its effect is not none: {error}")
        })?;
    }
    holds(before == b.state(), || {
        "a group that is not there was addressed, and the device has changed".to_owned()
    })
}

async fn no_path(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    let none = PathId::from("no-such-path");
    let before = b.state();
    let mut tried = 0;
    for kind in [CommandKind::Force, CommandKind::Manual] {
        if group.takes(kind) {
            let command = if kind == CommandKind::Force {
                SwitchCommand::Force(none.clone())
            } else {
                SwitchCommand::Manual(none.clone())
            };
            let error = refused(
                format!("`{command}`"),
                group.protection.command(&group.id, &command).await,
            )?;
            holds(error.kind() == ErrorKind::InvalidInput, || {
                format!("`{command}`: {error}")
            })?;
            tried += 1;
        }
    }
    let level = group
        .protection
        .protection_capabilities()
        .threshold
        .as_ref()
        .map_or(0.0, |r| *r.start());
    let wishes = [
        ProtectionSetting::Preferred(none.clone()),
        ProtectionSetting::Threshold {
            path: none,
            level: DecibelMilliwatts(level),
        },
    ];
    for wish in wishes.iter().filter(|w| group.sets(w.kind())) {
        let error = refused(
            format!("`{wish}`"),
            group.protection.set_protection(&group.id, wish).await,
        )?;
        holds(error.kind() == ErrorKind::InvalidInput, || {
            format!("`{wish}`: {error}")
        })?;
        tried += 1;
    }
    if tried == 0 {
        return Err(Stop::NotApplicable(
            "no setting and no command of its names a path".to_owned(),
        ));
    }
    holds(before == b.state(), || {
        "a path that is not there was asked for, and the device has changed".to_owned()
    })
}

async fn undeclared(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    let declared = group.protection.protection_capabilities();
    let path = group.before.live.path.clone();
    let mut wishes = vec![
        ProtectionSetting::Mode(group.before.mode),
        ProtectionSetting::Preferred(path.clone()),
        ProtectionSetting::Revert(true),
        ProtectionSetting::WaitToRestore(Duration::from_secs(300)),
        ProtectionSetting::Threshold {
            path: path.clone(),
            level: DecibelMilliwatts(-20.0),
        },
    ];
    wishes.retain(|w| !group.sets(w.kind()));
    if let Some(range) = &declared.wait_to_restore {
        wishes.push(ProtectionSetting::WaitToRestore(Duration::from_secs_f64(
            range.end() + 1.0,
        )));
    }
    if let Some(range) = &declared.threshold {
        wishes.push(ProtectionSetting::Threshold {
            path: path.clone(),
            level: DecibelMilliwatts(range.end() + 1.0),
        });
    }
    let mut commands = vec![
        SwitchCommand::Clear,
        SwitchCommand::Lockout,
        SwitchCommand::Force(path.clone()),
        SwitchCommand::Manual(path),
    ];
    commands.retain(|c| !group.takes(c.kind()));
    let sent = b.records().len();
    let outside = |kind| matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported);
    for wish in &wishes {
        let error = refused(
            format!("`{wish}`, which is not declared"),
            group.protection.set_protection(&group.id, wish).await,
        )?;
        holds(outside(error.kind()), || {
            format!("`{wish}`, which is not declared: {error}")
        })?;
    }
    for command in &commands {
        let error = refused(
            format!("`{command}`, which is not declared"),
            group.protection.command(&group.id, command).await,
        )?;
        holds(outside(error.kind()), || {
            format!("`{command}`, which is not declared: {error}")
        })?;
    }
    if wishes.is_empty() && commands.is_empty() {
        return Err(Stop::NotApplicable(
            "it declares everything, without bounds".to_owned(),
        ));
    }
    b.silent_since(sent)
}

/// Another value for each setting that can be set, near the one that stands.
pub(super) fn others(group: &Group) -> Vec<ProtectionSetting> {
    let declared = group.protection.protection_capabilities();
    let now = &group.before;
    let mut all = Vec::new();
    all.extend(now.revert.map(|on| ProtectionSetting::Revert(!on)));
    if let (Some(wait), Some(range)) = (now.wait_to_restore, &declared.wait_to_restore) {
        let longer = wait + declared.wait_step;
        let other = if longer.as_secs_f64() <= *range.end() {
            longer
        } else {
            wait.saturating_sub(declared.wait_step)
        };
        all.push(ProtectionSetting::WaitToRestore(other));
    }
    for path in &now.paths {
        all.extend(path.threshold.map(|level| ProtectionSetting::Threshold {
            path: path.path.clone(),
            level: DecibelMilliwatts(level.0 - 1.0),
        }));
    }
    if let Some(preferred) = &now.preferred {
        all.extend(
            now.paths
                .iter()
                .find(|p| p.path != *preferred)
                .map(|p| ProtectionSetting::Preferred(p.path.clone())),
        );
    }
    all.push(ProtectionSetting::Mode(if now.mode == Mode::Automatic {
        Mode::Manual
    } else {
        Mode::Automatic
    }));
    all.retain(|s| group.sets(s.kind()));
    all
}

async fn settings(b: &Bench) -> Verdict {
    let group = Group::open(b).await?;
    let wishes = others(&group);
    if wishes.is_empty() {
        return Err(Stop::NotApplicable(
            "it has no setting of which another value is known".to_owned(),
        ));
    }
    stood::putting_back(b, &group.opened, group.stood(), async {
        for wish in &wishes {
            let before = b.state();
            b.call(
                Op::SetProtection,
                group.protection.set_protection(&group.id, wish),
            )
            .await?;
            let all = group
                .now(b)
                .await?
                .settings(&group.protection.protection_capabilities().settings);
            holds(all.contains(wish), || {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                format!(
                    "`{wish}` was set, and the group stands at: {}",
                    all.join(", ")
                )
            })?;
            holds(before.is_none() || before != b.state(), || {
                format!("`{wish}` was set, and the device has not changed")
            })?;
        }
        Ok(())
    })
    .await?;
    let now = group.now(b).await?;
    let settable = &group.protection.protection_capabilities().settings;
    if now.settings(settable) == group.before.settings(settable) {
        Ok(())
    } else {
        fails("its settings could not be put back as they stood")
    }
}
