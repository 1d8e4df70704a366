//! Parameters: named, typed, ranged vendor settings, reached without a trait method of their own.

use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// Words of a [`ParameterType::Choice`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// As a driver declares them.
    #[serde(skip_deserializing)]
    Declared(&'static [&'static str]),
    /// As they arrived from elsewhere.
    Received(Vec<String>),
}

impl Words {
    /// Returns the words in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let (declared, received): (&[&str], &[String]) = match self {
            Self::Declared(words) => (words, &[]),
            Self::Received(words) => (&[], words),
        };
        let received = received.iter().map(String::as_str);
        declared.iter().copied().chain(received)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// Type and range of a parameter's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "allowed")]
#[non_exhaustive]
pub enum ParameterType {
    /// One of these words.
    Choice(Words),
    /// A whole number between these bounds, inclusive.
    Integer {
        /// Smallest allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
    /// A real number between these bounds, inclusive.
    Real {
        /// Smallest allowed value.
        #[serde(with = "crate::serial::number")]
        min: f64,
        /// Largest allowed value.
        #[serde(with = "crate::serial::number")]
        max: f64,
    },
    /// A Boolean: `true` or `false`.
    Flag,
    /// Text with a maximum length.
    Text {
        /// Maximum length in bytes (UTF-8).
        max: usize,
    },
}

impl ParameterType {
    /// One of these words.
    #[must_use]
    pub const fn choice(words: &'static [&'static str]) -> Self {
        Self::Choice(Words::Declared(words))
    }
}

impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().collect();
                write!(f, "one of {}", words.join(", "))
            }
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Real { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Flag => f.write_str("true or false"),
            Self::Text { max } => write!(f, "text of at most {max} bytes"),
        }
    }
}

/// Specification of a parameter: name, type, range and access.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParameterSpec {
    /// Its name, in lower case with dashes.
    pub name: Cow<'static, str>,
    /// Short description for users.
    pub title: Cow<'static, str>,
    /// Type and range of the values.
    pub values: ParameterType,
    /// The symbol of its unit; empty where it has none.
    pub unit: Cow<'static, str>,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether writing it may disturb traffic or key generation.
    pub disruptive: bool,
}

impl ParameterSpec {
    /// A parameter that can be read only.
    #[must_use]
    pub const fn read_only(
        name: &'static str,
        title: &'static str,
        values: ParameterType,
        unit: &'static str,
    ) -> Self {
        Self {
            name: Cow::Borrowed(name),
            title: Cow::Borrowed(title),
            values,
            unit: Cow::Borrowed(unit),
            readable: true,
            writable: false,
            disruptive: false,
        }
    }
    /// The same, also writable.
    #[must_use]
    pub const fn writable(mut self) -> Self {
        self.writable = true;
        self
    }
    /// The same, write only.
    #[must_use]
    pub const fn write_only(mut self) -> Self {
        self.writable = true;
        self.readable = false;
        self
    }
    /// The same, disruptive to write.
    #[must_use]
    pub const fn disruptive(mut self) -> Self {
        self.disruptive = true;
        self
    }

    /// Reads a value from text, as a person types it.
    ///
    /// # Errors
    /// `InvalidInput`, naming what would be right.
    pub fn parse(&self, text: &str) -> Result<ParameterValue> {
        let wrong = || {
            Error::invalid(format!(
                "invalid value `{text}` for {}; expected {}",
                self.name, self.values
            ))
        };
        let value = match &self.values {
            ParameterType::Choice(_) | ParameterType::Text { .. } => {
                ParameterValue::Text(text.to_owned())
            }
            ParameterType::Integer { .. } => {
                ParameterValue::Integer(text.parse().map_err(|_| wrong())?)
            }
            ParameterType::Real { .. } => ParameterValue::Real(text.parse().map_err(|_| wrong())?),
            ParameterType::Flag => ParameterValue::Flag(text.parse().map_err(|_| wrong())?),
        };
        self.check(&value)?;
        Ok(value)
    }

    /// Checks a value.
    ///
    /// # Errors
    /// `InvalidInput`, naming what would be right.
    pub fn check(&self, value: &ParameterValue) -> Result<()> {
        let right = match (&self.values, value) {
            (ParameterType::Choice(words), ParameterValue::Text(word)) => {
                words.iter().any(|known| known == word)
            }
            (ParameterType::Integer { min, max }, ParameterValue::Integer(v)) => {
                (min..=max).contains(&v)
            }
            (ParameterType::Real { min, max }, ParameterValue::Real(v)) => (min..=max).contains(&v),
            (ParameterType::Flag, ParameterValue::Flag(_)) => true,
            (ParameterType::Text { max }, ParameterValue::Text(text)) => text.len() <= *max,
            _ => false,
        };
        if right {
            Ok(())
        } else {
            Err(Error::invalid(format!(
                "invalid value `{value}` for {}; expected {}",
                self.name, self.values
            )))
        }
    }
}

/// Finds a parameter by name.
///
/// # Errors
/// `NotFound`, naming those that exist.
pub fn find<'a>(specs: &'a [ParameterSpec], name: &str) -> Result<&'a ParameterSpec> {
    specs.iter().find(|s| s.name == name).ok_or_else(|| {
        let names: Vec<_> = specs.iter().map(|s| &*s.name).collect();
        let known = if names.is_empty() {
            "it has none".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        };
        Error::new(
            ErrorKind::NotFound,
            format!("there is no parameter `{name}`; {known}"),
        )
    })
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ParameterValue {
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Real(#[serde(with = "crate::serial::untagged_number")] f64),
    /// A Boolean.
    Flag(bool),
    /// A word or text.
    Text(String),
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(v) => write!(f, "{v}"),
            Self::Real(v) => write!(f, "{v}"),
            Self::Flag(v) => write!(f, "{v}"),
            Self::Text(v) => f.write_str(v),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: ParameterSpec = ParameterSpec::read_only(
        "boot-mode",
        "what happens at power-up",
        ParameterType::choice(&["dark", "restore"]),
        "",
    )
    .writable();

    #[test]
    fn an_invalid_value_is_reported_with_the_valid_values() {
        assert_eq!(
            MODE.parse("dark").unwrap(),
            ParameterValue::Text("dark".into())
        );
        assert!(
            MODE.parse("light")
                .unwrap_err()
                .message()
                .contains("one of dark, restore")
        );
        let number =
            ParameterSpec::read_only("n", "n", ParameterType::Integer { min: 1, max: 3 }, "s");
        assert!(
            number
                .parse("4")
                .unwrap_err()
                .message()
                .contains("from 1 to 3")
        );
        assert!(number.parse("x").is_err());
        assert!(
            find(&[MODE], "speed")
                .unwrap_err()
                .message()
                .contains("it has boot-mode")
        );
    }

    #[test]
    fn not_a_number_is_outside_every_range() {
        let real =
            ParameterSpec::read_only("r", "r", ParameterType::Real { min: 0.0, max: 1.0 }, "");
        assert!(real.parse("NaN").is_err());
    }
}
