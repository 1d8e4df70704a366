//! Estimated duration of a run on a real transport, before it starts.

use crate::{
    case::{Case, Precondition, Waits},
    lanes::MAX_LANES,
    result::TargetKind,
    session::{Measured, Session},
};
use qkd_hal::Operation as Op;
use std::time::Duration;

/// Upper estimate of the number of readings of a case, in addition to its waits.
const READINGS: u32 = 2;

/// From what a run takes where cases wait side by side, to what it takes where they cannot.
#[derive(Debug, PartialEq, Eq)]
struct Estimate {
    /// Duration if waits of a case overlap, on up to [`MAX_LANES`] lanes.
    least: Duration,
    /// Duration if the device serves one handle, so that waits are sequential.
    most: Duration,
}

/// Returns the estimated duration of the cases as text; `None` if their time is virtual.
pub(crate) fn estimate_text(session: &Session, cases: &[&Case]) -> Option<String> {
    let measured = session.declared()?.measured.as_ref()?;
    let estimate = estimate(cases, session, measured);
    let (least, most) = (duration_text(estimate.least), duration_text(estimate.most));
    // For an emulator `least` holds, because one more emulator is started for each lane.
    Some(match session.dut.target_kind() {
        TargetKind::Device if least != most => format!(
            "takes {least} to {most}, depending on the number of connections that the device \
             serves in parallel"
        ),
        _ => format!("takes about {least}"),
    })
}

fn estimate(cases: &[&Case], session: &Session, measured: &Measured) -> Estimate {
    let deadline = session.deadline();
    let calls = measured.opening + measured.reading * READINGS;
    let count = |exchanges: usize| u32::try_from(exchanges).unwrap_or(u32::MAX);
    let mut estimate = Estimate {
        least: Duration::ZERO,
        most: Duration::ZERO,
    };
    for case in cases {
        let (least, most) = match case.waits {
            Waits::Nothing => (0, 0),
            Waits::Deadlines(count) => (count, count),
            Waits::EachExchange => (
                count(measured.exchanges.div_ceil(MAX_LANES)),
                count(measured.exchanges),
            ),
        };
        estimate.least += calls + deadline * least;
        estimate.most += calls + deadline * most + slow_operations(case, session);
    }
    estimate
}

/// Returns the time beyond the deadline that the slow operations of a case may take in total.
fn slow_operations(case: &Case, session: &Session) -> Duration {
    let excess = |operation: Op| {
        session
            .allowed(operation)
            .saturating_sub(session.deadline())
    };
    let operations = case.needs.iter().filter_map(|need| match need {
        Precondition::Op(operation @ (Op::Start | Op::Stop | Op::Calibrate | Op::Confirm)) => {
            Some(excess(*operation))
        }
        _ => None,
    });
    operations.sum()
}

/// Returns a duration as text, rounded up: in seconds below 2 min, in minutes from 2 min on.
fn duration_text(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil().max(1.0);
    if seconds < 120.0 {
        format!("{seconds} s")
    } else {
        format!("{} min", (seconds / 60.0).ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cases, declare};

    fn case(id: &str) -> &'static Case {
        cases::all().iter().find(|c| c.id == id).unwrap()
    }

    const GP600: &str = "profile = 'matrix-switch'\nemulator = 'dicon-gp600'\non_wire = true\n\
        impact = 'destructive'\ndeadline = '3s'\nsettings = { size = '16x16' }";

    #[tokio::test(flavor = "multi_thread")]
    async fn waits_are_counted_in_deadlines_and_exchanges() {
        let session = declare::prepared(GP600).await;
        let measured = session.declared().unwrap().measured.clone().unwrap();
        assert!(
            measured.exchanges >= 16,
            "one for each input: {}",
            measured.exchanges
        );
        let measured = Measured {
            opening: Duration::from_millis(100),
            reading: Duration::from_millis(50),
            exchanges: 40,
        };
        let of = |ids: &[&str]| {
            let cases: Vec<&Case> = ids.iter().map(|id| case(id)).collect();
            estimate(&cases, &session, &measured)
        };
        let calls = Duration::from_millis(200);
        assert_eq!(of(&["DEV-01/twice"]).most, calls);
        let lost = of(&["DEV-26/drop"]);
        assert_eq!(lost.least, calls + Duration::from_secs(2 * 3));
        assert_eq!(lost.most, calls + Duration::from_secs(40 * 3));
        assert_eq!(
            of(&["DEV-26/drop", "DEV-01/twice"]).least,
            lost.least + calls
        );
    }

    #[test]
    fn times_are_rounded_up() {
        assert_eq!(duration_text(Duration::from_millis(1)), "1 s");
        assert_eq!(duration_text(Duration::from_millis(50_200)), "51 s");
        assert_eq!(duration_text(Duration::from_secs(121)), "3 min");
    }
}
