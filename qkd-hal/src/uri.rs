//! Device URIs: `driver+transport://address?parameters`.
//!
//! Examples: `polatis+tcp://192.0.2.7:5025`, `polatis+serial:///dev/ttyS0?baud=38400`,
//! `packetlight+snmp://192.0.2.9?credentials=noc`, `idq-quantis+usbip://192.0.2.4:3240/1-1`. Parsed
//! strictly (RFC 3986); an unknown or doubled parameter is an error, never ignored. Secrets are
//! refused: a URI holds the *name* of an entry in the credentials file.

use crate::{Error, Result};
use std::{fmt, str::FromStr};

/// A parsed device URI.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DeviceUri {
    driver: String,
    transport: String,
    host: String,
    port: Option<u16>,
    path: String,
    parameters: Vec<(String, String)>,
}

/// Names of parameters that would hold a secret.
const SECRETS: [&str; 13] = [
    "password",
    "passwd",
    "pass",
    "pwd",
    "secret",
    "community",
    "token",
    "key",
    "psk",
    "authkey",
    "privkey",
    "auth-password",
    "priv-password",
];

/// The longest zone of an IPv6 address.
const MAX_ZONE: usize = 32;

impl DeviceUri {
    /// Returns the driver name.
    #[must_use]
    pub fn driver(&self) -> &str {
        &self.driver
    }
    /// Returns the transport name.
    #[must_use]
    pub fn transport(&self) -> &str {
        &self.transport
    }
    /// Returns the host; empty if the URI has none. An IPv6 address has no brackets. A zone follows
    /// after `%` (RFC 4007).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
    /// Returns the port; `None` if the URI has none.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
    /// The path, decoded; with its leading slash, or empty.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
    /// `host:port`, with `default` where the URI has no port.
    #[must_use]
    pub fn authority(&self, default: u16) -> String {
        let port = self.port.unwrap_or(default);
        if self.host.contains(':') {
            format!("[{}]:{port}", self.host)
        } else {
            format!("{}:{port}", self.host)
        }
    }
    /// Returns the parameters in the order of the URI.
    #[must_use]
    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }
    /// The value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
    /// The value of a parameter, read as a `T`.
    ///
    /// # Errors
    /// `InvalidInput` if it is there and is no `T`; `expected` says what would be right.
    pub fn parse_parameter<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>> {
        self.parameter(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Error::invalid(format!(
                        "`{name}={text}` in {self}: {name} takes {expected}"
                    ))
                })
            })
            .transpose()
    }
    /// The same URI with one more parameter.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }
}

impl FromStr for DeviceUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let shape = "a device URI looks like driver+transport://address?parameters, for instance \
            polatis+tcp://192.0.2.7:5025";
        // A text with a secret in it must not be repeated in an error.
        let userinfo = text.split_once("://").is_some_and(|(_, rest)| {
            rest.split(['/', '?', '#'])
                .next()
                .unwrap_or("")
                .contains('@')
        });
        if userinfo {
            return Err(Error::invalid(
                "a device URI holds no user name or password: put them into the credentials file \
                 and name the entry with credentials=<name>",
            ));
        }
        let (text, zone) = without_zone(text)?;
        let uri = fluent_uri::Uri::parse(&*text)
            .map_err(|e| Error::invalid(format!("not a URI ({e}); {shape}")))?;
        let scheme = uri.scheme().as_str().to_ascii_lowercase();
        let (driver, transport) = scheme
            .split_once('+')
            .filter(|(d, t)| !d.is_empty() && !t.is_empty() && !t.contains('+'))
            .ok_or_else(|| {
                Error::invalid(format!("`{scheme}` names no driver and transport; {shape}"))
            })?;
        let authority = uri
            .authority()
            .ok_or_else(|| Error::invalid(format!("`//` is missing after `{scheme}:`; {shape}")))?;
        if uri.fragment().is_some() {
            return Err(Error::invalid(format!(
                "a device URI has no `#` part; {shape}"
            )));
        }
        let port = match authority.port().map(|p| p.as_str()) {
            None => None,
            Some(p) => Some(p.parse().ok().filter(|p| *p != 0).ok_or_else(|| {
                Error::invalid(format!("port `{p}` is not a number from 1 to 65535"))
            })?),
        };
        let decode = |part: &str| -> Result<String> {
            percent_decode(part)
                .ok_or_else(|| Error::invalid("a percent-encoded part is not UTF-8 text"))
        };
        let host = decode(authority.host())?;
        let host = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .map_or(host.clone(), str::to_owned);
        let host = zone.map_or(host.clone(), |zone| format!("{host}%{zone}"));
        let path = decode(uri.path().as_str())?;
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in uri
            .query()
            .map(|q| q.as_str())
            .unwrap_or_default()
            .split('&')
            .filter(|p| !p.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if SECRETS.contains(&name.to_ascii_lowercase().replace('_', "-").as_str()) {
                return Err(Error::invalid(format!(
                    "a device URI holds no secrets, and `{name}` would be one: put it into the \
                     credentials file and name the entry with credentials=<name>"
                )));
            }
            if value.is_empty() {
                return Err(Error::invalid(format!(
                    "parameter `{name}` has no value; write {name}=<value>"
                )));
            }
            // `assume` may be repeated; anything else is named once.
            if name != "assume" && parameters.iter().any(|(n, _)| *n == name) {
                return Err(Error::invalid(format!("parameter `{name}` is given twice")));
            }
            parameters.push((name, value));
        }
        Ok(Self {
            driver: driver.to_owned(),
            transport: transport.to_owned(),
            host,
            port,
            path,
            parameters,
        })
    }
}

/// Takes the zone of an IPv6 address out of a URI (RFC 6874: `[fe80::1%25eth0]`), which RFC 3986
/// alone does not know.
fn without_zone(text: &str) -> Result<(std::borrow::Cow<'_, str>, Option<&str>)> {
    let unchanged = Ok((text.into(), None));
    let Some((head, rest)) = text.split_once("://[") else {
        return unchanged;
    };
    let Some((literal, tail)) = rest.split_once(']') else {
        return unchanged;
    };
    let Some((address, zone)) = literal.split_once("%25") else {
        return unchanged;
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if zone.is_empty() || zone.len() > MAX_ZONE || !zone.chars().all(is_plain) {
        return Err(Error::invalid(
            "the zone of an IPv6 address is the name of a network interface, as in \
             [fe80::1%25eth0]",
        ));
    }
    Ok((format!("{head}://[{address}]{tail}").into(), Some(zone)))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn percent_encode(f: &mut fmt::Formatter<'_>, text: &str, keep: &[u8]) -> fmt::Result {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            write!(f, "{}", char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

impl fmt::Display for DeviceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}://", self.driver, self.transport)?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host.replace('%', "%25"))?
        } else {
            percent_encode(f, &self.host, b"")?
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        percent_encode(f, &self.path, b"/:@")?;
        for (i, (name, value)) in self.parameters.iter().enumerate() {
            f.write_str(if i == 0 { "?" } else { "&" })?;
            percent_encode(f, name, b"")?;
            f.write_str("=")?;
            percent_encode(f, value, b"/:@,")?;
        }
        Ok(())
    }
}

impl fmt::Debug for DeviceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> serde::Deserialize<'de> for DeviceUri {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for DeviceUri {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_zone_is_part_of_the_host() {
        let uri: DeviceUri = "polatis+snmp://[fe80::1%25eth0]:1161?bulk=8"
            .parse()
            .unwrap();
        assert_eq!(
            (uri.host(), uri.authority(161).as_str()),
            ("fe80::1%eth0", "[fe80::1%eth0]:1161")
        );
        assert_eq!(
            uri.to_string(),
            "polatis+snmp://[fe80::1%25eth0]:1161?bulk=8"
        );
        assert_eq!(uri.to_string().parse::<DeviceUri>().unwrap(), uri);
        for wrong in [
            "x+snmp://[fe80::1%25]",
            "x+snmp://[fe80::1%25a/b]",
            "x+snmp://[fe80::1%eth0]",
        ] {
            assert!(wrong.parse::<DeviceUri>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_forms_of_the_field() {
        let uri: DeviceUri = "polatis+serial:///dev/ttyS0?baud=38400".parse().unwrap();
        assert_eq!(
            (uri.driver(), uri.transport(), uri.host(), uri.path()),
            ("polatis", "serial", "", "/dev/ttyS0")
        );
        assert_eq!(
            uri.parse_parameter::<u32>("baud", "a number").unwrap(),
            Some(38400)
        );
        let uri: DeviceUri =
            "packetlight+snmp://[2001:db8::9]:1161?credentials=noc&assume=a&assume=b"
                .parse()
                .unwrap();
        assert_eq!(
            (uri.host(), uri.port(), uri.authority(161).as_str()),
            ("2001:db8::9", Some(1161), "[2001:db8::9]:1161")
        );
        assert_eq!(
            uri.to_string(),
            "packetlight+snmp://[2001:db8::9]:1161?credentials=noc&assume=a&assume=b"
        );
        let uri: DeviceUri = "idq-quantis+usbip://192.0.2.4:3240/1-1".parse().unwrap();
        assert_eq!(uri.path(), "/1-1");
    }

    #[test]
    fn invalid_input_is_named() {
        for (text, says) in [
            ("", "not a URI"),
            ("polatis", "not a URI"),
            ("polatis://192.0.2.7", "names no driver and transport"),
            ("polatis+://192.0.2.7", "names no driver and transport"),
            ("polatis+tcp:192.0.2.7", "`//` is missing"),
            ("polatis+tcp://192.0.2.7:99999", "65535"),
            ("polatis+tcp://192.0.2.7:0", "65535"),
            ("polatis+tcp://192.0.2.7?baud", "has no value"),
            ("polatis+tcp://192.0.2.7?a=1&a=2", "given twice"),
            ("polatis+tcp://192.0.2.7#x", "no `#` part"),
            ("polatis+tcp://192.0.2.7/ x", "not a URI"),
            ("polatis+tcp://192.0.2.7?a=%ff", "not UTF-8"),
        ] {
            let error = text.parse::<DeviceUri>().unwrap_err();
            assert!(error.message().contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_are_refused_and_not_repeated() {
        for text in [
            "packetlight+snmp://admin:hunter2@192.0.2.9",
            "packetlight+snmp://192.0.2.9?community=hunter2",
            "packetlight+snmp://192.0.2.9?Password=hunter2",
        ] {
            let error = format!("{:?}", text.parse::<DeviceUri>().unwrap_err());
            assert!(
                error.contains("credentials file") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,60}") {
            if let Ok(uri) = text.parse::<DeviceUri>() {
                prop_assert_eq!(&uri.to_string().parse::<DeviceUri>().unwrap(), &uri);
            }
        }
        #[test]
        fn displayed_text_parses_back(path in "(/[a-zA-Z0-9 \
            %:._é-]{1,8}){0,3}", value in "\\PC{1,12}") {
            let uri: DeviceUri = "a+b://host:1".parse().unwrap();
            let uri = DeviceUri { path, ..uri }.with_parameter("x", value);
            prop_assert_eq!(uri.to_string().parse::<DeviceUri>().unwrap(), uri);
        }
    }
}
