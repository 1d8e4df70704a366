//! Credentials and protocols of the SNMP client.

use super::super::snmp::SecurityLevel;
use crate::credentials::CredentialEntry;
use qkd_hal::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Credentials of an SNMP link. Shows no password.
#[derive(Clone)]
pub enum SnmpSecurity {
    /// SNMPv2c: for reading only, in clear.
    V2c {
        /// SNMPv2c community.
        community: Zeroizing<String>,
    },
    /// SNMPv3 with the user-based security model (RFC 3414).
    V3 {
        /// User name (USM).
        user: String,
        /// Authentication protocol and password; `None` for noAuth.
        auth: Option<(AuthProtocol, Zeroizing<String>)>,
        /// Privacy protocol and password; `None` for noPriv.
        privacy: Option<(PrivProtocol, Zeroizing<String>)>,
        /// contextName (RFC 3411, 3.3.5); empty is the default context.
        context_name: String,
    },
}

/// Authentication protocols of USM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthProtocol {
    /// HMAC-MD5-96 (RFC 3414).
    Md5,
    /// HMAC-SHA-96 (RFC 3414).
    Sha1,
    /// HMAC-SHA-224 with 128-bit tag (RFC 7860).
    Sha224,
    /// HMAC-SHA-256 with 192-bit tag (RFC 7860).
    Sha256,
    /// HMAC-SHA-384 with 256-bit tag (RFC 7860).
    Sha384,
    /// HMAC-SHA-512 with 384-bit tag (RFC 7860).
    Sha512,
}

/// Privacy protocols of USM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivProtocol {
    /// CBC-DES (RFC 3414).
    Des,
    /// CFB with AES-128 (RFC 3826).
    Aes128,
    /// CFB-AES-192 with the key extension of draft-blumenthal-aes-usm-04.
    Aes192Blumenthal,
    /// CFB-AES-192 with the key extension of draft-reeder-snmpv3-usm-3desede-00, as Cisco's.
    Aes192Reeder,
    /// CFB-AES-256 with the key extension of draft-blumenthal-aes-usm-04.
    Aes256Blumenthal,
    /// CFB-AES-256 with the key extension of draft-reeder-snmpv3-usm-3desede-00, as Cisco's.
    Aes256Reeder,
}

impl SnmpSecurity {
    /// From an entry of the credentials file: `community`, or `user` with `auth_password` and
    /// `priv_password`.
    ///
    /// # Errors
    /// `Authentication`, naming the field that is missing or wrong.
    pub fn from_entry(entry: &CredentialEntry) -> Result<Self> {
        let wrong = |field: &str, right: &str| {
            Error::new(
                ErrorKind::Authentication,
                format!("credentials `{}`: {field} takes {right}", entry.name()),
            )
        };
        if let Some(community) = entry.get("community") {
            return Ok(Self::V2c {
                community: Zeroizing::new(community.to_owned()),
            });
        }
        let user = entry.require("user")?.to_owned();
        // RFC 3414, 11.2: at least eight characters.
        let password = |field: &str| match entry.get(field) {
            Some(p) if p.len() < 8 => Err(wrong(field, "at least 8 characters")),
            p => Ok(p.map(|p| Zeroizing::new(p.to_owned()))),
        };
        let auth_protocol = match entry
            .get("auth_protocol")
            .unwrap_or("SHA-256")
            .to_ascii_uppercase()
            .replace('-', "")
            .as_str()
        {
            "MD5" => AuthProtocol::Md5,
            "SHA" | "SHA1" => AuthProtocol::Sha1,
            "SHA224" => AuthProtocol::Sha224,
            "SHA256" => AuthProtocol::Sha256,
            "SHA384" => AuthProtocol::Sha384,
            "SHA512" => AuthProtocol::Sha512,
            _ => {
                return Err(wrong(
                    "auth_protocol",
                    "MD5, SHA-1, SHA-224, SHA-256, SHA-384 or SHA-512",
                ));
            }
        };
        let priv_protocol = match entry
            .get("priv_protocol")
            .unwrap_or("AES")
            .to_ascii_uppercase()
            .replace('-', "")
            .as_str()
        {
            "DES" => PrivProtocol::Des,
            "AES" | "AES128" => PrivProtocol::Aes128,
            // The names with a C are net-snmp's, after Cisco's way of extending the key.
            "AES192" => PrivProtocol::Aes192Blumenthal,
            "AES192C" => PrivProtocol::Aes192Reeder,
            "AES256" => PrivProtocol::Aes256Blumenthal,
            "AES256C" => PrivProtocol::Aes256Reeder,
            _ => {
                let right = "DES, AES, AES-192, AES-256, AES-192-C or AES-256-C";
                return Err(wrong("priv_protocol", right));
            }
        };
        let auth = password("auth_password")?.map(|p| (auth_protocol, p));
        let privacy = password("priv_password")?.map(|p| (priv_protocol, p));
        if privacy.is_some() && auth.is_none() {
            return Err(wrong("priv_password", "an auth_password as well"));
        }
        Ok(Self::V3 {
            user,
            auth,
            privacy,
            context_name: entry.get("context_name").unwrap_or_default().to_owned(),
        })
    }

    pub(super) fn level(&self) -> SecurityLevel {
        match self {
            Self::V3 {
                privacy: Some(_), ..
            } => SecurityLevel::AuthPriv,
            Self::V3 { auth: Some(_), .. } => SecurityLevel::AuthNoPriv,
            _ => SecurityLevel::NoAuthNoPriv,
        }
    }
}

impl std::fmt::Debug for SnmpSecurity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V2c { .. } => f.write_str("Security(v2c)"),
            Self::V3 { user, .. } => write!(f, "Security(v3 {user}, {:?})", self.level()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatches_are_named_and_no_password_is_shown() {
        let noc = CredentialEntry::new("noc").with("user", "noc");
        let full = noc
            .clone()
            .with("auth_password", "hunter22a")
            .with("priv_password", "hunter22p");
        let security = SnmpSecurity::from_entry(&full).unwrap();
        assert_eq!(security.level(), SecurityLevel::AuthPriv);
        assert_eq!(format!("{security:?}"), "Security(v3 noc, AuthPriv)");
        assert_eq!(
            SnmpSecurity::from_entry(&noc).unwrap().level(),
            SecurityLevel::NoAuthNoPriv
        );
        for (entry, says) in [
            (
                CredentialEntry::new("noc").with("auth_password", "hunter22"),
                "no `user`",
            ),
            (noc.clone().with("auth_password", "short"), "at least 8"),
            (
                noc.clone().with("priv_password", "hunter22p"),
                "an auth_password",
            ),
            (full.clone().with("auth_protocol", "SHA-3"), "SHA-256"),
            (full.with("priv_protocol", "ROT13"), "AES-256"),
        ] {
            let error = SnmpSecurity::from_entry(&entry).unwrap_err();
            assert!(
                error.message().contains(says) && !error.message().contains("hunter"),
                "{error}"
            );
        }
    }
}
