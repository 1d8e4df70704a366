//! Frames: little-endian, strings with their length before them.

use crate::wire::Reply;

/// The longest request that is kept while it is incomplete.
pub(super) const LIMIT: usize = 1 << 17;

/// Reads a request piece by piece.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
    /// Returns the number of bytes read.
    pub(super) fn at(&self) -> usize {
        self.at
    }
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }
    /// Reads a `string` of hw and mon: u16 length, then UTF-8; invalid bytes become the replacement
    /// character.
    pub(super) fn string(&mut self) -> Option<String> {
        let n = self.take(2)?;
        let text = self.take(usize::from(u16::from_le_bytes([n[0], n[1]])))?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
    /// `string` of hws: u8 length.
    pub(super) fn short_string(&mut self) -> Option<String> {
        let n = self.take(1)?[0];
        let text = self.take(usize::from(n))?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
    /// Reads an `i` (32-bit integer).
    pub(super) fn int(&mut self) -> Option<i32> {
        Some(i32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
    /// Reads a `d` (64-bit float).
    pub(super) fn double(&mut self) -> Option<f64> {
        Some(f64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// `string` of hw and mon.
pub(super) fn string(text: &str) -> Vec<u8> {
    let n = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut out = n.to_le_bytes().to_vec();
    out.extend_from_slice(&text.as_bytes()[..usize::from(n)]);
    out
}

/// Encodes a `string` of hws.
pub(super) fn short_string(text: &str) -> Vec<u8> {
    let n = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut out = vec![n];
    out.extend_from_slice(&text.as_bytes()[..usize::from(n)]);
    out
}

/// A row of `i`.
pub(super) fn ints(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// `nai`: bytes that follow, rows, columns (0: one dimension), items.
pub(super) fn array(rows: usize, columns: usize, items: &[i32]) -> Vec<u8> {
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let mut out = ints(&[number(8 + items.len() * 4), number(rows), number(columns)]);
    out.extend(ints(items));
    out
}

/// `data`: length, then bytes.
pub(super) fn data(bytes: &[u8]) -> Vec<u8> {
    let mut out = ints(&[i32::try_from(bytes.len()).unwrap_or(i32::MAX)]);
    out.extend_from_slice(bytes);
    out
}

/// Returns the replies to the complete commands in the input and the remaining bytes. The empty
/// command closes the connection.
pub(super) fn commands(
    mut buffer: Vec<u8>,
    bytes: &[u8],
    next: impl Fn(&mut Reader<'_>) -> Option<String>,
    mut answer: impl FnMut(&str) -> Reply,
) -> (Vec<Reply>, Vec<u8>) {
    buffer.extend_from_slice(bytes);
    let mut reader = Reader::new(&buffer);
    let (mut replies, mut done) = (Vec::new(), 0);
    while let Some(command) = next(&mut reader) {
        done = reader.at();
        if command.is_empty() {
            replies.push(Reply::hang_up());
            return (replies, Vec::new());
        }
        replies.push(answer(&command));
    }
    buffer.drain(..done);
    if buffer.len() > LIMIT {
        buffer.clear();
    }
    (replies, buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/veriqloud-qline.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }
    fn golden(hex_text: &str) -> Vec<u8> {
        assert!(
            vectors().to_string().contains(hex_text),
            "{hex_text} is not a golden vector"
        );
        hex::decode(hex_text).unwrap()
    }

    #[test]
    fn golden_frames() {
        assert_eq!(
            Reader::new(&golden("08006765745f6c696e6b"))
                .string()
                .unwrap(),
            "get_link"
        );
        assert_eq!(
            string("probably online"),
            golden("0f0070726f6261626c79206f6e6c696e65")
        );
        assert_eq!(ints(&[312, 150, 162]), golden("3801000096000000a2000000"));
        assert_eq!(
            Reader::new(&golden("04696e6974")).short_string().unwrap(),
            "init"
        );
        assert_eq!(array(2, 3, &[1, 2, 3, 4, 5]).len(), 12 + 20);
        assert_eq!(
            array(2, 3, &[1, 2, 3, 4, 5, 6])[..4],
            golden("200000000200000003000000010000000200000003000000040000000500000006000000")[..4]
        );
        let vca = golden("07007365745f7663610000000000000c40");
        let mut reader = Reader::new(&vca);
        assert_eq!(
            (reader.string().unwrap().as_str(), reader.double()),
            ("set_vca", Some(3.5))
        );
    }

    #[test]
    fn an_incomplete_frame_is_not_a_frame() {
        for n in 0..9 {
            assert_eq!(
                Reader::new(&hex::decode("08006765745f6c696e6b").unwrap()[..n]).string(),
                None
            );
        }
    }
}
