//! Sections of SAs, as `list-sas` and events have them.

use super::{Algorithms, ChildSa, ChildState, HOSTS, IkeSa, IkeState, PACKET};
use crate::vendor::strongswan::message::Writer;
use std::time::Duration;

impl Algorithms {
    pub(super) fn selected_ike(&self) -> String {
        let mut words = vec![self.encryption_with_size()];
        words.extend(
            [self.function, self.group]
                .into_iter()
                .flatten()
                .map(str::to_owned),
        );
        format!("selected proposal: IKE:{}", words.join("/"))
    }
    pub(super) fn selected_esp(&self) -> String {
        let mut words = vec![self.encryption_with_size()];
        words.extend(
            [self.integrity, self.group]
                .into_iter()
                .flatten()
                .map(str::to_owned),
        );
        format!("selected proposal: ESP:{}/NO_EXT_SEQ", words.join("/"))
    }
    pub(super) fn encryption_with_size(&self) -> String {
        match self.key_size {
            0 => self.encryption.to_owned(),
            size => format!("{}_{size}", self.encryption),
        }
    }
    pub(super) fn write(&self, message: &mut Writer) {
        message.value("encr-alg", self.encryption);
        if self.key_size > 0 {
            message.value("encr-keysize", self.key_size);
        }
        let optional = [
            ("integ-alg", self.integrity),
            ("prf-alg", self.function),
            ("dh-group", self.group),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                message.value(name, value);
            }
        }
    }
}

impl IkeSa {
    /// The settings of its section, without its CHILD SAs.
    pub(super) fn write(&self, m: &mut Writer, end: usize, now: Duration) {
        let peer = &self.connection.peer;
        let port = if peer.encap || peer.mobike { 4500 } else { 500 };
        let [own_id, other_id] = self.identities(end);
        let is_up = self.state != IkeState::Connecting;
        m.value("uniqueid", self.id).value("version", 2).value(
            "state",
            match self.state {
                IkeState::Connecting => "CONNECTING",
                IkeState::Established => "ESTABLISHED",
                IkeState::Rekeying => "REKEYING",
                IkeState::Deleting => "DELETING",
            },
        );
        let port = if is_up { port } else { 500 };
        m.value("local-host", HOSTS[end])
            .value("local-port", port)
            .value("local-id", if self.is_named { own_id } else { "%any" })
            .value("remote-host", HOSTS[1 - end])
            .value("remote-port", port)
            .value("remote-id", if self.is_named { other_id } else { "%any" });
        if self.is_initiator {
            m.value("initiator", "yes");
        }
        m.value("initiator-spi", format!("{:016x}", self.spis[0]))
            .value("responder-spi", format!("{:016x}", self.spis[1]));
        if peer.encap && is_up {
            m.value("nat-remote", "yes").value("nat-any", "yes");
        }
        if is_up {
            self.algorithms.write(m);
        }
        if self.ppk.is_some() {
            m.value("ppk", "yes");
        }
        if self.state == IkeState::Established {
            m.value(
                "established",
                now.saturating_sub(self.established).as_secs(),
            );
        }
    }

    /// Writes a section of `list-sas`.
    pub(in crate::vendor::strongswan) fn write_all(
        &self,
        message: &mut Writer,
        end: usize,
        now: Duration,
    ) {
        message.section(self.name(), |m| {
            self.write(m, end, now);
            if self.state == IkeState::Connecting {
                m.list(
                    self.tasks(),
                    ["IKE_VENDOR", "IKE_INIT", "IKE_NATD", "IKE_AUTH"],
                );
            } else if self.state == IkeState::Deleting {
                m.list(self.tasks(), ["IKE_DELETE"]);
            }
            m.section("child-sas", |m| {
                for child in &self.children {
                    m.section(&child.key(), |m| child.write(m, now));
                }
            });
        });
    }
}

impl ChildSa {
    pub(super) fn key(&self) -> String {
        format!("{}-{}", self.name, self.id)
    }
    pub(super) fn write(&self, m: &mut Writer, now: Duration) {
        m.value("name", &self.name)
            .value("uniqueid", self.id)
            .value("reqid", self.reqid)
            .value(
                "state",
                match self.state {
                    ChildState::Installed => "INSTALLED",
                    ChildState::Rekeyed => "REKEYED",
                    ChildState::Deleted => "DELETED",
                },
            )
            .value("mode", "TUNNEL")
            .value("protocol", "ESP");
        if self.encap {
            m.value("encap", "yes");
        }
        m.value("spi-in", format!("{:08x}", self.spis[0]))
            .value("spi-out", format!("{:08x}", self.spis[1]));
        self.algorithms.write(m);
        for (place, way) in ["in", "out"].into_iter().enumerate() {
            let packets = self.packets[place];
            m.value(&format!("bytes-{way}"), packets * PACKET)
                .value(&format!("packets-{way}"), packets);
            if let Some(used) = self.used[place] {
                m.value(&format!("use-{way}"), now.saturating_sub(used).as_secs());
            }
        }
        m.value("install-time", now.saturating_sub(self.installed).as_secs())
            .list("local-ts", &self.ts[0])
            .list("remote-ts", &self.ts[1]);
    }
}
