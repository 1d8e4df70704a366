//! The testbed: emulators of most families, and the drivers' handles on them, opened by URI.

use super::log::DemoLog;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    credentials::{CredentialEntry, Credentials},
    link::snmp_udp::{NotificationReceiver, SnmpSecurity},
};
use qkd_emulators::{
    profile::{Options, RunningEmulator},
    profiles,
};
use qkd_hal::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// Profiles, and how they are set.
const PROFILES: [(&str, &[(&str, &str)]); 9] = [
    ("polatis-16x16", &[]),
    ("agiltron-ff", &[("channels", "8")]),
    ("agiltron-selfalign", &[]),
    ("etsi014-pair", &[]),
    // Minutes of calibration pass in tenths of seconds, and two seconds of re-initialisation in
    // one.
    ("veriqloud-qline-pair", &[("time-factor", "2000")]),
    ("packetlight-pair", &[("time-factor", "2")]),
    ("nokia-sros-macsec-pair", &[]),
    ("idq-quantis", &[]),
    ("scte-hms-ab", &[]),
];

pub(crate) struct Testbed {
    running: BTreeMap<&'static str, RunningEmulator>,
    registry: Registry,
    context: OpenContext,
    credentials: Credentials,
}

impl Testbed {
    pub(crate) async fn start(seed: u64, story: &mut DemoLog) -> Result<Self> {
        let registry = qkd_hardware::registry();
        // The name of a profile begins with that of its driver.
        let is_emulated = |driver: &str| PROFILES.iter().any(|(name, _)| name.starts_with(driver));
        let families = registry.drivers().count();
        let emulated = registry
            .drivers()
            .filter(|d| is_emulated(d.info().name))
            .count();
        story.section(&format!(
            "A testbed comes up: {emulated} of {families} driver families on their real wires"
        ));
        let internal = |e: std::io::Error| {
            Error::new(
                ErrorKind::Internal,
                format!("the testbed does not come up: {e}"),
            )
        };
        let mut credentials = Credentials::from_environment();
        let mut running = BTreeMap::new();
        // Traps of all SNMP agents come to one receiver; its users are theirs.
        let mut users = Vec::new();
        let target = free_udp_address().map_err(internal)?;
        for (place, (name, set)) in PROFILES.iter().enumerate() {
            let mut options = Options::default().seeded(seed.wrapping_add(place as u64));
            for (setting, value) in *set {
                options = options.with(setting, value);
            }
            let takes_traps = profiles::all()
                .iter()
                .find(|p| p.name == *name)
                .is_some_and(|p| p.settings.iter().any(|s| s.name == "trap-target"));
            if takes_traps {
                options = options.with("trap-target", &target);
            }
            let emulator = profiles::start(name, &options).await.map_err(internal)?;
            let ready = emulator.ready();
            if let Some(file) = &ready.credentials_file {
                let own = Credentials::from_file(file)?;
                for entry in ready.uris.iter().filter_map(|u| {
                    u.parse::<qkd_hal::DeviceUri>()
                        .ok()?
                        .parameter("credentials")
                        .map(str::to_owned)
                }) {
                    credentials = credentials.with(own.entry(&entry)?);
                }
            }
            if let Some(c) = &ready.credentials {
                let entry = CredentialEntry::new("traps")
                    .with("user", &c.user)
                    .with("auth_password", &c.auth_password)
                    .with("priv_password", &c.priv_password);
                let security = SnmpSecurity::from_entry(&entry)?;
                if users.iter().all(|(name, _)| *name != c.user) {
                    users.push((c.user.clone(), security));
                }
            }
            let buses: Vec<&str> = ready.endpoints.iter().map(|e| e.bus).collect();
            story.log(format!("{name}: {}", counted(&buses)));
            running.insert(*name, emulator);
        }
        let assumptions: Vec<String> = registry
            .drivers()
            .flat_map(|d| d.info().assumptions)
            .map(|a| a.id.to_string())
            .collect();
        story.log(format!(
            "accepted for these emulators, by name: {} assumptions; a real device \
            would need each accepted by you",
            assumptions.len()
        ));
        let mut context = OpenContext::new()
            .with_credentials(credentials.clone())
            .with_accepted_assumptions(assumptions);
        let users: Vec<SnmpSecurity> = users.into_iter().map(|(_, s)| s).collect();
        match NotificationReceiver::bind(&target, &users).await {
            Ok(receiver) => context = context.with_notifications(receiver),
            Err(e) => story.check(false, format!("no receiver of traps: {e}")),
        }
        Ok(Self {
            running,
            registry,
            context,
            credentials,
        })
    }

    pub(crate) fn emulator(&self, profile: &str) -> Result<&RunningEmulator> {
        self.running
            .get(profile)
            .ok_or_else(|| Error::new(ErrorKind::Internal, format!("the testbed has no {profile}")))
    }

    pub(crate) fn fault(&self, profile: &str, spec: &str) -> Result<()> {
        self.emulator(profile)?
            .fault(spec)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("{profile}: {spec}: {e}")))
    }

    pub(crate) fn uri(&self, profile: &str, n: usize) -> Result<String> {
        self.emulator(profile)?
            .ready()
            .uris
            .get(n)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::Internal, format!("{profile} has no URI {n}")))
    }

    /// Opens the n-th URI of a profile.
    pub(crate) async fn open(&self, profile: &str, n: usize) -> Result<OpenedDevice> {
        self.registry
            .open(&self.uri(profile, n)?, &self.context)
            .await
    }

    /// The same, with further parameters.
    pub(crate) async fn open_with(
        &self,
        profile: &str,
        n: usize,
        parameter: (&str, &str),
    ) -> Result<OpenedDevice> {
        let uri: qkd_hal::DeviceUri = self.uri(profile, n)?.parse()?;
        self.registry
            .open_uri(&uri.with_parameter(parameter.0, parameter.1), &self.context)
            .await
    }

    pub(crate) fn registry(&self) -> Registry {
        self.registry.clone()
    }

    pub(crate) fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// The assumptions of the driver that opens a URI.
    pub(crate) fn assumptions(&self, uri: &str) -> Result<Vec<String>> {
        let uri: qkd_hal::DeviceUri = uri.parse()?;
        Ok(self
            .registry
            .driver(uri.driver())?
            .info()
            .assumptions
            .iter()
            .map(|a| a.id.to_string())
            .collect())
    }

    pub(crate) fn all_uris(&self) -> Vec<(&'static str, usize)> {
        self.running
            .iter()
            .flat_map(|(name, r)| (0..r.ready().uris.len()).map(|n| (*name, n)))
            .collect()
    }
}

/// Returns the buses in their order, each once and with its number: `2 tcp, serial`. The addresses
/// are in the URIs, which the next chapter shows.
fn counted(buses: &[&str]) -> String {
    let mut out: Vec<String> = Vec::new();
    for (at, bus) in buses.iter().enumerate() {
        if buses[..at].contains(bus) {
            continue;
        }
        out.push(match buses.iter().filter(|b| *b == bus).count() {
            1 => (*bus).to_owned(),
            n => format!("{n} {bus}"),
        });
    }
    out.join(", ")
}

/// An address for the receiver of notifications, which is bound only after the agents that send
/// to it: its host is not that of the agents, so that none of them takes it first.
fn free_udp_address() -> std::io::Result<String> {
    let socket = std::net::UdpSocket::bind("127.0.0.2:0")?;
    Ok(socket.local_addr()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bus_is_named_once_with_its_number() {
        assert_eq!(
            counted(&["tcp", "serial", "tcp", "snmp"]),
            "2 tcp, serial, snmp"
        );
    }
}
