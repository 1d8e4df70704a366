//! Protection of keys on the network between a KME and this program.

use qkd_hal::{DeviceUri, Error, Result};

/// Checks that keys of this module do not cross the network unencrypted, unless that is accepted.
///
/// Each command that fetches keys calls it before it opens the module. A loopback address is no
/// exception: a tunnel or a port forwarding may begin there. `demo` fetches keys only from the
/// emulators that it starts itself.
///
/// # Errors
/// `InvalidInput` if the KME is reached by http and `is_accepted` is `false`.
pub(crate) fn check(uri: &DeviceUri, is_accepted: bool) -> Result<()> {
    let is_http = |scheme: &str| scheme.eq_ignore_ascii_case("http");
    let is_plain = is_http(uri.transport())
        || uri
            .parameter("kme")
            .is_some_and(|kme| is_http(kme.split(':').next().unwrap_or_default()));
    if !is_plain || is_accepted {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{uri}: this KME is reached by plain http, so its keys would cross the network in clear, \
         and nothing was taken; use https, or accept it with --plain-http"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_refused_unless_it_is_accepted() {
        for (uri, is_plain) in [
            ("etsi014+http://192.0.2.1/?peer=b", true),
            ("etsi014+http://127.0.0.1/?peer=b", true),
            ("etsi014+https://192.0.2.1/?peer=b", false),
            (
                "veriqloud-qline+tcp://192.0.2.1?kme=http://192.0.2.1&peer=b",
                true,
            ),
            (
                "veriqloud-qline+tcp://192.0.2.1?kme=HTTP://192.0.2.1&peer=b",
                true,
            ),
            (
                "veriqloud-qline+tcp://192.0.2.1?kme=https://192.0.2.1&peer=b",
                false,
            ),
            ("veriqloud-qline+tcp://192.0.2.1", false),
        ] {
            let parsed: DeviceUri = uri.parse().unwrap();
            assert_eq!(check(&parsed, false).is_err(), is_plain, "{uri}");
            assert!(check(&parsed, true).is_ok(), "{uri}");
        }
    }
}
