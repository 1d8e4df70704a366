//! Certificates of X.509 version 1, which `rcgen` does not make.

use rcgen::{Error, KeyPair, SigningKey};
use rustls::pki_types::{CertificateDer, pem::PemObject};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// `[0]`: version. Version 1 is its default, and DER leaves defaults out.
const VERSION: u8 = 0xa0;
/// `[3]`: extensions, of version 3 only.
const EXTENSIONS: u8 = 0xa3;

/// Returns the certificate in PEM as version 1, signed again by `issuer`.
pub(crate) fn version_one(pem: &str, issuer: &KeyPair) -> Result<String, Error> {
    let unreadable = || Error::CouldNotParseCertificate;
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())?;
    let (_, certificate, _) = element(&certificate).ok_or_else(unreadable)?;
    let (_, fields, rest) = element(certificate).ok_or_else(unreadable)?;
    let algorithm_length = rest.len() - element(rest).ok_or_else(unreadable)?.2.len();
    let mut kept = Vec::new();
    let mut left = fields;
    while !left.is_empty() {
        let (tag, _, next) = element(left).ok_or_else(unreadable)?;
        if tag != VERSION && tag != EXTENSIONS {
            kept.extend_from_slice(&left[..left.len() - next.len()]);
        }
        left = next;
    }
    let fields = wrap(SEQUENCE, &kept);
    let mut signature = vec![0];
    signature.extend(issuer.sign(&fields)?);
    let whole = [
        fields.as_slice(),
        &rest[..algorithm_length],
        &wrap(BIT_STRING, &signature),
    ]
    .concat();
    Ok(pem_of(&wrap(SEQUENCE, &whole)))
}

fn pem_of(der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .filter_map(|at| text.get(at..(at + 64).min(text.len())))
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

/// The first element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = bytes
            .iter()
            .try_fold(0usize, |n, b| Some(n.checked_mul(256)? + usize::from(*b)))?;
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|b| **b == 0).count();
            #[expect(clippy::cast_possible_truncation, reason = "at most eight bytes")]
            out.push(0x80 | (length.len() - zeros) as u8);
            out.extend_from_slice(&length[zeros..]);
        }
    }
    out.extend_from_slice(content);
    out
}
