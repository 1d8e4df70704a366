//! Runs a [`Session`] over any stream of bytes: a socket, a PTY, or memory.

use crate::{clock::Clock, fault::Faults, wire::Session};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep, sleep_until},
};

/// How often a session that waits is asked.
const POLL: Duration = Duration::from_millis(1);
/// What a flood is made of.
const FLOOD: [u8; 64] = [b'U'; 64];

/// Replies that go out late, out of turn.
type Late = Vec<(Instant, Vec<u8>)>;

async fn next_late(late: &Late) {
    match late.iter().map(|(at, _)| *at).min() {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Serves one connection until it ends. `Ok(true)`: the emulator hung up; `Ok(false)`: the other side did.
///
/// # Errors
/// Those of the stream.
pub async fn drive<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, session: &mut dyn Session, faults: &Faults, clock: &Clock) -> io::Result<bool> {
    let mut buffer = vec![0; 16 * 1024];
    let mut late = Late::new();
    loop {
        let replies = tokio::select! {
            biased;
            () = next_late(&late) => {
                let now = Instant::now();
                for (_, bytes) in late.extract_if(.., |(at, _)| *at <= now) {
                    stream.write_all(&bytes).await?;
                }
                stream.flush().await?;
                continue;
            }
            read = stream.read(&mut buffer) => match read? {
                0 => return Ok(false),
                n => session.feed(&buffer[..n]),
            },
            () = sleep(POLL), if session.is_waiting() => session.poll(),
        };
        for reply in replies {
            let after = clock.really(reply.after);
            if !after.is_zero() {
                sleep(after).await;
            }
            if faults.is_quiet() {
                if !reply.bytes.is_empty() {
                    stream.write_all(&reply.bytes).await?;
                }
            } else if deliver(stream, faults, reply.bytes, &mut late).await? {
                return Ok(true);
            }
            if reply.close {
                stream.flush().await?;
                return Ok(true);
            }
        }
        stream.flush().await?;
    }
}

/// Sends one reply as the faults want it; `true` if the line was hung up.
async fn deliver<S: AsyncWrite + Unpin>(stream: &mut S, faults: &Faults, bytes: Vec<u8>, late: &mut Late) -> io::Result<bool> {
    let delivery = faults.deliver(bytes);
    if !delivery.delay.is_zero() {
        sleep(delivery.delay).await;
    }
    if let Some((time, bytes)) = delivery.late {
        late.push((Instant::now() + time, bytes));
    }
    for copy in delivery.now {
        if delivery.pace.is_zero() {
            stream.write_all(&copy).await?;
            continue;
        }
        for byte in copy {
            stream.write_all(&[byte]).await?;
            stream.flush().await?;
            sleep(delivery.pace).await;
        }
    }
    while delivery.flood && !faults.is_quiet() {
        stream.write_all(&FLOOD).await?;
        tokio::task::yield_now().await;
    }
    Ok(delivery.hang_up)
}
