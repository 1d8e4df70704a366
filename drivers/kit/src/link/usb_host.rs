//! USB through libusb (`rusb`). One thread owns the opened device; calls wait for it without
//! blocking the runtime.
//!
//! After an unplug each call tries to open the device again; another device with the same ids but
//! another serial number closes the link.

use super::{
    Disclosure, LinkError,
    ticket::Ticket,
    usb::{BulkRead, SetupPacket, UsbIdentity, UsbLink},
};
use async_trait::async_trait;
use qkd_hal::{ErrorKind, TransportFault};
use rusb::{Context, DeviceHandle, Direction, UsbContext};
use std::{
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

type Handle = DeviceHandle<Context>;
type Job = Box<dyn FnOnce(&mut Owner) + Send>;

/// A USB link through libusb.
pub struct HostUsbLink {
    jobs: mpsc::Sender<Job>,
    identity: UsbIdentity,
}

/// A device on this machine's buses, as passive probing lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbDeviceEntry {
    /// Bus number and device address.
    pub place: (u8, u8),
    /// Identity from the descriptors; strings only if this user may open the device.
    pub identity: UsbIdentity,
}

/// Lists the connected USB devices. Reads descriptors; sends nothing to an endpoint of a driver.
///
/// # Errors
/// `Transport(System)` if libusb cannot list the devices.
pub fn list() -> Result<Vec<UsbDeviceEntry>, LinkError> {
    let context = match Context::new() {
        Ok(context) => context,
        // libusb cannot begin where the kernel shows no USB bus at all.
        Err(rusb::Error::Other | rusb::Error::Io) => return Ok(Vec::new()),
        Err(e) => return Err(fail(e, "listing")),
    };
    let mut found = Vec::new();
    for device in context.devices().map_err(|e| fail(e, "listing"))?.iter() {
        let Ok(descriptor) = device.device_descriptor() else {
            continue;
        };
        let mut identity = UsbIdentity {
            vendor: descriptor.vendor_id(),
            product: descriptor.product_id(),
            ..UsbIdentity::default()
        };
        if let Ok(handle) = device.open() {
            identity = read_identity(&handle, &descriptor);
        }
        found.push(UsbDeviceEntry {
            place: (device.bus_number(), device.address()),
            identity,
        });
    }
    Ok(found)
}

fn read_identity(handle: &Handle, descriptor: &rusb::DeviceDescriptor) -> UsbIdentity {
    let rusb::Version(major, minor, sub) = descriptor.device_version();
    UsbIdentity {
        vendor: descriptor.vendor_id(),
        product: descriptor.product_id(),
        release: u16::from(major) << 8 | u16::from(minor) << 4 | u16::from(sub),
        manufacturer: handle.read_manufacturer_string_ascii(descriptor).ok(),
        product_name: handle.read_product_string_ascii(descriptor).ok(),
        serial: handle.read_serial_number_string_ascii(descriptor).ok(),
    }
}

fn fail(error: rusb::Error, what: &str) -> LinkError {
    use rusb::Error as E;
    let (kind, why) = match error {
        E::Timeout => (
            ErrorKind::Timeout,
            "nothing came within the deadline".to_owned(),
        ),
        E::NoDevice => (
            ErrorKind::Transport(TransportFault::Unplugged),
            "the device was pulled out".to_owned(),
        ),
        E::Pipe => (
            ErrorKind::Transport(TransportFault::Stall),
            "the endpoint stalled".to_owned(),
        ),
        E::Overflow => (
            ErrorKind::Transport(TransportFault::Overrun),
            "the device sent more than was asked for".to_owned(),
        ),
        E::Busy => (
            ErrorKind::Busy,
            "the interface is in use by another program".to_owned(),
        ),
        E::Access => (
            ErrorKind::Unreachable,
            "this user may not open the device; a udev rule gives access".to_owned(),
        ),
        E::NotFound => (
            ErrorKind::NotFound,
            "the device has no such interface or endpoint".to_owned(),
        ),
        E::InvalidParam => (
            ErrorKind::InvalidInput,
            "libusb refuses the arguments".to_owned(),
        ),
        other => (
            ErrorKind::Transport(TransportFault::System),
            other.to_string(),
        ),
    };
    LinkError::new(kind, format!("USB {what}: {why}"))
}

struct Owner {
    vendor: u16,
    product: u16,
    interface: u8,
    serial: Option<String>,
    handle: Option<Handle>,
    known: Option<UsbIdentity>,
    over: Option<LinkError>,
}

impl Owner {
    fn open(&mut self) -> Result<&Handle, LinkError> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        if self.handle.is_none() {
            let (handle, identity) = self.find()?;
            if let Some(known) = &self.known
                && *known != identity
            {
                let name = |i: &UsbIdentity| {
                    i.serial
                        .clone()
                        .unwrap_or_else(|| "a device without serial number".to_owned())
                };
                let error = LinkError::new(
                    ErrorKind::IdentityChanged,
                    format!(
                        "{} was opened, and {} is plugged in now; the handle is closed",
                        name(known),
                        name(&identity)
                    ),
                );
                self.over = Some(error.clone());
                return Err(error);
            }
            self.known = Some(identity);
            self.handle = Some(handle);
        }
        self.handle
            .as_ref()
            .ok_or_else(|| LinkError::new(ErrorKind::Internal, "no USB handle"))
    }

    fn find(&self) -> Result<(Handle, UsbIdentity), LinkError> {
        let context = Context::new().map_err(|e| match e {
            rusb::Error::Other | rusb::Error::Io => {
                LinkError::new(ErrorKind::Unreachable, "this machine shows no USB bus")
            }
            e => fail(e, "open"),
        })?;
        let mut seen = Vec::new();
        let mut refused = None;
        for device in context.devices().map_err(|e| fail(e, "open"))?.iter() {
            let Ok(descriptor) = device.device_descriptor() else {
                continue;
            };
            if (descriptor.vendor_id(), descriptor.product_id()) != (self.vendor, self.product) {
                continue;
            }
            let handle = match device.open() {
                Ok(handle) => handle,
                Err(e) => {
                    refused = Some(fail(e, "open"));
                    continue;
                }
            };
            let identity = read_identity(&handle, &descriptor);
            if self.serial.is_some() && self.serial != identity.serial {
                seen.push(identity.serial.unwrap_or_default());
                continue;
            }
            if handle.active_configuration() != Ok(1) {
                handle
                    .set_active_configuration(1)
                    .map_err(|e| fail(e, "set configuration 1"))?;
            }
            handle
                .claim_interface(self.interface)
                .map_err(|e| fail(e, "claim interface"))?;
            return Ok((handle, identity));
        }
        Err(refused.unwrap_or_else(|| {
            let others = if seen.is_empty() {
                String::new()
            } else {
                format!("; those there have the serial numbers {}", seen.join(", "))
            };
            let wanted = self
                .serial
                .as_ref()
                .map_or_else(String::new, |s| format!(" with serial number {s}"));
            LinkError::new(
                ErrorKind::Unreachable,
                format!(
                    "no USB device {:04x}:{:04x}{wanted} is plugged in{others}",
                    self.vendor, self.product
                ),
            )
        }))
    }

    fn run<T>(
        &mut self,
        what: &str,
        transfer: impl FnOnce(&Handle) -> Result<T, rusb::Error>,
    ) -> Result<T, LinkError> {
        let outcome = transfer(self.open()?);
        outcome.map_err(|e| {
            if e == rusb::Error::NoDevice {
                self.handle = None;
            }
            fail(e, what).mark_sent()
        })
    }

    /// A transfer of an endpoint, whose halt is ended if it stalls.
    fn transfer<T>(
        &mut self,
        what: &str,
        endpoint: u8,
        transfer: impl FnOnce(&Handle) -> Result<T, rusb::Error>,
    ) -> Result<T, LinkError> {
        let result = self.run(what, transfer);
        if matches!(&result, Err(e) if e.kind == ErrorKind::Transport(TransportFault::Stall)) {
            let _ = self.run("clear halt", |handle| handle.clear_halt(endpoint));
        }
        result
    }
}

/// The time that a call has.
#[derive(Clone, Copy)]
struct TimeBudget {
    begun: std::time::Instant,
    within: Duration,
}

impl TimeBudget {
    /// Returns the remaining time in milliseconds, at least 1: libusb reads 0 as no time limit.
    fn now(self) -> rusb::Result<Duration> {
        let left = self.within.saturating_sub(self.begun.elapsed());
        if left.is_zero() {
            Err(rusb::Error::Timeout)
        } else {
            Ok(left.max(Duration::from_millis(1)))
        }
    }
}

impl HostUsbLink {
    /// Opens the first device with these IDs (and this serial number), selects configuration 1 and
    /// claims the interface.
    ///
    /// # Errors
    /// `Unreachable` if there is no such device or this user may not open it; `Busy`; `Timeout`.
    pub async fn open(
        vendor: u16,
        product: u16,
        interface: u8,
        serial: Option<&str>,
        within: Duration,
    ) -> Result<Arc<Self>, LinkError> {
        let mut owner = Owner {
            vendor,
            product,
            interface,
            serial: serial.map(str::to_owned),
            handle: None,
            known: None,
            over: None,
        };
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (ready, opened) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("usb-{vendor:04x}-{product:04x}"))
            .spawn(move || {
                let outcome = owner
                    .open()
                    .map(drop)
                    .map(|()| owner.known.clone().unwrap_or_default());
                let failed = outcome.is_err();
                let _ = ready.send(outcome);
                if !failed {
                    inbox.into_iter().for_each(|job| job(&mut owner));
                }
            })
            .map_err(|e| LinkError::new(ErrorKind::Internal, format!("no thread: {e}")))?;
        let identity = tokio::time::timeout(within, opened)
            .await
            .map_err(|_| {
                LinkError::new(
                    ErrorKind::Timeout,
                    "the USB device was not opened within the deadline",
                )
            })?
            .unwrap_or_else(|_| {
                Err(LinkError::new(
                    ErrorKind::Internal,
                    "the USB thread ended early",
                ))
            })?;
        Ok(Arc::new(Self { jobs, identity }))
    }

    /// Has the owner thread do something within a deadline, the time in the queue included.
    async fn call<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce(&mut Owner, TimeBudget) -> Result<T, LinkError> + Send + 'static,
    ) -> Result<T, LinkError> {
        let (reply, answer) = oneshot::channel();
        let turn = Ticket::default();
        let (begun, owners) = (std::time::Instant::now(), turn.clone());
        let job: Job = Box::new(move |owner| {
            if owners.claim() && !reply.is_closed() {
                let _ = reply.send(work(owner, TimeBudget { begun, within }));
            }
        });
        self.jobs.send(job).map_err(|_| LinkError::closed())?;
        turn.answer(answer, tokio::time::Instant::now() + within)
            .await
    }

    async fn read(
        &self,
        read: BulkRead,
        what: &'static str,
        transfer: fn(&Handle, u8, &mut [u8], Duration) -> rusb::Result<usize>,
    ) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.call(read.within, move |owner, left| {
            let mut all = Zeroizing::new(vec![0; read.chunk.saturating_mul(read.count)]);
            let mut length = 0;
            for chunk in all.chunks_exact_mut(read.chunk.max(1)) {
                let n = owner.transfer(what, read.endpoint | Direction::In as u8, |handle| {
                    transfer(handle, read.endpoint, chunk, left.now()?)
                })?;
                length += n;
                if n < read.chunk {
                    break;
                }
            }
            all.truncate(length);
            Ok(all)
        })
        .await
    }
}

#[async_trait]
impl UsbLink for HostUsbLink {
    async fn control_in(
        &self,
        setup: SetupPacket,
        within: Duration,
        _disclosure: Disclosure,
    ) -> Result<Vec<u8>, LinkError> {
        self.call(within, move |owner, left| {
            let mut data = vec![0; usize::from(setup.length)];
            let n = owner.run("control transfer", |h| {
                h.read_control(
                    setup.request_type,
                    setup.request,
                    setup.value,
                    setup.index,
                    &mut data,
                    left.now()?,
                )
            })?;
            data.truncate(n);
            Ok(data)
        })
        .await
    }
    async fn control_out(
        &self,
        setup: SetupPacket,
        data: &[u8],
        within: Duration,
        _disclosure: Disclosure,
    ) -> Result<(), LinkError> {
        let data = Zeroizing::new(data.to_vec());
        self.call(within, move |owner, left| {
            let n = owner.run("control transfer", |h| {
                h.write_control(
                    setup.request_type,
                    setup.request,
                    setup.value,
                    setup.index,
                    &data,
                    left.now()?,
                )
            })?;
            if n == data.len() {
                Ok(())
            } else {
                Err(LinkError::new(
                    ErrorKind::Transport(TransportFault::Framing),
                    format!("{n} of {} bytes were taken", data.len()),
                )
                .mark_sent())
            }
        })
        .await
    }
    async fn bulk_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.read(read, "bulk read", |h, endpoint, buffer, within| {
            h.read_bulk(endpoint | Direction::In as u8, buffer, within)
        })
        .await
    }
    async fn bulk_out(
        &self,
        endpoint: u8,
        data: &[u8],
        within: Duration,
        _disclosure: Disclosure,
    ) -> Result<usize, LinkError> {
        let data = Zeroizing::new(data.to_vec());
        self.call(within, move |owner, left| {
            owner.transfer("bulk write", endpoint, |h| {
                h.write_bulk(endpoint, &data, left.now()?)
            })
        })
        .await
    }
    async fn interrupt_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.read(read, "interrupt read", |h, endpoint, buffer, within| {
            h.read_interrupt(endpoint | Direction::In as u8, buffer, within)
        })
        .await
    }
    fn identity(&self) -> UsbIdentity {
        self.identity.clone()
    }
    fn address(&self) -> String {
        format!(
            "usb {:04x}:{:04x}",
            self.identity.vendor, self.identity.product
        )
    }
    async fn close(&self) {
        let (done, closed) = oneshot::channel();
        let job: Job = Box::new(move |owner| {
            owner.handle = None;
            owner.over = Some(LinkError::closed());
            let _ = done.send(());
        });
        if self.jobs.send(job).is_ok() {
            let _ = closed.await;
        }
    }
}
