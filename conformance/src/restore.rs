//! Restores what a case changed.

use crate::{
    case_context::{CaseContext, not_accepted},
    case_outcome::NotPassed,
    dut::Dut,
    journal::{KnownDevice, Snapshot},
    observer::RunObserver,
    result::TargetKind,
    session::Session,
};
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{
    Error, Operation, Result,
    text::printable,
    units::{DecibelMilliwatts, Decibels, Nanometres},
};
use qkd_switch_hal::{
    AlarmLevels, Attenuation, CrossConnect, CrossConnects, MonitorSetting, OpticalSwitch, Plan,
    Port, SwitchState,
    protection::{
        ExternalCommand, ExternalCommandKind, GroupId, PathId, Protection, ProtectionSetting,
        ProtectionStatus, SelectionMode, SettingKind,
    },
};
use std::{future::Future, sync::Arc, time::Duration};

/// Plans from the present paths to others, and applies the plan.
pub(crate) async fn change_to(switch: &dyn OpticalSwitch, wanted: &CrossConnects) -> Result<()> {
    let present = switch.connections().await?.value;
    if present == *wanted {
        return Ok(());
    }
    switch
        .apply(&plan(switch, &present, wanted).await?)
        .await
        .map(drop)
}

/// The plan from one state to another.
pub(crate) async fn plan(
    switch: &dyn OpticalSwitch,
    present: &CrossConnects,
    wanted: &CrossConnects,
) -> Result<Plan> {
    SwitchState {
        device: identity(switch).await?,
        geometry: switch.switch_capabilities().geometry,
        connections: present.clone(),
    }
    .plan()
    .to(wanted.clone())
    .build()
}

/// Returns the identity of the switch, or its vendor if it reports no identity.
pub(crate) async fn identity(switch: &dyn OpticalSwitch) -> Result<qkd_hal::Identity> {
    match switch.identity().await {
        Err(e) if e.kind() == qkd_hal::ErrorKind::Unsupported => Ok(qkd_hal::Identity::default()),
        other => other,
    }
}

/// Checks that the file of the device names this item, so that it may be restored. Cross-connects
/// are checked port by port in [`within`].
///
/// # Errors
/// `InvalidInput`, with the item that the file does not name.
fn check_confined(dut: &Dut, previous: &Snapshot) -> Result<()> {
    if dut.target_kind() != TargetKind::Device {
        return Ok(());
    }
    let (named, what) = match previous {
        Snapshot::Port(port, _)
        | Snapshot::Monitor { port, .. }
        | Snapshot::Attenuation { port, .. } => (dut.ports.contains(port), format!("port {port}")),
        Snapshot::Parameter(name, _) => (
            dut.parameters.contains(name),
            format!("the parameter `{}`", printable(name, 80)),
        ),
        Snapshot::Protection { group, .. } => (
            dut.group.as_ref() == Some(group),
            format!("the group `{}`", printable(group, 80)),
        ),
        Snapshot::Connections(_) | Snapshot::Other(_) => (true, String::new()),
    };
    if named {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the file of the device does not name {what}, so it was not restored; name it, or \
         restore it manually: {}",
        printable(&previous.by_hand(), 400)
    )))
}

/// Restores one item to its previous state.
async fn restore(dut: &Dut, opened: &OpenedDevice, previous: &Snapshot) -> Result<()> {
    check_confined(dut, previous)?;
    match previous {
        Snapshot::Connections(paths) => {
            let switch = opened.switch()?;
            let (present, previous) = (switch.connections().await?.value, paths.parse()?);
            let wanted = if dut.target_kind() == TargetKind::Device {
                within(&dut.ports, &present, &previous)?
            } else {
                previous
            };
            change_to(&*switch, &wanted).await
        }
        Snapshot::Port(port, enabled) => opened.switch()?.set_port(Port(*port), *enabled).await,
        Snapshot::Parameter(name, value) => {
            let device = opened.device();
            let value = qkd_hal::parameter::find(device.parameters(), name)?.parse(value)?;
            device.set_parameter(name, &value).await
        }
        Snapshot::Monitor {
            port,
            low,
            high,
            averaging,
            wavelength,
        } => {
            let meter = opened.power_meter()?;
            let level = |l: &Option<f64>| l.map(DecibelMilliwatts);
            let mut changes = vec![MonitorSetting::Alarms(AlarmLevels {
                low: level(low),
                high: level(high),
            })];
            changes
                .extend(averaging.map(|s| MonitorSetting::Averaging(Duration::from_secs_f64(s))));
            changes.extend(wavelength.map(|nm| MonitorSetting::Wavelength(Nanometres(nm))));
            for change in changes
                .iter()
                .filter(|c| meter.meter_capabilities().check(c).is_ok())
            {
                meter.set_monitor(Port(*port), change).await?;
            }
            Ok(())
        }
        Snapshot::Attenuation {
            port,
            mode,
            level,
            reference,
        } => {
            let wanted = match (mode.as_str(), level, reference) {
                ("transparent", ..) => Attenuation::Transparent,
                ("maximum", ..) => Attenuation::Maximum,
                ("loss", Some(db), _) => Attenuation::Loss(Decibels(*db)),
                ("output-power", Some(dbm), _) => Attenuation::OutputPower(DecibelMilliwatts(*dbm)),
                ("relative", Some(db), Some(port)) => Attenuation::Relative {
                    below: Decibels(*db),
                    reference: Port(*port),
                },
                _ => {
                    return Err(Error::invalid(format!(
                        "an attenuator cannot be set to `{mode}`"
                    )));
                }
            };
            opened
                .attenuator()?
                .set_attenuation(Port(*port), &wanted)
                .await
        }
        Snapshot::Protection {
            group,
            settings,
            active,
        } => {
            restore_group(
                &*opened.protection()?,
                &group.as_str().into(),
                settings,
                &active.as_str().into(),
            )
            .await
        }
        Snapshot::Other(_) => Ok(()),
    }
}

impl Snapshot {
    /// Creates the snapshot of an attenuator.
    pub(crate) fn attenuation(port: Port, now: &Attenuation) -> Self {
        let (level, reference) = match now {
            Attenuation::Loss(db) => (Some(db.0), None),
            Attenuation::OutputPower(dbm) => (Some(dbm.0), None),
            Attenuation::Relative { below, reference } => (Some(below.0), Some(reference.0)),
            _ => (None, None),
        };
        Self::Attenuation {
            port: port.0,
            mode: now.mode().to_owned(),
            level,
            reference,
        }
    }
}

/// Creates the snapshot of a protection group for the journal.
pub(crate) fn protected(protection: &dyn Protection, now: &ProtectionStatus) -> Snapshot {
    let settings = now
        .settings(&protection.protection_capabilities().settings)
        .iter()
        .map(ToString::to_string)
        .collect();
    Snapshot::Protection {
        group: now.group.0.clone(),
        settings,
        active: now.active.path.0.clone(),
    }
}

/// Clears the active command; then restores the path, the settings, and last the mode.
async fn restore_group(
    protection: &dyn Protection,
    group: &GroupId,
    settings: &[String],
    active: &PathId,
) -> Result<()> {
    let commands = &protection.protection_capabilities().commands;
    if commands.contains(&ExternalCommandKind::Clear) {
        protection.command(group, &ExternalCommand::Clear).await?;
    }
    let now = protection.protection(group).await?.value;
    if now.active.path != *active && commands.contains(&ExternalCommandKind::Force) {
        // A device without lasting commands accepts it in manual mode only.
        let has_clear = commands.contains(&ExternalCommandKind::Clear);
        if !has_clear
            && now.mode == SelectionMode::Automatic
            && protection
                .protection_capabilities()
                .settings
                .contains(&SettingKind::Mode)
        {
            protection
                .set_protection(group, &ProtectionSetting::Mode(SelectionMode::Manual))
                .await?;
        }
        protection
            .command(group, &ExternalCommand::Force(active.clone()))
            .await?;
        if commands.contains(&ExternalCommandKind::Clear) {
            protection.command(group, &ExternalCommand::Clear).await?;
        }
    }
    let current = protection
        .protection(group)
        .await?
        .value
        .settings(&protection.protection_capabilities().settings);
    for setting in settings {
        let setting: ProtectionSetting = setting.parse()?;
        if !current.contains(&setting) {
            protection.set_protection(group, &setting).await?;
        }
    }
    Ok(())
}

/// Returns the previous cross-connects between these ports, and the present ones of all other
/// ports: changes by other controllers are not reverted.
fn within(
    ports: &[u32],
    present: &CrossConnects,
    previous: &CrossConnects,
) -> Result<CrossConnects> {
    if ports.is_empty() {
        return Err(Error::invalid(
            "the file of the device names no ports that may be touched",
        ));
    }
    let may = |port: Port| port == Port::COMMON || ports.contains(&port.0);
    // A case makes or removes only paths of which both ports are named.
    let named = |path: &CrossConnect| may(path.ingress) && may(path.egress);
    present
        .iter()
        .filter(|path| !named(path))
        .chain(previous.iter().filter(named))
        .collect()
}

/// Returns the operations that restore this item.
fn restoring(previous: &Snapshot) -> &'static [Operation] {
    match previous {
        Snapshot::Connections(_) => &[Operation::Apply],
        Snapshot::Port(..) => &[Operation::SetPort],
        Snapshot::Parameter(..) => &[Operation::SetParameter],
        Snapshot::Monitor { .. } => &[Operation::SetMonitor],
        Snapshot::Attenuation { .. } => &[Operation::SetAttenuation],
        Snapshot::Protection { .. } => &[Operation::SetProtection, Operation::ProtectionCommand],
        Snapshot::Other(_) => &[],
    }
}

/// Runs a case that changes an item, and restores the item whatever the result. The previous state
/// is recorded before. If the case's handle cannot restore it because of an error, a panic or a
/// call that does not end, the runner restores it with a new handle ([`restore_remaining`]).
///
/// # Errors
/// The error of the case; `Broken` if the item could not be restored.
pub(crate) async fn with_restore<T>(
    bench: &CaseContext,
    opened: &OpenedDevice,
    previous: Snapshot,
    change: impl Future<Output = std::result::Result<T, NotPassed>>,
) -> std::result::Result<T, NotPassed> {
    // An item is not changed if the operation that restores it rests on an assumption that the
    // user has not accepted.
    let descriptor = opened.device().descriptor().clone();
    let blocked = restoring(&previous)
        .iter()
        .filter(|operation| bench.session.can(**operation))
        .find_map(|operation| descriptor.blocking_assumption(*operation));
    if let Some(assumption) = blocked {
        return Err(NotPassed::Disabled(not_accepted(assumption)));
    }
    bench.record_and_restore(&previous)?;
    let verdict = change.await;
    bench.script().clear();
    // A fault of the emulated device ends with its case.
    let _ = bench.fault("clear");
    let mut last = None;
    // Twice, because late replies of the case may make the first attempt fail.
    for _ in 0..2 {
        match restore(&bench.session.dut, opened, &previous).await {
            Ok(()) => {
                bench.mark_restored(&previous);
                return verdict;
            }
            Err(error) => last = Some(error),
        }
    }
    verdict?;
    Err(NotPassed::Broken(format!(
        "it could not be restored with the handle that changed it: {}",
        last.map_or_else(String::new, |e| e.to_string())
    )))
}

/// Restores, with a new handle, what a case has left changed. Returns each item that could not be
/// restored, with the reason.
pub(crate) async fn restore_remaining(bench: &CaseContext) -> Vec<(Snapshot, String)> {
    let mut left = Vec::new();
    for previous in bench.unrestored() {
        let result = async {
            let opened = bench.open().await?;
            let done = restore(&bench.session.dut, &opened, &previous).await;
            let _ = opened.device().close().await;
            done
        };
        match result.await {
            Ok(()) => bench.mark_restored(&previous),
            Err(why) => left.push((previous, why.to_string())),
        }
    }
    left
}

/// Restores, after an interruption, the items that the journal lists, and reports each. Returns
/// `false` if an item that can be restored was not.
pub(crate) async fn restore_all(
    session: &Arc<Session>,
    known: &KnownDevice,
    all: &[Snapshot],
    watcher: &dyn RunObserver,
) -> bool {
    // Only ports that the file named in the earlier run and names now: the earlier file limits what
    // that run can have changed, and the present file limits what may be changed now.
    let both = |port: &u32| known.ports.contains(port);
    let dut = Dut {
        ports: session.dut.ports.iter().copied().filter(both).collect(),
        ..session.dut.clone()
    };
    let mut all_restored = true;
    for previous in all {
        if let Snapshot::Other(what) = previous {
            watcher.warn(&format!(
                "  previous state: {}; it cannot be restored",
                printable(what, 400)
            ));
            continue;
        }
        let result = async {
            let bench = CaseContext::of(session, None).await?;
            let opened = bench.open().await.map_err(|e| e.to_string())?;
            let done = match restore(&dut, &opened, previous).await {
                Ok(()) => check_none_left(&dut, known, &opened, previous).await,
                error => error,
            };
            let _ = opened.device().close().await;
            done.map_err(|e| e.to_string())
        };
        match result.await {
            Ok(()) => watcher.log(&format!(
                "  restored: {}",
                printable(&previous.to_string(), 400)
            )),
            Err(why) => {
                all_restored = false;
                warn_not_restored(std::slice::from_ref(previous), &why, watcher);
            }
        }
    }
    all_restored
}

/// Checks that no path is left changed between ports that the file named in the earlier run and
/// does not name now.
async fn check_none_left(
    dut: &Dut,
    known: &KnownDevice,
    opened: &OpenedDevice,
    previous: &Snapshot,
) -> Result<()> {
    let Snapshot::Connections(paths) = previous else {
        return Ok(());
    };
    if dut.target_kind() != TargetKind::Device || known.ports == dut.ports {
        return Ok(());
    }
    let present = opened.switch()?.connections().await?.value;
    let wanted = within(&known.ports, &present, &paths.parse()?)?;
    if wanted == present {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the file of the device names fewer ports than when the run began: connections are \
         {present}, and were {wanted}; name the ports again, or restore them manually"
    )))
}

/// Warns about items that were not restored, with their previous state.
pub(crate) fn warn_not_restored(all: &[Snapshot], why: &str, watcher: &dyn RunObserver) {
    for previous in all {
        watcher.warn(&format!("  {}", not_restored_text(previous, why)));
    }
}

/// Returns the text of the warning about an item that was not restored.
pub(crate) fn not_restored_text(previous: &Snapshot, why: &str) -> String {
    let previous = previous.to_string();
    format!(
        "NOT RESTORED: previous state was {}: {why}",
        printable(&previous, 400)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_items_that_the_file_names_are_restored() {
        let dut = Dut {
            uri: Some("a+b://c".to_owned()),
            ports: vec![1],
            parameters: vec!["boot-mode".to_owned()],
            group: Some("1".to_owned()),
            ..Dut::default()
        };
        let parameter = |name: &str| Snapshot::Parameter(name.to_owned(), "x".to_owned());
        let monitor = |port| Snapshot::Monitor {
            port,
            low: None,
            high: None,
            averaging: None,
            wavelength: None,
        };
        let attenuation = |port| Snapshot::attenuation(Port(port), &Attenuation::Maximum);
        let group = |group: &str| Snapshot::Protection {
            group: group.to_owned(),
            settings: Vec::new(),
            active: "main".to_owned(),
        };
        for named in [
            Snapshot::Port(1, true),
            parameter("boot-mode"),
            monitor(1),
            attenuation(1),
            group("1"),
        ] {
            check_confined(&dut, &named).unwrap();
        }
        for other in [
            Snapshot::Port(2, true),
            parameter("name"),
            monitor(2),
            attenuation(2),
            group("2"),
        ] {
            let error = check_confined(&dut, &other).unwrap_err().to_string();
            assert!(error.contains("does not name"), "{error}");
        }
        // If the file names no group, none is restored; an emulator has no such limit.
        let nameless = Dut {
            group: None,
            ..dut.clone()
        };
        assert!(check_confined(&nameless, &group("1")).is_err());
        let emulated = Dut {
            uri: None,
            emulator: Some("x".to_owned()),
            ..dut
        };
        check_confined(&emulated, &group("2")).unwrap();
    }

    #[test]
    fn concurrent_changes_of_others_are_kept() {
        let paths = |text: &str| text.parse::<CrossConnects>().unwrap();
        // The case added 1-17; another controller removed 5-21 and added 6-22.
        let now = within(&[1, 17], &paths("1-17, 6-22"), &paths("5-21")).unwrap();
        assert_eq!(now, paths("6-22"));
        // A path of which one port is not named is neither made nor removed.
        let now = within(&[1, 17], &paths("1-19, 6-22"), &paths("1-18, 5-21")).unwrap();
        assert_eq!(now, paths("1-19, 6-22"));
        let now = within(&[3, 5], &paths("common-3"), &paths("common-5")).unwrap();
        assert_eq!(now, paths("common-5"));
        assert!(within(&[3, 5], &paths("common-7"), &paths("common-5")).is_err());
        assert!(within(&[], &paths("1-17"), &paths("5-21")).is_err());
    }
}
