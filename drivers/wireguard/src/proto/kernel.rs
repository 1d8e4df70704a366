//! Generic netlink of WireGuard in the Linux kernel (`linux/wireguard.h`, whose comment is the
//! documentation). Pure.

use super::{
    Change, HandshakeTime, KEY_BYTES, MAX_ALLOWED_IPS, MAX_PEERS, Peer, PresharedKey, ProtoError,
};
use qkd_driver_kit::link::netlink::{
    self, Content, GENERIC_HEADER, NESTED, NetlinkError, Request, attributes, flag, u16_at, u32_at,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    ops::Range,
    time::Duration,
};
use zeroize::Zeroizing;

/// Name of the family of generic netlink (`WG_GENL_NAME`).
pub(crate) const FAMILY_NAME: &str = "wireguard";
/// Version of the family (`WG_GENL_VERSION`).
const VERSION: u8 = 1;

/// `enum wg_cmd`
mod command {
    pub(super) const GET_DEVICE: u8 = 0;
    pub(super) const SET_DEVICE: u8 = 1;
}

/// `enum wgdevice_attribute`
mod device {
    pub(super) const IFNAME: u16 = 2;
    pub(super) const PRIVATE_KEY: u16 = 3;
    pub(super) const PEERS: u16 = 8;
}

/// `enum wgpeer_attribute`
mod peer {
    pub(super) const PUBLIC_KEY: u16 = 1;
    pub(super) const PRESHARED_KEY: u16 = 2;
    pub(super) const FLAGS: u16 = 3;
    pub(super) const ENDPOINT: u16 = 4;
    pub(super) const KEEPALIVE: u16 = 5;
    pub(super) const LAST_HANDSHAKE: u16 = 6;
    pub(super) const RECEIVED: u16 = 7;
    pub(super) const SENT: u16 = 8;
    pub(super) const ALLOWED_IPS: u16 = 9;
}

/// `enum wgpeer_flag`
mod peer_flag {
    pub(super) const REMOVE_ME: u32 = 1;
    pub(super) const REPLACE_ALLOWED_IPS: u32 = 2;
    pub(super) const UPDATE_ONLY: u32 = 4;
}

/// `enum wgallowedip_attribute`
mod allowed_ip {
    pub(super) const FAMILY: u16 = 1;
    pub(super) const ADDRESS: u16 = 2;
    pub(super) const MASK: u16 = 3;
}

/// `AF_INET` and `AF_INET6` of Linux.
const INET: u16 = 2;
const INET6: u16 = 10;
/// Lengths of `struct sockaddr_in` and `struct sockaddr_in6`.
const SOCKADDR_IN: usize = 16;
const SOCKADDR_IN6: usize = 28;

/// Encodes the question for all peers of an interface.
#[must_use]
pub fn encode_get(family: u16, sequence: u32, interface: &str) -> Zeroizing<Vec<u8>> {
    Request::new(family, flag::DUMP, sequence)
        .header(&[command::GET_DEVICE, VERSION, 0, 0])
        .with_text(device::IFNAME, interface)
        .finish()
}

/// A change whose addresses are read.
pub struct SetDevice<'a> {
    change: &'a Change<'a>,
    endpoint: Option<SocketAddr>,
    allowed_ips: Vec<(IpAddr, u8)>,
}

impl<'a> SetDevice<'a> {
    /// Reads the addresses of a change.
    ///
    /// # Errors
    /// [`ProtoError`] if they are not addresses, or are too many for one message.
    pub fn new(change: &'a Change<'a>) -> Result<Self, ProtoError> {
        let (mut endpoint, mut allowed_ips) = (None, Vec::new());
        if let Change::Replace { peer, .. } = change {
            if peer.allowed_ips.len() > MAX_ALLOWED_IPS {
                return Err(ProtoError::TooMany("addresses"));
            }
            if let Some(text) = &peer.endpoint {
                let address = text.parse().map_err(|_| ProtoError::Value("endpoint"))?;
                endpoint = Some(address);
            }
            for range in &peer.allowed_ips {
                allowed_ips.push(read_range(range).ok_or(ProtoError::Value("allowed_ip"))?);
            }
        }
        Ok(Self {
            change,
            endpoint,
            allowed_ips,
        })
    }

    /// Encodes it, in one message.
    #[must_use]
    pub fn encode(&self, family: u16, sequence: u32, interface: &str) -> Zeroizing<Vec<u8>> {
        Request::new(family, flag::ACK, sequence)
            .header(&[command::SET_DEVICE, VERSION, 0, 0])
            .with_text(device::IFNAME, interface)
            .with_nested(device::PEERS | NESTED, |r| match self.change {
                // Without the flag, the kernel would add a peer that was removed meanwhile.
                Change::PresharedKey { peer, key } => r.with_nested(NESTED, |r| {
                    with_flags(with_keys(r, peer, Some(key)), peer_flag::UPDATE_ONLY)
                }),
                Change::Replace { peer, key } => {
                    let r = r.with_nested(NESTED, |r| {
                        with_flags(with_keys(r, &peer.public_key, None), peer_flag::REMOVE_ME)
                    });
                    r.with_nested(NESTED, |r| {
                        self.with_configuration(with_keys(r, &peer.public_key, Some(key)), peer)
                    })
                }
            })
            .finish()
    }

    fn with_configuration(&self, mut request: Request, peer: &Peer) -> Request {
        if let Some(endpoint) = &self.endpoint {
            let mut bytes = [0; SOCKADDR_IN6];
            request = request.with(peer::ENDPOINT, sockaddr(endpoint, &mut bytes));
        }
        request = request.with(peer::KEEPALIVE, &peer.keepalive.to_ne_bytes());
        with_flags(request, peer_flag::REPLACE_ALLOWED_IPS).with_nested(
            peer::ALLOWED_IPS | NESTED,
            |mut request| {
                for (address, mask) in &self.allowed_ips {
                    request = request.with_nested(NESTED, |r| {
                        let r = match address {
                            IpAddr::V4(v4) => r
                                .with(allowed_ip::FAMILY, &INET.to_ne_bytes())
                                .with(allowed_ip::ADDRESS, &v4.octets()),
                            IpAddr::V6(v6) => r
                                .with(allowed_ip::FAMILY, &INET6.to_ne_bytes())
                                .with(allowed_ip::ADDRESS, &v6.octets()),
                        };
                        r.with(allowed_ip::MASK, &[*mask])
                    });
                }
                request
            },
        )
    }
}

fn with_keys(
    request: Request,
    public_key: &[u8; KEY_BYTES],
    preshared_key: Option<&PresharedKey>,
) -> Request {
    let request = request.with(peer::PUBLIC_KEY, public_key);
    match preshared_key {
        Some(key) => request.with(peer::PRESHARED_KEY, key.expose()),
        None => request,
    }
}

fn with_flags(request: Request, flags: u32) -> Request {
    request.with(peer::FLAGS, &flags.to_ne_bytes())
}

/// Reads an address and the length of its prefix.
fn read_range(text: &str) -> Option<(IpAddr, u8)> {
    let (address, mask) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let mask = mask.parse().ok()?;
    (mask <= max_mask(address)).then_some((address, mask))
}

fn max_mask(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Writes a `struct sockaddr_in` or `struct sockaddr_in6`; port and addresses have the byte order
/// of the network.
fn sockaddr<'a>(endpoint: &SocketAddr, bytes: &'a mut [u8; SOCKADDR_IN6]) -> &'a [u8] {
    bytes[2..4].copy_from_slice(&endpoint.port().to_be_bytes());
    match endpoint {
        SocketAddr::V4(v4) => {
            bytes[..2].copy_from_slice(&INET.to_ne_bytes());
            bytes[4..8].copy_from_slice(&v4.ip().octets());
            &bytes[..SOCKADDR_IN]
        }
        SocketAddr::V6(v6) => {
            bytes[..2].copy_from_slice(&INET6.to_ne_bytes());
            bytes[8..24].copy_from_slice(&v6.ip().octets());
            bytes[24..].copy_from_slice(&v6.scope_id().to_ne_bytes());
            bytes
        }
    }
}

/// Positions of keys in a request or in an answer: the private key of the interface, too.
#[must_use]
pub fn secrets(message: &[u8]) -> Vec<Range<usize>> {
    netlink::secrets(message, GENERIC_HEADER, |path| match path {
        [device::PRIVATE_KEY] | [device::PEERS, _, peer::PRESHARED_KEY] => Content::Secret,
        [device::PEERS] | [device::PEERS, _] => Content::Attributes,
        _ => Content::Public,
    })
}

/// Checks that a change was acknowledged.
///
/// # Errors
/// [`ProtoError`].
pub fn decode_set<'a>(answer: impl IntoIterator<Item = &'a [u8]>) -> Result<(), ProtoError> {
    Ok(netlink::replies(answer).map(|_| ())?)
}

/// Reads the peers of an interface, whose messages may each have a part of them, and of the
/// addresses of one.
///
/// # Errors
/// [`ProtoError`].
pub fn decode_get<'a>(answer: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Peer>, ProtoError> {
    let mut peers: Vec<Peer> = Vec::new();
    for message in netlink::replies(answer)? {
        for attribute in attributes(message.payload.get(GENERIC_HEADER..).unwrap_or_default()) {
            if let (device::PEERS, list) = attribute? {
                for entry in attributes(list) {
                    read_peer(entry?.1, &mut peers)?;
                }
            }
        }
    }
    Ok(peers)
}

fn malformed(what: &'static str) -> ProtoError {
    NetlinkError::Malformed(what).into()
}

fn array<const N: usize>(value: &[u8], what: &'static str) -> Result<[u8; N], ProtoError> {
    value.try_into().map_err(|_| malformed(what))
}

/// Reads a peer, or a further part of the last one.
fn read_peer(body: &[u8], peers: &mut Vec<Peer>) -> Result<(), ProtoError> {
    let mut public_key = None;
    for attribute in attributes(body) {
        if let (peer::PUBLIC_KEY, value) = attribute? {
            public_key = Some(array::<KEY_BYTES>(value, "a public key")?);
        }
    }
    let public_key = public_key.ok_or(NetlinkError::Missing("public key"))?;
    if peers
        .last()
        .is_none_or(|last| last.public_key != public_key)
    {
        if peers.len() == MAX_PEERS {
            return Err(ProtoError::TooMany("peers"));
        }
        peers.push(Peer::new(public_key));
    }
    let Some(peer) = peers.last_mut() else {
        return Ok(());
    };
    for attribute in attributes(body) {
        let (kind, value) = attribute?;
        match kind {
            peer::PRESHARED_KEY => {
                peer.preshared_key =
                    PresharedKey::copy_of(value).ok_or(malformed("a preshared key"))?;
            }
            peer::ENDPOINT => peer.endpoint = Some(read_sockaddr(value)?.to_string()),
            peer::KEEPALIVE => {
                peer.keepalive = u16::from_ne_bytes(array(value, "a keepalive interval")?);
            }
            peer::LAST_HANDSHAKE => peer.last_handshake = read_timespec(value)?,
            peer::RECEIVED => peer.received = u64::from_ne_bytes(array(value, "a counter")?),
            peer::SENT => peer.sent = u64::from_ne_bytes(array(value, "a counter")?),
            peer::ALLOWED_IPS => {
                for range in attributes(value) {
                    if peer.allowed_ips.len() == MAX_ALLOWED_IPS {
                        return Err(ProtoError::TooMany("addresses"));
                    }
                    let (address, mask) = read_allowed_ip(range?.1)?;
                    peer.allowed_ips.push(format!("{address}/{mask}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads a `struct __kernel_timespec`.
fn read_timespec(value: &[u8]) -> Result<HandshakeTime, ProtoError> {
    let bytes: [u8; 16] = array(value, "the time of a handshake")?;
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 8)?;
        u64::try_from(i64::from_ne_bytes(bytes.try_into().ok()?)).ok()
    };
    let nanoseconds = number(8).and_then(|n| u32::try_from(n).ok());
    match (number(0), nanoseconds) {
        (Some(seconds), Some(nanoseconds @ ..1_000_000_000)) => {
            Ok(HandshakeTime(Duration::new(seconds, nanoseconds)))
        }
        _ => Err(malformed("the time of a handshake")),
    }
}

fn read_sockaddr(value: &[u8]) -> Result<SocketAddr, ProtoError> {
    let wrong = || malformed("the address of a peer");
    let port = value.get(2..4).and_then(|port| port.try_into().ok());
    let port = u16::from_be_bytes(port.ok_or_else(wrong)?);
    match (u16_at(value, 0), value.len()) {
        (Some(INET), SOCKADDR_IN) => {
            let octets: [u8; 4] = array(&value[4..8], "the address of a peer")?;
            Ok((Ipv4Addr::from(octets), port).into())
        }
        (Some(INET6), SOCKADDR_IN6) => {
            let octets: [u8; 16] = array(&value[8..24], "the address of a peer")?;
            let scope = u32_at(value, 24).unwrap_or(0);
            Ok(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into())
        }
        _ => Err(wrong()),
    }
}

fn read_allowed_ip(body: &[u8]) -> Result<(IpAddr, u8), ProtoError> {
    let (mut family, mut address, mut mask) = (None, None, None);
    for attribute in attributes(body) {
        let (kind, value) = attribute?;
        match kind {
            allowed_ip::FAMILY => family = u16_at(value, 0),
            allowed_ip::ADDRESS => address = Some(value),
            allowed_ip::MASK => mask = value.first().copied(),
            _ => {}
        }
    }
    let wrong = "an address range";
    let address: IpAddr = match (family, address) {
        (Some(INET), Some(bytes)) => array::<4>(bytes, wrong)?.into(),
        (Some(INET6), Some(bytes)) => array::<16>(bytes, wrong)?.into(),
        _ => return Err(malformed(wrong)),
    };
    match mask {
        Some(mask) if mask <= max_mask(address) => Ok((address, mask)),
        _ => Err(malformed(wrong)),
    }
}

/// Feeds every decoder with bytes from outside, for fuzzing.
///
/// # Panics
/// If what is encoded from a decoded peer is decoded as another one.
pub fn fuzz(input: &[u8]) {
    let _ = netlink::recognise(1, input);
    for span in secrets(input) {
        assert!(span.start <= span.end && span.end <= input.len());
    }
    let _ = decode_set(std::iter::once(input));
    for peer in decode_get(std::iter::once(input)).unwrap_or_default() {
        check_encoding(peer);
    }
}

/// Checks that the replacement of a peer that was decoded is encoded as what it is.
fn check_encoding(mut peer: Peer) {
    let change = Change::Replace {
        peer: &peer,
        key: &peer.preshared_key,
    };
    let request = SetDevice::new(&change).map(|change| change.encode(32, 1, "wg0"));
    let request = request.unwrap_or_default();
    let read = decode_get(std::iter::once(request.as_slice()));
    // Counters are not part of a request.
    peer.last_handshake = HandshakeTime::default();
    (peer.received, peer.sent) = (0, 0);
    assert!(read == Ok(vec![peer]), "a peer is encoded as another one");
}

#[cfg(test)]
pub(crate) mod tests;
