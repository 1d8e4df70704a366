//! Journal lines that are chained by digests, so that edits of a journal are detected.

use sha2::{Digest, Sha256};

const OPENING: &str = "{\"sha256\":\"";
const MIDDLE: &str = "\",\"entry\":";
const CLOSING: &str = "}";
/// Hexadecimal digits of a SHA-256 digest.
const DIGITS: usize = 64;

/// Digest over all entries so far. It detects edits, but not deliberate forgery: a user who can
/// write the file can compute it again. An entry removed from the end is not detected, because an
/// interruption leaves the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain([u8; 32]);

impl Chain {
    /// Creates the chain before the first entry: an all-zero digest.
    pub(super) fn new() -> Self {
        Self([0; 32])
    }

    fn digest_with(&self, entry: &str) -> Self {
        Self(
            Sha256::new()
                .chain_update(self.0)
                .chain_update(entry)
                .finalize()
                .into(),
        )
    }

    /// Returns the line of an entry, and the chain after it. The entry is JSON without line feeds.
    pub(super) fn append(&self, entry: &str) -> (String, Self) {
        let next = self.digest_with(entry);
        let line = format!("{OPENING}{}{MIDDLE}{entry}{CLOSING}\n", hex::encode(next.0));
        (line, next)
    }

    /// Returns the entry of a line without its line feed, and the chain after it; `None` if it does
    /// not follow this chain.
    pub(super) fn verify<'a>(&self, line: &'a str) -> Option<(&'a str, Self)> {
        let (digest, rest) = line.strip_prefix(OPENING)?.split_at_checked(DIGITS)?;
        let entry = rest.strip_prefix(MIDDLE)?.strip_suffix(CLOSING)?;
        let next = self.digest_with(entry);
        (hex::encode(next.0) == digest).then_some((entry, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_removed_inserted_or_swapped_line_breaks_the_chain() {
        let (first, chain) = Chain::new().append("1");
        let (second, _) = chain.append("2");
        let opens = |lines: &[&str]| {
            lines
                .iter()
                .try_fold(Chain::new(), |chain, line| {
                    chain.verify(line.trim_end()).map(|(_, next)| next)
                })
                .is_some()
        };
        assert!(opens(&[&first, &second]));
        let edited = first.replace(":1}", ":3}");
        for wrong in [
            vec![edited.as_str(), &second],
            vec![&second],
            vec![&second, &first],
            vec![&first, &first, &second],
            vec!["", "é", "{\"sha256\":\"é"],
        ] {
            assert!(!opens(&wrong), "{wrong:?}");
        }
    }
}
