//! TL1, over TCP and the USB serial port.

pub mod proto;
mod session;

pub(crate) use session::Session;

use crate::interface::{
    Change, Features, Interface, MAX_LEVEL_DB, Pair, averaging, averaging_code, meter, powers,
};
use async_trait::async_trait;
use proto::{AlarmMode, Answer, Command, Denial, Edge, TextDecodeError, Threshold, Voa, VoaMode};
use qkd_driver_kit::link::{
    bytes::ByteLink,
    query::{QueryError, query},
};
use qkd_hal::{
    DeviceMisbehaved, Effect, Error, Identity, Operation, Result,
    units::{DecibelMilliwatts, Decibels, Nanometres},
};
use qkd_switch_hal::{
    AlarmLevels, Attenuation, AttenuatorCapabilities, Geometry, MonitorSetting, MonitorStatus,
    Port, PortState,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Maximum number of ports of one list. The maximum length of a request is not public; all
/// published clients work with 1 KiB.
const PORTS_PER_COMMAND: usize = 100;

/// GR-831: the login is not active, as after the idle time-out.
const NOT_LOGGED_IN: &str = "PLNA";

/// TL1 of a switch.
pub(crate) struct Tl1 {
    link: Arc<dyn ByteLink>,
    session: Session,
    /// Whether relative levels may be set.
    relative: bool,
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

impl Tl1 {
    pub(crate) fn new(link: Arc<dyn ByteLink>, session: Session, relative: bool) -> Self {
        Self {
            link,
            session,
            relative,
        }
    }

    /// One exchange; the outer result is the link's and the reader's, the inner one the switch's.
    async fn once<T: Send + 'static>(
        &self,
        command: &Command,
        until: Instant,
        decode: impl Fn(&[String]) -> Result<T, TextDecodeError> + Clone + Send + 'static,
    ) -> Result<Result<T, Denial>> {
        let tag = self.session.tag();
        let read = move |reply: &[u8]| match proto::decode(reply, tag)? {
            Answer::Done(lines) => decode(&lines).map(Ok),
            Answer::Denied(denial) => Ok(Err(denial)),
        };
        match query(
            self.link.as_ref(),
            Session::exchange(command, tag, left(until)),
            read,
        )
        .await
        {
            Ok(answer) => Ok(answer),
            Err(QueryError::Link(error)) if command.changes() => {
                Err(error.into_change_error(command.verb()))
            }
            Err(QueryError::Link(error)) => Err(error.into_read_error(command.verb())),
            Err(QueryError::Reply(error)) => {
                let error = Error::from(error).with_operation(command.verb());
                Err(if command.changes() {
                    error.with_effect(Effect::Unknown)
                } else {
                    error
                })
            }
        }
    }

    /// An exchange; if the session has ended meanwhile, in a new one: what was denied was not done.
    async fn answer<T: Send + 'static>(
        &self,
        command: &Command,
        until: Instant,
        decode: impl Fn(&[String]) -> Result<T, TextDecodeError> + Clone + Send + 'static,
    ) -> Result<Result<T, Denial>> {
        match self.once(command, until, decode.clone()).await? {
            Err(denial) if denial.code == NOT_LOGGED_IN => {
                let tag = self.session.tag();
                let reply = self
                    .link
                    .exchange(self.session.login(tag, left(until)))
                    .await
                    .map_err(|e| e.into_read_error("login"))?;
                Session::entered(&reply, tag).map_err(|e| e.into_read_error("login"))?;
                self.once(command, until, decode).await
            }
            answer => Ok(answer),
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        command: Command,
        until: Instant,
        decode: impl Fn(&[String]) -> Result<T, TextDecodeError> + Clone + Send + 'static,
    ) -> Result<T> {
        self.answer(&command, until, decode)
            .await?
            .map_err(|denial| Session::refused(&command, denial))
    }

    async fn execute(&self, command: Command, until: Instant) -> Result<()> {
        self.ask(command, until, |_| Ok(())).await
    }

    /// Reads an optional feature: a denial means that the switch does not have it.
    async fn config<T: Send + 'static>(
        &self,
        command: Command,
        until: Instant,
        decode: impl Fn(&[String]) -> Result<T, TextDecodeError> + Clone + Send + 'static,
    ) -> Result<Option<T>> {
        match self.answer(&command, until, decode).await? {
            Ok(reported) => Ok(Some(reported)),
            // "Not supported on this switch" (id:36840253885).
            Err(denial) if denial.code == "IICM" => Ok(None),
            Err(denial) => Err(Session::refused(&command, denial)),
        }
    }

    async fn threshold(&self, port: u32, until: Instant) -> Result<Threshold> {
        self.ask(Command::Threshold(port), until, move |lines| {
            proto::decode_threshold(lines, port)
        })
        .await
    }
}

/// The levels that are watched.
fn levels(t: &Threshold) -> AlarmLevels {
    let on = t.mode != AlarmMode::Off;
    AlarmLevels {
        low: (on && t.edge != Edge::High).then_some(DecibelMilliwatts(t.low)),
        high: (on && t.edge != Edge::Low).then_some(DecibelMilliwatts(t.high)),
    }
}

/// The threshold with other levels: a level that is not watched stays.
fn watching(mut t: Threshold, wanted: &AlarmLevels) -> Threshold {
    t.mode = AlarmMode::Continuous;
    match (wanted.low, wanted.high) {
        (None, None) => t.mode = AlarmMode::Off,
        (Some(low), None) => (t.edge, t.low) = (Edge::Low, low.0),
        (None, Some(high)) => (t.edge, t.high) = (Edge::High, high.0),
        (Some(low), Some(high)) => (t.edge, t.low, t.high) = (Edge::Both, low.0, high.0),
    }
    t
}

fn attenuation(voa: Voa) -> Attenuation {
    match (voa.mode.as_str(), voa.level, voa.reference) {
        ("NONE", ..) => Attenuation::Transparent,
        ("MAX", ..) => Attenuation::Maximum,
        ("ABS", Some(level), _) => Attenuation::OutputPower(DecibelMilliwatts(level)),
        ("REL", Some(level), Some(reference)) => Attenuation::Relative {
            below: Decibels(level),
            reference: Port(reference),
        },
        _ => Attenuation::Other(voa.mode),
    }
}

#[async_trait]
impl Interface for Tl1 {
    async fn identity(&self, until: Instant) -> Result<Identity> {
        let reported = self.ask(Command::NeType, until, proto::decode_type).await?;
        if !reported.vendor.to_ascii_lowercase().contains("polatis") {
            return Err(Error::misbehaved(
                DeviceMisbehaved::UnexpectedReply,
                format!(
                    "a device of {} answers, which is not a Polatis switch",
                    reported.vendor
                ),
            ));
        }
        let serial = self
            .ask(Command::Inventory, until, proto::decode_serial)
            .await?;
        Ok(Identity::new(reported.vendor)
            .with_model(reported.model)
            .with_serial(serial)
            .with_firmware(reported.version))
    }

    async fn size(&self, until: Instant) -> Result<Pair> {
        self.ask(Command::Size, until, proto::decode_size).await
    }

    async fn fitted(&self, _model: &str, geometry: &Geometry, until: Instant) -> Result<Features> {
        let mut fitted = Features::default();
        let monitors = self
            .config(Command::Monitors, until, proto::decode_monitors)
            .await?
            .unwrap_or_default();
        for port in &monitors {
            geometry.check_port(Port(*port)).map_err(|e| {
                Error::misbehaved(
                    DeviceMisbehaved::ValueOutOfRange,
                    format!("a monitor: {}", e.message()),
                )
            })?;
        }
        if !monitors.is_empty() {
            fitted.meter = meter(monitors.into_iter().map(Port));
            fitted
                .operations
                .extend([Operation::Monitor, Operation::SetMonitor]);
        }
        let voa = self
            .config(Command::VoaConfig, until, proto::decode_voa_config)
            .await?
            .unwrap_or_default();
        if voa.any() {
            fitted.attenuator = AttenuatorCapabilities::for_ports(
                geometry.ports().filter(|p| geometry.is_egress(*p)),
            )
            .with_extremes();
            if voa.absolute {
                fitted.attenuator = fitted.attenuator.with_output_power(powers());
            }
            if voa.relative && self.relative {
                fitted.attenuator = fitted
                    .attenuator
                    .with_relative(Decibels(0.0)..=Decibels(MAX_LEVEL_DB));
            }
        }
        Ok(fitted)
    }

    async fn paths(&self, until: Instant) -> Result<Vec<Pair>> {
        self.ask(Command::Connections, until, proto::decode_connections)
            .await
    }

    async fn states(&self, ports: &[Port], until: Instant) -> Result<Vec<PortState>> {
        let mut all = Vec::with_capacity(ports.len());
        for part in ports.chunks(PORTS_PER_COMMAND) {
            let numbers: Vec<u32> = part.iter().map(|p| p.0).collect();
            let open = self
                .ask(Command::Shutters(numbers.clone()), until, move |lines| {
                    proto::decode_open(lines, &numbers)
                })
                .await?;
            all.extend(open.into_iter().map(|open| {
                if open {
                    PortState::Enabled
                } else {
                    PortState::Disabled
                }
            }));
        }
        Ok(all)
    }

    fn pairs_per_command(&self) -> usize {
        PORTS_PER_COMMAND
    }

    async fn change(&self, change: Change<'_>, until: Instant) -> Result<()> {
        let command = match change {
            Change::Add(pairs) | Change::Only(pairs) => Command::Connect(pairs.to_vec()),
            Change::Remove(pairs) => Command::Disconnect(pairs.iter().map(|p| p.0).collect()),
        };
        self.execute(command, until).await
    }

    async fn set_port(&self, port: Port, enabled: bool, until: Instant) -> Result<()> {
        self.execute(Command::Shutter(port.0, enabled), until).await
    }

    async fn power(&self, ports: &[Port], until: Instant) -> Result<Vec<DecibelMilliwatts>> {
        let mut all = Vec::with_capacity(ports.len());
        for part in ports.chunks(PORTS_PER_COMMAND) {
            let numbers: Vec<u32> = part.iter().map(|p| p.0).collect();
            let dbm = self
                .ask(Command::Power(numbers.clone()), until, move |lines| {
                    proto::decode_power(lines, &numbers)
                })
                .await?;
            all.extend(dbm.into_iter().map(DecibelMilliwatts));
        }
        Ok(all)
    }

    async fn monitor(&self, port: Port, until: Instant) -> Result<MonitorStatus> {
        let at = port.0;
        let monitor = self
            .ask(Command::Monitor(at), until, move |lines| {
                proto::decode_monitor(lines, at)
            })
            .await?;
        let threshold = self.threshold(at, until).await?;
        let alarmed = self
            .ask(Command::Alarm(at), until, move |lines| {
                proto::decode_alarmed(lines, at)
            })
            .await?;
        let mut status = MonitorStatus::new(port);
        status.wavelength = Some(Nanometres(monitor.wavelength));
        status.averaging = averaging(i64::from(monitor.averaging));
        (status.alarms, status.alarmed) = (levels(&threshold), Some(alarmed));
        Ok(status)
    }

    /// Values that share a command with others are read first, so that the others are kept.
    async fn set_monitor(&self, port: Port, change: &MonitorSetting, until: Instant) -> Result<()> {
        let at = port.0;
        if let MonitorSetting::Alarms(wanted) = change {
            let threshold = self.threshold(at, until).await?;
            return self
                .execute(
                    Command::SetThreshold(at, watching(threshold, wanted)),
                    until,
                )
                .await;
        }
        let mut monitor = self
            .ask(Command::Monitor(at), until, move |lines| {
                proto::decode_monitor(lines, at)
            })
            .await?;
        match change {
            MonitorSetting::Wavelength(nm) => monitor.wavelength = nm.0,
            MonitorSetting::Averaging(time) => monitor.averaging = averaging_code(*time)?,
            other => {
                return Err(Error::unsupported(
                    Operation::SetMonitor.name(),
                    format!("TL1 does not support this setting: {other}"),
                ));
            }
        }
        self.execute(Command::SetMonitor(at, monitor), until).await
    }

    async fn attenuation(&self, port: Port, until: Instant) -> Result<Attenuation> {
        let at = port.0;
        self.ask(Command::Voa(at), until, move |lines| {
            proto::decode_voa(lines, at)
        })
        .await
        .map(attenuation)
    }

    async fn set_attenuation(
        &self,
        port: Port,
        wanted: &Attenuation,
        until: Instant,
    ) -> Result<()> {
        let mode = match wanted {
            Attenuation::Transparent => VoaMode::None,
            Attenuation::Maximum => VoaMode::Maximum,
            Attenuation::OutputPower(power) => VoaMode::Absolute(power.0),
            Attenuation::Relative { below, reference } => VoaMode::Relative(below.0, reference.0),
            other => {
                return Err(Error::unsupported(
                    Operation::SetAttenuation.name(),
                    format!("TL1 has no `{other}`"),
                ));
            }
        };
        self.execute(Command::SetVoa(port.0, mode), until).await
    }

    /// The published samples have one decimal.
    fn resolution(&self) -> f64 {
        0.1
    }

    async fn close(&self) {
        self.link.close().await;
    }
}
