//! Files that hold secrets: new, and readable by their owner alone.

use qkd_hal::{Error, ErrorKind, Key, KeyId, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};
use zeroize::Zeroizing;

/// Makes a new file that only its owner may read; refuses one that exists.
pub(super) fn create(path: &Path) -> Result<File> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| {
            Error::invalid(format!(
                "file {} cannot be made: {e}; a file that exists is never overwritten",
                path.display()
            ))
        })
}

/// Writes all of it, down to the disk.
pub(super) fn write(mut file: File, path: &Path, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|e| {
            Error::new(
                ErrorKind::Internal,
                format!("file {} could not be written: {e}", path.display()),
            )
        })
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: String,
    hex: Zeroizing<String>,
}

/// Writes keys into a file made by [`create`].
pub(super) fn write_keys(file: File, path: &Path, keys: &[Key]) -> Result<()> {
    let entries: Vec<Entry> = keys
        .iter()
        .map(|key| Entry {
            id: key.id().to_string(),
            hex: Zeroizing::new(hex::encode(key.expose())),
        })
        .collect();
    // As large as it will get: a buffer that grows leaves its contents behind.
    let room = entries
        .iter()
        .map(|e| e.id.len() + e.hex.len() + 64)
        .sum::<usize>()
        + 64;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer_pretty(&mut *text, &entries)
        .map_err(|_| Error::new(ErrorKind::Internal, "the keys could not be written down"))?;
    write(file, path, &text)
}

/// Reads a key: the first of the file, or the one named.
pub(super) fn read_key(path: &Path, wanted: Option<&KeyId>) -> Result<Key> {
    let problem = |why: &str| Error::invalid(format!("key file {}: {why}", path.display()));
    let meta = std::fs::metadata(path).map_err(|e| problem(&e.to_string()))?;
    if meta.mode() & 0o077 != 0 {
        return Err(Error::new(
            ErrorKind::Authentication,
            format!(
                "key file {}: others may read it; make it yours alone with chmod 600",
                path.display()
            ),
        ));
    }
    let text = Zeroizing::new(std::fs::read(path).map_err(|e| problem(&e.to_string()))?);
    let entries: Vec<Entry> = serde_json::from_slice(&text)
        .map_err(|_| problem("it was not made by `qkdctl key take`"))?;
    for entry in entries {
        let id: KeyId = entry.id.parse()?;
        if wanted.is_none_or(|w| *w == id) {
            let bytes = hex::decode(entry.hex.as_bytes())
                .map_err(|_| problem("a key is no hexadecimal text"))?;
            return Ok(Key::new(id, Zeroizing::new(bytes)));
        }
    }
    Err(problem(&wanted.map_or_else(
        || "it holds no key".to_owned(),
        |w| format!("it holds no key {w}"),
    )))
}
