//! `qkdctl switch port`, `attenuate` and `monitor`.

use crate::{
    commands::change::{SingleChange, State, Target},
    optics_argument::{AttenuationArgument, MonitorArgument},
    output::{self, Output},
};
use qkd_hal::{Operation, Result};
use qkd_switch_hal::{Attenuation, MonitorSetting, MonitorStatus, Port, PortState, PortStatus};
use serde::Serialize;

/// Enables or disables a port.
pub(super) async fn port(target: Target<'_>, port: Port, enable: bool) -> Result<u8> {
    let switch = target.device.opened.switch()?;
    let read = async || -> Result<State<Option<PortStatus>>> {
        let status = switch.ports(&[port]).await?.pop();
        let text = status.as_ref().map_or_else(
            || format!("port {port}: not reported"),
            |s| format!("port {port}: {}", s.state),
        );
        Ok(State {
            value: status,
            text,
        })
    };
    let before = read().await?;
    let (word, wanted_state) = if enable {
        ("enable", PortState::Enabled)
    } else {
        ("disable", PortState::Disabled)
    };
    let warning = if enable {
        ""
    } else {
        "This cuts the path of the port, and the traffic on it."
    };
    let wanted = format!("{word} port {port}");
    let is_already = before.value.as_ref().map(|s| s.state) == Some(wanted_state);
    SingleChange::new("switch/port", Operation::SetPort, wanted)
        .with_concerns(format!("port {port}"))
        .with_warning(warning)
        .with_already(is_already)
        .make(&target, before, switch.set_port(port, enable), read)
        .await
}

#[derive(Serialize)]
struct PortAttenuation {
    port: Port,
    attenuation: Attenuation,
}

/// Sets the attenuator of a port; without a setting, shows it.
pub(super) async fn attenuate(
    target: Target<'_>,
    port: Port,
    setting: Option<AttenuationArgument>,
) -> Result<u8> {
    let attenuator = target.device.opened.attenuator()?;
    attenuator.attenuator_capabilities().check_port(port)?;
    let read = async || -> Result<State<PortAttenuation>> {
        let attenuation = attenuator.attenuation(port).await?;
        Ok(State {
            text: format!("port {port}: attenuation {attenuation}"),
            value: PortAttenuation { port, attenuation },
        })
    };
    let before = read().await?;
    let Some(AttenuationArgument(wanted)) = setting else {
        return show(target.output, "switch/attenuate", before);
    };
    attenuator.attenuator_capabilities().check(port, &wanted)?;
    let is_already = before.value.attenuation == wanted;
    let call = attenuator.set_attenuation(port, &wanted);
    let wanted = format!("set the attenuator of port {port} to {wanted}");
    SingleChange::new("switch/attenuate", Operation::SetAttenuation, wanted)
        .with_concerns(format!("port {port}"))
        .with_warning("This changes the light at the port, and may disturb traffic on it.")
        .with_already(is_already)
        .make(&target, before, call, read)
        .await
}

/// Whether the monitor already has this setting.
fn is_already(setting: &MonitorSetting, now: &MonitorStatus) -> bool {
    match *setting {
        MonitorSetting::Wavelength(wavelength) => now.wavelength == Some(wavelength),
        MonitorSetting::Averaging(time) => now.averaging == Some(time),
        MonitorSetting::Alarms(levels) => now.alarms == levels,
        _ => false,
    }
}

/// Sets the power monitor of a port; without a setting, shows it.
pub(super) async fn monitor(
    target: Target<'_>,
    port: Port,
    setting: Option<MonitorArgument>,
) -> Result<u8> {
    let meter = target.device.opened.power_meter()?;
    meter.meter_capabilities().check_port(port)?;
    let read = async || -> Result<State<MonitorStatus>> {
        let status = meter.monitor(port).await?;
        Ok(State {
            text: describe(&status),
            value: status,
        })
    };
    let before = read().await?;
    let Some(MonitorArgument(setting)) = setting else {
        return show(target.output, "switch/monitor", before);
    };
    meter.meter_capabilities().check(&setting)?;
    let warning = match setting {
        MonitorSetting::Alarms(_) => {
            "An alarm may trigger a protection group: traffic may switch over."
        }
        _ => "",
    };
    let wanted = format!("set the monitor of port {port}: {setting}");
    let is_already = is_already(&setting, &before.value);
    SingleChange::new("switch/monitor", Operation::SetMonitor, wanted)
        .with_concerns(format!("port {port}"))
        .with_warning(warning)
        .with_already(is_already)
        .make(&target, before, meter.set_monitor(port, &setting), read)
        .await
}

fn describe(status: &MonitorStatus) -> String {
    let settings = [
        status.wavelength.map(MonitorSetting::Wavelength),
        status.averaging.map(MonitorSetting::Averaging),
        Some(MonitorSetting::Alarms(status.alarms)),
    ];
    let mut parts: Vec<_> = settings.iter().flatten().map(ToString::to_string).collect();
    if status.alarmed == Some(true) {
        parts.push("ALARM ACTIVE".to_owned());
    }
    format!("port {}: {}", status.port, parts.join(", "))
}

fn show<T: Serialize>(output: Output, command: &str, state: State<T>) -> Result<u8> {
    output::print(output, command, &state.value, || state.text)?;
    Ok(0)
}
