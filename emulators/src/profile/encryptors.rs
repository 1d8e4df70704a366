//! Linked pairs of encryptors, managed over SNMPv3.

use super::{Credentials, InMemory, Options, Profile, Ready, Running, Setting, controls::Controls, options::invalid, private};
use crate::{
    Clock, Faults,
    fault::Faulty,
    model::encryptor::{
        forced::{ForcedEnd, ForcedLink},
        mka::{MkaEnd, MkaLink},
    },
    shell::snmp::{self, User},
    wire::snmp::{SnmpAgent, nokia, packetlight},
};
use qkd_driver_kit::{context::Endpoint, link::snmp::SnmpService};
use qkd_hal::Identity;
use std::{io, net::SocketAddr, sync::Arc};
use zeroize::Zeroizing;

/// The agents' user. Made for testing, like the passwords.
const USER: &str = "noc";
const AUTH_PASSWORD: &str = "emulated-auth";
const PRIV_PASSWORD: &str = "emulated-priv";

const TRAP_TARGET: Setting = Setting { name: "trap-target", help: "host:port to which both ends send their traps; default: none", live: false };
const COMMUNITY: Setting = Setting { name: "community", help: "SNMPv2c community that may read; default: none", live: false };
const TIME_FACTOR: Setting = Setting { name: "time-factor", help: "how much faster than real the model's time runs; default 1", live: false };

pub(super) const PACKETLIGHT: &[Setting] =
    &[TRAP_TARGET, COMMUNITY, TIME_FACTOR, Setting { name: "oem", help: "true: an OEM agent without columns 7 and 8; default false", live: false }];
pub(super) const NOKIA: &[Setting] = &[TRAP_TARGET, COMMUNITY, TIME_FACTOR];

fn clock(options: &Options) -> io::Result<Clock> {
    Ok(Clock::scaled(options.number("time-factor", 1.0)?))
}

/// The agents of a pair.
pub(super) struct Pair {
    controls: Controls,
    agents: [Arc<dyn SnmpAgent>; 2],
    driver: &'static str,
    /// What the URI needs beside the address, each with an `&` before it.
    parameters: &'static str,
}

impl Pair {
    fn new<A: SnmpAgent + Faulty + 'static>(options: &Options, agents: [Arc<A>; 2], driver: &'static str, parameters: &'static str) -> Self {
        let seeds = [options.seed, options.seed.wrapping_add(1)];
        let faults = [0, 1].map(|end| Faults::new(seeds[end], Some(Arc::clone(&agents[end]) as Arc<dyn Faulty>)));
        let agents = agents.map(|agent| agent as Arc<dyn SnmpAgent>);
        let shown = agents.clone();
        let controls = Controls::new(faults, move || shown.each_ref().map(|agent| agent.state()).join("\n"));
        Self { controls, agents, driver, parameters }
    }
}

pub(super) fn packetlight(options: &Options) -> io::Result<Pair> {
    let oem = match options.text("oem", "false") {
        "true" => true,
        "false" => false,
        other => return Err(invalid(format!("oem={other}: it is true or false"))),
    };
    let link = ForcedLink::new(clock(options)?, b"emulated initial secret");
    let agents = [0, 1].map(|end| {
        let identity = Identity::of("PacketLight").with_model("PL-1000TE Crypto").with_serial(format!("PL{:05}", 101 + end)).with_firmware("1.0");
        let end = Arc::new(ForcedEnd::new(Arc::clone(&link), end, "uplink-1", identity));
        let mut named = packetlight::Options::named(&format!("pl-{}", ["a", "b"][end.end()]));
        named.oem = oem;
        packetlight::agent(end, named)
    });
    Ok(Pair::new(options, agents, "packetlight", "&psk-encoding=hex"))
}

pub(super) fn nokia(options: &Options) -> io::Result<Pair> {
    let link = MkaLink::new(clock(options)?, options.seed);
    // As delivered: both ends hold one key, and use it.
    for end in [0, 1] {
        link.write_slot(end, 1, b"emulated initial", Zeroizing::new(b"emulated initial key of 32 octets"[..32].to_vec()))
            .and_then(|()| link.set_active(end, 1))
            .map_err(|e| io::Error::other(format!("{e:?}")))?;
    }
    let agents = [0, 1].map(|end| {
        let identity = Identity::of("Nokia").with_model("7750 SR-1").with_serial(format!("NS{:05}", 201 + end)).with_firmware("TiMOS-C-16.0.R4");
        let end = Arc::new(MkaEnd::new(Arc::clone(&link), end, "ca1", identity));
        let named = nokia::Options::named(&format!("sr-{}", ["a", "b"][end.end()]));
        nokia::agent(end, named)
    });
    Ok(Pair::new(options, agents, "nokia-sros-macsec", ""))
}

pub(super) async fn start(profile: &'static Profile, options: &Options, pair: io::Result<Pair>) -> io::Result<Running> {
    let Pair { controls, agents, driver, parameters } = pair?;
    let user = User::new(USER, AUTH_PASSWORD, PRIV_PASSWORD)?;
    let traps: Option<SocketAddr> = match options.text("trap-target", "") {
        "" => None,
        text => Some(text.parse().map_err(|_| invalid(format!("trap-target={text}: it is such as 127.0.0.1:162")))?),
    };
    let mut ready = Ready::new(profile.name);
    ready.credentials = Some(Credentials {
        user: USER.to_owned(),
        auth_protocol: "SHA-256",
        auth_password: AUTH_PASSWORD.to_owned(),
        priv_protocol: "AES",
        priv_password: PRIV_PASSWORD.to_owned(),
    });
    let files = tempfile::tempdir()?;
    let text = format!(
        "[{USER}]\nuser = {USER:?}\nauth_protocol = \"SHA-256\"\nauth_password = {AUTH_PASSWORD:?}\npriv_protocol = \"AES\"\npriv_password = {PRIV_PASSWORD:?}\n"
    );
    ready.credentials_file = Some(private(files.path(), "credentials.toml", &text)?);
    let mut servers = Vec::new();
    for (place, agent) in (0..).zip(agents) {
        let mut served = snmp::Options::new(user.clone()).with_faults(controls.faults(usize::from(place)));
        if let Some(target) = traps {
            served = served.with_traps(target);
        }
        if !options.text("community", "").is_empty() {
            served = served.with_community(options.text("community", ""));
        }
        let server = snmp::Server::bind(options.address(place), agent, served).await?;
        let address = server.address();
        ready.endpoint("snmp", address, Some(format!("{driver}+snmp://{address}?credentials={USER}{parameters}")));
        servers.push(server);
    }
    let mut running = Running::new(ready, controls);
    for server in servers {
        running.serve(server.run());
    }
    running.keep(files);
    Ok(running)
}

pub(super) fn in_memory(profile: &'static Profile, pair: io::Result<Pair>) -> io::Result<InMemory> {
    let Pair { controls, agents, driver, parameters } = pair?;
    let mut memory = InMemory::new(controls);
    for (end, agent) in (1..).zip(agents) {
        let name = format!("{}-{end}", profile.name);
        memory.uri(driver, &name, &parameters.replacen('&', "?", 1));
        memory.endpoint(name, Endpoint::Snmp(Arc::clone(&agent) as Arc<dyn SnmpService>));
        memory.run(async move { snmp::tick(agent.as_ref()).await });
    }
    Ok(memory)
}
