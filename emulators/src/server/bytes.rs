//! Runs a [`Session`] over any stream of bytes: a socket, a PTY, or memory.

use crate::{
    clock::Clock,
    fault::{FaultInjector, TextFormat},
    wire::{ByteService, Reply, Session},
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use zeroize::{Zeroize, Zeroizing};

/// Waiting time after a connection could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Polling interval of a session that waits.
const POLL: Duration = Duration::from_millis(1);
/// Bytes that a flood repeats.
const FLOOD_BYTES: [u8; 64] = [b'U'; 64];

/// Replies that go out late, out of turn.
type Late = Vec<(Instant, Vec<u8>)>;

async fn next_late(late: &Late) {
    match late.iter().map(|(at, _)| *at).min() {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Source of connections: a TCP port, or a Unix socket.
pub(super) trait Listener: Send + Sync {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Waits for the next connection.
    fn accept_stream(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Serves the connections of a listener until dropped.
pub(super) async fn serve_listener(
    listener: &impl Listener,
    service: Arc<dyn ByteService>,
    faults: FaultInjector,
    clock: Clock,
) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept_stream() => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        connections.spawn(serve_connection(
            stream,
            service.connect(),
            faults.clone(),
            clock.clone(),
        ));
    }
}

/// Serves one connection until it ends, or the device restarts.
pub(super) async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    mut session: Box<dyn Session>,
    faults: FaultInjector,
    clock: Clock,
) {
    tokio::select! {
        () = faults.restart() => {}
        ended = serve_stream(&mut stream, session.as_mut(), &faults, &clock) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
        }
    }
}

/// Serves one connection until it ends. `Ok(true)`: the emulator closed it; `Ok(false)`: the client
/// did.
///
/// # Errors
/// Errors of the stream.
pub async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    session: &mut dyn Session,
    faults: &FaultInjector,
    clock: &Clock,
) -> io::Result<bool> {
    // Requests and replies may hold keys.
    let mut buffer = Zeroizing::new(vec![0; 16 * 1024]);
    let mut late = Late::new();
    let format = session.text_format();
    loop {
        tokio::select! {
            biased;
            () = next_late(&late) => {
                let now = Instant::now();
                for (_, bytes) in late.extract_if(.., |(at, _)| *at <= now) {
                    stream.write_all(&bytes).await?;
                }
            }
            read = stream.read(&mut buffer) => {
                let n = read?;
                if n == 0 {
                    return Ok(false);
                }
                // A fault that counts exchanges applies between two requests, even if both arrived
                // together.
                let piece = if faults.is_quiet() { n } else { 1 };
                for bytes in buffer[..n].chunks(piece) {
                    let replies = session.feed(bytes);
                    if answer(stream, replies, format, faults, clock, &mut late).await? {
                        return Ok(true);
                    }
                }
            }
            () = sleep(POLL), if session.is_waiting() => {
                let replies = session.poll();
                if answer(stream, replies, format, faults, clock, &mut late).await? {
                    return Ok(true);
                }
            }
        }
        stream.flush().await?;
    }
}

/// Sends replies in turn; `true` if the connection ends.
async fn answer<S: AsyncWrite + Unpin>(
    stream: &mut S,
    replies: Vec<Reply>,
    format: TextFormat,
    faults: &FaultInjector,
    clock: &Clock,
    late: &mut Late,
) -> io::Result<bool> {
    for mut reply in replies {
        let after = clock.to_wall_time(reply.after);
        if !after.is_zero() {
            sleep(after).await;
        }
        if faults.is_quiet() {
            if !reply.bytes.is_empty() {
                let sent = stream.write_all(&reply.bytes).await;
                reply.bytes.zeroize();
                sent?;
            }
        } else {
            let bytes = faults.insert_hostile_text(reply.bytes, format);
            if deliver(stream, faults, bytes, late).await? {
                return Ok(true);
            }
        }
        if reply.close {
            stream.flush().await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sends one reply as the faults want it; `true` if the connection ends.
async fn deliver<S: AsyncWrite + Unpin>(
    stream: &mut S,
    faults: &FaultInjector,
    bytes: Vec<u8>,
    late: &mut Late,
) -> io::Result<bool> {
    let delivery = faults.deliver(bytes);
    if !delivery.delay.is_zero() {
        sleep(delivery.delay).await;
    }
    if let Some((time, bytes)) = delivery.reordered {
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
        stream.write_all(&FLOOD_BYTES).await?;
        tokio::task::yield_now().await;
    }
    Ok(delivery.reset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FaultSpec,
        fault::{ApplyDeviceFault, DeviceFault},
    };
    use std::sync::atomic::{AtomicU8, Ordering};

    /// Answers each byte with the number of bytes that its device has received, and does not answer
    /// `!`.
    struct Orders(Arc<AtomicU8>);
    impl Session for Orders {
        fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
            bytes
                .iter()
                .map(|b| {
                    if *b == b'!' {
                        Reply::silent()
                    } else {
                        Reply::bytes([self.0.load(Ordering::SeqCst)])
                    }
                })
                .collect()
        }
    }
    struct Count(Arc<AtomicU8>);
    impl ApplyDeviceFault for Count {
        fn apply(&self, _: &DeviceFault) -> Result<(), String> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_fault_of_the_device_comes_between_two_requests_that_came_at_once() {
        let commands = Arc::default();
        let faults = FaultInjector::new(1, Some(Arc::new(Count(Arc::clone(&commands)))));
        faults
            .add("operator=x@after=1@once".parse::<FaultSpec>().unwrap())
            .unwrap();
        let (mut near, mut far) = tokio::io::duplex(64);
        tokio::spawn(async move {
            serve_stream(&mut far, &mut Orders(commands), &faults, &Clock::default()).await
        });
        near.write_all(b"?!?").await.unwrap();
        let mut answers = [9; 2];
        near.read_exact(&mut answers).await.unwrap();
        assert_eq!(answers, [0, 1]);
    }
}
