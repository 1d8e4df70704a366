//! The connection that the driver keys, from a file: VICI reports connections without proposals, so
//! that the daemon's own answer does not suffice to load one again.

use crate::proto::Element;
use qkd_hal::{Error, Result};
use std::path::Path;
use toml::Value;

/// Between the name of the connection and the id of the key.
const INFIX: &str = "-ppk-";
/// Bytes of the longest file.
const MAX_FILE: u64 = 64 * 1024;
/// Settings that the driver makes itself.
const OWN: [(&str, &str); 3] = [
    ("ppk_id", "the driver names the key of each roll"),
    ("ppk_required", "the driver always requires a key"),
    ("unique", "two associations must exist during a roll"),
];

/// A connection, and the settings of strongSwan's `swanctl.conf` that describe it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Name of the connection, which is also the name of the channel.
    pub(crate) name: String,
    /// Names of its children.
    pub(crate) children: Vec<String>,
    settings: Vec<(String, Setting)>,
}

#[derive(Debug, Clone)]
enum Setting {
    Section(Vec<(String, Setting)>),
    Text(String),
    List(Vec<String>),
}

impl Setting {
    fn element<'a>(&'a self, name: &'a str) -> Element<'a> {
        match self {
            Self::Text(text) => Element::Value(name, text.as_bytes()),
            Self::List(all) => Element::List(name, all.iter().map(|t| t.as_bytes()).collect()),
            Self::Section(all) => {
                Element::Section(name, all.iter().map(|(name, s)| s.element(name)).collect())
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(true) => Some("yes".to_owned()),
        Value::Boolean(false) => Some("no".to_owned()),
        _ => None,
    }
}

fn setting(name: &str, value: Value) -> Result<Setting> {
    let wrong = || {
        Error::invalid(format!(
            "the connection file: `{name}` is not a text, number, yes or no, list of texts or table"
        ))
    };
    match value {
        Value::Table(table) => section(table).map(Setting::Section),
        Value::Array(all) => {
            let all: Option<Vec<String>> = all.iter().map(text).collect();
            all.map(Setting::List).ok_or_else(wrong)
        }
        other => text(&other).map(Setting::Text).ok_or_else(wrong),
    }
}

fn section(table: toml::Table) -> Result<Vec<(String, Setting)>> {
    let entries = table.into_iter();
    entries
        .map(|(name, value)| {
            let setting = setting(&name, value)?;
            Ok((name, setting))
        })
        .collect()
}

impl Connection {
    /// Reads the connection of this name from a file.
    ///
    /// # Errors
    /// `InvalidInput` if the file cannot be read, is not TOML, has no such table, or sets what the
    /// driver sets.
    pub(crate) fn read(path: &Path, name: &str) -> Result<Self> {
        let shown = path.display();
        let unreadable = |e: &dyn std::fmt::Display| {
            Error::invalid(format!("the connection file {shown} cannot be read: {e}"))
        };
        let size = std::fs::metadata(path).map_err(|e| unreadable(&e))?.len();
        if size > MAX_FILE {
            return Err(unreadable(&format!("it is longer than {MAX_FILE} bytes")));
        }
        let file = std::fs::read_to_string(path).map_err(|e| unreadable(&e))?;
        Self::parse(&file, name)
    }

    /// A connection of a recording, whose file is not at hand. Its reads can be replayed.
    pub(crate) fn of_recording(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            children: Vec::new(),
            settings: Vec::new(),
        }
    }

    pub(crate) fn parse(file: &str, name: &str) -> Result<Self> {
        // The names of two connections must not be that of one with the key of another.
        if name.contains(INFIX.trim_end_matches('-')) {
            return Err(Error::invalid(format!(
                "the name of the connection contains `-ppk`, which names the keys of others: {name}"
            )));
        }
        let mut file: toml::Table = file.parse().map_err(|e: toml::de::Error| {
            // The message of the parser quotes the file.
            Error::invalid(format!("the connection file is not TOML: {}", e.message()))
        })?;
        let connections = file.remove("connections");
        let Some(Value::Table(mut all)) = connections else {
            return Err(Error::invalid(
                "the connection file has no table `connections`",
            ));
        };
        let of_key = format!("{name}{INFIX}");
        if let Some(other) = all.keys().find(|other| other.starts_with(&of_key)) {
            return Err(Error::invalid(format!(
                "the connection file: `{other}` has the name of a key of `{name}`; rename it"
            )));
        }
        let Some(Value::Table(table)) = all.remove(name) else {
            let known: Vec<String> = all.keys().cloned().collect();
            return Err(Error::invalid(format!(
                "the connection file has no connection `{name}`; there are: {}",
                known.join(", ")
            )));
        };
        for (own, why) in OWN {
            if table.contains_key(own) {
                return Err(Error::invalid(format!(
                    "the connection file sets `{own}`: remove it, {why}"
                )));
            }
        }
        if let Some(time) = table.get("reauth_time").and_then(text)
            && time.trim_end_matches(['s', 'm', 'h', 'd']) != "0"
        {
            return Err(Error::invalid(
                "the connection file sets `reauth_time`: remove it; a reauthentication makes an \
                 association with the key before, which the other end takes for one with the new \
                 key",
            ));
        }
        if table.get("version").and_then(Value::as_integer) != Some(2) {
            return Err(Error::invalid(
                "the connection file: write `version = 2`; post-quantum preshared keys are of IKEv2",
            ));
        }
        let children = match table.get("children") {
            Some(Value::Table(children)) if !children.is_empty() => {
                children.keys().cloned().collect()
            }
            _ => {
                return Err(Error::invalid(
                    "the connection file: the connection has no children",
                ));
            }
        };
        Ok(Self {
            name: name.to_owned(),
            children,
            settings: section(table)?,
        })
    }

    /// Name of the connection, and of the secret, of one key.
    pub(crate) fn name_with(&self, ppk_id: &str) -> String {
        format!("{}{INFIX}{ppk_id}", self.name)
    }

    /// Returns the PPK id in the name of a connection or secret of this channel.
    pub(crate) fn ppk_id_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.name)?.strip_prefix(INFIX)
    }

    /// Returns the message that loads the connection: without a PPK id it answers the other end
    /// with any key that both have; with one, it initiates with that key.
    pub(crate) fn load<'a>(&'a self, name: &'a str, ppk_id: Option<&'a str>) -> Vec<Element<'a>> {
        let settings = self.settings.iter().map(|(name, s)| s.element(name));
        let mut all: Vec<Element<'a>> = settings.collect();
        all.push(Element::Value("ppk_required", b"yes"));
        all.push(Element::Value("unique", b"never"));
        if let Some(ppk_id) = ppk_id {
            all.push(Element::Value("ppk_id", ppk_id.as_bytes()));
        }
        vec![Element::Section(name, all)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::command;

    const FILE: &str = r#"
        [connections.net]
        version = 2
        local_addrs = ["192.0.2.1"]
        mobike = false
        [connections.net.local]
        auth = "psk"
        id = "a.example"
        [connections.net.children.lan]
        local_ts = ["10.0.1.0/24"]
        rekey_time = 0
    "#;

    #[test]
    fn a_connection_is_loaded_with_a_key_required() {
        let connection = Connection::parse(FILE, "net").unwrap();
        assert_eq!(connection.children, ["lan"]);
        let name = connection.name_with("k1");
        assert_eq!(connection.ppk_id_of(&name), Some("k1"));
        assert_eq!(connection.ppk_id_of("net"), None);
        assert_eq!(connection.ppk_id_of("network-ppk-k1"), None);
        let packet = command("load-conn", &connection.load(&name, Some("k1"))).unwrap();
        let text = String::from_utf8_lossy(&packet);
        for part in [
            "net-ppk-k1",
            "ppk_required\0\u{3}yes",
            "unique\0\u{5}never",
            "ppk_id\0\u{2}k1",
            "mobike\0\u{2}no",
            "rekey_time\0\u{1}0",
            "local_ts",
        ] {
            assert!(text.contains(part), "{part}: {text:?}");
        }
        let base = command("load-conn", &connection.load("net", None)).unwrap();
        assert!(!String::from_utf8_lossy(&base).contains("ppk_id"));
    }

    #[test]
    fn files_that_do_not_describe_a_keyed_connection_are_refused() {
        for (text, part) in [
            ("connections", "not TOML"),
            ("[other]", "no table `connections`"),
            ("[connections.x]", "no connection `net`; there are: x"),
            (
                "[connections.net]\nppk_required = false",
                "sets `ppk_required`",
            ),
            (
                "[connections.net]\nunique = \"replace\"",
                "two associations",
            ),
            (
                "[connections.net]\nreauth_time = \"8h\"",
                "association with the key before",
            ),
            (
                "[connections.net]\n[connections.net-ppk-lab]",
                "`net-ppk-lab` has the name of a key",
            ),
            ("[connections.net]\nversion = 1", "write `version = 2`"),
            ("[connections.net]\nversion = 2", "no children"),
            (
                "[connections.net]\nversion = 2\nx = 1.5\n[connections.net.children.a]",
                "`x` is not a text",
            ),
        ] {
            let error = Connection::parse(text, "net").unwrap_err();
            assert!(error.message().contains(part), "{text}: {error}");
        }
        // Keys of `net-ppk` would have names of keys of `net`.
        let other = FILE.replace("connections.net", "connections.net-ppk");
        let error = Connection::parse(&other, "net-ppk").unwrap_err();
        assert!(error.message().contains("contains `-ppk`"), "{error}");
        Connection::parse(&FILE.replace("mobike = false", "reauth_time = 0"), "net").unwrap();
    }
}
