//! SNMP agents over UDP: `async-snmp` handles BER, USM and VACM; an [`SnmpAgent`] answers.
//!
//! - One SNMPv3 user with authPriv (SHA-256 and AES-128), read and write; requests below authPriv
//!   are refused. Optionally an SNMPv2c community with read access.
//! - `async-snmp` tests the varbinds of a SET one by one and then commits them one by one. They are
//!   collected, so that the agent's `set` is called once for each PDU, with all varbinds and the
//!   request ID of the PDU; a refusal keeps its error-status and varbind.
//! - The snmpEngine group and the counters of USM and of the dispatcher are those of `async-snmp`.
//! - Faults of the wire need a relay in front of the agent, because `async-snmp` has no hook for
//!   them. The relay exists only if [`SnmpServerOptions::faults`] is set and costs one UDP hop. A
//!   datagram under `throttle` arrives one second late; a `flood` consists of datagrams that are
//!   not SNMP.
//! - The relay also changes messages as agents in the field would have sent them
//!   ([`crate::fault::AgentFault`]).
//! - When the agent reboots, its socket is closed and opened again at the same address, with
//!   engineBoots increased by one.

mod datagram_faults;
mod handler;
mod relay;
#[cfg(test)]
mod tests;

use crate::{fault::FaultInjector, wire::snmp::SnmpAgent};
use async_snmp::{
    AuthProtocol, MasterKeys, PrivProtocol, UsmConfig,
    agent::{Agent, NotificationSinkId},
    handler::SecurityModel,
    message::SecurityLevel,
    oid,
};
use handler::Handler;
use qkd_driver_kit::link::snmp::Value;
use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::sync::broadcast::error::RecvError;

/// Interval at which a model is polled for automatic changes, if a receiver of notifications is
/// set.
const MODEL_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Time for which binding to an address that is still in use is retried.
const REBIND: Duration = Duration::from_millis(20);

/// A USM user with keys. Deriving the keys from the passwords takes milliseconds (RFC 3414, A.2),
/// so it is done once; clones share the result.
#[derive(Clone)]
pub struct UsmUser {
    name: String,
    keys: MasterKeys,
}

impl fmt::Debug for UsmUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl UsmUser {
    /// A user with SHA-256 and AES-128.
    ///
    /// # Errors
    /// If a password has fewer than eight characters.
    pub fn new(name: &str, auth_password: &str, priv_password: &str) -> io::Result<Self> {
        let keys = MasterKeys::new(AuthProtocol::Sha256, auth_password.as_bytes())
            .and_then(|k| k.with_privacy(PrivProtocol::Aes128, priv_password.as_bytes()))
            .map_err(other)?;
        Ok(Self {
            name: name.to_owned(),
            keys,
        })
    }
    /// Returns the user name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Options of an SNMP server.
#[derive(Debug, Clone)]
pub struct SnmpServerOptions {
    /// User with read and write access.
    pub user: UsmUser,
    /// A v2c community that may read.
    pub community: Option<String>,
    /// Where notifications go, over SNMPv3 authPriv of the same user.
    pub traps: Option<SocketAddr>,
    /// Faults of the wire; if set, a relay is placed in front of the agent.
    pub faults: Option<FaultInjector>,
}

impl SnmpServerOptions {
    /// For this user; nothing else.
    #[must_use]
    pub fn new(user: UsmUser) -> Self {
        Self {
            user,
            community: None,
            traps: None,
            faults: None,
        }
    }
    /// Adds a v2c community that may read.
    #[must_use]
    pub fn with_community(mut self, community: impl Into<String>) -> Self {
        self.community = Some(community.into());
        self
    }
    /// Sends notifications to this address.
    #[must_use]
    pub fn with_traps(mut self, target: SocketAddr) -> Self {
        self.traps = Some(target);
        self
    }
    /// Adds faults of the wire.
    #[must_use]
    pub fn with_faults(mut self, faults: FaultInjector) -> Self {
        self.faults = Some(faults);
        self
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

/// An agent that has its address and is ready to be run.
pub struct Server {
    agent: Agent,
    service: Arc<dyn SnmpAgent>,
    options: SnmpServerOptions,
    relay: Option<relay::Relay>,
    address: SocketAddr,
}

async fn build(
    address: SocketAddr,
    service: &Arc<dyn SnmpAgent>,
    options: &SnmpServerOptions,
) -> io::Result<Agent> {
    let node = service.node();
    let boots = *node.boots().borrow();
    let before = async_snmp::PersistedAuthoritativeEngine::new(
        node.engine_id().to_vec(),
        boots.saturating_sub(1).max(1),
    )
    .map_err(other)?;
    let keep =
        |_: &async_snmp::PersistedAuthoritativeEngine| Ok::<(), std::convert::Infallible>(());
    let engine = if boots > 1 {
        async_snmp::AuthoritativeEngine::restart(before, keep)
    } else {
        async_snmp::AuthoritativeEngine::install(node.engine_id().to_vec(), keep)
    }
    .map_err(other)?;
    let user = options.user.clone();
    let mut builder = Agent::builder()
        .bind(address.to_string())
        .authoritative_engine(engine)
        .usm_user(user.name.clone(), |u| u.with_master_keys(user.keys.clone()))
        .map_err(other)?
        // The MIBs of IEEE are outside of 1.3.6.1.
        .handler(oid!(1), Arc::new(Handler::new(service.clone())))
        .recv_buffer_size(None)
        .vacm(|v| {
            v.group(user.name.clone(), SecurityModel::Usm, "users")
                .group(
                    options.community.clone().unwrap_or_default(),
                    SecurityModel::V2c,
                    "readers",
                )
                .access("users", SecurityModel::Usm, SecurityLevel::AuthPriv, |a| {
                    a.read_view("all").write_view("all").notify_view("all")
                })
                .access(
                    "readers",
                    SecurityModel::V2c,
                    SecurityLevel::NoAuthNoPriv,
                    |a| a.read_view("all"),
                )
                .view("all", |v| v.include(oid!(1)))
        });
    if let Some(community) = &options.community {
        builder = builder.community(community.as_bytes());
    }
    if let Some(target) = options.traps {
        let sink = NotificationSinkId::new("traps").map_err(other)?;
        let config = UsmConfig::new(user.name)
            .with_master_keys(user.keys)
            .map_err(other)?;
        builder = builder.trap_sink(sink, target.to_string(), config);
    }
    builder
        .build()
        .await
        .map_err(|e| io::Error::other(e.to_string()))
}

impl Server {
    /// Binds the address; port 0 selects any.
    ///
    /// # Errors
    /// If the address cannot be bound, or the engine ID or a password is invalid.
    pub async fn bind(
        address: SocketAddr,
        service: Arc<dyn SnmpAgent>,
        options: SnmpServerOptions,
    ) -> io::Result<Self> {
        let inner = if options.faults.is_some() {
            SocketAddr::new(address.ip(), 0)
        } else {
            address
        };
        let agent = build(inner, &service, &options).await?;
        let relay = match &options.faults {
            None => None,
            Some(faults) => {
                faults.admit_agent_faults();
                let damage = datagram_faults::Damage::new(options.user.keys.clone())
                    .ok_or_else(|| io::Error::other("no random source"))?;
                let agent = within_host(agent.local_addr());
                Some(relay::Relay::bind(address, agent, faults.clone(), damage).await?)
            }
        };
        let address = match &relay {
            None => agent.local_addr(),
            Some(relay) => relay.address()?,
        };
        Ok(Self {
            agent,
            service,
            options,
            relay,
            address,
        })
    }

    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves requests until dropped.
    pub async fn run(self) {
        let Self {
            mut agent,
            service,
            options,
            relay,
            ..
        } = self;
        let relayed = async {
            match &relay {
                Some(relay) => Box::pin(relay.run()).await,
                None => std::future::pending().await,
            }
        };
        let mut boots = service.node().boots();
        let inner = agent.local_addr();
        let serving = async {
            loop {
                let reported = async {
                    match options.traps {
                        Some(_) => {
                            Box::pin(send_notifications(
                                &agent,
                                service.as_ref(),
                                options.faults.as_ref(),
                            ))
                            .await
                        }
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    ended = agent.run() => if let Err(error) = ended {
                        tracing::warn!(%error, "an SNMP agent ended");
                    },
                    () = reported => {}
                    changed = boots.changed() => if changed.is_err() {
                        return;
                    },
                }
                // Its socket closes with it.
                // Boxed, as is everything that is rarely done: a quiet agent is to be small.
                let failed =
                    Box::pin(build(SocketAddr::new(inner.ip(), 0), &service, &options)).await;
                drop(std::mem::replace(
                    &mut agent,
                    match failed {
                        Ok(agent) => agent,
                        Err(error) => {
                            tracing::warn!(%error, "an SNMP agent does not come back");
                            return;
                        }
                    },
                ));
                agent = loop {
                    match Box::pin(build(inner, &service, &options)).await {
                        Ok(agent) => break agent,
                        Err(error) => tracing::debug!(%error, "the address is not free yet"),
                    }
                    tokio::time::sleep(REBIND).await;
                };
            }
        };
        tokio::select! {
            () = relayed => {}
            () = serving => {}
        }
    }
}

/// An address of this host that reaches a socket bound to `address`.
fn within_host(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// Advances the model until dropped, so that automatic changes are notified.
pub async fn tick(service: &dyn SnmpAgent) {
    loop {
        // A device that uses a key at its next exchange may be quiet for a day.
        let pause = service.quiet_for().max(MODEL_POLL_INTERVAL);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = service.node().changed() => {}
        }
        service.tick();
    }
}

/// Sends what the agent notifies.
async fn send_notifications(
    agent: &Agent,
    service: &dyn SnmpAgent,
    faults: Option<&FaultInjector>,
) {
    let mut notifications = service.notifications();
    loop {
        tokio::select! {
            heard = notifications.recv() => match heard {
                Ok(n) => {
                    let mut binds = n.binds;
                    for bind in &mut binds {
                        // A key is in no notification.
                        if let (Value::OctetString(text), Some(faults)) = (&mut bind.value, faults)
                        {
                            *text = datagram_faults::hostile(text, faults);
                        }
                    }
                    let binds = binds.into_iter().map(handler::bind_out).collect();
                    agent.send_trap_best_effort(&handler::oid_out(&n.trap), n.uptime, binds).await;
                }
                Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "notifications came faster than they could be sent"),
                Err(RecvError::Closed) => return,
            },
            () = tokio::time::sleep(MODEL_POLL_INTERVAL) => service.tick(),
        }
    }
}

/// Binds and serves in a task of its own, which ends when the handle is aborted.
///
/// # Errors
/// As [`Server::bind`].
pub async fn serve(
    address: SocketAddr,
    service: Arc<dyn SnmpAgent>,
    options: SnmpServerOptions,
) -> io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let server = Server::bind(address, service, options).await?;
    Ok((server.address(), tokio::spawn(server.run())))
}
