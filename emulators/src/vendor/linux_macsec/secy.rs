//! The state of MACsec on one interface: secure channels, associations, counters; and the wire
//! between two of them.
//!
//! `drivers/net/macsec.c` of Linux decides which frames pass. Frames are equal: 98 octets, of which
//! the kernel counts 86 (without both addresses).

use zeroize::Zeroizing;

/// Octets that are counted of a frame.
const OCTETS: u64 = 86;

/// Treatment of frames that are not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validate {
    Disabled,
    Check,
    Strict,
}

/// A secure channel identifier, as netlink has it: MAC address and port.
pub(super) type Sci = [u8; 8];
pub(super) type Key = Zeroizing<Vec<u8>>;

/// A secure association, of either direction.
pub(super) struct Association {
    pub(super) key: Key,
    pub(super) key_id: [u8; 16],
    pub(super) next_pn: u64,
    pub(super) active: bool,
    pub(super) ssci: u32,
    pub(super) salt: Vec<u8>,
    /// Of the sender: protected, encrypted. Of the receiver: OK, invalid, not valid, not using SA,
    /// unused SA.
    pub(super) counters: [u32; 5],
}

/// The associations of a channel, by their number.
pub(super) type Associations = [Option<Association>; 4];

/// A receive channel.
pub(super) struct Channel {
    pub(super) sci: Sci,
    pub(super) active: bool,
    pub(super) associations: Associations,
    pub(super) counters: ChannelCounters,
}

/// `enum macsec_rxsc_stats_attr`, from 1.
#[derive(Default)]
pub(super) struct ChannelCounters {
    pub(super) octets_validated: u64,
    pub(super) octets_decrypted: u64,
    pub(super) unchecked: u64,
    pub(super) delayed: u64,
    pub(super) ok: u64,
    pub(super) invalid: u64,
    pub(super) late: u64,
    pub(super) not_valid: u64,
    pub(super) not_using_sa: u64,
    pub(super) unused_sa: u64,
}

impl ChannelCounters {
    pub(super) fn all(&self) -> [u64; 10] {
        [
            self.octets_validated,
            self.octets_decrypted,
            self.unchecked,
            self.delayed,
            self.ok,
            self.invalid,
            self.late,
            self.not_valid,
            self.not_using_sa,
            self.unused_sa,
        ]
    }
}

/// The entity of an interface.
pub(super) struct Secy {
    pub(super) sci: Sci,
    pub(super) key_length: usize,
    pub(super) is_xpn: bool,
    pub(super) icv_length: u8,
    pub(super) operational: bool,
    pub(super) protect: bool,
    pub(super) replay_protect: bool,
    pub(super) window: u32,
    pub(super) validate: Validate,
    pub(super) encrypt: bool,
    pub(super) send_sci: bool,
    pub(super) end_station: bool,
    pub(super) scb: bool,
    pub(super) encoding_sa: u8,
    pub(super) transmit: Associations,
    /// The newest first.
    pub(super) channels: Vec<Channel>,
    /// `enum macsec_txsc_stats_attr`, from 1: packets and octets, protected and encrypted.
    pub(super) sent: [u64; 4],
    /// `enum macsec_secy_stats_attr`, from 1.
    pub(super) counters: [u64; 8],
}

/// Places in [`Secy::counters`].
mod counter {
    pub(super) const OUT_UNTAGGED: usize = 0;
    pub(super) const IN_UNTAGGED: usize = 1;
    pub(super) const NO_TAG: usize = 3;
    pub(super) const UNKNOWN_SCI: usize = 5;
    pub(super) const NO_SCI: usize = 6;
}
/// Places in [`Association::counters`] of a receiver.
mod received {
    pub(super) const OK: usize = 0;
    pub(super) const INVALID: usize = 1;
    pub(super) const NOT_VALID: usize = 2;
}

/// Frames as they are on the wire.
pub(super) enum Frames {
    /// None: the sender has dropped them.
    Dropped,
    /// Without MACsec.
    Clear,
    /// With a tag.
    Tagged {
        sci: Sci,
        an: usize,
        first_pn: u64,
        key: Key,
        encrypted: bool,
    },
}

impl Secy {
    pub(super) fn new(sci: Sci, key_length: usize, is_xpn: bool) -> Self {
        Self {
            sci,
            key_length,
            is_xpn,
            icv_length: 16,
            operational: true,
            protect: true,
            replay_protect: false,
            window: 0,
            validate: Validate::Strict,
            encrypt: true,
            send_sci: true,
            end_station: false,
            scb: false,
            encoding_sa: 0,
            transmit: Associations::default(),
            channels: Vec::new(),
            sent: [0; 4],
            counters: [0; 8],
        }
    }
    pub(super) fn channel(&mut self, sci: Sci) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.sci == sci)
    }
    /// The highest packet number.
    fn last_pn(&self) -> u64 {
        if self.is_xpn {
            u64::MAX
        } else {
            u32::MAX.into()
        }
    }

    /// Sends frames; returns how many went out, and as what.
    pub(super) fn send(&mut self, frames: u64) -> (u64, Frames) {
        if !self.protect {
            self.counters[counter::OUT_UNTAGGED] += frames;
            return (frames, Frames::Clear);
        }
        let last = self.last_pn();
        let an = usize::from(self.encoding_sa & 3);
        let sa = self.transmit[an].as_mut().filter(|sa| sa.active);
        let Some(sa) = sa.filter(|_| self.operational) else {
            // A frame that finds no SA makes the interface inoperable.
            self.operational = false;
            return (0, Frames::Dropped);
        };
        let left = if sa.next_pn == 0 {
            0
        } else {
            last - sa.next_pn + 1
        };
        let sent = frames.min(left);
        let first_pn = sa.next_pn;
        sa.next_pn = sa.next_pn.wrapping_add(sent) & last;
        if sa.next_pn == 0 {
            sa.active = false;
            self.operational = false;
        }
        let place = usize::from(self.encrypt);
        sa.counters[place] = sa.counters[place].wrapping_add(sent as u32);
        self.sent[place] += sent;
        self.sent[2 + place] += sent * OCTETS;
        let frames = Frames::Tagged {
            sci: self.sci,
            an,
            first_pn,
            key: sa.key.clone(),
            encrypted: self.encrypt,
        };
        (sent, frames)
    }

    /// Receives frames; returns how many reach the interface.
    pub(super) fn receive(&mut self, count: u64, frames: &Frames) -> u64 {
        let strict = self.validate == Validate::Strict;
        let (sci, an, first_pn, key, encrypted) = match frames {
            Frames::Dropped => return 0,
            Frames::Clear if strict => {
                self.counters[counter::NO_TAG] += count;
                return 0;
            }
            Frames::Clear => {
                self.counters[counter::IN_UNTAGGED] += count;
                return count;
            }
            Frames::Tagged {
                sci,
                an,
                first_pn,
                key,
                encrypted,
            } => (*sci, *an, *first_pn, key, *encrypted),
        };
        let must_drop = strict || encrypted;
        let (replay, window) = (self.replay_protect, u64::from(self.window));
        let (validate, is_disabled) = (self.validate, self.validate == Validate::Disabled);
        let last = self.last_pn();
        // A channel that is not active receives too.
        let Some(channel) = self.channels.iter_mut().find(|channel| channel.sci == sci) else {
            let place = if must_drop {
                counter::NO_SCI
            } else {
                counter::UNKNOWN_SCI
            };
            self.counters[place] += count;
            return if must_drop { 0 } else { count };
        };
        let counters = &mut channel.counters;
        let Some(sa) = channel.associations[an].as_mut().filter(|sa| sa.active) else {
            if must_drop {
                counters.not_using_sa += count;
                return 0;
            }
            counters.unused_sa += count;
            return count;
        };
        // Frames arrive in order, so the late ones are the first.
        let lowest = sa.next_pn.saturating_sub(window);
        let late = if replay {
            lowest.saturating_sub(first_pn).min(count)
        } else {
            0
        };
        counters.late += late;
        let checked = count - late;
        if checked == 0 {
            return 0;
        }
        if !is_disabled || encrypted {
            let octets = if encrypted {
                &mut counters.octets_decrypted
            } else {
                &mut counters.octets_validated
            };
            *octets += checked * OCTETS;
        }
        let add = |sa: &mut Association, place: usize| {
            sa.counters[place] = sa.counters[place].wrapping_add(checked as u32);
        };
        if sa.key == *key {
            counters.ok += checked;
            add(sa, received::OK);
            let next = (first_pn + count - 1).saturating_add(1).min(last);
            sa.next_pn = sa.next_pn.max(next);
            return checked;
        }
        if must_drop {
            counters.not_valid += checked;
            add(sa, received::NOT_VALID);
            return 0;
        }
        if validate == Validate::Check {
            counters.invalid += checked;
            add(sa, received::INVALID);
        } else {
            counters.unchecked += checked;
        }
        checked
    }
}
