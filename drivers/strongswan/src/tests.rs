//! The driver against a scripted daemon, in memory and under paused time.

use crate::{
    driver,
    proto::{Element, Section, command, decode_reply},
};
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::memory::{Endpoint, MemoryConnector},
    transcript::Transcript,
};
use qkd_hal::{
    Effect, ErrorKind, Key,
    encryptor::{Activation, ChannelId, ChannelState, KeyRole, Staged, Staging},
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use zeroize::Zeroizing;

const FILE: &str = r#"
    [connections.net]
    version = 2
    local_addrs = ["192.0.2.1"]
    [connections.net.children.lan]
    local_ts = ["10.0.1.0/24"]
"#;
const ZERO: Duration = Duration::ZERO;

/// An association of the scripted daemon.
#[derive(Clone)]
struct Association {
    name: String,
    id: u64,
    /// Names and numbers of its children.
    children: Vec<(&'static str, u64)>,
    state: &'static str,
    has_ppk: bool,
}

/// A daemon with connections, secrets and associations, which answers by script.
#[derive(Default)]
struct Daemon {
    connections: Vec<String>,
    /// PPK id of each connection that was loaded.
    ppk_ids: Vec<Option<String>>,
    secrets: Vec<(String, Vec<u8>)>,
    associations: Vec<Association>,
    requests: Vec<(String, Section)>,
    /// Commands that are refused, with the words.
    refusals: Vec<(&'static str, &'static str)>,
    /// Groups and lines of the log of each initiation.
    log: Vec<(&'static str, &'static str)>,
    /// Whether a secret is accepted and not stored.
    forgets_secrets: bool,
    /// Whether a refused initiation leaves an association that is not established.
    leaves_half_open: bool,
    /// Number of an association that cannot be ended.
    lasting: Option<u64>,
    /// An association that appears when the next one ends, which was being rekeyed.
    rekeyed: Option<Association>,
    /// Whether commands that change anything are answered without an outcome.
    answers_nothing: bool,
}

fn up(name: &str, id: u64) -> Association {
    Association {
        name: name.to_owned(),
        id,
        children: vec![("lan", id)],
        state: "ESTABLISHED",
        has_ppk: true,
    }
}

/// A packet of this type: the driver's own encoder writes the message after its name.
fn packet(kind: u8, name: Option<&str>, message: &[Element<'_>]) -> Vec<u8> {
    let written = command(name.unwrap_or_default(), message).unwrap();
    let start = if name.is_some() { 5 } else { 6 };
    let content = [&[kind], &written[start..]].concat();
    [&(content.len() as u32).to_be_bytes()[..], &content].concat()
}

fn outcome(error: Option<&str>) -> Vec<u8> {
    match error {
        None => packet(1, None, &[Element::Value("success", b"yes")]),
        Some(words) => packet(
            1,
            None,
            &[
                Element::Value("success", b"no"),
                Element::Value("errmsg", words.as_bytes()),
            ],
        ),
    }
}

impl Daemon {
    fn list<'a>(name: &'a str, all: impl Iterator<Item = &'a String>) -> Vec<u8> {
        let all = all.map(|text| text.as_bytes()).collect();
        packet(1, None, &[Element::List(name, all)])
    }

    fn list_associations(&self) -> Vec<u8> {
        let mut reply = Vec::new();
        for one in &self.associations {
            let id = one.id.to_string();
            let numbers = one.children.iter().map(|(_, number)| number.to_string());
            let numbers: Vec<String> = numbers.collect();
            let child = |name: &'static str, number| {
                let all = vec![
                    Element::Value("name", name.as_bytes()),
                    Element::Value("uniqueid", number),
                    Element::Value("state", b"INSTALLED"),
                    Element::Value("encr-alg", b"AES_GCM_16"),
                    Element::Value("encr-keysize", b"256"),
                    Element::Value("packets-out", b"7"),
                    Element::Value("packets-in", b"8"),
                ];
                Element::Section(name, all)
            };
            let mut all = vec![
                Element::Value("uniqueid", id.as_bytes()),
                Element::Value("state", one.state.as_bytes()),
            ];
            if one.has_ppk {
                all.push(Element::Value("ppk", b"yes"));
            }
            if ["ESTABLISHED", "REKEYING"].contains(&one.state) {
                let children = one.children.iter().zip(&numbers);
                let children = children.map(|((name, _), number)| child(name, number.as_bytes()));
                all.push(Element::Section("child-sas", children.collect()));
            }
            let message = [Element::Section(&one.name, all)];
            reply.extend(packet(7, Some("list-sa"), &message));
        }
        reply.extend(packet(1, None, &[]));
        reply
    }

    fn change(&mut self, name: &str, message: &Section) -> Option<&'static str> {
        let refusal = self.refusals.iter().find(|(of, _)| *of == name);
        let refusal = refusal.map(|(_, words)| *words);
        let text = |name| message.text(name).unwrap_or_default().to_owned();
        match name {
            "load-conn" if refusal.is_none() => {
                let (name, settings) = message.sections().next().unwrap();
                assert!(
                    settings.is_yes("ppk_required") && settings.text("unique") == Some("never")
                );
                let ppk_id = settings.text("ppk_id").map(str::to_owned);
                self.unload(name);
                self.connections.push(name.to_owned());
                self.ppk_ids.push(ppk_id);
            }
            "unload-conn" if refusal.is_none() => self.unload(&text("name")),
            "load-shared" if refusal.is_none() && !self.forgets_secrets => {
                assert_eq!(text("type"), "ppk");
                let id = text("id");
                self.secrets.retain(|(other, _)| *other != id);
                self.secrets.push((id, b"stored".to_vec()));
            }
            "unload-shared" if refusal.is_none() => {
                self.secrets.retain(|(other, _)| *other != text("id"));
            }
            "initiate" => {
                let id = 1 + self
                    .associations
                    .iter()
                    .map(|one| one.id)
                    .max()
                    .unwrap_or(0);
                let mut made = up(&text("ike"), id);
                if refusal.is_some() {
                    made.state = "CONNECTING";
                }
                let child = if text("child") == "lan" {
                    "lan"
                } else {
                    "voice"
                };
                made.children = vec![(child, id)];
                let present = self.associations.iter_mut();
                let mut present = present.filter(|one| one.name == made.name && refusal.is_none());
                if let Some(one) = present.next() {
                    one.children.push((child, id + 100));
                } else if refusal.is_none() || self.leaves_half_open {
                    self.associations.push(made);
                }
            }
            "terminate" => {
                assert_ne!(text("timeout"), "0", "any time");
                let id: u64 = text("ike-id").parse().unwrap();
                if self.lasting == Some(id) {
                    return Some("terminating SA failed");
                }
                if refusal.is_none() {
                    self.associations.retain(|one| one.id != id);
                    self.associations.extend(self.rekeyed.take());
                }
            }
            _ => {}
        }
        refusal
    }

    fn unload(&mut self, name: &str) {
        if let Some(at) = self.connections.iter().position(|other| other == name) {
            self.connections.remove(at);
            self.ppk_ids.remove(at);
        }
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let (kind, length) = (request[0], usize::from(request[1]));
        let name = String::from_utf8(request[2..2 + length].to_vec()).unwrap();
        if kind == 3 {
            return packet(5, None, &[]);
        }
        // The message of a command has the form of a reply's.
        let message = [&[1], &request[2 + length..]].concat();
        let framed = [&(message.len() as u32).to_be_bytes()[..], &message].concat();
        let message = decode_reply(&framed).unwrap().response;
        self.requests.push((name.clone(), message.clone()));
        match name.as_str() {
            "version" => packet(
                1,
                None,
                &[
                    Element::Value("daemon", b"charon-systemd"),
                    Element::Value("version", b"5.9.8"),
                ],
            ),
            "list-sas" => self.list_associations(),
            "get-conns" => Self::list("conns", self.connections.iter()),
            "get-shared" => Self::list("keys", self.secrets.iter().map(|(id, _)| id)),
            name => {
                let refusal = self.change(name, &message);
                if self.answers_nothing {
                    return packet(1, None, &[]);
                }
                let log = self.log.iter().filter(|_| name == "initiate");
                let events = log.flat_map(|(group, line)| {
                    let group = Element::Value("group", group.as_bytes());
                    let line = Element::Value("msg", line.as_bytes());
                    packet(7, Some("control-log"), &[group, line])
                });
                events.chain(outcome(refusal)).collect()
            }
        }
    }
}

type Shared = Arc<Mutex<Daemon>>;

async fn serve(daemon: Shared, mut stream: DuplexStream) {
    while let Ok(length) = stream.read_u32().await {
        let mut request = vec![0; length as usize];
        if stream.read_exact(&mut request).await.is_err() {
            return;
        }
        let reply = daemon.lock().unwrap().answer(&request);
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// A daemon, and the file of its connection.
struct Bench {
    daemon: Shared,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// A daemon whose connection is up with the key `old`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("connections.toml");
        std::fs::write(&file, FILE).unwrap();
        let daemon = Daemon {
            connections: vec!["net".to_owned()],
            ppk_ids: vec![None],
            secrets: vec![("net-ppk-old".to_owned(), Vec::new())],
            associations: vec![up("net-ppk-old", 1)],
            ..Daemon::default()
        };
        Self {
            daemon: Arc::new(Mutex::new(daemon)),
            file,
            _folder: folder,
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Daemon) -> T) -> T {
        f(&mut self.daemon.lock().unwrap())
    }

    async fn open_with(&self, context: OpenContext) -> OpenedDevice {
        let shared = Arc::clone(&self.daemon);
        let connector = MemoryConnector::new("charon", move |stream| {
            tokio::spawn(serve(Arc::clone(&shared), stream));
        });
        let context = context.with_memory("charon", Endpoint::Bytes(Arc::new(connector)));
        let uri = format!(
            "strongswan+mem://charon?connection=net&connections={}",
            self.file.display()
        );
        let registry = Registry::new().with(driver());
        registry.open(&uri, &context).await.unwrap()
    }

    async fn open(&self) -> OpenedDevice {
        self.open_with(OpenContext::new()).await
    }

    /// Names of the commands that change anything, since the last call.
    fn changes(&self) -> Vec<String> {
        let requests = self.with(|d| std::mem::take(&mut d.requests));
        let names = requests.into_iter().map(|(name, _)| name);
        names
            .filter(|name| !["version", "list-sas", "get-conns", "get-shared"].contains(&&**name))
            .collect()
    }
}

/// A key of 32 bytes. Its bytes are found in no other text.
fn key(n: u8) -> Key {
    let id = format!("00000000-0000-4000-8000-0000000000{n:02x}");
    Key::new(id.parse().unwrap(), Zeroizing::new(vec![0xa0 | n; 32]))
}

fn name_of(key: &Key) -> String {
    format!("net-ppk-{}", key.id())
}

fn channel() -> ChannelId {
    "net".into()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_staged_beside_the_one_in_use() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let declared = encryptor.encryptor_capabilities();
    assert_eq!(
        (declared.staging, declared.activation),
        (Staging::Named, Activation::MakeBeforeBreak)
    );
    assert_eq!(declared.key.as_ref().unwrap().role, KeyRole::Ppk);
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    assert_eq!(
        bench
            .with(|d| std::mem::take(&mut d.requests))
            .iter()
            .filter(|(name, _)| name.starts_with("load"))
            .map(|(name, message)| match message.sections().next() {
                Some((connection, settings)) => {
                    assert_eq!(settings.text("ppk_id"), None);
                    format!("{name} {connection}")
                }
                None => {
                    let owners: Vec<_> = message.list("owners").collect();
                    assert_eq!(owners, [key(1).id().to_string()]);
                    format!("{name} {}", message.text("id").unwrap())
                }
            })
            .collect::<Vec<_>>(),
        [
            "load-conn net".to_owned(),
            format!("load-shared {}", name_of(&key(1)))
        ]
    );
    let held = bench.with(|d| d.secrets.len());
    assert_eq!((held, staged.slot), (2, None));
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Encrypting);
    assert_eq!(status.cipher.as_deref(), Some("AES_GCM_16-256"));
    let confirmation = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(!confirmation.is_confirmed(), "{confirmation:?}");
}

#[tokio::test(start_paused = true)]
async fn a_roll_makes_the_new_association_and_then_ends_the_one_before() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    bench.changes();
    encryptor.activate(&staged).await.unwrap();
    assert_eq!(bench.changes(), ["load-conn", "initiate", "unload-conn"]);
    bench.with(|d| {
        let names: Vec<_> = d.associations.iter().map(|one| one.name.clone()).collect();
        assert_eq!(names, ["net-ppk-old".to_owned(), name_of(&key(1))]);
        assert_eq!(d.connections, ["net"]);
    });
    // An activation whose reply was lost is repeated without a second association.
    encryptor.activate(&staged).await.unwrap();
    assert_eq!(bench.changes(), [""; 0]);
    let confirmation = encryptor.confirm(&staged, ZERO).await.unwrap();
    let id = key(1).id().to_string();
    assert!(confirmation.evidence().contains(&id), "{confirmation:?}");
    encryptor
        .retire(&confirmation.confirmed().unwrap())
        .await
        .unwrap();
    assert_eq!(bench.changes(), ["terminate", "unload-shared"]);
    bench.with(|d| {
        assert_eq!(d.associations.len(), 1);
        assert_eq!(d.associations[0].name, name_of(&key(1)));
        assert_eq!(d.secrets[0].0, name_of(&key(1)));
    });
    // The packets of the association that has ended are counted still.
    let counters = encryptor.counters(&channel()).await.unwrap();
    assert_eq!(
        (counters.encrypted, counters.accepted),
        (Some(14), Some(16))
    );
}

#[tokio::test(start_paused = true)]
async fn an_initiation_that_fails_has_the_reason_of_the_log() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    bench.with(|d| {
        d.refusals
            .push(("initiate", "establishing CHILD_SA 'lan' failed"));
        d.log = vec![
            ("IKE", "initiating IKE_SA"),
            ("IKE", "retransmit 3 of request with message ID 0"),
            ("NET", "sending packet"),
            ("IKE", "giving up after 3 retransmits"),
        ];
    });
    let error = encryptor.activate(&staged).await.unwrap_err();
    assert_eq!(
        error.vendor_text(),
        Some(
            "establishing CHILD_SA 'lan' failed; retransmit 3 of request with message ID 0; \
             giving up after 3 retransmits"
        )
    );
    bench.with(|d| d.refusals.clear());
    encryptor.activate(&staged).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_initiation_that_fails_leaves_nothing() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    bench.changes();
    bench.with(|d| {
        d.refusals
            .push(("initiate", "establishing CHILD_SA 'lan' failed"));
        d.leaves_half_open = true;
    });
    let error = encryptor.activate(&staged).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Refused, Effect::None)
    );
    assert_eq!(
        error.vendor_text(),
        Some("establishing CHILD_SA 'lan' failed")
    );
    let expected = ["load-conn", "initiate", "unload-conn", "terminate"];
    assert_eq!(bench.changes(), expected);
    bench.with(|d| {
        assert_eq!(d.connections, ["net"]);
        assert_eq!(d.associations.len(), 1);
        assert_eq!(d.associations[0].name, "net-ppk-old");
        // What cannot be cleaned up is reported.
        d.refusals.push(("terminate", "terminating SA failed"));
    });
    let error = encryptor.activate(&staged).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(
        error.vendor_text(),
        Some("establishing CHILD_SA 'lan' failed")
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_an_interrupted_activation_left_is_unloaded() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    bench.with(|d| d.refusals.push(("unload-conn", "not now")));
    let error = encryptor.activate(&staged).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Partial);
    assert_eq!(bench.with(|d| d.connections.len()), 2);
    bench.with(|d| d.refusals.clear());
    encryptor.activate(&staged).await.unwrap();
    assert_eq!(bench.with(|d| d.connections.clone()), ["net"]);
    bench.with(|d| {
        d.connections.push("net-ppk-left".to_owned());
        d.ppk_ids.push(Some("left".to_owned()));
    });
    encryptor.stage(&channel(), &key(2)).await.unwrap();
    assert_eq!(bench.with(|d| d.connections.clone()), ["net"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_that_responds_confirms_a_new_association_with_a_ppk() {
    let bench = Bench::new();
    bench.with(|d| d.associations[0].name = "net".to_owned());
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    let before = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(
        !before.is_confirmed(),
        "the association of before: {before:?}"
    );
    let mut new = up("net", 2);
    new.has_ppk = false;
    bench.with(|d| d.associations.push(new));
    let without = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(!without.is_confirmed(), "without a PPK: {without:?}");
    bench.with(|d| d.associations[1].has_ppk = true);
    let with = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(with.is_confirmed(), "{with:?}");
    // Retiring keeps the association of the key, and ends the other one.
    encryptor.retire(&with.confirmed().unwrap()).await.unwrap();
    let left: Vec<u64> = bench.with(|d| d.associations.iter().map(|one| one.id).collect());
    assert_eq!(left, [2]);
}

#[tokio::test(start_paused = true)]
async fn without_a_baseline_a_key_is_confirmed_only_if_it_is_the_only_one() {
    let bench = Bench::new();
    bench.with(|d| d.associations[0].name = "net".to_owned());
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    encryptor.stage(&channel(), &key(1)).await.unwrap();
    bench.with(|d| d.associations.push(up("net", 2)));
    let found = Staged::new(
        channel(),
        key(1).id().clone(),
        None,
        "found after a restart",
    );
    let two = encryptor.confirm(&found, ZERO).await.unwrap();
    assert!(!two.is_confirmed(), "{two:?}");
    bench.with(|d| d.secrets.remove(0));
    let one = encryptor.confirm(&found, ZERO).await.unwrap();
    assert!(one.is_confirmed(), "{one:?}");
    let unknown = Staged::new(channel(), key(9).id().clone(), None, "made up");
    let error = encryptor.activate(&unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
}

#[tokio::test(start_paused = true)]
async fn confirm_waits_for_the_other_end() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    let daemon = Arc::clone(&bench.daemon);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        daemon.lock().unwrap().associations.push(up("net", 2));
    });
    let begun = tokio::time::Instant::now();
    let confirmation = encryptor
        .confirm(&staged, Duration::from_secs(9))
        .await
        .unwrap();
    assert!(confirmation.is_confirmed(), "{confirmation:?}");
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_key_before_is_not_retired_while_it_is_needed() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    let confirmed = encryptor.confirm(&staged, ZERO).await.unwrap();
    let confirmed = confirmed.confirmed().unwrap();
    // The new association ends before the one before is retired.
    bench.with(|d| d.associations.truncate(1));
    bench.changes();
    let error = encryptor.retire(&confirmed).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::NotReady, Effect::None)
    );
    assert_eq!(bench.changes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_middle_of_retiring_reports_what_was_done() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    let confirmed = encryptor.confirm(&staged, ZERO).await.unwrap();
    let confirmed = confirmed.confirmed().unwrap();
    bench.with(|d| d.refusals.push(("terminate", "terminating SA failed")));
    let error = encryptor.retire(&confirmed).await.unwrap_err();
    // It may be ended later.
    assert_eq!(error.effect(), Effect::Unknown);
    bench.with(|d| d.refusals = vec![("unload-shared", "no")]);
    let error = encryptor.retire(&confirmed).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Refused, Effect::Partial)
    );
    bench.with(|d| d.refusals.clear());
    encryptor.retire(&confirmed).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn zeroize_unloads_keys_before_associations_end() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    encryptor.stage(&channel(), &key(1)).await.unwrap();
    // Secrets and associations of other connections are not the driver's.
    bench.with(|d| {
        d.secrets.push(("ike".to_owned(), Vec::new()));
        d.associations.push(up("network", 7));
    });
    bench.changes();
    encryptor.zeroize(&channel()).await.unwrap();
    assert_eq!(
        bench.changes(),
        ["unload-shared", "unload-shared", "terminate"]
    );
    bench.with(|d| {
        assert_eq!(d.secrets[0].0, "ike");
        assert_eq!(d.associations[0].name, "network");
        assert_eq!((d.secrets.len(), d.associations.len()), (1, 1));
    });
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Initialising);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_daemon_does_not_take_is_noticed() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    bench.with(|d| d.forgets_secrets = true);
    let error = encryptor.stage(&channel(), &key(1)).await.unwrap_err();
    assert!(error.message().contains("does not list it"), "{error}");
    bench.with(|d| d.refusals.push(("load-shared", "shared key data missing")));
    let error = encryptor.stage(&channel(), &key(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.effect(), Effect::Partial, "the connection was loaded");
    assert_eq!(error.vendor_text(), Some("shared key data missing"));
    bench.with(|d| d.refusals = vec![("load-conn", "invalid value for: proposals")]);
    let error = encryptor.stage(&channel(), &key(1)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Refused, Effect::None)
    );
    bench.with(|d| {
        d.refusals.clear();
        d.answers_nothing = true;
    });
    let error = encryptor.stage(&channel(), &key(1)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    let other = encryptor.channel(&"other".into()).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn an_association_without_a_ppk_is_a_failure() {
    let bench = Bench::new();
    bench.with(|d| d.associations[0].has_ppk = false);
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Failed);
    assert_eq!(
        status.vendor_state.as_deref(),
        Some("ESTABLISHED without PPK")
    );
}

#[tokio::test(start_paused = true)]
async fn no_key_reaches_a_transcript_or_an_error() {
    let bench = Bench::new();
    let transcript = Transcript::in_memory();
    let opened = bench
        .open_with(OpenContext::new().with_transcript(transcript.clone()))
        .await;
    let encryptor = opened.encryptor().unwrap();
    encryptor.stage(&channel(), &key(1)).await.unwrap();
    bench.with(|d| {
        d.refusals
            .push(("load-shared", "parsing shared key owners failed"))
    });
    let error = encryptor.stage(&channel(), &key(1)).await.unwrap_err();
    let records = serde_json::to_string(&transcript.records()).unwrap();
    assert!(records.contains("stage"), "{records}");
    let texts = [records, format!("{error} {error:?}")];
    let digits = "a1".repeat(8);
    for text in &texts {
        assert!(!text.contains(&digits), "{text}");
        assert!(!text.contains("161,161,161"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_association_that_was_rekeyed_is_not_one_with_the_new_key() {
    let bench = Bench::new();
    bench.with(|d| d.associations[0].name = "net".to_owned());
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    // The daemon rekeys the association: its number changes, its key and children do not.
    let mut rekeyed = up("net", 3);
    rekeyed.children = vec![("lan", 1)];
    bench.with(|d| d.associations = vec![rekeyed.clone()]);
    let old = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(!old.is_confirmed(), "{old:?}");
    // The other end has activated the key before the association was rekeyed.
    bench.with(|d| d.associations.push(up("net", 2)));
    let new = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(new.evidence().contains("association 2"), "{new:?}");
    encryptor.retire(&new.confirmed().unwrap()).await.unwrap();
    let left: Vec<u64> = bench.with(|d| d.associations.iter().map(|one| one.id).collect());
    assert_eq!(left, [2]);
}

#[tokio::test(start_paused = true)]
async fn retire_ends_an_association_of_before_that_is_rekeyed_meanwhile() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    let confirmed = encryptor.confirm(&staged, ZERO).await.unwrap();
    let mut rekeyed = up("net-ppk-old", 9);
    rekeyed.children = vec![("lan", 1)];
    bench.with(|d| {
        d.associations[0].state = "REKEYING";
        d.rekeyed = Some(rekeyed);
    });
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Encrypting);
    let confirmed = confirmed.confirmed().unwrap();
    encryptor.retire(&confirmed).await.unwrap();
    let left: Vec<u64> = bench.with(|d| d.associations.iter().map(|one| one.id).collect());
    assert_eq!(left, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_confirmed_only_if_all_children_are_carried() {
    let bench = Bench::new();
    let voice = "[connections.net.children.voice]\nlocal_ts = [\"10.0.3.0/24\"]\n";
    std::fs::write(&bench.file, format!("{FILE}{voice}")).unwrap();
    bench.with(|d| d.associations[0].children.push(("voice", 7)));
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    // A process has ended after it has initiated the first child.
    bench.with(|d| d.associations.push(up(&name_of(&key(1)), 8)));
    let half = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(half.evidence().contains("child `voice`"), "{half:?}");
    assert!(!half.is_confirmed());
    // The same at the other end.
    bench.with(|d| d.associations[1].name = "net".to_owned());
    let half = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(!half.is_confirmed(), "{half:?}");
    bench.with(|d| d.associations[1].name = name_of(&key(1)));
    // An initiation that fails leaves what was there.
    bench.with(|d| d.refusals.push(("initiate", "no")));
    let error = encryptor.activate(&staged).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None);
    assert_eq!(bench.with(|d| d.associations.len()), 2);
    bench.with(|d| d.refusals.clear());
    bench.changes();
    encryptor.activate(&staged).await.unwrap();
    assert_eq!(bench.changes(), ["load-conn", "initiate", "unload-conn"]);
    let whole = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(whole.is_confirmed(), "{whole:?}");
    encryptor.retire(&whole.confirmed().unwrap()).await.unwrap();
    let left = bench.with(|d| d.associations[0].children.len());
    assert_eq!(left, 2);
}

#[tokio::test(start_paused = true)]
async fn zeroize_destroys_what_it_can() {
    let bench = Bench::new();
    bench.with(|d| {
        d.associations.push(up("net", 2));
        d.lasting = Some(1);
    });
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let error = encryptor.zeroize(&channel()).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    let left: Vec<u64> = bench.with(|d| d.associations.iter().map(|one| one.id).collect());
    assert_eq!((left, bench.with(|d| d.secrets.len())), (vec![1], 0));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_is_never_told_to_wait_for_any_time() {
    let bench = Bench::new();
    let opened = bench
        .open_with(OpenContext::new().with_deadline(Duration::from_millis(300)))
        .await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    bench.with(|d| {
        let initiations = d.requests.iter().filter(|(name, _)| name == "initiate");
        let times: Vec<_> = initiations
            .map(|(_, message)| message.text("timeout"))
            .collect();
        assert_eq!(times, [Some("1")]);
    });
}

#[tokio::test(start_paused = true)]
async fn a_key_id_that_is_any_identity_is_refused() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let key = Key::new("%any".parse().unwrap(), Zeroizing::new(vec![0xa1; 32]));
    let error = encryptor.stage(&channel(), &key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(bench.changes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_key_in_use_is_that_of_the_newest_child() {
    let bench = Bench::new();
    let opened = bench.open().await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    // The association of before is rekeyed.
    bench.with(|d| d.associations[0].id = 9);
    let status = encryptor.channel(&channel()).await.unwrap();
    let active: Vec<_> = status.slots.iter().filter(|slot| slot.active).collect();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].key_id.as_ref(), Some(key(1).id()));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_may_hold_more_keys_than_there_are_numbers() {
    let bench = Bench::new();
    bench.with(|d| {
        let names = (0..300).map(|n| (format!("net-ppk-{n}"), Vec::new()));
        d.secrets.extend(names);
    });
    let opened = bench.open().await;
    let status = opened.encryptor().unwrap().channel(&channel()).await;
    assert_eq!(status.unwrap().slots.len(), 255);
}

/// Replies that a real daemon sent: `vectors/charon.json` names its version.
#[test]
fn replies_of_a_real_daemon_are_read() {
    let vectors: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../vectors/charon.json")).unwrap();
    let (mut replies, mut registrations, mut associations) = (0, 0, 0);
    for vector in &vectors {
        let name = vector["name"].as_str().unwrap();
        let received = vector["receive"].as_array().unwrap();
        let all: Vec<u8> = received
            .iter()
            .flat_map(|packet| hex::decode(packet.as_str().unwrap()).unwrap())
            .collect();
        let Some(kind) = all.get(4) else { continue };
        use qkd_driver_kit::link::bytes::Frame;
        assert_eq!(
            crate::proto::frame(&all),
            Frame::Complete(all.len()),
            "{name}"
        );
        match kind {
            5 | 6 => {
                registrations += 1;
                let known = crate::proto::decode_registration(&all).is_ok();
                assert_eq!(known, *kind == 5, "{name}");
            }
            2 => assert!(decode_reply(&all).is_err(), "{name}"),
            _ => {
                replies += 1;
                let reply = decode_reply(&all).unwrap_or_else(|e| panic!("{name}: {e}"));
                let listed = reply.events.iter().filter(|(name, _)| name == "list-sa");
                for (of, section) in listed.flat_map(|(_, message)| message.sections()) {
                    let one = crate::daemon::Association::of(of, section).unwrap();
                    associations += 1;
                    assert_eq!(
                        one.is_up(),
                        !name.contains("without child"),
                        "{name}: {one:?}"
                    );
                    for child in &one.children {
                        assert_eq!(child.cipher.as_deref(), Some("AES_GCM_16-256"));
                    }
                }
                let refused = reply.response.text("success") == Some("no");
                assert_eq!(refused, reply.response.text("errmsg").is_some(), "{name}");
            }
        }
    }
    assert!(
        replies > 60 && registrations > 15,
        "{replies} {registrations}"
    );
    assert!(associations >= 6, "{associations}");
}
