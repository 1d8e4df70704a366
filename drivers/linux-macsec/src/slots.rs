//! Selection of association numbers. Pure.
//!
//! The ends of a pair do not agree on numbers: each sends with the number that it selects, and
//! receives a staged key on every number on which the other end does not send at present. An end
//! that has restarted has forgotten its number, and the other end still receives it.
//!
//! - Numbers 1 to 3 follow each other while a key is in use.
//! - Number 0 is for the first key of an interface that sends with none. The other end, if it has
//!   one, sends with 1 to 3 by then, unless it has staged one key only.

use crate::proto::{ASSOCIATIONS, Association, Channel, Secy};

/// The association that sends; `None` if it does not exist, or is off: then nothing is sent.
pub(crate) fn in_use(secy: &Secy) -> Option<&Association> {
    let mut all = secy.transmit.iter();
    all.find(|sa| sa.number == secy.encoding && sa.is_active)
}

/// Returns the number with which a key of this id is sent.
pub(crate) fn transmit_number(secy: &Secy, key_id: &[u8]) -> u8 {
    if let Some(sa) = secy.transmit.iter().find(|sa| sa.key_id == key_id) {
        return sa.number;
    }
    match in_use(secy) {
        None => 0,
        Some(sa) => sa.number % (ASSOCIATIONS - 1) + 1,
    }
}

/// Returns the numbers on which a key of this id is received. `transmit`: the number with which it
/// is sent here.
pub(crate) fn receive_numbers(
    secy: &Secy,
    channel: &Channel,
    key_id: &[u8],
    transmit: u8,
) -> Vec<u8> {
    let others = || channel.associations.iter().filter(|sa| sa.key_id != key_id);
    let mut kept: Vec<u8> = others()
        .filter(|sa| sa.received > 0)
        .map(|sa| sa.number)
        .collect();
    if kept.is_empty() {
        // Nothing was received. The other end probably sends with the number of this end.
        let expected = in_use(secy).map(|sa| sa.number);
        kept.extend(
            others()
                .map(|sa| sa.number)
                .filter(|n| Some(*n) == expected),
        );
    }
    if kept.len() >= usize::from(ASSOCIATIONS) - 1 {
        // Keys before the one in use were not deleted.
        kept.retain(|number| *number != transmit);
    }
    if kept.len() >= usize::from(ASSOCIATIONS) {
        kept.clear();
    }
    (0..ASSOCIATIONS)
        .filter(|number| !kept.contains(number))
        .collect()
}

/// Returns the numbers of the receive associations that are left once the key of this id is
/// confirmed: those on which frames arrived, or all of the key if none did.
pub(crate) fn numbers_to_keep(channel: &Channel, key_id: &[u8]) -> Vec<u8> {
    let of_key = || channel.associations.iter().filter(|sa| sa.key_id == key_id);
    let has_traffic = of_key().any(|sa| sa.received > 0);
    of_key()
        .filter(|sa| sa.received > 0 || !has_traffic)
        .map(|sa| sa.number)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sa(number: u8, key: u8, received: u64) -> Association {
        Association {
            number,
            is_active: true,
            packet_number: 1,
            key_id: vec![key; 16],
            received,
            encrypted: 0,
        }
    }

    fn end(encoding: u8, transmit: &[(u8, u8)], receive: &[(u8, u8, u64)]) -> (Secy, Channel) {
        let channel = Channel {
            associations: receive.iter().map(|(n, k, r)| sa(*n, *k, *r)).collect(),
            ..Channel::default()
        };
        let secy = Secy {
            encoding,
            transmit: transmit.iter().map(|(n, k)| sa(*n, *k, 0)).collect(),
            ..Secy::default()
        };
        (secy, channel)
    }

    /// The number that sends, and those that receive, for key 9.
    fn numbers((secy, channel): &(Secy, Channel)) -> (u8, Vec<u8>) {
        let transmit = transmit_number(secy, &[9; 16]);
        (transmit, receive_numbers(secy, channel, &[9; 16], transmit))
    }

    #[test]
    fn the_number_in_use_is_never_selected() {
        assert_eq!(numbers(&end(0, &[], &[])), (0, vec![0, 1, 2, 3]));
        for (encoding, next) in [(0, 1), (1, 2), (2, 3), (3, 1)] {
            let all = end(encoding, &[(encoding, 1)], &[(encoding, 1, 7)]);
            let (transmit, receive) = numbers(&all);
            assert_eq!(transmit, next);
            assert!(!receive.contains(&encoding) && receive.contains(&next));
            // Without traffic it is the same.
            let silent = end(encoding, &[(encoding, 1)], &[(encoding, 1, 0)]);
            assert_eq!(numbers(&silent), (transmit, receive));
        }
    }

    #[test]
    fn a_key_that_is_staged_again_keeps_its_number() {
        let all = end(1, &[(1, 1), (3, 9)], &[(1, 1, 5), (2, 9, 0), (3, 9, 0)]);
        assert_eq!(numbers(&all), (3, vec![0, 2, 3]));
    }

    #[test]
    fn an_end_that_has_restarted_is_received() {
        // It sends with 0, whatever the number was that it forgot.
        for before in 1..4 {
            let other = end(before, &[(before, 1)], &[(before, 1, 50)]);
            assert!(numbers(&other).1.contains(&0));
        }
    }

    #[test]
    fn an_end_that_was_activated_before_the_other_is_received() {
        // The other end sends key 2 already; then key 2 failed, and key 9 replaces it.
        let earlier = end(1, &[(1, 1), (2, 2)], &[(1, 1, 50), (2, 2, 9)]);
        assert_eq!(numbers(&earlier), (2, vec![0, 3]));
        let ahead = end(2, &[(1, 1), (2, 2)], &[(1, 1, 50), (2, 2, 0)]);
        let (transmit, receive) = numbers(&ahead);
        assert_eq!(transmit, 3);
        assert!(receive.contains(&2) && !receive.contains(&1));
    }

    #[test]
    fn a_key_always_has_a_number() {
        let full = end(3, &[(3, 1)], &[(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 4, 1)]);
        let (transmit, receive) = numbers(&full);
        assert_eq!((transmit, receive), (1, vec![1]));
    }

    #[test]
    fn the_number_on_which_frames_arrived_is_kept() {
        let (_, idle) = end(1, &[], &[(0, 9, 0), (1, 1, 3), (2, 9, 0)]);
        assert_eq!(numbers_to_keep(&idle, &[9; 16]), [0, 2]);
        let (_, busy) = end(1, &[], &[(0, 9, 0), (1, 1, 3), (2, 9, 4)]);
        assert_eq!(numbers_to_keep(&busy, &[9; 16]), [2]);
    }
}
