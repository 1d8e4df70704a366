//! Protection switches: groups of paths as a device of the contract.

mod group;

pub use group::{ActiveCommand, Group, Input, PathChange};

use super::{
    DeviceBase,
    change_faults::{ChangeFaults, ChangeRefusal},
    device_base::impl_device,
    light::measured,
};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
};
use async_trait::async_trait;
use qkd_hal::{
    Capabilities, DeviceKind, Error, ErrorKind, EventKind, Health, Identity, Operation, Result,
    device::HealthState, event::Origin, reading::Measured, units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    ApplyReport, CrossConnect, CrossConnects, Geometry, OpticalSwitch, Plan, Step,
    SwitchCapabilities,
    protection::{
        ActivePath, ExternalCommand, GroupId, PathId, PathStatus, Protection,
        ProtectionCapabilities, ProtectionSetting, ProtectionStatus, SelectionMode,
    },
};
use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// Reason for which the device did not perform a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectionRejection {
    /// The group does not exist.
    NoSuchGroup,
    /// The group has no such path.
    NoSuchPath,
    /// The group is in the other mode.
    WrongMode,
    /// A fault refused the change.
    Gate(ChangeRefusal),
}

/// Model of a protection switch.
pub struct ProtectionSwitch {
    base: DeviceBase,
    limits: ProtectionCapabilities,
    /// Properties of a protection switch that is also an A/B switch or a crossbar.
    switch: Option<SwitchCapabilities>,
    change_faults: ChangeFaults,
    clock: Clock,
    started: SystemTime,
    groups: Mutex<Vec<(GroupId, Group)>>,
    /// Groups whose card was pulled.
    pulled: Mutex<BTreeSet<GroupId>>,
}

impl ProtectionSwitch {
    /// Creates a protection switch with these groups.
    #[must_use]
    pub fn new(
        identity: Identity,
        limits: ProtectionCapabilities,
        groups: Vec<(GroupId, Group)>,
        clock: Clock,
    ) -> Self {
        let operations = [
            Operation::Identity,
            Operation::Health,
            Operation::ProtectionGroups,
            Operation::ProtectionStatus,
            Operation::SetProtection,
            Operation::ProtectionCommand,
        ];
        Self {
            base: DeviceBase::new(
                DeviceKind::ProtectionSwitch,
                identity,
                Capabilities::none().with(&operations),
            ),
            limits,
            switch: None,
            change_faults: ChangeFaults::default(),
            clock,
            started: SystemTime::now(),
            groups: Mutex::new(groups),
            pulled: Mutex::default(),
        }
    }
    /// Adds a switch whose position is the path of the one group: path n of an A/B switch is
    /// channel n + 1; path 0 of a crossbar is bar and path 1 cross.
    #[must_use]
    pub fn with_switch(mut self, switch: SwitchCapabilities) -> Self {
        self.switch = Some(switch);
        self.base.capabilities = self
            .base
            .capabilities
            .with(&[Operation::Connections, Operation::Apply]);
        self.base.descriptor = self
            .base
            .descriptor
            .with_kinds(&[DeviceKind::OpticalSwitch, DeviceKind::ProtectionSwitch]);
        self
    }
    /// Returns the state that all models share.
    #[must_use]
    pub fn base(&self) -> &DeviceBase {
        &self.base
    }
    /// Returns the scheduled refusals of changes.
    #[must_use]
    pub fn change_faults(&self) -> &ChangeFaults {
        &self.change_faults
    }
    /// Returns the clock of the model.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
    fn lock(&self) -> MutexGuard<'_, Vec<(GroupId, Group)>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_pulled(&self, id: &GroupId) -> bool {
        self.pulled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(id)
    }
    /// Removes the cards of these groups, and inserts all others. A card keeps its state.
    ///
    /// # Errors
    /// Error text that names a group which does not exist.
    pub fn pull(&self, ids: &[GroupId]) -> std::result::Result<(), String> {
        for id in ids {
            if !self.lock().iter().any(|(there, _)| there == id) {
                return Err(format!("there is no card `{id}`"));
            }
        }
        *self.pulled.lock().unwrap_or_else(PoisonError::into_inner) = ids.iter().cloned().collect();
        Ok(())
    }

    fn publish(&self, id: &GroupId, group: &Group, change: Option<PathChange>) {
        if let Some(change) = change {
            let path = group.paths().nth(change.to).unwrap_or_default().to_owned();
            self.base.events.publish(
                Origin::Device,
                EventKind::SwitchOver {
                    group: id.0.clone(),
                    path,
                    request: change.request.to_string(),
                },
            );
        }
    }

    /// Advances the model to the current time. Automatic changes are published as events.
    pub fn tick(&self) {
        let now = self.clock.now();
        for (id, group) in &mut *self.lock() {
            let change = group.evaluate(now);
            self.publish(id, group, change);
        }
    }

    /// Calls `look` with the current state of a group.
    pub fn with_group<T>(&self, id: &GroupId, look: impl FnOnce(&Group) -> T) -> Option<T> {
        self.tick();
        self.lock()
            .iter()
            .find(|(g, _)| g == id && !self.is_pulled(g))
            .map(|(_, group)| look(group))
    }
    /// All groups that there are.
    #[must_use]
    pub fn ids(&self) -> Vec<GroupId> {
        self.lock()
            .iter()
            .map(|(id, _)| id.clone())
            .filter(|id| !self.is_pulled(id))
            .collect()
    }
    /// Changes a group past all gates: light, faults.
    pub fn update_group(&self, id: &GroupId, change: impl FnOnce(&mut Group)) -> bool {
        self.tick();
        let found = self
            .lock()
            .iter_mut()
            .find(|(g, _)| g == id)
            .map(|(_, group)| change(group))
            .is_some();
        self.tick();
        found
    }

    /// Changes a group by command: all or nothing.
    ///
    /// # Errors
    /// See [`ProtectionRejection`]; what `change` refuses.
    pub fn try_update_group(
        &self,
        id: &GroupId,
        change: impl FnOnce(
            &mut Group,
            Duration,
        ) -> std::result::Result<Option<PathChange>, ProtectionRejection>,
    ) -> std::result::Result<(), ProtectionRejection> {
        self.tick();
        let now = self.clock.now();
        {
            let mut groups = self.lock();
            let (id, group) = groups
                .iter_mut()
                .find(|(g, _)| g == id && !self.is_pulled(g))
                .ok_or(ProtectionRejection::NoSuchGroup)?;
            let mut changed = group.clone();
            let done = change(&mut changed, now)?;
            if !self
                .change_faults
                .should_apply()
                .map_err(ProtectionRejection::Gate)?
            {
                return Ok(());
            }
            *group = changed;
            self.publish(id, group, done);
        }
        self.tick();
        Ok(())
    }

    /// In manual mode: the signal goes to a path.
    ///
    /// # Errors
    /// See [`ProtectionRejection`].
    pub fn put(&self, id: &GroupId, path: usize) -> std::result::Result<(), ProtectionRejection> {
        self.try_update_group(id, |group, now| match group.mode {
            _ if path >= group.paths().count() => Err(ProtectionRejection::NoSuchPath),
            SelectionMode::Automatic => Err(ProtectionRejection::WrongMode),
            SelectionMode::Manual => Ok(group.select_path(path, now)),
        })
    }
    /// Sets the standing command, or takes it back.
    ///
    /// # Errors
    /// See [`ProtectionRejection`].
    pub fn set_command(
        &self,
        id: &GroupId,
        standing: Option<ActiveCommand>,
    ) -> std::result::Result<(), ProtectionRejection> {
        self.try_update_group(id, |group, _| match standing {
            Some(ActiveCommand::Force(path) | ActiveCommand::Manual(path))
                if path >= group.paths().count() =>
            {
                Err(ProtectionRejection::NoSuchPath)
            }
            _ => {
                group.standing = standing;
                Ok(None)
            }
        })
    }

    /// Returns the state that commands can change, as text.
    #[must_use]
    pub fn state(&self) -> String {
        self.tick();
        let line = |(id, g): &(GroupId, Group)| {
            let thresholds: Vec<_> = g.inputs.iter().map(|i| i.threshold).collect();
            format!(
                "group {id}: {} active {} preferred {} revert {} wait {:?} hold-off {:?} \
                 hysteresis {} thresholds {thresholds:?} standing {:?}",
                g.mode,
                g.active(),
                g.preferred,
                g.revert,
                g.wait_to_restore,
                g.hold_off,
                g.hysteresis,
                g.standing
            )
        };
        self.lock().iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The named path or input: `a`, or `3/a` of group 3.
    fn named(
        &self,
        text: &str,
        each: impl Fn(&mut Group, usize),
    ) -> std::result::Result<(), String> {
        let (group, path) = text
            .split_once('/')
            .map_or((None, text), |(g, p)| (Some(g), p));
        let mut found = false;
        for (id, g) in &mut *self.lock() {
            let n = g.paths().position(|name| name == path);
            if let Some(n) = n.filter(|_| group.is_none_or(|wanted| wanted == id.0)) {
                found = true;
                each(g, n);
            }
        }
        if found {
            Ok(())
        } else {
            Err(format!(
                "invalid path `{text}`: expected one such as `a`, or `3/a` of group 3"
            ))
        }
    }

    /// Gives the inputs of a path, `a`, or `3/a` of group 3, another level, in dBm.
    ///
    /// # Errors
    /// Error text for the user.
    pub fn set_input(&self, path: &str, dbm: f64) -> std::result::Result<(), String> {
        self.tick();
        self.named(path, |g, n| {
            for input in g.needs(n).to_vec() {
                g.inputs[input].level = dbm;
            }
        })?;
        self.tick();
        Ok(())
    }

    /// A second operator: `manual:b`, `force:b` in manual mode too, `automatic`, `clear`.
    fn operator(&self, command: &str) -> std::result::Result<(), String> {
        let (verb, rest) = command.split_once(':').unwrap_or((command, ""));
        let now = self.clock.now();
        match verb {
            "automatic" | "clear" => self.lock().iter_mut().for_each(|(_, g)| {
                g.standing = None;
                if verb == "automatic" {
                    g.mode = SelectionMode::Automatic;
                }
            }),
            "manual" => self.named(rest, |g, n| {
                g.mode = SelectionMode::Manual;
                g.select_path(n, now);
            })?,
            "force" => self.named(rest, |g, n| g.standing = Some(ActiveCommand::Force(n)))?,
            _ => {
                return Err(format!(
                    "`{verb}` is nothing that an operator of a protection switch does: manual, \
                     force, clear, automatic"
                ));
            }
        }
        Ok(())
    }

    fn path(&self, id: &GroupId, path: &PathId) -> Result<usize> {
        let found = self.with_group(id, |g| g.paths().position(|p| p == path.0));
        found
            .ok_or_else(|| no_group(id))?
            .ok_or_else(|| Error::invalid(format!("group {id} has no path `{path}`")))
    }
    fn position(&self) -> Result<(GroupId, SwitchCapabilities)> {
        let missing =
            || Error::unsupported(Operation::Connections.name(), "this device is not a switch");
        Ok((
            self.ids().into_iter().next().ok_or_else(missing)?,
            self.switch.clone().ok_or_else(missing)?,
        ))
    }
}

/// Returns the cross-connects of a position: a channel of an A/B switch, bar or cross of a
/// crossbar. `None` if cross-connects cannot express it.
#[must_use]
pub fn connections_of(geometry: Geometry, position: usize) -> Option<CrossConnects> {
    let pairs: &[(u32, u32)] = match (geometry, position) {
        (Geometry::OneByN { channels, .. }, n) if n < channels as usize => &[(0, n as u32 + 1)],
        (Geometry::Crossbar, 0) => &[(1, 3), (2, 4)],
        (Geometry::Crossbar, 1) => &[(1, 4), (2, 3)],
        _ => return None,
    };
    pairs
        .iter()
        .map(|(i, e)| CrossConnect::new(*i, *e))
        .collect::<Result<_>>()
        .ok()
}

fn no_group(id: &GroupId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no group {id}"))
}

fn refused(operation: Operation, rejected: ProtectionRejection) -> Error {
    let kind = match rejected {
        ProtectionRejection::NoSuchGroup => ErrorKind::NotFound,
        ProtectionRejection::NoSuchPath => ErrorKind::InvalidInput,
        ProtectionRejection::WrongMode => ErrorKind::NotReady,
        ProtectionRejection::Gate(_) => ErrorKind::Refused,
    };
    Error::new(kind, format!("the switch rejected it: {rejected:?}"))
        .with_operation(operation.name())
}

impl std::fmt::Debug for ProtectionSwitch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Protector({})", self.base.identity())
    }
}

impl ApplyDeviceFault for ProtectionSwitch {
    fn apply(&self, fault: &DeviceFault) -> std::result::Result<(), String> {
        let all = |change: &dyn Fn(&mut Group)| self.lock().iter_mut().for_each(|(_, g)| change(g));
        match fault {
            DeviceFault::Reboot => {
                self.base
                    .events
                    .publish(Origin::Device, EventKind::Restarted);
            }
            DeviceFault::Refuse(n) => self.change_faults.refuse(*n),
            DeviceFault::Ignore(n) => self.change_faults.ignore(*n),
            DeviceFault::Full => self.change_faults.set_full(true),
            DeviceFault::Identity(serial) => self.base.replace_device(serial),
            DeviceFault::Cut(None) => all(&|g| g.inputs.iter_mut().for_each(|i| i.cut = true)),
            DeviceFault::Cut(Some(path)) => self.named(path, |g, n| {
                let needs = g.needs(n).to_vec();
                needs.into_iter().for_each(|i| g.inputs[i].cut = true);
            })?,
            DeviceFault::LossDb(db) => all(&|g| g.extra_loss = *db),
            DeviceFault::Operator(command) => self.operator(command)?,
            DeviceFault::Clear => {
                self.change_faults.clear();
                all(&|g| {
                    g.inputs.iter_mut().for_each(|i| i.cut = false);
                    g.extra_loss = 0.0;
                });
            }
            other => return Err(format!("a protection switch has no fault {other:?}")),
        }
        self.tick();
        Ok(())
    }
}

impl_device! { ProtectionSwitch, base,
    async fn health(&self) -> Result<Health> {
        self.tick();
        let mut faults = Vec::new();
        for (id, group) in &*self.lock() {
            faults.extend(group.paths().enumerate().filter(|(n, _)| group.failed(*n)).map(|(_, path)| format!("path {path} of group {id} has failed")));
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }
}

#[async_trait]
impl Protection for ProtectionSwitch {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        &self.limits
    }
    async fn groups(&self) -> Result<Vec<GroupId>> {
        Ok(self.ids())
    }
    async fn protection(&self, id: &GroupId) -> Result<Measured<ProtectionStatus>> {
        let status = self.with_group(id, |g| {
            let names: Vec<PathId> = g.paths().map(PathId::from).collect();
            let path = |n: usize| {
                let mut path = PathStatus::new(names[n].clone());
                path.failed = Some(g.failed(n));
                if let [input] = g.needs(n) {
                    path.power = Some(measured(g.level(*input)));
                    path.threshold = Some(DecibelMilliwatts(g.inputs[*input].threshold));
                }
                path
            };
            let mut status = ProtectionStatus::new(
                id.clone(),
                g.mode,
                names[g.active()].clone(),
                g.request(),
                (0..names.len()).map(path).collect(),
            );
            status.active = ActivePath {
                since: g.since().map(|at| (self.started + at, Origin::Device)),
                ..status.active
            };
            status.preferred = Some(names[g.preferred].clone());
            status.revertive = Some(g.revert);
            status.wait_to_restore = Some(g.wait_to_restore);
            status.switch_overs = Some(g.switch_overs());
            status
        });
        status.map(Measured::now).ok_or_else(|| no_group(id))
    }
    async fn set_protection(&self, id: &GroupId, setting: &ProtectionSetting) -> Result<()> {
        let path = match setting {
            ProtectionSetting::Preferred(path) | ProtectionSetting::Threshold { path, .. } => {
                self.path(id, path)?
            }
            _ => 0,
        };
        let done = self.try_update_group(id, |g, _| {
            match setting {
                ProtectionSetting::Mode(mode) => g.mode = *mode,
                ProtectionSetting::Preferred(_) => g.preferred = path,
                ProtectionSetting::Revertive(revert) => g.revert = *revert,
                ProtectionSetting::WaitToRestore(time) => g.wait_to_restore = *time,
                ProtectionSetting::Threshold { level, .. } => {
                    for input in g.needs(path).to_vec() {
                        g.inputs[input].threshold = level.0;
                    }
                }
                _ => return Err(ProtectionRejection::WrongMode),
            }
            Ok(None)
        });
        done.map_err(|r| refused(Operation::SetProtection, r))
    }
    async fn command(&self, id: &GroupId, command: &ExternalCommand) -> Result<()> {
        let status = self.protection(id).await?.value;
        status.permits(command)?;
        let path = command
            .path()
            .map(|p| self.path(id, p))
            .transpose()?
            .unwrap_or_default();
        let done = match (status.mode, command) {
            (SelectionMode::Manual, ExternalCommand::Force(_) | ExternalCommand::Manual(_)) => {
                self.put(id, path)
            }
            (_, ExternalCommand::Clear) => self.set_command(id, None),
            (_, ExternalCommand::Lockout) => self.set_command(id, Some(ActiveCommand::Lockout)),
            (_, ExternalCommand::Force(_)) => {
                self.set_command(id, Some(ActiveCommand::Force(path)))
            }
            _ => self.set_command(id, Some(ActiveCommand::Manual(path))),
        };
        done.map_err(|r| refused(Operation::ProtectionCommand, r))
    }
}

#[async_trait]
impl OpticalSwitch for ProtectionSwitch {
    /// # Panics
    /// If it was not made [`with_switch`](ProtectionSwitch::with_switch).
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        self.switch.as_ref().expect("created with a switch")
    }
    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        let (id, switch) = self.position()?;
        let position = self.with_group(&id, Group::active).unwrap_or_default();
        let shown = connections_of(switch.geometry, position);
        shown.map(Measured::now).ok_or_else(|| {
            Error::new(
                ErrorKind::NotReady,
                format!("path {position} cannot be expressed as cross-connects"),
            )
        })
    }
    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        let (id, switch) = self.position()?;
        plan.check(&self.connections().await?.value)?;
        let wanted: CrossConnects = plan
            .steps()
            .iter()
            .flat_map(Step::added)
            .copied()
            .collect::<Result<_>>()?;
        if let Some(position) = (0..2).find(|n| {
            !wanted.is_empty() && connections_of(switch.geometry, *n) == Some(wanted.clone())
        }) {
            self.put(&id, position)
                .map_err(|r| refused(Operation::Apply, r))?;
        }
        Ok(ApplyReport::new(plan.steps().len(), true, Duration::ZERO))
    }
}
