//! Exchanges within an SA: deletion, new keys, reauthentication.

use super::{
    Algorithms, ChildState, Due, HOSTS, IkeState, PACKET, REAUTH_RETRY, REKEYED, RETRANSMITS, State,
};
use crate::vendor::strongswan::message::Writer;
use rand::RngExt;
use std::sync::Arc;

impl State {
    /// Begins to delete an SA at both ends.
    pub(in crate::vendor::strongswan) fn delete(&mut self, end: usize, id: u32) {
        let Some(sa) = self.daemons[end].sa(id) else {
            return;
        };
        if sa.state == IkeState::Connecting {
            return self.forget(end, id);
        }
        let pair = sa.pair;
        let [own_id, other_id] = sa.identities(end);
        let label = format!("{}[{id}]", sa.name());
        let line = format!(
            "deleting IKE_SA {label} between {}[{own_id}]...{}[{other_id}]",
            HOSTS[end],
            HOSTS[1 - end]
        );
        if sa.state == IkeState::Deleting {
            return;
        }
        sa.state = IkeState::Deleting;
        self.log(end, id, "IKE", &line);
        self.log(
            end,
            id,
            "IKE",
            &format!("sending DELETE for IKE_SA {label}"),
        );
        if self.reaches(end, pair) {
            self.finish_delete(end, id);
        } else {
            self.timers.retain(|t| t.end != end || t.sa != id);
            self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
        }
    }

    /// The other end has the request: the SA ends there, then here.
    pub(super) fn finish_delete(&mut self, end: usize, id: u32) {
        let Some(pair) = self.daemons[end].sa(id).map(|sa| sa.pair) else {
            return;
        };
        let other = self.daemons[1 - end].by_pair(pair).map(|sa| {
            sa.state = IkeState::Deleting;
            sa.id
        });
        if let Some(other) = other {
            self.go_down(1 - end, other);
        }
        self.log(end, id, "IKE", "IKE_SA deleted");
        self.go_down(end, id);
    }

    pub(super) fn go_down(&mut self, end: usize, id: u32) {
        self.publish(end, id, "ike-updown", false, &["IKE_DELETE"]);
        let children = self.daemons[end].sa(id).map_or(0, |sa| sa.children.len());
        for _ in 0..children {
            self.publish(end, id, "child-updown", false, &["IKE_DELETE"]);
            if let Some(sa) = self.daemons[end].sa(id) {
                sa.children.pop();
            }
        }
        self.forget(end, id);
    }

    /// Deletes a CHILD SA at both ends; whether the other end answered.
    pub(in crate::vendor::strongswan) fn delete_child(&mut self, end: usize, child: u32) -> bool {
        let owner = self.daemons[end].sas.iter().find_map(|sa| {
            let found = sa.children.iter().find(|c| c.id == child)?;
            Some((sa.id, sa.pair, found.clone()))
        });
        let Some((id, pair, found)) = owner else {
            return false;
        };
        let [inbound, outbound] = found.spis;
        let line = format!(
            "closing CHILD_SA {}{{{child}}} with SPIs {inbound:08x}_i ({} bytes) {outbound:08x}_o \
             ({} bytes) and TS {} === {}",
            found.name,
            found.packets[0] * PACKET,
            found.packets[1] * PACKET,
            found.ts[0].join(" "),
            found.ts[1].join(" ")
        );
        self.log(end, id, "IKE", &line);
        if !self.reaches(end, pair) {
            self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
            return false;
        }
        for place in [1 - end, end] {
            let Some(sa) = self.daemons[place].by_pair(pair) else {
                continue;
            };
            let sa_id = sa.id;
            // An event reports the last CHILD SA.
            if let Some(at) = sa.children.iter().position(|c| c.pair == found.pair) {
                let last = sa.children.remove(at);
                sa.children.push(last);
                self.publish(place, sa_id, "child-updown", false, &["CHILD_DELETE"]);
            }
            if let Some(sa) = self.daemons[place].sa(sa_id) {
                sa.children.retain(|c| c.pair != found.pair);
            }
        }
        self.log(end, id, "IKE", "CHILD_SA closed");
        true
    }

    /// Replaces the keys of an IKE SA. The PPK stays as it is (RFC 8784 has none in this exchange).
    pub(in crate::vendor::strongswan) fn rekey(&mut self, end: usize, id: u32) {
        let now = self.now;
        let Some(sa) = self.daemons[end].sa(id) else {
            return;
        };
        let pair = sa.pair;
        if sa.state != IkeState::Established {
            return;
        }
        if !self.reaches(end, pair) {
            return self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
        }
        let new_pair = self.next_pair;
        self.next_pair += 1;
        let spis = [self.random.random(), self.random.random()];
        for place in [1 - end, end] {
            let daemon = &mut self.daemons[place];
            let next = daemon.next_sa;
            let Some(old) = daemon.by_pair(pair) else {
                continue;
            };
            let mut new = old.clone();
            (new.id, new.pair, new.spis, new.established) = (next, new_pair, spis, now);
            new.is_initiator = place == end;
            let children = std::mem::take(&mut old.children);
            new.children = Vec::new();
            if place == end {
                old.state = IkeState::Rekeying;
            }
            let mut message = Writer::default();
            message.section(old.name(), |m| {
                m.section("old", |m| {
                    old.write(m, place, now);
                    m.list(old.tasks(), ["IKE_REKEY"]);
                })
                .section("new", |m| new.write(m, place, now));
            });
            let old_id = old.id;
            new.children = children;
            daemon.next_sa += 1;
            daemon.sas.insert(0, new);
            daemon.clients.publish("ike-rekey", message);
            for timer in self
                .timers
                .iter_mut()
                .filter(|t| t.end == place && t.sa == old_id)
            {
                timer.sa = next;
            }
            self.forget(place, old_id);
        }
    }

    /// Replaces the keys of a CHILD SA.
    pub(in crate::vendor::strongswan) fn rekey_child(&mut self, end: usize, child: u32) {
        let now = self.now;
        let owner = self.daemons[end].sas.iter().find_map(|sa| {
            let found = sa.children.iter().find(|c| c.id == child)?;
            Some((sa.id, sa.pair, found.clone()))
        });
        let Some((id, pair, found)) = owner else {
            return;
        };
        if found.state != ChildState::Installed {
            return;
        }
        if !self.reaches(end, pair) {
            return self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
        }
        let Some(other) = self.daemons[1 - end].by_pair(pair) else {
            return;
        };
        let same = other.children.iter().find(|c| c.pair == found.pair);
        let Some((other_id, other_name)) = same.map(|c| (other.id, c.name.clone())) else {
            return;
        };
        let mut algorithms = found.algorithms.clone();
        let configured = self.daemons[end].sa(id).and_then(|sa| {
            let child = sa.connection.child(&found.name)?;
            Algorithms::parse(child.proposals.first()?)?.group
        });
        algorithms.group = configured;
        self.daemons[end].next_child += 1;
        self.install(
            [(end, id, &found.name), (1 - end, other_id, &other_name)],
            &algorithms,
        );
        for (place, sa_id) in [(1 - end, other_id), (end, id)] {
            let Some(sa) = self.daemons[place].sa(sa_id) else {
                continue;
            };
            let (mut message, mut gone) = (Writer::default(), 0);
            let new = sa.children.last().cloned();
            if let Some(old) = sa.children.iter_mut().find(|c| c.pair == found.pair) {
                (old.state, gone) = (ChildState::Rekeyed, old.id);
                let old = old.clone();
                message.section(sa.name(), |m| {
                    sa.write(m, place, now);
                    m.list(sa.tasks(), ["CHILD_REKEY"]);
                    m.section("child-sas", |m| {
                        m.section(&old.name, |m| {
                            m.section("old", |m| old.write(m, now));
                            if let Some(new) = &new {
                                m.section("new", |m| new.write(m, now));
                            }
                        });
                    });
                });
            }
            if let Some(old) = sa.children.iter_mut().find(|c| c.pair == found.pair) {
                old.state = ChildState::Deleted;
            }
            self.daemons[place].clients.publish("child-rekey", message);
            self.after(REKEYED, place, sa_id, Due::ChildGone(gone));
        }
    }

    /// Makes the SA anew with the settings with which it was made: a connection that was loaded
    /// later, with another PPK id, has no effect.
    pub(in crate::vendor::strongswan) fn reauthenticate(&mut self, end: usize, id: u32) {
        let Some(sa) = self.daemons[end].sa(id) else {
            return;
        };
        if sa.state != IkeState::Established {
            return;
        }
        if sa.children.iter().any(|c| c.state != ChildState::Installed) {
            return self.after(REAUTH_RETRY, end, id, Due::Reauthenticate);
        }
        let connection = Arc::clone(&sa.connection);
        let children: Vec<_> = sa.children.iter().map(|c| c.name.clone()).collect();
        let first = children.first().map(String::as_str);
        if !self.settings.make_before_break {
            self.delete(end, id);
        }
        let new = self.connect_new(end, connection, first, None, None);
        let Ok(new) = new else { return };
        let is_up = self.daemons[end]
            .sa(new)
            .is_some_and(|sa| sa.state == IkeState::Established);
        if is_up {
            for child in children.iter().skip(1) {
                self.create_child(end, new, child, true);
            }
            if self.settings.make_before_break {
                self.delete(end, id);
            }
        }
    }
}
