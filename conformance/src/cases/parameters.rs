//! Parameters: the vendor's settings that can be reached by name.

use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, applicable, ensure, expect_error},
    journal::Snapshot,
    requirement::Impact,
    restore,
    result::TargetKind,
};
use qkd_hal::{
    ErrorKind, Operation as Op,
    parameter::{ParameterSpec, ParameterType, ParameterValue},
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "DEV-21/values",
        "reads every parameter",
        &[Precondition::Op(Op::GetParameter)],
        |b| Box::pin(values(b)),
    ),
    Case::new(
        "DEV-22/unknown",
        "reads and writes a parameter that is not there",
        &[],
        |b| Box::pin(unknown(b)),
    )
    .negative(),
    Case::new(
        "DEV-23/out-of-range",
        "writes values that the specification excludes",
        &[Precondition::Op(Op::SetParameter)],
        |b| Box::pin(out_of_range(b)),
    )
    .negative(),
    Case::new(
        "DEV-24/written",
        "writes each parameter that can be read back, and restores it",
        &[Precondition::Op(Op::SetParameter), Precondition::Live],
        |b| Box::pin(written(b)),
    )
    .impact(Impact::Reversible),
    Case::new(
        "DEV-25/one-way",
        "writes what can only be read, and reads what can only be written",
        &[],
        |b| Box::pin(one_direction_only(b)),
    )
    .negative(),
];

async fn values(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    for spec in device.parameters().iter().filter(|p| p.readable) {
        let value = b
            .call(Op::GetParameter, device.parameter(&spec.name))
            .await?;
        if let Err(error) = spec.check(&value) {
            return Err(NotPassed::Fails(format!(
                "`{}` reads `{value}`: {}",
                spec.name,
                error.message()
            )));
        }
    }
    Ok(())
}

const NOT_THERE: &str = "no-such-parameter";

async fn unknown(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    let can = |op| b.session.can(op);
    let sent = b.records().len();
    let named = device.parameters().iter().any(|p| p.name == NOT_THERE);
    ensure(!named, || format!("it lists a parameter `{NOT_THERE}`"))?;
    let read = expect_error(
        "reading a parameter that is not there",
        device.parameter(NOT_THERE).await,
    )?;
    let written = expect_error(
        "writing a parameter that is not there",
        device
            .set_parameter(NOT_THERE, &ParameterValue::Flag(true))
            .await,
    )?;
    for (op, error) in [(Op::GetParameter, read), (Op::SetParameter, written)] {
        let right = if can(op) {
            ErrorKind::NotFound
        } else {
            ErrorKind::Unsupported
        };
        ensure(error.kind() == right, || {
            format!(
                "{op} of a parameter that is not there: {} instead of {right}",
                error.kind()
            )
        })?;
    }
    b.check_no_traffic_since(sent)
}

/// A value that the specification excludes.
fn wrong(spec: &ParameterSpec) -> ParameterValue {
    match spec.values {
        ParameterType::Choice(_) => ParameterValue::Text("no-such-choice".to_owned()),
        ParameterType::Integer { max, .. } if max < i64::MAX => ParameterValue::Integer(max + 1),
        ParameterType::Integer { .. } => ParameterValue::Text("no number".to_owned()),
        ParameterType::Real { .. } => ParameterValue::Real(f64::NAN),
        ParameterType::Text { max } => ParameterValue::Text("x".repeat(max + 1)),
        _ => ParameterValue::Text("no flag".to_owned()),
    }
}

async fn out_of_range(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    let sent = b.records().len();
    for spec in device.parameters().iter().filter(|p| p.writable) {
        let value = wrong(spec);
        let error = expect_error(
            format!("{}={value}", spec.name),
            device.set_parameter(&spec.name, &value).await,
        )?;
        ensure(error.kind() == ErrorKind::InvalidInput, || {
            format!("{}={value}: {error}", spec.name)
        })?;
        ensure(error.message().contains(&*spec.name), || {
            format!("the error does not name the parameter: {error}")
        })?;
    }
    b.check_no_traffic_since(sent)
}

/// Another value that the specification allows.
pub(crate) fn different_value(
    spec: &ParameterSpec,
    present: &ParameterValue,
) -> Option<ParameterValue> {
    let candidates = match &spec.values {
        ParameterType::Choice(words) => words
            .iter()
            .map(|w| ParameterValue::Text(w.to_owned()))
            .collect(),
        &ParameterType::Integer { min, max } => {
            vec![ParameterValue::Integer(min), ParameterValue::Integer(max)]
        }
        &ParameterType::Real { min, max } => {
            vec![ParameterValue::Real(min), ParameterValue::Real(max)]
        }
        ParameterType::Flag => vec![ParameterValue::Flag(true), ParameterValue::Flag(false)],
        // The meaning of a text is unknown: it may be an address of the device.
        _ => Vec::new(),
    };
    candidates.into_iter().find(|c| c != present)
}

async fn written(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let device = opened.device();
    let mut tried = false;
    let may = |name: &str| {
        b.session.dut.target_kind() != TargetKind::Device
            || b.session.dut.parameters.iter().any(|p| p == name)
    };
    let candidates: Vec<_> = device
        .parameters()
        .iter()
        .filter(|p| p.writable && p.readable && !p.disruptive)
        .collect();
    if !candidates.is_empty() && !candidates.iter().any(|p| may(&p.name)) {
        let names: Vec<_> = candidates
            .iter()
            .map(|p| format!("\"{}\"", p.name))
            .collect();
        return Err(NotPassed::Disabled(format!(
            "name those that may be written, with parameters = [{}]",
            names.join(", ")
        )));
    }
    for spec in candidates.into_iter().filter(|p| may(&p.name)) {
        let present = b
            .call(Op::GetParameter, device.parameter(&spec.name))
            .await?;
        let Some(wanted) = different_value(spec, &present) else {
            continue;
        };
        tried = true;
        restore::with_restore(
            b,
            &opened,
            Snapshot::Parameter(spec.name.to_string(), present.to_string()),
            async {
                b.call(Op::SetParameter, device.set_parameter(&spec.name, &wanted))
                    .await?;
                let now = b
                    .call(Op::GetParameter, device.parameter(&spec.name))
                    .await?;
                ensure(now == wanted, || {
                    format!("`{}` was set to `{wanted}`, and reads `{now}`", spec.name)
                })
            },
        )
        .await?;
        let back = b
            .call(Op::GetParameter, device.parameter(&spec.name))
            .await?;
        ensure(back == present, || {
            format!(
                "`{}` was restored to `{present}`, and reads `{back}`",
                spec.name
            )
        })?;
    }
    applicable(
        tried,
        "it has no parameter that can be written without disturbance and read back",
    )
}

async fn one_direction_only(b: &CaseContext) -> CaseOutcome {
    let device = b.open().await?.device();
    let sent = b.records().len();
    let mut tried = false;
    for spec in device.parameters() {
        if !spec.writable {
            tried = true;
            let error = expect_error(
                format!("writing `{}`, which can only be read", spec.name),
                device.set_parameter(&spec.name, &wrong(spec)).await,
            )?;
            ensure(error.kind() == ErrorKind::Unsupported, || {
                format!("writing `{}`: {error}", spec.name)
            })?;
        }
        if !spec.readable {
            tried = true;
            let error = expect_error(
                format!("reading `{}`, which can only be written", spec.name),
                device.parameter(&spec.name).await,
            )?;
            ensure(error.kind() == ErrorKind::Unsupported, || {
                format!("reading `{}`: {error}", spec.name)
            })?;
        }
    }
    b.check_no_traffic_since(sent)?;
    applicable(tried, "all its parameters can be read and written")
}
