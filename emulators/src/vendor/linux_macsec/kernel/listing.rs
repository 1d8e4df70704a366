//! Interfaces and their state, as the kernel lists them.

use super::{
    ARPHRD_ETHER, ARPHRD_LOOPBACK, FAMILY, FIRST_IN_COUNTER, FIRST_OUT_COUNTER, FLAGS, GCM_AES_128,
    GCM_AES_256, GCM_AES_XPN_128, GCM_AES_XPN_256, Interface, LOOPBACK_FLAGS, MTU, OPERSTATE_UP,
    OVERHEAD, RXSC_STATS_PAD, SECY_STATS_PAD, TXSC_STATS_PAD, attribute, data, link,
    rxsc_attribute, sa_attribute, secy_attribute,
};
use crate::vendor::linux_macsec::{
    netlink::Writer,
    secy::{Associations, Secy, Validate},
};

fn cipher(secy: &Secy) -> u64 {
    match (secy.key_length, secy.is_xpn) {
        (16, false) => GCM_AES_128,
        (16, true) => GCM_AES_XPN_128,
        (_, false) => GCM_AES_256,
        (_, true) => GCM_AES_XPN_256,
    }
}

fn put_counters(w: &mut Writer, counters: &[u64], padding: u16) {
    for (kind, counter) in (1..).zip(counters) {
        w.wide(kind, &counter.to_le_bytes(), padding);
    }
}

fn validate(secy: &Secy) -> u8 {
    match secy.validate {
        Validate::Disabled => 0,
        Validate::Check => 1,
        Validate::Strict => 2,
    }
}

pub(super) fn put_secy(w: &mut Writer, secy: &Secy) {
    use secy_attribute as s;
    w.nest(attribute::SECY, |w| {
        w.wide(s::SCI, &secy.sci, s::PAD);
        w.wide(s::CIPHER_SUITE, &cipher(secy).to_le_bytes(), s::PAD);
        w.u8(s::ICV_LEN, secy.icv_length);
        for (kind, value) in [
            (s::OPER, secy.operational),
            (s::PROTECT, secy.protect),
            (s::REPLAY, secy.replay_protect),
        ] {
            w.u8(kind, value.into());
        }
        w.u8(s::VALIDATE, validate(secy));
        for (kind, value) in [
            (s::ENCRYPT, secy.encrypt),
            (s::INC_SCI, secy.send_sci),
            (s::ES, secy.end_station),
            (s::SCB, secy.scb),
        ] {
            w.u8(kind, value.into());
        }
        w.u8(s::ENCODING_SA, secy.encoding_sa);
        if secy.replay_protect {
            w.u32(s::WINDOW, secy.window);
        }
    });
    w.nest(attribute::TXSC_STATS, |w| {
        put_counters(w, &secy.sent, TXSC_STATS_PAD)
    });
    w.nest(attribute::SECY_STATS, |w| {
        put_counters(w, &secy.counters, SECY_STATS_PAD)
    });
    w.nest(attribute::TXSA_LIST, |w| {
        put_associations(w, &secy.transmit, secy.is_xpn, FIRST_OUT_COUNTER, 2);
    });
    w.nest(attribute::RXSC_LIST, |w| {
        use rxsc_attribute as r;
        for (n, channel) in (1..).zip(&secy.channels) {
            w.nest(n, |w| {
                w.u8(r::ACTIVE, channel.active.into());
                w.wide(r::SCI, &channel.sci, r::PAD);
                w.nest(r::STATS, |w| {
                    put_counters(w, &channel.counters.all(), RXSC_STATS_PAD)
                });
                w.nest(r::SA_LIST, |w| {
                    put_associations(w, &channel.associations, secy.is_xpn, FIRST_IN_COUNTER, 5);
                });
            });
        }
    });
}

/// Writes the SAs that exist, each with this number of counters, from this type on.
fn put_associations(
    w: &mut Writer,
    associations: &Associations,
    is_xpn: bool,
    first: u16,
    counters: usize,
) {
    use sa_attribute as s;
    let existing = (0u8..).zip(associations);
    let existing = existing.filter_map(|(an, sa)| sa.as_ref().map(|sa| (an, sa)));
    for (n, (an, sa)) in (1..).zip(existing) {
        w.nest(n, |w| {
            w.nest(s::STATS, |w| {
                for (kind, counter) in (first..).zip(&sa.counters[..counters]) {
                    w.u32(kind, *counter);
                }
            });
            w.u8(s::AN, an);
            if is_xpn {
                w.attribute(s::PN, &sa.next_pn.to_le_bytes());
            } else {
                w.u32(s::PN, sa.next_pn as u32);
            }
            w.attribute(s::KEYID, &sa.key_id);
            if is_xpn {
                w.u32(s::SSCI, sa.ssci);
            }
            w.u8(s::ACTIVE, sa.active.into());
        });
    }
}

/// Writes a link: header, name, address, state, and MACsec. The kernel has more attributes.
pub(super) fn put_link(w: &mut Writer, interface: &Interface) {
    let is_loopback = interface.index == 1;
    let (kind, flags) = if is_loopback {
        (ARPHRD_LOOPBACK, LOOPBACK_FLAGS)
    } else {
        (ARPHRD_ETHER, FLAGS)
    };
    w.raw(&[0, 0]);
    w.raw(&kind.to_le_bytes());
    w.raw(&interface.index.to_le_bytes());
    w.raw(&flags.to_le_bytes());
    w.raw(&[0; 4]);
    w.text(link::IFNAME, &interface.name);
    w.u32(link::TXQLEN, 1000);
    w.u8(link::OPERSTATE, if is_loopback { 0 } else { OPERSTATE_UP });
    let overhead = if interface.macsec.is_some() {
        OVERHEAD
    } else {
        0
    };
    w.u32(link::MTU, MTU - overhead);
    w.attribute(link::ADDRESS, &interface.address);
    w.attribute(
        link::BROADCAST,
        if is_loopback { &[0; 6] } else { &[0xff; 6] },
    );
    let Some((secy, below)) = &interface.macsec else {
        return;
    };
    w.nest(link::LINKINFO, |w| {
        w.text(link::INFO_KIND, FAMILY);
        w.nest(link::INFO_DATA, |w| {
            w.wide(data::SCI, &secy.sci, data::PAD);
            w.u8(data::ICV_LEN, secy.icv_length);
            w.wide(data::CIPHER_SUITE, &cipher(secy).to_le_bytes(), data::PAD);
            w.u8(data::ENCODING_SA, secy.encoding_sa);
            for (kind, value) in [
                (data::ENCRYPT, secy.encrypt),
                (data::PROTECT, secy.protect),
                (data::INC_SCI, secy.send_sci),
                (data::ES, secy.end_station),
                (data::SCB, secy.scb),
                (data::REPLAY_PROTECT, secy.replay_protect),
            ] {
                w.u8(kind, value.into());
            }
            w.u8(data::VALIDATION, validate(secy));
            if secy.replay_protect {
                w.u32(data::WINDOW, secy.window);
            }
        });
    });
    w.u32(link::LINK, *below);
}
