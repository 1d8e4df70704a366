//! Profiles of linked pairs of QKD modules: key delivery by ETSI GS QKD 014 over mutual TLS, and
//! Veriqloud Qlines.

use super::{
    InMemory, Options, Profile, RunningEmulator, Sae, Setting, StartupInfo, Tls,
    controls::Controls, options::invalid, private,
};
use crate::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    model::{
        optics::Fibre,
        qkd::{LinkConfig, QkdLink},
    },
    server::tcp,
    wire::{
        ByteService, Session,
        etsi014::{self, HttpFrontEnd},
        qline::{Node, Side, hw::Hw, hws::Hws, mon::Mon},
    },
};
use qkd_driver_kit::context::{Endpoint, MEMORY_TRANSPORT};
use qkd_northbound_etsi014::{
    ClientAuth, KeyIdForm, Kme, KmeConfig,
    pki::{CertificateFault, CertifiedKey, TestPki},
    server,
};
use std::{io, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// IDs of the master and the slave SAE.
const MASTER: &str = "sae-alice";
const SLAVE: &str = "sae-bob";

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "length",
        help: "fibre between the ends, in km; default 25; a change begins the initialisation anew",
        live: true,
    },
    Setting {
        name: "time-factor",
        help: "how much faster than real the model's time runs; default 1",
        live: false,
    },
    Setting {
        name: "stored",
        help: "keys stored at the beginning, in bits; default 5120000",
        live: false,
    },
    Setting {
        name: "running",
        help: "whether the link generates keys from the beginning: true (default) or false",
        live: false,
    },
    Setting {
        name: "key-size",
        help: "default size of a key, in bits; default 256 (Qline: 512)",
        live: false,
    },
    Setting {
        name: "max-per-request",
        help: "the most keys of one request; default 128",
        live: false,
    },
    Setting {
        name: "unknown-key-status",
        help: "status for an unknown key id: 400 (default, the standard's) or another that a KME is known to answer, such as 404",
        live: false,
    },
    Setting {
        name: "key-id-form",
        help: "spelling of key ids: uuid (default, read in any spelling), hex, upper-case or \
               token (read as they were given out only)",
        live: false,
    },
    Setting {
        name: "twin-lifetime",
        help: "time in s for which a taken key's twin waits for its slave; default 3600; then it \
               is destroyed and counted",
        live: true,
    },
    Setting {
        name: "certificate",
        help: "certificate of the servers: valid (default), version-1, self-signed, other-name, \
               no-name, expired, not-yet-valid or unknown-issuer",
        live: false,
    },
    Setting {
        name: "post-refusal",
        help: "status with which POST is refused, such as 405, 404 or 501; default: POST is served",
        live: false,
    },
];

/// A linked pair and what `--set` says of it.
fn link(options: &Options) -> io::Result<Arc<QkdLink>> {
    let length: f64 = options.number("length", 25.0)?;
    let running = match options.text("running", "true") {
        "true" => true,
        "false" => false,
        other => return Err(invalid(format!("running={other}: it is true or false"))),
    };
    let config = LinkConfig {
        fibre: fibre(length).map_err(invalid)?,
        stored: options.number("stored", LinkConfig::default().stored)?,
        running,
        ..LinkConfig::default()
    };
    let link = QkdLink::new(
        config,
        Clock::scaled(options.number("time-factor", 1.0)?),
        options.seed,
    );
    link.set_twin_lifetime(twin_lifetime(options.text("twin-lifetime", "3600")).map_err(invalid)?);
    Ok(link)
}

fn twin_lifetime(seconds: &str) -> Result<Duration, String> {
    let parsed = seconds.parse().ok();
    parsed
        .filter(|s| (1..=31_536_000).contains(s))
        .map(Duration::from_secs)
        .ok_or_else(|| format!("twin-lifetime={seconds}: it is 1 to 31536000 s"))
}

fn fibre(length: f64) -> Result<Fibre, String> {
    if (0.0..=500.0).contains(&length) {
        Ok(Fibre::with_length(length))
    } else {
        Err(format!("length={length}: it is 0 to 500 km"))
    }
}

fn key_id_form(name: &str) -> io::Result<KeyIdForm> {
    let found = KeyIdForm::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, form)| *form).ok_or_else(|| {
        let known = KeyIdForm::ALL.map(|(name, _)| name).join(", ");
        invalid(format!("key-id-form={name}: it is one of {known}"))
    })
}

/// Both KMEs of a pair.
fn kmes(link: &Arc<QkdLink>, options: &Options, key_size: u64) -> io::Result<[Arc<Kme>; 2]> {
    let config = |id: &str, peer: &str, local: &str, remote: &str| -> io::Result<KmeConfig> {
        let mut config = KmeConfig::new(id, peer, local, remote);
        config.key_size = options.number("key-size", key_size)?;
        config.max_per_request = options.number("max-per-request", config.max_per_request)?;
        config.unknown_key_status =
            options.number("unknown-key-status", config.unknown_key_status)?;
        config.key_id_form = key_id_form(options.text("key-id-form", "uuid"))?;
        if options.text("post-refusal", "").is_empty() {
            config.post_refusal = None;
        } else {
            config.post_refusal = Some(options.number("post-refusal", 405)?);
        }
        let is_status = |status: u16| (100..=599).contains(&status);
        if !config.key_size.is_multiple_of(8)
            || !(config.min_key_size..=config.max_key_size).contains(&config.key_size)
            || !is_status(config.unknown_key_status)
            || !config.post_refusal.is_none_or(is_status)
        {
            return Err(invalid(format!(
                "key-size is {} to {}, a multiple of 8; a status is 100 to 599",
                config.min_key_size, config.max_key_size
            )));
        }
        Ok(config)
    };
    Ok([
        Arc::new(Kme::new(
            config("kme-a", "kme-b", MASTER, SLAVE)?,
            link.keys(),
        )),
        Arc::new(Kme::new(
            config("kme-b", "kme-a", SLAVE, MASTER)?,
            link.keys(),
        )),
    ])
}

/// Creates faults, settings and state of a link; `more` returns additional state.
fn controls(
    options: &Options,
    link: &Arc<QkdLink>,
    more: impl Fn() -> String + Send + Sync + 'static,
) -> Controls {
    let faults = [1, 2].map(|end| {
        FaultInjector::new(
            options.seed.wrapping_add(end),
            Some(Arc::clone(link) as Arc<dyn ApplyDeviceFault>),
        )
    });
    let shown = Arc::clone(link);
    let mut controls = Controls::new(faults, move || shown.state() + &more());
    let twins = Arc::clone(link);
    controls.add_runtime_setting("twin-lifetime", move |value| {
        twins.set_twin_lifetime(twin_lifetime(value)?);
        Ok(())
    });
    let link = Arc::clone(link);
    controls.add_runtime_setting("length", move |value| {
        let new = fibre(
            value
                .parse()
                .map_err(|_| format!("length={value}: not a valid number"))?,
        )?;
        link.set_fibre(|fibre| fibre.length = new.length);
        Ok(())
    });
    controls
}

/// Each application and its peer.
const ENDS: [(&str, &str); 2] = [(MASTER, SLAVE), (SLAVE, MASTER)];

fn build_etsi014(options: &Options) -> io::Result<(Controls, [Arc<Kme>; 2])> {
    let link = link(options)?;
    Ok((
        controls(options, &link, String::new),
        kmes(&link, options, 256)?,
    ))
}

fn server_certificate(pki: &TestPki, kind: &str) -> io::Result<CertifiedKey> {
    if kind == "valid" {
        return pki.server("kme").map_err(io::Error::other);
    }
    let fault = CertificateFault::ALL.iter().find(|(name, _)| *name == kind);
    let (_, fault) = fault.ok_or_else(|| {
        let known = CertificateFault::ALL.map(|(name, _)| name).join(", ");
        invalid(format!("certificate={kind}: it is valid or one of {known}"))
    })?;
    pki.faulty_server("kme", *fault).map_err(io::Error::other)
}

pub(super) async fn etsi014(
    profile: &'static Profile,
    options: &Options,
) -> io::Result<RunningEmulator> {
    let (controls, kmes) = build_etsi014(options)?;
    let pki = TestPki::new("qkd-emu test CA").map_err(io::Error::other)?;
    let server = server_certificate(&pki, options.text("certificate", "valid"))?;
    let [master, slave] = [
        pki.client(MASTER).map_err(io::Error::other)?,
        pki.client(SLAVE).map_err(io::Error::other)?,
    ];
    let files = tempfile::tempdir()?;
    let file = |name: &str, text: &str| private(files.path(), name, text);
    let tls = Tls {
        ca: file("ca.pem", &pki.ca())?,
        cert: file("sae-alice.pem", &master.cert)?,
        key: file("sae-alice.key", &master.key)?,
        slave_cert: file("sae-bob.pem", &slave.cert)?,
        slave_key: file("sae-bob.key", &slave.key)?,
    };
    let entry = |name: &str, cert: &str, key: &str| {
        format!(
            "[{name}]\nca = {:?}\ncert = {cert:?}\nkey = {key:?}\n",
            tls.ca
        )
    };
    let credentials = file(
        "credentials.toml",
        &(entry(MASTER, &tls.cert, &tls.key) + &entry(SLAVE, &tls.slave_cert, &tls.slave_key)),
    )?;
    let mut ready = StartupInfo::new(profile.name);
    let mut listeners = Vec::new();
    for (place, (own, peer)) in (0..).zip(ENDS) {
        let listener = TcpListener::bind(options.address(place)).await?;
        let address = listener.local_addr()?;
        ready.endpoint(
            "http",
            address,
            Some(format!(
                "etsi014+https://{address}/?peer={peer}&credentials={own}"
            )),
        );
        listeners.push(listener);
    }
    ready.tls = Some(tls);
    ready.sae = Some(Sae {
        master: MASTER.to_owned(),
        slave: SLAVE.to_owned(),
    });
    ready.credentials_file = Some(credentials);
    let callers = ClientAuth::mutual_tls(&pki.ca(), &server.cert, &server.key)?;
    let faults = [0, 1].map(|end| controls.faults(end));
    let mut running = RunningEmulator::new(ready, controls);
    for ((listener, kme), faults) in listeners.into_iter().zip(kmes).zip(faults) {
        running.serve(server::serve(
            listener,
            Arc::new(HttpFrontEnd::new(kme, faults)),
            callers.clone(),
        ));
    }
    running.keep(files);
    Ok(running)
}

pub(super) fn etsi014_in_memory(
    profile: &'static Profile,
    options: &Options,
) -> io::Result<InMemory> {
    let (controls, kmes) = build_etsi014(options)?;
    let mut memory = InMemory::new(controls);
    for ((end, (own, peer)), kme) in (1..).zip(ENDS).zip(kmes) {
        let name = format!("{}-{end}", profile.name);
        memory.uri("etsi014", &name, &format!("?peer={peer}"));
        memory.endpoint(name, kme_endpoint(kme, own));
    }
    Ok(memory)
}

fn kme_endpoint(kme: Arc<Kme>, client: &str) -> Endpoint {
    Endpoint::Http(
        Arc::new(etsi014::MemoryFrontEnd(kme)),
        Some(client.to_owned()),
    )
}

/// The servers of one end of a Qline.
struct QlineEnd {
    role: &'static str,
    own: &'static str,
    peer: &'static str,
    mon: Arc<dyn ByteService>,
    hw: Arc<dyn ByteService>,
    /// At Alice only; `None` at Bob.
    hws: Option<Arc<dyn ByteService>>,
    kme: Arc<Kme>,
}

fn service<S: Session + 'static>(
    node: &Arc<Node>,
    session: fn(Arc<Node>) -> S,
) -> Arc<dyn ByteService> {
    let node = Arc::clone(node);
    Arc::new(move || Box::new(session(Arc::clone(&node))) as Box<dyn Session>)
}

fn build_qline(options: &Options) -> io::Result<(Controls, Clock, [QlineEnd; 2])> {
    let link = link(options)?;
    let nodes = [Side::Alice, Side::Bob].map(|side| Node::new(side, Arc::clone(&link)));
    let [a, b] = kmes(&link, options, 512)?;
    let end = |node: &Arc<Node>, (own, peer), kme| {
        let alice = node.side() == Side::Alice;
        QlineEnd {
            role: if alice { "alice" } else { "bob" },
            own,
            peer,
            mon: service(node, Mon::new),
            hw: service(node, Hw::new),
            hws: alice.then(|| service(node, Hws::new)),
            kme,
        }
    };
    let ends = [end(&nodes[0], ENDS[0], a), end(&nodes[1], ENDS[1], b)];
    let clock = link.clock().clone();
    let controls = controls(options, &link, move || {
        nodes
            .iter()
            .map(|node| format!("\n{}", node.state()))
            .collect()
    });
    Ok((controls, clock, ends))
}

pub(super) async fn qline(
    profile: &'static Profile,
    options: &Options,
) -> io::Result<RunningEmulator> {
    let (controls, clock, ends) = build_qline(options)?;
    let mut ready = StartupInfo::new(profile.name);
    let mut served = Vec::new();
    let mut kms = Vec::new();
    let mut place = 0;
    for (n, end) in ends.into_iter().enumerate() {
        let mut bind = || {
            place += 1;
            TcpListener::bind(options.address(place - 1))
        };
        let (mon, hw) = (bind().await?, bind().await?);
        let hws = match end.hws {
            Some(service) => Some((bind().await?, service)),
            None => None,
        };
        let kme = bind().await?;
        let (mon_at, hw_at, kme_at) = (mon.local_addr()?, hw.local_addr()?, kme.local_addr()?);
        let mut uri = format!(
            "veriqloud-qline+tcp://{mon_at}?role={}&hw-port={}",
            end.role,
            hw_at.port()
        );
        ready.endpoint("tcp", mon_at, None);
        ready.endpoint("tcp", hw_at, None);
        if let Some((listener, service)) = hws {
            let at = listener.local_addr()?;
            uri.push_str(&format!("&hws-port={}", at.port()));
            ready.endpoint("tcp", at, None);
            served.push((listener, service, controls.faults(n)));
        }
        uri.push_str(&format!("&kme=http://{kme_at}&peer={}", end.peer));
        ready.endpoint("http", kme_at, Some(uri));
        served.extend([
            (mon, end.mon, controls.faults(n)),
            (hw, end.hw, controls.faults(n)),
        ]);
        kms.push((kme, HttpFrontEnd::new(end.kme, controls.faults(n)), end.own));
    }
    ready.sae = Some(Sae {
        master: MASTER.to_owned(),
        slave: SLAVE.to_owned(),
    });
    let mut running = RunningEmulator::new(ready, controls);
    for (listener, service, faults) in served {
        running.serve(tcp::serve(listener, service, faults, clock.clone()));
    }
    for (listener, kme, own) in kms {
        running.serve(server::serve(
            listener,
            Arc::new(kme),
            ClientAuth::Everybody(own.to_owned()),
        ));
    }
    Ok(running)
}

pub(super) fn qline_in_memory(
    profile: &'static Profile,
    options: &Options,
) -> io::Result<InMemory> {
    let (controls, clock, ends) = build_qline(options)?;
    let faults = [0, 1].map(|end| controls.faults(end));
    let mut memory = InMemory::new(controls);
    for ((n, end), faults) in (1..).zip(ends).zip(faults) {
        let name = format!("{}-{n}", profile.name);
        memory.uri(
            "veriqloud-qline",
            &name,
            &format!(
                "?role={}&kme={MEMORY_TRANSPORT}://{name}-kme&peer={}",
                end.role, end.peer
            ),
        );
        memory.bytes(&name, end.mon, faults.clone(), clock.clone());
        memory.bytes(&format!("{name}-hw"), end.hw, faults.clone(), clock.clone());
        if let Some(hws) = end.hws {
            memory.bytes(&format!("{name}-hws"), hws, faults, clock.clone());
        }
        memory.endpoint(format!("{name}-kme"), kme_endpoint(end.kme, end.own));
    }
    Ok(memory)
}
