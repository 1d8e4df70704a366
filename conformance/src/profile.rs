//! Profiles: the requirements for a kind of device, and the operations that it must declare. They
//! are data (`profiles.toml`).

use crate::requirement::{self, Requirement};
use qkd_hal::{DeviceKind, Operation};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::LazyLock};

/// Requirements for one kind of device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Kind of device of the profile.
    pub title: String,
    /// The kind of handle that a device of it has.
    kind: DeviceKind,
    /// Requirements: ids, or prefixes such as `SWI`.
    requires: Vec<String>,
    /// Operations that a device of this kind must declare, by name.
    must: Vec<String>,
}

impl Profile {
    /// Returns the requirements of the profile in order.
    pub fn requirements(&self) -> impl Iterator<Item = &'static Requirement> + '_ {
        requirement::all().iter().filter(|r| {
            self.requires.iter().any(|want| {
                r.id == *want
                    || r.id
                        .strip_prefix(want)
                        .is_some_and(|rest| rest.starts_with('-'))
            })
        })
    }
    /// Checks that the profile applies to a device with these kinds of handle. `name`: name of the
    /// profile.
    ///
    /// # Errors
    /// Error text with the profiles that apply.
    pub fn check_kind(&self, name: &str, kinds: &[DeviceKind]) -> Result<(), String> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        let words: Vec<_> = kinds.iter().map(ToString::to_string).collect();
        let fitting: Vec<_> = all()
            .iter()
            .filter(|(_, p)| kinds.contains(&p.kind))
            .map(|(name, _)| name.as_str())
            .collect();
        Err(format!(
            "profile `{name}` is for devices of the kind {}; this device is: {}; expected \
             profile: {}",
            self.kind,
            words.join(", "),
            if fitting.is_empty() {
                "none".to_owned()
            } else {
                fitting.join(" or ")
            },
        ))
    }
    /// The operations that a device of this kind must declare.
    pub fn must(&self) -> impl Iterator<Item = Operation> + '_ {
        Operation::ALL
            .iter()
            .copied()
            .filter(|op| self.must.iter().any(|name| name == op.name()))
    }
}

/// All profiles, by name.
#[must_use]
pub fn all() -> &'static BTreeMap<String, Profile> {
    static ALL: LazyLock<BTreeMap<String, Profile>> = LazyLock::new(|| {
        toml::from_str(include_str!("../profiles.toml")).expect("built in, and tested")
    });
    &ALL
}

/// Returns the profile with this name.
///
/// # Errors
/// Error text with the existing profiles.
pub fn find(name: &str) -> Result<&'static Profile, String> {
    all().get(name).ok_or_else(|| {
        let names: Vec<_> = all().keys().map(String::as_str).collect();
        format!(
            "there is no profile `{name}`; there are: {}",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_profiles_exist() {
        for (name, profile) in all() {
            assert!(profile.requirements().count() > 30, "{name}");
            assert_eq!(
                profile.must().count(),
                profile.must.len(),
                "{name}: unknown operation: {:?}",
                profile.must
            );
            for want in &profile.requires {
                assert!(
                    requirement::all()
                        .iter()
                        .any(|r| r.id.starts_with(want.as_str())),
                    "{name}: {want}"
                );
            }
        }
    }
}
