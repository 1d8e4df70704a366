//! Profile of a Veriqloud Qline.

use super::{Node, Side, hw::Hw, hws::Hws, mon::Mon};
use crate::{
    Clock,
    profile::{InMemory, Options, Profile, RunningEmulator, StartupInfo, controls::Controls},
    server::tcp,
    vendor::etsi014::{
        HttpFrontEnd,
        pair::{ENDS, SETTINGS, applications, controls, kme_endpoint, kmes, link},
    },
    wire::{ByteService, Session},
};
use qkd_driver_kit::context::MEMORY_TRANSPORT;
use qkd_northbound_etsi014::{ClientAuth, Kme, server};
use std::{io, sync::Arc};
use tokio::net::TcpListener;

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "veriqloud-qline-pair",
    title: "Alice and Bob of a Veriqloud Qline: mon, hw, hws and key delivery",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(start(p, o)),
    in_memory,
}];

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

fn build(options: &Options) -> io::Result<(Controls, Clock, [QlineEnd; 2])> {
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

async fn start(profile: &'static Profile, options: &Options) -> io::Result<RunningEmulator> {
    let (controls, clock, ends) = build(options)?;
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
    ready.sae = Some(applications());
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

fn in_memory(profile: &'static Profile, options: &Options) -> io::Result<InMemory> {
    let (controls, clock, ends) = build(options)?;
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
