//! Cases for variable optical attenuators.

use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, not_applicable},
    journal::Snapshot,
    requirement::Impact,
    restore,
};
use qkd_hal::{
    DeviceMisbehaved, ErrorKind, Operation as Op,
    units::{DecibelMilliwatts, Decibels},
};
use qkd_switch_hal::{Attenuation, Attenuator, AttenuatorCapabilities, Port};
use std::sync::Arc;

const SET: &[Precondition] = &[
    Precondition::Op(Op::SetAttenuation),
    Precondition::Op(Op::Attenuation),
    Precondition::Live,
];

pub(super) const CASES: &[Case] = &[
    Case::new(
        "VOA-01/read",
        "reads what attenuators are set to",
        &[Precondition::Op(Op::Attenuation)],
        |b| Box::pin(read(b)),
    ),
    Case::new(
        "VOA-02/none",
        "asks where there is no attenuator",
        &[Precondition::Op(Op::Attenuation)],
        |b| Box::pin(none(b)),
    )
    .negative(),
    Case::new(
        "VOA-03/outside",
        "sets an attenuator to what it does not declare",
        &[Precondition::Op(Op::SetAttenuation)],
        |b| Box::pin(outside(b)),
    )
    .negative(),
    Case::new(
        "VOA-04/set",
        "sets an attenuator in each of its ways, and reads it back",
        SET,
        |b| Box::pin(set(b)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "VOA-05/ignored",
        "sets an attenuator, which the device takes and does not do",
        &[Precondition::Op(Op::SetAttenuation), Precondition::Emulator],
        |b| Box::pin(ignored(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
];

async fn open(b: &CaseContext) -> Result<Arc<dyn Attenuator>, NotPassed> {
    Ok(b.open().await?.attenuator()?)
}

/// An attenuator that may be set: of those whose ports the file names; of an emulator, the last.
fn settable(b: &CaseContext, attenuator: &dyn Attenuator) -> Result<Port, NotPassed> {
    let may = b.allowed_ports()?;
    let port = attenuator
        .attenuator_capabilities()
        .ports
        .iter()
        .copied()
        .rfind(|p| may(*p));
    port.ok_or_else(|| NotPassed::Disabled("no port with an attenuator may be touched".to_owned()))
}

/// One value of each way that it declares; the reference is another port.
fn attenuations(declared: &AttenuatorCapabilities, port: Port) -> Vec<Attenuation> {
    let mut all = Vec::new();
    if declared.ends {
        all.extend([Attenuation::Maximum, Attenuation::Transparent]);
    }
    // Bounds may be those of the wire, and the device's own narrower: so values as they are used.
    let within = |value: f64, range: &std::ops::RangeInclusive<f64>| {
        value.clamp(*range.start(), *range.end())
    };
    all.extend(
        declared
            .loss
            .as_ref()
            .map(|r| Attenuation::Loss(Decibels(within(3.0, r)))),
    );
    all.extend(
        declared
            .output_power
            .as_ref()
            .map(|r| Attenuation::OutputPower(DecibelMilliwatts(within(-10.0, r)))),
    );
    let reference = declared.ports.iter().copied().find(|p| *p != port);
    all.extend(
        declared
            .relative
            .as_ref()
            .zip(reference)
            .map(|(r, reference)| Attenuation::Relative {
                below: Decibels(within(3.0, r)),
                reference,
            }),
    );
    all
}

async fn read(b: &CaseContext) -> CaseOutcome {
    let attenuator = open(b).await?;
    let declared = attenuator.attenuator_capabilities();
    for port in declared.ports.iter().take(3) {
        let now = b
            .call(Op::Attenuation, attenuator.attenuation(*port))
            .await?;
        let right = matches!(now, Attenuation::Other(_)) || declared.check(*port, &now).is_ok();
        ensure(right, || {
            format!("port {port} is set to `{now}`, which it does not declare")
        })?;
    }
    Ok(())
}

async fn none(b: &CaseContext) -> CaseOutcome {
    let attenuator = open(b).await?;
    let ports = &attenuator.attenuator_capabilities().ports;
    let Some(port) = (1..=u32::MAX).map(Port).find(|p| !ports.contains(p)) else {
        return Ok(());
    };
    let sent = b.records().len();
    let mut errors = vec![expect_error(
        format!("the attenuation at port {port}"),
        attenuator.attenuation(port).await,
    )?];
    if b.session.can(Op::SetAttenuation) {
        errors.push(expect_error(
            format!("attenuating port {port}"),
            attenuator
                .set_attenuation(port, &Attenuation::Transparent)
                .await,
        )?);
    }
    for error in errors {
        ensure(error.kind() == ErrorKind::InvalidInput, || {
            format!("port {port}, which has no attenuator: {error}")
        })?;
    }
    b.check_no_traffic_since(sent)
}

async fn outside(b: &CaseContext) -> CaseOutcome {
    let attenuator = open(b).await?;
    let declared = attenuator.attenuator_capabilities();
    let Some(port) = declared.ports.iter().next().copied() else {
        return not_applicable("it has no port");
    };
    let wishes = [
        Attenuation::Loss(Decibels(
            declared.loss.as_ref().map_or(3.0, |r| r.end() + 1.0),
        )),
        Attenuation::OutputPower(DecibelMilliwatts(
            declared
                .output_power
                .as_ref()
                .map_or(0.0, |r| r.end() + 1.0),
        )),
        Attenuation::Relative {
            below: Decibels(1.0),
            reference: port,
        },
        Attenuation::Other("anything".to_owned()),
    ];
    let sent = b.records().len();
    for wish in wishes {
        let error = expect_error(
            format!("`{wish}`, which is not declared"),
            attenuator.set_attenuation(port, &wish).await,
        )?;
        ensure(error.kind() == ErrorKind::InvalidInput, || {
            format!("`{wish}`, which is not declared: {error}")
        })?;
    }
    b.check_no_traffic_since(sent)
}

async fn set(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let attenuator = opened.attenuator()?;
    let port = settable(b, &*attenuator)?;
    let before = b
        .call(Op::Attenuation, attenuator.attenuation(port))
        .await?;
    if matches!(before, Attenuation::Other(_)) {
        return not_applicable(format!(
            "it is set to `{before}`, which could not be restored"
        ));
    }
    restore::with_restore(b, &opened, Snapshot::attenuation(port, &before), async {
        for way in attenuations(attenuator.attenuator_capabilities(), port) {
            b.call(Op::SetAttenuation, attenuator.set_attenuation(port, &way))
                .await?;
            let now = b
                .call(Op::Attenuation, attenuator.attenuation(port))
                .await?;
            ensure(now == way, || {
                format!("`{way}` was set, and it reports `{now}`")
            })?;
        }
        Ok(())
    })
    .await
}

async fn ignored(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let attenuator = opened.attenuator()?;
    let port = settable(b, &*attenuator)?;
    let before = b
        .call(Op::Attenuation, attenuator.attenuation(port))
        .await?;
    let way = attenuations(attenuator.attenuator_capabilities(), port)
        .into_iter()
        .find(|w| *w != before);
    let Some(way) = way else {
        return not_applicable("it has no other way to be set");
    };
    restore::with_restore(b, &opened, Snapshot::attenuation(port, &before), async {
        b.fault("ignore=99")?;
        let result = b
            .call(Op::SetAttenuation, attenuator.set_attenuation(port, &way))
            .await;
        b.fault("clear")?;
        let error = expect_error(format!("`{way}`, which the device does not do"), result)?;
        let right = error.kind() == ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied);
        ensure(right, || {
            format!("`{way}`, which the device does not do: {error}")
        })
    })
    .await
}
