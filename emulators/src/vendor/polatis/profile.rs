//! Profiles of Polatis switches.

use super::{scpi::PolatisScpi, snmp, tl1::Tl1};
use crate::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    model::switch::{Switch, monitor::AlarmMode},
    profile::{
        InMemory, Options, Profile, RunningEmulator, Setting, StartupInfo,
        agents::{AgentAccess, COMMUNITY, TRAP_TARGET},
        controls::Controls,
        options::invalid,
    },
    server,
    wire::{
        ByteService, Session,
        snmp::{NodeOptions, SnmpAgent},
    },
};
use qkd_driver_kit::link::{memory::Endpoint, snmp::SnmpService};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use std::{io, sync::Arc};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[
    Profile {
        name: "polatis-16x16",
        title: "Polatis 16×16 matrix with power monitors, SCPI over TCP and over a serial console",
        settings: SETTINGS,
        has_wire: true,
        start: |p, o| Box::pin(start(p, o, MATRIX)),
        in_memory: |p, o| in_memory(p, o, MATRIX),
    },
    Profile {
        name: "polatis-ost-24x24",
        title: "Polatis I-OST 24×24 matrix, which has no power monitors",
        settings: SETTINGS,
        has_wire: true,
        start: |p, o| Box::pin(start(p, o, OST)),
        in_memory: |p, o| in_memory(p, o, OST),
    },
];

const SETTINGS: &[Setting] = &[
    TRAP_TARGET,
    COMMUNITY,
    Setting {
        name: "monitors",
        help: "egress (default) or all: which ports have power monitors, of a product code with \
               any",
        runtime: false,
    },
    Setting {
        name: "aps",
        help: "a protection group, as working>protecting@trigger, such as 1>2@17; default: none",
        runtime: false,
    },
    Setting {
        name: "size",
        help: "ingress and egress ports, such as 16x16; default: the profile's",
        runtime: false,
    },
    Setting {
        name: "serial",
        help: "serial number; default 002414",
        runtime: false,
    },
    Setting {
        name: "firmware",
        help: "firmware version; default 6.5.2.18",
        runtime: false,
    },
    Setting {
        name: "baud",
        help: "speed of the serial console; default 38400",
        runtime: false,
    },
    Setting {
        name: "busy-port",
        help: "what connecting a port in use does: reroute (default) or refuse",
        runtime: false,
    },
    Setting {
        name: "input",
        help: "light into an ingress port, as port:dBm, such as 3:-12.5; default 0 dBm into each",
        runtime: true,
    },
];

/// Product codes of the emulated switches.
const MATRIX: &str = "N-OST-16x16-LA1-DMHNS";
const OST: &str = "I-OST-24x24-LU1-DMHNS";

/// Sets up a protection group, and the alarm of its trigger.
fn protect(switch: &Switch, group: &str) -> Option<()> {
    let (working, rest) = group.split_once('>')?;
    let (protecting, trigger) = rest.split_once('@')?;
    let port = |text: &str| text.parse::<u32>().ok().filter(|p| switch.has_port(*p));
    let (working, protecting, trigger) = (port(working)?, port(protecting)?, port(trigger)?);
    switch
        .change_monitors(&[trigger], |m| {
            (m.los.mode, m.los.low) = (AlarmMode::Continuous, -30_000)
        })
        .ok()?;
    switch
        .change_aps(|aps| {
            aps.groups.entry(working).or_default().insert(protecting, 1);
            aps.triggers.entry(working).or_default().insert(trigger);
        })
        .ok()
}

/// The transports of a switch, in the order of its ends: SCPI over TCP, SCPI on the console, TL1,
/// SNMP.
struct Device {
    controls: Controls,
    scpi: Arc<dyn ByteService>,
    console: Arc<dyn ByteService>,
    tl1: Arc<dyn ByteService>,
    agent: Arc<dyn SnmpAgent>,
    clock: Clock,
}

fn build(options: &Options, code: &str) -> io::Result<Device> {
    let own = code
        .split('-')
        .find(|p| p.contains('x'))
        .unwrap_or_default();
    let size = options.text("size", own);
    let code = code.replace(own, size);
    let (ingress, egress) = options.size(own)?;
    let identity = Identity::new("Polatis")
        .with_model(&code)
        .with_serial(options.text("serial", "002414"))
        .with_firmware(options.text("firmware", "6.5.2.18"));
    let clock = Clock::default();
    let mut switch = Switch::new(identity, Geometry::matrix(ingress, egress), clock.clone());
    // Product codes with I-OST have no power monitors (devicecontrol-polatis).
    if code.starts_with("I-OST") {
        switch = switch.without_monitors();
    }
    if !options.reroutes()? {
        switch = switch.without_rerouting();
    }
    switch = match options.text("monitors", "egress") {
        "egress" => switch,
        "all" => switch.with_all_monitors(),
        other => return Err(invalid(format!("monitors={other}: it is egress or all"))),
    };
    for (_, group) in options.set.iter().filter(|(name, _)| name == "aps") {
        protect(&switch, group).ok_or_else(|| {
            invalid(format!(
                "aps={group}: it is working>protecting@trigger, such as 1>2@17, each a port"
            ))
        })?;
    }
    let switch = Arc::new(switch);
    let wire = PolatisScpi::new(Arc::clone(&switch));
    let tl1 = Tl1::new(Arc::clone(&switch));
    let agent = snmp::agent(
        Arc::clone(&switch),
        NodeOptions::named("polatis", super::ENTERPRISE),
    );
    let (shown, flaps) = (wire.clone(), tl1.clone());
    let faults = |end: u64, device: Arc<dyn ApplyDeviceFault>| {
        FaultInjector::new(options.seed.wrapping_add(end), Some(device))
    };
    let model = || Arc::clone(&switch) as Arc<dyn ApplyDeviceFault>;
    let ends = [
        faults(0, model()),
        faults(1, model()),
        faults(2, model()),
        faults(3, Arc::clone(&agent) as Arc<dyn ApplyDeviceFault>),
    ];
    let mut controls = Controls::new(ends, move || {
        format!("{}\n{}", shown.state(), flaps.state())
    });
    controls.add_runtime_setting("input", move |value| {
        let wrong = || format!("input={value}: it is port:dBm, such as 3:-12.5");
        let (port, power) = value.split_once(':').ok_or_else(wrong)?;
        let (port, power): (u32, f64) = (
            port.parse().map_err(|_| wrong())?,
            power.parse().map_err(|_| wrong())?,
        );
        if !(1..=ingress).contains(&port) || !(-100.0..=30.0).contains(&power) {
            return Err(format!(
                "input={value}: the ingress ports are 1 to {ingress}, powers from -100 to 30 dBm"
            ));
        }
        switch.set_input_power(port, power);
        Ok(())
    });
    for (_, value) in options.set.iter().filter(|(name, _)| name == "input") {
        controls.set("input", value).map_err(invalid)?;
    }
    let console = wire.clone();
    Ok(Device {
        controls,
        scpi: Arc::new(move || Box::new(wire.session()) as Box<dyn Session>),
        console: Arc::new(move || Box::new(console.console()) as Box<dyn Session>),
        tl1: Arc::new(move || Box::new(tl1.session()) as Box<dyn Session>),
        agent,
        clock,
    })
}

async fn start(
    profile: &'static Profile,
    options: &Options,
    code: &str,
) -> io::Result<RunningEmulator> {
    let Device {
        controls,
        scpi,
        console,
        tl1,
        agent,
        clock,
    } = build(options, code)?;
    let baud = options.number("baud", 38_400)?;
    let mut ready = StartupInfo::new(profile.name);
    let served = AgentAccess::new(options, &mut ready, false)?;
    let listener = tokio::net::TcpListener::bind(options.address(0)).await?;
    let address = listener.local_addr()?;
    ready.endpoint("tcp", address, Some(format!("polatis+tcp://{address}")));
    let port = server::pty::Pty::open(baud, options.pty_link.as_deref(), controls.faults(1))?;
    let path = port.path().display().to_string();
    ready.endpoint(
        "serial",
        &path,
        Some(format!("polatis+serial://{path}?baud={baud}")),
    );
    let tl1_listener = tokio::net::TcpListener::bind(options.address(1)).await?;
    let address = tl1_listener.local_addr()?;
    ready.endpoint(
        "tcp",
        address,
        Some(format!("polatis+tcp://{address}?protocol=tl1")),
    );
    let server = served
        .bind(
            &mut ready,
            options.address(2),
            agent,
            controls.faults(3),
            ("polatis", ""),
        )
        .await?;
    let [of_scpi, of_console, of_tl1] = [0, 1, 2].map(|end| controls.faults(end));
    let mut running = RunningEmulator::new(ready, controls);
    running.serve(server::tcp::serve(listener, scpi, of_scpi, clock.clone()));
    running.serve(server::pty::serve(
        port,
        baud,
        console,
        of_console,
        clock.clone(),
    ));
    running.serve(server::tcp::serve(tl1_listener, tl1, of_tl1, clock));
    running.serve(server.run());
    running.keep(served.files);
    Ok(running)
}

fn in_memory(profile: &'static Profile, options: &Options, code: &str) -> io::Result<InMemory> {
    let Device {
        controls,
        scpi,
        console,
        tl1,
        agent,
        clock,
    } = build(options, code)?;
    let [of_scpi, of_console, of_tl1] = [0, 1, 2].map(|end| controls.faults(end));
    let mut memory = InMemory::new(controls);
    let name = |wire: &str| format!("{}{wire}", profile.name);
    memory.uri("polatis", profile.name, "");
    memory.bytes(profile.name, scpi, of_scpi, clock.clone());
    memory.uri("polatis", &name("-console"), "");
    memory.bytes(&name("-console"), console, of_console, clock.clone());
    memory.uri("polatis", &name("-tl1"), "?protocol=tl1");
    memory.bytes(&name("-tl1"), tl1, of_tl1, clock);
    memory.uri("polatis", &name("-snmp"), "?protocol=snmp");
    memory.endpoint(
        name("-snmp"),
        Endpoint::Snmp(Arc::clone(&agent) as Arc<dyn SnmpService>),
    );
    memory.run(async move { server::snmp::tick(agent.as_ref()).await });
    Ok(memory)
}
