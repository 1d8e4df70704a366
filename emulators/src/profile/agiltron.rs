//! Agiltron switches.

use super::{Options, Profile, Ready, Running, Setting, options::invalid};
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

pub(super) const FF: &[Setting] = &[Setting { name: "channels", help: "how many channels; default 4", live: false }];
pub(super) const SELF_ALIGN: &[Setting] = &[Setting { name: "channels", help: "how many channels; default 16", live: false }];

pub(super) async fn ff(profile: &'static Profile, options: &Options) -> io::Result<Running> {
    start(profile, options, Model::Ff, "ff", 4)
}

pub(super) async fn self_align(profile: &'static Profile, options: &Options) -> io::Result<Running> {
    start(profile, options, Model::SelfAlign, "selfalign", 16)
}

fn start(profile: &'static Profile, options: &Options, model: Model, name: &str, default: u32) -> io::Result<Running> {
    let channels: u32 = options.number("channels", default)?;
    // The frame has one byte for the channel.
    if !(2..=255).contains(&channels) {
        return Err(invalid(format!("channels={channels}: there are 2 to 255")));
    }
    let clock = Clock::default();
    let switch = Arc::new(Switch::new(Identity::of("Agiltron"), Geometry::one_by(channels), clock.clone()));
    let faults = Faults::new(options.seed, Some(Arc::clone(&switch) as Arc<dyn Faulty>));
    let service: Arc<dyn ByteService> = Arc::new(move || Box::new(Agiltron::new(model, Arc::clone(&switch))) as Box<dyn Session>);
    let port = shell::pty::Port::open(BAUD, options.pty_link.as_deref(), faults.clone())?;
    let path = port.path().display().to_string();
    let mut ready = Ready::new(profile.name);
    ready.endpoint("serial", &path, Some(format!("agiltron+serial://{path}?model={name}&channels={channels}")));
    let mut running = Running::new(ready, vec![faults.clone()]);
    running.serve(shell::pty::serve(port, BAUD, service, faults, clock));
    Ok(running)
}
