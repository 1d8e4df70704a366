//! Answers of a kernel: links over rtnetlink, MACsec over generic netlink.

mod listing;
mod request;

use listing::{put_link, put_secy};
use request::Request;

use super::{
    netlink::{Attributes, Extended, FIRST_TYPE, HEADER, Header, Number, Writer, errno, flag},
    secy::{Association, Associations, Channel, ChannelCounters, Sci, Secy, Validate},
};

/// `GENL_ID_CTRL`, `CTRL_CMD_*` and `CTRL_ATTR_*`.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_NEWFAMILY: u8 = 1;
const CTRL_CMD_GETFAMILY: u8 = 3;
mod control {
    pub(super) const FAMILY_ID: u16 = 1;
    pub(super) const FAMILY_NAME: u16 = 2;
    pub(super) const VERSION: u16 = 3;
    pub(super) const HDRSIZE: u16 = 4;
    pub(super) const MAXATTR: u16 = 5;
    pub(super) const OPS: u16 = 6;
    pub(super) const OP_ID: u16 = 1;
    pub(super) const OP_FLAGS: u16 = 2;
}
/// `GENL_CMD_CAP_DUMP | GENL_CMD_CAP_HASPOL`, `GENL_ADMIN_PERM | GENL_CMD_CAP_DO |
/// GENL_CMD_CAP_HASPOL`.
const OP_DUMP: u32 = 0xc;
const OP_DO: u32 = 0xb;

/// `MACSEC_GENL_NAME`, `MACSEC_GENL_VERSION`, `MACSEC_ATTR_MAX`.
const FAMILY: &str = "macsec";
const FAMILY_VERSION: u8 = 1;
const MAX_ATTRIBUTE: u32 = 9;

/// `enum macsec_nl_commands`.
mod command {
    pub(super) const GET_TXSC: u8 = 0;
    pub(super) const ADD_RXSC: u8 = 1;
    pub(super) const DEL_RXSC: u8 = 2;
    pub(super) const UPD_RXSC: u8 = 3;
    pub(super) const ADD_TXSA: u8 = 4;
    pub(super) const DEL_TXSA: u8 = 5;
    pub(super) const UPD_TXSA: u8 = 6;
    pub(super) const ADD_RXSA: u8 = 7;
    pub(super) const DEL_RXSA: u8 = 8;
    pub(super) const UPD_RXSA: u8 = 9;
    pub(super) const UPD_OFFLOAD: u8 = 10;
}

/// `enum macsec_attrs`.
mod attribute {
    pub(super) const IFINDEX: u16 = 1;
    pub(super) const RXSC_CONFIG: u16 = 2;
    pub(super) const SA_CONFIG: u16 = 3;
    pub(super) const SECY: u16 = 4;
    pub(super) const TXSA_LIST: u16 = 5;
    pub(super) const RXSC_LIST: u16 = 6;
    pub(super) const TXSC_STATS: u16 = 7;
    pub(super) const SECY_STATS: u16 = 8;
    pub(super) const OFFLOAD: u16 = 9;
    pub(super) const OFFLOAD_TYPE: u16 = 1;
}
/// `enum macsec_secy_attrs`.
mod secy_attribute {
    pub(super) const SCI: u16 = 1;
    pub(super) const ENCODING_SA: u16 = 2;
    pub(super) const WINDOW: u16 = 3;
    pub(super) const CIPHER_SUITE: u16 = 4;
    pub(super) const ICV_LEN: u16 = 5;
    pub(super) const PROTECT: u16 = 6;
    pub(super) const REPLAY: u16 = 7;
    pub(super) const OPER: u16 = 8;
    pub(super) const VALIDATE: u16 = 9;
    pub(super) const ENCRYPT: u16 = 10;
    pub(super) const INC_SCI: u16 = 11;
    pub(super) const ES: u16 = 12;
    pub(super) const SCB: u16 = 13;
    pub(super) const PAD: u16 = 14;
}
/// `enum macsec_rxsc_attrs`.
mod rxsc_attribute {
    pub(super) const SCI: u16 = 1;
    pub(super) const ACTIVE: u16 = 2;
    pub(super) const SA_LIST: u16 = 3;
    pub(super) const STATS: u16 = 4;
    pub(super) const PAD: u16 = 5;
}
/// `enum macsec_sa_attrs`.
mod sa_attribute {
    pub(super) const AN: u16 = 1;
    pub(super) const ACTIVE: u16 = 2;
    pub(super) const PN: u16 = 3;
    pub(super) const KEY: u16 = 4;
    pub(super) const KEYID: u16 = 5;
    pub(super) const STATS: u16 = 6;
    pub(super) const SSCI: u16 = 8;
    pub(super) const SALT: u16 = 9;
}
/// The padding of counters: `MACSEC_RXSC_STATS_ATTR_PAD` and so on; `MACSEC_SA_STATS_ATTR_OUT_*`.
const RXSC_STATS_PAD: u16 = 11;
const TXSC_STATS_PAD: u16 = 5;
const SECY_STATS_PAD: u16 = 9;
const FIRST_IN_COUNTER: u16 = 1;
const FIRST_OUT_COUNTER: u16 = 6;

/// Sizes of `if_macsec.h`: `MACSEC_KEYID_LEN`, `MACSEC_MAX_KEY_LEN`, `MACSEC_SALT_LEN`.
const KEY_ID: usize = 16;
const MAX_KEY: usize = 128;
const SALT: usize = 12;

/// `MACSEC_CIPHER_ID_*`; GCM-AES-128 is reported by its older number.
const GCM_AES_128: u64 = 0x0080_0200_0100_0001;
const GCM_AES_256: u64 = 0x0080_C200_0100_0002;
const GCM_AES_XPN_128: u64 = 0x0080_C200_0100_0003;
const GCM_AES_XPN_256: u64 = 0x0080_C200_0100_0004;

/// Types of rtnetlink, `IFLA_*`, `IFLA_INFO_*`, `IFLA_MACSEC_*`.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
mod link {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const BROADCAST: u16 = 2;
    pub(super) const IFNAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const LINK: u16 = 5;
    pub(super) const TXQLEN: u16 = 13;
    pub(super) const OPERSTATE: u16 = 16;
    pub(super) const LINKINFO: u16 = 18;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
}
mod data {
    pub(super) const SCI: u16 = 1;
    pub(super) const PORT: u16 = 2;
    pub(super) const ICV_LEN: u16 = 3;
    pub(super) const CIPHER_SUITE: u16 = 4;
    pub(super) const WINDOW: u16 = 5;
    pub(super) const ENCODING_SA: u16 = 6;
    pub(super) const ENCRYPT: u16 = 7;
    pub(super) const PROTECT: u16 = 8;
    pub(super) const INC_SCI: u16 = 9;
    pub(super) const ES: u16 = 10;
    pub(super) const SCB: u16 = 11;
    pub(super) const REPLAY_PROTECT: u16 = 12;
    pub(super) const VALIDATION: u16 = 13;
    pub(super) const PAD: u16 = 14;
}
/// `struct ifinfomsg`, and `struct rtgenmsg`, which all of rtnetlink begin with.
const IFINFOMSG: usize = 16;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
/// `IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST | IFF_LOWER_UP`.
const FLAGS: u32 = 0x1_1043;
/// `IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP`.
const LOOPBACK_FLAGS: u32 = 0x1_0049;
const OPERSTATE_UP: u8 = 6;
const MTU: u32 = 1500;
/// Octets that MACsec takes of the MTU: SecTAG with SCI, EtherType, ICV.
const OVERHEAD: u32 = 32;
/// Octets of a datagram of a dump after which no message begins.
const DUMP_SIZE: usize = 8192;

/// Most receive channels of an interface. The kernel has no limit.
const MAX_CHANNELS: usize = 256;

/// A network interface.
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) address: [u8; 6],
    /// MACsec, and the index of the interface below.
    pub(super) macsec: Option<(Secy, u32)>,
}

/// A kernel with its interfaces: `lo` has index 1.
pub(super) struct Kernel {
    pub(super) interfaces: Vec<Interface>,
    /// Id of the family `macsec`.
    pub(super) family: u16,
}

/// Rights of the process that asks, and whether changes are refused or ignored.
pub(super) struct Caller<'a> {
    pub(super) is_privileged: bool,
    pub(super) may_change: &'a dyn Fn() -> Result<bool, i32>,
}

/// The end of a request: nothing more, or an acknowledgement.
pub(super) enum End {
    /// A dump has ended the answer.
    Dumped,
    /// Error and extended acknowledgement.
    Ack(i32, Extended),
}

impl From<i32> for End {
    fn from(error: i32) -> Self {
        Self::Ack(error, Extended::default())
    }
}

/// The result of a request without an answer of its own.
type Outcome = Result<(), i32>;

fn outcome(result: Outcome) -> i32 {
    result.err().unwrap_or(0)
}

impl Kernel {
    fn secy(&mut self, index: Option<u32>) -> Result<&mut Secy, i32> {
        let found = self.interfaces.iter_mut().find(|i| Some(i.index) == index);
        let macsec = found.and_then(|interface| interface.macsec.as_mut());
        macsec.map(|(secy, _)| secy).ok_or(errno::ENODEV)
    }

    /// Answers a request of generic netlink. `answer` begins a datagram.
    pub(super) fn generic(
        &mut self,
        header: Header,
        message: &[u8],
        caller: &Caller<'_>,
        answer: &mut dyn FnMut() -> Writer,
        sent: &mut Vec<Writer>,
    ) -> End {
        let Some(&[code, ..]) = message.get(HEADER..).and_then(|b| b.first_chunk::<4>()) else {
            let is_known = [GENL_ID_CTRL, self.family].contains(&header.kind);
            return if is_known {
                errno::EINVAL
            } else {
                errno::ENOENT
            }
            .into();
        };
        let attributes = Attributes::read(message, HEADER + 4);
        let is_dump = header.flags & flag::DUMP == flag::DUMP;
        if header.kind == GENL_ID_CTRL {
            return self.control(header, code, &attributes, answer, sent).into();
        }
        if header.kind != self.family {
            return errno::ENOENT.into();
        }
        match (code, is_dump) {
            (command::GET_TXSC, true) => {
                self.dump(header, answer, sent);
                End::Dumped
            }
            (command::ADD_RXSC..=command::UPD_OFFLOAD, false) if !caller.is_privileged => {
                errno::EPERM.into()
            }
            (command::ADD_RXSC..=command::UPD_OFFLOAD, false) => {
                if let Err(extended) = attributes.check(&[(attribute::IFINDEX, Number::U32)]) {
                    return End::Ack(errno::ERANGE, extended);
                }
                let extended = Extended {
                    message: attributes
                        .is_ragged
                        .then_some("bytes leftover after parsing attributes"),
                    ..Extended::default()
                };
                let result = Request::read(&attributes, message)
                    .and_then(|request| self.change(code, &request, caller));
                End::Ack(outcome(result), extended)
            }
            _ => errno::EOPNOTSUPP.into(),
        }
    }

    /// Describes the family.
    fn control(
        &self,
        header: Header,
        code: u8,
        attributes: &Attributes<'_>,
        answer: &mut dyn FnMut() -> Writer,
        sent: &mut Vec<Writer>,
    ) -> i32 {
        if code != CTRL_CMD_GETFAMILY {
            return errno::EOPNOTSUPP;
        }
        let (id, name) = (
            attributes.u16(control::FAMILY_ID),
            attributes.text(control::FAMILY_NAME),
        );
        let is_asked = match (id, name) {
            (None, None) => return errno::EINVAL,
            (_, Some(name)) => name == FAMILY,
            (Some(id), None) => id == self.family,
        };
        if !is_asked {
            return errno::ENOENT;
        }
        let mut writer = answer();
        writer.message(GENL_ID_CTRL, 0, header.sequence, |w| {
            w.raw(&[CTRL_CMD_NEWFAMILY, 2, 0, 0]);
            w.text(control::FAMILY_NAME, FAMILY);
            w.u16(control::FAMILY_ID, self.family);
            w.u32(control::VERSION, FAMILY_VERSION.into());
            w.u32(control::HDRSIZE, 0);
            w.u32(control::MAXATTR, MAX_ATTRIBUTE);
            w.nest(control::OPS, |w| {
                for code in command::GET_TXSC..=command::UPD_OFFLOAD {
                    let flags = if code == command::GET_TXSC {
                        OP_DUMP
                    } else {
                        OP_DO
                    };
                    w.nest(u16::from(code) + 1, |w| {
                        w.u32(control::OP_ID, code.into());
                        w.u32(control::OP_FLAGS, flags);
                    });
                }
            });
        });
        sent.push(writer);
        0
    }

    fn dump(&self, header: Header, answer: &mut dyn FnMut() -> Writer, sent: &mut Vec<Writer>) {
        let all = self.interfaces.iter().filter_map(|interface| {
            let (secy, _) = interface.macsec.as_ref()?;
            Some((interface.index, secy))
        });
        multipart(all, header, answer, sent, |writer, (index, secy)| {
            writer.message(self.family, flag::MULTI, header.sequence, |w| {
                w.raw(&[command::GET_TXSC, FAMILY_VERSION, 0, 0]);
                w.u32(attribute::IFINDEX, index);
                w.nest(attribute::OFFLOAD, |w| w.u8(attribute::OFFLOAD_TYPE, 0));
                put_secy(w, secy);
            });
        });
    }

    fn change(&mut self, code: u8, request: &Request<'_>, caller: &Caller<'_>) -> Outcome {
        // Whether a change is possible is asked before it is refused or ignored by a fault.
        let guard = || (caller.may_change)();
        match code {
            command::ADD_RXSC => {
                let (sci, active) = request.channel()?;
                let sci = sci.ok_or(errno::EINVAL)?;
                let secy = self.secy(request.index)?;
                if secy.channel(sci).is_some() {
                    return Err(errno::EEXIST);
                }
                if secy.channels.len() >= MAX_CHANNELS {
                    return Err(errno::ENOMEM);
                }
                if guard()? {
                    let channel = Channel {
                        sci,
                        active: active.unwrap_or(true),
                        associations: Associations::default(),
                        counters: ChannelCounters::default(),
                    };
                    secy.channels.insert(0, channel);
                }
            }
            command::DEL_RXSC => {
                let (sci, _) = request.unchecked_channel()?;
                let sci = sci.ok_or(errno::EINVAL)?;
                let secy = self.secy(request.index)?;
                let place = secy.channels.iter().position(|channel| channel.sci == sci);
                let place = place.ok_or(errno::ENODEV)?;
                if guard()? {
                    secy.channels.remove(place);
                }
            }
            command::UPD_RXSC => {
                let (sci, active) = request.channel()?;
                let secy = self.secy(request.index)?;
                let channel = secy.channel(sci.ok_or(errno::EINVAL)?);
                let channel = channel.ok_or(errno::ENODEV)?;
                if guard()? {
                    channel.active = active.unwrap_or(channel.active);
                }
            }
            command::ADD_TXSA => {
                let sa = request.new_association(true)?;
                let secy = self.secy(request.index)?;
                let (an, new) = sa.build(secy)?;
                if secy.transmit[an].is_some() {
                    return Err(errno::EBUSY);
                }
                if guard()? {
                    if an == usize::from(secy.encoding_sa) && new.active {
                        secy.operational = true;
                    }
                    secy.transmit[an] = Some(new);
                }
            }
            command::ADD_RXSA => {
                let sa = request.new_association(false)?;
                let (sci, _) = request.unchecked_channel()?;
                let secy = self.secy(request.index)?;
                let sci = sci.ok_or(errno::EINVAL)?;
                if secy.channel(sci).is_none() {
                    return Err(errno::ENODEV);
                }
                let (an, new) = sa.build(secy)?;
                let slot = secy
                    .channel(sci)
                    .map(|channel| &mut channel.associations[an]);
                let slot = slot.ok_or(errno::ENODEV)?;
                if slot.is_some() {
                    return Err(errno::EBUSY);
                }
                if guard()? {
                    *slot = Some(new);
                }
            }
            command::UPD_TXSA => {
                let update = request.update()?;
                let secy = self.secy(request.index)?;
                let xpn = secy.is_xpn;
                let an = usize::from(update.an);
                let sa = secy.transmit[an].as_mut().ok_or(errno::ENODEV)?;
                let pn = update.pn(xpn)?;
                if guard()? {
                    update.apply(sa, pn);
                    let active = sa.active;
                    if an == usize::from(secy.encoding_sa) {
                        secy.operational = active;
                    }
                }
            }
            command::UPD_RXSA => {
                let update = request.update()?;
                let (secy, sci) = self.receiver(request)?;
                let xpn = secy.is_xpn;
                let channel = secy.channel(sci).ok_or(errno::ENODEV)?;
                let sa = channel.associations[usize::from(update.an)].as_mut();
                let sa = sa.ok_or(errno::ENODEV)?;
                let pn = update.pn(xpn)?;
                if guard()? {
                    update.apply(sa, pn);
                }
            }
            command::DEL_TXSA => {
                let an = request.an()?;
                let secy = self.secy(request.index)?;
                delete(&mut secy.transmit[an], guard)?;
            }
            command::DEL_RXSA => {
                let an = request.an()?;
                let (secy, sci) = self.receiver(request)?;
                let channel = secy.channel(sci).ok_or(errno::ENODEV)?;
                delete(&mut channel.associations[an], guard)?;
            }
            _ => {
                // Hardware does nothing here: only "off", which it is, is possible.
                let offload = request.offload.as_ref().ok_or(errno::EINVAL)?;
                self.secy(request.index)?;
                let kind = offload.u8(attribute::OFFLOAD_TYPE).ok_or(errno::EINVAL)?;
                if kind != 0 {
                    return Err(errno::EOPNOTSUPP);
                }
            }
        }
        Ok(())
    }

    /// The interface and the channel of a request for a receive SA.
    fn receiver(&mut self, request: &Request<'_>) -> Result<(&mut Secy, Sci), i32> {
        let (sci, _) = request.unchecked_channel()?;
        let secy = self.secy(request.index)?;
        Ok((secy, sci.ok_or(errno::EINVAL)?))
    }

    /// Answers a request of rtnetlink.
    pub(super) fn route(
        &mut self,
        header: Header,
        message: &[u8],
        caller: &Caller<'_>,
        answer: &mut dyn FnMut() -> Writer,
        sent: &mut Vec<Writer>,
    ) -> End {
        let body = &message[HEADER..];
        if ![RTM_NEWLINK, RTM_GETLINK].contains(&header.kind) {
            return errno::EOPNOTSUPP.into();
        }
        // The kernel accepts a message without any header, and does nothing.
        if body.is_empty() {
            return 0.into();
        }
        if header.kind == RTM_NEWLINK && !caller.is_privileged {
            return errno::EPERM.into();
        }
        if header.kind == RTM_GETLINK && header.flags & flag::DUMP == flag::DUMP {
            multipart(
                self.interfaces.iter(),
                header,
                answer,
                sent,
                |writer, interface| {
                    writer.message(RTM_NEWLINK, flag::MULTI, header.sequence, |w| {
                        put_link(w, interface);
                    });
                },
            );
            return End::Dumped;
        }
        if body.len() < IFINFOMSG {
            return errno::EINVAL.into();
        }
        let attributes = Attributes::read(message, HEADER + IFINFOMSG);
        let index = u32::from_le_bytes([body[4], body[5], body[6], body[7]]);
        let name = attributes.text(link::IFNAME);
        let found = self.interfaces.iter().position(|interface| {
            if index > 0 {
                interface.index == index
            } else {
                name == Some(interface.name.as_str())
            }
        });
        match (header.kind, found) {
            (_, None) if index == 0 && name.is_none() => errno::EINVAL.into(),
            (RTM_NEWLINK, None) if header.flags & flag::CREATE != 0 => errno::EOPNOTSUPP.into(),
            (_, None) => errno::ENODEV.into(),
            (RTM_GETLINK, Some(place)) => {
                let mut writer = answer();
                writer.message(RTM_NEWLINK, 0, header.sequence, |w| {
                    put_link(w, &self.interfaces[place]);
                });
                sent.push(writer);
                0.into()
            }
            (_, Some(_)) if header.flags & flag::EXCL != 0 => errno::EEXIST.into(),
            (_, Some(_)) if header.flags & flag::REPLACE != 0 => errno::EOPNOTSUPP.into(),
            (_, Some(place)) => self.change_link(place, &attributes, message, caller),
        }
    }

    /// Changes the settings of MACsec on an interface; other settings are accepted and not kept.
    fn change_link(
        &mut self,
        place: usize,
        attributes: &Attributes<'_>,
        message: &[u8],
        caller: &Caller<'_>,
    ) -> End {
        let Some(info) = attributes.nest(link::LINKINFO, message) else {
            return 0.into();
        };
        let interface = &mut self.interfaces[place];
        let secy = interface.macsec.as_mut().map(|(secy, _)| secy);
        let Some(secy) = secy.filter(|_| info.text(link::INFO_KIND) == Some(FAMILY)) else {
            return errno::EOPNOTSUPP.into();
        };
        let Some(new) = info.nest(link::INFO_DATA, message) else {
            return 0.into();
        };
        let octets = [
            data::ICV_LEN,
            data::ENCODING_SA,
            data::ENCRYPT,
            data::PROTECT,
            data::INC_SCI,
            data::ES,
            data::SCB,
            data::REPLAY_PROTECT,
            data::VALIDATION,
        ];
        let mut numbers = octets.map(|kind| (kind, Number::U8)).to_vec();
        numbers.extend([
            (data::SCI, Number::U64),
            (data::CIPHER_SUITE, Number::U64),
            (data::WINDOW, Number::U32),
        ]);
        if let Err(extended) = new.check(&numbers) {
            return End::Ack(errno::ERANGE, extended);
        }
        outcome(change_settings(secy, &new, caller)).into()
    }
}

/// `macsec_validate_attr` and `macsec_changelink`.
fn change_settings(secy: &mut Secy, new: &Attributes<'_>, caller: &Caller<'_>) -> Outcome {
    let flag = |kind| new.u8(kind).map(|value| value != 0);
    let flags = data::ENCRYPT..data::VALIDATION;
    let (scb, es) = (flag(data::SCB), flag(data::ES));
    let is_set = |value: Option<bool>| value == Some(true);
    let sci = flag(data::INC_SCI);
    let validation = new.u8(data::VALIDATION);
    let is_wrong = new.u8(data::ENCODING_SA).is_some_and(|an| an > 3)
        || flags
            .into_iter()
            .any(|kind| new.u8(kind).is_some_and(|value| value > 1))
        || (is_set(sci) && (is_set(scb) || is_set(es)))
        || (is_set(scb) && is_set(es))
        || validation.is_some_and(|value| value > 2)
        || (is_set(flag(data::REPLAY_PROTECT)) && !new.has(data::WINDOW));
    // What is fixed when the interface is made.
    let fixed = [data::CIPHER_SUITE, data::ICV_LEN, data::SCI, data::PORT];
    if is_wrong || fixed.into_iter().any(|kind| new.has(kind)) {
        return Err(errno::EINVAL);
    }
    if !(caller.may_change)()? {
        return Ok(());
    }
    if let Some(an) = new.u8(data::ENCODING_SA) {
        secy.encoding_sa = an;
        let sa = secy.transmit[usize::from(an)].as_ref();
        secy.operational = sa.is_some_and(|sa| sa.active);
    }
    if let Some(window) = new.u32(data::WINDOW) {
        secy.window = window;
    }
    let set = |field: &mut bool, kind| {
        if let Some(value) = flag(kind) {
            *field = value;
        }
    };
    set(&mut secy.encrypt, data::ENCRYPT);
    set(&mut secy.protect, data::PROTECT);
    set(&mut secy.send_sci, data::INC_SCI);
    set(&mut secy.end_station, data::ES);
    set(&mut secy.scb, data::SCB);
    set(&mut secy.replay_protect, data::REPLAY_PROTECT);
    match validation {
        Some(0) => secy.validate = Validate::Disabled,
        Some(1) => secy.validate = Validate::Check,
        Some(_) => secy.validate = Validate::Strict,
        None => {}
    }
    Ok(())
}

/// Deletes an SA that is off.
fn delete(slot: &mut Option<Association>, guard: impl Fn() -> Result<bool, i32>) -> Outcome {
    let sa = slot.as_ref().ok_or(errno::ENODEV)?;
    if sa.active {
        return Err(errno::EBUSY);
    }
    if guard()? {
        *slot = None;
    }
    Ok(())
}

/// Writes the messages of a dump, and its end in a datagram of its own.
fn multipart<T>(
    all: impl Iterator<Item = T>,
    header: Header,
    answer: &mut dyn FnMut() -> Writer,
    sent: &mut Vec<Writer>,
    write: impl Fn(&mut Writer, T),
) {
    let mut writer = answer();
    for one in all {
        if writer.len() >= DUMP_SIZE {
            sent.push(std::mem::replace(&mut writer, answer()));
        }
        write(&mut writer, one);
    }
    if writer.len() > 0 {
        sent.push(writer);
        writer = answer();
    }
    writer.done(header.sequence);
    sent.push(writer);
}

/// Whether a type of a message is one of control, which is acknowledged and does nothing.
pub(super) fn is_control(header: Header) -> bool {
    header.kind < FIRST_TYPE
}
