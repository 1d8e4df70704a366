//! Protection switches, as they are read and set.

use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, fail, not_applicable},
    journal::Snapshot,
    requirement::Impact,
    restore::{self, protected},
    result::TargetKind,
};
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{Effect, ErrorKind, Operation as Op, units::DecibelMilliwatts};
use qkd_switch_hal::protection::{
    ExternalCommand, ExternalCommandKind, GroupId, PathId, Protection, ProtectionSetting,
    ProtectionStatus, SelectionMode, SettingKind,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const STATUS: &[Precondition] = &[Precondition::Op(Op::ProtectionStatus)];

pub(super) const CASES: &[Case] = &[
    Case::new("PRT-01/groups", "reads every group, twice", STATUS, |b| {
        Box::pin(groups(b))
    }),
    Case::new(
        "PRT-02/paths",
        "compares the active and the preferred path with those of the group",
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
        &[
            Precondition::Op(Op::SetProtection),
            Precondition::Op(Op::ProtectionCommand),
        ],
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
        &[Precondition::Op(Op::SetProtection), Precondition::Live],
        |b| Box::pin(settings(b)),
    )
    .impact(Impact::Disruptive),
];

/// The device, its protection, and the status of the group that may be changed.
pub(super) struct Group {
    pub(super) opened: OpenedDevice,
    pub(super) protection: Arc<dyn Protection>,
    pub(super) id: GroupId,
    pub(super) before: ProtectionStatus,
}

impl Group {
    /// The group that the file names; of an emulator, the first.
    pub(super) async fn open(b: &CaseContext) -> Result<Self, NotPassed> {
        let opened = b.open().await?;
        let protection = opened.protection()?;
        let groups = b.call(Op::ProtectionGroups, protection.groups()).await?;
        let id = match (&b.session.dut.group, b.session.dut.target_kind()) {
            (Some(name), _) => groups.into_iter().find(|g| g.0 == *name).ok_or_else(|| {
                NotPassed::Disabled(format!("the file names group {name}, which is not there"))
            })?,
            (None, TargetKind::Device) => {
                return Err(NotPassed::Disabled(
                    "name the group that may be touched with group = \"..\"".to_owned(),
                ));
            }
            (None, _) => groups
                .into_iter()
                .next()
                .ok_or_else(|| NotPassed::NotApplicable("it has no group".to_owned()))?,
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

    /// Reads the current status of the group.
    pub(super) async fn now(&self, b: &CaseContext) -> Result<ProtectionStatus, NotPassed> {
        Ok(
            b.call(Op::ProtectionStatus, self.protection.protection(&self.id))
                .await?
                .value,
        )
    }

    /// Returns the snapshot of the group for the journal.
    pub(super) fn snapshot(&self) -> Snapshot {
        protected(&*self.protection, &self.before)
    }

    pub(super) fn accepts(&self, command: ExternalCommandKind) -> bool {
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

    /// Returns a standby path.
    pub(super) fn other(&self) -> Result<PathId, NotPassed> {
        let other = self
            .before
            .paths
            .iter()
            .find(|p| p.path != self.before.active.path);
        other
            .map(|p| p.path.clone())
            .ok_or_else(|| NotPassed::NotApplicable("the group has one path".to_owned()))
    }

    /// Sets the mode of the group, if it can be set and differs.
    pub(super) async fn mode(&self, b: &CaseContext, mode: SelectionMode) -> CaseOutcome {
        if self.now(b).await?.mode == mode {
            return Ok(());
        }
        if !self.sets(SettingKind::Mode) {
            return not_applicable(format!("it cannot be put in {mode} mode"));
        }
        Ok(b.call(
            Op::SetProtection,
            self.protection
                .set_protection(&self.id, &ProtectionSetting::Mode(mode)),
        )
        .await?)
    }
}

async fn groups(b: &CaseContext) -> CaseOutcome {
    let protection = b.open().await?.protection()?;
    let groups = b.call(Op::ProtectionGroups, protection.groups()).await?;
    let different: BTreeSet<_> = groups.iter().collect();
    ensure(different.len() == groups.len(), || {
        format!("a group is there twice: {groups:?}")
    })?;
    ensure(
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
        ensure(first.value.group == *group, || {
            format!(
                "group {group} was requested, and {} reported",
                first.value.group
            )
        })?;
        let reported = |s: &ProtectionStatus| {
            (
                s.mode,
                s.preferred.clone(),
                s.active.path.clone(),
                s.revertive,
                s.wait_to_restore,
            )
        };
        ensure(reported(&first.value) == reported(&second.value), || {
            format!("group {group} reports another status when read again")
        })?;
    }
    Ok(())
}

async fn paths(b: &CaseContext) -> CaseOutcome {
    let protection = b.open().await?.protection()?;
    for group in b.call(Op::ProtectionGroups, protection.groups()).await? {
        let now = b
            .call(Op::ProtectionStatus, protection.protection(&group))
            .await?
            .value;
        for (what, path) in [
            ("active", Some(&now.active.path)),
            ("preferred", now.preferred.as_ref()),
        ] {
            let Some(path) = path else { continue };
            ensure(now.path(path).is_ok(), || {
                format!("path {path} of group {group} is {what}, and not among its paths")
            })?;
        }
        ensure(now.paths.len() >= 2, || {
            format!(
                "group {group} has {} path, which protects nothing",
                now.paths.len()
            )
        })?;
        let different: BTreeSet<_> = now.paths.iter().map(|p| &p.path).collect();
        ensure(different.len() == now.paths.len(), || {
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
                ensure(path.failed != Some(false), || {
                    format!(
                        "path {} has {}, below the threshold {threshold}, and is reported as \
                         available",
                        path.path, power.value
                    )
                })?;
            }
        }
    }
    Ok(())
}

async fn no_group(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let protection = opened.protection()?;
    let before = b.state();
    let none = GroupId::from("no-such-group");
    let mut errors = vec![(
        "reading it",
        expect_error(
            "the status of a group that is not there",
            protection.protection(&none).await,
        )?,
    )];
    let declared = protection.protection_capabilities();
    if b.session.can(Op::SetProtection) && declared.settings.contains(&SettingKind::Revertive) {
        errors.push((
            "setting it",
            expect_error(
                "setting a group that is not there",
                protection
                    .set_protection(&none, &ProtectionSetting::Revertive(true))
                    .await,
            )?,
        ));
    }
    if b.session.can(Op::ProtectionCommand)
        && declared.commands.contains(&ExternalCommandKind::Clear)
    {
        errors.push((
            "clearing it",
            expect_error(
                "clearing a group that is not there",
                protection.command(&none, &ExternalCommand::Clear).await,
            )?,
        ));
    }
    for (what, error) in errors {
        ensure(error.kind() == ErrorKind::NotFound, || {
            format!("a group that is not there, {what}: {error}")
        })?;
        ensure(error.effect() == Effect::None, || {
            format!("a group that is not there, {what}: its effect is not none: {error}")
        })?;
    }
    ensure(before == b.state(), || {
        "a group that is not there was addressed, and the device has changed".to_owned()
    })
}

async fn no_path(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    let none = PathId::from("no-such-path");
    let before = b.state();
    let mut tried = 0;
    for kind in [ExternalCommandKind::Force, ExternalCommandKind::Manual] {
        if group.accepts(kind) {
            let command = if kind == ExternalCommandKind::Force {
                ExternalCommand::Force(none.clone())
            } else {
                ExternalCommand::Manual(none.clone())
            };
            let error = expect_error(
                format!("`{command}`"),
                group.protection.command(&group.id, &command).await,
            )?;
            ensure(error.kind() == ErrorKind::InvalidInput, || {
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
        let error = expect_error(
            format!("`{wish}`"),
            group.protection.set_protection(&group.id, wish).await,
        )?;
        ensure(error.kind() == ErrorKind::InvalidInput, || {
            format!("`{wish}`: {error}")
        })?;
        tried += 1;
    }
    if tried == 0 {
        return not_applicable("no setting and no command of its names a path");
    }
    ensure(before == b.state(), || {
        "a path that is not there was asked for, and the device has changed".to_owned()
    })
}

async fn undeclared(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    let declared = group.protection.protection_capabilities();
    let path = group.before.active.path.clone();
    let mut wishes = vec![
        ProtectionSetting::Mode(group.before.mode),
        ProtectionSetting::Preferred(path.clone()),
        ProtectionSetting::Revertive(true),
        ProtectionSetting::WaitToRestore(Duration::from_secs(300)),
        ProtectionSetting::Threshold {
            path: path.clone(),
            level: DecibelMilliwatts(-20.0),
        },
    ];
    wishes.retain(|w| !group.sets(w.kind()));
    if let Some(range) = &declared.wait_to_restore {
        wishes.push(ProtectionSetting::WaitToRestore(
            *range.end() + Duration::from_secs(1),
        ));
    }
    if let Some(range) = &declared.threshold {
        wishes.push(ProtectionSetting::Threshold {
            path: path.clone(),
            level: DecibelMilliwatts(range.end() + 1.0),
        });
    }
    let mut commands = vec![
        ExternalCommand::Clear,
        ExternalCommand::Lockout,
        ExternalCommand::Force(path.clone()),
        ExternalCommand::Manual(path),
    ];
    commands.retain(|c| !group.accepts(c.kind()));
    let sent = b.records().len();
    let outside = |kind| matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported);
    for wish in &wishes {
        let error = expect_error(
            format!("`{wish}`, which is not declared"),
            group.protection.set_protection(&group.id, wish).await,
        )?;
        ensure(outside(error.kind()), || {
            format!("`{wish}`, which is not declared: {error}")
        })?;
    }
    for command in &commands {
        let error = expect_error(
            format!("`{command}`, which is not declared"),
            group.protection.command(&group.id, command).await,
        )?;
        ensure(outside(error.kind()), || {
            format!("`{command}`, which is not declared: {error}")
        })?;
    }
    if wishes.is_empty() && commands.is_empty() {
        return not_applicable("it declares everything, without bounds");
    }
    b.check_no_traffic_since(sent)
}

/// Returns a different value for each setting that can be set, near the present one.
pub(super) fn others(group: &Group) -> Vec<ProtectionSetting> {
    let declared = group.protection.protection_capabilities();
    let now = &group.before;
    let mut all = Vec::new();
    all.extend(now.revertive.map(|on| ProtectionSetting::Revertive(!on)));
    if let (Some(wait), Some(range)) = (now.wait_to_restore, &declared.wait_to_restore) {
        let longer = wait + declared.wait_step;
        let other = if longer <= *range.end() {
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
    all.push(ProtectionSetting::Mode(
        if now.mode == SelectionMode::Automatic {
            SelectionMode::Manual
        } else {
            SelectionMode::Automatic
        },
    ));
    all.retain(|s| group.sets(s.kind()));
    all
}

async fn settings(b: &CaseContext) -> CaseOutcome {
    let group = Group::open(b).await?;
    let wishes = others(&group);
    if wishes.is_empty() {
        return not_applicable("it has no setting of which another value is known");
    }
    restore::with_restore(b, &group.opened, group.snapshot(), async {
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
            ensure(all.contains(wish), || {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                format!(
                    "`{wish}` was set, and the group reports: {}",
                    all.join(", ")
                )
            })?;
            ensure(before.is_none() || before != b.state(), || {
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
        fail("its settings could not be restored")
    }
}
