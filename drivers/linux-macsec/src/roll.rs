//! Whether a rolled key protects traffic, judged from the counters before and after. Pure.

use crate::proto::{Channel, Secy};
use std::collections::BTreeMap;

/// Of a baseline: frames that were accepted, and frames that were dropped.
const ACCEPTED: &str = "accepted";
const DROPPED: &str = "dropped";

/// Frames of the receive channel: those that were accepted, and those that no key of this end
/// fits. Frames without a tag are not among them: they also come from other users of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    accepted: u64,
    dropped: u64,
}

impl Received {
    pub(crate) fn of(channel: &Channel) -> Self {
        Self {
            accepted: channel.accepted,
            dropped: channel
                .not_valid
                .saturating_add(channel.without_association),
        }
    }

    pub(crate) fn accepted(self) -> u64 {
        self.accepted
    }

    pub(crate) fn dropped(self) -> u64 {
        self.dropped
    }

    /// The counters as a staged key carries them.
    pub(crate) fn write(self) -> BTreeMap<String, String> {
        [(ACCEPTED, self.accepted), (DROPPED, self.dropped)]
            .map(|(name, value)| (name.to_owned(), value.to_string()))
            .into()
    }

    /// The counters that a staged key carries; `None` if it carries none.
    pub(crate) fn read(baseline: &BTreeMap<String, String>) -> Option<Self> {
        let of = |name| baseline.get(name)?.parse().ok();
        Some(Self {
            accepted: of(ACCEPTED)?,
            dropped: of(DROPPED)?,
        })
    }
}

/// Result of the comparison of two readings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Frames arrive under the key.
    Protects(String),
    /// The other end sends frames that are dropped.
    Mismatch(String),
    /// The key is in use, and nothing has arrived since it was staged.
    NoTraffic(String),
    /// Frames arrived since the key was staged, and none under it yet.
    NotYet(String),
}

/// Judges a key that the interface sends with. `staged`: the counters when it was staged; `begun`:
/// when its confirmation began.
pub(crate) fn judge(
    secy: &Secy,
    channel: &Channel,
    key_id: &[u8],
    staged: Received,
    begun: Received,
) -> Verdict {
    let sum = |all: &mut dyn Iterator<Item = u64>| all.fold(0, u64::saturating_add);
    let of_key = |all: &'_ [crate::proto::Association],
                  of: fn(&crate::proto::Association) -> u64| {
        sum(&mut all.iter().filter(|sa| sa.key_id == key_id).map(of))
    };
    let received = of_key(&channel.associations, |sa| sa.received);
    let sent = of_key(&secy.transmit, |sa| sa.encrypted);
    let now = Received::of(channel);
    if received > 0 {
        let evidence = format!(
            "association {} sends with the key; {received} frames were received and {sent} sent \
             under it",
            secy.encoding
        );
        return Verdict::Protects(evidence);
    }
    // A counter that became smaller is one of an interface that was made again.
    if now.dropped > begun.dropped {
        return Verdict::Mismatch(format!(
            "{} frames were dropped and none was accepted under the key: the other end sends under \
             another one",
            now.dropped - begun.dropped
        ));
    }
    if now == staged {
        return Verdict::NoTraffic(format!(
            "association {} sends with the key, and the receive channel has it; no frame has \
             arrived since it was staged",
            secy.encoding
        ));
    }
    Verdict::NotYet(
        "frames have arrived since the key was staged, and none under it: the other end does not \
         send with it yet"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Association;

    const KEY: [u8; 16] = [9; 16];

    fn end(received: u64, accepted: u64, not_valid: u64) -> (Secy, Channel) {
        let channel = Channel {
            associations: vec![Association {
                key_id: KEY.to_vec(),
                received,
                ..Association::default()
            }],
            accepted,
            not_valid,
            ..Channel::default()
        };
        (Secy::default(), channel)
    }

    #[test]
    fn a_key_is_confirmed_by_frames_that_arrive_under_it() {
        let received = |accepted, dropped| Received { accepted, dropped };
        let before = received(50, 3);
        let judged =
            |(secy, channel): (Secy, Channel)| judge(&secy, &channel, &KEY, before, before);
        assert!(matches!(judged(end(1, 60, 3)), Verdict::Protects(_)));
        assert!(matches!(judged(end(0, 60, 3)), Verdict::NotYet(_)));
        assert!(matches!(judged(end(0, 50, 4)), Verdict::Mismatch(_)));
        assert!(matches!(judged(end(0, 50, 3)), Verdict::NoTraffic(_)));
        // Other users of the port send frames without a tag.
        let (mut secy, channel) = end(0, 50, 3);
        secy.without_tag = 9;
        assert!(matches!(judged((secy, channel)), Verdict::NoTraffic(_)));
        // Frames of the key before arrive and some were dropped: the key is not the reason yet.
        let (secy, channel) = end(0, 60, 9);
        let verdict = judge(&secy, &channel, &KEY, before, received(60, 9));
        assert!(matches!(verdict, Verdict::NotYet(_)));
    }

    #[test]
    fn counters_travel_with_a_staged_key() {
        let (_, channel) = end(0, 7, 2);
        let counters = Received::of(&channel);
        assert_eq!(Received::read(&counters.write()), Some(counters));
        assert_eq!(Received::read(&BTreeMap::new()), None);
    }
}
