//! Standard requests (USB 2.0, chapter 9) in front of a device model.

use crate::fault::{FaultInjector, TextFormat};
use qkd_driver_kit::link::usb::{Completion, SetupPacket, UsbService};
use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

/// A device without its standard requests.
pub trait UsbModel: Send + Sync {
    /// The device descriptor (9.6.1).
    fn device_descriptor(&self) -> Vec<u8>;
    /// The configuration descriptor with all that follows it (9.6.3).
    fn configuration_descriptor(&self) -> Vec<u8>;
    /// A string, by its index.
    fn string(&self, index: u8) -> Option<String>;
    /// A class or vendor request.
    fn request(&self, setup: SetupPacket, data: &[u8]) -> Completion;
    /// Data to the host.
    fn read(&self, endpoint: u8, length: usize) -> Completion;
    /// Data from the host.
    fn write(&self, endpoint: u8, data: &[u8]) -> Completion;
}

#[derive(Default)]
struct State {
    configuration: u8,
    halted: BTreeSet<u8>,
    generation: u64,
    gone: bool,
}

/// A model with its standard requests.
pub struct Chapter9<M> {
    model: M,
    state: Mutex<State>,
    change: Condvar,
    /// The faults of its strings.
    faults: OnceLock<FaultInjector>,
}

/// GET_STATUS, CLEAR_FEATURE, SET_FEATURE, SET_ADDRESS, GET_DESCRIPTOR, GET_CONFIGURATION,
/// SET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE (Table 9-4).
mod request {
    pub(super) const GET_STATUS: u8 = 0;
    pub(super) const CLEAR_FEATURE: u8 = 1;
    pub(super) const SET_FEATURE: u8 = 3;
    pub(super) const SET_ADDRESS: u8 = 5;
    pub(super) const GET_DESCRIPTOR: u8 = 6;
    pub(super) const GET_CONFIGURATION: u8 = 8;
    pub(super) const SET_CONFIGURATION: u8 = 9;
    pub(super) const GET_INTERFACE: u8 = 10;
    pub(super) const SET_INTERFACE: u8 = 11;
}

impl<M: UsbModel> Chapter9<M> {
    /// A device that is attached and powered, in its configuration 1 as a host leaves it.
    pub fn new(model: M) -> Self {
        Self {
            model,
            state: Mutex::new(State {
                configuration: 1,
                ..State::default()
            }),
            change: Condvar::new(),
            faults: OnceLock::new(),
        }
    }
    /// Returns the model of the device.
    pub fn model(&self) -> &M {
        &self.model
    }
    /// Applies the `hostile-text` of these faults to its strings. A second call changes nothing.
    pub fn set_faults(&self, faults: FaultInjector) {
        let _ = self.faults.set(faults);
    }
    /// Unplugs the device (`true`), or plugs it in (`false`).
    pub fn set_unplugged(&self, gone: bool) {
        self.lock().gone = gone;
        self.wake();
    }
    /// Wakes transfers that wait.
    pub fn wake(&self) {
        self.lock().generation += 1;
        self.change.notify_all();
    }
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn descriptor(&self, value: u16) -> Option<Vec<u8>> {
        let [kind, index] = value.to_be_bytes();
        match (kind, index) {
            (1, 0) => Some(self.model.device_descriptor()),
            (2, 0) => Some(self.model.configuration_descriptor()),
            // The languages: US English.
            (3, 0) => Some(vec![4, 3, 0x09, 0x04]),
            (3, i) => {
                let text = self.model.string(i)?;
                let text = match self.faults.get() {
                    Some(faults) => {
                        let bytes =
                            faults.insert_hostile_text(text.into_bytes(), TextFormat::Whole);
                        String::from_utf8_lossy(&bytes).into_owned()
                    }
                    None => text,
                };
                let text: Vec<u8> = text
                    .encode_utf16()
                    .take(126)
                    .flat_map(u16::to_le_bytes)
                    .collect();
                let mut bytes = vec![u8::try_from(text.len() + 2).ok()?, 3];
                bytes.extend(text);
                Some(bytes)
            }
            _ => None,
        }
    }

    fn standard(&self, setup: SetupPacket) -> Completion {
        let answer = |mut bytes: Vec<u8>| {
            bytes.truncate(usize::from(setup.length));
            Completion::Data(bytes)
        };
        let endpoint = setup.index.to_le_bytes()[0];
        match (setup.request_type, setup.request) {
            (0x80, request::GET_DESCRIPTOR) => self
                .descriptor(setup.value)
                .map_or(Completion::Stall, answer),
            (0x80, request::GET_CONFIGURATION) => answer(vec![self.lock().configuration]),
            (0x80 | 0x81, request::GET_STATUS) => answer(vec![0, 0]),
            (0x82, request::GET_STATUS) => {
                answer(vec![u8::from(self.lock().halted.contains(&endpoint)), 0])
            }
            (0x81, request::GET_INTERFACE) => answer(vec![0]),
            (0x00, request::SET_CONFIGURATION) if setup.value <= 1 => {
                let mut state = self.lock();
                state.configuration = setup.value.to_le_bytes()[0];
                state.halted.clear();
                Completion::Accepted(0)
            }
            (0x01, request::SET_INTERFACE) if setup.value == 0 => Completion::Accepted(0),
            (0x02, request::CLEAR_FEATURE) => {
                self.lock().halted.remove(&endpoint);
                Completion::Accepted(0)
            }
            (0x02, request::SET_FEATURE) => {
                self.lock().halted.insert(endpoint);
                Completion::Accepted(0)
            }
            (0x00, request::SET_ADDRESS | request::CLEAR_FEATURE | request::SET_FEATURE) => {
                Completion::Accepted(0)
            }
            _ => Completion::Stall,
        }
    }

    /// Guards a data transfer: a device that is unplugged, not configured or halted sends nothing;
    /// a stall halts the endpoint.
    fn transfer(&self, endpoint: u8, run: impl FnOnce() -> Completion) -> Completion {
        {
            let state = self.lock();
            if state.gone {
                return Completion::Gone;
            }
            if state.configuration == 0 || state.halted.contains(&endpoint) {
                return Completion::Stall;
            }
        }
        let completion = run();
        if completion == Completion::Stall {
            self.lock().halted.insert(endpoint);
        }
        completion
    }
}

impl<M: UsbModel> UsbService for Chapter9<M> {
    fn control(&self, setup: SetupPacket, data: &[u8]) -> Completion {
        if self.lock().gone {
            return Completion::Gone;
        }
        // Bits 6 and 5: 0 standard, 1 class, 2 vendor.
        let completion = if setup.request_type & 0x60 == 0 {
            self.standard(setup)
        } else {
            self.model.request(setup, data)
        };
        self.wake();
        match completion {
            Completion::Data(mut bytes) => {
                bytes.truncate(usize::from(setup.length));
                Completion::Data(bytes)
            }
            other => other,
        }
    }
    fn read(&self, endpoint: u8, length: usize) -> Completion {
        self.transfer(endpoint, || self.model.read(endpoint, length))
    }
    fn write(&self, endpoint: u8, data: &[u8]) -> Completion {
        let completion = self.transfer(endpoint, || self.model.write(endpoint, data));
        self.wake();
        completion
    }
    fn descriptors(&self) -> (Vec<u8>, Vec<u8>) {
        (
            self.model.device_descriptor(),
            self.model.configuration_descriptor(),
        )
    }
    fn generation(&self) -> u64 {
        self.lock().generation
    }
    fn changed(&self, seen: u64, at_most: Duration) {
        let state = self.lock();
        drop(
            self.change
                .wait_timeout_while(state, at_most, |s| s.generation == seen)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
