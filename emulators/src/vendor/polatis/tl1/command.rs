//! Executes each command on the model of the switch.

use super::{
    Tl1Session,
    framing::{ErrorCode, Request, ports},
};
use crate::model::switch::{
    Switch, SwitchEvent, SwitchRejection,
    monitor::{AlarmKind, AlarmMode, Edge, Voa, VoaMode},
};
use qkd_switch_hal::{Geometry, Port, PortState};

/// The password of the only user (archive id:9001667762, id:48182013068).
const ROOT: &str = "root";

/// Result of a command that was accepted.
#[derive(Default)]
pub(super) struct CommandOutput {
    /// Lines of the response.
    pub(super) lines: Vec<String>,
    /// Whether the command changed cross-connects, shutters or attenuators, so that the response
    /// comes after the settling time.
    pub(super) moved: bool,
}

/// Returns the result of a query.
fn lines(lines: impl IntoIterator<Item = String>) -> Result<CommandOutput, ErrorCode> {
    Ok(CommandOutput {
        lines: lines.into_iter().collect(),
        moved: false,
    })
}

impl From<SwitchRejection> for ErrorCode {
    fn from(rejected: SwitchRejection) -> Self {
        match rejected {
            SwitchRejection::NoSuchPort(_) | SwitchRejection::Unequal => Self::BAD_AID,
            SwitchRejection::Busy(_)
            | SwitchRejection::Failed(_)
            | SwitchRejection::NeverDark
            | SwitchRejection::Gate(_) => Self::REFUSED,
        }
    }
}

/// Returns the result of a change that does not move optics.
fn applied(result: Result<(), SwitchRejection>) -> Result<CommandOutput, ErrorCode> {
    result
        .map(|()| CommandOutput::default())
        .map_err(ErrorCode::from)
}

/// Returns the result of a change that moves optics.
fn applied_with_delay(result: Result<(), SwitchRejection>) -> Result<CommandOutput, ErrorCode> {
    result
        .map(|()| CommandOutput {
            lines: Vec::new(),
            moved: true,
        })
        .map_err(ErrorCode::from)
}

/// Returns the numbers of ingress and egress ports; for a switch that is not a matrix, 0 and all
/// ports.
fn matrix_size(switch: &Switch) -> (u32, u32) {
    match switch.geometry() {
        Geometry::Matrix { ingress, egress } => (ingress, egress),
        other => (0, other.ports().count() as u32),
    }
}

/// Returns the ports that an AID names; all ports, if the AID is empty.
fn ports_or_all(switch: &Switch, aid: &str) -> Result<Vec<u32>, ErrorCode> {
    let (ingress, egress) = matrix_size(switch);
    let all = ports(aid, ingress + egress)?;
    Ok(if all.is_empty() {
        (1..=ingress + egress).collect()
    } else {
        all
    })
}
/// Returns the ports that an AID names.
///
/// # Errors
/// `BAD_AID` if the AID is empty: the sources show no change of all ports except `ALL`.
fn required_ports(switch: &Switch, aid: &str) -> Result<Vec<u32>, ErrorCode> {
    if aid.is_empty() {
        return Err(ErrorCode::BAD_AID);
    }
    ports_or_all(switch, aid)
}

/// Converts a decimal number from -100 to 100 to thousandths.
fn parse_milli(text: &str) -> Result<i32, ErrorCode> {
    let value: f64 = text.trim().parse().map_err(|_| ErrorCode::BAD_VALUE)?;
    let milli = (value * 1000.0).round();
    if (-100_000.0..=100_000.0).contains(&milli) {
        Ok(milli as i32)
    } else {
        Err(ErrorCode::BAD_VALUE)
    }
}

/// Formats thousandths as a decimal number with one digit after the point.
fn format_milli(milli: i32) -> String {
    format!("{:.1}", f64::from(milli) / 1000.0)
}

/// Returns the kind of alarm that the parameter `TYPE` names.
fn alarm_kind(request: &Request) -> Result<AlarmKind, ErrorCode> {
    match request
        .parameter("TYPE")
        .ok_or(ErrorCode::NO_BLOCK)?
        .to_uppercase()
        .as_str()
    {
        "LOS" => Ok(AlarmKind::Los),
        "DEGRADED" => Ok(AlarmKind::Degraded),
        _ => Err(ErrorCode::BAD_VALUE),
    }
}

/// Executes a command.
///
/// # Errors
/// The code with which the command is denied.
pub(super) fn run(
    connection: &mut Tl1Session,
    request: &Request,
) -> Result<CommandOutput, ErrorCode> {
    let switch = std::sync::Arc::clone(&connection.device.switch);
    let switch = &*switch;
    if request.verb == "ACT-USER" {
        // A failed login does not end an existing one.
        return if request.aid.eq_ignore_ascii_case(ROOT) && request.first() == ROOT {
            connection.user = Some(request.aid.clone());
            Ok(CommandOutput::default())
        } else {
            Err(ErrorCode::BAD_LOGIN)
        };
    }
    if connection.user.is_none() {
        return Err(ErrorCode::NO_LOGIN);
    }
    let aid = request.aid.as_str();
    match request.verb.as_str() {
        "CANC-USER" => {
            connection.user = None;
            Ok(CommandOutput::default())
        }
        "RTRV-HDR" => Ok(CommandOutput::default()),
        "RTRV-NETYPE" => {
            let id = switch.base().identity();
            lines([format!(
                "{},{},OCS,{}",
                id.vendor,
                id.model.unwrap_or_default(),
                id.firmware.unwrap_or_default()
            )])
        }
        "RTRV-INV" => {
            let id = switch.base().identity();
            lines([format!(
                "OCS:MODEL={},SN={}",
                id.model.unwrap_or_default(),
                id.serial.unwrap_or_default()
            )])
        }
        "RTRV-EQPT" => equipment(switch, request),
        "ED-EQPT" if aid.eq_ignore_ascii_case("TIMEOUT") => {
            connection.state().timeout = request
                .parameter("ADMIN")
                .and_then(|m| m.parse().ok())
                .filter(|m| *m <= 100_000)
                .ok_or(ErrorCode::BAD_VALUE)?;
            Ok(CommandOutput::default())
        }
        "OPR-ARC-EQPT" if aid.eq_ignore_ascii_case("REPMGR") => {
            connection.silenced = true;
            Ok(CommandOutput::default())
        }
        "ENT-PATCH" => {
            let (ingress, egress) = aid.split_once(',').ok_or(ErrorCode::BAD_AID)?;
            let (ingress, egress) = (
                required_ports(switch, ingress)?,
                required_ports(switch, egress)?,
            );
            if ingress.len() != egress.len() {
                return Err(ErrorCode::BAD_AID);
            }
            applied_with_delay(switch.add(&ingress.into_iter().zip(egress).collect::<Vec<_>>()))
        }
        "DLT-PATCH" if aid.eq_ignore_ascii_case("ALL") => applied_with_delay(switch.remove_all()),
        "DLT-PATCH" => applied_with_delay(switch.remove(&required_ports(switch, aid)?)),
        "RTRV-PATCH" => {
            let wanted = ports_or_all(switch, aid)?;
            let all = switch.cross_connects();
            lines(
                all.iter()
                    .filter(|c| wanted.contains(&c.ingress.0) || wanted.contains(&c.egress.0))
                    .map(|c| format!("{},{}", c.ingress, c.egress)),
            )
        }
        "OPR-PORT-SHUTTER" => {
            applied_with_delay(switch.enable(&required_ports(switch, aid)?, false))
        }
        "RLS-PORT-SHUTTER" => {
            applied_with_delay(switch.enable(&required_ports(switch, aid)?, true))
        }
        "RTRV-PORT-SHUTTER" => {
            let word = |p: u32| {
                if switch.port_state(p) == PortState::Enabled {
                    "OPEN"
                } else {
                    "CLOSED"
                }
            };
            lines(
                ports_or_all(switch, aid)?
                    .into_iter()
                    .map(|p| format!("{p}:{}", word(p))),
            )
        }
        "ED-PORT-LABEL" => {
            let label = request
                .parameter("LABEL")
                .filter(|l| l.len() <= 64)
                .ok_or(ErrorCode::BAD_VALUE)?;
            applied(switch.set_label(&required_ports(switch, aid)?, &label))
        }
        "RTRV-PORT-LABEL" => lines(
            ports_or_all(switch, aid)?
                .into_iter()
                .map(|p| format!("{p}:{}", switch.label(p))),
        ),
        "ENT-PORT-FLAP" | "OPR-PORT-FLAP" | "RLS-PORT-FLAP" | "RTRV-PORT-FLAP" => {
            flap(connection, switch, request)
        }
        "RTRV-PORT-POWER" => {
            let wanted = monitored_ports(switch, aid)?;
            lines(
                wanted
                    .into_iter()
                    .map(|p| format!("{p}:{:.2}", switch.power_at(p))),
            )
        }
        "RTRV-PORT-REVPOWER" => Err(ErrorCode::NOT_HERE),
        "SET-PORT-PMON" => {
            let wave = request
                .parameter("WAVE")
                .map(|w| parse_wavelength(&w))
                .transpose()?;
            let offset = request
                .parameter("OFFSET")
                .map(|o| parse_milli(&o))
                .transpose()?;
            let atime = request
                .parameter("ATIME")
                .map(|a| {
                    a.parse::<u8>()
                        .ok()
                        .filter(|c| (1..=8).contains(c))
                        .ok_or(ErrorCode::BAD_VALUE)
                })
                .transpose()?;
            applied(
                switch.change_monitors(&required_monitored_ports(switch, aid)?, |m| {
                    m.wavelength = wave.unwrap_or(m.wavelength);
                    m.offset = offset.unwrap_or(m.offset);
                    m.averaging = atime.unwrap_or(m.averaging);
                }),
            )
        }
        "RTRV-PORT-PMON" => {
            let line = |p: u32| {
                switch.monitor_of(p).map(|m| {
                    format!(
                        "{p}:{:.1},{},{}",
                        f64::from(m.wavelength) / 1000.0,
                        format_milli(m.offset),
                        m.averaging
                    )
                })
            };
            lines(monitored_ports(switch, aid)?.into_iter().filter_map(line))
        }
        "SET-TH-PMON" => threshold(switch, request),
        "RTRV-TH-PMON" => {
            let kind = alarm_kind(request)?;
            let line = |p: u32| {
                switch.monitor_of(p).map(|m| {
                    let a = m.alarm(kind);
                    format!(
                        "{p}:{},{},{},{}",
                        mode_keyword(a.mode),
                        edge_keyword(a.edge),
                        format_milli(a.high),
                        format_milli(a.low)
                    )
                })
            };
            lines(monitored_ports(switch, aid)?.into_iter().filter_map(line))
        }
        "RTRV-STATE-PMON" => {
            let kind = alarm_kind(request)?;
            let line = |p: u32| {
                switch.monitor_of(p).map(|m| {
                    let a = m.alarm(kind);
                    format!(
                        "{p}:{}{}",
                        mode_keyword(a.mode),
                        if a.raised() { "&TRIGGERED" } else { "" }
                    )
                })
            };
            lines(monitored_ports(switch, aid)?.into_iter().filter_map(line))
        }
        "SET-STATE-PMON" => {
            let kind = alarm_kind(request)?;
            applied(
                switch.change_monitors(&required_monitored_ports(switch, aid)?, |m| {
                    m.alarm_mut(kind).clear()
                }),
            )
        }
        "SET-PORT-ATTEN" => attenuate(switch, request),
        "RTRV-PORT-ATTEN" => {
            let egress = |p: &u32| switch.voa(*p).is_some();
            let wanted: Vec<u32> = if aid.is_empty() {
                ports_or_all(switch, aid)?
                    .into_iter()
                    .filter(egress)
                    .collect()
            } else {
                ports_or_all(switch, aid)?
            };
            if !wanted.iter().all(egress) {
                return Err(ErrorCode::BAD_AID);
            }
            lines(
                wanted
                    .into_iter()
                    .filter_map(|p| switch.voa(p).map(|v| attenuation_line(p, v))),
            )
        }
        _ => Err(ErrorCode::NO_VERB),
    }
}

/// Returns the ports that an AID names, all of which must have a power monitor; all ports with a
/// monitor, if the AID is empty.
fn monitored_ports(switch: &Switch, aid: &str) -> Result<Vec<u32>, ErrorCode> {
    let all = ports_or_all(switch, aid)?;
    let has_monitor = |p: &u32| switch.monitor_of(*p).is_some();
    if !switch.geometry().ports().any(|p| has_monitor(&p.0)) {
        return Err(ErrorCode::NOT_HERE);
    }
    if aid.is_empty() {
        return Ok(all.into_iter().filter(has_monitor).collect());
    }
    if all.iter().all(has_monitor) {
        Ok(all)
    } else {
        Err(ErrorCode::BAD_AID)
    }
}

/// As [`monitored_ports`], but the AID must not be empty.
fn required_monitored_ports(switch: &Switch, aid: &str) -> Result<Vec<u32>, ErrorCode> {
    if aid.is_empty() {
        Err(ErrorCode::BAD_AID)
    } else {
        monitored_ports(switch, aid)
    }
}

/// Converts a wavelength from 1000 to 2000, in nanometres, to picometres.
fn parse_wavelength(text: &str) -> Result<u32, ErrorCode> {
    let nm: f64 = text.trim().parse().map_err(|_| ErrorCode::BAD_VALUE)?;
    if (1000.0..=2000.0).contains(&nm) {
        Ok((nm * 1000.0).round() as u32)
    } else {
        Err(ErrorCode::BAD_VALUE)
    }
}

/// Answers `RTRV-EQPT`: size of the matrix, ports with power monitors, modes of attenuators.
fn equipment(switch: &Switch, request: &Request) -> Result<CommandOutput, ErrorCode> {
    let parameter = request
        .parameter("PARAMETER")
        .ok_or(ErrorCode::NO_BLOCK)?
        .to_uppercase();
    let (ingress, egress) = matrix_size(switch);
    match (request.aid.to_uppercase().as_str(), parameter.as_str()) {
        ("SYSTEM", "SIZE") => lines([format!("SYSTEM:SIZE={ingress}x{egress}")]),
        ("PMON", "CONFIG") => {
            let monitored = switch
                .geometry()
                .ports()
                .filter(|p| switch.monitor_of(p.0).is_some());
            let mode = |p: Port| {
                if switch.geometry().is_ingress(p) {
                    "INPUT"
                } else {
                    "OUTPUT"
                }
            };
            lines(monitored.map(|p| format!("PMON::PORT={p},MODE={}", mode(p))))
        }
        ("REVPMON", "CONFIG") => Ok(CommandOutput::default()),
        ("ATTEN", "CONFIG") => lines(["ATTEN:CONFIG=NONE|ABSOLUTE|RELATIVE|CONVERGED".to_owned()]),
        _ => Err(ErrorCode::NOT_HERE),
    }
}

/// Executes the commands for flaps, which are stored without effect on the model.
fn flap(
    connection: &Tl1Session,
    switch: &Switch,
    request: &Request,
) -> Result<CommandOutput, ErrorCode> {
    let mut shared = connection.state();
    if request.verb == "RTRV-PORT-FLAP" {
        let wanted = ports_or_all(switch, &request.aid)?;
        return lines(
            shared
                .flaps
                .iter()
                .filter(|(p, _)| wanted.contains(p))
                .map(|(p, text)| format!("{p}:{text}")),
        );
    }
    let wanted = required_ports(switch, &request.aid)?;
    match request.verb.as_str() {
        "ENT-PORT-FLAP" => {
            let is_valid = |text: &str| {
                text.split(',').count() == 3 && text.split(',').all(|n| n.parse::<u32>().is_ok())
            };
            let text = Some(request.first())
                .filter(|t| is_valid(t))
                .ok_or(ErrorCode::BAD_VALUE)?;
            wanted
                .into_iter()
                .for_each(|p| drop(shared.flaps.insert(p, text.to_owned())));
        }
        "RLS-PORT-FLAP" => wanted.iter().for_each(|p| drop(shared.flaps.remove(p))),
        _ if wanted.iter().all(|p| shared.flaps.contains_key(p)) => {}
        _ => return Err(ErrorCode::REFUSED),
    }
    Ok(CommandOutput::default())
}

fn mode_keyword(mode: AlarmMode) -> &'static str {
    match mode {
        AlarmMode::Off => "OFF",
        AlarmMode::Single => "SINGLE",
        AlarmMode::Continuous => "CONT",
    }
}
fn edge_keyword(edge: Edge) -> &'static str {
    match edge {
        Edge::Low => "LOW",
        Edge::High => "HIGH",
        Edge::Both => "BOTH",
    }
}

/// Executes `SET-TH-PMON`: mode, edge and limits of an alarm. Absent parameters keep their value.
fn threshold(switch: &Switch, request: &Request) -> Result<CommandOutput, ErrorCode> {
    let kind = alarm_kind(request)?;
    let word = |name: &str| request.parameter(name).map(|w| w.to_uppercase());
    let mode = word("MODE").map(|w| {
        [AlarmMode::Off, AlarmMode::Single, AlarmMode::Continuous]
            .into_iter()
            .find(|m| mode_keyword(*m) == w)
            .ok_or(ErrorCode::BAD_VALUE)
    });
    let edge = word("EDGE").map(|w| {
        [Edge::Low, Edge::High, Edge::Both]
            .into_iter()
            .find(|e| edge_keyword(*e) == w)
            .ok_or(ErrorCode::BAD_VALUE)
    });
    let (mode, edge) = (mode.transpose()?, edge.transpose()?);
    let low = request
        .parameter("LOW")
        .map(|v| parse_milli(&v))
        .transpose()?;
    let high = request
        .parameter("HIGH")
        .map(|v| parse_milli(&v))
        .transpose()?;
    applied(
        switch.change_monitors(&required_monitored_ports(switch, &request.aid)?, |m| {
            let alarm = m.alarm_mut(kind);
            alarm.mode = mode.unwrap_or(alarm.mode);
            alarm.edge = edge.unwrap_or(alarm.edge);
            alarm.low = low.unwrap_or(alarm.low);
            alarm.high = high.unwrap_or(alarm.high);
        }),
    )
}

fn voa_keyword(mode: VoaMode) -> &'static str {
    match mode {
        VoaMode::None => "NONE",
        VoaMode::Fixed => "FIX",
        VoaMode::Maximum => "MAX",
        VoaMode::Absolute => "ABS",
        VoaMode::Relative => "REL",
        VoaMode::Converged => "CONV",
    }
}

/// Executes `SET-PORT-ATTEN`.
fn attenuate(switch: &Switch, request: &Request) -> Result<CommandOutput, ErrorCode> {
    const ALL: [VoaMode; 6] = [
        VoaMode::None,
        VoaMode::Fixed,
        VoaMode::Maximum,
        VoaMode::Absolute,
        VoaMode::Relative,
        VoaMode::Converged,
    ];
    let mode = request
        .parameter("MODE")
        .ok_or(ErrorCode::NO_BLOCK)?
        .to_uppercase();
    let mode = ALL
        .into_iter()
        .find(|m| voa_keyword(*m) == mode)
        .ok_or(ErrorCode::BAD_VALUE)?;
    let level = request
        .parameter("LEVEL")
        .map(|v| parse_milli(&v))
        .transpose()?;
    let needs_level = matches!(mode, VoaMode::Fixed | VoaMode::Absolute | VoaMode::Relative);
    if needs_level && level.is_none() {
        return Err(ErrorCode::NO_BLOCK);
    }
    let (ingress, egress) = matrix_size(switch);
    let references = request
        .parameter("REFS")
        .map(|r| ports(&r, ingress + egress))
        .transpose()?
        .unwrap_or_default();
    if mode == VoaMode::Relative && references.is_empty() {
        return Err(ErrorCode::NO_BLOCK);
    }
    let voa = Voa {
        mode,
        level: level.unwrap_or(0),
        reference: references
            .first()
            .copied()
            .filter(|_| mode == VoaMode::Relative),
    };
    applied_with_delay(switch.set_voas(&required_ports(switch, &request.aid)?, voa))
}

/// Returns the line of a port in the response to `RTRV-PORT-ATTEN`.
fn attenuation_line(port: u32, voa: Voa) -> String {
    let level = if matches!(
        voa.mode,
        VoaMode::None | VoaMode::Maximum | VoaMode::Converged
    ) {
        String::new()
    } else {
        format_milli(voa.level)
    };
    let reference = voa.reference.map_or_else(String::new, |r| r.to_string());
    format!("{port}:{},{level},{reference}", voa_keyword(voa.mode))
}

/// Returns the alarm code, verb and line of the autonomous message for an event.
pub(super) fn report(event: &SwitchEvent) -> Option<(&'static str, &'static str, String)> {
    let list = |ports: &[u32]| {
        ports
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("&")
    };
    Some(match event {
        SwitchEvent::Switched { ingress, egress } => (
            "A",
            "REPT EVT PATCH",
            format!("{},{}:SWITCHED", list(ingress), list(egress)),
        ),
        SwitchEvent::PortEnabled(port, open) => (
            "A",
            "REPT EVT PORT",
            format!("{port}:{}", if *open { "ENABLED" } else { "DISABLED" }),
        ),
        SwitchEvent::PortFailed(port) => ("*C", "REPT ALM PORT", format!("{port}:FAILED")),
        SwitchEvent::Alarm(port, kind, raised) => {
            let kind = if *kind == AlarmKind::Los {
                "LOS"
            } else {
                "DEGRADED"
            };
            let (code, word) = if *raised {
                ("*C", "SET")
            } else {
                ("A", "CLEARED")
            };
            (code, "REPT ALM PMON", format!("{port}:{kind},{word}"))
        }
        SwitchEvent::Protected {
            over,
            connected,
            working,
            protecting,
        } => (
            "A",
            "REPT SW",
            format!(
                "{working},{protecting}:{},{connected}",
                if *over { "PROTECTION" } else { "REVERSION" }
            ),
        ),
    })
}
