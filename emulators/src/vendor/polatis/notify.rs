//! Notifications of Polatis switches (snmpTrapOID; archive id:52513912784), in their later version
//! where there are several.

use crate::{
    model::switch::{Switch, SwitchEvent, monitor::AlarmKind},
    wire::snmp::node::Node,
};
use qkd_driver_kit::link::snmp::{Oid, Value, VarBind};

fn p(ids: &[u32]) -> Oid {
    Oid::from([1, 3, 6, 1, 4, 1, super::ENTERPRISE, 2]).child(ids)
}
fn text(ids: &[u32], text: impl AsRef<[u8]>) -> VarBind {
    VarBind::new(p(ids).child(&[0]), Value::text(text))
}
fn number(ids: &[u32], n: u32) -> VarBind {
    VarBind::new(p(ids).child(&[0]), Value::Gauge32(n))
}

/// polatisEventMsg, polatisAlarmId, polatisAlarmStatus, polatisAlarmUser.
fn event(message: &str, id: u32, status: &str) -> Vec<VarBind> {
    vec![
        text(&[6, 2, 3, 1], message),
        number(&[6, 2, 3, 2], id),
        text(&[6, 2, 3, 3], status),
        text(&[6, 2, 3, 4], ""),
    ]
}

fn list(ports: &[u32]) -> String {
    ports
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// Tells of a happening.
pub(super) fn of(switch: &Switch, node: &Node, id: u32, happened: &SwitchEvent) {
    let labels = |ports: &[u32]| {
        ports
            .iter()
            .map(|p| switch.label(*p))
            .collect::<Vec<_>>()
            .join(",")
    };
    let (trap, binds) = match happened {
        // polatisOxcSwitchCompleteV2: message, ingress and egress ports with their labels.
        SwitchEvent::Switched { ingress, egress } => {
            let binds = vec![
                text(&[2, 3, 1, 1], "switch complete"),
                text(&[2, 3, 1, 3], list(ingress)),
                text(&[2, 3, 1, 4], labels(ingress)),
                text(&[2, 3, 1, 5], list(egress)),
                text(&[2, 3, 1, 6], labels(egress)),
            ];
            (&[2, 3, 0, 7][..], binds)
        }
        // polatisOxcPortEnableV2.
        SwitchEvent::PortEnabled(port, on) => {
            let word = if *on { "enabled" } else { "disabled" };
            let binds = vec![
                text(&[2, 3, 1, 1], word),
                text(&[2, 3, 1, 2], word),
                text(&[2, 3, 1, 7], list(&[*port])),
                text(&[2, 3, 1, 8], labels(&[*port])),
            ];
            (&[2, 3, 0, 8][..], binds)
        }
        // polatisOxcPortErrorV2.
        SwitchEvent::PortFailed(port) => {
            let binds = vec![
                text(&[2, 3, 1, 1], "port failed"),
                text(&[2, 3, 1, 7], list(&[*port])),
                text(&[2, 3, 1, 8], labels(&[*port])),
            ];
            (&[2, 3, 0, 13][..], binds)
        }
        // polatisOpm LOS V2, degraded V2.
        SwitchEvent::Alarm(port, kind, raised) => {
            let word = if *kind == AlarmKind::Los {
                "loss of signal"
            } else {
                "degraded signal"
            };
            let mut binds = vec![
                number(&[3, 3, 1, 1], *port),
                text(&[3, 3, 1, 2], labels(&[*port])),
            ];
            binds.extend(event(
                &format!("{word} at port {port}"),
                id,
                if *raised { "active" } else { "cleared" },
            ));
            (
                if *kind == AlarmKind::Los {
                    &[3, 3, 0, 3][..]
                } else {
                    &[3, 3, 0, 5][..]
                },
                binds,
            )
        }
        // polatisAps V2: protection(1) or reversion(2), the connected, working and protection ports
        // with their labels.
        SwitchEvent::Protected {
            over,
            connected,
            working,
            protecting,
        } => {
            let mut binds = vec![
                VarBind::new(
                    p(&[5, 3, 1, 1, 0]),
                    Value::Integer(if *over { 1 } else { 2 }),
                ),
                number(&[5, 3, 1, 2], *connected),
                number(&[5, 3, 1, 3], *working),
                number(&[5, 3, 1, 4], *protecting),
                text(&[5, 3, 1, 5], labels(&[*connected])),
                text(&[5, 3, 1, 6], labels(&[*working])),
                text(&[5, 3, 1, 7], labels(&[*protecting])),
            ];
            binds.extend(event(
                if *over {
                    "protection switch"
                } else {
                    "reversion"
                },
                id,
                "active",
            ));
            (&[5, 3, 0, 2][..], binds)
        }
    };
    node.notify(p(trap), binds);
}

/// Notifications of the system, by the names that `alarm=` accepts: the second number of each pair
/// is that of the end of the event, if there is one.
const SYSTEM: &[(&str, u32)] = &[
    ("fan-warning", 7),
    ("fan-warning-updated", 8),
    ("fan-fail", 9),
    ("fan-fail-updated", 10),
    ("fpga", 11),
    ("config", 13),
    ("general", 15),
    ("psu", 17),
    ("missing-event", 19),
];

/// Sends a notification of the system.
///
/// # Errors
/// Error text with the existing names.
pub(super) fn system(node: &Node, name: &str) -> Result<(), String> {
    let (_, number) = SYSTEM.iter().find(|(n, _)| *n == name).ok_or_else(|| {
        let names: Vec<_> = SYSTEM.iter().map(|(n, _)| *n).collect();
        format!(
            "unknown system alarm `{name}`; expected one of: {}",
            names.join(", ")
        )
    })?;
    node.notify(p(&[1, 3, 0, *number]), vec![text(&[1, 3, 1, 1], name)]);
    Ok(())
}
