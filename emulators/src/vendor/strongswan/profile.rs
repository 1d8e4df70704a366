//! A pair of charon daemons with VICI sockets, in memory or on Unix sockets.

use super::{CharonEnd, CharonPair, Settings, config::Connection, daemon::HOSTS};
use crate::{
    fault::ApplyDeviceFault,
    profile::{
        Options, Profile, Setting,
        agents::{TIME_FACTOR, clock},
        sockets::{self, DriverFile, SOCKETS, SocketPair, TRAFFIC, packets_per_second},
    },
    wire::ByteService,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{io, sync::Arc};
use zeroize::Zeroizing;

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "strongswan-pair",
    title: "Two strongSwan daemons, IKEv2 with PPKs (RFC 8784), VICI",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(async move { build(o)?.start(p, o) }),
    in_memory: |p, o| build(o)?.in_memory(p),
}];

const SETTINGS: &[Setting] = &[
    SOCKETS[0],
    SOCKETS[1],
    TRAFFIC,
    TIME_FACTOR,
    Setting {
        name: "configured",
        help: "true (default): connection `net` is up with the PPK `initial`; false: empty daemons",
        runtime: false,
    },
    Setting {
        name: "ppk-required",
        help: "of the connection `net`: true (default) or false",
        runtime: false,
    },
    Setting {
        name: "unique",
        help: "of the connection `net`: never (default), replace, no or keep",
        runtime: false,
    },
    Setting {
        name: "make-before-break",
        help: "whether a reauthentication makes the new SA first: true (default) or false",
        runtime: false,
    },
    Setting {
        name: "clear-route",
        help: "whether packets without an SA pass in clear: true or false (default)",
        runtime: false,
    },
    Setting {
        name: "version",
        help: "version of strongSwan that is reported; default 5.9.8",
        runtime: false,
    },
];

/// Identities of the ends, and the networks that they connect.
const IDENTITIES: [&str; 2] = ["a.test", "b.test"];
const NETWORKS: [&str; 2] = ["10.99.1.1/32", "10.99.2.1/32"];
/// Name of the connection and of its CHILD SA, and id of its first PPK.
const NAME: &str = "net";
const INITIAL: &str = "initial";

fn build(options: &Options) -> io::Result<SocketPair> {
    let clock = clock(options)?;
    let defaults = Settings::default();
    let settings = Settings {
        packets_per_second: packets_per_second(options)?,
        version: options.text("version", &defaults.version).to_owned(),
        make_before_break: options.flag("make-before-break", true)?,
        clear_route: options.flag("clear-route", false)?,
    };
    let pair = CharonPair::new(clock.clone(), settings, options.seed);
    let required = options.flag("ppk-required", true)?;
    let unique = options.text("unique", "never");
    if options.flag("configured", true)? {
        configure(&pair, options.seed, required, unique)
            .map_err(crate::profile::options::invalid)?;
    }
    let ends = [0, 1]
        .map(|end| Arc::new(CharonEnd::new(Arc::clone(&pair), end)) as Arc<dyn ApplyDeviceFault>);
    let shown = Arc::clone(&pair);
    let controls = sockets::controls(options, ends, move |end| shown.state(end));
    let services = [0, 1].map(|end| {
        let pair = Arc::clone(&pair);
        Arc::new(move || pair.session(end)) as Arc<dyn ByteService>
    });
    Ok(SocketPair {
        driver: "strongswan",
        suffix: "vici",
        parameters: String::new(),
        files: [0, 1].map(|end| Some(connection_file(end))),
        controls,
        services,
        clock,
    })
}

/// The connection of an end, as a driver that loads it needs it.
fn connection_file(end: usize) -> DriverFile {
    let peer = 1 - end;
    let content = format!(
        "[connections.{NAME}]\nversion = 2\nlocal_addrs = [\"{}\"]\nremote_addrs = [\"{}\"]\n\
         proposals = [\"aes256gcm16-prfsha256-x25519\"]\nencap = true\nmobike = false\n\
         rekey_time = 0\n\
         [connections.{NAME}.local]\nauth = \"psk\"\nid = \"{}\"\n\
         [connections.{NAME}.remote]\nauth = \"psk\"\nid = \"{}\"\n\
         [connections.{NAME}.children.{NAME}]\nlocal_ts = [\"{}\"]\nremote_ts = [\"{}\"]\n\
         esp_proposals = [\"aes256gcm16-x25519\"]\nrekey_time = 0\n",
        HOSTS[end], HOSTS[peer], IDENTITIES[end], IDENTITIES[peer], NETWORKS[end], NETWORKS[peer],
    );
    DriverFile {
        parameters: "connection=net",
        parameter: "connections",
        name: "connections.toml",
        content,
    }
}

/// Loads secrets and a connection at both ends, and makes its SA from the first.
fn configure(
    pair: &Arc<CharonPair>,
    seed: u64,
    required: bool,
    unique: &str,
) -> Result<(), String> {
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let mut secret = || {
        let mut data = Zeroizing::new(vec![0; 32]);
        random.fill_bytes(&mut data);
        data
    };
    let (ike, ppk) = (secret(), secret());
    for end in 0..2 {
        let peer = 1 - end;
        let required = if required { "yes" } else { "no" };
        let connection = Connection::from_settings(
            NAME,
            &[
                ("version", "2"),
                ("local_addrs", HOSTS[end]),
                ("remote_addrs", HOSTS[peer]),
                ("proposals", "aes256gcm16-prfsha256-x25519"),
                ("encap", "yes"),
                ("mobike", "no"),
                ("unique", unique),
                ("rekey_time", "0"),
                ("ppk_id", INITIAL),
                ("ppk_required", required),
            ],
            [IDENTITIES[end], IDENTITIES[peer]],
            &[
                ("local_ts", NETWORKS[end]),
                ("remote_ts", NETWORKS[peer]),
                ("esp_proposals", "aes256gcm16-x25519"),
                ("rekey_time", "0"),
            ],
        )?;
        pair.load(end, connection, &ike, IDENTITIES, (INITIAL, &ppk));
    }
    pair.bring_up(0, NAME)
}
