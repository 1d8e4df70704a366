//! Files that hold secrets: new, and readable by their owner alone.

use qkd_driver_kit::{credentials::check_private, program::files::NewFile};
use qkd_hal::{Effect, Error, ErrorKind, Key, KeyId, Result};
use serde::{Deserialize, Serialize};
use std::{fs::File, io::Read, path::Path};
use zeroize::Zeroizing;

/// Begins a new file that only its owner may read, with room for `bytes`.
///
/// # Errors
/// `InvalidInput` if there is something of that name, or no file can be made there or has no room.
pub(super) fn create(path: &Path, bytes: usize) -> Result<NewFile> {
    let begun = NewFile::create(path, 0o600).and_then(|file| {
        file.reserve(bytes as u64)?;
        Ok(file)
    });
    begun.map_err(|e| Error::invalid(format!("file {} cannot be made: {e}", path.display())))
}

/// Writes the whole content to the disk, then gives the file its name.
///
/// # Errors
/// `Internal`; the file then does not exist.
pub(super) fn finish(file: NewFile, path: &Path, bytes: &[u8]) -> Result<()> {
    file.finish(bytes).map_err(|e| {
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

/// The largest file of keys that is read, in bytes.
const MAX_KEY_FILE: u64 = 64 << 20;

/// Size of a key in a file, in bytes, in addition to the hexadecimal digits of its value.
const ENTRY_OVERHEAD: usize = 64;

/// The room that `count` keys of `bits` each take, in bytes; ids have 36 characters.
pub(super) fn room(count: usize, bits: u64) -> usize {
    let digits = usize::try_from(bits / 4).unwrap_or(usize::MAX);
    count
        .saturating_mul(digits.saturating_add(36 + ENTRY_OVERHEAD))
        .saturating_add(ENTRY_OVERHEAD)
}

/// Writes keys into a file begun by [`create`].
///
/// # Errors
/// `Internal`, with effect `Partial`: the keys have left the store. The file then does not exist.
pub(super) fn finish_keys(file: NewFile, path: &Path, keys: &[Key]) -> Result<()> {
    let entries: Vec<Entry> = keys
        .iter()
        .map(|key| Entry {
            id: key.id().to_string(),
            hex: Zeroizing::new(hex::encode(key.expose())),
        })
        .collect();
    // Allocated with the final size: a buffer that grows leaves its content in memory.
    let room = entries
        .iter()
        .map(|e| e.id.len() + e.hex.len() + ENTRY_OVERHEAD)
        .sum::<usize>()
        + ENTRY_OVERHEAD;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer_pretty(&mut *text, &entries)
        .map_err(|_| Error::new(ErrorKind::Internal, "the keys could not be written down"))
        .and_then(|()| finish(file, path, &text))
        .map_err(|e| e.with_effect(Effect::Partial))
}

/// Reads a key: the first of the file, or the one named.
pub(super) fn read_key(path: &Path, wanted: Option<&KeyId>) -> Result<Key> {
    let problem = |why: &str| Error::invalid(format!("key file {}: {why}", path.display()));
    let mut file = File::open(path).map_err(|e| problem(&e.to_string()))?;
    let meta = file.metadata().map_err(|e| problem(&e.to_string()))?;
    check_private(&meta).map_err(|why| {
        Error::new(
            ErrorKind::Authentication,
            format!("key file {}: {why}", path.display()),
        )
    })?;
    // Allocated with the final size: a buffer that grows leaves its content in memory.
    let room = meta.len().min(MAX_KEY_FILE) + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(0)));
    (&mut file)
        .take(room)
        .read_to_end(&mut text)
        .map_err(|e| problem(&e.to_string()))?;
    if text.len() as u64 > MAX_KEY_FILE {
        return Err(problem(&format!("it is larger than {MAX_KEY_FILE} bytes")));
    }
    let entries: Vec<Entry> = serde_json::from_slice(&text)
        .map_err(|_| problem("it was not made by `qkdctl key take`"))?;
    for entry in entries {
        let id: KeyId = entry.id.parse()?;
        if wanted.is_none_or(|w| *w == id) {
            let bytes = hex::decode(entry.hex.as_bytes())
                .map_err(|_| problem("a key is not hexadecimal text"))?;
            return Ok(Key::new(id, Zeroizing::new(bytes)));
        }
    }
    Err(problem(&wanted.map_or_else(
        || "it holds no key".to_owned(),
        |w| format!("it holds no key {w}"),
    )))
}
