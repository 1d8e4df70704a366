//! The archive of a bundle: plain files in plain tar, and one way only to write the same content.

use qkd_hal::text::{MAX_TEXT, printable};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    io::{self, Cursor, Write},
};
use tar::{Archive, Builder, EntryType, Header};

/// The largest bundle that is read, in bytes.
pub const MAX_ARCHIVE_BYTES: usize = 256 << 20;
/// The most files that are read.
const MOST_FILES: usize = 20_000;

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
    let wrong = |e: io::Error| format!("the archive could not be written: {e}");
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
        builder.append(&header, &*file.content).map_err(wrong)?;
    }
    builder
        .into_inner()
        .and_then(|mut to| to.flush())
        .map_err(wrong)
}

/// Reads an archive and returns its files, whose contents are borrowed. Nothing is unpacked.
///
/// # Errors
/// A sentence with the problem: not an archive, too large, other entries than plain files, a name
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
    // Raw: extensions such as long names are entries of their own then, and refused.
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
            return Err(format!("`{shown}` is in it twice"));
        }
        if names.len() > MOST_FILES {
            return Err(format!("it has more than {MOST_FILES} files"));
        }
        let content = usize::try_from(entry.raw_file_position())
            .ok()
            .zip(usize::try_from(entry.size()).ok());
        let content = content.and_then(|(at, size)| bytes.get(at..at.checked_add(size)?));
        files.push(File::new(
            path.clone(),
            content.ok_or_else(|| format!("it was cut short within `{shown}`"))?,
        ));
    }
    if files.is_empty() {
        return Err("not a bundle: it contains no file".to_owned());
    }
    let mut same = Same {
        rest: bytes,
        so_far: true,
    };
    write(&files, &mut same)?;
    if !same.so_far || !same.rest.is_empty() {
        return Err(
            "it was packed anew, or has bytes that belong to no file: a bundle is kept as it was \
             made"
                .to_owned(),
        );
    }
    Ok(files)
}

/// Compares what is written with what is expected.
struct Same<'a> {
    rest: &'a [u8],
    so_far: bool,
}

impl Write for Same<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        match self.rest.split_at_checked(written.len()) {
            Some((here, rest)) => {
                self.so_far &= here == written;
                self.rest = rest;
            }
            None => self.so_far = false,
        }
        Ok(written.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
