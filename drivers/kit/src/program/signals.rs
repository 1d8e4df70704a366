//! Signals that end a program: Ctrl-C, `kill`, loss of the terminal.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that ends a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndSignal {
    /// `SIGINT`, sent by Ctrl-C.
    Interrupt,
    /// `SIGTERM`, sent by `kill`.
    Terminate,
    /// `SIGHUP`: the terminal was lost.
    HangUp,
}

impl EndSignal {
    const ALL: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::HangUp];

    fn kind(self) -> SignalKind {
        match self {
            Self::Interrupt => SignalKind::interrupt(),
            Self::Terminate => SignalKind::terminate(),
            Self::HangUp => SignalKind::hangup(),
        }
    }

    /// Its name, such as `SIGINT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "SIGHUP",
        }
    }

    /// The exit code of a program that it ended, as shells count: 128 and its number.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::HangUp => 129,
        }
    }
}

/// The signals of this process that end it, from now on.
#[derive(Debug)]
pub struct EndSignals([Option<Signal>; 3]);

impl EndSignals {
    /// Listens. A signal that whoever started this process has it ignore stays ignored: `nohup`
    /// does so with `SIGHUP`, and a script with `SIGINT` of what it starts in the background.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored_signals();
        let listen = |end: EndSignal| {
            let number = end.kind().as_raw_value();
            let is_ignored = ignored >> (number - 1) & 1 == 1;
            (!is_ignored).then(|| signal(end.kind())).transpose()
        };
        let [interrupt, terminate, hang_up] = EndSignal::ALL.map(listen);
        Ok(Self([interrupt?, terminate?, hang_up?]))
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> EndSignal {
        async fn received(signal: &mut Option<Signal>) {
            if let Some(signal) = signal
                && signal.recv().await.is_some()
            {
                return;
            }
            std::future::pending().await
        }
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            () = received(interrupt) => EndSignal::Interrupt,
            () = received(terminate) => EndSignal::Terminate,
            () = received(hang_up) => EndSignal::HangUp,
        }
    }
}

/// The signals that this process ignores, one bit each; none where `/proc` does not say.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
