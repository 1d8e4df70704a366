//! A request as text, for logs and messages: the operation, and its arguments in parentheses.

use super::Request;
use crate::text::printable;
use std::{borrow::Cow, fmt};

/// The most characters of a name that is shown.
const LONGEST_NAME: usize = 80;

fn name(text: &str) -> Cow<'_, str> {
    printable(text, LONGEST_NAME)
}

/// Writes items, separated by commas; the number of those beyond the first eight.
fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, what: &str, items: &[T]) -> fmt::Result {
    const SHOWN: usize = 8;
    f.write_str(what)?;
    for (i, item) in items.iter().take(SHOWN).enumerate() {
        write!(f, "{}{item}", if i == 0 { " " } else { ", " })?;
    }
    match items.len() {
        0 => f.write_str(" all"),
        more if more > SHOWN => write!(f, " and {} more", more - SHOWN),
        _ => Ok(()),
    }
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = self.operation().name();
        match self {
            Self::Identity
            | Self::Health
            | Self::Telemetry
            | Self::ModuleStatus
            | Self::Performance
            | Self::KeyStore
            | Self::Start
            | Self::Stop
            | Self::Calibrate
            | Self::Channels
            | Self::Connections
            | Self::ProtectionGroups => return f.write_str(operation),
            _ => write!(f, "{operation}(")?,
        }
        match self {
            Self::GetParameter { name: n } => write!(f, "{}", name(n))?,
            // A value may be a password: some parameters can be written and not read.
            Self::SetParameter { name: n, .. } => write!(f, "{}", name(n))?,
            Self::TakeKeys { request } => {
                write!(f, "{} keys", request.count)?;
                if let Some(size) = request.size {
                    write!(f, " of {size}")?;
                }
            }
            Self::TakeKeysById { ids } => list(f, "keys", ids)?,
            Self::Channel { channel } | Self::Zeroize { channel } | Self::Counters { channel } => {
                write!(f, "channel {}", name(&channel.0))?
            }
            Self::SetEncryption { channel, on } => {
                let on = if *on { "on" } else { "off" };
                write!(f, "channel {}, {on}", name(&channel.0))?;
            }
            Self::Stage { channel, key } => {
                let channel = name(&channel.0);
                write!(f, "channel {channel}, key {}, {}", key.id(), key.size())?;
            }
            Self::Activate { staged } | Self::Confirm { staged, .. } => {
                write!(
                    f,
                    "channel {}, key {}",
                    name(&staged.channel.0),
                    staged.key_id
                )?;
            }
            Self::Retire { confirmed } => {
                let staged = confirmed.staged();
                write!(
                    f,
                    "channel {}, key {}",
                    name(&staged.channel.0),
                    staged.key_id
                )?;
            }
            Self::Random { length } => write!(f, "{length} bytes")?,
            Self::Ports { ports } | Self::Power { ports } => list(f, "ports", ports)?,
            Self::Apply { plan } => {
                write!(f, "plan {}: ", hex::encode(&plan.digest()[..8]))?;
                list(f, "", plan.steps())?;
            }
            Self::SetPort { port, enabled } => {
                write!(
                    f,
                    "port {port}, {}",
                    if *enabled { "enabled" } else { "disabled" }
                )?;
            }
            Self::Monitor { port } | Self::Attenuation { port } => write!(f, "port {port}")?,
            Self::SetMonitor { port, change } => write!(f, "port {port}, {change}")?,
            Self::SetAttenuation { port, wanted } => {
                write!(f, "port {port}, {}", name(&wanted.to_string()))?;
            }
            Self::ProtectionStatus { group } => write!(f, "group {}", name(&group.0))?,
            Self::SetProtection { group, setting } => {
                let setting = setting.to_string();
                write!(f, "group {}, {}", name(&group.0), name(&setting))?;
            }
            Self::ProtectionCommand { group, command } => {
                let command = command.to_string();
                write!(f, "group {}, {}", name(&group.0), name(&command))?;
            }
            _ => {}
        }
        f.write_str(")")
    }
}
