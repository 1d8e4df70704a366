//! Credentials: a TOML file that only its owner can read, or environment variables, referred to by
//! name.
//!
//! ```toml
//! [noc]                          # SNMPv3
//! user = "noc"
//! auth_protocol = "SHA-256"      # MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512
//! auth_password = "..."
//! priv_protocol = "AES"          # DES, AES (128 bit), AES-192, AES-256; AES-192-C and AES-256-C
//! priv_password = "..."          #   extend the key as Cisco does (draft-reeder)
//! context_name = "vlan-1"        # where the agent has several contexts
//! officer_password = "..."       # crypto officer's, where changes of encryption need it too
//!
//! [lab]                          # SNMPv2c, for reading
//! community = "..."
//!
//! [exchange]                     # a login
//! user = "..."
//! password = "..."
//!
//! [sae-alice]                    # mutual TLS: paths of PEM files
//! ca = "/etc/qkd/ca.pem"
//! cert = "/etc/qkd/alice.pem"
//! key = "/etc/qkd/alice.key"
//! ```
//!
//! An environment variable overrides the same field of the file:
//! `QKD_CREDENTIALS_NOC_AUTH_PASSWORD`.

use qkd_hal::{Error, ErrorKind, Result};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The prefix of environment variables.
pub const ENV_PREFIX: &str = "QKD_CREDENTIALS_";

/// The largest file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// The fields that an entry may have.
pub const FIELDS: [&str; 12] = [
    "user",
    "password",
    "auth_protocol",
    "auth_password",
    "priv_protocol",
    "priv_password",
    "context_name",
    "officer_password",
    "community",
    "ca",
    "cert",
    "key",
];

/// One entry. Shows the names of its fields only.
#[derive(Clone, Default)]
pub struct CredentialEntry {
    name: String,
    fields: BTreeMap<String, Zeroizing<String>>,
}

impl CredentialEntry {
    /// Creates an entry without fields.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            fields: BTreeMap::new(),
        }
    }
    /// Adds a field.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<String>) -> Self {
        self.fields
            .insert(field.to_owned(), Zeroizing::new(value.into()));
        self
    }
    /// Returns the name of the entry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Returns the value of a field; `None` if the entry has no such field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(|v| v.as_str())
    }
    /// A field that must be there.
    ///
    /// # Errors
    /// `Authentication`, naming entry and field.
    pub fn require(&self, field: &str) -> Result<&str> {
        self.get(field).ok_or_else(|| {
            Error::new(
                ErrorKind::Authentication,
                format!("credentials `{}` have no `{field}`", self.name),
            )
        })
    }
    /// The contents of the PEM file that a field names.
    ///
    /// # Errors
    /// `Authentication`, naming entry, field and file.
    pub fn pem(&self, field: &str) -> Result<Zeroizing<Vec<u8>>> {
        let path = self.require(field)?;
        let problem = |why: String| {
            Error::new(
                ErrorKind::Authentication,
                format!("credentials `{}`: {field} file {path} {why}", self.name),
            )
        };
        let open = || {
            let mut file = File::open(path)?;
            let meta = file.metadata()?;
            let mut content = Zeroizing::new(Vec::with_capacity(room(&meta)));
            (&mut file)
                .take(MAX_FILE_SIZE + 1)
                .read_to_end(&mut content)?;
            Ok((meta, content))
        };
        let (meta, content) =
            open().map_err(|e: std::io::Error| problem(format!("cannot be read: {e}")))?;
        // A private key is a secret as any other; certificates are not.
        if field == "key" {
            check_private(&meta).map_err(problem)?;
        }
        if content.len() as u64 > MAX_FILE_SIZE {
            return Err(problem(format!("is larger than {MAX_FILE_SIZE} bytes")));
        }
        Ok(content)
    }
}

impl fmt::Debug for CredentialEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Entry({}: {})",
            self.name,
            self.fields.keys().cloned().collect::<Vec<_>>().join(", ")
        )
    }
}

/// Where entries come from.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    file: Option<PathBuf>,
    entries: BTreeMap<String, CredentialEntry>,
}

impl Credentials {
    /// Entries from the environment only.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::default()
    }

    /// Reads entries from a file and from the environment.
    ///
    /// # Errors
    /// `Authentication` if other users can read the file, or it belongs to another user;
    /// `InvalidInput` if it is not valid TOML of this form. The error names the problem and repeats
    /// no value.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display();
        let problem = |why: String| {
            Error::new(
                ErrorKind::Authentication,
                format!("credentials file {shown}: {why}"),
            )
        };
        // Of the open file, so that no other one can take its name meanwhile.
        let mut file = File::open(path).map_err(|e| problem(e.to_string()))?;
        let meta = file.metadata().map_err(|e| problem(e.to_string()))?;
        check_private(&meta).map_err(problem)?;
        let mut text = Zeroizing::new(String::with_capacity(room(&meta)));
        (&mut file)
            .take(MAX_FILE_SIZE + 1)
            .read_to_string(&mut text)
            .map_err(|e| problem(e.to_string()))?;
        if text.len() as u64 > MAX_FILE_SIZE {
            return Err(problem(format!("it is larger than {MAX_FILE_SIZE} bytes")));
        }
        let tables: BTreeMap<String, BTreeMap<String, String>> =
            // The parser's own words may repeat a value.
            toml::from_str(&text).map_err(|e| {
                let why = match toml::from_str::<serde::de::IgnoredAny>(&text) {
                    Ok(_) => "each entry is a table, and each of its fields takes text in quotes",
                    Err(_) => "it is not valid TOML, or contains a duplicate name",
                };
                Error::invalid(format!("credentials file {shown}: {why}{}", line_of(&text,
                    e.span())))
            })?;
        let mut entries = BTreeMap::new();
        for (name, fields) in tables {
            if let Some(unknown) = fields.keys().find(|f| !FIELDS.contains(&f.as_str())) {
                return Err(Error::invalid(format!(
                    "credentials file {shown}: entry `{name}` has an unknown field `{unknown}`; \
                     there are: {}",
                    FIELDS.join(", ")
                )));
            }
            let fields = fields
                .into_iter()
                .map(|(k, v)| (k, Zeroizing::new(v)))
                .collect();
            entries.insert(name.clone(), CredentialEntry { name, fields });
        }
        Ok(Self {
            file: Some(path.to_owned()),
            entries,
        })
    }

    /// Adds an entry made in this process.
    #[must_use]
    pub fn with(mut self, entry: CredentialEntry) -> Self {
        self.entries.insert(entry.name.clone(), entry);
        self
    }

    /// The entry of this name.
    ///
    /// # Errors
    /// `Authentication`, naming where it was looked for.
    pub fn entry(&self, name: &str) -> Result<CredentialEntry> {
        let mut entry = self
            .entries
            .get(name)
            .cloned()
            .unwrap_or_else(|| CredentialEntry::new(name));
        let upper: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        for field in FIELDS {
            if let Ok(value) = std::env::var(format!(
                "{ENV_PREFIX}{upper}_{}",
                field.to_ascii_uppercase()
            )) {
                entry = entry.with(field, value);
            }
        }
        if entry.fields.is_empty() {
            let file = self.file.as_ref().map_or_else(
                || "no credentials file was given".to_owned(),
                |f| format!("{} has no such entry", f.display()),
            );
            return Err(Error::new(
                ErrorKind::Authentication,
                format!(
                    "there are no credentials `{name}`: {file}, and no variable \
                     {ENV_PREFIX}{upper}_... is set"
                ),
            ));
        }
        Ok(entry)
    }
}

/// Returns the buffer size for the whole file: a buffer that grows leaves copies of secrets in
/// memory.
fn room(meta: &Metadata) -> usize {
    usize::try_from(meta.len().min(MAX_FILE_SIZE) + 1).unwrap_or(0)
}

/// Checks that a file with secrets belongs to this user and only this user can read it. Its owner
/// could read and replace it regardless of its mode.
///
/// # Errors
/// The problem and the recommended action, to be printed after the file name.
pub fn check_private(meta: &Metadata) -> Result<(), String> {
    check_owner(meta.uid(), meta.mode(), effective_user())
}

/// The user as whom this process opens files; `None` where the system does not say.
fn effective_user() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|m| m.uid())
}

fn check_owner(owner: u32, mode: u32, user: Option<u32>) -> Result<(), String> {
    let mode = mode & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "others may read it (mode {mode:03o}); restrict it to its owner with chmod 600"
        ));
    }
    match user {
        Some(user) if owner != user => Err(format!(
            "it belongs to user {owner}, and this program runs as user {user}; \
             make it yours with chown, or use a file of your own"
        )),
        _ => Ok(()),
    }
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    span.map_or_else(String::new, |s| {
        format!(
            " (line {})",
            text[..s.start.min(text.len())].matches('\n').count() + 1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let (_dir, path) = file("[noc]\nuser='x'\n", 0o644);
        let error = Credentials::from_file(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(error.message().contains("chmod 600"));
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        assert_eq!(check_owner(1000, 0o100_600, Some(1000)), Ok(()));
        let refused = check_owner(1000, 0o100_600, Some(0)).unwrap_err();
        assert!(refused.contains("belongs to user 1000"), "{refused}");
        // Over a real file, where this user may give one away.
        let (_dir, path) = file("[noc]\nuser='x'\n", 0o600);
        if std::os::unix::fs::chown(&path, Some(12345), None).is_ok() {
            let error = Credentials::from_file(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Authentication);
            assert!(error.message().contains("user 12345"), "{error}");
            let entry = CredentialEntry::new("sae").with("key", path.display().to_string());
            assert!(entry.pem("key").unwrap_err().message().contains("12345"));
        }
    }

    #[test]
    fn entries_are_found_by_name_and_never_shown() {
        let (_dir, path) = file("[noc]\nuser = 'noc'\nauth_password = 'hunter22'\n", 0o600);
        let credentials = Credentials::from_file(&path).unwrap();
        let entry = credentials.entry("noc").unwrap();
        assert_eq!(entry.require("auth_password").unwrap(), "hunter22");
        assert!(!format!("{credentials:?}").contains("hunter22"));
        assert!(
            entry
                .require("priv_password")
                .unwrap_err()
                .message()
                .contains("`noc` have no `priv_password`")
        );
        assert!(
            credentials
                .entry("nobody")
                .unwrap_err()
                .message()
                .contains("no such entry")
        );
    }

    #[test]
    fn an_invalid_file_is_reported_without_its_values() {
        for text in [
            "[noc]\nauth_password = 'hunter22'\nauth_password = 'hunter22'\n",
            "[noc]\npasword = 'hunter22'\n",
            "[noc]\nuser = hunter22\n",
            "[noc]\nauth_password = 7022\n",
        ] {
            let (_dir, path) = file(text, 0o600);
            let error = format!("{:?}", Credentials::from_file(&path).unwrap_err());
            assert!(
                !error.contains("hunter22") && !error.contains("7022"),
                "{error}"
            );
        }
    }
}
