//! The exchanges that make an SA: which end refuses, and why.

use super::{
    Agreed, Algorithms, Connection, Failed, HOSTS, IkeState, Peer, REFUSED, SecretKind, State,
    Unique, common, failed,
};
use std::sync::Arc;

impl State {
    /// The exchanges IKE_SA_INIT and IKE_AUTH (RFC 7296), with a PPK as RFC 8784 has it.
    pub(super) fn authenticate(
        &self,
        end: usize,
        connection: &Connection,
        child: Option<&str>,
    ) -> Result<Agreed, Failed> {
        let (peer, [own, other]) = (&connection.peer, [HOSTS[end], HOSTS[1 - end]]);
        let (initiator, responder) = (&self.daemons[end], &self.daemons[1 - end]);
        // IKE_SA_INIT: the responder chooses by addresses and proposals.
        let by_address = |c: &&Arc<Connection>| {
            c.peer.version != 1
                && Peer::has(&c.peer.local_addrs, other)
                && Peer::has(&c.peer.remote_addrs, own)
        };
        let candidates: Vec<_> = responder.connections.iter().filter(by_address).collect();
        let chosen = candidates
            .iter()
            .find_map(|c| common(&peer.proposals, &c.peer.proposals));
        let algorithms = chosen
            .and_then(|proposal| Algorithms::parse(proposal))
            .ok_or_else(|| failed("IKE", "received NO_PROPOSAL_CHOSEN notify error"))?;
        let mut log = vec![("CFG", algorithms.selected_ike())];
        let stop = |log: &mut Vec<_>, group, line: String, half_open| Failed {
            log: std::mem::take(log)
                .into_iter()
                .chain([(group, line)])
                .collect(),
            half_open,
        };
        // USE_PPK: asked for with a PPK id, and confirmed by a responder that has any PPK.
        let has_any = responder.secrets.iter().any(|s| s.kind == SecretKind::Ppk);
        let mut ppk = None;
        match &peer.ppk_id {
            Some(id) if has_any => match initiator.secret(SecretKind::Ppk, &[id]) {
                Some(found) => ppk = Some((id, found)),
                None if peer.ppk_required => {
                    let line = format!("PPK required but no PPK found for '{id}'");
                    return Err(stop(&mut log, "CFG", line, true));
                }
                None => {
                    let line =
                        format!("no PPK for '{id}' found, ignored because PPK is not required");
                    log.push(("CFG", line));
                }
            },
            _ if peer.ppk_required => {
                let line = "PPK required but peer does not support PPK".to_owned();
                return Err(stop(&mut log, "CFG", line, true));
            }
            _ => {}
        }
        let [own_id, other_id] = [Peer::id(&peer.local, own), Peer::id(&peer.remote, other)];
        let Some(key) = initiator.secret(SecretKind::Ike, &[own_id, other_id]) else {
            let line = format!("no shared key found for '{own_id}' - '{other_id}'");
            return Err(stop(&mut log, "IKE", line, true));
        };
        let line = format!("authentication of '{own_id}' (myself) with pre-shared key");
        log.push(("IKE", line));
        if child.is_some() {
            let line = format!("establishing CHILD_SA {}", initiator.child_label(child));
            log.push(("IKE", line));
        }
        // IKE_AUTH: the responder chooses by identities.
        let refused = |log: &mut Vec<_>| stop(log, "IKE", REFUSED.to_owned(), false);
        let by_id = |c: &&&Arc<Connection>| {
            Peer::id(&c.peer.local, other) == other_id
                && [own_id, "%any"].contains(&Peer::id(&c.peer.remote, "%any"))
                && common(&peer.proposals, &c.peer.proposals).is_some()
        };
        let Some(selected) = candidates.iter().find(by_id) else {
            return Err(refused(&mut log));
        };
        let theirs = responder.secret(SecretKind::Ike, &[other_id, own_id]);
        if theirs.is_none_or(|theirs| theirs.data != key.data) {
            return Err(refused(&mut log));
        }
        let mut used = None;
        match ppk {
            None if selected.peer.ppk_required => return Err(refused(&mut log)),
            None => {}
            Some((id, ours)) => match responder.secret(SecretKind::Ppk, &[id]) {
                Some(theirs) if theirs.data == ours.data => used = Some(id.clone()),
                // A PPK that both have and that differs is never ignored.
                Some(_) => return Err(refused(&mut log)),
                None if selected.peer.ppk_required || peer.ppk_required => {
                    return Err(refused(&mut log));
                }
                None => {}
            },
        }
        let others = responder.sas.iter().any(|sa| {
            sa.state == IkeState::Established
                && sa.is_named
                && sa.identities(1 - end) == [other_id, own_id]
        });
        if selected.peer.unique == Unique::Keep && others {
            return Err(refused(&mut log));
        }
        log.push((
            "IKE",
            format!("authentication of '{other_id}' with pre-shared key successful"),
        ));
        match (&used, ppk) {
            (Some(id), _) => log.push(("CFG", format!("using PPK for PPK_ID '{id}'"))),
            (None, Some((id, _))) => {
                log.push(("CFG", format!("peer didn't use PPK for PPK_ID '{id}'")));
            }
            (None, None) => {}
        }
        Ok(Agreed {
            connection: Arc::clone(selected),
            algorithms,
            ppk: used,
            log,
        })
    }
}
