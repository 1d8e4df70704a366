//! Any operation of any device as one call, with what it needs made ready before.

use crate::{
    case_context::CaseContext,
    case_outcome::NotPassed,
    cases::{another_value, change, settled, synthetic_key},
    reading, restore,
};
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{
    Key, Operation as Op, Request, Result, parameter::ParameterValue, qkd::KeyRequest,
    units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    AlarmLevels, Attenuation, CrossConnect, CrossConnects, Geometry, MonitorSetting, Plan, Port,
    Readback,
    protection::{
        ExternalCommand, ExternalCommandKind, ProtectionSetting, SelectionMode, SettingKind,
    },
};
use std::borrow::Cow;

/// A call, made ready: the request, and the key that it hands to the device.
pub(crate) struct PreparedCall {
    request: Request<'static>,
    key: Option<Box<Key>>,
}

impl From<Request<'static>> for PreparedCall {
    fn from(request: Request<'static>) -> Self {
        Self { request, key: None }
    }
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
                    device.parameter(&spec.name).await?
                } else {
                    ParameterValue::Text(String::new())
                };
                let value = another_value(spec, &present).ok_or_else(|| {
                    NotPassed::NotApplicable("no other value is known".to_owned())
                })?;
                let (name, value) = (Cow::Owned(spec.name.to_string()), Cow::Owned(value));
                Request::SetParameter { name, value }.into()
            }
            Op::Start => Request::Start.into(),
            Op::Stop => Request::Stop.into(),
            Op::Calibrate => Request::Calibrate.into(),
            Op::TakeKeys => Request::TakeKeys {
                request: Cow::Owned(KeyRequest::new(1)),
            }
            .into(),
            Op::TakeKeysById => {
                let far = b.open_peer().await?.module()?;
                let keys = far.take_keys(&KeyRequest::new(1)).await?;
                let ids = Cow::Owned(vec![keys[0].id().clone()]);
                Request::TakeKeysById { ids }.into()
            }
            Op::Apply => {
                let switch = opened.switch()?;
                let plan = if switch.switch_capabilities().readback == Readback::LastAcknowledged {
                    let wanted: CrossConnects =
                        std::iter::once(CrossConnect::new(0, 2)).collect::<Result<_>>()?;
                    Plan::unverified(
                        &restore::identity(&*switch).await?,
                        &switch.switch_capabilities().geometry,
                        &wanted,
                    )?
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
                    restore::plan(&*switch, &present, &wanted).await?
                };
                Request::Apply {
                    plan: Cow::Owned(plan),
                }
                .into()
            }
            Op::SetPort => {
                let geometry = opened.switch()?.switch_capabilities().geometry;
                let port = geometry.ports().last().unwrap_or(Port(1));
                let enabled = false;
                Request::SetPort { port, enabled }.into()
            }
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
                let change = low
                    .ok_or_else(|| NotPassed::NotApplicable("it has no alarm to set".to_owned()))?;
                Request::SetMonitor { port, change }.into()
            }
            Op::SetAttenuation => {
                let attenuator = opened.attenuator()?;
                let port = attenuator
                    .attenuator_capabilities()
                    .ports
                    .iter()
                    .next_back()
                    .copied();
                let port = port
                    .ok_or_else(|| NotPassed::NotApplicable("it has no attenuator".to_owned()))?;
                let wanted = Cow::Owned(Attenuation::Maximum);
                Request::SetAttenuation { port, wanted }.into()
            }
            Op::SetProtection | Op::ProtectionCommand => {
                return Self::of_protection(opened, operation).await;
            }
            read => reading::request(opened, read)
                .await
                .ok_or_else(|| NotPassed::NotApplicable("it has nothing to read so".to_owned()))?
                .into(),
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
            let setting = other.ok_or_else(|| {
                NotPassed::NotApplicable(
                    "it has no setting of which another value is known".to_owned(),
                )
            })?;
            let (group, setting) = (Cow::Owned(group), Cow::Owned(setting));
            return Ok(Request::SetProtection { group, setting }.into());
        }
        if declared.commands.contains(&ExternalCommandKind::Lockout) {
            let (group, command) = (Cow::Owned(group), Cow::Owned(ExternalCommand::Lockout));
            return Ok(Request::ProtectionCommand { group, command }.into());
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
        let other =
            other.ok_or_else(|| NotPassed::NotApplicable("the group has one path".to_owned()))?;
        let (group, command) = (Cow::Owned(group), Cow::Owned(ExternalCommand::Force(other)));
        Ok(Request::ProtectionCommand { group, command }.into())
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
            Op::Zeroize => Request::Zeroize {
                channel: Cow::Owned(channel),
            }
            .into(),
            Op::SetEncryption => Request::SetEncryption {
                channel: Cow::Owned(channel),
                on: true,
            }
            .into(),
            Op::Stage => Self {
                request: Request::Stage {
                    channel: Cow::Owned(channel),
                    key: (&key).into(),
                }
                .into_owned(),
                key: Some(Box::new(key)),
            },
            Op::Activate => Request::Activate {
                staged: Cow::Owned(near.stage(&channel, &key).await?),
            }
            .into(),
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
                let declared = near.encryptor_capabilities();
                if declared.activation.is_commanded() {
                    near.activate(&staged[0]).await?;
                    if declared.activate_both {
                        far.activate(&staged[1]).await?;
                    }
                }
                let ([staged, _], longest) = (staged, declared.confirm_timeout);
                if operation == Op::Confirm {
                    let staged = Cow::Owned(staged);
                    Request::Confirm { staged, longest }.into()
                } else {
                    let confirmed = Cow::Owned(near.confirm(&staged, longest).await?.confirmed()?);
                    Request::Retire { confirmed }.into()
                }
            }
        })
    }

    /// Makes the call.
    ///
    /// # Errors
    /// Its own.
    pub(crate) async fn invoke(&self, b: &CaseContext, opened: &OpenedDevice) -> Result<()> {
        match &self.key {
            Some(key) => reading::call(b, opened, &self.request.with_key(key)?).await,
            None => reading::call(b, opened, &self.request).await,
        }
    }
}
