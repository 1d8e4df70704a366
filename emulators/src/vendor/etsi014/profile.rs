//! Profile of a linked pair of key management entities: key delivery by ETSI GS QKD 014 over mutual
//! TLS.

use super::{
    HttpFrontEnd,
    pair::{ENDS, MASTER, SETTINGS, SLAVE, applications, controls, kme_endpoint, kmes, link},
};
use crate::profile::{
    InMemory, Options, Profile, RunningEmulator, StartupInfo, Tls, controls::Controls,
    options::invalid, private,
};
use qkd_northbound_etsi014::{
    ClientAuth, Kme,
    pki::{CertificateFault, CertifiedKey, TestPki},
    server,
};
use std::{io, sync::Arc};
use tokio::net::TcpListener;

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "etsi014-pair",
    title: "Two key management entities of a QKD link, ETSI GS QKD 014 over mutual TLS",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(start(p, o)),
    in_memory,
}];

fn build(options: &Options) -> io::Result<(Controls, [Arc<Kme>; 2])> {
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

async fn start(profile: &'static Profile, options: &Options) -> io::Result<RunningEmulator> {
    let (controls, kmes) = build(options)?;
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
    ready.sae = Some(applications());
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

fn in_memory(profile: &'static Profile, options: &Options) -> io::Result<InMemory> {
    let (controls, kmes) = build(options)?;
    let mut memory = InMemory::new(controls);
    for ((end, (own, peer)), kme) in (1..).zip(ENDS).zip(kmes) {
        let name = format!("{}-{end}", profile.name);
        memory.uri("etsi014", &name, &format!("?peer={peer}"));
        memory.endpoint(name, kme_endpoint(kme, own));
    }
    Ok(memory)
}
