//! Linked pairs of QKD modules: key delivery by ETSI GS QKD 014 over mutual TLS, and Veriqloud Qlines.

use super::{Options, Profile, Ready, Running, Sae, Setting, Tls, options::invalid, private};
use crate::{
    Clock, Faults,
    fault::Faulty,
    model::{
        optics::Fibre,
        qkd::{LinkConfig, QkdLink},
    },
    shell,
    wire::{
        ByteService, Session,
        etsi014::OnWire,
        qline::{Node, Side, hw::Hw, hws::Hws, mon::Mon},
    },
};
use qkd_northbound_etsi014::{Callers, Config, Kme, pki::TestPki, server};
use std::{io, sync::Arc};
use tokio::net::TcpListener;

/// The two applications.
const MASTER: &str = "sae-alice";
const SLAVE: &str = "sae-bob";

pub(super) const SETTINGS: &[Setting] = &[
    Setting { name: "length", help: "fibre between the ends, in km; default 25; a change begins the initialisation anew", live: true },
    Setting { name: "time-factor", help: "how much faster than real the model's time runs; default 1", live: false },
    Setting { name: "stored", help: "keys stored at the beginning, in bits; default 5120000", live: false },
    Setting { name: "running", help: "whether the link generates keys from the beginning: true (default) or false", live: false },
    Setting { name: "key-size", help: "default size of a key, in bits; default 256 (Qline: 512)", live: false },
    Setting { name: "max-per-request", help: "the most keys of one request; default 128", live: false },
    Setting {
        name: "unknown-key-status",
        help: "status for an unknown key id: 400 (default, the standard's) or another that a KME is known to answer, such as 404",
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
    Ok(QkdLink::new(config, Clock::scaled(options.number("time-factor", 1.0)?), options.seed))
}

fn fibre(length: f64) -> Result<Fibre, String> {
    if (0.0..=500.0).contains(&length) { Ok(Fibre::of(length)) } else { Err(format!("length={length}: it is 0 to 500 km")) }
}

fn live(running: &mut Running, link: &Arc<QkdLink>) {
    let link = Arc::clone(link);
    running.live("length", move |value| {
        let new = fibre(value.parse().map_err(|_| format!("length={value}: that is no number"))?)?;
        link.set_fibre(|fibre| fibre.length = new.length);
        Ok(())
    });
}

/// Both KMEs of a pair.
fn kmes(link: &Arc<QkdLink>, options: &Options, key_size: u64) -> io::Result<[Arc<Kme>; 2]> {
    let config = |id: &str, peer: &str, local: &str, remote: &str| -> io::Result<Config> {
        let mut config = Config::new(id, peer, local, remote);
        config.key_size = options.number("key-size", key_size)?;
        config.max_per_request = options.number("max-per-request", config.max_per_request)?;
        config.unknown_key_status = options.number("unknown-key-status", config.unknown_key_status)?;
        if !config.key_size.is_multiple_of(8)
            || !(config.min_key_size..=config.max_key_size).contains(&config.key_size)
            || !(100..=599).contains(&config.unknown_key_status)
        {
            return Err(invalid(format!("key-size is {} to {}, a multiple of 8; a status is 100 to 599", config.min_key_size, config.max_key_size)));
        }
        Ok(config)
    };
    Ok([Arc::new(Kme::new(config("kme-a", "kme-b", MASTER, SLAVE)?, link.keys())), Arc::new(Kme::new(config("kme-b", "kme-a", SLAVE, MASTER)?, link.keys()))])
}

pub(super) async fn etsi014(profile: &'static Profile, options: &Options) -> io::Result<Running> {
    let link = link(options)?;
    let faults = [1, 2].map(|end| Faults::new(options.seed.wrapping_add(end), Some(Arc::clone(&link) as Arc<dyn Faulty>)));
    let pki = TestPki::new("qkd-emu test CA").map_err(io::Error::other)?;
    let server = pki.server("kme").map_err(io::Error::other)?;
    let [master, slave] = [pki.client(MASTER).map_err(io::Error::other)?, pki.client(SLAVE).map_err(io::Error::other)?];
    let files = tempfile::tempdir()?;
    let file = |name: &str, text: &str| private(files.path(), name, text);
    let tls = Tls {
        ca: file("ca.pem", &pki.ca())?,
        cert: file("sae-alice.pem", &master.cert)?,
        key: file("sae-alice.key", &master.key)?,
        slave_cert: file("sae-bob.pem", &slave.cert)?,
        slave_key: file("sae-bob.key", &slave.key)?,
    };
    let entry = |name: &str, cert: &str, key: &str| format!("[{name}]\nca = {:?}\ncert = {cert:?}\nkey = {key:?}\n", tls.ca);
    let credentials = file("credentials.toml", &(entry(MASTER, &tls.cert, &tls.key) + &entry(SLAVE, &tls.slave_cert, &tls.slave_key)))?;
    let mut ready = Ready::new(profile.name);
    let mut listeners = Vec::new();
    for (n, (own, peer)) in [(MASTER, SLAVE), (SLAVE, MASTER)].into_iter().enumerate() {
        let listener = TcpListener::bind(options.address(u16::try_from(n).unwrap_or(0))).await?;
        let address = listener.local_addr()?;
        ready.endpoint("http", address, Some(format!("etsi014+https://{address}/?peer={peer}&credentials={own}")));
        listeners.push(listener);
    }
    ready.tls = Some(tls);
    ready.sae = Some(Sae { master: MASTER.to_owned(), slave: SLAVE.to_owned() });
    ready.credentials_file = Some(credentials);
    let callers = Callers::mutual_tls(&pki.ca(), &server.cert, &server.key)?;
    let mut running = Running::new(ready, faults.to_vec());
    for ((listener, kme), faults) in listeners.into_iter().zip(kmes(&link, options, 256)?).zip(faults) {
        running.serve(server::serve(listener, Arc::new(OnWire::new(kme, faults)), callers.clone()));
    }
    live(&mut running, &link);
    running.keep(files);
    Ok(running)
}

pub(super) async fn qline(profile: &'static Profile, options: &Options) -> io::Result<Running> {
    let link = link(options)?;
    let clock = link.clock().clone();
    let mut ready = Ready::new(profile.name);
    let mut served: Vec<(TcpListener, Arc<dyn ByteService>, usize)> = Vec::new();
    let mut kms = Vec::new();
    let kmes = kmes(&link, options, 512)?;
    let mut place = 0;
    for (end, (side, own, peer)) in [(Side::Alice, MASTER, SLAVE), (Side::Bob, SLAVE, MASTER)].into_iter().enumerate() {
        let node = Node::new(side, Arc::clone(&link));
        let mut bind = || {
            place += 1;
            TcpListener::bind(options.address(place - 1))
        };
        let (mon, hw) = (bind().await?, bind().await?);
        let hws = if side == Side::Alice { Some(bind().await?) } else { None };
        let kme = bind().await?;
        let (mon_at, hw_at, kme_at) = (mon.local_addr()?, hw.local_addr()?, kme.local_addr()?);
        let mut uri = format!("veriqloud-qline+tcp://{mon_at}?role={}&hw-port={}", if side == Side::Alice { "alice" } else { "bob" }, hw_at.port());
        ready.endpoint("tcp", mon_at, None);
        ready.endpoint("tcp", hw_at, None);
        if let Some(hws) = hws {
            let at = hws.local_addr()?;
            uri.push_str(&format!("&hws-port={}", at.port()));
            ready.endpoint("tcp", at, None);
            let node = Arc::clone(&node);
            served.push((hws, Arc::new(move || Box::new(Hws::new(Arc::clone(&node))) as Box<dyn Session>), end));
        }
        uri.push_str(&format!("&kme=http://{kme_at}&peer={peer}"));
        ready.endpoint("http", kme_at, Some(uri));
        let (of_mon, of_hw) = (Arc::clone(&node), node);
        served.push((mon, Arc::new(move || Box::new(Mon::new(Arc::clone(&of_mon))) as Box<dyn Session>), end));
        served.push((hw, Arc::new(move || Box::new(Hw::new(Arc::clone(&of_hw))) as Box<dyn Session>), end));
        kms.push((kme, Arc::clone(&kmes[end]), own, end));
    }
    ready.sae = Some(Sae { master: MASTER.to_owned(), slave: SLAVE.to_owned() });
    let faults = [1, 2].map(|end| Faults::new(options.seed.wrapping_add(end), Some(Arc::clone(&link) as Arc<dyn Faulty>)));
    let mut running = Running::new(ready, faults.to_vec());
    for (listener, service, end) in served {
        running.serve(shell::tcp::serve(listener, service, faults[end].clone(), clock.clone()));
    }
    for (listener, kme, own, end) in kms {
        running.serve(server::serve(listener, Arc::new(OnWire::new(kme, faults[end].clone())), Callers::Everybody(own.to_owned())));
    }
    live(&mut running, &link);
    Ok(running)
}
