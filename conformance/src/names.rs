//! The names and numbers of a file of a device under test, held against the device itself.

use crate::{dut::Dut, result::TargetKind};
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{Operation, Support, text::printable};
use std::fmt::Display;

/// Maximum number of names that an error lists.
const MAX_LISTED: usize = 24;

/// Checks that the device has the ports, parameters, channel and group that the file names.
///
/// # Errors
/// Error text with the name that the device lacks, and the names that it has.
pub(crate) async fn check(dut: &Dut, opened: &OpenedDevice) -> Result<(), String> {
    // A recording answers what was asked when it was made, and nothing is changed on it.
    if dut.target_kind() == TargetKind::Recording {
        return Ok(());
    }
    let device = opened.device();
    let can = |operation| device.capabilities().supports(operation) != Support::Unsupported;
    if let Ok(switch) = opened.switch() {
        let geometry = &switch.switch_capabilities().geometry;
        let ports: Vec<u32> = geometry.ports().map(|port| port.0).collect();
        known("port", &dut.ports, &ports)?;
    } else if !dut.ports.is_empty() && opened.attenuator().is_err() {
        return Err("ports: this device has no switch and no attenuator".to_owned());
    }
    let parameters: Vec<&str> = device.parameters().iter().map(|p| &*p.name).collect();
    let named: Vec<&str> = dut.parameters.iter().map(String::as_str).collect();
    known("parameter", &named, &parameters)?;
    if let Some(channel) = &dut.channel {
        let encryptor = opened
            .encryptor()
            .map_err(|_| "channel: this device is not an encryptor".to_owned())?;
        // A device that does not answer is the cases' to report.
        if can(Operation::Channels)
            && let Ok(channels) = encryptor.channels().await
        {
            let channels: Vec<&str> = channels.iter().map(|c| c.0.as_str()).collect();
            known("channel", &[channel.as_str()], &channels)?;
        }
    }
    if let Some(group) = &dut.group {
        let protection = opened
            .protection()
            .map_err(|_| "group: this device has no protection groups".to_owned())?;
        if let Ok(groups) = protection.groups().await {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            known("group", std::slice::from_ref(group), &groups)?;
        }
    }
    Ok(())
}

fn known<T: PartialEq + Display>(what: &str, named: &[T], there: &[T]) -> Result<(), String> {
    let Some(unknown) = named.iter().find(|name| !there.contains(name)) else {
        return Ok(());
    };
    let unknown = unknown.to_string();
    let mut list: Vec<String> = there
        .iter()
        .take(MAX_LISTED)
        .map(|name| printable(&name.to_string(), 60).into_owned())
        .collect();
    match there.len() {
        0 => list.push("none".to_owned()),
        all if all > MAX_LISTED => list.push(format!("{} more", all - MAX_LISTED)),
        _ => {}
    }
    Err(format!(
        "the device has no {what} `{}`; it has: {}",
        printable(&unknown, 60),
        list.join(", ")
    ))
}
