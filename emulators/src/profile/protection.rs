//! Protection switches over SNMP: what the profiles of several vendors share.

use super::{Options, Setting, agents::Agents, options::invalid};
use crate::model::protection::{Input, ProtectionSwitch};
use qkd_hal::units::DecibelMilliwatts;
use std::{io, sync::Arc, time::Duration};

pub(crate) const INPUT: Setting = Setting {
    name: "input",
    help: "light of a path, as path:dBm or group/path:dBm, such as b:-12.5; default -5 dBm on each",
    runtime: true,
};

/// Paths of this light and threshold, in dBm.
const LIGHT: f64 = -5.0;
const THRESHOLD: f64 = -25.0;

/// The inputs of two paths; the second has 1 dB less light.
pub(crate) fn inputs() -> Vec<Input> {
    vec![
        Input::new(LIGHT, THRESHOLD),
        Input::new(LIGHT - 1.0, THRESHOLD),
    ]
}

pub(crate) fn seconds(range: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<Duration> {
    Duration::from_secs(*range.start())..=Duration::from_secs(*range.end())
}
pub(crate) fn powers(
    range: std::ops::RangeInclusive<f64>,
) -> std::ops::RangeInclusive<DecibelMilliwatts> {
    DecibelMilliwatts(*range.start())..=DecibelMilliwatts(*range.end())
}

/// The setting `input`, at the start and while it runs.
pub(crate) fn with_input(
    options: &Options,
    mut agents: Agents,
    model: &Arc<ProtectionSwitch>,
) -> io::Result<Agents> {
    let model = Arc::clone(model);
    agents.controls.add_runtime_setting("input", move |value| {
        let wrong = || format!("input={value}: it is path:dBm or group/path:dBm, such as b:-12.5");
        let (path, power) = value.rsplit_once(':').ok_or_else(wrong)?;
        let power: f64 = power
            .parse()
            .ok()
            .filter(|p| (-100.0..=30.0).contains(p))
            .ok_or_else(wrong)?;
        model.set_input(path, power)
    });
    for (_, value) in options.set.iter().filter(|(name, _)| name == "input") {
        agents.controls.set("input", value).map_err(invalid)?;
    }
    Ok(agents)
}
