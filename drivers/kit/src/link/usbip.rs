//! USB over USB/IP, in user space: reaches a USB device that another machine in the rack exports,
//! without a kernel module on this one.
//!
//! The protocol is that of the Linux kernel's `Documentation/usb/usbip_protocol.rst`, version
//! 1.1.1. Numbers are big-endian.

use super::{
    Disclosure, LinkError,
    memory::{check_ids, identity_of},
    tcp,
    ticket::{self, Ticket},
    usb::{BulkRead, SetupPacket, UsbIdentity, UsbLink},
};
use async_trait::async_trait;
use qkd_hal::{ErrorKind, TransportFault};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

const VERSION: u16 = 0x0111;
const OP_REQ_IMPORT: u16 = 0x8003;
const OP_REP_IMPORT: u16 = 0x0003;
const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;
/// Of a device record in OP_REP_IMPORT.
const RECORD: usize = 312;
/// Maximum number of bytes of one transfer: what the kernel's own client allows.
const TRANSFER_LIMIT: usize = 16 * 1024 * 1024;
/// Linux error numbers, as URB statuses carry them.
const EPIPE: i32 = -32;
const ENODEV: i32 = -19;
const ESHUTDOWN: i32 = -108;
const EOVERFLOW: i32 = -75;
/// Time after its deadline in which a transfer may still be cancelled or arrive completely.
const GRACE: Duration = Duration::from_secs(1);

struct Urb {
    endpoint: u8,
    setup: Option<SetupPacket>,
    out: Zeroizing<Vec<u8>>,
    /// Bytes of each IN transfer, and how many of them.
    chunk: usize,
    count: usize,
    within: Duration,
}

type Reply = Result<(Zeroizing<Vec<u8>>, usize), LinkError>;

enum Job {
    Submit(Urb, Instant, Ticket, oneshot::Sender<Reply>),
    Close(oneshot::Sender<()>),
}

/// A USB link over USB/IP.
pub struct UsbIpLink {
    jobs: mpsc::Sender<Job>,
    identity: UsbIdentity,
    address: String,
}

impl UsbIpLink {
    /// Imports the device with this bus id, selects configuration 1 and starts the owner task.
    ///
    /// # Errors
    /// `Unreachable`; `NotFound` if the server does not export it; `IdentityChanged` if it has
    /// other ids; `Busy` if another host has it.
    pub async fn open(
        address: &str,
        busid: &str,
        vendor: u16,
        product: u16,
        within: Duration,
    ) -> Result<Arc<Self>, LinkError> {
        let mut owner = Owner {
            address: address.to_owned(),
            busid: busid.to_owned(),
            ids: (vendor, product),
            connection: None,
            known: None,
            over: None,
        };
        owner.ready(Instant::now() + within).await?;
        let identity = owner.known.clone().unwrap_or_default();
        let (jobs, mut inbox) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Some(job) = inbox.recv().await {
                match job {
                    Job::Submit(urb, deadline, turn, reply) => {
                        if turn.claim() && !reply.is_closed() {
                            let _ = reply.send(owner.serve(urb, deadline).await);
                        }
                    }
                    Job::Close(done) => {
                        drop(owner);
                        let _ = done.send(());
                        return;
                    }
                }
            }
        });
        Ok(Arc::new(Self {
            jobs,
            identity,
            address: format!("usbip://{address}/{busid}"),
        }))
    }

    async fn submit(&self, urb: Urb) -> Reply {
        let deadline = Instant::now() + urb.within;
        ticket::submit(&self.jobs, deadline, |turn, reply| {
            Job::Submit(urb, deadline, turn, reply)
        })
        .await
    }
}

struct Owner {
    address: String,
    busid: String,
    ids: (u16, u16),
    connection: Option<Connection>,
    known: Option<UsbIdentity>,
    over: Option<LinkError>,
}

struct Connection {
    stream: TcpStream,
    address: String,
    devid: u32,
    sequence: u32,
}

fn unplugged(address: &str) -> LinkError {
    LinkError::new(
        ErrorKind::Transport(TransportFault::Unplugged),
        format!("the USB/IP server {address} reports that the device was pulled out"),
    )
    .mark_sent()
}

fn hung_up(address: &str) -> LinkError {
    LinkError::new(
        ErrorKind::Transport(TransportFault::HungUp),
        format!(
            "the connection to the USB/IP server {address} ended; the next call connects again"
        ),
    )
    .mark_sent()
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

impl Owner {
    /// Imported, configured, and the same device.
    async fn ready(&mut self, deadline: Instant) -> Result<(), LinkError> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        if self.connection.is_some() {
            return Ok(());
        }
        let late = || {
            LinkError::new(
                ErrorKind::Timeout,
                format!(
                    "the USB/IP server {} did not answer within the deadline",
                    self.address
                ),
            )
        };
        let mut connection = timeout_at(deadline, import(&self.address, &self.busid, deadline))
            .await
            .map_err(|_| late())??;
        let set_configuration = SetupPacket {
            request_type: 0,
            request: 9,
            value: 1,
            index: 0,
            length: 0,
        };
        let identity = timeout_at(deadline, async {
            connection
                .transfer(0, Some(set_configuration), &[], 0)
                .await?;
            let device = connection.descriptor(0x0100, 0, 18).await?;
            let mut strings = Vec::new();
            for index in device.get(14..17).unwrap_or_default() {
                if *index != 0 {
                    strings.push((
                        *index,
                        connection
                            .descriptor(0x0300 | u16::from(*index), 0x0409, 255)
                            .await?,
                    ));
                }
            }
            identity_of(&device, |index| {
                strings
                    .iter()
                    .find(|(i, _)| *i == index)
                    .map(|(_, s)| s.clone())
            })
        })
        .await
        .map_err(|_| late())??;
        check_ids(&identity, self.ids.0, self.ids.1)?;
        match &self.known {
            Some(known) if *known != identity => {
                let name = |i: &UsbIdentity| {
                    i.serial
                        .clone()
                        .unwrap_or_else(|| "a device without serial number".to_owned())
                };
                let error = LinkError::new(
                    ErrorKind::IdentityChanged,
                    format!(
                        "{} was opened, and {} is there now; the handle is closed",
                        name(known),
                        name(&identity)
                    ),
                );
                self.over = Some(error.clone());
                return Err(error);
            }
            _ => self.known = Some(identity),
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn serve(&mut self, urb: Urb, deadline: Instant) -> Reply {
        self.ready(deadline).await?;
        let mut all = Zeroizing::new(Vec::with_capacity(
            urb.chunk.saturating_mul(urb.count).min(TRANSFER_LIMIT),
        ));
        let mut taken = 0;
        for _ in 0..urb.count.max(1) {
            let Some(connection) = &mut self.connection else {
                return Err(hung_up(&self.address));
            };
            let outcome = connection
                .bounded(urb.endpoint, urb.setup, &urb.out, urb.chunk, deadline)
                .await;
            match outcome {
                Ok((data, n)) => {
                    all.extend_from_slice(&data);
                    taken = n;
                    if data.len() < urb.chunk {
                        break;
                    }
                }
                Err(error) => {
                    if matches!(
                        error.kind,
                        ErrorKind::Transport(
                            TransportFault::Unplugged
                                | TransportFault::HungUp
                                | TransportFault::Framing
                        )
                    ) {
                        self.connection = None;
                    }
                    return Err(error);
                }
            }
        }
        Ok((all, taken))
    }
}

async fn import(address: &str, busid: &str, deadline: Instant) -> Result<Connection, LinkError> {
    if busid.len() >= 32 {
        return Err(LinkError::new(
            ErrorKind::InvalidInput,
            format!("invalid bus ID `{busid}`: at most 31 characters, such as 1-1"),
        ));
    }
    let mut stream =
        tcp::connect(address, deadline.saturating_duration_since(Instant::now())).await?;
    let mut request = Vec::with_capacity(40);
    request.extend(VERSION.to_be_bytes());
    request.extend(OP_REQ_IMPORT.to_be_bytes());
    request.extend([0; 4]);
    request.extend(busid.as_bytes());
    request.resize(40, 0);
    let gone = |_| {
        LinkError::new(
            ErrorKind::Unreachable,
            format!("{address} does not answer as a USB/IP server"),
        )
    };
    stream.write_all(&request).await.map_err(gone)?;
    let mut head = [0; 8];
    stream.read_exact(&mut head).await.map_err(gone)?;
    let (version, code, status) = (
        u16::from_be_bytes([head[0], head[1]]),
        u16::from_be_bytes([head[2], head[3]]),
        be_u32(&head, 4),
    );
    if version != VERSION || code != OP_REP_IMPORT {
        return Err(LinkError::new(
            ErrorKind::Unreachable,
            format!("{address} answers, but not as a USB/IP server of version 1.1.1"),
        ));
    }
    match status {
        0 => {}
        // ST_DEV_BUSY of the kernel's tools/usb/usbip/libsrc/usbip_common.h; every other status is
        // a device that can't be had.
        2 => {
            return Err(LinkError::new(
                ErrorKind::Busy,
                format!("device {busid} at {address} is in use by another host"),
            ));
        }
        other => {
            return Err(LinkError::new(
                ErrorKind::NotFound,
                format!("{address} exports no device {busid} (status {other})"),
            ));
        }
    }
    let mut record = [0; RECORD];
    stream.read_exact(&mut record).await.map_err(gone)?;
    Ok(Connection {
        stream,
        address: address.to_owned(),
        devid: (be_u32(&record, 288) << 16) | (be_u32(&record, 292) & 0xffff),
        sequence: 0,
    })
}

impl Connection {
    async fn descriptor(
        &mut self,
        value: u16,
        index: u16,
        length: u16,
    ) -> Result<Vec<u8>, LinkError> {
        let setup = SetupPacket {
            request_type: 0x80,
            request: 6,
            value,
            index,
            length,
        };
        Ok(self
            .transfer(0x80, Some(setup), &[], usize::from(length))
            .await?
            .0
            .to_vec())
    }

    /// A transfer that is taken back at the deadline.
    async fn bounded(
        &mut self,
        endpoint: u8,
        setup: Option<SetupPacket>,
        out: &[u8],
        length: usize,
        deadline: Instant,
    ) -> Reply {
        // Half a message in the socket: the connection is of no use any more.
        let Ok(sent) = timeout_at(deadline, self.send(endpoint, setup, out, length)).await else {
            return Err(hung_up(&self.address));
        };
        let sequence = sent.map_err(|_| hung_up(&self.address))?;
        // The socket counts as readable until a read would block, so that only a byte proves that
        // a reply has begun; no byte at all is the end of the connection.
        if timeout_at(deadline, self.stream.peek(&mut [0]))
            .await
            .is_err()
        {
            return self.unlink(sequence, endpoint & 0x80 != 0).await;
        }
        // A server that stops in the middle of a reply gets a second more.
        timeout_at(
            deadline + GRACE,
            self.receive(sequence, endpoint & 0x80 != 0, length),
        )
        .await
        .unwrap_or_else(|_| Err(hung_up(&self.address)))
    }

    async fn transfer(
        &mut self,
        endpoint: u8,
        setup: Option<SetupPacket>,
        out: &[u8],
        length: usize,
    ) -> Reply {
        let sequence = self
            .send(endpoint, setup, out, length)
            .await
            .map_err(|_| hung_up(&self.address))?;
        self.receive(sequence, endpoint & 0x80 != 0, length).await
    }

    fn header(&mut self, command: u32, endpoint: u8) -> ([u8; 48], u32) {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let mut head = [0; 48];
        head[..4].copy_from_slice(&command.to_be_bytes());
        head[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        head[8..12].copy_from_slice(&self.devid.to_be_bytes());
        head[12..16].copy_from_slice(&u32::from(endpoint >> 7).to_be_bytes());
        head[16..20].copy_from_slice(&u32::from(endpoint & 0x0f).to_be_bytes());
        (head, self.sequence)
    }

    async fn send(
        &mut self,
        endpoint: u8,
        setup: Option<SetupPacket>,
        out: &[u8],
        length: usize,
    ) -> std::io::Result<u32> {
        let (mut head, sequence) = self.header(CMD_SUBMIT, endpoint);
        let size = u32::try_from(if endpoint & 0x80 != 0 {
            length
        } else {
            out.len()
        })
        .unwrap_or(u32::MAX);
        head[24..28].copy_from_slice(&size.to_be_bytes());
        // number_of_packets of a transfer that is not isochronous.
        head[32..36].copy_from_slice(&u32::MAX.to_be_bytes());
        if let Some(setup) = setup {
            head[40..48].copy_from_slice(&setup.to_bytes());
        }
        let mut message = Zeroizing::new(Vec::with_capacity(48 + out.len()));
        message.extend_from_slice(&head);
        if endpoint & 0x80 == 0 {
            message.extend_from_slice(out);
        }
        self.stream.write_all(&message).await?;
        Ok(sequence)
    }

    async fn receive(&mut self, sequence: u32, is_in: bool, length: usize) -> Reply {
        let mut head = [0; 48];
        self.stream
            .read_exact(&mut head)
            .await
            .map_err(|_| hung_up(&self.address))?;
        let framing = |what: &str| {
            LinkError::new(
                ErrorKind::Transport(TransportFault::Framing),
                format!("USB/IP: {what}"),
            )
            .mark_sent()
        };
        if be_u32(&head, 0) != RET_SUBMIT || be_u32(&head, 4) != sequence {
            return Err(framing("the reply belongs to no request of this link"));
        }
        let actual = be_u32(&head, 24) as usize;
        #[expect(
            clippy::cast_possible_wrap,
            reason = "an error number, in two's complement"
        )]
        let status = be_u32(&head, 20) as i32;
        let mut data = Zeroizing::new(Vec::new());
        // An IN transfer that failed may have brought some data too, which follows all the same.
        if is_in {
            if actual > length {
                return Err(framing("the server sent more than was asked for"));
            }
            data.resize(actual, 0);
            self.stream
                .read_exact(&mut data)
                .await
                .map_err(|_| hung_up(&self.address))?;
        }
        match status {
            0 => Ok((data, actual)),
            EPIPE => Err(LinkError::new(
                ErrorKind::Transport(TransportFault::Stall),
                "the endpoint stalled",
            )
            .mark_sent()),
            ENODEV | ESHUTDOWN => Err(unplugged(&self.address)),
            EOVERFLOW => Err(LinkError::new(
                ErrorKind::Transport(TransportFault::Overrun),
                "the device sent more than was asked for",
            )
            .mark_sent()),
            other => Err(LinkError::new(
                ErrorKind::Transport(TransportFault::System),
                format!("the transfer ended with status {other}"),
            )
            .mark_sent()),
        }
    }

    /// Takes a transfer back (`USBIP_CMD_UNLINK`) and waits for `USBIP_RET_UNLINK`, so that the
    /// next transfer gets its own data. If it was completed meanwhile, its data is zeroized.
    async fn unlink(&mut self, victim: u32, is_in: bool) -> Reply {
        let (mut head, sequence) = self.header(CMD_UNLINK, 0);
        head[20..24].copy_from_slice(&victim.to_be_bytes());
        let end = Instant::now() + GRACE;
        let taken_back = timeout_at(end, async {
            self.stream.write_all(&head).await.ok()?;
            // The transfer's own return, and that of its unlinking.
            for _ in 0..2 {
                let mut head = [0; 48];
                self.stream.read_exact(&mut head).await.ok()?;
                match (be_u32(&head, 0), be_u32(&head, 4)) {
                    (RET_UNLINK, s) if s == sequence => return Some(()),
                    (RET_SUBMIT, s) if s == victim => {
                        // Data follows in this direction alone.
                        let n = if is_in { be_u32(&head, 24) as usize } else { 0 };
                        if n > TRANSFER_LIMIT {
                            return None;
                        }
                        let mut late = Zeroizing::new(vec![0; n]);
                        self.stream.read_exact(&mut late).await.ok()?;
                    }
                    _ => return None,
                }
            }
            None
        })
        .await;
        match taken_back {
            Ok(Some(())) => Err(LinkError::new(
                ErrorKind::Timeout,
                "the device did not answer within the deadline; the transfer was cancelled",
            )
            .mark_sent()),
            _ => Err(hung_up(&self.address)),
        }
    }
}

impl UsbIpLink {
    /// After a stall, within what is left of the call's time.
    async fn clear_halt<T: Sync>(
        &self,
        endpoint: u8,
        result: &Result<T, LinkError>,
        deadline: Instant,
    ) {
        let within = deadline.saturating_duration_since(Instant::now());
        if !within.is_zero()
            && matches!(result, Err(e) if e.kind == ErrorKind::Transport(TransportFault::Stall))
        {
            let setup = Some(SetupPacket::clear_halt(endpoint));
            let urb = Urb {
                endpoint: 0,
                setup,
                out: Zeroizing::default(),
                chunk: 0,
                count: 1,
                within,
            };
            let _ = self.submit(urb).await;
        }
    }
}

#[async_trait]
impl UsbLink for UsbIpLink {
    async fn control_in(
        &self,
        setup: SetupPacket,
        within: Duration,
        _disclosure: Disclosure,
    ) -> Result<Vec<u8>, LinkError> {
        let urb = Urb {
            endpoint: 0x80,
            setup: Some(setup),
            out: Zeroizing::default(),
            chunk: usize::from(setup.length),
            count: 1,
            within,
        };
        Ok(self.submit(urb).await?.0.to_vec())
    }
    async fn control_out(
        &self,
        setup: SetupPacket,
        data: &[u8],
        within: Duration,
        _disclosure: Disclosure,
    ) -> Result<(), LinkError> {
        let urb = Urb {
            endpoint: 0,
            setup: Some(setup),
            out: Zeroizing::new(data.to_vec()),
            chunk: 0,
            count: 1,
            within,
        };
        match self.submit(urb).await?.1 {
            n if n == data.len() => Ok(()),
            n => Err(LinkError::new(
                ErrorKind::Transport(TransportFault::Framing),
                format!("{n} of {} bytes were taken", data.len()),
            )
            .mark_sent()),
        }
    }
    async fn bulk_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        let (endpoint, deadline) = (read.endpoint | 0x80, Instant::now() + read.within);
        let urb = Urb {
            endpoint,
            setup: None,
            out: Zeroizing::default(),
            chunk: read.chunk,
            count: read.count,
            within: read.within,
        };
        let result = self.submit(urb).await;
        self.clear_halt(endpoint, &result, deadline).await;
        Ok(result?.0)
    }
    async fn bulk_out(
        &self,
        endpoint: u8,
        data: &[u8],
        within: Duration,
        _disclosure: Disclosure,
    ) -> Result<usize, LinkError> {
        let (endpoint, deadline) = (endpoint & 0x0f, Instant::now() + within);
        let urb = Urb {
            endpoint,
            setup: None,
            out: Zeroizing::new(data.to_vec()),
            chunk: 0,
            count: 1,
            within,
        };
        let result = self.submit(urb).await;
        self.clear_halt(endpoint, &result, deadline).await;
        Ok(result?.1)
    }
    async fn interrupt_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.bulk_in(read).await
    }
    fn identity(&self) -> UsbIdentity {
        self.identity.clone()
    }
    fn address(&self) -> String {
        self.address.clone()
    }
    async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}
