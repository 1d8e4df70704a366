//! Linked pairs of encryptors, managed over SNMPv3.

use super::{Credentials, Options, Profile, Ready, Running, Setting, options::invalid, private};
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
use qkd_hal::Identity;
use std::{io, net::SocketAddr, sync::Arc};

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

pub(super) async fn packetlight(profile: &'static Profile, options: &Options) -> io::Result<Running> {
    let oem = match options.text("oem", "false") {
        "true" => true,
        "false" => false,
        other => return Err(invalid(format!("oem={other}: it is true or false"))),
    };
    let link = ForcedLink::new(clock(options)?, b"emulated initial secret");
    let ends = [0, 1].map(|end| {
        let identity = Identity::of("PacketLight").with_model("PL-1000TE Crypto").with_serial(format!("PL{:05}", 101 + end)).with_firmware("1.0");
        let end = Arc::new(ForcedEnd::new(Arc::clone(&link), end, "uplink-1", identity));
        let mut named = packetlight::Options::named(&format!("pl-{}", ["a", "b"][end.end()]));
        named.oem = oem;
        let agent = packetlight::agent(end, named);
        (Arc::clone(&agent) as Arc<dyn SnmpAgent>, agent as Arc<dyn Faulty>)
    });
    start(profile, options, ends, "&psk-encoding=hex").await
}

pub(super) async fn nokia(profile: &'static Profile, options: &Options) -> io::Result<Running> {
    let link = MkaLink::new(clock(options)?, options.seed);
    let ends = [0, 1].map(|end| {
        let identity = Identity::of("Nokia").with_model("7750 SR-1").with_serial(format!("NS{:05}", 201 + end)).with_firmware("TiMOS-C-16.0.R4");
        let end = Arc::new(MkaEnd::new(Arc::clone(&link), end, "ca1", identity));
        let named = nokia::Options::named(&format!("sr-{}", ["a", "b"][end.end()]));
        let agent = nokia::agent(end, named);
        (Arc::clone(&agent) as Arc<dyn SnmpAgent>, agent as Arc<dyn Faulty>)
    });
    start(profile, options, ends, "").await
}

async fn start(profile: &'static Profile, options: &Options, ends: [(Arc<dyn SnmpAgent>, Arc<dyn Faulty>); 2], more: &str) -> io::Result<Running> {
    let user = User::new(USER, AUTH_PASSWORD, PRIV_PASSWORD)?;
    let traps: Option<SocketAddr> = match options.text("trap-target", "") {
        "" => None,
        text => Some(text.parse().map_err(|_| invalid(format!("trap-target={text}: it is such as 127.0.0.1:162")))?),
    };
    let driver = profile.name.trim_end_matches("-pair");
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
    let (mut servers, mut faults) = (Vec::new(), Vec::new());
    for (place, (agent, end)) in ends.into_iter().enumerate() {
        let place = u16::try_from(place).unwrap_or(0);
        let of_end = Faults::new(options.seed.wrapping_add(u64::from(place)), Some(end));
        let mut served = snmp::Options::new(user.clone()).with_faults(of_end.clone());
        if let Some(target) = traps {
            served = served.with_traps(target);
        }
        if !options.text("community", "").is_empty() {
            served = served.with_community(options.text("community", ""));
        }
        let server = snmp::Server::bind(options.address(place), agent, served).await?;
        let address = server.address();
        ready.endpoint("snmp", address, Some(format!("{driver}+snmp://{address}?credentials={USER}{more}")));
        servers.push(server);
        faults.push(of_end);
    }
    let mut running = Running::new(ready, faults);
    for server in servers {
        running.serve(server.run());
    }
    running.keep(files);
    Ok(running)
}
