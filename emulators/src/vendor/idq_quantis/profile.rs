//! ID Quantique Quantis, exported over USB/IP.

use super::Quantis;
use crate::{
    Clock, FaultInjector,
    fault::{ApplyDeviceFault, DeviceFault},
    model::random::RandomModel,
    profile::{
        InMemory, Options, Profile, RunningEmulator, Setting, StartupInfo, controls::Controls,
        options::invalid,
    },
    server,
    wire::{
        ByteService, Session,
        usb::{Chapter9, usbip::UsbIp},
    },
};
use qkd_driver_kit::link::{memory::Endpoint, usb::UsbService};
use std::{io, sync::Arc};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "idq-quantis",
    title: "ID Quantique Quantis USB, exported over USB/IP",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(start(p, o)),
    in_memory,
}];

const SETTINGS: &[Setting] = &[
    Setting {
        name: "serial",
        help: "serial number; default FFFFFFFFFF",
        runtime: false,
    },
    Setting {
        name: "bus-id",
        help: "USB/IP bus id; default 1-1",
        runtime: false,
    },
];

/// The device and its transport, for faults.
struct Device {
    usb: Arc<Chapter9<Quantis>>,
    random: Arc<RandomModel>,
}

impl ApplyDeviceFault for Device {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        match fault {
            DeviceFault::Unplug => self.usb.set_unplugged(true),
            DeviceFault::Stall => self.usb.model().stall_next(),
            DeviceFault::Short => self.usb.model().shorten_next(),
            DeviceFault::Fail => self.random.set_failed(true),
            DeviceFault::Constant(value) => self.random.set_constant(Some(*value)),
            DeviceFault::Identity(serial) => self.random.base().replace_device(serial),
            DeviceFault::Operator(action) if action == "disable" => self.random.set_enabled(false),
            DeviceFault::Operator(action) if action == "enable" => self.random.set_enabled(true),
            DeviceFault::Clear => {
                self.usb.set_unplugged(false);
                self.random.set_failed(false);
                self.random.set_constant(None);
                self.random.set_enabled(true);
            }
            other => {
                return Err(format!(
                    "a Quantis has no fault {other:?}; it has unplug, stall, short, fail, \
                     constant, identity, operator=disable, operator=enable, clear"
                ));
            }
        }
        self.usb.wake();
        Ok(())
    }
}

fn build(options: &Options) -> (Controls, Arc<dyn UsbService>) {
    let random = Arc::new(RandomModel::new(
        options.seed,
        options.text("serial", "FFFFFFFFFF"),
    ));
    let usb = Arc::new(Chapter9::new(Quantis::new(Arc::clone(&random))));
    let faults = FaultInjector::new(
        options.seed,
        Some(Arc::new(Device {
            usb: Arc::clone(&usb),
            random: Arc::clone(&random),
        })),
    );
    usb.set_faults(faults.clone());
    (Controls::new([faults], move || random.state()), usb)
}

async fn start(profile: &'static Profile, options: &Options) -> io::Result<RunningEmulator> {
    let bus_id = options.text("bus-id", "1-1").to_owned();
    if bus_id.is_empty() || bus_id.len() > 31 {
        return Err(invalid("bus-id has 1 to 31 characters"));
    }
    let (controls, usb) = build(options);
    let faults = controls.faults(0);
    let listener = tokio::net::TcpListener::bind(options.address(0)).await?;
    let address = listener.local_addr()?;
    let mut ready = StartupInfo::new(profile.name);
    ready.endpoint(
        "usbip",
        address,
        Some(format!("idq-quantis+usbip://{address}/{bus_id}")),
    );
    let mut running = RunningEmulator::new(ready, controls);
    let taken = Arc::default();
    let service: Arc<dyn ByteService> = Arc::new(move || {
        Box::new(UsbIp::new(Arc::clone(&usb), &bus_id, Arc::clone(&taken))) as Box<dyn Session>
    });
    running.serve(server::tcp::serve(
        listener,
        service,
        faults,
        Clock::default(),
    ));
    Ok(running)
}

fn in_memory(profile: &'static Profile, options: &Options) -> io::Result<InMemory> {
    let (controls, usb) = build(options);
    let mut memory = InMemory::new(controls);
    memory.uri("idq-quantis", profile.name, "");
    memory.endpoint(profile.name, Endpoint::Usb(usb));
    Ok(memory)
}
