//! Polatis over TL1 (GR-831): TCP 3082, and the USB serial port.
//!
//! Sources: public programs that control real switches, cited command by command in
//! `drivers/polatis`; framing from a public TL1 library (archive id:36840253885) and
//! cloudshell-L1-polatis.
//!
//! Chosen by this project, because the sources do not specify it: a command before the login is
//! denied with PLNA; an unknown verb with ICNV, a missing block with IPNV, an invalid value with
//! IPNC, a busy or refused change with SROF; the texts of the codes; the date of the header is the
//! epoch plus the time of the model; the type of `RTRV-NETYPE` is `OCS`; the keyword of a closed
//! shutter is `CLOSED`, alarm states are joined by `&`; `ED-EQPT` TIMEOUT is in minutes, and 0
//! disables it; flaps are stored and returned without effect; SID is empty, shown as `( nil )`;
//! autonomous messages are `REPT EVT` and `REPT ALM`, until `OPR-ARC-EQPT::REPMGR`.

mod command;
mod framing;

use crate::{
    model::switch::{Switch, SwitchEvent},
    wire::{Reply, Session},
};
use framing::{ErrorCode, Request};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::broadcast;

/// Maximum length of a command, in bytes.
const MAX_COMMAND_BYTES: usize = 64 * 1024;

/// State that all connections share, in addition to the model.
#[derive(Default)]
struct SharedState {
    /// Flaps by port, as they were entered.
    flaps: BTreeMap<u32, String>,
    /// Idle timeout, in minutes; 0 disables it.
    timeout: u64,
}

/// TL1 front end of a switch.
#[derive(Clone)]
pub struct Tl1 {
    switch: Arc<Switch>,
    shared: Arc<Mutex<SharedState>>,
}

impl Tl1 {
    /// Creates the front end of a model.
    #[must_use]
    pub fn new(switch: Arc<Switch>) -> Self {
        Self {
            switch,
            shared: Arc::default(),
        }
    }
    /// Returns the state that commands can change in addition to the model, as text.
    #[must_use]
    pub fn state(&self) -> String {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        format!("flaps: {:?}, timeout: {} min", shared.flaps, shared.timeout)
    }
    /// Creates the session of a new connection without a login.
    #[must_use]
    pub fn session(&self) -> Tl1Session {
        Tl1Session {
            device: self.clone(),
            buffer: Vec::new(),
            overrun: false,
            user: None,
            last_command: Duration::ZERO,
            silenced: false,
            message_count: 0,
            events: self.switch.subscribe(),
        }
    }
}

/// Session of one connection.
pub struct Tl1Session {
    device: Tl1,
    buffer: Vec<u8>,
    /// Whether the present command exceeds [`MAX_COMMAND_BYTES`].
    overrun: bool,
    /// The user who is logged in.
    user: Option<String>,
    /// Time of the last command, by the clock of the model.
    last_command: Duration,
    /// Whether autonomous messages are silenced.
    silenced: bool,
    /// Number of autonomous messages so far, which is the tag of the last one.
    message_count: u32,
    events: broadcast::Receiver<SwitchEvent>,
}

impl Tl1Session {
    /// Locks the state that all connections share.
    fn state(&self) -> std::sync::MutexGuard<'_, SharedState> {
        self.device
            .shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
    fn now(&self) -> Duration {
        self.device.switch.clock().now()
    }

    fn answer(&mut self, text: &[u8]) -> Reply {
        let now = self.now();
        let idle = Duration::from_secs(self.state().timeout * 60);
        if !idle.is_zero() && now.saturating_sub(self.last_command) >= idle {
            self.user = None;
        }
        self.last_command = now;
        let (tag, result) = match Request::parse(text) {
            Ok(request) => {
                let tag = request.tag.clone();
                (tag, command::run(self, &request))
            }
            Err(denied) => ("0".to_owned(), Err(denied)),
        };
        let moved = matches!(&result, Ok(output) if output.moved);
        let reply = Reply::bytes(framing::response(
            now,
            &tag,
            result.map(|output| output.lines),
        ));
        if moved {
            reply.after(crate::model::switch::SETTLING)
        } else {
            reply
        }
    }

    fn autonomous(&mut self, event: &SwitchEvent) -> Option<String> {
        let (code, verb, line) = command::report(event)?;
        self.message_count += 1;
        Some(framing::autonomous(
            self.now(),
            code,
            self.message_count,
            verb,
            &line,
        ))
    }
}

impl Session for Tl1Session {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        let mut replies = Vec::new();
        for byte in bytes {
            if *byte != b';' {
                if self.buffer.len() < MAX_COMMAND_BYTES {
                    self.buffer.push(*byte);
                } else {
                    self.overrun = true;
                }
                continue;
            }
            let text = std::mem::take(&mut self.buffer);
            replies.push(if std::mem::take(&mut self.overrun) {
                Reply::bytes(framing::response(self.now(), "0", Err(ErrorCode::TOO_LONG)))
            } else {
                self.answer(&text)
            });
        }
        replies
    }
    fn is_waiting(&self) -> bool {
        self.user.is_some() && !self.silenced && !self.events.is_empty()
    }
    fn poll(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            replies.extend(self.autonomous(&event).map(Reply::bytes));
        }
        replies
    }
}

/// Feeds bytes to a connection after a login; must not panic for any input.
pub fn fuzz(input: &[u8]) {
    let identity = qkd_hal::Identity::new("Polatis").with_model("N-OST-4x4-LA1-DMHNS");
    let switch = Switch::new(
        identity,
        qkd_switch_hal::Geometry::matrix(4, 4),
        crate::Clock::manual(),
    );
    let mut connection = Tl1::new(Arc::new(switch)).session();
    connection.feed(b"ACT-USER::root:1::root;");
    connection.feed(input);
    connection.feed(b";");
    connection.poll();
}

#[cfg(test)]
mod tests;
