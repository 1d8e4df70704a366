//! A plan in a file: written by `switch plan --out`, reviewed, and applied by
//! `switch apply --plan`.

use qkd_driver_kit::program::files;
use qkd_hal::{DeviceUri, Error, Result};
use qkd_switch_hal::{OpticalSwitch, Plan, Readback};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fs::File, io::Read, path::Path};

/// Schema of the file: that of the JSON output of `switch plan`.
const SCHEMA: &str = "qkdctl/switch/plan/2";
/// The longest file that is read, in bytes. A plan of a 576×576 matrix has some 100 kB.
const LONGEST: u64 = 16 << 20;

/// A plan with the device for which it was made.
#[derive(Serialize, Deserialize)]
pub(super) struct PlanFile<'a> {
    schema: Cow<'a, str>,
    pub(super) device: Cow<'a, str>,
    pub(super) plan: Cow<'a, Plan>,
}

fn problem(file: &Path, why: impl std::fmt::Display) -> Error {
    Error::invalid(format!("file {}: {why}", file.display()))
}

/// Writes a plan into a new file.
pub(super) fn write(file: &Path, device: &DeviceUri, plan: &Plan) -> Result<()> {
    let content = PlanFile {
        schema: SCHEMA.into(),
        device: device.to_string().into(),
        plan: Cow::Borrowed(plan),
    };
    let text = serde_json::to_string_pretty(&content).map_err(|e| problem(file, e))? + "\n";
    files::write_new(file, 0o644, text.as_bytes()).map_err(|e| problem(file, e))
}

/// Reads a plan, whose content must have the digest in it.
pub(super) fn read(file: &Path) -> Result<PlanFile<'static>> {
    let mut text = String::new();
    let opened = File::open(file).map_err(|e| problem(file, e))?;
    let read = opened.take(LONGEST + 1).read_to_string(&mut text);
    if read.map_err(|e| problem(file, e))? as u64 > LONGEST {
        return Err(problem(file, format!("it has more than {LONGEST} bytes")));
    }
    let content: PlanFile<'_> = serde_json::from_str(&text).map_err(|e| problem(file, e))?;
    if content.schema != SCHEMA {
        let found = qkd_hal::text::printable(&content.schema, 40);
        let why = format!("its schema is `{found}`; `{SCHEMA}` is expected");
        return Err(problem(file, why));
    }
    Ok(PlanFile {
        schema: SCHEMA.into(),
        device: content.device.into_owned().into(),
        plan: Cow::Owned(content.plan.into_owned()),
    })
}

/// Checks that a plan still leads from the present state of this switch, as a dry run does.
///
/// # Errors
/// `IdentityChanged`, `StateChanged`; `InvalidInput` for a plan without a state if the switch can
/// be read.
pub(super) async fn check(switch: &dyn OpticalSwitch, plan: &Plan) -> Result<()> {
    plan.check_device(&switch.identity().await?)?;
    let blind = switch.switch_capabilities().readback == Readback::LastAcknowledged;
    if plan.fingerprint().is_none() && blind {
        return Ok(());
    }
    plan.check(&switch.connections().await?.value)
}
