//! Polatis switches.

use super::{InMemory, Options, Profile, Ready, Running, Setting, controls::Controls, options::invalid};
use crate::{
    Clock, Faults,
    fault::Faulty,
    model::switch::Switch,
    shell,
    wire::{ByteService, Session, scpi::Polatis},
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use std::{io, sync::Arc};

pub(super) const SETTINGS: &[Setting] = &[
    Setting { name: "size", help: "ingress and egress ports, such as 16x16; default: the profile's", live: false },
    Setting { name: "serial", help: "serial number; default 002414", live: false },
    Setting { name: "firmware", help: "firmware version; default 6.5.2.18", live: false },
    Setting { name: "baud", help: "speed of the serial console; default 38400", live: false },
    Setting { name: "busy-port", help: "what connecting a port in use does: reroute (default) or refuse", live: false },
    Setting { name: "input", help: "light into an ingress port, as port:dBm, such as 3:-12.5; default 0 dBm into each", live: true },
];

/// Product codes.
pub(super) const MATRIX: &str = "N-OST-16x16-LA1-DMHNS";
pub(super) const OST: &str = "I-OST-24x24-LU1-DMHNS";

struct Device {
    controls: Controls,
    service: Arc<dyn ByteService>,
    console: Arc<dyn ByteService>,
    clock: Clock,
}

fn build(options: &Options, code: &str) -> io::Result<Device> {
    let own = code.split('-').find(|p| p.contains('x')).unwrap_or_default();
    let size = options.text("size", own);
    let code = code.replace(own, size);
    let (ingress, egress) = options.size(own)?;
    let identity = Identity::of("Polatis").with_model(&code).with_serial(options.text("serial", "002414")).with_firmware(options.text("firmware", "6.5.2.18"));
    let clock = Clock::default();
    let mut switch = Switch::new(identity, Geometry::matrix(ingress, egress), clock.clone());
    // Product codes with I-OST have no power monitors (devicecontrol-polatis).
    if code.starts_with("I-OST") {
        switch = switch.without_monitors();
    }
    if !options.reroutes()? {
        switch = switch.without_rerouting();
    }
    let switch = Arc::new(switch);
    let wire = Polatis::new(Arc::clone(&switch));
    let shown = wire.clone();
    let faults = Faults::new(options.seed, Some(Arc::clone(&switch) as Arc<dyn Faulty>));
    let mut controls = Controls::new([faults], move || shown.state());
    controls.live("input", move |value| {
        let wrong = || format!("input={value}: it is port:dBm, such as 3:-12.5");
        let (port, power) = value.split_once(':').ok_or_else(wrong)?;
        let (port, power): (u32, f64) = (port.parse().map_err(|_| wrong())?, power.parse().map_err(|_| wrong())?);
        if !(1..=ingress).contains(&port) || !(-100.0..=30.0).contains(&power) {
            return Err(format!("input={value}: the ingress ports are 1 to {ingress}, powers from -100 to 30 dBm"));
        }
        switch.set_input(port, power);
        Ok(())
    });
    for (_, value) in options.set.iter().filter(|(name, _)| name == "input") {
        controls.set("input", value).map_err(invalid)?;
    }
    let console = wire.clone();
    Ok(Device {
        controls,
        service: Arc::new(move || Box::new(wire.session()) as Box<dyn Session>),
        console: Arc::new(move || Box::new(console.console()) as Box<dyn Session>),
        clock,
    })
}

pub(super) async fn start(profile: &'static Profile, options: &Options, code: &str) -> io::Result<Running> {
    let Device { controls, service, console, clock } = build(options, code)?;
    let faults = controls.faults(0);
    let baud = options.number("baud", 38_400)?;
    let mut ready = Ready::new(profile.name);
    let listener = tokio::net::TcpListener::bind(options.address(0)).await?;
    let address = listener.local_addr()?;
    ready.endpoint("tcp", address, Some(format!("polatis+tcp://{address}")));
    let port = shell::pty::Port::open(baud, options.pty_link.as_deref(), faults.clone())?;
    let path = port.path().display().to_string();
    ready.endpoint("serial", &path, Some(format!("polatis+serial://{path}?baud={baud}")));
    let mut running = Running::new(ready, controls);
    running.serve(shell::tcp::serve(listener, service, faults.clone(), clock.clone()));
    running.serve(shell::pty::serve(port, baud, console, faults, clock));
    Ok(running)
}

pub(super) fn in_memory(profile: &'static Profile, options: &Options, code: &str) -> io::Result<InMemory> {
    let Device { controls, service, clock, .. } = build(options, code)?;
    let faults = controls.faults(0);
    let mut memory = InMemory::new(controls);
    memory.uri("polatis", profile.name, "");
    memory.bytes(profile.name, service, faults, clock);
    Ok(memory)
}
