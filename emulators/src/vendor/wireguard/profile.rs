//! A pair of WireGuard devices with UAPI sockets, in memory or on Unix sockets.

use super::{
    WireGuardEnd, WireGuardPair,
    device::{INNER, Network, OUTER, Secret, Startup, public_key},
};
use crate::{
    fault::ApplyDeviceFault,
    profile::{
        Options, Profile, Setting,
        agents::{TIME_FACTOR, clock},
        sockets::{self, SOCKETS, SocketPair, TRAFFIC, packets_per_second},
    },
    wire::ByteService,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "wireguard-pair",
    title: "Two WireGuard userspace devices with a preshared key, UAPI",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| {
        Box::pin(async move {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            build(o, now.unwrap_or(EPOCH))?.start(p, o)
        })
    },
    in_memory: |p, o| build(o, EPOCH)?.in_memory(p),
}];

const SETTINGS: &[Setting] = &[
    SOCKETS[0],
    SOCKETS[1],
    TRAFFIC,
    TIME_FACTOR,
    Setting {
        name: "configured",
        help: "true (default): both have keys, each other as peer and a preshared key; false: none",
        runtime: false,
    },
    Setting {
        name: "keepalive",
        help: "persistent keepalive of the first end, in s; default 25; 0 is off",
        runtime: false,
    },
    Setting {
        name: "roll",
        help: "parameter of the URIs for the driver: wait or replace; default: none",
        runtime: false,
    },
    Setting {
        name: "clear-route",
        help: "whether packets without a peer pass in clear: true or false (default)",
        runtime: false,
    },
];

/// Time since 1970 at the start of a clock in memory.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);
const PORT: u16 = 51_820;

fn build(options: &Options, epoch: Duration) -> io::Result<SocketPair> {
    let clock = clock(options)?;
    let pair = WireGuardPair::new(
        clock.clone(),
        epoch,
        packets_per_second(options)?,
        options.flag("clear-route", false)?,
        options.seed,
    );
    let keepalive = options.number("keepalive", 25)?;
    let parameters = match options.text("roll", "") {
        "" => String::new(),
        roll @ ("wait" | "replace") => format!("?roll={roll}"),
        other => {
            return Err(crate::profile::options::invalid(format!(
                "roll={other}: it is wait or replace"
            )));
        }
    };
    if options.flag("configured", true)? {
        configure(&pair, options.seed, keepalive);
    }
    let ends = [0, 1].map(|end| {
        Arc::new(WireGuardEnd::new(Arc::clone(&pair), end)) as Arc<dyn ApplyDeviceFault>
    });
    let shown = Arc::clone(&pair);
    let controls = sockets::controls(options, ends, move |end| shown.state(end));
    let services = [0, 1].map(|end| {
        let pair = Arc::clone(&pair);
        Arc::new(move || pair.session(end)) as Arc<dyn ByteService>
    });
    Ok(SocketPair {
        driver: "wireguard",
        suffix: "sock",
        parameters,
        files: [None, None],
        controls,
        services,
        clock,
    })
}

/// Gives both ends keys, and each other as peer, also after they have restarted; the first sends
/// keepalives.
pub(super) fn configure(pair: &WireGuardPair, seed: u64, keepalive: u16) {
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let mut secret = || {
        let mut key = Secret::default();
        random.fill_bytes(&mut *key);
        key
    };
    let (private, preshared) = ([secret(), secret()], secret());
    let public = private.each_ref().map(public_key);
    pair.with(|s| {
        for end in [1, 0] {
            let peer = 1 - end;
            let startup = Startup {
                private_key: private[end].clone(),
                listen_port: PORT,
                peer: public[peer],
                preshared_key: preshared.clone(),
                endpoint: SocketAddr::new(OUTER[peer], PORT),
                network: Network::new(INNER[peer], 32),
                keepalive: if end == 0 { keepalive } else { 0 },
            };
            s.set_startup(end, startup);
        }
        if keepalive > 0 {
            s.send_keepalive(0, 0);
        }
    });
}
