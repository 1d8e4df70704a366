//! A pair of daemons in memory, or on Unix sockets.

use super::{SupplicantEnd, SupplicantPair, session::Network};
use crate::{
    fault::{ApplyDeviceFault, TextFormat},
    profile::{
        InMemory, Options, Profile, RunningEmulator, Setting, StartupInfo,
        agents::{TIME_FACTOR, clock},
        controls::Controls,
        options::invalid,
        sockets::{self, SOCKETS, TRAFFIC, packets_per_second},
    },
    server::datagram::DatagramSocket,
};
use qkd_driver_kit::link::{datagram::DatagramService, memory::Endpoint};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{io, sync::Arc};
use zeroize::Zeroizing;

/// The profiles of this vendor. Their driver is that of MACsec in Linux.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "linux-macsec-mka-pair",
    title: "Two wpa_supplicants with MKA on MACsec of Linux, control interface",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(async move { start(p, o) }),
    in_memory: |p, o| {
        let (controls, services) = build(o)?;
        let mut memory = InMemory::new(controls);
        for (n, service) in (1..).zip(services) {
            let name = format!("{}-{n}", p.name);
            memory.uri("linux-macsec", &name, PARAMETERS);
            memory.endpoint(&name, Endpoint::Datagram(service));
        }
        Ok(memory)
    },
}];

/// In memory, the transport of a URI does not say which peer it has.
const PARAMETERS: &str = "?peer=wpa_supplicant";

const SETTINGS: &[Setting] = &[
    SOCKETS[0],
    SOCKETS[1],
    TRAFFIC,
    TIME_FACTOR,
    Setting {
        name: "cak-bits",
        help: "size of the configured CAK: 128 (default) or 256",
        runtime: false,
    },
];

/// The control interfaces of both ends.
type Services = [Arc<dyn DatagramService>; 2];

fn build(options: &Options) -> io::Result<(Controls, Services)> {
    let clock = clock(options)?;
    let octets = match options.number("cak-bits", 128)? {
        128 => 16,
        256 => 32,
        other => return Err(invalid(format!("cak-bits={other}: it is 128 or 256"))),
    };
    let mut random = ChaCha12Rng::seed_from_u64(options.seed);
    let mut bytes = |length| {
        let mut all = Zeroizing::new(vec![0; length]);
        random.fill_bytes(&mut all);
        all
    };
    let network = Network {
        cak: bytes(octets),
        ckn: bytes(16),
    };
    let rate = packets_per_second(options)?;
    let pair = SupplicantPair::new(clock, rate, [network.clone(), network], random);
    let ends = [0, 1].map(|end| Arc::new(SupplicantEnd::new(Arc::clone(&pair), end)));
    let faults = ends.clone().map(|end| end as Arc<dyn ApplyDeviceFault>);
    let controls = sockets::controls(options, faults, move |end| pair.state(end));
    Ok((controls, ends.map(|end| end as Arc<dyn DatagramService>)))
}

fn start(profile: &'static Profile, options: &Options) -> io::Result<RunningEmulator> {
    sockets::refuse_address(profile, options)?;
    let folder = sockets::folder()?;
    let (controls, services) = build(options)?;
    let mut ready = StartupInfo::new(profile.name);
    let mut tasks = Vec::new();
    for ((n, setting), service) in (1..).zip(&SOCKETS).zip(services) {
        let path = sockets::path(options, setting, &folder, &format!("{n}.ctl"))?;
        let uri = format!("linux-macsec+unixgram://{}", sockets::plain(&path)?);
        let faults = controls.faults(n - 1);
        tasks.push(DatagramSocket::bind(&path)?.serve(service, faults, TextFormat::Lines));
        ready.endpoint("unixgram", path.display(), Some(uri));
    }
    let mut running = RunningEmulator::new(ready, controls);
    tasks.into_iter().for_each(|task| running.serve(task));
    running.keep(folder);
    Ok(running)
}
