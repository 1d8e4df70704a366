//! `qkdctl info`, `get` and `set`.

use super::{
    DRY_RUN,
    change::{ChangeResult, check_ready, show_after_signal},
};
use crate::{
    colour::{TextStyle, paint},
    interrupt::Work,
    journal::Entry,
    output::{self, Output},
    session::Session,
};
use qkd_driver_kit::program::lock::LockMode;
use qkd_hal::{
    Error, ErrorKind, Operation, Result, Support,
    parameter::{self, ParameterSpec, ParameterValue},
    reading::Reading,
};
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) async fn info(session: &Session, output: Output, device: &str) -> Result<u8> {
    let device = session.open(device, LockMode::Shared).await?;
    let handle = device.opened.device();
    let (descriptor, capabilities) = (handle.descriptor(), handle.capabilities());
    let identity = handle.identity().await?;
    let health = handle.health().await?;
    let mut kinds: Vec<(&str, Value)> = Vec::new();
    if let Ok(switch) = device.opened.switch() {
        kinds.push(("switch", json!(switch.switch_capabilities())));
    }
    if let Ok(module) = device.opened.module() {
        kinds.push(("module", json!(module.qkd_capabilities())));
    }
    if let Ok(encryptor) = device.opened.encryptor() {
        kinds.push(("encryptor", json!(encryptor.encryptor_capabilities())));
    }
    if let Ok(random) = device.opened.random() {
        kinds.push(("random", json!(random.random_capabilities())));
    }
    if let Ok(protection) = device.opened.protection() {
        kinds.push(("protection", json!(protection.protection_capabilities())));
    }
    if let Ok(meter) = device.opened.power_meter() {
        kinds.push(("meter", json!(meter.meter_capabilities())));
    }
    if let Ok(attenuator) = device.opened.attenuator() {
        kinds.push(("attenuator", json!(attenuator.attenuator_capabilities())));
    }
    let mut value = json!({"identity": identity, "health": health, "descriptor": descriptor,
        "capabilities": capabilities, "parameters": handle.parameters()});
    if let Value::Object(map) = &mut value {
        map.extend(
            kinds
                .iter()
                .map(|(name, v)| ((*name).to_owned(), v.clone())),
        );
    }
    output::print(output, "info", &value, || {
        let operations: Vec<_> = capabilities
            .operations()
            .map(|(op, support)| {
                if support == Support::Emulated {
                    format!("{op} (emulated)")
                } else {
                    op.to_string()
                }
            })
            .collect();
        let mut text = output::pairs(&[
            ("device", descriptor.uri.clone()),
            ("identity", identity.to_string()),
            (
                "health",
                format!(
                    "{}{}",
                    paint(
                        TextStyle::of_health(health.state),
                        &output::serde_name(health.state)
                    ),
                    if health.faults.is_empty() {
                        String::new()
                    } else {
                        format!(": {}", health.faults.join("; "))
                    }
                ),
            ),
            (
                "kinds",
                descriptor
                    .kinds
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            (
                "driver",
                format!("{}, {}", descriptor.driver, descriptor.maturity),
            ),
            (
                "deadline",
                humantime::format_duration(descriptor.deadline).to_string(),
            ),
            ("operations", operations.join(", ")),
        ]);
        for (name, value) in &kinds {
            text.push_str(&format!("\n{name}\n"));
            for (key, value) in value.as_object().into_iter().flatten() {
                text.push_str(&format!("  {key}: {}\n", compact(value)));
            }
        }
        if !descriptor.assumptions.is_empty() {
            text.push_str("\nassumptions\n");
            for a in descriptor.assumptions.iter() {
                let accepted = if descriptor.accepted.contains(&*a.id) {
                    "accepted"
                } else {
                    "not accepted"
                };
                text.push_str(&format!("  {} ({accepted}): {}\n", a.id, a.statement));
            }
        }
        text
    })?;
    handle.close().await?;
    Ok(0)
}

fn compact(value: &Value) -> String {
    match value {
        Value::String(text) => output::clean(text).into_owned(),
        Value::Array(all) if all.len() > 16 => format!(
            "{} of them, {} to {}",
            all.len(),
            compact(&all[0]),
            compact(&all[all.len() - 1])
        ),
        Value::Array(all) => all.iter().map(compact).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| format!("{k} {}", compact(v)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

#[derive(Serialize)]
struct Setting<'a> {
    #[serde(flatten)]
    spec: &'a ParameterSpec,
    /// `None` if it can only be written.
    value: Option<ParameterValue>,
}

pub(crate) async fn get(
    session: &Session,
    output: Output,
    device: &str,
    name: Option<&str>,
) -> Result<u8> {
    let device = session.open(device, LockMode::Shared).await?;
    let handle = device.opened.device();
    if let Some(name) = name {
        let spec = parameter::find(handle.parameters(), name)?.clone();
        let value = handle.parameter(name).await?;
        let text = format!("{} {}", output::clean(&value.to_string()), spec.unit);
        let settings = [Setting {
            spec: &spec,
            value: Some(value),
        }];
        let report = json!({"parameters": settings, "telemetry": []});
        output::print(output, "get", &report, || text)?;
    } else {
        let mut settings = Vec::new();
        for spec in handle.parameters() {
            let value = if spec.readable {
                Some(handle.parameter(&spec.name).await?)
            } else {
                None
            };
            settings.push(Setting { spec, value });
        }
        let telemetry: Vec<Reading> =
            if handle.capabilities().supports(Operation::Telemetry) == Support::Unsupported {
                Vec::new()
            } else {
                handle.telemetry().await?
            };
        output::print(
            output,
            "get",
            &json!({"parameters": settings, "telemetry": telemetry}),
            || {
                let mut text = String::from("Parameters\n");
                if settings.is_empty() {
                    text.push_str("  none\n");
                }
                for s in &settings {
                    let value = s
                        .value
                        .as_ref()
                        .map_or_else(|| "(write only)".to_owned(), ToString::to_string);
                    text.push_str(&format!(
                        "  {} = {} {}  ({}; {}{})\n",
                        s.spec.name,
                        output::clean(&value),
                        s.spec.unit,
                        s.spec.title,
                        s.spec.values,
                        if s.spec.writable { "; writable" } else { "" }
                    ));
                }
                text.push_str("\nTelemetry\n");
                if telemetry.is_empty() {
                    text.push_str("  none\n");
                }
                for r in &telemetry {
                    text.push_str(&format!(
                        "  {} = {} {}{}\n",
                        output::clean(&r.name),
                        output::clean(&r.value.to_string()),
                        r.unit,
                        output::mark(r.quality)
                    ));
                }
                text
            },
        )?;
    }
    handle.close().await?;
    Ok(0)
}

pub(crate) async fn set(
    session: &Session,
    output: Output,
    device: &str,
    assignment: &str,
    yes: bool,
) -> Result<u8> {
    let (name, text) = assignment.split_once('=').ok_or_else(|| {
        Error::invalid(format!(
            "invalid assignment `{assignment}`: expected name=value"
        ))
    })?;
    let device = session.open_for(device, yes).await?;
    let handle = device.opened.device();
    let spec = parameter::find(handle.parameters(), name)?.clone();
    if !spec.writable {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("`{name}` can only be read"),
        ));
    }
    let value = spec.parse(text)?;
    let before = if spec.readable {
        Some(handle.parameter(name).await?)
    } else {
        None
    };
    check_ready(
        handle.descriptor(),
        handle.capabilities(),
        Operation::SetParameter,
    )?;
    let result = match (before.as_ref() == Some(&value), yes) {
        (true, _) => ChangeResult::Already,
        (false, true) => ChangeResult::Applied,
        (false, false) => ChangeResult::DryRun,
    };
    let (mut guard, mut now) = (None, None);
    if result == ChangeResult::Applied {
        let begun = session.interrupt.begin(Work::Change)?;
        let set = Entry::new(&device.uri, "set-parameter", format!("{name}={value}"))
            .run(handle.set_parameter(name, &value))
            .await;
        if let Err(error) = set {
            show_after_signal(output, &begun, async || {
                Ok(format!("now: {name} = {}", handle.parameter(name).await?))
            })
            .await;
            return Err(error);
        }
        if begun.signal().is_some() && spec.readable {
            let read = handle.parameter(name).await;
            now = Some(read.map_err(|e| e.with_progress("the parameter was set"))?);
        }
        guard = Some(begun);
    }
    let was = before
        .as_ref()
        .map_or_else(|| "not readable".to_owned(), ToString::to_string);
    output::print(
        output,
        "set",
        &json!({
            "result": result, "device": device.uri, "name": name, "unit": spec.unit,
            "before": before, "wanted": value, "disruptive": spec.disruptive, "now": now,
        }),
        || {
            let warning = if spec.disruptive {
                "\nThis may disturb traffic or key generation."
            } else {
                ""
            };
            match result {
                ChangeResult::Applied => {
                    let now = now
                        .as_ref()
                        .map_or_else(String::new, |now| format!("\nnow: {name} = {now}"));
                    format!("{name}: {was} -> {value}{now}")
                }
                ChangeResult::Already => format!("nothing to do: {name} is {value}"),
                _ => format!("{name}: {was} would become {value}{warning}\n{DRY_RUN}"),
            }
        },
    )?;
    handle.close().await?;
    Ok(guard.map_or(0, |g| g.exit_code(0)))
}
