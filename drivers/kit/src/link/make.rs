//! Whether the device that responds is of the make that a driver is for.
//!
//! A driver over SNMP calls [`check_agent`] when it opens a device and when it reads the identity,
//! before it names a vendor. Evidence is what [`DriverInfo::probes`] lists: the same by which
//! `qkdctl probe` finds the driver.

use super::{
    snmp::{Oid, Value},
    snmp_client::{SnmpCall, text},
};
use crate::driver_info::{DriverInfo, Probe};
use qkd_hal::{Error, ErrorKind, Result, text::printable};
use std::fmt;

/// sysDescr.0 and sysObjectID.0 (RFC 3418).
const SYSTEM: [&[u32]; 2] = [&[1, 3, 6, 1, 2, 1, 1, 1, 0], &[1, 3, 6, 1, 2, 1, 1, 2, 0]];
/// Maximum number of characters of a device's own words in an error.
const MAX_SHOWN: usize = 120;

/// Values of the SNMP system group, which every agent implements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemGroup {
    /// sysDescr; `None` if it is absent, empty or not a text.
    pub descr: Option<String>,
    /// sysObjectID; `None` if it is absent or not an object identifier.
    pub object_id: Option<Oid>,
}

/// `IdentityChanged`: a device of another vendor responds. `expected`: the make of the driver;
/// `found`: the device's own words.
#[must_use]
pub fn another_make(expected: &str, found: impl fmt::Display) -> Error {
    let found = found.to_string();
    Error::new(
        ErrorKind::IdentityChanged,
        format!(
            "a device of another vendor responds: expected {expected}, found {}",
            printable(&found, MAX_SHOWN)
        ),
    )
}

/// Reads the system group, and checks that the agent is of a driver's make.
///
/// # Errors
/// `IdentityChanged` if no probe of the driver fits the agent; those of the link.
pub async fn check_agent(info: &DriverInfo, call: &SnmpCall<'_>) -> Result<SystemGroup> {
    let system = SystemGroup::read(call).await?;
    if system.fits(info, call).await? {
        Ok(system)
    } else {
        Err(another_make(info.family, &system))
    }
}

impl SystemGroup {
    /// Reads it.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn read(call: &SnmpCall<'_>) -> Result<Self> {
        let values = call.get(&SYSTEM.map(Oid::from)).await?;
        Ok(Self {
            descr: text(&values[0], "sysDescr").ok().flatten(),
            object_id: match &values[1] {
                Value::ObjectId(id) => Some(id.clone()),
                _ => None,
            },
        })
    }

    /// Whether a probe of the driver fits the agent. A probe by sysDescr reads one more object.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn fits(&self, info: &DriverInfo, call: &SnmpCall<'_>) -> Result<bool> {
        let Some(id) = &self.object_id else {
            return Ok(false);
        };
        let oid = |text: &str| text.parse::<Oid>().ok();
        for probe in info.probes {
            match probe {
                Probe::SysObjectId { prefix } => {
                    if oid(prefix).is_some_and(|prefix| id.suffix_of(&prefix).is_some()) {
                        return Ok(true);
                    }
                }
                Probe::SysDescr {
                    descr,
                    object_id,
                    confirm,
                } => {
                    if self.descr.as_deref() == Some(descr)
                        && oid(object_id).as_ref() == Some(id)
                        && let Some(confirm) = oid(confirm)
                        && !call.get(&[confirm]).await?[0].is_absent()
                    {
                        return Ok(true);
                    }
                }
                Probe::Usb { .. } | Probe::Bytes { .. } => {}
            }
        }
        Ok(false)
    }
}

impl fmt::Display for SystemGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.object_id, &self.descr) {
            (Some(id), Some(descr)) => write!(f, "sysObjectID {id}, sysDescr `{descr}`"),
            (Some(id), None) => write!(f, "sysObjectID {id}"),
            (None, Some(descr)) => write!(f, "sysDescr `{descr}`"),
            (None, None) => f.write_str("an agent without sysObjectID and sysDescr"),
        }
    }
}
