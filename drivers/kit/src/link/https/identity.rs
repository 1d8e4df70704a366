//! Our own certificate and private key, and the CA, from an entry of the credentials.

use super::verify::has_old_version;
use crate::credentials::CredentialEntry;
use qkd_hal::{Error, ErrorKind, Result};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// An error about a field of the entry.
pub(super) fn wrong(entry: &CredentialEntry, field: &str, why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Authentication,
        format!("credentials `{}`: {field}: {why}", entry.name()),
    )
}

/// The authorities of `ca`. With a pin there need not be any.
pub(super) fn roots(entry: &CredentialEntry, optional: bool) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if optional && entry.get("ca").is_none() {
        return Ok(roots);
    }
    for ca in certificates(entry, "ca")? {
        roots.add(ca).map_err(|e| wrong(entry, "ca", e))?;
    }
    Ok(roots)
}

/// Our certificate and what it was issued by.
pub(super) fn chain(entry: &CredentialEntry) -> Result<Vec<CertificateDer<'static>>> {
    let chain = certificates(entry, "cert")?;
    if chain.first().is_some_and(has_old_version) {
        return Err(wrong(
            entry,
            "cert",
            "the certificate is of X.509 version 1 or 2, which TLS libraries refuse; have it \
             reissued as version 3",
        ));
    }
    Ok(chain)
}

fn certificates(entry: &CredentialEntry, field: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(&entry.pem(field)?)
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| wrong(entry, field, e))?;
    if found.is_empty() {
        return Err(wrong(entry, field, "the file holds no PEM certificate"));
    }
    Ok(found)
}

/// Reads the private key of the client.
pub(super) fn private_key(entry: &CredentialEntry) -> Result<PrivateKeyDer<'static>> {
    let pem = entry.pem("key")?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        // PKCS#8 names it in the label, the older form of OpenSSL in a header.
        let is_encrypted = [
            &b"-----BEGIN ENCRYPTED PRIVATE KEY-----"[..],
            b"4,ENCRYPTED",
        ]
        .iter()
        .any(|mark| pem.windows(mark.len()).any(|w| w == *mark));
        let why = if is_encrypted {
            "the private key is encrypted with a passphrase, which is not supported; write it \
             without one (`openssl pkey -in <key> -out <new key>`) into a file with mode 600"
        } else {
            "the file holds no PEM private key"
        };
        wrong(entry, "key", why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_encrypted_private_key_is_named_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        for (text, words) in [
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nTUlJ\n-----END ENCRYPTED PRIVATE \
                 KEY-----\n",
                "encrypted with a passphrase",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                 DEK-Info: AES-128-CBC,00\n\nTUlJ\n-----END RSA PRIVATE KEY-----\n",
                "encrypted with a passphrase",
            ),
            ("nonsense\n", "no PEM private key"),
        ] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let entry = CredentialEntry::new("sae").with("key", path.display().to_string());
            let error = private_key(&entry).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Authentication);
            assert!(error.message().contains(words), "{error}");
            assert!(!error.message().contains("TUlJ"), "{error}");
        }
    }
}
