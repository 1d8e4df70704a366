//! Notifications as events.

use crate::proto::{Trap, TrapKind, decode_trap};
use qkd_driver_kit::link::{snmp::SnmpLink, snmp_client::BackgroundTask};
use qkd_hal::{
    EventKind,
    event::{EventHub, Origin, Severity},
};

/// Publishes notifications until the link ends, or the task is dropped.
pub(crate) fn listen(link: &dyn SnmpLink, events: EventHub) -> BackgroundTask {
    BackgroundTask::for_each_notification(link, move |notification| {
        if let Some(message) = notification
            && let Ok(Some(trap)) = decode_trap(&message)
        {
            events.publish(Origin::Device, event(&trap));
        }
        std::future::ready(())
    })
}

fn event(trap: &Trap) -> EventKind {
    let subject = trap
        .ca
        .clone()
        .or(trap.port.map(|p| p.to_string()))
        .unwrap_or_else(|| "macsec".to_owned());
    let name = trap.kind.name().to_owned();
    match (trap.kind, trap.state, trap.active_psk) {
        (TrapKind::OperStateChanged, Some(state), _) => EventKind::StateChanged {
            subject,
            state: state.keyword().to_owned(),
        },
        (TrapKind::PskRollover, _, Some(slot)) => EventKind::StateChanged {
            subject,
            state: format!("slot {slot} active"),
        },
        (TrapKind::MkaReplayAttempt | TrapKind::DataReplayAttempt, ..) => EventKind::Alarm {
            code: name,
            text: "a replay was refused".to_owned(),
            subject: Some(subject),
            severity: Severity::Warning,
        },
        _ => {
            let mut detail = subject;
            if let Some(ckn) = &trap.ckn {
                detail.push_str(&format!(", key {ckn}"));
            }
            if let Some(an) = trap.association {
                detail.push_str(&format!(", association number {an}"));
            }
            EventKind::Vendor { name, detail }
        }
    }
}
