//! A small public-key infrastructure for tests and emulators: one authority, one server, any number of SAEs.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use zeroize::Zeroizing;

/// A certificate and its private key, both PEM.
pub struct Pair {
    /// Certificate.
    pub cert: String,
    /// Private key.
    pub key: Zeroizing<String>,
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
    pub fn server(&self, name: &str) -> Result<Pair, rcgen::Error> {
        self.issue(
            CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()])?,
            name,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }
    /// A client's certificate whose common name is the SAE id.
    ///
    /// # Errors
    /// If the crypto library refuses.
    pub fn client(&self, sae: &str) -> Result<Pair, rcgen::Error> {
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
    ) -> Result<Pair, rcgen::Error> {
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(Pair {
            cert: params.signed_by(&key, &self.issuer)?.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }
}
