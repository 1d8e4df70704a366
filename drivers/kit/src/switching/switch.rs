//! The complete device of the contract, over the methods that differ between families.

use super::{
    Settling, SwitchBackend, apply,
    settling::{self, SettleResult},
    transport::{SwitchCall, SwitchConnection},
};
use crate::{OpenedDevice, change_lock::ChangeLock};
use async_trait::async_trait;
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceMisbehaved, Error, ErrorKind, EventStream, Health,
    Identity, Operation, Result,
    parameter::{ParameterSpec, ParameterValue},
    reading::{Measured, Quality, Reading},
};
use qkd_switch_hal::{ApplyReport, CrossConnects, OpticalSwitch, Plan, Step, SwitchCapabilities};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Protocol of a switch family whose state can be queried and that takes one step per command.
#[async_trait]
pub trait Protocol: Send + Sync + 'static {
    /// Returns ports, possible cross-connects and other properties. No I/O.
    fn switch_capabilities(&self) -> SwitchCapabilities;

    /// Returns the supported operations except parameters, which are declared automatically. No
    /// I/O. By default, identity and health are not in the protocol.
    fn capabilities(&self) -> Capabilities {
        use Operation as Op;
        Capabilities::none()
            .with(&[Op::Connections, Op::Apply])
            .with_emulated(&[Op::Identity, Op::Health])
    }

    /// Returns how long after a step [`state`](Self::state) may still return the old state. No I/O.
    fn settling(&self) -> Settling {
        Settling::NONE
    }

    /// Reads the identity. If the protocol has no identity, returns the known values after a query
    /// that proves that a device responds.
    async fn identity(&self, call: &SwitchCall<'_>) -> Result<Identity>;

    /// Reads the cross-connects. The kit checks that they are possible in the geometry. See
    /// [`position`](super::position) for switches with numbered positions.
    async fn state(&self, call: &SwitchCall<'_>) -> Result<CrossConnects>;

    /// Carries out one step: sends the command, and asks whether the device refused it, where it
    /// can be asked. The kit reads back.
    async fn step(&self, call: &SwitchCall<'_>, step: &Step) -> Result<()>;

    /// Reads the health. By default, the device is healthy if its state can be read.
    async fn health(&self, call: &SwitchCall<'_>) -> Result<Health> {
        self.state(call).await.map(|_| Health::ok())
    }

    /// Reads the measured values; by default none.
    async fn telemetry(&self, _call: &SwitchCall<'_>) -> Result<Vec<Reading>> {
        Err(Error::unsupported(
            Operation::Telemetry.name(),
            "this family has none",
        ))
    }

    /// The parameters. No I/O.
    fn parameters(&self) -> &[ParameterSpec] {
        &[]
    }

    /// Reads a parameter, which is one of [`parameters`](Self::parameters).
    async fn parameter(&self, _call: &SwitchCall<'_>, name: &str) -> Result<ParameterValue> {
        Err(Error::unsupported(
            Operation::GetParameter.name(),
            format!("`{name}` cannot be read"),
        ))
    }

    /// Writes a parameter, which is writable and takes this value, and reads it back.
    async fn set_parameter(
        &self,
        _call: &SwitchCall<'_>,
        name: &str,
        _value: &ParameterValue,
    ) -> Result<()> {
        Err(Error::unsupported(
            Operation::SetParameter.name(),
            format!("`{name}` cannot be written"),
        ))
    }
}

/// Steps that this handle sent last, and when: until the device has settled, it may report the
/// previous state.
#[derive(Clone)]
struct PendingSteps {
    steps: Vec<Step>,
    at: Instant,
    /// Whether the next reading is to be discarded.
    unread: bool,
}

impl PendingSteps {
    fn shown(&self, state: &CrossConnects) -> bool {
        let added = |c| self.steps.iter().any(|s| s.added().contains(&c));
        let (adds, removes) = (
            self.steps.iter().flat_map(Step::added),
            self.steps.iter().flat_map(Step::removed),
        );
        adds.into_iter().all(|c| state.contains(*c))
            && removes
                .into_iter()
                .all(|c| added(*c) || !state.contains(*c))
    }
}

/// A switch, over its protocol.
pub struct Switch<P> {
    line: SwitchConnection,
    protocol: P,
    capabilities: Capabilities,
    switch: SwitchCapabilities,
    identity: Identity,
    turns: ChangeLock,
    sent: Mutex<Option<PendingSteps>>,
}

impl SwitchConnection {
    /// Opens the switch at this link, after it has reported its identity and its state.
    ///
    /// # Errors
    /// Errors of the protocol.
    pub async fn switch<P: Protocol>(self, protocol: P) -> Result<OpenedDevice> {
        Ok(OpenedDevice::from_switch(Arc::new(
            Switch::open(self, protocol).await?,
        )))
    }
}

impl<P: Protocol> Switch<P> {
    async fn open(line: SwitchConnection, protocol: P) -> Result<Self> {
        use Operation as Op;
        let mut capabilities = protocol.capabilities();
        if protocol.parameters().iter().any(|p| p.readable) {
            capabilities = capabilities.with(&[Op::GetParameter]);
        }
        if protocol.parameters().iter().any(|p| p.writable) {
            capabilities = capabilities.with(&[Op::SetParameter]);
        }
        let switch = protocol.switch_capabilities();
        let mut device = Self {
            line,
            protocol,
            capabilities,
            switch,
            identity: Identity::default(),
            turns: ChangeLock::default(),
            sent: Mutex::new(None),
        };
        let call = device.line.call();
        let identity = device.protocol.identity(&call).await?;
        Run {
            device: &device,
            call,
        }
        .read()
        .await?;
        device.identity = identity;
        Ok(device)
    }

    /// Records that the device may report the state before these steps until it has settled.
    fn note(&self, steps: &[Step]) {
        let sent = PendingSteps {
            steps: steps.to_vec(),
            at: Instant::now(),
            unread: self.protocol.settling().discard_first,
        };
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
    }

    /// The last steps, while they are known.
    fn sent<T>(&self, look: impl FnOnce(&mut PendingSteps) -> T) -> Option<T> {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .map(look)
    }
}

/// One call of a switch.
struct Run<'a, P> {
    device: &'a Switch<P>,
    call: SwitchCall<'a>,
}

#[async_trait]
impl<P: Protocol> SwitchBackend for Run<'_, P> {
    async fn read(&self) -> Result<CrossConnects> {
        let Switch {
            protocol, switch, ..
        } = self.device;
        if self.device.sent(|s| s.unread) == Some(true) {
            protocol.state(&self.call).await?;
            self.device.sent(|s| s.unread = false);
        }
        let state = protocol.state(&self.call).await?;
        let impossible = |e: Error| {
            Error::misbehaved(
                DeviceMisbehaved::ValueOutOfRange,
                format!(
                    "the switch reported a state that is impossible in its geometry: {}",
                    e.message()
                ),
            )
        };
        switch.geometry.check_state(&state).map_err(impossible)?;
        Ok(state)
    }

    async fn run(&self, steps: &[Step]) -> Result<(), (usize, Error)> {
        for (i, step) in steps.iter().enumerate() {
            // Before, since a step that fails may have been taken; and after, since the device has
            // settled from the last one on.
            self.device.note(steps);
            self.device
                .protocol
                .step(&self.call, step)
                .await
                .map_err(|e| (i, e))?;
        }
        self.device.note(steps);
        Ok(())
    }

    fn settling(&self) -> Settling {
        self.device.protocol.settling()
    }
}

#[async_trait]
impl<P: Protocol> Device for Switch<P> {
    fn descriptor(&self) -> &Descriptor {
        self.line.descriptor()
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    async fn identity(&self) -> Result<Identity> {
        let call = self.line.call();
        let mut now = self.protocol.identity(&call).await;
        // Asked twice, because one wrong bit of a reply does not prove another device.
        let is_other = match &now {
            Ok(found) => !found.is_same_device(&self.identity),
            Err(error) => error.kind() == ErrorKind::IdentityChanged,
        };
        if is_other {
            now = self.protocol.identity(&call).await;
        }
        let now = now?;
        if now.is_same_device(&self.identity) {
            return Ok(now);
        }
        Err(Error::new(
            ErrorKind::IdentityChanged,
            format!("{} was opened, and {now} answers now", self.identity),
        ))
    }
    async fn health(&self) -> Result<Health> {
        self.protocol.health(&self.line.call()).await
    }
    async fn telemetry(&self) -> Result<Vec<Reading>> {
        self.protocol.telemetry(&self.line.call()).await
    }
    fn parameters(&self) -> &[ParameterSpec] {
        self.protocol.parameters()
    }
    async fn parameter(&self, name: &str) -> Result<ParameterValue> {
        self.protocol.parameter(&self.line.call(), name).await
    }
    async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()> {
        self.protocol
            .set_parameter(&self.line.call(), name, value)
            .await
    }
    fn events(&self) -> EventStream {
        self.line.events()
    }
    async fn close(&self) -> Result<()> {
        self.line.close().await;
        Ok(())
    }
}

#[async_trait]
impl<P: Protocol> OpticalSwitch for Switch<P> {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        &self.switch
    }

    /// While the device may report the state before the last step of this handle, it is polled.
    /// Values that are still uncertain at the deadline are `Stale`.
    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        let call = self.line.call();
        let run = Run { device: self, call };
        let sent = self.sent(|s| s.clone());
        let shown = |state: &CrossConnects| sent.as_ref().is_none_or(|s| s.shown(state));
        Ok(
            match settling::read(&run, sent.as_ref().map(|s| s.at), call.until(), shown).await? {
                SettleResult::Wanted(state) | SettleResult::Other(state) => Measured::now(state),
                SettleResult::Unsettled(state) => Measured::now(state).with_quality(Quality::Stale),
            },
        )
    }

    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        let call = self.line.call();
        apply(
            &Run { device: self, call },
            &self.identity,
            plan,
            &self.turns,
            call.until(),
        )
        .await
    }
}
