//! A UDP relay in front of an agent, for faults of the wire.

use crate::fault::Faults;
use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::UdpSocket, task::JoinSet, time::sleep};

/// How long a client that is silent keeps its socket.
const IDLE: Duration = Duration::from_secs(60);
/// The most clients at a time.
const CLIENTS: usize = 1024;
/// The longest datagram.
const DATAGRAM: usize = 65_535;
/// Time between the datagrams of a flood.
const FLOOD: Duration = Duration::from_millis(1);

pub(super) struct Relay {
    front: Arc<UdpSocket>,
    agent: SocketAddr,
    faults: Faults,
}

impl Relay {
    pub(super) async fn bind(
        address: SocketAddr,
        agent: SocketAddr,
        faults: Faults,
    ) -> io::Result<Self> {
        Ok(Self {
            front: Arc::new(UdpSocket::bind(address).await?),
            agent,
            faults,
        })
    }
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.front.local_addr()
    }

    /// Until dropped.
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
                        sleep(FLOOD).await;
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
                        tasks.spawn(replies(
                            back.clone(),
                            self.front.clone(),
                            client,
                            self.faults.clone(),
                        ));
                        back
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the relay has no socket for a client");
                        continue;
                    }
                },
            };
            let _ = back.send(&buffer[..length]).await;
        }
    }

    async fn connect(&self) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(SocketAddr::new(self.agent.ip(), 0)).await?;
        socket.connect(self.agent).await?;
        Ok(socket)
    }
}

/// Hands a client's replies on, as the faults want it, until he is silent for long.
async fn replies(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    faults: Faults,
) -> SocketAddr {
    let mut buffer = vec![0; DATAGRAM];
    let mut late = JoinSet::new();
    loop {
        let length = match tokio::time::timeout(IDLE, back.recv(&mut buffer)).await {
            Err(_) => return client,
            Ok(Ok(length)) => length,
            // The agent is between two lives.
            Ok(Err(_)) => {
                sleep(FLOOD).await;
                continue;
            }
        };
        if faults.is_quiet() {
            let _ = front.send_to(&buffer[..length], client).await;
            continue;
        }
        let delivery = faults.deliver(buffer[..length].to_vec());
        sleep(delivery.delay + delivery.pace).await;
        if let Some((after, datagram)) = delivery.late {
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
            sleep(FLOOD).await;
        }
    }
}
