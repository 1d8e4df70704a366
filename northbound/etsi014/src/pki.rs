//! A small public-key infrastructure for tests and emulators: one authority, one server, any number
//! of SAEs.

use crate::der::version_one;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use zeroize::Zeroizing;

/// A certificate and its private key, both PEM.
pub struct CertifiedKey {
    /// Certificate in PEM.
    pub cert: String,
    /// Private key in PEM.
    pub key: Zeroizing<String>,
}

/// Fault of a server certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// The certificate has X.509 version 1.
    VersionOne,
    /// The certificate is self-signed.
    SelfSigned,
    /// Its subjectAltName has another name.
    OtherName,
    /// It has a common name and no subjectAltName.
    NoName,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// Issued by another authority.
    UnknownIssuer,
}

impl CertificateFault {
    /// All faults, by the name that a setting has for them.
    pub const ALL: [(&str, Self); 7] = [
        ("version-1", Self::VersionOne),
        ("self-signed", Self::SelfSigned),
        ("other-name", Self::OtherName),
        ("no-name", Self::NoName),
        ("expired", Self::Expired),
        ("not-yet-valid", Self::NotYetValid),
        ("unknown-issuer", Self::UnknownIssuer),
    ];
}

/// An authority that lives in memory.
pub struct TestPki {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl TestPki {
    /// A new authority.
    ///
    /// # Errors
    /// If the crypto library refuses.
    pub fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
        })
    }
    /// The authority's certificate, PEM.
    #[must_use]
    pub fn ca(&self) -> String {
        self.issuer.pem()
    }
    /// A server's certificate for 127.0.0.1 and localhost, with CA:FALSE.
    ///
    /// # Errors
    /// If the crypto library refuses.
    pub fn server(&self, name: &str) -> Result<CertifiedKey, rcgen::Error> {
        self.issue(
            CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()])?,
            name,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }
    /// A server's certificate with this fault, for the same names.
    ///
    /// # Errors
    /// If the crypto library refuses.
    pub fn faulty_server(
        &self,
        name: &str,
        fault: CertificateFault,
    ) -> Result<CertifiedKey, rcgen::Error> {
        use CertificateFault as F;
        let names = match fault {
            F::OtherName => vec!["kme.example".into()],
            F::NoName => vec![],
            _ => vec!["localhost".into(), "127.0.0.1".into()],
        };
        let mut params = CertificateParams::new(names)?;
        match fault {
            F::Expired => {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }
            F::NotYetValid => {
                params.not_before = date_time_ymd(2999, 1, 1);
                params.not_after = date_time_ymd(3000, 1, 1);
            }
            _ => {}
        }
        match fault {
            F::SelfSigned => {
                params.distinguished_name.push(DnType::CommonName, name);
                let key = KeyPair::generate()?;
                Ok(CertifiedKey {
                    cert: params.self_signed(&key)?.pem(),
                    key: Zeroizing::new(key.serialize_pem()),
                })
            }
            F::UnknownIssuer => {
                Self::new("another CA")?.issue(params, name, ExtendedKeyUsagePurpose::ServerAuth)
            }
            F::VersionOne => {
                let pair = self.issue(params, name, ExtendedKeyUsagePurpose::ServerAuth)?;
                Ok(CertifiedKey {
                    cert: version_one(&pair.cert, self.issuer.key())?,
                    key: pair.key,
                })
            }
            _ => self.issue(params, name, ExtendedKeyUsagePurpose::ServerAuth),
        }
    }
    /// A client's certificate whose common name is the SAE id.
    ///
    /// # Errors
    /// If the crypto library refuses.
    pub fn client(&self, sae: &str) -> Result<CertifiedKey, rcgen::Error> {
        self.issue(
            CertificateParams::default(),
            sae,
            ExtendedKeyUsagePurpose::ClientAuth,
        )
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<CertifiedKey, rcgen::Error> {
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(CertifiedKey {
            cert: params.signed_by(&key, &self.issuer)?.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }
}
