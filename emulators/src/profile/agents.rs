//! SNMP agents on their wires: what the profiles of all SNMP families share.

use super::{
    Credentials, InMemory, Options, Profile, RunningEmulator, Setting, StartupInfo,
    controls::Controls, options::invalid, private,
};
use crate::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    server::snmp::{self, UsmUser},
    wire::snmp::SnmpAgent,
};
use qkd_driver_kit::{
    credentials::CredentialEntry,
    link::{memory::Endpoint, snmp::SnmpService},
};
use std::{io, net::SocketAddr, sync::Arc};

/// The agents' user. Made for testing, like the passwords.
const USER: &str = "noc";
const AUTH_PASSWORD: &str = "emulated-auth";
const PRIV_PASSWORD: &str = "emulated-priv";
/// Of the crypto officer, where a device asks for it in addition.
pub(crate) const OFFICER_PASSWORD: &str = "Emulated-Officer-1";

pub(crate) const TRAP_TARGET: Setting = Setting {
    name: "trap-target",
    help: "host:port to which both ends send their traps; default: none",
    runtime: false,
};
pub(crate) const COMMUNITY: Setting = Setting {
    name: "community",
    help: "SNMPv2c community that may read; default: none",
    runtime: false,
};
pub(crate) const TIME_FACTOR: Setting = Setting {
    name: "time-factor",
    help: "how much faster than real the model's time runs; default 1",
    runtime: false,
};

pub(crate) fn clock(options: &Options) -> io::Result<Clock> {
    Ok(Clock::scaled(options.number("time-factor", 1.0)?))
}

/// The agents of one device, or of a linked pair.
pub(crate) struct Agents {
    pub(crate) controls: Controls,
    agents: Vec<Arc<dyn SnmpAgent>>,
    driver: &'static str,
    /// URI parameters in addition to the address, each after an `&`.
    parameters: &'static str,
    /// Whether changes need the password of a crypto officer.
    officer: bool,
}

impl Agents {
    /// Changes need the password of the crypto officer, too, which is then among the credentials.
    pub(crate) fn with_officer(mut self) -> Self {
        self.officer = true;
        self
    }
    pub(crate) fn new<A: SnmpAgent + ApplyDeviceFault + 'static>(
        options: &Options,
        agents: Vec<Arc<A>>,
        driver: &'static str,
        parameters: &'static str,
    ) -> Self {
        let faults: Vec<_> = (0..)
            .zip(&agents)
            .map(|(end, agent)| {
                FaultInjector::new(
                    options.seed.wrapping_add(end),
                    Some(Arc::clone(agent) as Arc<dyn ApplyDeviceFault>),
                )
            })
            .collect();
        let agents: Vec<_> = agents
            .into_iter()
            .map(|agent| agent as Arc<dyn SnmpAgent>)
            .collect();
        let shown = agents.clone();
        let controls = Controls::new(faults, move || {
            shown
                .iter()
                .map(|agent| agent.state())
                .collect::<Vec<_>>()
                .join("\n")
        });
        Self {
            controls,
            agents,
            driver,
            parameters,
            officer: false,
        }
    }
}

/// Access to the agents of a profile: users, and receivers of notifications.
pub(crate) struct AgentAccess {
    user: UsmUser,
    traps: Option<SocketAddr>,
    community: String,
    /// Folder with the credentials file.
    pub(crate) files: tempfile::TempDir,
}

impl AgentAccess {
    /// Adds the credentials to `ready`, with those of a crypto officer if there is one.
    pub(crate) fn new(
        options: &Options,
        ready: &mut StartupInfo,
        officer: bool,
    ) -> io::Result<Self> {
        let traps = match options.text("trap-target", "") {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                invalid(format!("trap-target={text}: it is such as 127.0.0.1:162"))
            })?),
        };
        ready.credentials = Some(Credentials {
            user: USER.to_owned(),
            auth_protocol: "SHA-256",
            auth_password: AUTH_PASSWORD.to_owned(),
            priv_protocol: "AES",
            priv_password: PRIV_PASSWORD.to_owned(),
            officer_password: officer.then(|| OFFICER_PASSWORD.to_owned()),
        });
        let files = tempfile::tempdir()?;
        let mut text = format!(
            "[{USER}]\nuser = {USER:?}\nauth_protocol = \"SHA-256\"\nauth_password = \
             {AUTH_PASSWORD:?}\npriv_protocol = \"AES\"\npriv_password = {PRIV_PASSWORD:?}\n"
        );
        if officer {
            text.push_str(&format!("officer_password = {OFFICER_PASSWORD:?}\n"));
        }
        ready.credentials_file = Some(private(files.path(), "credentials.toml", &text)?);
        Ok(Self {
            user: UsmUser::new(USER, AUTH_PASSWORD, PRIV_PASSWORD)?,
            traps,
            community: options.text("community", "").to_owned(),
            files,
        })
    }

    /// Binds an agent to an address and adds the driver's URI to `ready`.
    pub(crate) async fn bind(
        &self,
        ready: &mut StartupInfo,
        address: SocketAddr,
        agent: Arc<dyn SnmpAgent>,
        faults: FaultInjector,
        (driver, parameters): (&str, &str),
    ) -> io::Result<snmp::Server> {
        let mut served = snmp::SnmpServerOptions::new(self.user.clone()).with_faults(faults);
        if let Some(target) = self.traps {
            served = served.with_traps(target);
        }
        if !self.community.is_empty() {
            served = served.with_community(&self.community);
        }
        let server = snmp::Server::bind(address, agent, served).await?;
        let address = server.address();
        ready.endpoint(
            "snmp",
            address,
            Some(format!(
                "{driver}+snmp://{address}?credentials={USER}{parameters}"
            )),
        );
        Ok(server)
    }
}

pub(crate) async fn start(
    profile: &'static Profile,
    options: &Options,
    agents: io::Result<Agents>,
) -> io::Result<RunningEmulator> {
    let Agents {
        controls,
        agents,
        driver,
        parameters,
        officer,
    } = agents?;
    let mut ready = StartupInfo::new(profile.name);
    let served = AgentAccess::new(options, &mut ready, officer)?;
    let mut servers = Vec::new();
    for (place, agent) in (0..).zip(agents) {
        let faults = controls.faults(usize::from(place));
        servers.push(
            served
                .bind(
                    &mut ready,
                    options.address(place),
                    agent,
                    faults,
                    (driver, parameters),
                )
                .await?,
        );
    }
    let mut running = RunningEmulator::new(ready, controls);
    for server in servers {
        running.serve(server.run());
    }
    running.keep(served.files);
    Ok(running)
}

pub(crate) fn in_memory(
    profile: &'static Profile,
    agents: io::Result<Agents>,
) -> io::Result<InMemory> {
    let Agents {
        controls,
        agents,
        driver,
        parameters,
        officer,
    } = agents?;
    let mut memory = InMemory::new(controls);
    let mut parameters = parameters.to_owned();
    if officer {
        // A link in memory needs no user; the driver needs the officer's password.
        parameters.insert_str(0, &format!("&credentials={USER}"));
        memory.credentials(
            CredentialEntry::new(USER)
                .with("user", USER)
                .with("officer_password", OFFICER_PASSWORD),
        );
    }
    let alone = agents.len() == 1;
    for (end, agent) in (1..).zip(agents) {
        let name = if alone {
            profile.name.to_owned()
        } else {
            format!("{}-{end}", profile.name)
        };
        memory.uri(driver, &name, &parameters.replacen('&', "?", 1));
        memory.endpoint(
            name,
            Endpoint::Snmp(Arc::clone(&agent) as Arc<dyn SnmpService>),
        );
        memory.run(async move { snmp::tick(agent.as_ref()).await });
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles;
    use qkd_driver_kit::{OpenContext, credentials::Credentials};

    /// Both the file of a running profile and the context in memory have the officer's password.
    #[tokio::test]
    async fn the_password_of_an_officer_is_among_the_credentials() {
        for (name, asks) in [
            ("adva-fsp3000r7-pair", true),
            ("adva-fsp150-pair", true),
            ("packetlight-pair", false),
        ] {
            let expected = asks.then_some(OFFICER_PASSWORD);
            let running = profiles::start(name, &Options::default()).await.unwrap();
            let ready = running.ready();
            let shown = ready.credentials.as_ref().unwrap();
            assert_eq!(shown.officer_password.as_deref(), expected);
            let file = Credentials::from_file(ready.credentials_file.as_ref().unwrap()).unwrap();
            assert_eq!(file.entry(USER).unwrap().get("officer_password"), expected);

            let memory = profiles::in_memory(name, &Options::default()).unwrap();
            let context = memory.attach(OpenContext::new());
            for uri in memory.uris() {
                let entry = context.credentials(&uri.parse().unwrap());
                let password = entry.map(|e| e.get("officer_password").map(str::to_owned));
                assert_eq!(password.ok().flatten().as_deref(), expected, "{uri}");
            }
        }
    }
}
