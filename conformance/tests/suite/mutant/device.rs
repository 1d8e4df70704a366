//! Mutants of operations of every device.

use super::Broken;
use async_trait::async_trait;
use qkd_hal::{
    Capabilities, Descriptor, Device, ErrorKind, EventStream, Health, Identity, Operation as Op,
    Result,
    device::HealthState,
    parameter::{ParameterSpec, ParameterValue},
    reading::{Reading, ReadingValue},
};

#[async_trait]
impl Device for Broken {
    fn descriptor(&self) -> &Descriptor {
        // The secret is part of the URI of the device.
        self.printed.get().unwrap_or(&self.descriptor)
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        if self.is("DEV-01") {
            return Ok(Identity::new(" "));
        }
        let device = self.opened.device();
        let result = self.through(device.identity()).await;
        match self.breaks {
            "DEV-02" => result.map(|i| i.with_serial(format!("SN-{}", self.nth))),
            // Whoever answers is taken for the first.
            "DEV-37" => match result {
                Ok(i) => {
                    self.past().identity.get_or_insert_with(|| i.clone());
                    Ok(i)
                }
                Err(e) if e.kind() == ErrorKind::IdentityChanged => {
                    Ok(self.past().identity.clone().unwrap_or_default())
                }
                Err(e) => Err(e),
            },
            _ => result,
        }
    }

    async fn health(&self) -> Result<Health> {
        let device = self.opened.device();
        match self.breaks {
            "DEV-04" => {
                return Ok(Health::with_faults(
                    HealthState::Ok,
                    vec!["all is lost".to_owned()],
                ));
            }
            "DEV-05" => return Ok(Health::ok()),
            // It asks by setting something.
            "DEV-13" => {
                let value = device.parameter("boot-mode").await?;
                device.set_parameter("boot-mode", &value).await?;
            }
            _ => {}
        }
        self.through(device.health()).await
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let device = self.opened.device();
        let mut all = self.through(device.telemetry()).await?;
        match self.breaks {
            "DEV-06" => all.push(Reading::now(
                "port.1.length",
                ReadingValue::Number(1.0),
                "furlong",
            )),
            "DEV-07" if self.count() % 2 == 1 => all.reverse(),
            _ => {}
        }
        Ok(all)
    }

    fn parameters(&self) -> &[ParameterSpec] {
        &self.parameters
    }

    async fn parameter(&self, name: &str) -> Result<ParameterValue> {
        if self.is("DEV-22") && !self.parameters.iter().any(|p| p.name == name) {
            return Ok(ParameterValue::Flag(true));
        }
        let device = self.opened.device();
        self.through(device.parameter(name)).await
    }

    async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()> {
        // It says yes, and does nothing.
        if matches!(self.breaks, "DEV-22" | "DEV-23" | "DEV-24" | "DEV-25") {
            return Ok(());
        }
        // It takes the first, and no more; over whatever handle.
        if self.is("put-back") && (self.count() > 0 || self.nth > 1) {
            return Err(qkd_hal::Error::new(ErrorKind::Refused, "enough"));
        }
        let device = self.opened.device();
        let done = self.through(device.set_parameter(name, value)).await;
        assert!(
            !(self.is("panics") && self.nth == 1),
            "in the middle of a change"
        );
        done
    }

    fn events(&self) -> EventStream {
        match self.breaks {
            "DEV-11" | "DEV-38" | "DEV-39" | "DEV-40" | "PRT-08" | "ENC-24" | "QKD-20" => {
                self.events.subscribe()
            }
            _ => self.opened.device().events(),
        }
    }

    async fn close(&self) -> Result<()> {
        match self.breaks {
            "DEV-10" => Ok(()),
            _ => self.opened.device().close().await,
        }
    }
}

impl Broken {
    /// Whether an undeclared operation is carried out all the same.
    pub(super) fn obliging(&self, operation: Op) -> bool {
        self.is("DEV-16") && self.capabilities.supports(operation) == qkd_hal::Support::Unsupported
    }
}
