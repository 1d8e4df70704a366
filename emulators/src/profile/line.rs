//! A device with one byte protocol: on a serial line, also on TCP, or in memory.

use super::{InMemory, Options, Profile, RunningEmulator, StartupInfo, controls::Controls};
use crate::{Clock, server, wire::ByteService};
use std::{io, sync::Arc};
use tokio::net::TcpListener;

/// The device before it is on a wire.
pub(crate) struct LineProfile {
    /// Name of the driver.
    pub(crate) driver: &'static str,
    /// Of its URIs, such as `model=ff`; none if empty.
    pub(crate) parameters: String,
    pub(crate) controls: Controls,
    pub(crate) service: Arc<dyn ByteService>,
    pub(crate) clock: Clock,
}

fn query(parameters: &[&str]) -> String {
    let given: Vec<_> = parameters
        .iter()
        .copied()
        .filter(|p| !p.is_empty())
        .collect();
    if given.is_empty() {
        String::new()
    } else {
        format!("?{}", given.join("&"))
    }
}

impl LineProfile {
    /// On a pseudo-terminal of this speed; `serial` are parameters of its URI only.
    pub(crate) fn on_serial(
        self,
        profile: &'static Profile,
        options: &Options,
        baud: u32,
        serial: &str,
    ) -> io::Result<RunningEmulator> {
        self.run(profile, options, baud, serial, None)
    }

    /// On TCP, and on a pseudo-terminal.
    pub(crate) async fn on_tcp_and_serial(
        self,
        profile: &'static Profile,
        options: &Options,
        baud: u32,
        serial: &str,
    ) -> io::Result<RunningEmulator> {
        let listener = TcpListener::bind(options.address(0)).await?;
        self.run(profile, options, baud, serial, Some(listener))
    }

    fn run(
        self,
        profile: &'static Profile,
        options: &Options,
        baud: u32,
        serial: &str,
        tcp: Option<TcpListener>,
    ) -> io::Result<RunningEmulator> {
        let Self {
            driver,
            parameters,
            controls,
            service,
            clock,
        } = self;
        let faults = controls.faults(0);
        let mut ready = StartupInfo::new(profile.name);
        if let Some(listener) = &tcp {
            let address = listener.local_addr()?;
            ready.endpoint(
                "tcp",
                address,
                Some(format!("{driver}+tcp://{address}{}", query(&[&parameters]))),
            );
        }
        let port = server::pty::Pty::open(baud, options.pty_link.as_deref(), faults.clone())?;
        let path = port.path().display().to_string();
        ready.endpoint(
            "serial",
            &path,
            Some(format!(
                "{driver}+serial://{path}{}",
                query(&[&parameters, serial])
            )),
        );
        let mut running = RunningEmulator::new(ready, controls);
        if let Some(listener) = tcp {
            running.serve(server::tcp::serve(
                listener,
                Arc::clone(&service),
                faults.clone(),
                clock.clone(),
            ));
        }
        running.serve(server::pty::serve(port, baud, service, faults, clock));
        Ok(running)
    }

    /// Creates the in-memory emulator.
    pub(crate) fn in_memory(self, profile: &'static Profile) -> InMemory {
        let faults = self.controls.faults(0);
        let mut memory = InMemory::new(self.controls);
        memory.uri(self.driver, profile.name, &query(&[&self.parameters]));
        memory.bytes(profile.name, self.service, faults, self.clock);
        memory
    }
}
