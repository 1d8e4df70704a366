//! Connections: what `load-conn` takes, and what `list-conns` reports.

use super::message::{Content, Element, Writer, boolean, printable};
use zeroize::Zeroizing;

/// Policy for SAs of the same peers that exist at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unique {
    No,
    Never,
    Keep,
    Replace,
}

/// The settings of a peer: all of a connection but its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// IKE version: 1, 2, or 0 for both.
    pub(super) version: u8,
    pub(super) local_addrs: Vec<String>,
    pub(super) remote_addrs: Vec<String>,
    pub(super) proposals: Vec<String>,
    pub(super) unique: Unique,
    pub(super) ppk_id: Option<String>,
    pub(super) ppk_required: bool,
    pub(super) encap: bool,
    pub(super) mobike: bool,
    pub(super) reauth_time: u64,
    pub(super) rekey_time: u64,
    pub(super) local: Vec<Auth>,
    pub(super) remote: Vec<Auth>,
    /// Options that the model has no use for; they count when connections are compared.
    others: Vec<(String, String)>,
}

/// One round of authentication.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Auth {
    pub(super) id: Option<String>,
    pub(super) class: Option<&'static str>,
    others: Vec<(String, String)>,
}

/// The settings of a CHILD SA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) name: String,
    pub(super) local_ts: Vec<String>,
    pub(super) remote_ts: Vec<String>,
    pub(super) proposals: Vec<String>,
    rekey_time: u64,
    others: Vec<(String, String)>,
}

/// A loaded connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) name: String,
    pub(super) peer: Peer,
    pub(super) children: Vec<Child>,
}

/// Proposals of charon, where none is configured; the first of its list.
const DEFAULT_IKE: &str = "aes128-sha256-x25519";
const DEFAULT_ESP: &str = "aes128-sha256";
const IKE_REKEY_TIME: u64 = 4 * 3600;
const CHILD_REKEY_TIME: u64 = 3600;

/// Values of a connection that have no effect on the model.
const OTHER_VALUES: &[&str] = &[
    "local_port",
    "remote_port",
    "aggressive",
    "pull",
    "dscp",
    "dpd_delay",
    "dpd_timeout",
    "fragmentation",
    "childless",
    "send_certreq",
    "send_cert",
    "keyingtries",
    "over_time",
    "rand_time",
    "if_id_in",
    "if_id_out",
];
const OTHER_LISTS: &[&str] = &["vips", "pools"];
const OTHER_AUTH_VALUES: &[&str] = &[
    "round",
    "eap_id",
    "aaa_id",
    "xauth_id",
    "ca_id",
    "revocation",
];
const OTHER_AUTH_LISTS: &[&str] = &["groups", "cert_policy", "certs", "cacerts", "pubkeys"];
const OTHER_CHILD_VALUES: &[&str] = &[
    "updown",
    "hostaccess",
    "mode",
    "policies",
    "policies_fwd_out",
    "dpd_action",
    "start_action",
    "close_action",
    "ipcomp",
    "inactivity",
    "reqid",
    "mark_in",
    "mark_in_sa",
    "mark_out",
    "set_mark_in",
    "set_mark_out",
    "if_id_in",
    "if_id_out",
    "label",
    "label_mode",
    "tfc_padding",
    "replay_window",
    "hw_offload",
    "copy_df",
    "copy_ecn",
    "copy_dscp",
    "priority",
    "interface",
    "life_time",
    "rand_time",
    "rekey_bytes",
    "life_bytes",
    "rand_bytes",
    "rekey_packets",
    "life_packets",
    "rand_packets",
    "sha256_96",
];
const OTHER_CHILD_LISTS: &[&str] = &["ah_proposals"];

/// Settings that the model uses and that are lists.
const LISTS: &[&str] = &[
    "local_addrs",
    "remote_addrs",
    "proposals",
    "esp_proposals",
    "local_ts",
    "remote_ts",
];

/// Classes of authentication by their keywords, as `list-conns` names them.
const CLASSES: &[(&str, &str)] = &[
    ("psk", "pre-shared key"),
    ("pubkey", "public key"),
    ("eap", "EAP"),
    ("xauth", "XAuth"),
    ("any", "any"),
];

/// Keywords of algorithms that the model knows, and their names in lists of SAs: encryption with
/// its key size, integrity, pseudo-random functions, groups.
const ENCRYPTION: &[(&str, &str, u16)] = &[
    ("aes128", "AES_CBC", 128),
    ("aes192", "AES_CBC", 192),
    ("aes256", "AES_CBC", 256),
    ("aes128gcm16", "AES_GCM_16", 128),
    ("aes192gcm16", "AES_GCM_16", 192),
    ("aes256gcm16", "AES_GCM_16", 256),
    ("aes128gcm128", "AES_GCM_16", 128),
    ("aes256gcm128", "AES_GCM_16", 256),
    ("chacha20poly1305", "CHACHA20_POLY1305", 0),
];
const INTEGRITY: &[(&str, &str)] = &[
    ("sha1", "HMAC_SHA1_96"),
    ("sha256", "HMAC_SHA2_256_128"),
    ("sha384", "HMAC_SHA2_384_192"),
    ("sha512", "HMAC_SHA2_512_256"),
];
const FUNCTIONS: &[(&str, &str)] = &[
    ("prfsha1", "PRF_HMAC_SHA1"),
    ("prfsha256", "PRF_HMAC_SHA2_256"),
    ("prfsha384", "PRF_HMAC_SHA2_384"),
    ("prfsha512", "PRF_HMAC_SHA2_512"),
];
const GROUPS: &[(&str, &str)] = &[
    ("x25519", "CURVE_25519"),
    ("curve25519", "CURVE_25519"),
    ("x448", "CURVE_448"),
    ("ecp256", "ECP_256"),
    ("ecp384", "ECP_384"),
    ("ecp521", "ECP_521"),
    ("modp2048", "MODP_2048"),
    ("modp3072", "MODP_3072"),
    ("modp4096", "MODP_4096"),
];
const OTHER_ALGORITHMS: &[&str] = &["esn", "noesn", "default"];

/// The algorithms of an SA, as lists of SAs name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Algorithms {
    pub(super) encryption: &'static str,
    pub(super) key_size: u16,
    pub(super) integrity: Option<&'static str>,
    pub(super) function: Option<&'static str>,
    pub(super) group: Option<&'static str>,
}

impl Algorithms {
    /// Reads a proposal; `None` for an unknown keyword.
    pub(super) fn parse(proposal: &str) -> Option<Self> {
        let name = |table: &[(&str, &'static str)], word: &str| {
            table.iter().find(|(key, _)| *key == word).map(|(_, n)| *n)
        };
        let mut all = Self::default();
        for word in proposal.split('-') {
            if let Some((_, cipher, size)) = ENCRYPTION.iter().find(|(key, ..)| *key == word) {
                (all.encryption, all.key_size) = (cipher, *size);
            } else if let Some(found) = name(INTEGRITY, word) {
                all.integrity = Some(found);
            } else if let Some(found) = name(FUNCTIONS, word) {
                all.function = Some(found);
            } else if let Some(found) = name(GROUPS, word) {
                all.group = Some(found);
            } else if !OTHER_ALGORITHMS.contains(&word) {
                return None;
            }
        }
        if all.function.is_none() {
            // The integrity algorithm without its truncation.
            let word = proposal.split('-').find(|w| name(INTEGRITY, w).is_some());
            all.function = word.and_then(|w| name(FUNCTIONS, &format!("prf{w}")));
        }
        Some(all)
    }
}

/// The first proposal of `ours` that the other end has too.
pub(super) fn common<'a>(ours: &'a [String], theirs: &[String]) -> Option<&'a String> {
    ours.iter().find(|proposal| theirs.contains(proposal))
}

fn invalid(key: &str) -> String {
    format!("invalid value for: {key}, config discarded")
}
fn unknown(key: &str) -> String {
    format!("unknown option: {key}, config discarded")
}

fn seconds(key: &str, text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(invalid(key)),
    };
    let number: u64 = digits.parse().map_err(|_| invalid(key))?;
    number.checked_mul(factor).ok_or_else(|| invalid(key))
}

fn text(element: &Element) -> Result<&str, String> {
    match &element.content {
        Content::Value(value) => printable(value).ok_or_else(|| invalid(&element.name)),
        _ => Err(unknown(&element.name)),
    }
}
fn items(element: &Element) -> Result<Vec<String>, String> {
    match &element.content {
        Content::List(items) => items
            .iter()
            .map(|item| printable(item).map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| invalid(&element.name)),
        _ => Err(unknown(&element.name)),
    }
}
fn proposals(element: &Element) -> Result<Vec<String>, String> {
    let all = items(element)?;
    if all.iter().all(|p| Algorithms::parse(p).is_some()) {
        Ok(all)
    } else {
        Err(invalid(&element.name))
    }
}
fn truth(element: &Element) -> Result<bool, String> {
    boolean(text(element)?).ok_or_else(|| invalid(&element.name))
}

/// An option that the model has no use for: its text.
fn other(element: &Element, values: &[&str], lists: &[&str]) -> Result<(String, String), String> {
    let name = element.name.as_str();
    let shown = if values.contains(&name) {
        text(element)?.to_owned()
    } else if lists.contains(&name) {
        items(element)?.join(",")
    } else {
        return Err(unknown(name));
    };
    Ok((name.to_owned(), shown))
}

impl Auth {
    fn read(elements: &[Element]) -> Result<Self, String> {
        let mut auth = Self::default();
        for element in elements {
            match element.name.as_str() {
                "id" => auth.id = Some(text(element)?.to_owned()),
                "auth" => {
                    let word = text(element)?;
                    let class = CLASSES.iter().find(|(key, _)| word == *key);
                    auth.class = Some(class.ok_or_else(|| invalid("auth"))?.1);
                }
                _ => {
                    let one = other(element, OTHER_AUTH_VALUES, OTHER_AUTH_LISTS)?;
                    auth.others.push(one);
                }
            }
        }
        Ok(auth)
    }
    fn write(&self, message: &mut Writer) {
        if let Some(id) = &self.id {
            message.value("id", id);
        }
        if let Some(class) = self.class {
            message.value("class", class);
        }
        for list in ["groups", "cert_policy", "certs", "cacerts"] {
            let set = self.others.iter().find(|(name, _)| name == list);
            let items = set.map(|(_, items)| items.split(',')).into_iter().flatten();
            message.list(list, items);
        }
    }
}

impl Child {
    fn read(name: &str, elements: &[Element]) -> Result<Self, String> {
        let mut child = Self {
            name: name.to_owned(),
            local_ts: vec!["dynamic".to_owned()],
            remote_ts: vec!["dynamic".to_owned()],
            proposals: vec![DEFAULT_ESP.to_owned()],
            rekey_time: CHILD_REKEY_TIME,
            others: Vec::new(),
        };
        for element in elements {
            match element.name.as_str() {
                "local_ts" => child.local_ts = items(element)?,
                "remote_ts" => child.remote_ts = items(element)?,
                "esp_proposals" => child.proposals = proposals(element)?,
                "rekey_time" => child.rekey_time = seconds("rekey_time", text(element)?)?,
                _ => {
                    let one = other(element, OTHER_CHILD_VALUES, OTHER_CHILD_LISTS)?;
                    child.others.push(one);
                }
            }
        }
        Ok(child)
    }
    fn write(&self, message: &mut Writer) {
        message
            .value("mode", "TUNNEL")
            .value("rekey_time", self.rekey_time)
            .value("rekey_bytes", 0)
            .value("rekey_packets", 0)
            .value("dpd_action", "none")
            .value("close_action", "none")
            .list("local-ts", &self.local_ts)
            .list("remote-ts", &self.remote_ts);
    }
}

impl Connection {
    /// Reads the section of a connection.
    ///
    /// # Errors
    /// The `errmsg` of charon.
    pub(super) fn read(name: &str, elements: &[Element]) -> Result<Self, String> {
        let any = || vec!["%any".to_owned()];
        let mut peer = Peer {
            version: 0,
            local_addrs: any(),
            remote_addrs: any(),
            proposals: vec![DEFAULT_IKE.to_owned()],
            unique: Unique::No,
            ppk_id: None,
            ppk_required: false,
            encap: false,
            mobike: true,
            reauth_time: 0,
            rekey_time: IKE_REKEY_TIME,
            local: Vec::new(),
            remote: Vec::new(),
            others: Vec::new(),
        };
        let mut children = Vec::new();
        for element in elements {
            match (element.name.as_str(), &element.content) {
                ("children", Content::Section(inner)) => {
                    for child in inner {
                        match &child.content {
                            Content::Section(inner) => {
                                children.push(Child::read(&child.name, inner)?);
                            }
                            _ => return Err(unknown(&child.name)),
                        }
                    }
                }
                (name, Content::Section(inner)) if name.starts_with("local") => {
                    peer.local.push(Auth::read(inner)?);
                }
                (name, Content::Section(inner)) if name.starts_with("remote") => {
                    peer.remote.push(Auth::read(inner)?);
                }
                (name, Content::Section(_)) => return Err(format!("invalid section: {name}")),
                _ => peer.set(element)?,
            }
        }
        for rounds in [&mut peer.local, &mut peer.remote] {
            if rounds.is_empty() {
                rounds.push(Auth::default());
            }
        }
        Ok(Self {
            name: name.to_owned(),
            peer,
            children,
        })
    }

    /// A connection of these settings, with pre-shared keys of both identities, and one CHILD SA of
    /// its name.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn from_settings(
        name: &str,
        settings: &[(&str, &str)],
        identities: [&str; 2],
        child: &[(&str, &str)],
    ) -> Result<Self, String> {
        let value = |name: &str, text: &str| {
            let value = Zeroizing::new(text.as_bytes().to_vec());
            let is_list = LISTS.contains(&name);
            let content = if is_list {
                Content::List(vec![value])
            } else {
                Content::Value(value)
            };
            let name = name.to_owned();
            Element { name, content }
        };
        let section = |name: &str, inner| Element {
            name: name.to_owned(),
            content: Content::Section(inner),
        };
        let all = |settings: &[(&str, &str)]| -> Vec<_> {
            settings
                .iter()
                .map(|(name, text)| value(name, text))
                .collect()
        };
        let mut elements = all(settings);
        for (side, identity) in ["local", "remote"].into_iter().zip(identities) {
            elements.push(section(side, all(&[("auth", "psk"), ("id", identity)])));
        }
        elements.push(section("children", vec![section(name, all(child))]));
        Self::read(name, &elements)
    }

    /// Writes the section of a connection, as `list-conns` does.
    pub(super) fn write(&self, message: &mut Writer) {
        let peer = &self.peer;
        message.section(&self.name, |m| {
            m.list("local_addrs", &peer.local_addrs)
                .list("remote_addrs", &peer.remote_addrs)
                .value(
                    "version",
                    ["IKEv1/2", "IKEv1", "IKEv2"][peer.version as usize % 3],
                )
                .value("reauth_time", peer.reauth_time)
                .value("rekey_time", peer.rekey_time)
                .value(
                    "unique",
                    match peer.unique {
                        Unique::No => "UNIQUE_NO",
                        Unique::Never => "UNIQUE_NEVER",
                        Unique::Keep => "UNIQUE_KEEP",
                        Unique::Replace => "UNIQUE_REPLACE",
                    },
                );
            if let Some(id) = &peer.ppk_id {
                m.value("ppk_id", id);
            }
            if peer.ppk_required {
                m.value("ppk_required", "yes");
            }
            for (side, rounds) in [("local", &peer.local), ("remote", &peer.remote)] {
                for (n, auth) in (1..).zip(rounds) {
                    m.section(&format!("{side}-{n}"), |m| auth.write(m));
                }
            }
            m.section("children", |m| {
                for child in &self.children {
                    m.section(&child.name, |m| child.write(m));
                }
            });
        });
    }

    pub(super) fn child(&self, name: &str) -> Option<&Child> {
        self.children.iter().find(|child| child.name == name)
    }
}

impl Peer {
    fn set(&mut self, element: &Element) -> Result<(), String> {
        match element.name.as_str() {
            "version" => {
                self.version = match text(element)? {
                    "1" => 1,
                    "2" => 2,
                    _ => 0,
                }
            }
            "local_addrs" => self.local_addrs = items(element)?,
            "remote_addrs" => self.remote_addrs = items(element)?,
            "proposals" => self.proposals = proposals(element)?,
            "unique" => {
                self.unique = match text(element)? {
                    "no" => Unique::No,
                    "never" => Unique::Never,
                    "keep" => Unique::Keep,
                    "replace" => Unique::Replace,
                    _ => return Err(invalid("unique")),
                }
            }
            "ppk_id" => {
                self.ppk_id = Some(text(element)?.to_owned()).filter(|id| !id.is_empty());
            }
            "ppk_required" => self.ppk_required = truth(element)?,
            "encap" => self.encap = truth(element)?,
            "mobike" => self.mobike = truth(element)?,
            "reauth_time" => self.reauth_time = seconds("reauth_time", text(element)?)?,
            "rekey_time" => self.rekey_time = seconds("rekey_time", text(element)?)?,
            _ => {
                let one = other(element, OTHER_VALUES, OTHER_LISTS)?;
                self.others.push(one);
            }
        }
        Ok(())
    }

    /// The configured identity of a side, or its address.
    pub(super) fn id<'a>(rounds: &'a [Auth], address: &'a str) -> &'a str {
        let id = rounds.first().and_then(|auth| auth.id.as_deref());
        id.unwrap_or(address)
    }
    /// Whether an address is one of a list.
    pub(super) fn has(addresses: &[String], address: &str) -> bool {
        addresses.iter().any(|a| a == "%any" || a == address)
    }
}
