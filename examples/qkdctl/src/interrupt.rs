//! Signals that end the program: immediately while it only reads; during a change, after the step
//! in progress is finished.

use qkd_driver_kit::program::{
    console,
    signals::{EndSignal, EndSignals},
};
use qkd_hal::{Error, ErrorKind, Result};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};
use tokio::sync::watch;

use crate::exit;

/// Maximum time that the program waits for a line about a signal: the terminal may be stopped.
const LINE_TIMEOUT: Duration = Duration::from_millis(500);

/// Maximum time between a signal and the end of a command that only reads.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Work during which a signal can arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A change of a device: it ends after the present step at the first signal, and immediately at
    /// the second.
    Change,
    /// A view that ends when it is notified.
    View,
    /// Something that listens for signals itself.
    Other,
}

#[derive(Debug, Default)]
struct State {
    work: Vec<Work>,
    first: Option<EndSignal>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The first signal, for work that began before it.
    first: watch::Sender<Option<EndSignal>>,
    /// The signal at which the program ends immediately.
    end: watch::Sender<Option<EndSignal>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn received(&self, signal: EndSignal) {
        let mut state = self.state();
        let work = state.work.last().copied();
        if work == Some(Work::Other) {
            return;
        }
        if state.first.is_some() {
            let is_change = work == Some(Work::Change);
            let code = if is_change {
                exit::EXIT_STATE_CHANGED
            } else {
                signal.exit_code()
            };
            let warning = if is_change {
                "; a change was under way: read the state of the devices"
            } else {
                ""
            };
            print_line(format!(
                "{} again: ends immediately{warning}",
                signal.name()
            ));
            std::process::exit(code.into());
        }
        state.first = Some(signal);
        drop(state);
        self.first.send_replace(Some(signal));
        match work {
            Some(Work::Change) => print_line(format!(
                "{}: completes the present step and reads back; a second signal ends immediately",
                signal.name()
            )),
            Some(_) => {}
            None => {
                self.end.send_replace(Some(signal));
                // The main thread may be blocked, such as by a pipe that is not read.
                std::thread::spawn(move || {
                    std::thread::sleep(END_TIMEOUT);
                    std::process::exit(signal.exit_code().into());
                });
            }
        }
    }
}

/// Writes a line to standard error, and waits for it only so long.
fn print_line(text: String) {
    let (written, wait) = mpsc::channel();
    std::thread::spawn(move || {
        console::error_line(&text);
        let _ = written.send(());
    });
    let _ = wait.recv_timeout(LINE_TIMEOUT);
}

/// The signals of this program.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<Shared>);

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            first: watch::Sender::new(None),
            end: watch::Sender::new(None),
        });
        let mut signals = EndSignals::listen()?;
        let listener = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                listener.received(signals.next().await);
            }
        });
        Ok(Self(shared))
    }

    /// Begins work of a kind, which lasts until the guard is dropped.
    ///
    /// # Errors
    /// `Closed`, if a signal came before: nothing is begun any more.
    pub(crate) fn begin(&self, work: Work) -> Result<Guard> {
        let mut state = self.0.state();
        if let Some(signal) = state.first {
            return Err(Error::new(
                ErrorKind::Closed,
                format!("{} came before anything was changed", signal.name()),
            ));
        }
        state.work.push(work);
        Ok(Guard {
            shared: Arc::clone(&self.0),
            work,
        })
    }

    /// Waits for a signal that ends the program while nothing is under way.
    pub(crate) async fn ended(&self) -> EndSignal {
        received(&self.0.end).await
    }
}

/// Work that is under way.
#[derive(Debug)]
pub(crate) struct Guard {
    shared: Arc<Shared>,
    work: Work,
}

impl Guard {
    /// The signal that came meanwhile. No further step is begun then.
    pub(crate) fn signal(&self) -> Option<EndSignal> {
        *self.shared.first.borrow()
    }

    /// Waits for the first signal.
    pub(crate) async fn signalled(&self) -> EndSignal {
        received(&self.shared.first).await
    }

    /// Returns the exit code of a change that ended with `code`, after its result was printed.
    pub(crate) fn exit_code(&self, code: u8) -> u8 {
        match self.signal() {
            Some(signal) => {
                console::error_line(&format!(
                    "{} arrived during a change, whose result is printed above",
                    signal.name()
                ));
                exit::EXIT_STATE_CHANGED
            }
            None => code,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(place) = state.work.iter().rposition(|w| *w == self.work) {
            state.work.remove(place);
        }
    }
}

async fn received(of: &watch::Sender<Option<EndSignal>>) -> EndSignal {
    let mut receiver = of.subscribe();
    loop {
        if let Some(signal) = *receiver.borrow_and_update() {
            return signal;
        }
        if receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
