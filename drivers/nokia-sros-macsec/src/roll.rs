//! Whether a rolled key protects traffic, judged from the statistics before and after. Pure.

use crate::proto::{OperState, oid::Port};
use std::collections::BTreeMap;

/// Statistics of one port for one CKN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Baseline {
    pub(crate) port: Port,
    /// `None`: there is no MKA instance of this CKN.
    pub(crate) state: Option<OperState>,
    /// Key identifier of the latest SAK.
    pub(crate) sak: Vec<u8>,
    pub(crate) installed_tx: u64,
    pub(crate) installed_rx: u64,
    pub(crate) unknown_ckn: u64,
    pub(crate) icv_failed: u64,
    /// Packets of the port that went out encrypted.
    pub(crate) encrypted: u64,
    /// Packets of the port that went out in clear.
    pub(crate) clear: u64,
}

impl Baseline {
    /// Accepts the present SAK as the new one: nothing is known of the time before it.
    pub(crate) fn forget_sak(&mut self) {
        self.sak.clear();
        (self.installed_tx, self.installed_rx) = (0, 0);
    }

    /// The readings as a staged key carries them: a text for each port. No secret is among them.
    pub(crate) fn write_all(all: &[Self]) -> BTreeMap<String, String> {
        let text = |b: &Self| {
            let state = b.state.map_or("absent", OperState::keyword);
            format!(
                "{state} {} {} {} {} {} {} sak={}",
                b.installed_tx,
                b.installed_rx,
                b.unknown_ckn,
                b.icv_failed,
                b.encrypted,
                b.clear,
                hex::encode(&b.sak)
            )
        };
        all.iter()
            .map(|b| (format!("port {}.{}", b.port.id, b.port.sub), text(b)))
            .collect()
    }

    /// The readings that a staged key carries; `None` if it carries none or others.
    pub(crate) fn read_all(baseline: &BTreeMap<String, String>) -> Option<Vec<Self>> {
        let one = |(name, text): (&String, &String)| {
            let (id, sub) = name.strip_prefix("port ")?.split_once('.')?;
            let mut parts = text.split(' ');
            let state = match parts.next()? {
                "absent" => None,
                word => Some(OperState::ALL.into_iter().find(|s| s.keyword() == word)?),
            };
            let mut number = || parts.next()?.parse::<u64>().ok();
            Some(Self {
                port: Port {
                    id: id.parse().ok()?,
                    sub: sub.parse().ok()?,
                },
                state,
                installed_tx: number()?,
                installed_rx: number()?,
                unknown_ckn: number()?,
                icv_failed: number()?,
                encrypted: number()?,
                clear: number()?,
                sak: hex::decode(parts.next()?.strip_prefix("sak=")?).ok()?,
            })
        };
        let all: Option<Vec<Self>> = baseline.iter().map(one).collect();
        all.filter(|all| !all.is_empty())
    }
}

/// Result of the comparison of two readings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RollVerdict {
    /// MKA has agreed under the new CKN, and encrypted packets grow.
    Protects(String),
    /// MKA has agreed; no packet was sent since.
    AgreedWithoutTraffic(String),
    /// The far end holds another key, or does not know its name; or clear packets were sent.
    Mismatch(String),
    /// Something is still missing.
    NotYet(String),
}

/// Compares two readings of the same ports in the same order.
pub(crate) fn judge(before: &[Baseline], now: &[Baseline]) -> RollVerdict {
    let mut traffic = true;
    let mut evidence = Vec::new();
    for (old, new) in before.iter().zip(now) {
        let port = new.port.id;
        if new.clear > old.clear {
            return RollVerdict::Mismatch(format!(
                "port {port}: {} packets went out in clear since the roll",
                new.clear - old.clear
            ));
        }
        if new.icv_failed > old.icv_failed {
            return RollVerdict::Mismatch(format!(
                "port {port}: IcvCheckFailed grows: the far end has another key under this name"
            ));
        }
        if new.unknown_ckn > old.unknown_ckn {
            return RollVerdict::Mismatch(format!(
                "port {port}: CknNotFound grows: the far end uses a name that this end lacks"
            ));
        }
        if new.state != Some(OperState::InService) {
            return RollVerdict::NotYet(format!(
                "port {port}: the MKA instance of the new name is {}",
                new.state.map_or("absent", OperState::keyword)
            ));
        }
        if new.sak.is_empty() || new.sak == old.sak {
            return RollVerdict::NotYet(format!("port {port}: no new SAK"));
        }
        if new.installed_tx <= old.installed_tx || new.installed_rx <= old.installed_rx {
            return RollVerdict::NotYet(format!(
                "port {port}: the new SAK is not installed for both directions"
            ));
        }
        traffic &= new.encrypted > old.encrypted;
        let grown = new.encrypted.saturating_sub(old.encrypted);
        evidence.push(format!(
            "port {port}: MKA inService, new SAK installed for both directions, \
            {grown} packets encrypted since, none in clear"
        ));
    }
    let evidence = evidence.join("; ");
    if traffic {
        RollVerdict::Protects(evidence)
    } else {
        RollVerdict::AgreedWithoutTraffic(evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_travel_with_a_staged_key() {
        let one = |id, state, sak: &[u8]| Baseline {
            port: Port { id, sub: 1 },
            state,
            sak: sak.to_vec(),
            installed_tx: 1,
            installed_rx: 2,
            unknown_ckn: 3,
            icv_failed: 4,
            encrypted: u64::MAX,
            clear: 0,
        };
        let all = vec![
            one(35_684_352, Some(OperState::InService), &[1, 2]),
            one(7, None, &[]),
        ];
        let mut read = Baseline::read_all(&Baseline::write_all(&all)).unwrap();
        read.sort_by_key(|b| std::cmp::Reverse(b.port.id));
        assert_eq!(read, all);
        assert_eq!(Baseline::read_all(&BTreeMap::new()), None);
        let odd = [("port x".to_owned(), "absent".to_owned())].into();
        assert_eq!(Baseline::read_all(&odd), None);
    }
}
