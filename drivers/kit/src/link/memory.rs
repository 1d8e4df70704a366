//! In-memory implementations of all links: deterministic, under paused time, without sockets.

use super::{
    Disclosure, LinkError,
    bytes::{ByteStream, Connector},
    datagram::{
        Answer, DatagramExchange, DatagramLink, DatagramPeer, DatagramService, Datagrams, late,
    },
    http::{HttpLink, HttpRequest, HttpResponse, HttpService},
    snmp::{
        ErrorStatus, Notification, Oid, SecurityLevel, SetRequest, SnmpLink, SnmpService, VarBind,
    },
    usb::{BulkRead, Completion, SetupPacket, UsbIdentity, UsbLink, UsbService},
};
use async_trait::async_trait;
use qkd_hal::{DeviceMisbehaved, ErrorKind, TransportFault};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::DuplexStream,
    sync::broadcast,
    time::{Instant, sleep, timeout},
};
use zeroize::Zeroizing;

/// An in-memory endpoint, at the level of its link.
#[derive(Clone)]
pub enum Endpoint {
    /// A byte stream.
    Bytes(Arc<dyn Connector>),
    /// An SNMP agent.
    Snmp(Arc<dyn SnmpService>),
    /// A USB device.
    Usb(Arc<dyn UsbService>),
    /// Requests, from a client of this name.
    Http(Arc<dyn HttpService>, Option<String>),
    /// The peer of datagram sockets.
    Datagram(Arc<dyn DatagramService>),
}

/// A connector shared by several links.
pub struct SharedConnector(pub Arc<dyn Connector>);

#[async_trait]
impl Connector for SharedConnector {
    async fn connect(&self, within: Duration) -> Result<Box<dyn ByteStream>, LinkError> {
        self.0.connect(within).await
    }
    fn address(&self) -> String {
        self.0.address()
    }
}

/// Bytes: each connection is a fresh duplex pipe, whose far end goes to a function that serves it.
pub struct MemoryConnector<F> {
    name: String,
    serve: F,
}

impl<F: Fn(DuplexStream) + Send + Sync> MemoryConnector<F> {
    /// An endpoint; `serve` gets the far end of each new connection, and normally spawns a task on
    /// it.
    pub fn new(name: impl Into<String>, serve: F) -> Self {
        Self {
            name: name.into(),
            serve,
        }
    }
}

#[async_trait]
impl<F: Fn(DuplexStream) + Send + Sync> Connector for MemoryConnector<F> {
    async fn connect(&self, _within: Duration) -> Result<Box<dyn ByteStream>, LinkError> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        (self.serve)(far);
        Ok(Box::new(near))
    }
    fn address(&self) -> String {
        format!("mem://{}", self.name)
    }
}

/// An in-memory SNMP link. It is treated as authPriv, because its messages do not leave the
/// process.
pub struct MemorySnmpLink {
    name: String,
    service: Arc<dyn SnmpService>,
    request_id: AtomicI32,
    closed: AtomicBool,
}

impl MemorySnmpLink {
    /// A link to this agent.
    pub fn new(name: impl Into<String>, service: Arc<dyn SnmpService>) -> Self {
        Self {
            name: name.into(),
            service,
            request_id: AtomicI32::new(1),
            closed: AtomicBool::new(false),
        }
    }
    fn open(&self) -> Result<(), LinkError> {
        if self.closed.load(Ordering::Acquire) {
            Err(LinkError::closed())
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl SnmpLink for MemorySnmpLink {
    async fn get(&self, oids: &[Oid], _within: Duration) -> Result<Vec<VarBind>, LinkError> {
        self.open()?;
        Ok(oids
            .iter()
            .map(|oid| VarBind::new(oid.clone(), self.service.get(oid)))
            .collect())
    }
    async fn set(&self, request: SetRequest, _within: Duration) -> Result<i32, LinkError> {
        self.open()?;
        let id = self.request_id.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        match self.service.set(id, request.binds()) {
            Ok(()) => Ok(id),
            Err((status, index)) => Err(refused(
                status as u32,
                index,
                request.binds().get(index.wrapping_sub(1)).map(|b| &b.oid),
            )),
        }
    }
    async fn walk(&self, root: &Oid, _within: Duration) -> Result<Vec<VarBind>, LinkError> {
        self.open()?;
        let mut found: Vec<VarBind> = Vec::new();
        let mut at = root.clone();
        while let Some(next) = self.service.next(&at) {
            if next.oid.suffix_of(root).is_none() {
                break;
            }
            if next.oid <= at {
                return Err(LinkError::new(
                    ErrorKind::Misbehaved(DeviceMisbehaved::NamesNotIncreasing),
                    format!("after {at} the agent returned {}", next.oid),
                ));
            }
            at = next.oid.clone();
            found.push(next);
        }
        Ok(found)
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.service.notifications()
    }
    fn has_notifications(&self) -> bool {
        true
    }
    fn security(&self) -> SecurityLevel {
        SecurityLevel::AuthPriv
    }
    fn address(&self) -> String {
        format!("mem://{}", self.name)
    }
    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// The error of a refused PDU (RFC 3416, error-status).
pub(crate) fn refused(status: u32, index: usize, oid: Option<&Oid>) -> LinkError {
    let name = match status {
        1 => "tooBig",
        2 => "noSuchName",
        3 => "badValue",
        4 => "readOnly",
        5 => "genErr",
        6 => "noAccess",
        7 => "wrongType",
        8 => "wrongLength",
        9 => "wrongEncoding",
        10 => "wrongValue",
        11 => "noCreation",
        12 => "inconsistentValue",
        13 => "resourceUnavailable",
        14 => "commitFailed",
        15 => "undoFailed",
        16 => "authorizationError",
        17 => "notWritable",
        18 => "inconsistentName",
        _ => "an unknown error-status",
    };
    let at = oid.map_or_else(String::new, |oid| format!(" of {oid} (varbind {index})"));
    let kind = if status == ErrorStatus::AuthorizationError as u32 {
        ErrorKind::Authentication
    } else {
        ErrorKind::Refused
    };
    let error = LinkError::new(kind, format!("the agent refused{at}: {name}"))
        .mark_sent()
        .with_code(format!("{name}({status})"))
        .with_varbind(index);
    // RFC 3416, 4.2.5: with commitFailed nothing was changed; with undoFailed something was.
    if status == 15 {
        LinkError {
            kind: ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied),
            ..error
        }
    } else {
        error
    }
}

/// Transfers. A pending transfer asks the service again each millisecond of the runtime's time.
pub struct MemoryUsbLink {
    name: String,
    service: Arc<dyn UsbService>,
    identity: UsbIdentity,
    /// It was pulled out: what is there when it answers again may be another.
    gone: AtomicBool,
    /// Another device answers: the link has ended.
    over: OnceLock<LinkError>,
    closed: AtomicBool,
}

impl MemoryUsbLink {
    /// A link to this device.
    ///
    /// # Errors
    /// `IdentityChanged` if its ids are others; what a standard request answers.
    pub fn open(
        name: impl Into<String>,
        service: Arc<dyn UsbService>,
        vendor: u16,
        product: u16,
    ) -> Result<Self, LinkError> {
        let identity = who(&*service)?;
        check_ids(&identity, vendor, product)?;
        Ok(Self {
            name: name.into(),
            service,
            identity,
            gone: AtomicBool::new(false),
            over: OnceLock::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// Whether the device that was pulled out is the one that is there again.
    fn same(&self) -> Result<(), LinkError> {
        if let Some(over) = self.over.get() {
            return Err(over.clone());
        }
        if !self.gone.load(Ordering::Acquire) {
            return Ok(());
        }
        // One that is gone still has descriptors here, and no strings.
        let found = who(&*self.service)?;
        if found.serial.is_none() && self.identity.serial.is_some() {
            return Err(LinkError::new(
                ErrorKind::Transport(TransportFault::Unplugged),
                "the device was pulled out",
            ));
        }
        if found != self.identity {
            let what = |i: &UsbIdentity| {
                i.serial
                    .clone()
                    .unwrap_or_else(|| "no serial number".to_owned())
            };
            let error = LinkError::new(
                ErrorKind::IdentityChanged,
                format!(
                    "{} was opened, and {} answers now; the handle is closed",
                    what(&self.identity),
                    what(&found)
                ),
            );
            return Err(self.over.get_or_init(|| error).clone());
        }
        // As at opening: configuration 1.
        self.service.control(
            SetupPacket {
                request_type: 0,
                request: 9,
                value: 1,
                index: 0,
                length: 0,
            },
            &[],
        );
        self.gone.store(false, Ordering::Release);
        Ok(())
    }

    async fn complete(
        &self,
        within: Duration,
        mut transfer: impl FnMut(&dyn UsbService) -> Completion + Send,
    ) -> Result<Completion, LinkError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(LinkError::closed());
        }
        self.same()?;
        let end = Instant::now() + within;
        loop {
            match transfer(self.service.as_ref()) {
                Completion::Pending if Instant::now() >= end => {
                    return Err(LinkError::new(
                        ErrorKind::Timeout,
                        "the device had nothing to say within the deadline",
                    )
                    .mark_sent());
                }
                Completion::Pending => sleep(Duration::from_millis(1).min(within)).await,
                Completion::Stall => {
                    return Err(LinkError::new(
                        ErrorKind::Transport(TransportFault::Stall),
                        "the endpoint stalled",
                    )
                    .mark_sent());
                }
                Completion::Gone => {
                    self.gone.store(true, Ordering::Release);
                    return Err(LinkError::new(
                        ErrorKind::Transport(TransportFault::Unplugged),
                        "the device was pulled out",
                    )
                    .mark_sent());
                }
                done => return Ok(done),
            }
        }
    }

    /// A transfer of an endpoint, whose halt is ended if it stalls.
    async fn transfer(
        &self,
        endpoint: u8,
        within: Duration,
        transfer: impl FnMut(&dyn UsbService) -> Completion + Send,
    ) -> Result<Completion, LinkError> {
        let result = self.complete(within, transfer).await;
        if matches!(&result, Err(e) if e.kind == ErrorKind::Transport(TransportFault::Stall)) {
            self.service.control(SetupPacket::clear_halt(endpoint), &[]);
        }
        result
    }

    async fn read(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        let mut all = Zeroizing::new(Vec::with_capacity(
            read.chunk.saturating_mul(read.count).min(1 << 24),
        ));
        for _ in 0..read.count {
            if let Completion::Data(mut bytes) = self
                .transfer(read.endpoint | 0x80, read.within, |s| {
                    s.read(read.endpoint, read.chunk)
                })
                .await?
            {
                all.extend_from_slice(&bytes);
                let short = bytes.len() < read.chunk;
                zeroize::Zeroize::zeroize(&mut bytes);
                if short {
                    break;
                }
            }
        }
        Ok(all)
    }
}

/// Asks a device for its identity.
fn who(service: &dyn UsbService) -> Result<UsbIdentity, LinkError> {
    let (device, _) = service.descriptors();
    identity_of(&device, |index| {
        let setup = SetupPacket {
            request_type: 0x80,
            request: 6,
            value: 0x0300 | u16::from(index),
            index: 0x0409,
            length: 255,
        };
        match service.control(setup, &[]) {
            Completion::Data(text) => Some(text),
            _ => None,
        }
    })
}

/// Reads the identity out of a device descriptor; `string` fetches a string descriptor.
pub(crate) fn identity_of(
    device: &[u8],
    string: impl Fn(u8) -> Option<Vec<u8>>,
) -> Result<UsbIdentity, LinkError> {
    let word = |at: usize| {
        device
            .get(at..at + 2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
    };
    let (Some(vendor), Some(product), Some(release), Some(strings)) =
        (word(8), word(10), word(12), device.get(14..17))
    else {
        return Err(LinkError::new(
            ErrorKind::Transport(TransportFault::Framing),
            "the device descriptor is cut short",
        ));
    };
    let text = |index: u8| {
        let bytes = (index != 0).then(|| string(index)).flatten()?;
        let units: Vec<u16> = bytes
            .get(2..)?
            .chunks_exact(2)
            .map(|c| u16::from_le_bytes([c[0], c[1]]))
            .collect();
        Some(String::from_utf16_lossy(&units))
    };
    Ok(UsbIdentity {
        vendor,
        product,
        release,
        manufacturer: text(strings[0]),
        product_name: text(strings[1]),
        serial: text(strings[2]),
    })
}

pub(crate) fn check_ids(found: &UsbIdentity, vendor: u16, product: u16) -> Result<(), LinkError> {
    if (found.vendor, found.product) == (vendor, product) {
        return Ok(());
    }
    Err(LinkError::new(
        ErrorKind::IdentityChanged,
        format!(
            "a device of another vendor responds: expected USB {vendor:04x}:{product:04x}, found \
             {:04x}:{:04x}",
            found.vendor, found.product
        ),
    ))
}

#[async_trait]
impl UsbLink for MemoryUsbLink {
    async fn control_in(
        &self,
        setup: SetupPacket,
        within: Duration,
        _disclosure: Disclosure,
    ) -> Result<Vec<u8>, LinkError> {
        match self.complete(within, |s| s.control(setup, &[])).await? {
            Completion::Data(bytes) => Ok(bytes),
            _ => Ok(Vec::new()),
        }
    }
    async fn control_out(
        &self,
        setup: SetupPacket,
        data: &[u8],
        within: Duration,
        _disclosure: Disclosure,
    ) -> Result<(), LinkError> {
        self.complete(within, |s| s.control(setup, data))
            .await
            .map(drop)
    }
    async fn bulk_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.read(read).await
    }
    async fn bulk_out(
        &self,
        endpoint: u8,
        data: &[u8],
        within: Duration,
        _disclosure: Disclosure,
    ) -> Result<usize, LinkError> {
        match self
            .transfer(endpoint, within, |s| s.write(endpoint, data))
            .await?
        {
            Completion::Accepted(n) => Ok(n),
            _ => Ok(0),
        }
    }
    async fn interrupt_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.read(read).await
    }
    fn identity(&self) -> UsbIdentity {
        self.identity.clone()
    }
    fn address(&self) -> String {
        format!("mem://{}", self.name)
    }
    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// In-memory link to an HTTP server, from a client with a given name.
pub struct MemoryHttpLink {
    name: String,
    service: Arc<dyn HttpService>,
    client: Option<String>,
    closed: AtomicBool,
}

impl MemoryHttpLink {
    /// A link to this server.
    pub fn new(
        name: impl Into<String>,
        service: Arc<dyn HttpService>,
        client: Option<String>,
    ) -> Self {
        Self {
            name: name.into(),
            service,
            client,
            closed: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl HttpLink for MemoryHttpLink {
    async fn call(
        &self,
        request: HttpRequest,
        within: Duration,
    ) -> Result<HttpResponse, LinkError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(LinkError::closed());
        }
        let body = request.body.as_ref().map_or(&[][..], |b| b.as_slice());
        let answer = async {
            self.service
                .call(self.client.as_deref(), request.method, &request.path, body)
        };
        timeout(within, answer).await.map_err(|_| {
            LinkError::new(ErrorKind::Timeout, "no response within the deadline").mark_sent()
        })
    }
    fn address(&self) -> String {
        format!("mem://{}", self.name)
    }
    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// In-memory link to the peer of a datagram socket.
pub struct MemoryDatagramLink {
    name: String,
    service: Arc<dyn DatagramService>,
    peer: DatagramPeer,
    closed: AtomicBool,
}

impl MemoryDatagramLink {
    /// A link to this peer.
    pub fn new(
        name: impl Into<String>,
        service: Arc<dyn DatagramService>,
        peer: DatagramPeer,
    ) -> Self {
        Self {
            name: name.into(),
            service,
            peer,
            closed: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl DatagramLink for MemoryDatagramLink {
    async fn exchange(&self, exchange: DatagramExchange) -> Result<Datagrams, LinkError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(LinkError::closed());
        }
        let mut answer = Answer::new(exchange.decoder, exchange.max_datagrams);
        for datagram in self.service.answer(self.peer, &exchange.request) {
            if answer.take(datagram)? {
                return Ok(answer.into_datagrams());
            }
        }
        sleep(exchange.within).await;
        Err(late())
    }
    fn address(&self) -> String {
        format!("mem://{}", self.name)
    }
    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}
