//! The check of a server's certificate, with errors that name what is wrong and what to do.

use super::trust::Trust;
use qkd_hal::text::printable;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    time::ASN1Time,
};

/// The longest name of a certificate that is shown, in characters.
const MAX_NAME: usize = 120;
/// Maximum number of names of a certificate that are shown.
const MAX_NAMES: usize = 8;

/// Problem of a server certificate, as text for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateFault(String);

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for CertificateFault {}

fn fault(text: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
        CertificateFault(text),
    ))))
}

/// Checks by the pin where there is one, otherwise by issuer, name and dates.
#[derive(Debug)]
pub(super) struct Verifier {
    by_issuer: Option<Arc<WebPkiServerVerifier>>,
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Trusts what these authorities issued; without any, only a pin lets a server in.
    pub(super) fn new(
        roots: RootCertStore,
        trust: Trust,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let by_issuer = if roots.is_empty() {
            None
        } else {
            let builder =
                WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
            Some(builder.build().map_err(|e| e.to_string())?)
        };
        Ok(Self {
            by_issuer,
            trust,
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        url_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(pin) = self.trust.pin {
            let key = key_of(certificate)?;
            let digest = digest(&key);
            if digest == pin {
                return Ok(ServerCertVerified::assertion());
            }
            return Err(fault(format!(
                "the SHA-256 of its key is {}, and pin-sha256 is {}; another server responds, or \
                 its key was renewed: compare the key with the server's operator",
                hex::encode(digest),
                hex::encode(pin)
            )));
        }
        let name = self.trust.server_name.as_ref().unwrap_or(url_name);
        let Some(by_issuer) = &self.by_issuer else {
            return Err(fault("there is no CA to check it with".to_owned()));
        };
        by_issuer
            .verify_server_cert(certificate, intermediates, name, ocsp, now)
            .map_err(|error| explain(error, certificate, name))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms).map_err(|error| {
            if is_version_one(certificate) {
                fault(
                    "it is of X.509 version 1, which is accepted over TLS 1.3 only, and the server \
                     chose TLS 1.2; have it reissued as version 3"
                        .to_owned(),
                )
            } else {
                error
            }
        })
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.trust.pin.is_none() {
            return verify_tls13_signature(message, certificate, signature, &self.algorithms);
        }
        // Only the key counts: the rest of a pinned certificate may be of any form.
        let key = key_of(certificate)?;
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate)
}

fn is_version_one(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_some_and(|c| c.version().0 == 0)
}

/// Returns whether a certificate has a version that TLS libraries refuse.
pub(super) fn has_old_version(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_some_and(|c| c.version().0 < 2)
}

/// The certificate's SubjectPublicKeyInfo, in DER.
fn key_of(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, Error> {
    parse(certificate)
        .map(|c| c.public_key().raw.to_vec())
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Names the fault. Text of the certificate is from outside, and made safe to show.
fn explain(error: Error, certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Error {
    use CertificateError as E;
    let Error::InvalidCertificate(kind) = &error else {
        return error;
    };
    let Some(c) = parse(certificate) else {
        return fault("it cannot be read as an X.509 certificate".to_owned());
    };
    let subject = printable(&c.subject().to_string(), MAX_NAME).into_owned();
    let issuer = printable(&c.issuer().to_string(), MAX_NAME).into_owned();
    let self_signed = c.subject().as_raw() == c.issuer().as_raw();
    let what = if c.version().0 < 2 {
        format!(
            "it is of X.509 version {}, which has no names to check; have it reissued as \
             version 3 with a subjectAltName",
            c.version().0 + 1
        )
    } else {
        match kind {
            E::Expired | E::ExpiredContext { .. } => format!(
                "it expired on {}; have it renewed, or set this machine's clock",
                date(&c.validity().not_after)
            ),
            E::NotValidYet | E::NotValidYetContext { .. } => format!(
                "it is valid from {} only; set this machine's clock, or have it reissued",
                date(&c.validity().not_before)
            ),
            E::NotValidForName | E::NotValidForNameContext { .. } => {
                not_for_name(&c, &subject, name)
            }
            _ if self_signed => format!(
                "it is self-signed (`{subject}`), and the `ca` of the credentials does not name \
                 it; have it issued by a CA"
            ),
            E::UnknownIssuer => format!(
                "its issuer `{issuer}` is not in the `ca` of the credentials; add the CA's \
                 certificate there"
            ),
            E::BadSignature => format!(
                "it was not signed by the `{issuer}` in the `ca` of the credentials; put the \
                 server's CA there"
            ),
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
                "it is not for servers (extendedKeyUsage); have it issued for server \
                 authentication"
                    .to_owned()
            }
            _ => error.to_string(),
        }
    };
    let key = hex::encode(digest(c.public_key().raw));
    fault(format!(
        "{what}, or pin its key: pin-sha256={key} if the server's operator confirms it"
    ))
}

fn not_for_name(c: &X509Certificate<'_>, subject: &str, name: &ServerName<'_>) -> String {
    let names: Vec<String> = c
        .extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .filter_map(shown)
        .take(MAX_NAMES)
        .collect();
    let wanted = name.to_str();
    if names.is_empty() {
        format!(
            "it does not cover `{wanted}`: it has no subjectAltName, and its subject `{subject}` \
             is not a name that can be checked; have it reissued with one"
        )
    } else {
        format!(
            "it does not cover `{wanted}`, only {}; write server-name=<one of these> if this is \
             the right server",
            names.join(", ")
        )
    }
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("`{}`", printable(name, MAX_NAME))),
        GeneralName::IPAddress(bytes) => {
            let address: std::net::IpAddr = match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok()?.into(),
                _ => <[u8; 16]>::try_from(*bytes).ok()?.into(),
            };
            Some(format!("`{address}`"))
        }
        _ => None,
    }
}

/// Formats a time as in RFC 3339.
fn date(time: &ASN1Time) -> String {
    let t = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second()
    )
}
