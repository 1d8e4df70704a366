//! The 4-byte frames of Agiltron's FF and SelfAlign switches. No I/O.
//!
//! 9600 8N1, no flow control, no terminator, no checksum. Sources: FF is PyPI `qmi` 0.54.2
//! `instruments/agiltron/_ff_optical_switch.py` (QuTech), after Agiltron's
//! `Command_List_for_CL-LB_Switch_Driver_5-20-2020.doc`; SelfAlign is PyPI `agiltron-selfalign`
//! 0.2.0. All confirmed by these, unless a comment says otherwise.

use qkd_hal::{DeviceMisbehaved, Error};

/// Speed of both products' lines.
pub const BAUD: u32 = 9_600;

/// A frame of four bytes.
pub type Frame = [u8; 4];

/// Reason for which a reply is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtoError {
    /// The reply does not have four bytes, but this number.
    #[error("a frame has 4 bytes, {0} came")]
    Length(usize),
    /// The reply to another request.
    #[error("{0:02x?} is not a reply to this request")]
    OtherReply(Frame),
    /// A channel number that the protocol cannot carry.
    #[error("channel {0} does not fit into the frame")]
    Channel(u32),
}

impl From<ProtoError> for Error {
    fn from(error: ProtoError) -> Self {
        let what = match error {
            ProtoError::OtherReply(_) => DeviceMisbehaved::ReplyForAnotherRequest,
            _ => DeviceMisbehaved::UnexpectedReply,
        };
        Self::misbehaved(what, error.to_string())
    }
}

fn frame(reply: &[u8]) -> Result<Frame, ProtoError> {
    reply
        .try_into()
        .map_err(|_| ProtoError::Length(reply.len()))
}

/// Fast fibre-optic switches with a CL/LB driver board, 1x4 and 1x8. Channels count from 1 on the
/// wire.
pub mod ff {
    use super::{Frame, ProtoError, frame};

    /// Asks for the active channel.
    pub const GET: Frame = [0x01, 0x11, 0x00, 0x00];

    /// Sets the active channel; answered by the same four bytes.
    ///
    /// # Errors
    /// [`ProtoError::Channel`] for 0 and above 255.
    pub fn set(channel: u32) -> Result<Frame, ProtoError> {
        match u8::try_from(channel) {
            Ok(byte) if byte > 0 => Ok([0x01, 0x12, 0x00, byte]),
            _ => Err(ProtoError::Channel(channel)),
        }
    }

    /// The channel in the reply to [`GET`]. Only the last byte is documented; the others are not
    /// checked, except that the frame must not be a late echo of a set.
    ///
    /// # Errors
    /// See [`ProtoError`].
    pub fn decode_get(reply: &[u8]) -> Result<u8, ProtoError> {
        let all = frame(reply)?;
        if all[..2] == [0x01, 0x12] {
            Err(ProtoError::OtherReply(all))
        } else {
            Ok(all[3])
        }
    }

    /// Checks the echo of a set.
    ///
    /// # Errors
    /// See [`ProtoError`].
    pub fn decode_set(request: Frame, reply: &[u8]) -> Result<(), ProtoError> {
        let all = frame(reply)?;
        if all == request {
            Ok(())
        } else {
            Err(ProtoError::OtherReply(all))
        }
    }
}

/// SelfAlign 1×N switches. On the wire, channels are numbered from 0.
pub mod self_align {
    use super::{Frame, ProtoError, frame};

    /// Goes to channel 1. Not answered, so the driver sends [`set`] instead.
    pub const HOME: Frame = [0x01, 0x30, 0x00, 0x00];

    /// The answer to every [`set`]; it does not report the channel.
    pub const ACK: Frame = [0x01, 0x35, 0xff, 0xff];

    /// Sets the channel, counted from 1.
    ///
    /// # Errors
    /// [`ProtoError::Channel`] for 0 and above 256.
    pub fn set(channel: u32) -> Result<Frame, ProtoError> {
        match channel.checked_sub(1).map(u8::try_from) {
            Some(Ok(byte)) => Ok([0x01, 0x35, 0x00, byte]),
            _ => Err(ProtoError::Channel(channel)),
        }
    }

    /// Checks the answer to [`set`].
    ///
    /// # Errors
    /// See [`ProtoError`].
    pub fn decode_set(reply: &[u8]) -> Result<(), ProtoError> {
        let all = frame(reply)?;
        if all == ACK {
            Ok(())
        } else {
            Err(ProtoError::OtherReply(all))
        }
    }
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = ff::decode_get(input);
    let _ = ff::decode_set(ff::GET, input);
    let _ = self_align::decode_set(input);
    for channel in input.iter().map(|b| u32::from(*b) * 3) {
        let _ = (ff::set(channel), self_align::set(channel));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn frames_are_those_of_the_sources() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../vectors/agiltron.json")).unwrap();
        let mut seen = 0;
        for v in &vectors {
            let bytes = hex::decode(v["hex"].as_str().unwrap()).unwrap();
            let channel = v["meaning"]["channel"]
                .as_u64()
                .map(|c| u32::try_from(c).unwrap());
            let name = format!(
                "{} {} {}",
                v["model"].as_str().unwrap(),
                v["direction"].as_str().unwrap(),
                v["meaning"]["command"].as_str().unwrap()
            );
            match name.as_str() {
                "ff request get" => assert_eq!(ff::GET[..], bytes),
                "ff reply get" => {
                    assert_eq!(u32::from(ff::decode_get(&bytes).unwrap()), channel.unwrap())
                }
                "ff request set" => assert_eq!(ff::set(channel.unwrap()).unwrap()[..], bytes),
                "ff reply set" => {
                    ff::decode_set(ff::set(channel.unwrap()).unwrap(), &bytes).unwrap()
                }
                "selfalign request home" => assert_eq!(self_align::HOME[..], bytes),
                "selfalign request set" => {
                    assert_eq!(self_align::set(channel.unwrap()).unwrap()[..], bytes)
                }
                "selfalign reply set" => self_align::decode_set(&bytes).unwrap(),
                other => panic!("{other}"),
            }
            seen += 1;
        }
        assert!(seen >= 8);
    }

    #[test]
    fn a_mismatched_reply_is_reported() {
        let set = ff::set(3).unwrap();
        assert_eq!(
            ff::decode_set(set, &[1, 0x12, 0, 4]),
            Err(ProtoError::OtherReply([1, 0x12, 0, 4]))
        );
        assert_eq!(ff::decode_get(&set), Err(ProtoError::OtherReply(set)));
        assert_eq!(ff::decode_get(&[1, 0x11, 0]), Err(ProtoError::Length(3)));
        assert!(self_align::decode_set(&[1, 0x35, 0, 3]).is_err());
    }

    #[test]
    fn channels_outside_the_frame_are_refused() {
        assert!(ff::set(0).is_err() && ff::set(256).is_err() && ff::set(255).is_ok());
        assert!(self_align::set(0).is_err() && self_align::set(257).is_err());
        assert_eq!(self_align::set(256).unwrap(), [1, 0x35, 0, 255]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            fuzz(&bytes);
        }
    }
}
