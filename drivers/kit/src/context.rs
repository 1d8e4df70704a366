//! Context for opening a device: credentials, accepted assumptions, deadlines and links.

use crate::{
    credentials::{CredentialEntry, Credentials},
    driver_info::DriverInfo,
    link::{
        bytes::{ByteLink, Connector},
        datagram::{DatagramLink, DatagramPeer},
        http::HttpLink,
        memory::{self, Endpoint},
        snmp::SnmpLink,
        stream::{StreamLink, StreamOptions},
        usb::UsbLink,
    },
    transcript::{Outcome, Record, Replay, Transcript},
    wrap::{
        fault::{FaultSource, FaultyLink},
        traced::TracedLink,
    },
};
use qkd_hal::{Descriptor, DeviceUri, Error, ErrorKind, Result, event::EventHub};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Name of the in-memory transport, which every driver supports. Its addresses are names of
/// endpoints ([`OpenContext::with_memory`]).
pub const MEMORY_TRANSPORT: &str = "mem";

/// Serial settings of a driver.
#[derive(Debug, Clone, Copy)]
pub struct SerialSettings {
    /// Line speed, in baud. `baud=` in the URI overrides it.
    pub baud: u32,
    /// Whether RTS/CTS flow control is used.
    pub hardware_flow: bool,
}

/// Context for opening a device: credentials, accepted assumptions, deadlines and links.
#[derive(Clone, Default)]
pub struct OpenContext {
    credentials: Credentials,
    accepted: BTreeSet<String>,
    deadline: Option<Duration>,
    memory: BTreeMap<String, Endpoint>,
    transcript: Option<Transcript>,
    replay: Option<Arc<Replay>>,
    faults: Option<Arc<dyn FaultSource>>,
    #[cfg(feature = "snmp")]
    notifications: Option<crate::link::snmp_udp::NotificationReceiver>,
}

impl OpenContext {
    /// Creates a context whose only credentials are those in environment variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Sets the credentials. Environment variables still override their fields.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }
    /// Adds an entry to the credentials.
    #[must_use]
    pub fn with_credentials_entry(mut self, entry: CredentialEntry) -> Self {
        self.credentials = self.credentials.with(entry);
        self
    }
    /// Accepts these assumptions, by ID, for every device.
    #[must_use]
    pub fn with_accepted_assumptions(
        mut self,
        assumptions: impl IntoIterator<Item = String>,
    ) -> Self {
        self.accepted.extend(assumptions);
        self
    }
    /// Sets the deadline of each call, instead of 5 s. `deadline=` in the URI overrides it.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
    /// Adds an in-memory endpoint, whose URI is `driver+mem://name`.
    #[must_use]
    pub fn with_memory(mut self, name: impl Into<String>, endpoint: Endpoint) -> Self {
        self.memory.insert(name.into(), endpoint);
        self
    }
    /// Returns the in-memory endpoints, by name.
    pub fn memory(&self) -> impl Iterator<Item = (&str, &Endpoint)> {
        self.memory
            .iter()
            .map(|(name, endpoint)| (name.as_str(), endpoint))
    }
    /// Records the exchanges of every link in `transcript`.
    #[must_use]
    pub fn with_transcript(mut self, transcript: Transcript) -> Self {
        self.transcript = Some(transcript);
        self
    }
    /// Answers every exchange from a transcript. No link is opened, whatever transport the URI has.
    #[must_use]
    pub fn with_replay(mut self, replay: Replay) -> Self {
        self.replay = Some(Arc::new(replay));
        self
    }
    /// Whether every exchange is answered from a transcript.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.replay.is_some()
    }
    /// Injects faults on every link: random ([`RandomFaults`](crate::wrap::fault::RandomFaults)) or
    /// planned ([`FaultScript`](crate::wrap::fault::FaultScript)).
    #[must_use]
    pub fn with_faults(mut self, faults: impl FaultSource + 'static) -> Self {
        self.faults = Some(Arc::new(faults));
        self
    }
    /// Sets the receiver of SNMP notifications, which all devices of the process share.
    #[cfg(feature = "snmp")]
    #[must_use]
    pub fn with_notifications(
        mut self,
        receiver: crate::link::snmp_udp::NotificationReceiver,
    ) -> Self {
        self.notifications = Some(receiver);
        self
    }

    /// Returns the time of the transcript, in microseconds; 0 without a transcript.
    pub(crate) fn transcript_now(&self) -> u64 {
        self.transcript.as_ref().map_or(0, Transcript::now)
    }

    /// Records a failed opening in the transcript, because an error before the link exists belongs
    /// to no exchange. `begun`: its start, as of [`transcript_now`](Self::transcript_now).
    pub(crate) fn record_failed_open(&self, uri: &DeviceUri, begun: u64, error: &Error) {
        if let Some(transcript) = &self.transcript {
            transcript.push(Record {
                at_us: begun,
                link: uri.to_string(),
                name: "open".to_owned(),
                changes: false,
                request: Vec::new(),
                reply: Vec::new(),
                outcome: Outcome::Error(error.kind().name().to_owned()),
                took_us: transcript.now().saturating_sub(begun),
            });
        }
    }

    /// Returns the deadline of each call of this device.
    ///
    /// # Errors
    /// `InvalidInput` if the URI's deadline is not a duration from 1 ms to 10 min.
    pub fn deadline(&self, uri: &DeviceUri) -> Result<Duration> {
        let Some(text) = uri.parameter("deadline") else {
            return Ok(self.deadline.unwrap_or(Duration::from_secs(5)));
        };
        humantime::parse_duration(text)
            .ok()
            .filter(|d| (Duration::from_millis(1)..=Duration::from_secs(600)).contains(d))
            .ok_or_else(|| {
                Error::invalid(format!(
                    "deadline={text}: expected a duration from 1ms to 10m, such as 5s"
                ))
            })
    }

    /// Returns the descriptor of a device that this driver opens with this URI.
    ///
    /// # Errors
    /// As [`deadline`](Self::deadline).
    pub fn descriptor(&self, info: &'static DriverInfo, uri: &DeviceUri) -> Result<Descriptor> {
        let accepted_in_uri = uri
            .parameters()
            .iter()
            .filter(|(name, _)| name == "assume")
            .map(|(_, id)| id.clone());
        Ok(Descriptor::new(info.name, uri.to_string(), info.maturity)
            .with_kinds(info.kinds)
            .with_assumptions(
                info.assumptions,
                accepted_in_uri.chain(self.accepted.iter().cloned()),
            )
            .with_deadline(self.deadline(uri)?))
    }

    /// Returns the credentials that the URI names.
    ///
    /// # Errors
    /// `Authentication` if the URI names none, or the entry does not exist.
    pub fn credentials(&self, uri: &DeviceUri) -> Result<CredentialEntry> {
        let name = uri.parameter("credentials").ok_or_else(|| {
            Error::new(
                ErrorKind::Authentication,
                "this device needs credentials: name an entry of the credentials file with \
                 credentials=<name>",
            )
        })?;
        self.credentials.entry(name)
    }

    fn endpoint(&self, uri: &DeviceUri) -> Result<&Endpoint> {
        self.memory.get(uri.host()).ok_or_else(|| {
            let names: Vec<_> = self.memory.keys().map(String::as_str).collect();
            Error::new(
                ErrorKind::Unreachable,
                format!(
                    "there is no in-memory endpoint `{}`; the endpoints are: {}",
                    uri.host(),
                    names.join(", ")
                ),
            )
        })
    }

    fn wrong_link_type(uri: &DeviceUri) -> Error {
        Error::invalid(format!(
            "the in-memory endpoint `{}` has another link type than driver {} needs",
            uri.host(),
            uri.driver()
        ))
    }

    /// Wraps a link in the faults of this context, if it has any.
    fn faulty<L>(&self, link: L, of: impl FnOnce(FaultyLink<L>) -> L) -> L {
        match &self.faults {
            Some(faults) => of(FaultyLink::new(link, Arc::clone(faults))),
            None => link,
        }
    }

    /// Wraps a link in the transcript of this context, if it has one.
    fn traced<L>(&self, link: L, of: impl FnOnce(TracedLink<L>) -> L) -> L {
        match &self.transcript {
            Some(transcript) => of(TracedLink::new(link, transcript.clone())),
            None => link,
        }
    }

    /// Wraps a link in the faults, then in the transcript, which thus records what the driver sees.
    fn wrapped<L>(
        &self,
        link: L,
        faulty: impl FnOnce(FaultyLink<L>) -> L,
        traced: impl FnOnce(TracedLink<L>) -> L,
    ) -> L {
        self.traced(self.faulty(link, faulty), traced)
    }

    /// Opens a byte link to the device: `serial`, `tcp`, `unix` or `mem`. `port`: the TCP port if
    /// the URI has none. `serial`: `None` if the driver has no serial transport.
    ///
    /// # Errors
    /// `InvalidInput` for an invalid address; errors of the link.
    pub async fn byte_link(
        &self,
        uri: &DeviceUri,
        port: u16,
        serial: Option<SerialSettings>,
        options: StreamOptions,
    ) -> Result<Arc<dyn ByteLink>> {
        if let Some(replay) = &self.replay {
            return Ok(Arc::clone(replay) as Arc<dyn ByteLink>);
        }
        let connector = self.connector(uri, port, serial)?;
        let connector = self.faulty(connector, |connector| Box::new(connector));
        let link = StreamLink::open(connector, options, self.deadline(uri)?)
            .await
            .map_err(|mut e| {
                // A wrong line speed causes unreadable replies or none.
                if uri.transport() == "serial"
                    && !matches!(e.kind, ErrorKind::Busy | ErrorKind::Unreachable)
                {
                    e.detail
                        .push_str("; check the line speed, which baud= sets");
                }
                e.into_read_error("open")
            })?;
        Ok(self.traced(link as Arc<dyn ByteLink>, |link| Arc::new(link)))
    }

    #[allow(
        unused_variables,
        reason = "some features need neither port nor serial settings"
    )]
    fn connector(
        &self,
        uri: &DeviceUri,
        port: u16,
        serial: Option<SerialSettings>,
    ) -> Result<Box<dyn Connector>> {
        match uri.transport() {
            MEMORY_TRANSPORT => match self.endpoint(uri)? {
                Endpoint::Bytes(connector) => {
                    Ok(Box::new(memory::SharedConnector(Arc::clone(connector))))
                }
                _ => Err(Self::wrong_link_type(uri)),
            },
            "tcp" | "unix" if uri.parameter("baud").is_some() => Err(Error::invalid(format!(
                "{uri}: baud= applies only to serial lines"
            ))),
            #[cfg(feature = "tcp")]
            "tcp" => {
                if uri.host().is_empty() {
                    return Err(Error::invalid(format!(
                        "{uri} names no host; write {}+tcp://192.0.2.7",
                        uri.driver()
                    )));
                }
                Ok(Box::new(crate::link::tcp::TcpConnector::new(
                    uri.authority(port),
                )))
            }
            #[cfg(feature = "tcp")]
            "unix" => Ok(Box::new(crate::link::tcp::UnixConnector::new(uri.path()))),
            #[cfg(feature = "serial")]
            "serial" => {
                let settings = serial.ok_or_else(|| {
                    Error::invalid(format!("driver {} has no serial settings", uri.driver()))
                })?;
                if uri.path().is_empty() || !uri.host().is_empty() {
                    return Err(Error::invalid(format!(
                        "{uri} names no serial port; write {}+serial:///dev/ttyS0",
                        uri.driver()
                    )));
                }
                let baud = uri
                    .parse_parameter("baud", "a line speed, such as 38400")?
                    .unwrap_or(settings.baud);
                Ok(Box::new(crate::link::serial::SerialConnector::new(
                    uri.path(),
                    baud,
                    settings.hardware_flow,
                )))
            }
            other => Err(Error::invalid(format!(
                "this program was built without the transport `{other}`"
            ))),
        }
    }

    /// Opens an SNMP link to the device: `snmp` or `mem`. Notifications are published in `events`.
    ///
    /// # Errors
    /// `Authentication`, `Unreachable`, `InvalidInput`.
    #[allow(unused_variables, reason = "some features need no events")]
    pub async fn snmp_link(&self, uri: &DeviceUri, events: EventHub) -> Result<Arc<dyn SnmpLink>> {
        if let Some(replay) = &self.replay {
            return Ok(Arc::clone(replay) as Arc<dyn SnmpLink>);
        }
        let link: Arc<dyn SnmpLink> = match uri.transport() {
            MEMORY_TRANSPORT => match self.endpoint(uri)? {
                Endpoint::Snmp(service) => {
                    Arc::new(memory::MemorySnmpLink::new(uri.host(), Arc::clone(service)))
                }
                _ => return Err(Self::wrong_link_type(uri)),
            },
            #[cfg(feature = "snmp")]
            "snmp" => {
                let security =
                    crate::link::snmp_udp::SnmpSecurity::from_entry(&self.credentials(uri)?)?;
                let address = uri.authority(161);
                crate::link::snmp_udp::UdpSnmpLink::open(
                    &address,
                    security,
                    &crate::link::snmp_udp::SnmpOptions::from_uri(uri)?,
                    self.deadline(uri)?,
                    events,
                    self.notifications.clone(),
                )
                .await
                .map_err(|e| e.into_read_error("open"))?
            }
            other => {
                return Err(Error::invalid(format!(
                    "this program was built without the transport `{other}`"
                )));
            }
        };
        Ok(self.wrapped(link, |link| Arc::new(link), |link| Arc::new(link)))
    }

    /// Opens a USB link to the device with these IDs: `usb` (libusb), `usbip` or `mem`. Claims the
    /// interface, and selects configuration 1.
    ///
    /// # Errors
    /// `NotFound`, `IdentityChanged`, `Busy`, `Unreachable`, `InvalidInput`.
    #[allow(unused_variables, reason = "some features need no ids")]
    pub async fn usb_link(
        &self,
        uri: &DeviceUri,
        vendor: u16,
        product: u16,
        interface: u8,
    ) -> Result<Arc<dyn UsbLink>> {
        if let Some(replay) = &self.replay {
            return Ok(Arc::clone(replay) as Arc<dyn UsbLink>);
        }
        let link: Arc<dyn UsbLink> = match uri.transport() {
            MEMORY_TRANSPORT => match self.endpoint(uri)? {
                Endpoint::Usb(service) => Arc::new(
                    memory::MemoryUsbLink::open(uri.host(), Arc::clone(service), vendor, product)
                        .map_err(|e| e.into_read_error("open"))?,
                ),
                _ => return Err(Self::wrong_link_type(uri)),
            },
            #[cfg(feature = "usb-system")]
            "usb" => crate::link::usb_host::HostUsbLink::open(
                vendor,
                product,
                interface,
                uri.parameter("serial"),
                self.deadline(uri)?,
            )
            .await
            .map_err(|e| e.into_read_error("open"))?,
            #[cfg(feature = "tcp")]
            "usbip" => {
                let busid = uri.path().trim_start_matches('/');
                if uri.host().is_empty() || busid.is_empty() {
                    return Err(Error::invalid(format!(
                        "{uri} names no host and bus id; write {}+usbip://192.0.2.4/1-1",
                        uri.driver()
                    )));
                }
                crate::link::usbip::UsbIpLink::open(
                    &uri.authority(3240),
                    busid,
                    vendor,
                    product,
                    self.deadline(uri)?,
                )
                .await
                .map_err(|e| e.into_read_error("open"))?
            }
            other => {
                return Err(Error::invalid(format!(
                    "this program was built without the transport `{other}`"
                )));
            }
        };
        if let Some(wanted) = uri.parameter("serial")
            && link.identity().serial.as_deref() != Some(wanted)
        {
            let found = link
                .identity()
                .serial
                .map_or_else(|| "none".to_owned(), |s| format!("`{s}`"));
            link.close().await;
            return Err(Error::new(
                ErrorKind::IdentityChanged,
                format!(
                    "{uri}: another device responds: expected serial number `{wanted}`, found \
                     {found}"
                ),
            ));
        }
        Ok(self.wrapped(link, |link| Arc::new(link), |link| Arc::new(link)))
    }

    /// Opens a link to the peer of a datagram socket: `netlink` (the kernel), `unixgram` (a process
    /// whose socket is at the path of the URI) or `mem`. `netns=` in the URI names a network
    /// namespace. On a link in memory, the peer is the one that is asked for.
    ///
    /// # Errors
    /// `Unreachable`, `Authentication`, `InvalidInput`.
    #[allow(clippy::unused_async, reason = "a socket needs a runtime")]
    pub async fn datagram_link(
        &self,
        uri: &DeviceUri,
        peer: DatagramPeer,
    ) -> Result<Arc<dyn DatagramLink>> {
        if let Some(replay) = &self.replay {
            return Ok(Arc::clone(replay) as Arc<dyn DatagramLink>);
        }
        let link: Arc<dyn DatagramLink> = match uri.transport() {
            MEMORY_TRANSPORT => match self.endpoint(uri)? {
                Endpoint::Datagram(service) => Arc::new(memory::MemoryDatagramLink::new(
                    uri.host(),
                    Arc::clone(service),
                    peer,
                )),
                _ => return Err(Self::wrong_link_type(uri)),
            },
            #[cfg(all(feature = "netlink", target_os = "linux"))]
            "netlink" | "unixgram" => {
                use crate::link::datagram_socket::{DatagramAddress, SocketDatagramLink};
                let namespace = uri.parameter("netns");
                let address = if uri.transport() == "netlink" {
                    DatagramAddress::netlink(peer, namespace)
                } else {
                    DatagramAddress::unix(uri.path(), namespace)
                };
                address
                    .and_then(SocketDatagramLink::open)
                    .map_err(|e| e.into_read_error("open"))?
            }
            other => {
                return Err(Error::invalid(format!(
                    "this program was built without the transport `{other}`"
                )));
            }
        };
        Ok(self.wrapped(link, |link| Arc::new(link), |link| Arc::new(link)))
    }

    /// Opens an HTTP link to a server: `https` (mutual TLS with the URI's credentials), `http` or
    /// `mem`.
    ///
    /// # Errors
    /// `Authentication`, `InvalidInput`.
    pub async fn http_link(&self, uri: &DeviceUri) -> Result<Arc<dyn HttpLink>> {
        if let Some(replay) = &self.replay {
            return Ok(Arc::clone(replay) as Arc<dyn HttpLink>);
        }
        let link: Arc<dyn HttpLink> = match uri.transport() {
            MEMORY_TRANSPORT => match self.endpoint(uri)? {
                Endpoint::Http(service, client) => Arc::new(memory::MemoryHttpLink::new(
                    uri.host(),
                    Arc::clone(service),
                    client.clone(),
                )),
                _ => return Err(Self::wrong_link_type(uri)),
            },
            #[cfg(feature = "http")]
            "https" => {
                let trust = crate::link::https::Trust::from_uri(uri)?;
                let entry = self.credentials(uri)?;
                crate::link::https::HttpsLink::open(&uri.authority(443), Some((&entry, trust)))?
            }
            #[cfg(feature = "http")]
            "http" => {
                use crate::link::https::{HttpsLink, PIN, SERVER_NAME};
                if let Some(name) = [PIN, SERVER_NAME]
                    .iter()
                    .find(|n| uri.parameter(n).is_some())
                {
                    return Err(Error::invalid(format!(
                        "{uri}: {name}= configures the check of the server's certificate, which \
                         only https has; use https, or remove {name}="
                    )));
                }
                HttpsLink::open(&uri.authority(80), None)?
            }
            other => {
                return Err(Error::invalid(format!(
                    "this program was built without the transport `{other}`"
                )));
            }
        };
        Ok(self.wrapped(link, |link| Arc::new(link), |link| Arc::new(link)))
    }
}

impl std::fmt::Debug for OpenContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenContext")
            .field("accepted", &self.accepted)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
