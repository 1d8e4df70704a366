//! Lines of a byte protocol.

/// Gathers bytes until a line ends. Characters beyond the limit are lost; the line's end never is.
#[derive(Debug)]
pub(crate) struct LineAssembler {
    end: u8,
    limit: usize,
    buffer: Vec<u8>,
}

impl LineAssembler {
    /// Lines that end with this byte.
    pub(crate) fn new(end: u8, limit: usize) -> Self {
        Self {
            end,
            limit,
            buffer: Vec::new(),
        }
    }
    /// Adds a byte and returns the line that it ends, without surrounding white space; `None` for
    /// an empty line.
    pub(crate) fn push(&mut self, byte: u8) -> Option<String> {
        if byte != self.end {
            if self.has_room() {
                self.buffer.push(byte);
            }
            return None;
        }
        let line = std::mem::take(&mut self.buffer);
        Some(String::from_utf8_lossy(&line).trim().to_owned()).filter(|l| !l.is_empty())
    }
    /// Whether the next character is kept.
    pub(crate) fn has_room(&self) -> bool {
        self.buffer.len() < self.limit
    }
    /// Forgets what has come of a line.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
    }
}
