//! Options of an SNMP link, from its URI.

use qkd_hal::{DeviceUri, Error, Result};

/// Maximum number of rows that one GETBULK may ask for.
pub(super) const MAX_REPETITIONS: u32 = 1000;
/// Maximum number of varbinds of one GET (RFC 3416 allows 2147483647; a datagram does not).
const MAX_VARBINDS: usize = 1000;

/// The client library that encodes, authenticates and decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnmpClientLibrary {
    /// The library `async-snmp`.
    #[default]
    AsyncSnmp,
    /// The library `snmp2`.
    #[cfg(feature = "snmp2")]
    Snmp2,
}

/// Settings of an SNMP link that are not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnmpOptions {
    /// Client library for the agent; `client=` in a URI.
    pub client: SnmpClientLibrary,
    /// Rows of the first GETBULK, 1 to 1000; `bulk=`. 1 selects GETNEXT. The link reduces it if an
    /// agent or the network does not carry this size.
    pub bulk: u32,
    /// Varbinds of the first GET, 1 to 1000; `varbinds=`. Lowered as `bulk` is.
    pub varbinds: usize,
    /// Whether an SNMPv2c reply is accepted from another address than the request was sent to;
    /// `source=any`. SNMPv2c does not authenticate, so any host can send such a reply.
    pub any_source: bool,
}

impl Default for SnmpOptions {
    fn default() -> Self {
        Self {
            client: SnmpClientLibrary::default(),
            bulk: 32,
            varbinds: 64,
            any_source: false,
        }
    }
}

impl SnmpOptions {
    /// Reads the parameters of a URI.
    ///
    /// # Errors
    /// `InvalidInput`, naming the parameter and what it takes.
    pub fn from_uri(uri: &DeviceUri) -> Result<Self> {
        let mut options = Self::default();
        let wrong = |name: &str, takes: &str| {
            let value = uri.parameter(name).unwrap_or_default();
            Error::invalid(format!(
                "invalid `{name}={value}` in {uri}: it takes {takes}"
            ))
        };
        match uri.parameter("client") {
            None | Some("async-snmp") => {}
            #[cfg(feature = "snmp2")]
            Some("snmp2") => options.client = SnmpClientLibrary::Snmp2,
            Some(_) if cfg!(feature = "snmp2") => {
                return Err(wrong("client", "async-snmp or snmp2"));
            }
            Some(_) => {
                return Err(wrong(
                    "client",
                    "async-snmp (built without the feature snmp2)",
                ));
            }
        }
        if let Some(bulk) = uri.parse_parameter("bulk", "the rows of a GETBULK, 1 to 1000")? {
            options.bulk = bulk;
        }
        if let Some(n) = uri.parse_parameter("varbinds", "the varbinds of a GET, 1 to 1000")? {
            options.varbinds = n;
        }
        if !(1..=MAX_REPETITIONS).contains(&options.bulk) {
            return Err(wrong("bulk", "the rows of a GETBULK, 1 to 1000"));
        }
        if !(1..=MAX_VARBINDS).contains(&options.varbinds) {
            return Err(wrong("varbinds", "the varbinds of a GET, 1 to 1000"));
        }
        match uri.parameter("source") {
            None => {}
            Some("any") => options.any_source = true,
            Some(_) => return Err(wrong("source", "any")),
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(query: &str) -> Result<SnmpOptions> {
        SnmpOptions::from_uri(&format!("x+snmp://192.0.2.1?{query}").parse().unwrap())
    }

    #[test]
    fn parameters_are_read_or_refused_with_what_they_take() {
        let read = options("bulk=8&varbinds=4&source=any&client=async-snmp").unwrap();
        assert_eq!((read.bulk, read.varbinds, read.any_source), (8, 4, true));
        for wrong in [
            "bulk=0",
            "bulk=1001",
            "bulk=x",
            "varbinds=0",
            "source=all",
            "client=z",
        ] {
            let error = options(wrong).unwrap_err();
            assert!(error.message().contains(wrong), "{error}");
        }
    }
}
