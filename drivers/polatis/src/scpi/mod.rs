//! SCPI, over TCP and the serial console.

pub mod proto;

use crate::{
    interface::{Change, Features, Interface, Pair, not_applied},
    product::{self, Monitors},
};
use async_trait::async_trait;
use proto::{BootMode, Command, Identification, ProtoError, State};
use qkd_driver_kit::link::{
    Disclosure,
    bytes::{ByteLink, Exchange, line_framer},
    query::{QueryError, query},
    stream::{Resync, StreamOptions},
};
use qkd_hal::{
    DeviceMisbehaved, Effect, Error, ErrorKind, Identity, Operation, Result, TransportFault,
    event::EventHub,
    parameter::{ParameterSpec, ParameterType, ParameterValue},
    units::DecibelMilliwatts,
};
use qkd_switch_hal::{Geometry, Port, PortState, PowerMeterCapabilities};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

/// Maximum number of pairs of one command. The maximum length of a line is not public; all
/// published clients work with 1 KiB.
const PAIRS_PER_COMMAND: usize = 100;

const BOOT_MODES: &[&str] = &["dark", "restore", "autosave"];

const PARAMETERS: &[ParameterSpec] = &[
    ParameterSpec::read_only(
        "boot-mode",
        "what the paths do at power-up",
        ParameterType::choice(BOOT_MODES),
        "",
    )
    .writable(),
    ParameterSpec::read_only(
        "network-address",
        "address of the management interface",
        ParameterType::Text { max: 64 },
        "",
    ),
];

/// Returns the identity in a reply to `*idn?`; `None` for another vendor.
fn identity_of(id: &Identification) -> Option<Identity> {
    let polatis = id.maker.to_ascii_lowercase().contains("polatis");
    polatis.then(|| {
        Identity::new(&id.maker)
            .with_model(&id.product_code)
            .with_serial(&id.serial)
            .with_firmware(&id.firmware)
    })
}

/// The exchange of a command.
fn exchange(command: &Command, line_end: &str, until: Instant) -> Exchange {
    let mut request = command.line();
    request.push_str(line_end);
    let within = until.saturating_duration_since(Instant::now());
    let exchange = Exchange::new("scpi", request, within)
        .reply(line_framer(proto::LINE_LIMIT), Disclosure::Public);
    if command.changes() {
        exchange
    } else {
        exchange.read_only()
    }
}

/// Classifies an invalid reply by the request that it could belong to.
fn misbehaved(error: &ProtoError, reply_to: &Command) -> Error {
    match error {
        ProtoError::NotText => Error::new(
            ErrorKind::Transport(TransportFault::Framing),
            error.to_string(),
        ),
        ProtoError::Shape { got, .. } => {
            let bytes = got.as_bytes();
            // A complete reply to another query arrived: it is late, or belongs to another client.
            let other = proto::decode_identity(bytes).is_ok()
                || proto::decode_size(bytes).is_ok()
                || proto::decode_connections(bytes).is_ok()
                || proto::decode_peer(bytes).is_ok()
                || proto::decode_error(bytes).is_ok()
                || proto::decode_boot_mode(bytes).is_ok();
            let what = if other {
                DeviceMisbehaved::ReplyForAnotherRequest
            } else {
                DeviceMisbehaved::UnexpectedReply
            };
            Error::misbehaved(what, format!("`{reply_to}`: {error}"))
        }
        ProtoError::Count { .. } => Error::misbehaved(
            DeviceMisbehaved::UnexpectedReply,
            format!("`{reply_to}`: {error}"),
        ),
    }
}

/// The end of a request: a serial console takes CR LF.
pub(crate) fn line_end(serial: bool) -> &'static str {
    if serial { "\r\n" } else { "\n" }
}

/// Returns the options of the link.
pub(crate) fn options(serial: bool, deadline: Duration, events: EventHub) -> StreamOptions {
    let resync = if serial {
        Resync::Sentinel(Duration::from_millis(300))
    } else {
        Resync::Reconnect
    };
    StreamOptions::new(resync, events)
        .reply_limit(proto::LINE_LIMIT + 2)
        .identity_probe(
            move || {
                let mut identify = exchange(
                    &Command::Identify,
                    line_end(serial),
                    Instant::now() + deadline,
                );
                if serial {
                    // Ends an incomplete line in the console that another client may have left,
                    // perhaps at another speed; an empty line has no effect (IEEE 488.2).
                    identify.request.splice(0..0, *b"\r\n");
                }
                identify
            },
            |reply| {
                let identity = identity_of(&proto::decode_identity(reply).ok()?)?;
                Some(format!(
                    "{} {}, serial {}",
                    identity.vendor, identity.model?, identity.serial?
                ))
            },
        )
}

/// SCPI of a switch.
pub(crate) struct Scpi {
    link: Arc<dyn ByteLink>,
    line_end: &'static str,
    /// Number of ports, once known.
    ports: OnceLock<usize>,
}

impl Scpi {
    pub(crate) fn new(link: Arc<dyn ByteLink>, line_end: &'static str) -> Self {
        Self {
            link,
            line_end,
            ports: OnceLock::new(),
        }
    }

    async fn query<T>(
        &self,
        command: &Command,
        until: Instant,
        decode: impl Fn(&[u8]) -> Result<T, ProtoError> + Clone + Send + 'static,
    ) -> Result<T> {
        match query(
            self.link.as_ref(),
            exchange(command, self.line_end, until),
            decode,
        )
        .await
        {
            Ok(value) => Ok(value),
            Err(QueryError::Link(error)) => Err(error.into_read_error("query")),
            Err(QueryError::Reply(error)) => Err(misbehaved(&error, command)),
        }
    }

    /// Sends a set command followed by the error query.
    async fn set(&self, command: &Command, until: Instant) -> Result<()> {
        match query(
            self.link.as_ref(),
            exchange(command, self.line_end, until),
            proto::decode_error,
        )
        .await
        {
            Ok(error) if error.code == 0 => Ok(()),
            Ok(error) => Err(Error::new(
                ErrorKind::Refused,
                format!("the switch refused `{command}`"),
            )
            .with_vendor_code(error.code.to_string())
            .with_vendor_text(error.text)),
            Err(QueryError::Link(error)) => Err(error.into_change_error("set")),
            Err(QueryError::Reply(error)) => {
                Err(misbehaved(&error, command).with_effect(Effect::Unknown))
            }
        }
    }
}

#[async_trait]
impl Interface for Scpi {
    async fn identity(&self, until: Instant) -> Result<Identity> {
        let id = self
            .query(&Command::Identify, until, proto::decode_identity)
            .await?;
        identity_of(&id).ok_or_else(|| {
            Error::misbehaved(
                DeviceMisbehaved::UnexpectedReply,
                format!(
                    "a device of {} answers, which is not a Polatis switch",
                    id.maker
                ),
            )
        })
    }

    async fn size(&self, until: Instant) -> Result<Pair> {
        let (ingress, egress) = self
            .query(&Command::Size, until, proto::decode_size)
            .await?;
        let _ = self.ports.set(ingress as usize + egress as usize);
        Ok((ingress, egress))
    }

    async fn fitted(&self, model: &str, geometry: &Geometry, _until: Instant) -> Result<Features> {
        let monitors = product::monitors(model);
        let monitored = geometry.ports().filter(|p| match monitors {
            Monitors::None => false,
            Monitors::Egress => geometry.is_egress(*p),
            Monitors::All => true,
        });
        Ok(Features {
            meter: PowerMeterCapabilities::for_ports(monitored),
            operations: vec![Operation::Health],
            ..Features::default()
        })
    }

    async fn paths(&self, until: Instant) -> Result<Vec<Pair>> {
        self.query(&Command::Connections, until, proto::decode_connections)
            .await
    }

    async fn states(&self, ports: &[Port], until: Instant) -> Result<Vec<PortState>> {
        let count = ports.len();
        // All ports need no list, which would be long.
        let list = if self.ports.get() == Some(&count) && ports.is_sorted() {
            Vec::new()
        } else {
            ports.iter().map(|p| p.0).collect()
        };
        let states = self
            .query(&Command::States(list), until, move |reply| {
                proto::decode_states(reply, count)
            })
            .await?;
        let shown = states.into_iter().map(|s| match s {
            State::Enabled => PortState::Enabled,
            State::Disabled => PortState::Disabled,
            State::Failed => PortState::Failed,
        });
        Ok(shown.collect())
    }

    fn pairs_per_command(&self) -> usize {
        PAIRS_PER_COMMAND
    }

    fn replaces(&self) -> bool {
        true
    }

    /// Clears errors that commands of other clients left in the queue, so that the next error
    /// belongs to this client.
    async fn begin(&self, until: Instant) -> Result<()> {
        self.set(&Command::Clear, until)
            .await
            .map_err(|e| e.with_effect(Effect::None))
    }

    async fn change(&self, change: Change<'_>, until: Instant) -> Result<()> {
        let command = match change {
            Change::Add(pairs) => Command::Add(pairs.to_vec()),
            Change::Remove(pairs) => Command::Remove(pairs.to_vec()),
            Change::Only([]) => Command::DisconnectAll,
            Change::Only(pairs) => Command::Only(pairs.to_vec()),
        };
        self.set(&command, until).await
    }

    async fn set_port(&self, port: Port, enabled: bool, until: Instant) -> Result<()> {
        let command = if enabled {
            Command::Enable(vec![port.0])
        } else {
            Command::Disable(vec![port.0])
        };
        self.set(&command, until).await
    }

    async fn power(&self, ports: &[Port], until: Instant) -> Result<Vec<DecibelMilliwatts>> {
        let mut all = Vec::with_capacity(ports.len());
        for part in ports.chunks(proto::POWER_QUERY_LIMIT) {
            let count = part.len();
            let command = Command::Power(part.iter().map(|p| p.0).collect());
            let dbm = self
                .query(&command, until, move |reply| {
                    proto::decode_power(reply, count)
                })
                .await?;
            all.extend(dbm.into_iter().map(DecibelMilliwatts));
        }
        Ok(all)
    }

    fn resolution(&self) -> f64 {
        0.1
    }

    fn parameters(&self) -> &'static [ParameterSpec] {
        PARAMETERS
    }

    async fn parameter(&self, name: &str, until: Instant) -> Result<ParameterValue> {
        match name {
            "boot-mode" => {
                let mode = self
                    .query(&Command::BootMode, until, proto::decode_boot_mode)
                    .await?;
                Ok(ParameterValue::Text(keyword(mode).to_owned()))
            }
            _ => Ok(ParameterValue::Text(
                self.query(&Command::Network(false), until, proto::decode_network)
                    .await?
                    .address,
            )),
        }
    }

    async fn set_parameter(
        &self,
        _name: &str,
        value: &ParameterValue,
        until: Instant,
    ) -> Result<()> {
        // Only the boot mode is writable.
        let wanted = match value.to_string().as_str() {
            "dark" => BootMode::Dark,
            "restore" => BootMode::Restore,
            _ => BootMode::AutoSave,
        };
        self.begin(until).await?;
        self.set(&Command::SetBootMode(wanted), until).await?;
        let now = self
            .query(&Command::BootMode, until, proto::decode_boot_mode)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if now == wanted {
            Ok(())
        } else {
            Err(not_applied(
                format!("boot mode {}", keyword(wanted)),
                keyword(now),
            ))
        }
    }

    async fn close(&self) {
        self.link.close().await;
    }
}

fn keyword(mode: BootMode) -> &'static str {
    match mode {
        BootMode::Dark => "dark",
        BootMode::Restore => "restore",
        BootMode::AutoSave => "autosave",
    }
}
