//! Frames: a message in JSON, then the secret parts that belong to it.
//!
//! ```text
//! length (4 bytes, big endian) | JSON | number of secret parts (4) | { length (4) | bytes }
//! ```

use qkd_hardware::hal::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

/// The longest message, in bytes.
const LONGEST: u32 = 16 << 20;
/// The most secret parts of a frame, and the most bytes of all of them.
const MOST_SECRETS: u32 = 1 << 14;
const LONGEST_SECRETS: u32 = 1 << 20;

fn length(bytes: usize, limit: u32) -> Result<[u8; 4]> {
    u32::try_from(bytes)
        .ok()
        .filter(|length| *length <= limit)
        .map(u32::to_be_bytes)
        .ok_or_else(|| Error::invalid(format!("a part of {bytes} bytes is too long to send")))
}

/// Encodes a message with its secret parts.
pub fn encode(message: &impl Serialize, secrets: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>> {
    let json = serde_json::to_vec(message).map_err(|e| Error::invalid(e.to_string()))?;
    let size = 8 + json.len() + secrets.iter().map(|s| 4 + s.len()).sum::<usize>();
    // Of its final size at once: a buffer that grows leaves copies of keys in freed memory.
    let mut frame = Zeroizing::new(Vec::with_capacity(size));
    frame.extend(length(json.len(), LONGEST)?);
    frame.extend(json);
    frame.extend(length(secrets.len(), MOST_SECRETS)?);
    length(secrets.iter().map(|s| s.len()).sum(), LONGEST_SECRETS)?;
    for secret in secrets {
        frame.extend(length(secret.len(), LONGEST_SECRETS)?);
        frame.extend_from_slice(secret);
    }
    Ok(frame)
}

async fn read_length(stream: &mut (impl AsyncRead + Unpin), limit: u32) -> io::Result<u32> {
    let length = stream.read_u32().await?;
    if length <= limit {
        Ok(length)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a length of {length} in a frame; at most {limit} is allowed"),
        ))
    }
}

/// Reads a part. Memory grows with the bytes that arrive.
async fn part(stream: &mut (impl AsyncRead + Unpin), length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(length.into()).read_to_end(&mut bytes).await?;
    if bytes.len() == length as usize {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Reads a message with its secret parts.
pub async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<(T, Vec<Zeroizing<Vec<u8>>>)> {
    let length = read_length(stream, LONGEST).await?;
    let json = part(stream, length).await?;
    let message = serde_json::from_slice(&json)?;
    let mut secrets = Vec::new();
    let mut left = LONGEST_SECRETS;
    for _ in 0..read_length(stream, MOST_SECRETS).await? {
        let length = read_length(stream, left).await?;
        left -= length;
        let mut secret = Zeroizing::new(vec![0; length as usize]);
        stream.read_exact(&mut secret).await?;
        secrets.push(secret);
    }
    Ok((message, secrets))
}
