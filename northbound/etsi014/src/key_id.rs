//! Spellings of key ids.

use uuid::Uuid;

/// Spelling of the key IDs of a KME.
///
/// The standard prints UUIDs (6.3). Servers in the field also use other IDs, which must be sent
/// back with exactly the same characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyIdForm {
    /// A hyphenated UUID; read in any spelling of a UUID.
    Uuid,
    /// 32 hexadecimal digits in lower case; read in this spelling only.
    Hex,
    /// A hyphenated UUID in upper case; read in this spelling only.
    UpperCase,
    /// A name, such as `7-bc49...`; read in this spelling only.
    Token,
}

impl KeyIdForm {
    /// All forms, by the name that a setting has for them.
    pub const ALL: [(&str, Self); 4] = [
        ("uuid", Self::Uuid),
        ("hex", Self::Hex),
        ("upper-case", Self::UpperCase),
        ("token", Self::Token),
    ];

    /// Returns the spelling of an id.
    #[must_use]
    pub fn spell(self, id: Uuid) -> String {
        match self {
            Self::Uuid => id.hyphenated().to_string(),
            Self::Hex => id.simple().to_string(),
            Self::UpperCase => id.hyphenated().to_string().to_uppercase(),
            Self::Token => format!("7-{}", id.simple()),
        }
    }

    /// Returns the ID with this spelling; `None` if the text does not have this form.
    #[must_use]
    pub fn read(self, text: &str) -> Option<Uuid> {
        let digits = match self {
            Self::Token => text.strip_prefix("7-")?,
            _ => text,
        };
        let id = Uuid::try_parse(digits).ok()?;
        (self == Self::Uuid || self.spell(id) == text).then_some(id)
    }
}
