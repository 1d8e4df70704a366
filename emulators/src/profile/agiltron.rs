//! Agiltron switches.

use super::{InMemory, Options, Profile, Ready, Running, Setting, controls::Controls, options::invalid};
use crate::{
    Clock, Faults,
    fault::Faulty,
    model::switch::Switch,
    shell,
    wire::{
        ByteService, Session,
        agiltron::{Agiltron, Model},
    },
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use std::{io, sync::Arc};

const BAUD: u32 = 9600;

/// A product.
pub(super) struct Kind {
    model: Model,
    /// The URI's word for it.
    word: &'static str,
    /// How many channels by default.
    channels: u32,
    pub(super) settings: &'static [Setting],
}

pub(super) static FF: Kind =
    Kind { model: Model::Ff, word: "ff", channels: 4, settings: &[Setting { name: "channels", help: "how many channels; default 4", live: false }] };
pub(super) static SELF_ALIGN: Kind = Kind {
    model: Model::SelfAlign,
    word: "selfalign",
    channels: 16,
    settings: &[Setting { name: "channels", help: "how many channels; default 16", live: false }],
};

struct Device {
    controls: Controls,
    service: Arc<dyn ByteService>,
    clock: Clock,
    /// Of its URI.
    parameters: String,
}

fn build(options: &Options, kind: &Kind) -> io::Result<Device> {
    let model = kind.model;
    let channels: u32 = options.number("channels", kind.channels)?;
    // The frame has one byte for the channel.
    if !(2..=255).contains(&channels) {
        return Err(invalid(format!("channels={channels}: there are 2 to 255")));
    }
    let clock = Clock::default();
    let switch = Arc::new(Switch::new(Identity::of("Agiltron"), Geometry::one_by(channels), clock.clone()));
    let faults = Faults::new(options.seed, Some(Arc::clone(&switch) as Arc<dyn Faulty>));
    let shown = Arc::clone(&switch);
    let controls = Controls::new([faults], move || shown.state());
    let service = Arc::new(move || Box::new(Agiltron::new(model, Arc::clone(&switch))) as Box<dyn Session>);
    Ok(Device { controls, service, clock, parameters: format!("?model={}&channels={channels}", kind.word) })
}

pub(super) async fn start(profile: &'static Profile, options: &Options, kind: &Kind) -> io::Result<Running> {
    let Device { controls, service, clock, parameters } = build(options, kind)?;
    let faults = controls.faults(0);
    let port = shell::pty::Port::open(BAUD, options.pty_link.as_deref(), faults.clone())?;
    let path = port.path().display().to_string();
    let mut ready = Ready::new(profile.name);
    ready.endpoint("serial", &path, Some(format!("agiltron+serial://{path}{parameters}")));
    let mut running = Running::new(ready, controls);
    running.serve(shell::pty::serve(port, BAUD, service, faults, clock));
    Ok(running)
}

pub(super) fn in_memory(profile: &'static Profile, options: &Options, kind: &Kind) -> io::Result<InMemory> {
    let Device { controls, service, clock, parameters } = build(options, kind)?;
    let faults = controls.faults(0);
    let mut memory = InMemory::new(controls);
    memory.uri("agiltron", profile.name, &parameters);
    memory.bytes(profile.name, service, faults, clock);
    Ok(memory)
}
