//! Serial lines: 8N1, exclusive.
//!
//! A second opener is refused by `flock`, which also binds root, and by TIOCEXCL, which binds programs that know no `flock`.

use super::{
    LinkError,
    bytes::{ByteStream, Connector},
};
use async_trait::async_trait;
use qkd_hal::{ErrorKind, TransportFault};
use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_serial::{DataBits, FlowControl, Parity, SerialPortBuilderExt, SerialStream, StopBits};

/// A serial line.
pub struct SerialPort {
    path: String,
    baud: u32,
    hardware_flow: bool,
}

impl SerialPort {
    /// At this path, with this line speed.
    pub fn new(path: impl Into<String>, baud: u32, hardware_flow: bool) -> Self {
        Self { path: path.into(), baud, hardware_flow }
    }

    fn busy(&self) -> LinkError {
        LinkError::new(ErrorKind::Busy, format!("serial port {} is in use by another program", self.path))
    }

    fn open(&self) -> Result<Locked, LinkError> {
        let fail = |e: io::Error| {
            // EBUSY: another program holds TIOCEXCL.
            if e.raw_os_error() == Some(16) {
                return self.busy();
            }
            let why = match e.kind() {
                io::ErrorKind::PermissionDenied => format!("{e}; is your user in the group that owns it (often `dialout`)?"),
                _ => e.to_string(),
            };
            LinkError::new(ErrorKind::Unreachable, format!("serial port {} cannot be opened: {why}", self.path))
        };
        // O_NOCTTY | O_NONBLOCK: opening must neither make it our terminal nor wait for a carrier.
        let lock = File::options().read(true).write(true).custom_flags(0o400 | 0o4000).open(&self.path).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.busy()),
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        let flow = if self.hardware_flow { FlowControl::Hardware } else { FlowControl::None };
        let stream = tokio_serial::new(&self.path, self.baud)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(flow)
            .open_native_async()
            .map_err(|e| match e.kind {
                tokio_serial::ErrorKind::NoDevice => self.busy(),
                _ => LinkError::new(
                    ErrorKind::Transport(TransportFault::System),
                    format!("serial port {} cannot be set to {} baud 8N1: {e}", self.path, self.baud),
                ),
            })?;
        // What stood in the line before we came answers nobody.
        let _ = tokio_serial::SerialPort::clear(&stream, tokio_serial::ClearBuffer::All);
        Ok(Locked { stream, _lock: lock })
    }
}

#[async_trait]
impl Connector for SerialPort {
    async fn connect(&self, _within: Duration) -> Result<Box<dyn ByteStream>, LinkError> {
        Ok(Box::new(self.open()?))
    }
    fn address(&self) -> String {
        self.path.clone()
    }
    fn exclusive(&self) -> Option<String> {
        Some(self.path.clone())
    }
}

/// The stream, and the lock that ends with it.
struct Locked {
    stream: SerialStream,
    _lock: File,
}

impl AsyncRead for Locked {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Locked {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // SerialStream's flush is tcdrain, which blocks the thread until the line has taken every byte; the reply tells that anyway.
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
