//! [`Protocol`] of the GP600 matrix: the driver kit builds the device on it.

use crate::proto::gp600::{self, DeviceError, Identification};
use async_trait::async_trait;
use qkd_driver_kit::switching::{Protocol, Settling, SwitchCall};
use qkd_hal::{
    Capabilities, Certainty, DeviceMisbehaved, Effect, Error, ErrorKind, Identity, Operation,
    Result,
    parameter::{ParameterSpec, ParameterType, ParameterValue},
};
use qkd_switch_hal::{
    CrossConnect, CrossConnects, Geometry, PowerFailureBehaviour, Step, SwitchCapabilities,
};
use std::time::Duration;

/// Neither the switching time nor the state reported during it is published: the matrix is polled
/// for one second.
const SETTLING: Settling = Settling::polled(Duration::from_secs(1), Duration::from_millis(50));

/// Maximum number of old errors that are read and discarded before a command. The length of the
/// queue is not public; that of DiCon's MXS-9100 holds 8.
const ERRORS: usize = 16;

const PARAMETERS: &[ParameterSpec] = &[
    ParameterSpec::read_only(
        "auto-save",
        "whether the paths come back after a loss of power",
        ParameterType::Flag,
        "",
    )
    .writable(),
    ParameterSpec::read_only(
        "wavelength",
        "for which the paths are calibrated",
        ParameterType::Real {
            min: 1.0,
            max: 10_000.0,
        },
        "nm",
    )
    .writable()
    .disruptive(),
    ParameterSpec::read_only(
        "wavelengths",
        "for which they can be, in the switch's words",
        ParameterType::Text { max: 256 },
        "",
    ),
];

/// A GP600 with this number of inputs and outputs.
pub(crate) struct Gp600 {
    pub(crate) inputs: u32,
    pub(crate) outputs: u32,
}

/// Returns the identity in a reply; `None` for another vendor.
pub(crate) fn identity_of(id: &Identification) -> Option<Identity> {
    let dicon = id.maker.to_ascii_lowercase().contains("dicon");
    dicon.then(|| {
        Identity::new(&id.maker)
            .with_model(&id.model)
            .with_serial(&id.serial)
            .with_firmware(&id.firmware)
    })
}

async fn next_error(call: &SwitchCall<'_>) -> Result<DeviceError> {
    call.query("error", gp600::ERROR, gp600::decode_error).await
}

/// Sends a command that is not answered, and asks for its error.
async fn command(call: &SwitchCall<'_>, name: &'static str, request: String) -> Result<()> {
    let mut left = ERRORS;
    // What others left in the queue is not ours.
    while next_error(call).await?.code != 0 {
        left -= 1;
        if left == 0 {
            return Err(Error::misbehaved(
                DeviceMisbehaved::UnexpectedReply,
                format!("the switch reported more than {ERRORS} errors in succession"),
            ));
        }
    }
    call.command_no_reply(name, request).await?;
    match next_error(call)
        .await
        .map_err(|e| e.with_effect(Effect::Unknown))?
    {
        DeviceError { code: 0, .. } => Ok(()),
        DeviceError { code, text } => Err(Error::new(
            ErrorKind::Refused,
            format!("the switch refused `{name}`"),
        )
        .with_vendor_code(code.to_string())
        .with_vendor_text(text)),
    }
}

#[async_trait]
impl Protocol for Gp600 {
    fn switch_capabilities(&self) -> SwitchCapabilities {
        SwitchCapabilities::new(Geometry::matrix(self.inputs, self.outputs))
            .with_power_failure(Certainty::Confirmed(PowerFailureBehaviour::BootMode))
    }

    fn capabilities(&self) -> Capabilities {
        use Operation as Op;
        Capabilities::none()
            .with(&[Op::Identity, Op::Connections, Op::Apply])
            .with_emulated(&[Op::Health])
    }

    fn settling(&self) -> Settling {
        SETTLING
    }

    async fn identity(&self, call: &SwitchCall<'_>) -> Result<Identity> {
        let id = call
            .query("identify", gp600::IDENTIFY, gp600::decode_identify)
            .await?;
        identity_of(&id).ok_or_else(|| {
            Error::new(
                ErrorKind::IdentityChanged,
                format!("a device of {} answers", id.maker),
            )
        })
    }

    /// One question for each input: the switch knows none for all, and nothing public says that it
    /// takes a second before it has answered the first.
    async fn state(&self, call: &SwitchCall<'_>) -> Result<CrossConnects> {
        let mut state = CrossConnects::dark();
        for input in 1..=self.inputs {
            let output = call
                .query("output", gp600::output(input), move |reply| {
                    gp600::decode_output(input, reply)
                })
                .await?;
            if output > 0 {
                let twice = |e: Error| {
                    Error::misbehaved(
                        DeviceMisbehaved::ValueOutOfRange,
                        format!(
                            "the switch reported a state that is impossible in its geometry: {}",
                            e.message()
                        ),
                    )
                };
                state
                    .insert(CrossConnect::new(input, self.inputs.saturating_add(output)))
                    .map_err(twice)?;
            }
        }
        Ok(state)
    }

    async fn step(&self, call: &SwitchCall<'_>, step: &Step) -> Result<()> {
        let (path, output) = match step {
            Step::Disconnect(path) => (path, 0),
            Step::Connect(path) => (path, path.egress.0 - self.inputs),
            other => return Err(Error::invalid(format!("a matrix does not `{other}`"))),
        };
        command(call, "set", gp600::set(path.ingress.0, output)).await
    }

    fn parameters(&self) -> &[ParameterSpec] {
        PARAMETERS
    }

    async fn parameter(&self, call: &SwitchCall<'_>, name: &str) -> Result<ParameterValue> {
        Ok(match name {
            "auto-save" => ParameterValue::Flag(
                call.query("auto-save", gp600::AUTO_SAVE, gp600::decode_auto_save)
                    .await?,
            ),
            "wavelength" => ParameterValue::Real(
                call.query("wavelength", gp600::WAVELENGTH, gp600::decode_wavelength)
                    .await?,
            ),
            _ => ParameterValue::Text(
                call.query("wavelengths", gp600::WAVELENGTHS, gp600::decode_text)
                    .await?,
            ),
        })
    }

    async fn set_parameter(
        &self,
        call: &SwitchCall<'_>,
        name: &str,
        value: &ParameterValue,
    ) -> Result<()> {
        let (exchange, request) = match value {
            ParameterValue::Flag(on) => ("auto-save", gp600::set_auto_save(*on)),
            ParameterValue::Real(nanometres) => ("wavelength", gp600::set_wavelength(*nanometres)),
            other => {
                return Err(Error::invalid(format!(
                    "invalid value `{other}` for {name}"
                )));
            }
        };
        command(call, exchange, request).await?;
        let now = self
            .parameter(call, name)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if now == *value {
            return Ok(());
        }
        Err(Error::misbehaved(
            DeviceMisbehaved::ChangeNotApplied,
            format!("{name} {value} was accepted, and the switch shows {now}"),
        )
        .with_effect(Effect::Unknown))
    }
}
