//! The archive of a bundle: a tar archive (ustar) of regular files. The same content has exactly
//! one encoding.

use qkd_hal::text::{MAX_TEXT, printable};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    io::{self, Cursor, Write},
};
use tar::{Archive, Builder, EntryType, Header};

/// Maximum size of a bundle, in bytes.
pub const MAX_ARCHIVE_BYTES: usize = 256 << 20;
/// Maximum number of files in a bundle.
const MAX_FILES: usize = 20_000;

/// A file of a bundle.
#[derive(Debug, Clone)]
pub(super) struct File<'a> {
    pub(super) path: String,
    pub(super) content: Cow<'a, [u8]>,
}

impl<'a> File<'a> {
    pub(super) fn new(path: impl Into<String>, content: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            path: path.into(),
            content: content.into(),
        }
    }
}

/// Writes files as a tar archive.
pub(super) fn write(files: &[File<'_>], to: impl Write) -> Result<(), String> {
    let write_error = |e: io::Error| format!("the archive could not be written: {e}");
    let mut builder = Builder::new(to);
    for file in files {
        let mut header = Header::new_ustar();
        header
            .set_path(&file.path)
            .map_err(|e| format!("{}: {e}", file.path))?;
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(file.content.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        builder
            .append(&header, &*file.content)
            .map_err(write_error)?;
    }
    builder
        .into_inner()
        .and_then(|mut to| to.flush())
        .map_err(write_error)
}

/// Reads an archive and returns its files, whose contents are borrowed. Nothing is unpacked.
///
/// # Errors
/// Error text with the problem: not an archive, too large, other entries than plain files, a name
/// outside the archive or used twice, or an archive that differs from what `write` would produce.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<File<'_>>, String> {
    if bytes.len() > MAX_ARCHIVE_BYTES {
        return Err(format!(
            "it has {} bytes; the most that is read is {MAX_ARCHIVE_BYTES}",
            bytes.len()
        ));
    }
    let damaged = |e: io::Error| format!("not a bundle, or truncated: {e}");
    let (mut files, mut names) = (Vec::new(), BTreeSet::new());
    let mut archive = Archive::new(Cursor::new(bytes));
    // Raw, so that tar extensions, such as long names, appear as entries and are refused.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let entry = entry.map_err(damaged)?;
        let path = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| "it has a file whose name is not text".to_owned())?;
        let shown = printable(&path, MAX_TEXT);
        if entry.header().entry_type() != EntryType::Regular {
            return Err(format!("`{shown}` is not a plain file"));
        }
        if path.is_empty()
            || path.starts_with('/')
            || path.contains(['\\', '\0'])
            || path.split('/').any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(format!(
                "`{shown}` is not the name of a file within the bundle"
            ));
        }
        if !names.insert(path.clone()) {
            return Err(format!("`{shown}` occurs twice in the bundle"));
        }
        if names.len() > MAX_FILES {
            return Err(format!("it has more than {MAX_FILES} files"));
        }
        let content = usize::try_from(entry.raw_file_position())
            .ok()
            .zip(usize::try_from(entry.size()).ok());
        let content = content.and_then(|(at, size)| bytes.get(at..at.checked_add(size)?));
        files.push(File::new(
            path.clone(),
            content.ok_or_else(|| format!("it is truncated within `{shown}`"))?,
        ));
    }
    if files.is_empty() {
        return Err("not a bundle: it contains no file".to_owned());
    }
    let mut comparison = Comparison {
        rest: bytes,
        is_equal: true,
    };
    write(&files, &mut comparison)?;
    if !comparison.is_equal || !comparison.rest.is_empty() {
        return Err(
            "it was repacked, or has bytes that belong to no file; a bundle is valid only with the \
             bytes that `bundle` wrote"
                .to_owned(),
        );
    }
    Ok(files)
}

/// Compares written bytes with the expected ones.
struct Comparison<'a> {
    /// Expected bytes that were not written yet.
    rest: &'a [u8],
    /// Whether all written bytes were as expected.
    is_equal: bool,
}

impl Write for Comparison<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        match self.rest.split_at_checked(written.len()) {
            Some((here, rest)) => {
                self.is_equal &= here == written;
                self.rest = rest;
            }
            None => self.is_equal = false,
        }
        Ok(written.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
