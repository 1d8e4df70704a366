//! Any operation of any device as one call, with what it needs made ready before.

use crate::{
    case_context::CaseContext,
    case_outcome::NotPassed,
    cases::{another_value, change, settled, synthetic_key},
    reading, restore,
};
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{
    Key, KeyId, Operation as Op, Result,
    encryptor::{ChannelId, Confirmed, Staged},
    parameter::ParameterValue,
    qkd::KeyRequest,
    units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    AlarmLevels, Attenuation, CrossConnect, CrossConnects, Geometry, MonitorSetting, Plan, Port,
    Readback,
    protection::{
        ExternalCommand, ExternalCommandKind, GroupId, ProtectionSetting, SelectionMode,
        SettingKind,
    },
};

/// A call, made ready.
pub(crate) enum PreparedCall {
    /// A call that reads.
    Read(Op),
    Set(&'static str, ParameterValue),
    Start,
    Stop,
    Calibrate,
    Take,
    TakeById(KeyId),
    Stage(ChannelId, Box<Key>),
    Activate(Staged),
    Confirm(Staged),
    Retire(Confirmed),
    Zeroize(ChannelId),
    Encrypt(ChannelId),
    Apply(Box<Plan>),
    SetPort(Port),
    Monitor(Port, MonitorSetting),
    Attenuate(Port, Attenuation),
    Protect(GroupId, ProtectionSetting),
    Command(GroupId, ExternalCommand),
}

impl PreparedCall {
    /// Makes what the call needs.
    ///
    /// # Errors
    /// `NotApplicable` where there is nothing to call it with.
    pub(crate) async fn prepare(
        b: &CaseContext,
        opened: &OpenedDevice,
        operation: Op,
    ) -> std::result::Result<Self, NotPassed> {
        Ok(match operation {
            Op::Confirm
            | Op::Stage
            | Op::Activate
            | Op::Retire
            | Op::Zeroize
            | Op::SetEncryption => return Self::of_encryptor(b, opened, operation).await,
            Op::SetParameter => {
                let device = opened.device();
                let spec = device
                    .parameters()
                    .iter()
                    .find(|p| p.writable)
                    .ok_or_else(|| NotPassed::NotApplicable("it has none to write".to_owned()))?;
                let present = if spec.readable {
                    device.parameter(spec.name).await?
                } else {
                    ParameterValue::Text(String::new())
                };
                let value = another_value(spec, &present).ok_or_else(|| {
                    NotPassed::NotApplicable("no other value is known".to_owned())
                })?;
                Self::Set(spec.name, value)
            }
            Op::Start => Self::Start,
            Op::Stop => Self::Stop,
            Op::Calibrate => Self::Calibrate,
            Op::TakeKeys => Self::Take,
            Op::TakeKeysById => {
                let far = b.open_peer().await?.module()?;
                let keys = far.take_keys(&KeyRequest::new(1)).await?;
                Self::TakeById(keys[0].id().clone())
            }
            Op::Apply => {
                let switch = opened.switch()?;
                if switch.switch_capabilities().readback == Readback::LastAcknowledged {
                    let wanted: CrossConnects =
                        std::iter::once(CrossConnect::new(0, 2)).collect::<Result<_>>()?;
                    Self::Apply(Box::new(Plan::unverified(
                        &restore::identity(&*switch).await?,
                        &switch.switch_capabilities().geometry,
                        &wanted,
                    )?))
                } else {
                    let present = switch.connections().await?.value;
                    // Two paths of a matrix, so that there is an exchange between the first and the
                    // last step.
                    let mut wanted = change(b, &*switch, &present).await?;
                    if matches!(
                        switch.switch_capabilities().geometry,
                        Geometry::Matrix { .. }
                    ) {
                        wanted = change(b, &*switch, &wanted).await?;
                    }
                    Self::Apply(Box::new(restore::plan(&*switch, &present, &wanted).await?))
                }
            }
            Op::SetPort => Self::SetPort(
                opened
                    .switch()?
                    .switch_capabilities()
                    .geometry
                    .ports()
                    .last()
                    .unwrap_or(Port(1)),
            ),
            Op::SetMonitor => {
                let meter = opened.power_meter()?;
                let declared = meter.meter_capabilities();
                let port = declared
                    .monitors
                    .iter()
                    .next_back()
                    .copied()
                    .ok_or_else(|| NotPassed::NotApplicable("it has no monitor".to_owned()))?;
                let low = declared.alarms.as_ref().map(|r| {
                    MonitorSetting::Alarms(AlarmLevels {
                        low: Some(DecibelMilliwatts((-30.0_f64).clamp(*r.start(), *r.end()))),
                        high: None,
                    })
                });
                Self::Monitor(
                    port,
                    low.ok_or_else(|| {
                        NotPassed::NotApplicable("it has no alarm to set".to_owned())
                    })?,
                )
            }
            Op::SetAttenuation => {
                let attenuator = opened.attenuator()?;
                let port = attenuator
                    .attenuator_capabilities()
                    .ports
                    .iter()
                    .next_back()
                    .copied();
                Self::Attenuate(
                    port.ok_or_else(|| {
                        NotPassed::NotApplicable("it has no attenuator".to_owned())
                    })?,
                    Attenuation::Maximum,
                )
            }
            Op::SetProtection | Op::ProtectionCommand => {
                return Self::of_protection(opened, operation).await;
            }
            read => Self::Read(read),
        })
    }

    async fn of_protection(
        opened: &OpenedDevice,
        operation: Op,
    ) -> std::result::Result<Self, NotPassed> {
        let protection = opened.protection()?;
        let group = protection
            .groups()
            .await?
            .into_iter()
            .next()
            .ok_or_else(|| NotPassed::NotApplicable("it has no group".to_owned()))?;
        let now = protection.protection(&group).await?.value;
        let declared = protection.protection_capabilities();
        if operation == Op::SetProtection {
            let other = now
                .settings(&declared.settings)
                .into_iter()
                .find_map(|setting| match setting {
                    ProtectionSetting::Revertive(on) => Some(ProtectionSetting::Revertive(!on)),
                    ProtectionSetting::Mode(SelectionMode::Automatic) => {
                        Some(ProtectionSetting::Mode(SelectionMode::Manual))
                    }
                    ProtectionSetting::Mode(SelectionMode::Manual) => {
                        Some(ProtectionSetting::Mode(SelectionMode::Automatic))
                    }
                    _ => None,
                });
            return Ok(Self::Protect(
                group,
                other.ok_or_else(|| {
                    NotPassed::NotApplicable(
                        "it has no setting of which another value is known".to_owned(),
                    )
                })?,
            ));
        }
        if declared.commands.contains(&ExternalCommandKind::Lockout) {
            return Ok(Self::Command(group, ExternalCommand::Lockout));
        }
        // Without lasting commands, an external command needs manual mode.
        if declared.settings.contains(&SettingKind::Mode) && now.mode == SelectionMode::Automatic {
            protection
                .set_protection(&group, &ProtectionSetting::Mode(SelectionMode::Manual))
                .await?;
        }
        let other = now
            .paths
            .iter()
            .find(|p| p.path != now.active.path)
            .map(|p| p.path.clone());
        Ok(Self::Command(
            group,
            ExternalCommand::Force(
                other
                    .ok_or_else(|| NotPassed::NotApplicable("the group has one path".to_owned()))?,
            ),
        ))
    }

    async fn of_encryptor(
        b: &CaseContext,
        opened: &OpenedDevice,
        operation: Op,
    ) -> std::result::Result<Self, NotPassed> {
        let near = opened.encryptor()?;
        let channel = near
            .channels()
            .await?
            .into_iter()
            .next()
            .ok_or_else(|| NotPassed::NotApplicable("it has no channel".to_owned()))?;
        settled(b, &*near, &channel).await?;
        let key = synthetic_key(crate::cases::encryptor::size(&*near));
        Ok(match operation {
            Op::Zeroize => Self::Zeroize(channel),
            Op::SetEncryption => Self::Encrypt(channel),
            Op::Stage => Self::Stage(channel, Box::new(key)),
            Op::Activate => Self::Activate(near.stage(&channel, &key).await?),
            // Confirmed and retired is what was rolled at both ends.
            _ => {
                let far = b.open_peer().await?.encryptor()?;
                let there =
                    far.channels().await?.into_iter().next().ok_or_else(|| {
                        NotPassed::Broken("the far end has no channel".to_owned())
                    })?;
                let staged = [
                    near.stage(&channel, &key).await?,
                    far.stage(&there, &key).await?,
                ];
                near.activate(&staged[0]).await?;
                if near.encryptor_capabilities().activate_both {
                    far.activate(&staged[1]).await?;
                }
                let [staged, _] = staged;
                if operation == Op::Confirm {
                    Self::Confirm(staged)
                } else {
                    Self::Retire(near.confirm(&staged).await?.confirmed()?)
                }
            }
        })
    }

    /// Makes the call.
    ///
    /// # Errors
    /// Its own.
    pub(crate) async fn invoke(&self, b: &CaseContext, opened: &OpenedDevice) -> Result<()> {
        match self {
            Self::Read(op) => reading::read(b, opened, *op).await.unwrap_or(Ok(())),
            Self::Set(name, value) => opened.device().set_parameter(name, value).await,
            Self::Start => opened.module()?.start().await,
            Self::Stop => opened.module()?.stop().await,
            Self::Calibrate => opened.module()?.calibrate().await,
            Self::Take => opened
                .module()?
                .take_keys(&KeyRequest::new(1))
                .await
                .map(drop),
            Self::TakeById(id) => opened
                .module()?
                .take_keys_by_id(std::slice::from_ref(id))
                .await
                .map(drop),
            Self::Stage(channel, key) => opened.encryptor()?.stage(channel, key).await.map(drop),
            Self::Activate(staged) => opened.encryptor()?.activate(staged).await,
            Self::Confirm(staged) => opened.encryptor()?.confirm(staged).await.map(drop),
            Self::Retire(confirmed) => opened.encryptor()?.retire(confirmed).await,
            Self::Zeroize(channel) => opened.encryptor()?.zeroize(channel).await,
            Self::Encrypt(channel) => opened.encryptor()?.set_encryption(channel, true).await,
            Self::Apply(plan) => opened.switch()?.apply(plan).await.map(drop),
            Self::SetPort(port) => opened.switch()?.set_port(*port, false).await,
            Self::Monitor(port, change) => opened.power_meter()?.set_monitor(*port, change).await,
            Self::Attenuate(port, wanted) => {
                opened.attenuator()?.set_attenuation(*port, wanted).await
            }
            Self::Protect(group, setting) => {
                opened.protection()?.set_protection(group, setting).await
            }
            Self::Command(group, command) => opened.protection()?.command(group, command).await,
        }
    }
}
