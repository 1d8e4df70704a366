//! Linux MACsec (`drivers/net/macsec.c`): two kernels, each with one MACsec interface, and the wire
//! between them. Netlink messages go in and come out as octets; there are no sockets.
//!
//! Sources: `include/uapi/linux/{netlink,genetlink,rtnetlink,if_link,if_macsec}.h` and
//! `drivers/net/macsec.c` of Linux. Answers were recorded from Debian's Linux 6.1.176 in User-Mode
//! Linux.
//!
//! Confirmed by the recording:
//! - An association number that exists is `EBUSY`, a receive channel that exists `EEXIST`. What
//!   does not exist is `ENODEV`: interface, channel, association. All else is `EINVAL`, without a
//!   text; only an index that is too short is `ERANGE`, with one.
//! - An SA must be off before it is deleted (`EBUSY`). Its packet number must have four octets,
//!   eight with XPN.
//! - The interface is operational while the encoding SA exists and is active. Selecting one that
//!   does not exist is accepted, and stops all frames.
//! - A receive channel that is off receives all the same.
//! - A frame under another key counts as not valid at the channel and at the SA, one without an
//!   active SA as not using an SA at the channel only.
//! - Counters of 64 bits are aligned by attributes of padding. User-Mode Linux needs them, x86-64
//!   does not: [`Settings::pads`].
//!
//! Different from the kernel: a link has the attributes only that a controller of MACsec reads;
//! links cannot be made or deleted; a change of other settings of a link is accepted and not kept;
//! a receive SA without a packet number, which crashes Linux 6.1, is refused; an empty list of
//! families cannot be dumped; changes are not notified; frames have one size and arrive in order.

mod kernel;
mod netlink;
pub mod operator;
pub(crate) mod profile;
mod secy;
#[cfg(test)]
mod tests;

pub use netlink::Datagram;

use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        change_faults::ChangeFaults,
        encryptor::{FrameMeter, Traffic},
        fingerprint,
    },
};
use kernel::{Caller, End, Interface, Kernel};
use netlink::{Options, Writer, errno, flag};
use secy::{Frames, Secy};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Properties of both kernels and of their interfaces.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Frames that each interface is offered, per second.
    pub frames_per_second: f64,
    /// Octets of a key: 16 or 32 (GCM-AES-128, GCM-AES-256).
    pub key_length: usize,
    /// Whether packet numbers have 64 bits.
    pub xpn: bool,
    /// Whether values of 64 bits are aligned.
    pub pads: bool,
    /// Id of the family `macsec` of generic netlink.
    pub family: u16,
    /// Name of the MACsec interfaces.
    pub interface: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            frames_per_second: 100.0,
            key_length: 32,
            xpn: false,
            pads: false,
            family: 0x1a,
            interface: "macsec0".to_owned(),
        }
    }
}

/// Index of the MACsec interface.
pub const INTERFACE: u32 = 3;
/// Index and name of the interface below.
const BELOW: (u32, &str) = (2, "eth0");

/// MAC addresses of the ends.
const ADDRESSES: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0x0a], [2, 0, 0, 0, 0, 0x0b]];

/// Returns the SCI of an end as netlink has it: its MAC address and port 1.
#[must_use]
pub fn sci(end: usize) -> [u8; 8] {
    let [a, b, c, d, e, f] = ADDRESSES[end & 1];
    [a, b, c, d, e, f, 0, 1]
}

struct State {
    kernels: [Kernel; 2],
    is_cut: bool,
    settled: Duration,
    meters: [FrameMeter; 2],
    traffic: [Traffic; 2],
}

/// Two kernels with a wire between them.
pub struct MacsecPair {
    clock: Clock,
    settings: Settings,
    faults: [ChangeFaults; 2],
    state: Mutex<State>,
}

impl MacsecPair {
    /// Creates interfaces without channels and associations, which encrypt and drop all that is not
    /// encrypted.
    #[must_use]
    pub fn new(clock: Clock, settings: Settings) -> Arc<Self> {
        let state = State {
            kernels: [0, 1].map(|end| fresh(end, &settings)),
            is_cut: false,
            settled: clock.now(),
            meters: Default::default(),
            traffic: Default::default(),
        };
        Arc::new(Self {
            clock,
            settings,
            faults: Default::default(),
            state: Mutex::new(state),
        })
    }

    /// Opens a netlink socket of end 0 or 1.
    #[must_use]
    pub fn socket(self: &Arc<Self>, end: usize, protocol: Protocol) -> NetlinkSocket {
        NetlinkSocket {
            pair: Arc::clone(self),
            end: end & 1,
            protocol,
            port: 1,
            options: Options::default(),
            is_privileged: true,
        }
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.flow(now, self.settings.frames_per_second);
        run(&mut state)
    }

    /// Frames that an end was offered, since the start.
    #[must_use]
    pub fn traffic_from(&self, end: usize) -> Traffic {
        self.with(|s| s.traffic[end & 1])
    }

    /// Cuts the wire, or mends it.
    pub fn set_cut(&self, is_cut: bool) {
        self.with(|s| s.is_cut = is_cut);
    }

    /// Returns the state of an end that commands can change, as text; a key is shown as a
    /// fingerprint. Packet numbers, which traffic changes, are not included.
    #[must_use]
    pub fn state(&self, end: usize) -> String {
        self.with(|s| {
            let Some(secy) = s.kernels[end & 1].macsec() else {
                return "no MACsec interface".to_owned();
            };
            let shown = |all: &secy::Associations| {
                let all = (0..)
                    .zip(all)
                    .filter_map(|(an, sa): (u8, _)| Some((an, sa.as_ref()?)));
                let all = all.map(|(an, sa)| {
                    let id = hex::encode(sa.key_id);
                    let (key, salt) = (fingerprint(&sa.key), fingerprint(&sa.salt));
                    format!(
                        "{an}: id {id}, key {key}, salt {salt}, active {}",
                        sa.active
                    )
                });
                all.collect::<Vec<_>>().join("; ")
            };
            let mut text = format!(
                "encoding SA {}, encrypt {}, protect {}, validate {:?}, replay {} in {}\nsend: {}",
                secy.encoding_sa,
                secy.encrypt,
                secy.protect,
                secy.validate,
                secy.replay_protect,
                secy.window,
                shown(&secy.transmit)
            );
            for channel in &secy.channels {
                let (sci, associations) = (hex::encode(channel.sci), shown(&channel.associations));
                let active = channel.active;
                text += &format!("\nreceive from {sci}, active {active}: {associations}");
            }
            text
        })
    }
}

fn fresh(end: usize, settings: &Settings) -> Kernel {
    let interface = |index, name: &str, address, macsec| Interface {
        index,
        name: name.to_owned(),
        address,
        macsec,
    };
    let address = ADDRESSES[end];
    let secy = Secy::new(sci(end), settings.key_length, settings.xpn);
    Kernel {
        interfaces: vec![
            interface(1, "lo", [0; 6], None),
            interface(BELOW.0, BELOW.1, address, None),
            interface(
                INTERFACE,
                &settings.interface,
                address,
                Some((secy, BELOW.0)),
            ),
        ],
        family: settings.family,
    }
}

impl Kernel {
    fn macsec(&mut self) -> Option<&mut Secy> {
        let all = self.interfaces.iter_mut();
        all.filter_map(|interface| interface.macsec.as_mut())
            .map(|(secy, _)| secy)
            .next()
    }
}

impl State {
    fn flow(&mut self, now: Duration, per_second: f64) {
        let seconds = now.saturating_sub(self.settled).as_secs_f64();
        self.settled = self.settled.max(now);
        for end in 0..2 {
            let offered = self.meters[end].frames(seconds, per_second);
            if offered == 0 {
                continue;
            }
            let sent = self.kernels[end].macsec().map(|secy| secy.send(offered));
            let (sent, frames) = sent.unwrap_or((0, Frames::Dropped));
            let other = self.kernels[1 - end].macsec().filter(|_| !self.is_cut);
            let arrived = match other {
                Some(secy) if sent > 0 => secy.receive(sent, &frames),
                _ => 0,
            };
            let traffic = &mut self.traffic[end];
            traffic.blocked += offered - sent;
            match frames {
                Frames::Tagged {
                    encrypted: true, ..
                } => {
                    traffic.encrypted += sent;
                    traffic.accepted += arrived;
                    traffic.refused += sent - arrived;
                }
                // Without encryption all can be read on the wire, also under a tag.
                _ => traffic.clear += sent,
            }
        }
    }
}

/// Protocol of a netlink socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `NETLINK_ROUTE`.
    Route,
    /// `NETLINK_GENERIC`.
    Generic,
}

/// A netlink socket of one of the kernels.
pub struct NetlinkSocket {
    pair: Arc<MacsecPair>,
    end: usize,
    protocol: Protocol,
    port: u32,
    options: Options,
    is_privileged: bool,
}

impl NetlinkSocket {
    /// Sets the port number of the socket, which answers have as `nlmsg_pid`; 1 by default.
    pub fn set_port(&mut self, port: u32) {
        self.port = port;
    }
    /// Sets `NETLINK_EXT_ACK`: errors have a text and the place of the attribute.
    pub fn set_extended_ack(&mut self, on: bool) {
        self.options.extended = on;
    }
    /// Sets `NETLINK_CAP_ACK`: errors do not return the request, only its header.
    pub fn set_capped_ack(&mut self, on: bool) {
        self.options.cap = on;
    }
    /// Sets whether the process has `CAP_NET_ADMIN`, without which a change is `EPERM`.
    pub fn set_privileged(&mut self, on: bool) {
        self.is_privileged = on;
    }

    /// Sends a datagram, and returns the datagrams that it is answered with.
    #[must_use]
    pub fn send(&self, datagram: &[u8]) -> Vec<Datagram> {
        self.pair.with(|state| {
            let faults = &self.pair.faults[self.end];
            let may_change = || faults.should_apply().map_err(|_| errno::ENOMEM);
            let caller = Caller {
                is_privileged: self.is_privileged,
                may_change: &may_change,
            };
            let mut begin = || Writer::new(self.port, self.pair.settings.pads);
            let (mut answers, mut rest) = (Vec::new(), datagram);
            while let Some((header, message, after)) = netlink::split(rest) {
                rest = after;
                let kernel = &mut state.kernels[self.end];
                let mut sent = Vec::new();
                let is_request = header.flags & flag::REQUEST != 0 && !kernel::is_control(header);
                let end = match self.protocol {
                    _ if !is_request => End::from(0),
                    Protocol::Route => {
                        kernel.route(header, message, &caller, &mut begin, &mut sent)
                    }
                    Protocol::Generic => {
                        kernel.generic(header, message, &caller, &mut begin, &mut sent)
                    }
                };
                answers.extend(sent.into_iter().map(Writer::finish));
                if let End::Ack(error, extended) = end
                    && (error != 0 || header.flags & flag::ACK != 0)
                {
                    let mut writer = begin();
                    writer.acknowledge(header, message, error, extended, self.options);
                    answers.push(writer.finish());
                }
            }
            answers
        })
    }
}

/// One end of a pair, for faults.
pub struct MacsecEnd {
    pair: Arc<MacsecPair>,
    end: usize,
}

impl MacsecEnd {
    /// End 0 or 1.
    #[must_use]
    pub fn new(pair: Arc<MacsecPair>, end: usize) -> Self {
        Self { pair, end: end & 1 }
    }
}

impl ApplyDeviceFault for MacsecEnd {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        let Self { pair, end } = self;
        match fault {
            DeviceFault::Reboot => {
                pair.with(|s| s.kernels[*end] = fresh(*end, &pair.settings));
            }
            DeviceFault::Refuse(n) => pair.faults[*end].refuse(*n),
            DeviceFault::Ignore(n) => pair.faults[*end].ignore(*n),
            DeviceFault::Cut(None) => pair.set_cut(true),
            DeviceFault::Operator(action) if action == "delete-link" => {
                pair.with(|s| s.kernels[*end].interfaces.retain(|i| i.macsec.is_none()));
            }
            DeviceFault::Operator(action) if action == "alter-keys" => pair.with(|s| {
                let secy = s.kernels[*end].macsec();
                let channels = secy.into_iter().flat_map(|secy| &mut secy.channels);
                for sa in channels
                    .flat_map(|channel| &mut channel.associations)
                    .flatten()
                {
                    sa.key[0] ^= 1;
                }
            }),
            DeviceFault::Clear => {
                pair.faults[*end].clear();
                pair.set_cut(false);
            }
            other => {
                return Err(format!(
                    "MACsec has no fault {other:?}; it has reboot, refuse, ignore, cut, \
                     operator=delete-link, operator=alter-keys, clear"
                ));
            }
        }
        Ok(())
    }
}
