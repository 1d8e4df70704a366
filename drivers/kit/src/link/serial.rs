//! Serial lines: 8 data bits, no parity, 1 stop bit, exclusive access.
//!
//! `serialport` uses TIOCEXCL, and this module `flock`, which also applies to root: a second
//! process gets an error that names the busy port.

use super::{
    LinkError,
    bytes::{ByteStream, Connector},
};
use async_trait::async_trait;
use qkd_hal::{ErrorKind, TransportFault};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_serial::{DataBits, FlowControl, Parity, SerialPortBuilderExt, SerialStream, StopBits};

/// Opens a serial line.
pub struct SerialConnector {
    path: String,
    baud: u32,
    hardware_flow: bool,
}

impl SerialConnector {
    /// At this path, with this line speed.
    pub fn new(path: impl Into<String>, baud: u32, hardware_flow: bool) -> Self {
        Self {
            path: path.into(),
            baud,
            hardware_flow,
        }
    }

    fn open(&self) -> Result<SerialStream, LinkError> {
        let flow = if self.hardware_flow {
            FlowControl::Hardware
        } else {
            FlowControl::None
        };
        let stream = tokio_serial::new(&self.path, self.baud)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(flow)
            .open_native_async()
            .map_err(|e| self.refused(&e))?;
        // Bytes received before the open belong to no request.
        let _ = tokio_serial::SerialPort::clear(&stream, tokio_serial::ClearBuffer::All);
        Ok(stream)
    }

    fn refused(&self, error: &tokio_serial::Error) -> LinkError {
        use tokio_serial::ErrorKind as K;
        let path = &self.path;
        // tokio-serial maps EBUSY of TIOCEXCL to NoDevice, and reports a lock only in its text.
        if error.kind == K::NoDevice && std::path::Path::new(path).exists()
            || error.description.contains("lock")
        {
            return LinkError::new(
                ErrorKind::Busy,
                format!("serial port {path} is in use by another program"),
            );
        }
        match error.kind {
            K::NoDevice | K::Io(io::ErrorKind::NotFound) => LinkError::new(
                ErrorKind::Unreachable,
                format!("there is no serial port {path}"),
            ),
            K::Io(io::ErrorKind::PermissionDenied) => LinkError::new(
                ErrorKind::Unreachable,
                format!(
                    "this user may not open serial port {path}; is it in the group that owns it \
                     (often `dialout`)?"
                ),
            ),
            _ => LinkError::new(
                ErrorKind::Transport(TransportFault::System),
                format!(
                    "serial port {path} cannot be set to {} baud 8N1: {error}",
                    self.baud
                ),
            ),
        }
    }
}

#[async_trait]
impl Connector for SerialConnector {
    async fn connect(&self, _within: Duration) -> Result<Box<dyn ByteStream>, LinkError> {
        Ok(Box::new(Line(self.open()?)))
    }
    fn address(&self) -> String {
        self.path.clone()
    }
    fn exclusive(&self) -> Option<String> {
        Some(self.path.clone())
    }
}

/// A serial stream whose flush does nothing: tcdrain would block the thread until the line has sent
/// every byte, and the reply shows the same.
struct Line(SerialStream);

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
