//! Whether a rolled key protects traffic, judged from the statistics before and after. Pure.

use crate::proto::{OperState, oid::Port};

/// What the statistics of one port show of one CKN.
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

/// What two readings say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// MKA has agreed under the new CKN, and encrypted packets grow.
    Protects(String),
    /// MKA has agreed; no packet was sent since.
    AgreedWithoutTraffic(String),
    /// The far end holds another key, or does not know its name; or clear packets were sent.
    Mismatch(String),
    /// Something is still missing.
    NotYet(String),
}

/// Compares readings of the same ports in the same order.
pub(crate) fn judge(before: &[Baseline], now: &[Baseline]) -> Verdict {
    let mut traffic = true;
    let mut evidence = Vec::new();
    for (old, new) in before.iter().zip(now) {
        let port = new.port.id;
        if new.clear > old.clear {
            return Verdict::Mismatch(format!(
                "port {port}: {} packets went out in clear since the roll",
                new.clear - old.clear
            ));
        }
        if new.icv_failed > old.icv_failed {
            return Verdict::Mismatch(format!(
                "port {port}: IcvCheckFailed grows: the far end has another key under this name"
            ));
        }
        if new.unknown_ckn > old.unknown_ckn {
            return Verdict::Mismatch(format!(
                "port {port}: CknNotFound grows: the far end uses a name that this end lacks"
            ));
        }
        if new.state != Some(OperState::InService) {
            return Verdict::NotYet(format!(
                "port {port}: the MKA instance of the new name is {}",
                new.state.map_or("absent", OperState::word)
            ));
        }
        if new.sak.is_empty() || new.sak == old.sak {
            return Verdict::NotYet(format!("port {port}: no new SAK"));
        }
        if new.installed_tx <= old.installed_tx || new.installed_rx <= old.installed_rx {
            return Verdict::NotYet(format!(
                "port {port}: the new SAK is not installed for both directions"
            ));
        }
        traffic &= new.encrypted > old.encrypted;
        let grown = new.encrypted.saturating_sub(old.encrypted);
        evidence.push(format!("port {port}: MKA inService, new SAK installed for both directions, {grown} packets encrypted since, none in clear"));
    }
    let evidence = evidence.join("; ");
    if traffic {
        Verdict::Protects(evidence)
    } else {
        Verdict::AgreedWithoutTraffic(evidence)
    }
}
