//! Keys that sign bundles: Ed25519 in the formats of OpenSSL (PKCS#8 and SubjectPublicKeyInfo,
//! PEM).

use ed25519_dalek::{
    SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
        spki::der::pem::LineEnding,
    },
};
use qkd_driver_kit::{credentials::check_private, program::files};
use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};
use std::{fs::File, io::Read, path::Path};
use zeroize::{Zeroize, Zeroizing};

/// Maximum number of bytes that are read of a key file. An Ed25519 key in PEM has about 120.
const MAX_KEY_FILE_BYTES: u64 = 16_384;

/// Generates a key with the random number generator of the operating system.
///
/// # Errors
/// If the random number generator fails.
pub fn generate() -> Result<SigningKey, String> {
    let mut seed = [0; 32];
    SysRng
        .try_fill_bytes(&mut seed)
        .map_err(|e| format!("the random number generator of the operating system failed: {e}"))?;
    let key = SigningKey::from_bytes(&seed);
    seed.zeroize();
    Ok(key)
}

/// Writes a private key to a new file that only its owner can read (mode 600).
///
/// # Errors
/// Error text with the path, if the file exists or cannot be written.
pub fn save_private(key: &SigningKey, path: &Path) -> Result<(), String> {
    // Without the public key, because OpenSSL reads only that form.
    let mut bytes = KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    };
    let pem = bytes
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|_| "the key could not be encoded".to_owned());
    bytes.secret_key.zeroize();
    save(path, 0o600, pem?.as_bytes())
}

/// Writes a public key to a new file (mode 644).
///
/// # Errors
/// Error text with the path, if the file exists or cannot be written.
pub fn save_public(key: &VerifyingKey, path: &Path) -> Result<(), String> {
    save(path, 0o644, public_pem(key)?.as_bytes())
}

fn save(path: &Path, mode: u32, content: &[u8]) -> Result<(), String> {
    files::write_new(path, mode, content).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            format!("{} exists, and is not overwritten", path.display())
        }
        _ => format!("{}: {e}", path.display()),
    })
}

/// Reads a private key.
///
/// # Errors
/// Error text with the path, if the file cannot be read, other users can read it, or it does not
/// contain an Ed25519 private key. The text contains no part of the file.
pub fn read_private(path: &Path) -> Result<SigningKey, String> {
    let text = read(path, true)?;
    SigningKey::from_pkcs8_pem(&text).map_err(|_| {
        format!(
            "{} does not contain an Ed25519 private key (PKCS#8, PEM, without a password)",
            path.display()
        )
    })
}

/// Reads a public key.
///
/// # Errors
/// Error text with the path, if the file cannot be read or does not contain an Ed25519 public key.
pub fn read_public(path: &Path) -> Result<VerifyingKey, String> {
    let text = read(path, false)?;
    VerifyingKey::from_public_key_pem(&text).map_err(|_| {
        format!(
            "{} does not contain an Ed25519 public key (PEM)",
            path.display()
        )
    })
}

/// Reads a key file. `secret`: refuses a file that other users can read.
fn read(path: &Path, secret: bool) -> Result<Zeroizing<String>, String> {
    let read_error = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = File::open(path).map_err(read_error)?;
    if secret {
        let meta = file.metadata().map_err(read_error)?;
        check_private(&meta).map_err(|why| {
            format!(
                "{}: {why}, or create a new key if another user may have read it",
                path.display()
            )
        })?;
    }
    // Allocated with the full size, because a string that grows leaves copies in memory.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE_BYTES as usize));
    file.take(MAX_KEY_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(read_error)?;
    Ok(text)
}

/// Returns a public key in PEM (SubjectPublicKeyInfo).
///
/// # Errors
/// If it cannot be encoded.
pub fn public_pem(key: &VerifyingKey) -> Result<String, String> {
    key.to_public_key_pem(LineEnding::LF)
        .map_err(|e| format!("the public key could not be encoded: {e}"))
}

/// Returns the fingerprint of a key, which people compare over another channel: SHA-256 over its
/// SubjectPublicKeyInfo (DER) in hexadecimal, as `openssl pkey -pubin -outform DER | sha256sum`
/// prints it.
///
/// # Errors
/// If the key cannot be encoded.
pub fn fingerprint(key: &VerifyingKey) -> Result<String, String> {
    let der = key
        .to_public_key_der()
        .map_err(|e| format!("the public key could not be encoded: {e}"))?;
    Ok(hex::encode(Sha256::digest(der.as_bytes())))
}
