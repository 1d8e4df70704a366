//! Profiles of DiCon switches.

use super::{gp600::DiconGp600, mems::DiconMems};
use crate::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    model::switch::Switch,
    profile::{
        InMemory, Options, Profile, RunningEmulator, Setting, controls::Controls,
        line::LineProfile, options::invalid,
    },
    wire::Session,
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use std::{future::ready, io, sync::Arc};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[
    Profile {
        name: "dicon-gp600",
        title: "DiCon GP600 matrix switch, ASCII over TCP and on a serial line",
        settings: GP600,
        has_wire: true,
        start: |p, o| Box::pin(gp600(p, o)),
        in_memory: gp600_in_memory,
    },
    Profile {
        name: "dicon-mems",
        title: "DiCon MEMS 1×N module on a serial line",
        settings: MEMS,
        has_wire: true,
        start: |p, o| Box::pin(ready(mems(p, o))),
        in_memory: mems_in_memory,
    },
];

const MEMS_BAUD: u32 = 115_200;
const GP600_BAUD: u32 = 9600;

const MEMS: &[Setting] = &[
    Setting {
        name: "channels",
        help: "how many channels; default 16",
        runtime: false,
    },
    Setting {
        name: "id",
        help: "reply to ID?, one line of free text; default: MEMS 1xN",
        runtime: false,
    },
];

const GP600: &[Setting] = &[
    Setting {
        name: "size",
        help: "inputs and outputs, such as 16x16, which is the default",
        runtime: false,
    },
    Setting {
        name: "serial",
        help: "serial number; default 19A0M10D0117",
        runtime: false,
    },
    Setting {
        name: "firmware",
        help: "firmware version; default 7.0",
        runtime: false,
    },
    Setting {
        name: "wavelengths",
        help: "calibrated wavelengths in nm; default 1310,1550",
        runtime: false,
    },
    Setting {
        name: "baud",
        help: "speed of the serial line, which is not public; default 9600",
        runtime: false,
    },
    Setting {
        name: "busy-port",
        help: "what connecting an output in use does, which is not public: reroute (default) or \
               refuse",
        runtime: false,
    },
];

fn mems_line(options: &Options) -> io::Result<LineProfile> {
    let channels = options.channels(16, 999)?;
    let identity =
        Identity::new("DiCon").with_model(options.text("id", &format!("MEMS 1x{channels}")));
    let clock = Clock::default();
    let device = DiconMems::new(Arc::new(Switch::new(
        identity,
        Geometry::OneByN {
            channels,
            dark: true,
        },
        clock.clone(),
    )));
    let faults = FaultInjector::new(
        options.seed,
        Some(Arc::new(device.clone()) as Arc<dyn ApplyDeviceFault>),
    );
    let shown = device.clone();
    let controls = Controls::new([faults], move || shown.state());
    let service = Arc::new(move || Box::new(device.session()) as Box<dyn Session>);
    Ok(LineProfile {
        driver: "dicon",
        parameters: "model=mems".to_owned(),
        controls,
        service,
        clock,
    })
}

fn gp600_line(options: &Options) -> io::Result<LineProfile> {
    let (inputs, outputs) = options.size("16x16")?;
    let text = options.text("wavelengths", "1310,1550");
    let wavelengths: Vec<u32> = text
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid(format!("wavelengths={text}: they are such as 1310,1550")))?;
    let identity = Identity::new("Dicon Fiberoptics Inc")
        .with_model("GP600")
        .with_serial(options.text("serial", "19A0M10D0117"))
        .with_firmware(options.text("firmware", "7.0"));
    let clock = Clock::default();
    let switch =
        Switch::new(identity, Geometry::matrix(inputs, outputs), clock.clone()).without_monitors();
    let mut device = DiconGp600::new(Arc::new(switch), wavelengths);
    if !options.reroutes()? {
        device = device.refusing_busy_outputs();
    }
    let faults = FaultInjector::new(
        options.seed,
        Some(Arc::new(device.clone()) as Arc<dyn ApplyDeviceFault>),
    );
    let shown = device.clone();
    let controls = Controls::new([faults], move || shown.state());
    let service = Arc::new(move || Box::new(device.session()) as Box<dyn Session>);
    Ok(LineProfile {
        driver: "dicon",
        parameters: "model=gp600".to_owned(),
        controls,
        service,
        clock,
    })
}

fn mems(profile: &'static Profile, options: &Options) -> io::Result<RunningEmulator> {
    mems_line(options)?.on_serial(profile, options, MEMS_BAUD, "")
}

fn mems_in_memory(profile: &'static Profile, options: &Options) -> io::Result<InMemory> {
    Ok(mems_line(options)?.in_memory(profile))
}

async fn gp600(profile: &'static Profile, options: &Options) -> io::Result<RunningEmulator> {
    let baud = options.number("baud", GP600_BAUD)?;
    gp600_line(options)?
        .on_tcp_and_serial(profile, options, baud, &format!("baud={baud}"))
        .await
}

fn gp600_in_memory(profile: &'static Profile, options: &Options) -> io::Result<InMemory> {
    Ok(gp600_line(options)?.in_memory(profile))
}
