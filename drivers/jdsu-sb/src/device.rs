//! [`Protocol`] of the switch: the driver kit builds the device on it.

use crate::proto;
use async_trait::async_trait;
use qkd_driver_kit::switching::{Protocol, SwitchCall, position};
use qkd_hal::{
    Capabilities, Certainty, DeviceMisbehaved, Effect, Error, ErrorKind, Health, Identity,
    Operation, Result,
    device::HealthState,
    parameter::{ParameterSpec, ParameterType, ParameterValue},
};
use qkd_switch_hal::{CrossConnects, Geometry, PowerFailureBehaviour, Step, SwitchCapabilities};
use std::time::Duration;

/// Manual SD000153, optical specifications: 300 ms for one channel.
const FIRST_CHANNEL: Duration = Duration::from_millis(300);

/// The same: and 12 ms for each further one.
const FURTHER_CHANNEL: Duration = Duration::from_millis(12);

/// Time beyond that of the manual for which the driver waits: the line alone needs 8 ms for each
/// character.
const GRACE: Duration = Duration::from_millis(500);

/// The time between two questions whether it has settled.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

const PARAMETERS: &[ParameterSpec] = &[
    ParameterSpec::read_only(
        "relay-drivers",
        "which of the eight relay drivers are on: a mask",
        ParameterType::Integer { min: 0, max: 255 },
        "",
    )
    .writable(),
    ParameterSpec::read_only(
        "learn",
        "the commands that restore the present state",
        ParameterType::Text { max: proto::BUFFER },
        "",
    ),
    ParameterSpec::read_only(
        "service-requests",
        "the mask of service requests",
        ParameterType::Integer { min: 0, max: 255 },
        "",
    ),
    ParameterSpec::read_only(
        "pending",
        "whether commands wait in the input buffer",
        ParameterType::Flag,
        "",
    ),
];

/// An SB switch with this number of channels.
pub(crate) struct SbSwitch {
    pub(crate) channels: u32,
}

/// Returns the identity in a reply; `None` for another vendor.
pub(crate) fn identity_of([maker, model, firmware]: [String; 3]) -> Option<Identity> {
    let jds = maker.to_ascii_lowercase().contains("jds");
    jds.then(|| {
        Identity::new(maker)
            .with_model(model)
            .with_firmware(firmware)
    })
}

/// Sends a set command that asks for the last error.
async fn set(call: &SwitchCall<'_>, name: &'static str, message: String) -> Result<()> {
    // What others left in the queue is not ours.
    for left in (0..=proto::ERRORS).rev() {
        match call
            .query("last-error", proto::LAST_ERROR, proto::decode_last_error)
            .await?
        {
            0 => break,
            code if left == 0 => {
                let why = format!(
                    "the switch reported more errors than its queue holds; the last is {code:03}"
                );
                return Err(Error::misbehaved(DeviceMisbehaved::UnexpectedReply, why));
            }
            _ => {}
        }
    }
    match call
        .command(name, message, proto::decode_last_error)
        .await?
    {
        0 => Ok(()),
        code => Err(
            Error::new(ErrorKind::Refused, format!("the switch refused `{name}`"))
                .with_vendor_code(format!("{code:03}")),
        ),
    }
}

impl SbSwitch {
    fn geometry(&self) -> Geometry {
        Geometry::OneByN {
            channels: self.channels,
            dark: true,
        }
    }

    /// The longest time to settle: from 0 to the last channel, or back.
    fn settling(&self) -> Duration {
        FIRST_CHANNEL + FURTHER_CHANNEL * self.channels.saturating_sub(1)
    }

    /// The questions that fit into the time to settle and the grace.
    fn attempts(&self) -> u128 {
        (self.settling() + GRACE).as_millis() / POLL_INTERVAL.as_millis()
    }
}

#[async_trait]
impl Protocol for SbSwitch {
    fn switch_capabilities(&self) -> SwitchCapabilities {
        SwitchCapabilities::new(self.geometry())
            .with_settling(self.settling())
            .with_power_failure(Certainty::Confirmed(PowerFailureBehaviour::GoesDark))
    }

    fn capabilities(&self) -> Capabilities {
        use Operation as Op;
        Capabilities::none().with(&[Op::Identity, Op::Health, Op::Connections, Op::Apply])
    }

    async fn identity(&self, call: &SwitchCall<'_>) -> Result<Identity> {
        let reported = call
            .query("identify", proto::IDENTIFY, proto::decode_identify)
            .await?;
        let words = reported.join(", ");
        identity_of(reported)
            .ok_or_else(|| Error::new(ErrorKind::IdentityChanged, format!("`{words}` answers")))
    }

    /// The channel, once the optics have settled.
    async fn state(&self, call: &SwitchCall<'_>) -> Result<CrossConnects> {
        for _ in 0..self.attempts() {
            if call
                .query("condition", proto::CONDITION, proto::decode_condition)
                .await?
            {
                return position::paths(
                    &self.geometry(),
                    call.query("channel", proto::CHANNEL, proto::decode_channel)
                        .await?,
                );
            }
            call.wait(POLL_INTERVAL).await?;
        }
        Err(Error::new(
            ErrorKind::NotReady,
            "the switch says that it still moves, longer than it takes to settle",
        ))
    }

    /// Performs the loop of the manual: clear the status byte, send the change, query the byte
    /// until it reports that the optics have settled. The byte also shows errors that the error
    /// queue may not contain.
    async fn step(&self, call: &SwitchCall<'_>, step: &Step) -> Result<()> {
        set(
            call,
            "close",
            proto::close(position::target(&self.geometry(), step)?),
        )
        .await?;
        let sent = |e: Error| e.with_effect(Effect::Unknown);
        for _ in 0..self.attempts() {
            let status = call
                .query("status", proto::STATUS, proto::decode_status)
                .await
                .map_err(sent)?;
            if status.syntax_error || status.parameter_error {
                let what = if status.syntax_error {
                    "a syntax error"
                } else {
                    "a parameter error"
                };
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("the status byte reports {what}"),
                )
                .with_vendor_text(what));
            }
            if status.settled {
                return Ok(());
            }
            call.wait(POLL_INTERVAL).await.map_err(sent)?;
        }
        Err(sent(Error::misbehaved(
            DeviceMisbehaved::ChangeNotApplied,
            "the optics did not settle in the time of the manual",
        )))
    }

    /// Reads the result of the self-test and the present error.
    async fn health(&self, call: &SwitchCall<'_>) -> Result<Health> {
        let failed = call.query("test", proto::TEST, proto::decode_flag).await?;
        let error = call
            .query("error", proto::ERROR, proto::decode_number)
            .await?;
        let mut faults = Vec::new();
        if failed || error == 330 {
            faults.push("the self-test has failed".to_owned());
        }
        if ![0, 330].contains(&error) {
            faults.push(format!("error {error:03}"));
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    fn parameters(&self) -> &[ParameterSpec] {
        PARAMETERS
    }

    async fn parameter(&self, call: &SwitchCall<'_>, name: &str) -> Result<ParameterValue> {
        Ok(match name {
            "relay-drivers" => ParameterValue::Integer(
                call.query("relay-drivers", proto::DRIVERS, proto::decode_number)
                    .await?
                    .into(),
            ),
            "service-requests" => ParameterValue::Integer(
                call.query(
                    "service-requests",
                    proto::REQUEST_MASK,
                    proto::decode_number,
                )
                .await?
                .into(),
            ),
            "pending" => ParameterValue::Flag(
                !call
                    .query("pending", proto::COMPLETE, proto::decode_flag)
                    .await?,
            ),
            _ => ParameterValue::Text(
                call.query("learn", proto::LEARN, proto::decode_learn)
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
        let mask = match value {
            ParameterValue::Integer(mask) => u8::try_from(*mask).ok(),
            _ => None,
        };
        let mask = mask.ok_or_else(|| {
            Error::invalid(format!("invalid mask `{value}` for eight relay drivers"))
        })?;
        set(call, "relay-drivers", proto::set_drivers(mask)).await?;
        let now = self
            .parameter(call, name)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if now == *value {
            return Ok(());
        }
        Err(Error::misbehaved(
            DeviceMisbehaved::ChangeNotApplied,
            format!("mask {value} was accepted, and the switch shows {now}"),
        )
        .with_effect(Effect::Unknown))
    }
}
