//! Watched values of a device, in the order in which they are shown.

use crate::output;
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{
    Encryptor, ErrorKind, QkdModule, Result,
    device::HealthState,
    reading::{Measured, Quality},
    units::Ratio,
};
use qkd_switch_hal::{OpticalSwitch, PortState, Protection};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

/// One watched value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) name: String,
    /// Value in JSON output.
    pub(super) value: Value,
    /// Value as text for people.
    pub(super) shown: String,
}

/// All readings of one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Readings {
    pub(super) health: Option<HealthState>,
    pub(super) items: Vec<Item>,
}

impl Readings {
    fn put(&mut self, name: impl Into<String>, value: impl Serialize, shown: impl fmt::Display) {
        self.items.push(Item {
            name: name.into(),
            value: json!(value),
            shown: shown.to_string(),
        });
    }
    fn count(&mut self, name: impl Into<String>, value: Option<u64>) {
        if let Some(value) = value {
            self.put(name, value, value);
        }
    }
    fn measured<T: Serialize + fmt::Display>(&mut self, name: &str, value: Option<Measured<T>>) {
        if let Some(m) = value {
            self.put(
                name,
                json!({"value": m.value, "quality": m.quality}),
                format_args!("{}{}", m.value, output::mark(m.quality)),
            );
        }
    }
    fn ratio(&mut self, name: &str, value: Option<Measured<Ratio>>) {
        if let Some(m) = value {
            self.put(
                name,
                json!({"value": m.value, "quality": m.quality}),
                format_args!("{:.2} %{}", m.value.0 * 100.0, output::mark(m.quality)),
            );
        }
    }
}

/// Returns `None` for a value that the device does not have or cannot report yet.
fn had<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::Unsupported | ErrorKind::NotReady | ErrorKind::AssumptionNotAccepted
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Reads everything that is watched.
pub(super) async fn read(opened: &OpenedDevice) -> Result<Readings> {
    let device = opened.device();
    let health = had(device.health().await)?;
    let mut all = Readings {
        health: health.as_ref().map(|h| h.state),
        items: Vec::new(),
    };
    if let Some(health) = health {
        all.put("health", health.state, output::serde_name(health.state));
        if !health.faults.is_empty() {
            all.put("faults", &health.faults, health.faults.join("; "));
        }
    }
    let kinds = (
        opened.module(),
        opened.encryptor(),
        opened.switch(),
        opened.protection(),
    );
    let is_plain = kinds.0.is_err() && kinds.1.is_err() && kinds.2.is_err() && kinds.3.is_err();
    if let Ok(module) = kinds.0 {
        of_module(&*module, &mut all).await?;
    }
    if let Ok(encryptor) = kinds.1 {
        of_encryptor(&*encryptor, &mut all).await?;
    }
    if let Ok(switch) = kinds.2 {
        of_switch(&*switch, &mut all).await?;
    }
    if let Ok(protection) = kinds.3 {
        of_protection(&*protection, &mut all).await?;
    }
    if is_plain {
        for r in had(device.telemetry().await)?.unwrap_or_default() {
            let unit = if r.unit.is_empty() {
                String::new()
            } else {
                format!(" {}", r.unit)
            };
            all.put(
                r.name,
                &r.value,
                format_args!("{}{unit}{}", r.value, output::mark(r.quality)),
            );
        }
    }
    Ok(all)
}

async fn of_module(module: &dyn QkdModule, all: &mut Readings) -> Result<()> {
    if let Some(status) = had(module.status().await)? {
        all.put("state", status.state, output::serde_name(status.state));
    }
    if let Some(store) = had(module.key_store().await)?
        && let Some(stored) = store.stored
    {
        all.put(
            "keys stored",
            stored,
            store
                .capacity
                .map_or_else(|| stored.to_string(), |most| format!("{stored} of {most}")),
        );
    }
    if let Some(p) = had(module.performance().await)? {
        all.measured("secret key rate", p.secret_key_rate);
        all.ratio("QBER", p.qber);
        all.measured("excess noise", p.excess_noise);
        all.ratio("visibility", p.visibility);
        all.measured("last block", p.last_block);
    }
    Ok(())
}

async fn of_encryptor(encryptor: &dyn Encryptor, all: &mut Readings) -> Result<()> {
    for id in encryptor.channels().await? {
        let channel = encryptor.channel(&id).await?;
        all.put(
            format!("{id} state"),
            channel.state,
            output::serde_name(channel.state),
        );
        if let Some(slot) = channel.slots.iter().find(|s| s.active) {
            let key = slot
                .key_id
                .as_ref()
                .map_or_else(|| "empty".to_owned(), ToString::to_string);
            all.put(
                format!("{id} slot {}", slot.number),
                &slot.key_id,
                format_args!("active, key {key}"),
            );
        }
        if let Some(c) = had(encryptor.counters(&id).await)? {
            for (name, value) in c.as_pairs() {
                all.count(format!("{id} {name}"), value);
            }
        }
    }
    Ok(())
}

/// Its paths, the power at both ends of each, and the ports that are not usable.
async fn of_switch(switch: &dyn OpticalSwitch, all: &mut Readings) -> Result<()> {
    let Some(now) = had(switch.connections().await)? else {
        all.put("paths", Value::Null, "unknown");
        return Ok(());
    };
    let stale = if now.quality == Quality::Good {
        ""
    } else {
        output::mark(now.quality)
    };
    all.put("paths", &now.value, format_args!("{}{stale}", now.value));
    let mut powers = Vec::new();
    for port in had(switch.ports(&[]).await)?.unwrap_or_default() {
        if !matches!(port.state, PortState::Enabled | PortState::Unknown) {
            all.put(
                format!("port {}", port.port),
                port.state,
                port.state.to_string(),
            );
        }
        if let (Some(_), Some(power)) = (port.peer, port.power) {
            let shown = format!("{:.1} dBm{}", power.value.0, output::mark(power.quality));
            powers.push((port.port, power, shown));
        }
    }
    for (port, power, shown) in powers {
        all.put(
            format!("power {port}"),
            json!({"value": power.value, "quality": power.quality}),
            shown,
        );
    }
    Ok(())
}

/// Of each group: where the signal is and why, and whether it is protected.
async fn of_protection(protection: &dyn Protection, all: &mut Readings) -> Result<()> {
    for group in protection.groups().await? {
        let now = protection.protection(&group).await?.value;
        let protected = now.is_protected();
        let state = if protected {
            "protected"
        } else {
            "NOT PROTECTED"
        };
        let value = json!({"path": now.active.path, "request": now.active.request, "mode": now.mode,
            "protected": protected});
        all.put(
            format!("group {group}"),
            value,
            format_args!(
                "on {} ({}), {}, {state}",
                now.active.path, now.active.request, now.mode
            ),
        );
        for path in now.paths {
            if let Some(power) = path.power {
                let failed = if path.failed == Some(true) {
                    ", failed"
                } else {
                    ""
                };
                let shown = format!(
                    "{:.1} dBm{}{failed}",
                    power.value.0,
                    output::mark(power.quality)
                );
                all.put(
                    format!("group {group} {}", path.path),
                    json!({"power": power.value, "quality": power.quality, "failed": path.failed}),
                    shown,
                );
            }
        }
    }
    Ok(())
}
