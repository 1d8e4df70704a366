//! A small controller: a line with a spare. It never names a vendor; its unit test needs no device
//! and no emulator.

use qkd_hardware::{Result, prelude::*};

/// A line that leaves by one of two egress ports.
pub struct Line {
    pub ingress: Port,
    pub main: Port,
    pub spare: Port,
    /// Below this, in dBm, the main way counts as dark.
    pub floor: f64,
}

impl Line {
    /// Moves the line to its spare if the main way is dark; `None` if there was nothing to do.
    pub async fn protect(
        &self,
        switch: &dyn OpticalSwitch,
        meter: &dyn PowerMeter,
    ) -> Result<Option<ApplyReport>> {
        let power = meter.power(&[self.main]).await?[0];
        if power.value.0 >= self.floor {
            return Ok(None);
        }
        let present = switch.connections().await?.value;
        if present.peer(self.ingress) == Some(self.spare) {
            return Err(Error::new(ErrorKind::NotReady, "both ways are dark"));
        }
        let plan = switch.plan().connect(self.ingress, self.spare);
        let plan = plan.build().await?;
        switch.apply(&plan).await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qkd_hardware::switch_hal::{
        SwitchCapabilities,
        mock::{MockOpticalSwitch, MockPowerMeter},
    };
    use std::time::Duration;

    const LINE: Line = Line {
        ingress: Port(1),
        main: Port(9),
        spare: Port(10),
        floor: -30.0,
    };

    /// A switch whose paths are these.
    fn switch(paths: &'static str) -> MockOpticalSwitch {
        let mut switch = MockOpticalSwitch::new();
        switch
            .expect_switch_capabilities()
            .return_const(SwitchCapabilities::new(Geometry::matrix(8, 8)));
        switch
            .expect_connections()
            .returning(|| Ok(Measured::now(paths.parse()?)));
        switch
            .expect_identity()
            .returning(|| Ok(Identity::new("any")));
        switch
    }

    /// A meter whose every port has this power.
    fn meter(power: f64) -> MockPowerMeter {
        let mut meter = MockPowerMeter::new();
        meter.expect_power().returning(move |ports| {
            Ok(ports
                .iter()
                .map(|_| Measured::now(DecibelMilliwatts(power)))
                .collect())
        });
        meter
    }

    #[tokio::test]
    async fn a_line_without_light_switches_over_and_no_other_line_moves() {
        let mut switch = switch("1-9,2-11");
        switch.expect_apply().times(1).returning(|plan| {
            assert_eq!(
                plan.steps()
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
                ["disconnect 1-9", "connect 1-10"]
            );
            Ok(ApplyReport::new(2, true, Duration::ZERO))
        });
        assert!(
            LINE.protect(&switch, &meter(-50.0))
                .await
                .unwrap()
                .unwrap()
                .verified
        );
    }

    #[tokio::test]
    async fn a_line_with_light_stays_and_two_paths_without_light_are_reported() {
        let mut lit = switch("1-9");
        lit.expect_apply().never();
        assert_eq!(LINE.protect(&lit, &meter(-10.0)).await.unwrap(), None);
        let mut dark = switch("1-10");
        dark.expect_apply().never();
        assert_eq!(
            LINE.protect(&dark, &meter(-50.0)).await.unwrap_err().kind(),
            ErrorKind::NotReady
        );
    }
}
