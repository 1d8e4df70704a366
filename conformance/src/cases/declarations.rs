//! Capabilities before calls: what a device declares is what it does, no more and no less.

use super::made_up::{made_up_id, synthetic_key};
use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, applicable, ensure, expect_error, fail},
    reading,
};
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{
    Effect, ErrorKind, Operation as Op, Result, Support,
    encryptor::{
        Activation, ChannelId, Confirmation, EncryptorCapabilities, KeyIdForm, KeySizes, Staged,
        Staging,
    },
    parameter::ParameterValue,
    qkd::{KeyRequest, Role},
};
use qkd_switch_hal::{
    AlarmLevels, Attenuation, CrossConnects, MonitorSetting, Port, SwitchState,
    protection::{ExternalCommand, GroupId, ProtectionSetting},
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "DEV-14/declared",
        "calls every declared operation that reads",
        &[],
        |b| Box::pin(over_claims(b)),
    ),
    Case::new(
        "DEV-15/undeclared",
        "lets undeclared reads pass to the driver, and calls them",
        &[Precondition::Live],
        |b| Box::pin(under_claims(b)),
    )
    .negative(),
    Case::new(
        "DEV-16/refused",
        "calls every undeclared operation",
        &[],
        |b| Box::pin(undeclared(b)),
    )
    .negative(),
    Case::new(
        "DEV-17/profile",
        "looks for each operation of the profile",
        &[],
        |b| Box::pin(profile(b)),
    ),
    Case::new(
        "DEV-18/assumed",
        "opens it without accepted assumptions, and changes something that rests on one",
        &[Precondition::Live],
        |b| Box::pin(assumed(b)),
    )
    .negative(),
    Case::new(
        "DEV-19/parameter",
        "opens it with a parameter that no driver has",
        &[],
        |b| Box::pin(unknown_uri_parameter(b)),
    )
    .negative(),
    Case::new(
        "DEV-20/agree",
        "compares what the kinds declare with what the operations declare",
        &[],
        |b| Box::pin(agree(b)),
    ),
];

async fn over_claims(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let all = reading::read_all(b, &opened).await;
    ensure(!all.is_empty(), || {
        "it declares nothing that can be read".to_owned()
    })?;
    for (op, result) in all {
        match result {
            // A switch that cannot be read knows nothing before its first acknowledgement.
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotReady => {}
            Err(e) => return fail(format!("it declares {op}, and: {e}")),
        }
    }
    Ok(())
}

async fn under_claims(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let capabilities = opened.device().capabilities().clone();
    opened.allow_undeclared_reads();
    for op in Op::ALL
        .iter()
        .copied()
        .filter(|op| !op.is_mutating() && capabilities.supports(*op) == Support::Unsupported)
    {
        match reading::read(b, &opened, op).await {
            Some(Ok(())) => return fail(format!("it does not declare {op}, and does it")),
            Some(Err(e)) if e.kind() != ErrorKind::Unsupported => {
                return fail(format!("it does not declare {op}, and tries it: {e}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Calls a changing operation with arguments of minimal effect; `None` if the device has no such
/// handle.
async fn change(opened: &OpenedDevice, op: Op) -> Option<Result<()>> {
    let staged = || Staged::new(ChannelId::from("none"), made_up_id(), None, "none");
    Some(match op {
        Op::SetParameter => {
            let device = opened.device();
            let spec = device.parameters().iter().find(|p| p.writable);
            device
                .set_parameter(
                    spec.map_or("none", |p| &*p.name),
                    &ParameterValue::Flag(false),
                )
                .await
        }
        Op::Start => opened.module().ok()?.start().await,
        Op::Stop => opened.module().ok()?.stop().await,
        Op::Calibrate => opened.module().ok()?.calibrate().await,
        Op::TakeKeys => opened
            .module()
            .ok()?
            .take_keys(&KeyRequest::new(1))
            .await
            .map(drop),
        Op::TakeKeysById => opened
            .module()
            .ok()?
            .take_keys_by_id(&[made_up_id()])
            .await
            .map(drop),
        Op::Stage => {
            let encryptor = opened.encryptor().ok()?;
            let size = super::encryptor::size(&*encryptor);
            encryptor
                .stage(&ChannelId::from("none"), &synthetic_key(size))
                .await
                .map(drop)
        }
        Op::Activate => opened.encryptor().ok()?.activate(&staged()).await,
        Op::Retire => {
            let claimed = Confirmation::new(&staged(), true, "made up")
                .confirmed()
                .ok()?;
            opened.encryptor().ok()?.retire(&claimed).await
        }
        Op::Zeroize => {
            opened
                .encryptor()
                .ok()?
                .zeroize(&ChannelId::from("none"))
                .await
        }
        Op::SetEncryption => {
            opened
                .encryptor()
                .ok()?
                .set_encryption(&ChannelId::from("none"), true)
                .await
        }
        Op::Apply => {
            // A plan for another device: even if it were applied, it would have no effect.
            let switch = opened.switch().ok()?;
            let another = qkd_hal::Identity::new("another vendor").with_serial("none");
            let dark = CrossConnects::dark();
            let state = SwitchState {
                device: another,
                geometry: switch.switch_capabilities().geometry,
                connections: dark.clone(),
            };
            match state.plan().to(dark).build() {
                Ok(plan) => switch.apply(&plan).await.map(drop),
                Err(_) => return None,
            }
        }
        Op::SetPort => {
            let switch = opened.switch().ok()?;
            let port = switch
                .switch_capabilities()
                .geometry
                .ports()
                .last()
                .unwrap_or(Port(1));
            switch.set_port(port, true).await
        }
        Op::SetMonitor => {
            let none = AlarmLevels {
                low: None,
                high: None,
            };
            opened
                .power_meter()
                .ok()?
                .set_monitor(Port(u32::MAX), &MonitorSetting::Alarms(none))
                .await
        }
        Op::SetAttenuation => {
            opened
                .attenuator()
                .ok()?
                .set_attenuation(Port(u32::MAX), &Attenuation::Transparent)
                .await
        }
        Op::SetProtection => {
            opened
                .protection()
                .ok()?
                .set_protection(&GroupId::from("none"), &ProtectionSetting::Revertive(true))
                .await
        }
        Op::ProtectionCommand => {
            opened
                .protection()
                .ok()?
                .command(&GroupId::from("none"), &ExternalCommand::Clear)
                .await
        }
        _ => return None,
    })
}

async fn undeclared(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let (sent, mut tried) = (b.records().len(), false);
    for op in Op::ALL
        .iter()
        .copied()
        .filter(|op| opened.device().capabilities().supports(*op) == Support::Unsupported)
    {
        let result = if op.is_mutating() {
            change(&opened, op).await
        } else {
            reading::read(b, &opened, op).await
        };
        let Some(result) = result else { continue };
        tried = true;
        let error = expect_error(format!("{op}, which it does not declare"), result)?;
        let right = error.kind() == ErrorKind::Unsupported && error.effect() == Effect::None;
        ensure(right, || {
            format!("{op}, which it does not declare: {error}")
        })?;
        b.check_no_traffic_since(sent)?;
    }
    applicable(tried, "it declares all that it could be asked")
}

async fn profile(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    let missing: Vec<_> = b
        .session
        .profile
        .must()
        .filter(|op| device.capabilities().supports(*op) == Support::Unsupported)
        .map(Op::name)
        .collect();
    ensure(missing.is_empty(), || {
        format!(
            "the profile {} asks for {}, which it does not declare",
            b.session.dut.profile,
            missing.join(", ")
        )
    })
}

async fn assumed(b: &CaseContext) -> CaseOutcome {
    let opened = b.open_without_assumptions().await?;
    let device = opened.device();
    let sent = b.records().len();
    let mut tried = false;
    for op in Op::ALL.iter().copied().filter(|op| {
        op.is_mutating() && device.capabilities().supports(*op) != Support::Unsupported
    }) {
        let Some(assumption) = device.descriptor().blocking_assumption(op) else {
            continue;
        };
        let Some(result) = change(&opened, op).await else {
            continue;
        };
        tried = true;
        let error = expect_error(format!("{op}, which rests on `{}`", assumption.id), result)?;
        let right =
            error.kind() == ErrorKind::AssumptionNotAccepted && error.effect() == Effect::None;
        ensure(right, || {
            format!("{op}, which rests on `{}`: {error}", assumption.id)
        })?;
        ensure(error.message().contains(&*assumption.id), || {
            format!("{op}: the error does not name `{}`: {error}", assumption.id)
        })?;
        b.check_no_traffic_since(sent)?;
    }
    applicable(tried, "no changing operation rests on an assumption")
}

async fn unknown_uri_parameter(b: &CaseContext) -> CaseOutcome {
    let error = expect_error(
        "a URI with the parameter `colour`",
        b.open_with(&[("colour", "red")]).await,
    )?;
    ensure(error.kind() == ErrorKind::InvalidInput, || {
        format!("a URI with an unknown parameter: {error}")
    })?;
    ensure(error.message().contains("colour"), || {
        format!("the error does not name the parameter: {error}")
    })?;
    b.check_no_traffic_since(0)
}

async fn agree(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let device = opened.device();
    let can = |op| device.capabilities().supports(op) != Support::Unsupported;
    if can(Op::GetParameter) != device.parameters().iter().any(|p| p.readable) {
        return fail(
            "it declares to read parameters, and has none that can be read, or the other way round",
        );
    }
    if can(Op::SetParameter) != device.parameters().iter().any(|p| p.writable) {
        return fail(
            "it declares to write parameters, and has none that can be written, or the other way \
             round",
        );
    }
    if let Ok(meter) = opened.power_meter() {
        let monitors = &meter.meter_capabilities().monitors;
        ensure(can(Op::Power) != monitors.is_empty(), || {
            "it declares power, and names no monitor, or the other way round".to_owned()
        })?;
        if let Ok(switch) = opened.switch() {
            let outside = monitors.iter().find(|p| {
                switch
                    .switch_capabilities()
                    .geometry
                    .check_port(**p)
                    .is_err()
            });
            ensure(outside.is_none(), || {
                format!("it names a power monitor at port {outside:?}, which it does not have")
            })?;
        }
    }
    if let Ok(encryptor) = opened.encryptor() {
        let declared = encryptor.encryptor_capabilities();
        check_encryptor(declared, can)?;
    }
    if let Ok(module) = opened.module() {
        let keys = can(Op::TakeKeys) || can(Op::TakeKeysById);
        ensure(
            module.qkd_capabilities().role != Role::KeyDelivery || keys,
            || "it delivers keys by role, and declares neither way to take them".to_owned(),
        )?;
    }
    if let Ok(random) = opened.random() {
        ensure(random.random_capabilities().max_request > 0, || {
            "it gives at most 0 bytes".to_owned()
        })?;
    }
    Ok(())
}

/// Checks that the declarations of an encryptor agree with each other and with its operations.
fn check_encryptor(declared: &EncryptorCapabilities, can: impl Fn(Op) -> bool) -> CaseOutcome {
    let (staging, activation) = (declared.staging, declared.activation);
    let takes_keys = staging != Staging::None;
    ensure(
        takes_keys == (activation != Activation::None)
            && takes_keys == declared.key.is_some()
            && takes_keys == can(Op::Stage),
        || {
            format!(
                "it declares {staging:?} with {activation:?}, {} form of keys, and stage is {}",
                declared.key.as_ref().map_or("no", |_| "a"),
                if can(Op::Stage) {
                    "declared"
                } else {
                    "not declared"
                }
            )
        },
    )?;
    let fits = match activation {
        Activation::SlotPointer => matches!(staging, Staging::Slots { count: 2.., .. }),
        Activation::MakeBeforeBreak => staging == Staging::Named,
        Activation::ForcedReinitialisation => staging == Staging::Overwrite,
        Activation::NextExchange { .. } => {
            matches!(staging, Staging::Overwrite | Staging::Named)
        }
        _ => true,
    };
    ensure(fits, || {
        format!("it declares {staging:?} with {activation:?}, which do not fit")
    })?;
    ensure(activation.is_commanded() == can(Op::Activate), || {
        format!(
            "its activation is {activation:?}, and activate is declared, or the other way round"
        )
    })?;
    ensure(staging.keeps_previous() == can(Op::Retire), || {
        "it declares to retire keys, and does not keep the key before, or the other way round"
            .to_owned()
    })?;
    let may_be_hitless = activation != Activation::ForcedReinitialisation
        && !matches!(
            staging,
            Staging::Slots {
                receive_ready: false,
                ..
            }
        );
    ensure(!declared.hitless.is_hitless() || may_be_hitless, || {
        format!("it is called hitless, with {staging:?} and {activation:?}")
    })?;
    ensure(!declared.hitless.evidence().trim().is_empty(), || {
        "it does not say how it is known whether a roll is hitless".to_owned()
    })?;
    let Some(form) = &declared.key else {
        return Ok(());
    };
    let has_sizes = match &form.sizes {
        KeySizes::AnyUpTo(most) => most.0 >= 8,
        KeySizes::Within { least, most } => least <= most,
        KeySizes::OneOf(sizes) => !sizes.is_empty(),
        _ => true,
    };
    let has_ids = match form.id {
        KeyIdForm::Bytes { least, most } => (1..=most).contains(&least),
        KeyIdForm::Text { most } => most > 0,
        _ => true,
    };
    ensure(has_sizes && has_ids, || {
        format!(
            "no key fits the declared form: {}, id of {}",
            form.sizes, form.id
        )
    })
}
