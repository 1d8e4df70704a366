//! A buffer for bytes that may be secret: it leaves no copy where it grew and wipes what it drops.

use std::ops::Deref;
use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::{Zeroize, Zeroizing};

/// Bytes for which the buffer has room at first.
const FIRST: usize = 1024;

/// Bytes received and not yet used.
pub(super) struct ReceiveBuffer(Zeroizing<Vec<u8>>);

impl Default for ReceiveBuffer {
    fn default() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(FIRST)))
    }
}

impl Deref for ReceiveBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl ReceiveBuffer {
    /// Reads what comes next; returns 0 at the end of the stream.
    ///
    /// # Errors
    /// Those of the stream.
    pub(super) async fn fill<S: AsyncRead + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
    ) -> std::io::Result<usize> {
        if self.0.len() == self.0.capacity() {
            // A vector that grows automatically frees its old memory with all bytes in it.
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * self.0.capacity()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        stream.read_buf(&mut *self.0).await
    }

    /// Drops all bytes. A buffer that has grown gives its memory back.
    pub(super) fn clear(&mut self) {
        if self.0.capacity() > FIRST {
            *self = Self::default();
        } else {
            self.0.as_mut_slice().zeroize();
            self.0.clear();
        }
    }

    /// Drops this number of bytes at the start.
    pub(super) fn remove(&mut self, length: usize) {
        let from = length.min(self.0.len());
        let left = self.0.len() - from;
        self.0.copy_within(from.., 0);
        self.0[left..].zeroize();
        self.0.truncate(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_kept_in_their_order_while_the_buffer_grows_and_shrinks() {
        let sent: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
        let (mut buffer, mut stream) = (ReceiveBuffer::default(), sent.as_slice());
        while buffer.fill(&mut stream).await.unwrap() > 0 {}
        assert_eq!(*buffer, *sent);
        buffer.remove(4990);
        assert_eq!(*buffer, sent[4990..]);
        buffer.remove(20);
        assert!(buffer.is_empty());
        buffer.clear();
        assert_eq!(buffer.0.capacity(), FIRST);
        // A buffer that has not grown keeps its memory.
        buffer.fill(&mut &b"secret"[..]).await.unwrap();
        let start = buffer.0.as_ptr();
        buffer.clear();
        assert!(buffer.is_empty());
        buffer.fill(&mut &b"x"[..]).await.unwrap();
        assert_eq!((start, &*buffer), (buffer.0.as_ptr(), &b"x"[..]));
    }
}
