//! One receiver of traps and informs for the process, through `async-snmp`, which also acknowledges
//! informs.

use super::{
    super::snmp::{Notification, VarBind},
    SnmpSecurity,
    stack_async_snmp::{our_oid, our_value, their_auth, their_cipher},
};
use async_snmp::notification::{NotificationAcceptance, NotificationReceiver as Receiver};
use qkd_hal::{Error, ErrorKind, Result};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::sync::broadcast;

#[derive(Debug, Clone)]
struct Received {
    from: IpAddr,
    engine: Option<Vec<u8>>,
    notification: Notification,
}

/// The process's receiver of SNMP notifications. Cheap to clone.
#[derive(Clone)]
pub struct NotificationReceiver {
    address: SocketAddr,
    /// Informs are made for it: they do not name their sender's engine.
    own_engine: Arc<[u8]>,
    received: broadcast::Sender<Received>,
    _task: Arc<AbortOnDrop>,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);
impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl NotificationReceiver {
    /// Listens at `address` (such as `0.0.0.0:162`). Accepts SNMPv3 notifications of these users,
    /// authenticated at least, and SNMPv2c ones of these communities.
    ///
    /// # Errors
    /// `Unreachable` if the address cannot be had; `Authentication` if a user cannot be set up.
    pub async fn bind(address: &str, users: &[SnmpSecurity]) -> Result<Self> {
        // Our own engine id, under the enterprise number for documentation (32473, RFC 5612):
        // informs are sent to it. It is new for each process, so boots may start at the beginning.
        let mut engine_id = vec![0x80, 0, 0x7e, 0xd9, 5];
        engine_id.extend_from_slice(&rand::random::<[u8; 12]>());
        let own_engine = engine_id.as_slice().into();
        let setup = |e: String| {
            Error::new(
                ErrorKind::Authentication,
                format!("the notification receiver cannot be set up: {e}"),
            )
        };
        let engine = async_snmp::AuthoritativeEngine::install(engine_id, |_| {
            Ok::<(), std::convert::Infallible>(())
        })
        .map_err(|e| setup(e.to_string()))?;
        let mut builder = Receiver::builder()
            .bind(address)
            .authoritative_engine(engine);
        let mut communities = false;
        for user in users {
            match user {
                SnmpSecurity::V2c { community } => {
                    builder = builder.community(community.as_str());
                    communities = true;
                }
                SnmpSecurity::V3 {
                    user,
                    auth: Some((auth, auth_password)),
                    privacy,
                    ..
                } => {
                    let auth = their_auth(*auth);
                    let (auth_password, privacy) = (auth_password.clone(), privacy.clone());
                    builder = builder
                        .usm_user(user.clone(), move |u| match &privacy {
                            Some((cipher, password)) => {
                                let cipher = their_cipher(*cipher);
                                u.auth_priv(
                                    auth,
                                    auth_password.as_bytes(),
                                    cipher,
                                    password.as_bytes(),
                                )
                            }
                            None => u.auth(auth, auth_password.as_bytes()),
                        })
                        .map_err(|e| setup(e.to_string()))?;
                }
                SnmpSecurity::V3 { .. } => {
                    return Err(setup(
                        "a user without authentication is not accepted".to_owned(),
                    ));
                }
            }
        }
        let receiver = builder
            .acceptance_policy(move |envelope| match envelope.security_level {
                None if communities => NotificationAcceptance::Accept,
                Some(level) if level >= async_snmp::SecurityLevel::AuthNoPriv => {
                    NotificationAcceptance::Accept
                }
                _ => NotificationAcceptance::Reject,
            })
            .build()
            .await
            .map_err(|e| {
                Error::new(
                    ErrorKind::Unreachable,
                    format!("no notifications can be received at {address}: {e}"),
                )
            })?;
        let bound = receiver.local_addr();
        let (received, _) = broadcast::channel(1024);
        let sender = received.clone();
        let task = tokio::spawn(async move {
            loop {
                match receiver.recv().await {
                    Ok(one) => {
                        let Ok(trap) = one.notification.trap_oid() else {
                            continue;
                        };
                        let binds = one
                            .notification
                            .varbinds()
                            .iter()
                            .map(|b| VarBind::new(our_oid(&b.oid), our_value(&b.value)))
                            .collect();
                        let notification = Notification {
                            trap: our_oid(&trap),
                            uptime: one.notification.uptime(),
                            binds,
                        };
                        let engine = one
                            .wire_identity
                            .v3
                            .as_ref()
                            .map(|v3| v3.authoritative_engine_id.to_vec());
                        let _ = sender.send(Received {
                            from: one.source.ip(),
                            engine,
                            notification,
                        });
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a notification was refused");
                        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    }
                }
            }
        });
        Ok(Self {
            address: bound,
            own_engine,
            received,
            _task: Arc::new(AbortOnDrop(task)),
        })
    }

    /// Returns the local address of the receiver.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Subscribes to all received notifications.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Notification> {
        let (all, receiver) = broadcast::channel(256);
        self.forward_if(&all, |_| true);
        receiver
    }

    /// Forwards the notifications of one agent: identified by its engine ID if it has one, because
    /// many agents may share an address.
    pub(super) fn forward(
        &self,
        from: IpAddr,
        engine: Option<Vec<u8>>,
        to: &broadcast::Sender<Notification>,
    ) {
        let own = Arc::clone(&self.own_engine);
        self.forward_if(to, move |one| match (&one.engine, &engine) {
            (Some(theirs), Some(known)) if **theirs != *own => theirs == known,
            _ => one.from == from,
        });
    }

    fn forward_if(
        &self,
        to: &broadcast::Sender<Notification>,
        wanted: impl Fn(&Received) -> bool + Send + 'static,
    ) {
        let (mut received, to) = (self.received.subscribe(), to.clone());
        tokio::spawn(async move {
            loop {
                let one = tokio::select! {
                    one = received.recv() => one,
                    () = to.closed() => return,
                };
                match one {
                    Ok(one) if wanted(&one) => {
                        let _ = to.send(one.notification);
                    }
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "notifications came faster than they were taken")
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
    }
}

impl std::fmt::Debug for NotificationReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NotificationReceiver({})", self.address)
    }
}
