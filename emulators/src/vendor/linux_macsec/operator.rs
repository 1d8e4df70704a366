//! Configuration by an operator, as with `ip`: receive channels, and first keys. Messages of
//! netlink, written here as octets.

use super::{INTERFACE, MacsecPair, Protocol, sci};
use qkd_driver_kit::link::{
    datagram::{DatagramPeer, DatagramService, Datagrams},
    memory::Endpoint,
};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Commands and attributes of MACsec and rtnetlink with which an operator configures an end.
mod attr {
    pub(super) const ADD_RXSC: u8 = 1;
    pub(super) const ADD_TXSA: u8 = 4;
    pub(super) const ADD_RXSA: u8 = 7;
    pub(super) const IFINDEX: u16 = 1;
    pub(super) const RXSC_CONFIG: u16 = 2;
    pub(super) const SA_CONFIG: u16 = 3;
    pub(super) const RTM_NEWLINK: u16 = 16;
    pub(super) const IFLA_LINKINFO: u16 = 18;
    pub(super) const IFLA_MACSEC_ENCODING_SA: u16 = 6;
}

/// Returns the endpoint of the sockets of an end.
#[must_use]
pub fn endpoint(pair: Arc<MacsecPair>, end: usize) -> Endpoint {
    Endpoint::Datagram(Arc::new(Sockets { pair, end }))
}

/// The netlink sockets of an end.
struct Sockets {
    pair: Arc<MacsecPair>,
    end: usize,
}

impl DatagramService for Sockets {
    fn answer(&self, peer: DatagramPeer, datagram: &[u8]) -> Datagrams {
        let protocol = match peer {
            DatagramPeer::NetlinkRoute => Protocol::Route,
            DatagramPeer::NetlinkGeneric => Protocol::Generic,
            // The kernel has no such socket.
            DatagramPeer::Unix => return Vec::new(),
        };
        let answers = self.pair.socket(self.end, protocol).send(datagram);
        answers
            .iter()
            .map(|one| Zeroizing::new(one.to_vec()))
            .collect()
    }
}

fn attribute(kind: u16, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut all = Zeroizing::new(Vec::with_capacity(value.len() + 8));
    all.extend_from_slice(&length.to_ne_bytes());
    all.extend_from_slice(&kind.to_ne_bytes());
    all.extend_from_slice(value);
    let end = all.len().next_multiple_of(4);
    all.resize(end, 0);
    all
}

fn send(pair: &Arc<MacsecPair>, end: usize, protocol: Protocol, kind: u16, body: &[&[u8]]) {
    // Requests without NLM_F_ACK.
    let body = Zeroizing::new(body.concat());
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut message = Zeroizing::new(Vec::with_capacity(16 + body.len()));
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&[1, 0]);
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&body);
    let errors = pair.socket(end, protocol).send(&message);
    debug_assert!(errors.is_empty(), "an end accepts its configuration");
}

fn change(pair: &Arc<MacsecPair>, end: usize, command: u8, attributes: &[&[u8]]) {
    let index = attribute(attr::IFINDEX, &INTERFACE.to_ne_bytes());
    let header = [command, 1, 0, 0];
    let mut body: Vec<&[u8]> = vec![&header, &index];
    body.extend_from_slice(attributes);
    let family = pair.settings.family;
    send(pair, end, Protocol::Generic, family, &body);
}

/// Attribute with the channel of the other end.
fn other_channel(end: usize) -> Zeroizing<Vec<u8>> {
    attribute(attr::RXSC_CONFIG, &attribute(1, &sci(1 - end)))
}

/// Adds the receive channel of the other end.
pub fn add_channel(pair: &Arc<MacsecPair>, end: usize) {
    change(pair, end, attr::ADD_RXSC, &[&other_channel(end)]);
}

/// Makes the associations of a key in both directions, and sends with it.
pub fn set_key(pair: &Arc<MacsecPair>, end: usize, number: u8, id: &[u8; 16], key: &[u8]) {
    let (an, active) = (attribute(1, &[number]), attribute(2, &[1]));
    let (next, id) = (attribute(3, &1_u32.to_ne_bytes()), attribute(5, id));
    let key = attribute(4, key);
    let parts: [&[u8]; 5] = [&an, &active, &next, &key, &id];
    let association = attribute(attr::SA_CONFIG, &Zeroizing::new(parts.concat()));
    let channel = other_channel(end);
    change(pair, end, attr::ADD_RXSA, &[&channel, &association]);
    change(pair, end, attr::ADD_TXSA, &[&association]);
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&INTERFACE.to_ne_bytes());
    let data = attribute(2, &attribute(attr::IFLA_MACSEC_ENCODING_SA, &[number]));
    let info = [&attribute(1, b"macsec\0")[..], &data].concat();
    let info = attribute(attr::IFLA_LINKINFO, &info);
    send(
        pair,
        end,
        Protocol::Route,
        attr::RTM_NEWLINK,
        &[&header, &info],
    );
}
