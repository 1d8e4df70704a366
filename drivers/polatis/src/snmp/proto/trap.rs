//! Notifications (public archive id:52513912784). Each was revised; later revisions of an event are
//! listed next to the first.

use super::{SnmpDecodeError, oid};
use qkd_driver_kit::link::{
    snmp::{Notification, Oid, Value},
    snmp_client::text,
};
use qkd_hal::event::{EventKind, Severity};
use qkd_switch_hal::protection::SwitchRequest;

/// Content of a notification.
#[derive(Debug, Clone, PartialEq)]
pub enum TrapEvent {
    /// An event of the contract.
    Event(EventKind),
    /// The selector switched over.
    SwitchOver {
        /// The working port, which names the group.
        group: u32,
        /// The port where the signal is now.
        port: u32,
        /// Reason of the switch-over.
        request: SwitchRequest,
    },
    /// A change of protection: the details are in the status of the groups.
    Protection,
}

/// OXC notifications that are alarms.
const OXC_ALARMS: [(&[u32], &str); 3] = [
    (&[3, 9, 10], "temp-range"),
    (&[4, 11, 12], "error"),
    (&[5, 13, 14], "port-error"),
];
const OPM_ALARMS: [(&[u32], &str); 2] = [(&[1, 3, 4], "los"), (&[2, 5, 6], "degraded")];
const SYSTEM_ALARMS: [(&[u32], &str); 7] = [
    (&[7, 8], "fan-warning"),
    (&[9, 10], "fan-failure"),
    (&[11, 12], "fpga"),
    (&[13, 14], "configuration"),
    (&[15, 16], "general"),
    (&[17, 18], "power-supply"),
    (&[19, 20], "missing-event"),
];

fn named(table: &[(&[u32], &'static str)], number: u32) -> Option<&'static str> {
    table
        .iter()
        .find(|(numbers, _)| numbers.contains(&number))
        .map(|(_, name)| *name)
}

/// A varbind as text; its instance, if it has one, is the scalar's 0 or a row's.
fn text_object(notification: &Notification, entry: &[u32], column: u32) -> Option<String> {
    let name = Oid::from(entry).child(&[column]);
    let value = &notification
        .binds
        .iter()
        .find(|b| b.oid.suffix_of(&name).is_some())?
        .value;
    match value {
        Value::Integer(n) => Some(n.to_string()),
        Value::Gauge32(n) => Some(n.to_string()),
        value => text(value, "varbind").ok().flatten(),
    }
}

fn port(
    notification: &Notification,
    column: u32,
    object: &'static str,
) -> Result<u32, SnmpDecodeError> {
    text_object(notification, oid::APS_BINDS, column)
        .ok_or(SnmpDecodeError::Absent { object })?
        .parse()
        .map_err(|_| SnmpDecodeError::Type { object })
}

/// Returns `Cleared` or `Indeterminate`, because the MIB specifies no other severity.
fn severity(notification: &Notification) -> Severity {
    let cleared = text_object(notification, oid::EVENT_BINDS, 3)
        .is_some_and(|status| status.eq_ignore_ascii_case("cleared"));
    if cleared {
        Severity::Cleared
    } else {
        Severity::Indeterminate
    }
}

fn message(notification: &Notification, of_family: Option<String>) -> String {
    of_family
        .or_else(|| text_object(notification, oid::EVENT_BINDS, 1))
        .unwrap_or_default()
}

fn alarm(
    notification: &Notification,
    code: &str,
    text: Option<String>,
    subject: Option<String>,
) -> Option<TrapEvent> {
    let text = message(notification, text);
    Some(TrapEvent::Event(EventKind::Alarm {
        code: code.to_owned(),
        text,
        subject,
        severity: severity(notification),
    }))
}

/// Decodes a notification; `None` for those of other vendors.
///
/// # Errors
/// [`SnmpDecodeError`] for a switch-over without its ports.
pub fn decode_trap(notification: &Notification) -> Result<Option<TrapEvent>, SnmpDecodeError> {
    if notification.trap.sub_identifiers() == oid::COLD_START {
        return Ok(Some(TrapEvent::Event(EventKind::Restarted)));
    }
    let number = |family: &[u32]| match notification.trap.suffix_of(&Oid::from(family)) {
        Some([0, n]) => Some(*n),
        _ => None,
    };
    let oxc = |column| text_object(notification, oid::OXC_BINDS, column);
    if let Some(n) = number(oid::OXC_TRAPS) {
        return Ok(match n {
            1 | 7 => {
                let state = oxc(3).zip(oxc(5)).map(|(ingress, egress)| {
                    format!("switched: ingress {ingress}, egress {egress}")
                });
                Some(TrapEvent::Event(EventKind::StateChanged {
                    subject: "connections".to_owned(),
                    state: state.unwrap_or_else(|| message(notification, oxc(1))),
                }))
            }
            2 | 8 => {
                let subject =
                    oxc(7).map_or_else(|| "ports".to_owned(), |list| format!("port {list}"));
                let state = oxc(2).map(|state| match state.as_str() {
                    "1" => "enabled".to_owned(),
                    "2" => "disabled".to_owned(),
                    "3" => "failed".to_owned(),
                    _ => state,
                });
                Some(TrapEvent::Event(EventKind::StateChanged {
                    subject,
                    state: state.unwrap_or_else(|| message(notification, oxc(1))),
                }))
            }
            6 => Some(TrapEvent::Event(EventKind::Vendor {
                name: "compensation-resumed".to_owned(),
                detail: message(notification, oxc(1)),
            })),
            n => named(&OXC_ALARMS, n).and_then(|code| alarm(notification, code, oxc(1), oxc(7))),
        });
    }
    if let Some(n) = number(oid::OPM_TRAPS) {
        return Ok(named(&OPM_ALARMS, n).and_then(|code| {
            alarm(
                notification,
                code,
                None,
                text_object(notification, oid::OPM_BINDS, 1),
            )
        }));
    }
    if let Some(n) = number(oid::VOA_TRAPS) {
        // The meaning of the two values is not published.
        let name = format!("voa-{n}");
        return Ok((1..=2).contains(&n).then(|| {
            TrapEvent::Event(EventKind::Vendor {
                name,
                detail: message(notification, None),
            })
        }));
    }
    if let Some(1..=3) = number(oid::APS_TRAPS) {
        let to = match text_object(notification, oid::APS_BINDS, 1).as_deref() {
            Some("1") => (4, "polatisApsProtectingPort", SwitchRequest::SignalFail),
            Some("2") => (3, "polatisApsWorkingPort", SwitchRequest::NoRequest),
            _ => return Ok(Some(TrapEvent::Protection)),
        };
        let group = port(notification, 3, "polatisApsWorkingPort")?;
        return Ok(Some(TrapEvent::SwitchOver {
            group,
            port: port(notification, to.0, to.1)?,
            request: to.2,
        }));
    }
    if let Some(n) = number(oid::SYSTEM_TRAPS) {
        let detail = text_object(
            notification,
            &oid::SYSTEM_TRAPS
                .iter()
                .copied()
                .chain([1])
                .collect::<Vec<_>>(),
            1,
        );
        return Ok(
            named(&SYSTEM_ALARMS, n).and_then(|code| alarm(notification, code, detail, None))
        );
    }
    Ok(None)
}
