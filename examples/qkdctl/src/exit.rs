//! Exit codes, as `qkdctl --help` documents them.

use qkd_hal::{Effect, Error, ErrorKind};

/// The text of the help.
pub(crate) const HELP: &str = "\
Exit codes:
  0   done
  1   the device refused, failed, or broke its protocol; nothing changed
  2   wrong argument, URI, file or plan; nothing was sent
  3   no answer: unreachable, timed out, or the line failed; nothing changed
  4   busy: another program holds the port or the device
  5   the device does not support it, or it rests on an assumption that was not
      accepted
  6   credentials are missing, wrong or too weak
  7   the state has changed since the plan, or another device responds
  8   THE DEVICE MAY HAVE CHANGED, in part or in whole, or its new key was not
      confirmed: read its state before anything else
  9   not ready, or no keys left: try again later
  10  probe: no driver was recognised
  70  a defect of this program or this machine
  74  done, and the output could not be written (closed pipe, full disk, lost
      terminal)
  129, 130, 143
      ended by SIGHUP, SIGINT, SIGTERM; nothing was changed

After a signal during a change, the program completes the present step, reads
back, prints the state of the devices and the keys that were taken, and ends
with 8. A second signal ends it immediately. `conform`, `doctor` and `demo`
list codes of their own.";

/// The device is not ready, or has no keys left.
pub(crate) const NOT_READY: u8 = 9;

/// Exit code: another device responds than expected.
pub(crate) const REPLACED: u8 = 7;

/// A probe recognised no driver.
pub(crate) const NOT_RECOGNISED: u8 = 10;

/// Exit code: a defect of this program.
pub(crate) const INTERNAL: u8 = qkd_driver_kit::program::INTERNAL;

/// The device has changed, or may have, and not as was wanted.
pub(crate) const EXIT_STATE_CHANGED: u8 = 8;

/// The exit code of an error. That the device may have changed outweighs everything else.
pub(crate) fn code(error: &Error) -> u8 {
    if error.effect() != Effect::None {
        return EXIT_STATE_CHANGED;
    }
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::NotFound => 2,
        ErrorKind::Unreachable
        | ErrorKind::Timeout
        | ErrorKind::Transport(_)
        | ErrorKind::Closed => 3,
        ErrorKind::Busy => 4,
        ErrorKind::Unsupported | ErrorKind::AssumptionNotAccepted => 5,
        ErrorKind::Authentication => 6,
        ErrorKind::StateChanged | ErrorKind::IdentityChanged => REPLACED,
        ErrorKind::NotReady | ErrorKind::Exhausted => NOT_READY,
        ErrorKind::Internal => INTERNAL,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_possible_change_outweighs_the_kind() {
        assert_eq!(code(&Error::new(ErrorKind::Timeout, "x")), 3);
        assert_eq!(
            code(&Error::new(ErrorKind::Timeout, "x").with_effect(Effect::Unknown)),
            8
        );
    }
}
