//! `qkdctl switch protect`: status of protection groups, settings and external commands.

use crate::{
    cli::ProtectCommand,
    colour::{TextStyle, paint},
    commands::{
        DRY_RUN,
        change::{ChangeResult, check_ready, show_after_signal},
    },
    interrupt::{Guard, Work},
    journal::Entry,
    output::{self, Output},
    session::{Device, Session},
};
use qkd_driver_kit::program::lock::LockMode;
use qkd_hal::{Error, ErrorKind, Operation, Result};
use qkd_switch_hal::protection::{
    ExternalCommand, GroupId, Protection, ProtectionSetting, ProtectionStatus, SelectionMode,
    SwitchRequest,
};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn run(session: &Session, output: Output, command: ProtectCommand) -> Result<u8> {
    match command {
        ProtectCommand::Show { device, group } => {
            let device = session.open(&device, LockMode::Shared).await?;
            let protection = device.opened.protection()?;
            let groups = groups(&*protection, group.as_deref()).await?;
            output::print(
                output,
                "switch/protect/show",
                &json!({"groups": groups}),
                || groups.iter().map(describe).collect::<Vec<_>>().join("\n"),
            )?;
            protection.close().await?;
            Ok(0)
        }
        ProtectCommand::Set {
            device,
            group,
            settings,
            yes,
        } => {
            let wish = ProtectAction::Settings(settings);
            wish.carry_out(session, output, &device, group, yes).await
        }
        ProtectCommand::Clear { target, yes } => {
            ProtectAction::Command(ExternalCommand::Clear)
                .carry_out(session, output, &target.device, target.group, yes)
                .await
        }
        ProtectCommand::Lockout { target, yes } => {
            ProtectAction::Command(ExternalCommand::Lockout)
                .carry_out(session, output, &target.device, target.group, yes)
                .await
        }
        ProtectCommand::Force { target, path, yes } => {
            ProtectAction::Command(ExternalCommand::Force(path.as_str().into()))
                .carry_out(session, output, &target.device, target.group, yes)
                .await
        }
        ProtectCommand::Manual { target, path, yes } => {
            ProtectAction::Command(ExternalCommand::Manual(path.as_str().into()))
                .carry_out(session, output, &target.device, target.group, yes)
                .await
        }
    }
}

/// Action on a protection group.
enum ProtectAction {
    Settings(Vec<ProtectionSetting>),
    Command(ExternalCommand),
}

impl ProtectAction {
    fn description(&self) -> String {
        match self {
            Self::Settings(all) => all
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            Self::Command(command) => command.to_string(),
        }
    }

    /// The command, for the name of its schema.
    fn command(&self) -> &'static str {
        match self {
            Self::Settings(_) => "switch/protect/set",
            Self::Command(ExternalCommand::Clear) => "switch/protect/clear",
            Self::Command(ExternalCommand::Lockout) => "switch/protect/lockout",
            Self::Command(ExternalCommand::Force(_)) => "switch/protect/force",
            Self::Command(_) => "switch/protect/manual",
        }
    }

    fn report(
        &self,
        device: &Device,
        result: ChangeResult,
        group: &ProtectionStatus,
        left: &[String],
    ) -> serde_json::Value {
        json!({
            "result": result, "device": device.uri, "wanted": self.description(), "group": group,
            "not_applied": left,
        })
    }

    /// Returns the warning that precedes the action.
    fn warning(&self, now: &ProtectionStatus) -> &'static str {
        match self {
            Self::Settings(all)
                if all.contains(&ProtectionSetting::Mode(SelectionMode::Manual)) =>
            {
                "In manual mode the group is not protected: the signal stays where it is, also \
                 without light.\n"
            }
            Self::Settings(_) if now.mode == SelectionMode::Automatic => {
                "The device may switch over to another path on this change, which disturbs traffic \
                 on it.\n"
            }
            Self::Settings(_) => "",
            Self::Command(ExternalCommand::Clear) => {
                "The device selects the path again and may switch over, which disturbs traffic on \
                 it.\n"
            }
            Self::Command(ExternalCommand::Lockout) => {
                "Until it is cleared, the group is not protected.\n"
            }
            Self::Command(ExternalCommand::Force(_)) => {
                "This moves light, whatever comes in on that path, and disturbs traffic on it. \
                 Until it is cleared, or the mode is automatic again, the group is not protected.\n"
            }
            Self::Command(_) => "This moves light, and disturbs traffic on it.\n",
        }
    }

    async fn carry_out(
        self,
        session: &Session,
        output: Output,
        device: &str,
        group: Option<String>,
        yes: bool,
    ) -> Result<u8> {
        let device = session.open_for(device, yes).await?;
        let protection = device.opened.protection()?;
        let before = the_group(&*protection, group.as_deref()).await?;
        self.check(&*protection, &before)?;
        let operation = match self {
            Self::Settings(_) => Operation::SetProtection,
            Self::Command(_) => Operation::ProtectionCommand,
        };
        check_ready(
            protection.descriptor(),
            protection.capabilities(),
            operation,
        )?;
        let (words, warning) = (self.description(), self.warning(&before));
        if !yes {
            let report = self.report(&device, ChangeResult::DryRun, &before, &[]);
            output::print(output, self.command(), &report, || {
                format!(
                    "{}\nwould do at group {}: {words}\n{warning}{DRY_RUN}",
                    describe(&before),
                    before.group
                )
            })?;
            return Ok(0);
        }
        let guard = session.interrupt.begin(Work::Change)?;
        let applied = self
            .apply(&device, &protection, &before.group, &guard)
            .await;
        let left = match applied {
            Ok(left) => left,
            Err(error) => {
                show_after_signal(output, &guard, async || {
                    Ok(describe(&protection.protection(&before.group).await?.value))
                })
                .await;
                return Err(error);
            }
        };
        let after = protection
            .protection(&before.group)
            .await
            .map_err(|e| e.with_progress("the device accepted the change before"))?
            .value;
        let result = if left.is_empty() {
            ChangeResult::Applied
        } else {
            ChangeResult::Partial
        };
        let report = self.report(&device, result, &after, &left);
        output::print(output, self.command(), &report, || {
            let done = if left.is_empty() {
                format!("done: {words}")
            } else {
                format!("wanted: {words}\nNOT DONE: {}", left.join(", "))
            };
            format!("{done}\n{}", describe(&after))
        })?;
        protection.close().await?;
        Ok(guard.exit_code(0))
    }

    /// Refuses what the device or its driver would refuse, before anything is changed.
    fn check(&self, protection: &dyn Protection, now: &ProtectionStatus) -> Result<()> {
        let declared = protection.protection_capabilities();
        match self {
            Self::Settings(all) => all.iter().try_for_each(|setting| {
                declared.check_setting(setting)?;
                match setting {
                    ProtectionSetting::Preferred(path)
                    | ProtectionSetting::Threshold { path, .. } => now.path(path).map(drop),
                    _ => Ok(()),
                }
            }),
            Self::Command(command) => {
                declared.check_command(command)?;
                now.permits(command)
            }
        }
    }

    /// Does what is wanted; a signal ends it between two settings. Returns those not made.
    async fn apply(
        &self,
        device: &Device,
        protection: &Arc<dyn Protection>,
        group: &GroupId,
        guard: &Guard,
    ) -> Result<Vec<String>> {
        match self {
            Self::Settings(all) => {
                for (done, setting) in all.iter().enumerate() {
                    if guard.signal().is_some() {
                        return Ok(all[done..].iter().map(ToString::to_string).collect());
                    }
                    let detail = format!("group {group}: {setting}");
                    let result = Entry::new(&device.uri, "set-protection", detail)
                        .run(protection.set_protection(group, setting))
                        .await;
                    result.map_err(|e| {
                        if done == 0 {
                            e
                        } else {
                            with_completed_settings(&all[..done], e)
                        }
                    })?;
                }
            }
            Self::Command(command) => {
                let detail = format!("group {group}: {command}");
                Entry::new(&device.uri, "protection-command", detail)
                    .run(protection.command(group, command))
                    .await?;
            }
        }
        Ok(Vec::new())
    }
}

/// Adds to an error the settings that were applied before.
fn with_completed_settings(done: &[ProtectionSetting], error: Error) -> Error {
    let done: Vec<_> = done.iter().map(ToString::to_string).collect();
    error.with_progress(&format!("done before: {}", done.join(", ")))
}

/// Reads the status of all groups, or of the named one.
pub(super) async fn groups(
    protection: &dyn Protection,
    wanted: Option<&str>,
) -> Result<Vec<ProtectionStatus>> {
    let mut all = Vec::new();
    for id in protection
        .groups()
        .await?
        .iter()
        .filter(|id| wanted.is_none_or(|w| id.0 == w))
    {
        all.push(protection.protection(id).await?.value);
    }
    match wanted {
        Some(wanted) if all.is_empty() => Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no group {wanted}"),
        )),
        _ => Ok(all),
    }
}

/// The named group, or the only one.
async fn the_group(protection: &dyn Protection, wanted: Option<&str>) -> Result<ProtectionStatus> {
    let mut all = groups(protection, wanted).await?;
    let names: Vec<_> = all.iter().map(|s| s.group.0.clone()).collect();
    match all.pop() {
        Some(one) if all.is_empty() => Ok(one),
        Some(_) => Err(Error::invalid(format!(
            "it has several groups; name one with --group: {}",
            names.join(", ")
        ))),
        None => Err(Error::new(
            ErrorKind::NotFound,
            "it has no protection group",
        )),
    }
}

/// Returns why an automatic group does not return to its preferred path.
fn switch_away_verb(request: SwitchRequest) -> &'static str {
    match request {
        SwitchRequest::DoNotRevert => "and stays there: it does not revert",
        SwitchRequest::WaitToRestore => "and goes back when the time to wait is over",
        SwitchRequest::ManualSwitch => "and held there by a manual switch, which a failure ends",
        _ => "and away from where the signal belongs",
    }
}

/// Returns why a group would not switch over automatically, or would find no signal.
fn unprotected(now: &ProtectionStatus) -> String {
    let others = || now.paths.iter().filter(|p| p.path != now.active.path);
    let names = |all: Vec<&str>| all.join(", ");
    match now.active.request {
        _ if now.mode == SelectionMode::Manual => {
            "in manual mode the signal stays where it is".to_owned()
        }
        SwitchRequest::ForcedSwitch => "a forced switch holds the signal where it is".to_owned(),
        SwitchRequest::LockoutOfProtection => "protection is locked out".to_owned(),
        _ if others().all(|p| p.failed == Some(true)) => format!(
            "no light on {}",
            names(others().map(|p| p.path.0.as_str()).collect())
        ),
        _ => format!(
            "{} not known to be well",
            names(
                others()
                    .filter(|p| p.failed.is_none())
                    .map(|p| p.path.0.as_str())
                    .collect()
            )
        ),
    }
}

/// Returns the status of a group in a few lines.
pub(super) fn describe(now: &ProtectionStatus) -> String {
    let state = match (now.is_protected(), now.active.request) {
        (true, SwitchRequest::NoRequest) => paint(TextStyle::Good, "protected"),
        (true, request) => paint(
            TextStyle::Caution,
            &format!("protected, {}", switch_away_verb(request)),
        ),
        (false, _) => paint(
            TextStyle::Bad,
            &format!("NOT PROTECTED: {}", unprotected(now)),
        ),
    };
    let since = now.active.since.map_or_else(String::new, |(at, _)| {
        format!(" since {}", humantime::format_rfc3339_seconds(at))
    });
    let mut rows = vec![
        ("group", format!("{}: {state}", now.group)),
        ("mode", now.mode.to_string()),
        (
            "active",
            format!("{} ({}){since}", now.active.path, now.active.request),
        ),
    ];
    if let Some(preferred) = &now.preferred {
        rows.push(("preferred", preferred.to_string()));
    }
    if let Some(revert) = now.revertive {
        let wait = now.wait_to_restore.map_or_else(String::new, |t| {
            format!(", after {}", humantime::format_duration(t))
        });
        rows.push((
            "reverts",
            if revert {
                format!("yes{wait}")
            } else {
                "no".to_owned()
            },
        ));
    }
    if let Some(count) = now.switch_overs {
        rows.push(("switch-overs", count.to_string()));
    }
    let mut text = output::pairs(&rows);
    let mut table = output::table(&["path", "light", "power", "threshold"]);
    for path in &now.paths {
        let light = match path.failed {
            Some(false) => "well",
            Some(true) => "FAILED",
            None => "not known",
        };
        table.add_row(output::cells([
            path.path.to_string(),
            light.to_owned(),
            path.power.map_or_else(|| "-".to_owned(), output::dbm),
            path.threshold
                .map_or_else(|| "-".to_owned(), |t| format!("{:.2} dBm", t.0)),
        ]));
    }
    text.push_str(&format!("{}\n", output::table_text(table)));
    text
}
