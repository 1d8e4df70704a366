//! A UDP relay in front of an agent, for faults of the wire.

use super::datagram_faults::{Damage, Request};
use crate::fault::{AgentFault, FaultInjector};
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{net::UdpSocket, task::JoinSet, time::sleep};

/// Time after which the socket of a silent client is closed.
const CLIENT_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of clients at a time.
const CLIENTS: usize = 1024;
/// Maximum length of a datagram, in bytes.
const DATAGRAM: usize = 65_535;
/// Time between the datagrams of a flood.
const FLOOD_INTERVAL: Duration = Duration::from_millis(1);

pub(super) struct Relay {
    front: Arc<UdpSocket>,
    agent: SocketAddr,
    faults: FaultInjector,
    damage: Arc<Damage>,
    /// Where a reply comes from that comes from another address.
    other: Arc<UdpSocket>,
}

impl Relay {
    pub(super) async fn bind(
        address: SocketAddr,
        agent: SocketAddr,
        faults: FaultInjector,
        damage: Damage,
    ) -> io::Result<Self> {
        // The whole of 127.0.0.0/8 is this host; elsewhere another port has to do.
        let other = match address.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)),
            ip => ip,
        };
        Ok(Self {
            front: Arc::new(UdpSocket::bind(address).await?),
            agent,
            faults,
            damage: Arc::new(damage),
            other: Arc::new(UdpSocket::bind((other, 0)).await?),
        })
    }
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.front.local_addr()
    }

    /// Relays datagrams until dropped.
    pub(super) async fn run(&self) {
        let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut tasks = JoinSet::new();
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let (length, client) = tokio::select! {
                received = self.front.recv_from(&mut buffer) => match received {
                    Ok(received) => received,
                    Err(error) => {
                        tracing::debug!(%error, "the relay cannot receive");
                        sleep(FLOOD_INTERVAL).await;
                        continue;
                    }
                },
                Some(ended) = tasks.join_next() => {
                    if let Ok(client) = ended {
                        clients.remove(&client);
                    }
                    continue;
                }
            };
            let back = match clients.get(&client) {
                Some(back) => back.clone(),
                None if clients.len() >= CLIENTS => continue,
                None => match self.connect().await {
                    Ok(back) => {
                        let back = Arc::new(back);
                        clients.insert(client, back.clone());
                        tasks.spawn(replies(Path {
                            back: back.clone(),
                            front: self.front.clone(),
                            other: self.other.clone(),
                            client,
                            faults: self.faults.clone(),
                            damage: self.damage.clone(),
                        }));
                        back
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the relay has no socket for a client");
                        continue;
                    }
                },
            };
            let faults = self.faults.agent_faults();
            let request = if faults.is_empty() {
                Request::Pass(buffer[..length].to_vec())
            } else {
                self.damage.request(&buffer[..length], &faults)
            };
            let _ = match request {
                Request::Pass(request) => back.send(&request).await,
                Request::Answer(reply) => self.front.send_to(&reply, client).await,
            };
        }
    }

    async fn connect(&self) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(SocketAddr::new(self.agent.ip(), 0)).await?;
        socket.connect(self.agent).await?;
        Ok(socket)
    }
}

/// The way back to one client.
struct Path {
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    other: Arc<UdpSocket>,
    client: SocketAddr,
    faults: FaultInjector,
    damage: Arc<Damage>,
}

/// Hands a client's replies on, as the faults want it, until he is silent for long.
async fn replies(path: Path) -> SocketAddr {
    let Path {
        back,
        front,
        other,
        client,
        faults,
        damage,
    } = path;
    let mut buffer = vec![0; DATAGRAM];
    let mut late = JoinSet::new();
    loop {
        let length = match tokio::time::timeout(CLIENT_IDLE_TIMEOUT, back.recv(&mut buffer)).await {
            Err(_) => return client,
            Ok(Ok(length)) => length,
            // The agent is between two lives.
            Ok(Err(_)) => {
                sleep(FLOOD_INTERVAL).await;
                continue;
            }
        };
        if faults.is_quiet() {
            let _ = front.send_to(&buffer[..length], client).await;
            continue;
        }
        let of_agent = faults.agent_faults();
        let reply = if of_agent.is_empty() && !faults.has_hostile_text() {
            Some(buffer[..length].to_vec())
        } else {
            damage.reply(&buffer[..length], &of_agent, &faults)
        };
        let Some(reply) = reply else { continue };
        let front = if of_agent.contains(&AgentFault::OtherSource) {
            &other
        } else {
            &front
        };
        let delivery = faults.deliver(reply);
        sleep(delivery.delay + delivery.pace).await;
        if let Some((after, datagram)) = delivery.reordered {
            let front = front.clone();
            late.spawn(async move {
                sleep(after).await;
                let _ = front.send_to(&datagram, client).await;
            });
        }
        while late.try_join_next().is_some() {}
        for datagram in delivery.now {
            let _ = front.send_to(&datagram, client).await;
        }
        while delivery.flood && !faults.is_quiet() {
            let _ = front.send_to(&[b'U'; 64], client).await;
            sleep(FLOOD_INTERVAL).await;
        }
    }
}
