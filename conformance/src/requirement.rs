//! Requirements for devices. They are data (`requirements.toml`); the cases that test them are code
//! ([`crate::cases`]).

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::LazyLock};

/// Highest impact of a test on a device.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// It reads, or is refused before anything is sent.
    #[default]
    Observe,
    /// It changes what carries no traffic, and restores it.
    Reversible,
    /// It may interrupt traffic or key generation for a moment, and restores what it changed.
    Disruptive,
    /// It consumes or destroys items that cannot be restored, such as keys.
    Destructive,
}

impl Impact {
    /// All, the least first.
    pub const ALL: [Self; 4] = [
        Self::Observe,
        Self::Reversible,
        Self::Disruptive,
        Self::Destructive,
    ];

    /// Returns the name of the impact.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Reversible => "reversible",
            Self::Disruptive => "disruptive",
            Self::Destructive => "destructive",
        }
    }
    /// Returns the meaning of the impact, for the operator who allows it.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Observe => "reads only",
            Self::Reversible => "changes what carries no traffic, and restores it",
            Self::Disruptive => {
                "may interrupt traffic or key generation for a moment, and restores what it \
                 changed"
            }
            Self::Destructive => "spends or destroys what cannot be restored, such as keys",
        }
    }
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Impact {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|i| i.name() == text)
            .ok_or_else(|| {
                format!(
                    "invalid impact `{text}`; expected observe, reversible, disruptive or \
                     destructive"
                )
            })
    }
}

/// One testable requirement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Its id, such as `SWI-04`.
    pub id: String,
    /// The requirement, as one "shall" sentence.
    pub sentence: String,
    /// Highest impact of its cases on the device.
    pub impact: Impact,
    /// A clause of a standard, or a page of this project's contract.
    pub source: String,
}

/// The text of the requirements, as it was built in.
pub const TEXT: &str = include_str!("../requirements.toml");

/// Returns all requirements in the order of the file.
#[must_use]
pub fn all() -> &'static [Requirement] {
    #[derive(Deserialize)]
    struct File {
        requirement: Vec<Requirement>,
    }
    static ALL: LazyLock<Vec<Requirement>> = LazyLock::new(|| {
        toml::from_str::<File>(TEXT)
            .expect("built in, and tested")
            .requirement
    });
    &ALL
}

/// The requirement of this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Requirement> {
    all().iter().find(|r| r.id == id)
}

/// Returns SHA-256 over the text of the requirements, in hexadecimal: two runs with the same digest
/// were tested against the same requirements.
#[must_use]
pub fn digest() -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(TEXT.as_bytes()))
}
