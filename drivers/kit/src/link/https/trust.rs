//! Verification of the server certificate, as configured in the URI.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use qkd_hal::{DeviceUri, Error, Result};
use rustls::pki_types::ServerName;

/// URI parameter: the name that the server's certificate must cover, instead of the URI's host.
pub const SERVER_NAME: &str = "server-name";
/// URI parameter: SHA-256 of the SubjectPublicKeyInfo of the server's certificate, in hexadecimal
/// digits or Base64. The pin replaces the check of issuer, name and dates.
pub const PIN: &str = "pin-sha256";

/// Method by which the server certificate is verified.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) pin: Option<[u8; 32]>,
}

impl Trust {
    /// Reads the parameters of a URI.
    ///
    /// # Errors
    /// `InvalidInput` if a value is not a valid name or not a SHA-256 digest.
    pub fn from_uri(uri: &DeviceUri) -> Result<Self> {
        let server_name = uri.parameter(SERVER_NAME).map(|name| {
            ServerName::try_from(name.to_owned()).map_err(|_| {
                Error::invalid(format!(
                    "{SERVER_NAME}={name}: it takes a DNS name or an IP address"
                ))
            })
        });
        let pin = uri.parameter(PIN).map(|text| {
            read_pin(text).ok_or_else(|| {
                Error::invalid(format!(
                    "{PIN}={text}: it takes the SHA-256 of the SubjectPublicKeyInfo, as 64 \
                     hexadecimal digits or in Base64"
                ))
            })
        });
        Ok(Self {
            server_name: server_name.transpose()?,
            pin: pin.transpose()?,
        })
    }
}

fn read_pin(text: &str) -> Option<[u8; 32]> {
    let digits = text.trim_end_matches('=');
    let bytes = hex::decode(text)
        .or_else(|_| STANDARD_NO_PAD.decode(digits))
        .or_else(|_| URL_SAFE_NO_PAD.decode(digits));
    bytes.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(query: &str) -> Result<Trust> {
        Trust::from_uri(&format!("x+https://kme/?{query}").parse().unwrap())
    }

    #[test]
    fn a_pin_is_read_in_hexadecimal_digits_and_in_base64() {
        let pin = [0xfb; 32];
        for text in [
            hex::encode(pin),
            STANDARD_NO_PAD.encode(pin) + "%3D",
            URL_SAFE_NO_PAD.encode(pin),
        ] {
            let text = text.replace('+', "%2B").replace('/', "%2F");
            assert_eq!(trust(&format!("pin-sha256={text}")).unwrap().pin, Some(pin));
        }
        for bad in ["pin-sha256=00", "pin-sha256=zz", "server-name=a%20b"] {
            let error = trust(bad).unwrap_err();
            assert!(error.message().contains("it takes"), "{error}");
        }
    }
}
