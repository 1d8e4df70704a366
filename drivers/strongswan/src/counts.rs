//! Packets of a channel. The daemon counts them for each association, and forgets them with it.

use crate::daemon::Association;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Packets sent and received.
type Packets = (u64, u64);

#[derive(Default)]
struct State {
    /// Packets of associations that have ended, as they were last read.
    ended: Packets,
    /// Packets of each child, by the numbers of its association and its own.
    last: BTreeMap<(u64, u64), Packets>,
}

/// The packets of a channel as this handle has seen them: they grow although associations end.
#[derive(Default)]
pub(crate) struct Counts(Mutex<State>);

impl Counts {
    /// Adds a reading of all associations of the channel, and returns the packets so far.
    pub(crate) fn update(&self, associations: &[Association]) -> Packets {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now: BTreeMap<(u64, u64), Packets> = associations
            .iter()
            .flat_map(|one| {
                let children = one.children.iter();
                children.map(|child| ((one.id, child.id), (child.sent, child.received)))
            })
            .collect();
        let mut ended = state.ended;
        for (key, before) in &state.last {
            // A daemon that has restarted numbers its associations from 1 again.
            let continues = now
                .get(key)
                .is_some_and(|new| new.0 >= before.0 && new.1 >= before.1);
            if !continues {
                ended = add(ended, *before);
            }
        }
        let total = now.values().fold(ended, |sum, one| add(sum, *one));
        *state = State { ended, last: now };
        total
    }
}

fn add(one: Packets, other: Packets) -> Packets {
    (one.0.saturating_add(other.0), one.1.saturating_add(other.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Child;

    fn association(id: u64, sent: u64) -> Association {
        Association {
            name: "net".to_owned(),
            id,
            state: "ESTABLISHED".to_owned(),
            has_ppk: true,
            children: vec![Child {
                id,
                name: "lan".to_owned(),
                is_installed: true,
                cipher: None,
                sent,
                received: 1,
            }],
        }
    }

    #[test]
    fn packets_grow_although_associations_end() {
        let counts = Counts::default();
        assert_eq!(counts.update(&[association(1, 10)]), (10, 1));
        let both = [association(1, 12), association(2, 5)];
        assert_eq!(counts.update(&both), (17, 2));
        assert_eq!(counts.update(&[association(2, 6)]), (18, 2));
        // The daemon has restarted.
        assert_eq!(counts.update(&[]), (18, 2));
        assert_eq!(counts.update(&[association(1, 3)]), (21, 3));
        assert_eq!(counts.update(&[association(1, 2)]), (23, 4));
    }
}
