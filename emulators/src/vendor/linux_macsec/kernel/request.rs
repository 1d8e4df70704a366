//! Requests for changes of MACsec: their nests, and what of them is valid.

use super::{KEY_ID, MAX_KEY, SALT, attribute, rxsc_attribute, sa_attribute};
use crate::vendor::linux_macsec::{
    netlink::{Attributes, Number, errno},
    secy::{Association, Sci, Secy},
};
use zeroize::Zeroizing;

/// A request for a change, with its nests.
pub(super) struct Request<'a> {
    pub(super) index: Option<u32>,
    pub(super) channel: Option<Attributes<'a>>,
    pub(super) sa: Option<Attributes<'a>>,
    pub(super) offload: Option<Attributes<'a>>,
}

/// An SA to add, before its interface is known.
pub(super) struct NewAssociation<'a> {
    pub(super) an: usize,
    pub(super) active: bool,
    pub(super) pn: &'a [u8],
    key: &'a [u8],
    key_id: [u8; KEY_ID],
    ssci: Option<u32>,
    salt: Option<&'a [u8]>,
}

/// A change of an SA.
pub(super) struct Update<'a> {
    pub(super) an: u8,
    pub(super) active: Option<bool>,
    pub(super) pn: Option<&'a [u8]>,
}

/// A packet number, if it has the size that the cipher suite wants.
fn packet_number(pn: &[u8], is_xpn: bool) -> Result<u64, i32> {
    let number = if is_xpn {
        pn.try_into().map(u64::from_le_bytes)
    } else {
        pn.try_into().map(|pn| u32::from_le_bytes(pn).into())
    };
    number.map_err(|_| errno::EINVAL)
}

impl<'a> Request<'a> {
    pub(super) fn read(attributes: &Attributes<'a>, message: &'a [u8]) -> Result<Self, i32> {
        let index = attributes.u32(attribute::IFINDEX);
        if index.is_none() {
            return Err(errno::EINVAL);
        }
        Ok(Self {
            index,
            channel: attributes.nest(attribute::RXSC_CONFIG, message),
            sa: attributes.nest(attribute::SA_CONFIG, message),
            offload: attributes.nest(attribute::OFFLOAD, message),
        })
    }

    /// The channel that is named, and whether it is to be active.
    pub(super) fn unchecked_channel(&self) -> Result<(Option<Sci>, Option<u8>), i32> {
        let channel = self.channel.as_ref().ok_or(errno::EINVAL)?;
        let numbers = [
            (rxsc_attribute::SCI, Number::U64),
            (rxsc_attribute::ACTIVE, Number::U8),
        ];
        channel.check(&numbers).map_err(|_| errno::EINVAL)?;
        let sci = channel.get(rxsc_attribute::SCI);
        let sci = sci.and_then(|sci| sci.first_chunk().copied());
        Ok((sci, channel.u8(rxsc_attribute::ACTIVE)))
    }
    /// The same, of which all is valid.
    pub(super) fn channel(&self) -> Result<(Option<Sci>, Option<bool>), i32> {
        let (sci, active) = self.unchecked_channel()?;
        if sci.is_none() || active.is_some_and(|active| active > 1) {
            return Err(errno::EINVAL);
        }
        Ok((sci, active.map(|active| active == 1)))
    }

    /// The attributes of an SA, if their sizes are possible.
    pub(super) fn sa(&self) -> Result<&Attributes<'a>, i32> {
        use sa_attribute as s;
        let sa = self.sa.as_ref().ok_or(errno::EINVAL)?;
        let numbers = [
            (s::AN, Number::U8),
            (s::ACTIVE, Number::U8),
            (s::PN, Number::U32),
            (s::SSCI, Number::U32),
        ];
        sa.check(&numbers).map_err(|_| errno::EINVAL)?;
        let limits = [(s::KEYID, KEY_ID), (s::KEY, MAX_KEY), (s::SALT, SALT)];
        let is_long = |(kind, limit)| sa.get(kind).is_some_and(|value| value.len() > limit);
        if limits.into_iter().any(is_long) {
            return Err(errno::EINVAL);
        }
        Ok(sa)
    }
    pub(super) fn an(&self) -> Result<usize, i32> {
        let an = self.sa()?.u8(sa_attribute::AN).filter(|an| *an < 4);
        an.map(usize::from).ok_or(errno::EINVAL)
    }
    pub(super) fn active(sa: &Attributes<'_>) -> Result<Option<bool>, i32> {
        match sa.u8(sa_attribute::ACTIVE) {
            Some(active) if active > 1 => Err(errno::EINVAL),
            active => Ok(active.map(|active| active == 1)),
        }
    }

    /// Reads an SA to add. A receive SA without a packet number crashes Linux 6.1; here it is
    /// refused.
    pub(super) fn new_association(&self, transmits: bool) -> Result<NewAssociation<'a>, i32> {
        use sa_attribute as s;
        if !transmits {
            self.channel.as_ref().ok_or(errno::EINVAL)?;
        }
        let sa = self.sa()?;
        let pn = sa.get(s::PN).ok_or(errno::EINVAL)?;
        let key_id = sa.get(s::KEYID).and_then(|id| id.try_into().ok());
        if pn.iter().all(|octet| *octet == 0) {
            return Err(errno::EINVAL);
        }
        Ok(NewAssociation {
            an: self.an()?,
            active: Self::active(sa)?.unwrap_or(false),
            pn,
            key: sa.get(s::KEY).ok_or(errno::EINVAL)?,
            key_id: key_id.ok_or(errno::EINVAL)?,
            ssci: sa.u32(s::SSCI),
            salt: sa.get(s::SALT),
        })
    }
    pub(super) fn update(&self) -> Result<Update<'a>, i32> {
        use sa_attribute as s;
        let sa = self.sa()?;
        if [s::KEY, s::KEYID, s::SSCI, s::SALT]
            .into_iter()
            .any(|kind| sa.has(kind))
        {
            return Err(errno::EINVAL);
        }
        let pn = sa.get(s::PN);
        // The kernel looks at four octets only.
        if pn.is_some_and(|pn| pn.iter().take(4).all(|octet| *octet == 0)) {
            return Err(errno::EINVAL);
        }
        Ok(Update {
            an: self.an()? as u8,
            active: Self::active(sa)?,
            pn,
        })
    }
}

impl NewAssociation<'_> {
    pub(super) fn build(&self, secy: &Secy) -> Result<(usize, Association), i32> {
        if self.key.len() != secy.key_length {
            return Err(errno::EINVAL);
        }
        let next_pn = packet_number(self.pn, secy.is_xpn)?;
        let salt = self.salt.unwrap_or_default();
        if secy.is_xpn && (self.ssci.is_none() || salt.len() != SALT) {
            return Err(errno::EINVAL);
        }
        let sa = Association {
            key: Zeroizing::new(self.key.to_vec()),
            key_id: self.key_id,
            next_pn,
            active: self.active,
            ssci: self.ssci.unwrap_or(u32::MAX),
            salt: salt.to_vec(),
            counters: [0; 5],
        };
        Ok((self.an, sa))
    }
}

impl Update<'_> {
    pub(super) fn pn(&self, is_xpn: bool) -> Result<Option<u64>, i32> {
        self.pn.map(|pn| packet_number(pn, is_xpn)).transpose()
    }
    pub(super) fn apply(&self, sa: &mut Association, pn: Option<u64>) {
        sa.next_pn = pn.unwrap_or(sa.next_pn);
        sa.active = self.active.unwrap_or(sa.active);
    }
}
