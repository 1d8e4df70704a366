//! Vendor requests and packets of the Quantis USB generator. No I/O.
//!
//! Sources, all confirmed: ID Quantique's Quantis library 20.2.x `QuantisUsb_Commands.h`,
//! `QuantisUsb_Unix.c` (public archive id:26816415253, id:41701410921); N. Panayides' libquantisusb
//! with an lsusb dump (id:21353549844); OpenBSD `qusb` (id:18028535360, id:18748984757).

use qkd_driver_kit::link::usb::SetupPacket;

/// USB vendor ID (Ellisys).
pub const VENDOR: u16 = 0x0aba;
/// USB product ID of the Quantis.
pub const PRODUCT: u16 = 0x0102;
/// The bulk endpoint of the random bytes.
pub const ENDPOINT: u8 = 0x86;
/// Packet size (wMaxPacketSize), in bytes. Each read requests exactly this number; a short packet
/// is an error.
pub const PACKET: usize = 512;
/// Time-out of a vendor request in the vendor's library, in milliseconds.
pub const TIMEOUT_MS: u64 = 1_000;

/// bmRequestType: IN, vendor, interface.
const READ: u8 = 0xc1;
/// bmRequestType: OUT, vendor, interface.
const WRITE: u8 = 0x41;

/// A vendor request (bRequest).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Request {
    /// GET_BOARD_VERSION: 4 bytes, little-endian.
    BoardVersion = 0x10,
    /// Disables the modules (MODULE_DISABLE).
    ModuleDisable = 0x11,
    /// Enables the modules (MODULE_ENABLE).
    ModuleEnable = 0x12,
    /// GET_MODULES_STATUS: one bit for each module; 0 = none works. The library asks before every
    /// packet.
    ModulesStatus = 0x13,
    /// GET_MODULES_POWER: one byte.
    ModulesPower = 0x14,
    /// GET_MODULES_MASK: one bit for each module that is there; USB has module 0 only.
    ModulesMask = 0x15,
    /// GET_MODULES_RATE: 4 bytes, little-endian, kbit/s of a module.
    ModulesRate = 0x16,
    /// GET_AIS31_STARTUP_TESTS_REQUEST_FLAG: one byte.
    Ais31Flag = 0x17,
    /// Clears the flag (CLEAR_AIS31_STARTUP_TESTS_REQUEST_FLAG).
    ClearAis31Flag = 0x18,
}

impl Request {
    /// All requests, in ascending order.
    pub const ALL: [Self; 9] = [
        Self::BoardVersion,
        Self::ModuleDisable,
        Self::ModuleEnable,
        Self::ModulesStatus,
        Self::ModulesPower,
        Self::ModulesMask,
        Self::ModulesRate,
        Self::Ais31Flag,
        Self::ClearAis31Flag,
    ];

    /// Bytes of the data stage; all of them go to the host.
    #[must_use]
    pub const fn length(self) -> u16 {
        match self {
            Self::BoardVersion | Self::ModulesRate => 4,
            Self::ModulesStatus | Self::ModulesPower | Self::ModulesMask | Self::Ais31Flag => 1,
            Self::ModuleDisable | Self::ModuleEnable | Self::ClearAis31Flag => 0,
        }
    }

    /// The SETUP packet; wValue and wIndex are 0.
    #[must_use]
    pub const fn setup(self) -> SetupPacket {
        let request_type = if self.length() > 0 { READ } else { WRITE };
        SetupPacket {
            request_type,
            request: self as u8,
            value: 0,
            index: 0,
            length: self.length(),
        }
    }
}

/// Reason for which a reply is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtoError {
    /// Another number of bytes.
    #[error("{got} bytes came where {expected} are due")]
    Length {
        /// Number of expected bytes.
        expected: usize,
        /// Number of received bytes.
        got: usize,
    },
}

/// A one-byte reply.
///
/// # Errors
/// [`ProtoError::Length`].
pub fn decode_byte(reply: &[u8]) -> Result<u8, ProtoError> {
    match reply {
        [byte] => Ok(*byte),
        _ => Err(ProtoError::Length {
            expected: 1,
            got: reply.len(),
        }),
    }
}

/// A four-byte little-endian reply.
///
/// # Errors
/// [`ProtoError::Length`].
pub fn decode_word(reply: &[u8]) -> Result<u32, ProtoError> {
    let bytes: [u8; 4] = reply.try_into().map_err(|_| ProtoError::Length {
        expected: 4,
        got: reply.len(),
    })?;
    Ok(u32::from_le_bytes(bytes))
}

/// The modules of a status or mask byte.
pub fn modules(bits: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |n| bits & (1 << n) != 0)
}

/// The rate of all modules in bit/s: kbit/s of each, times their number.
#[must_use]
pub fn rate(kbit_per_s: u32, mask: u8) -> f64 {
    f64::from(kbit_per_s) * 1000.0 * f64::from(mask.count_ones())
}

/// Checks the length of a bulk read of whole packets.
///
/// # Errors
/// [`ProtoError::Length`] if the last packet was short.
pub fn check_packets(got: usize, packets: usize) -> Result<(), ProtoError> {
    let expected = packets * PACKET;
    if got == expected {
        Ok(())
    } else {
        Err(ProtoError::Length { expected, got })
    }
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = decode_byte(input).map(|b| modules(b).count());
    let _ = decode_word(input).map(|w| rate(w, 0xff));
    let _ = check_packets(input.len(), 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn vectors() -> Vec<Value> {
        serde_json::from_str(include_str!("../vectors/idq-quantis.json")).unwrap()
    }

    #[test]
    fn setup_packets_are_those_of_the_library() {
        let setups: Vec<_> = vectors()
            .into_iter()
            .filter(|v| v["direction"] == "setup")
            .collect();
        assert_eq!(setups.len(), Request::ALL.len());
        for v in setups {
            let request = Request::ALL
                .into_iter()
                .find(|r| u64::from(*r as u8) == v["meaning"]["bRequest"])
                .unwrap();
            assert_eq!(
                hex::encode(request.setup().to_bytes()),
                v["hex"].as_str().unwrap(),
                "{}",
                v["name"]
            );
        }
    }

    #[test]
    fn descriptors_name_this_device() {
        for v in vectors().iter().filter(|v| v["direction"] == "descriptor") {
            let bytes = hex::decode(v["hex"].as_str().unwrap()).unwrap();
            if v["meaning"]["descriptor"] == "device" {
                assert_eq!(
                    (
                        u16::from_le_bytes([bytes[8], bytes[9]]),
                        u16::from_le_bytes([bytes[10], bytes[11]])
                    ),
                    (VENDOR, PRODUCT)
                );
            } else {
                let endpoint = &bytes[18..];
                assert_eq!(
                    (
                        endpoint[2],
                        usize::from(u16::from_le_bytes([endpoint[4], endpoint[5]]))
                    ),
                    (ENDPOINT, PACKET)
                );
            }
        }
    }

    #[test]
    fn replies_are_decoded_as_in_the_library() {
        for v in vectors().iter().filter(|v| v["direction"] == "reply") {
            let bytes = hex::decode(v["hex"].as_str().unwrap()).unwrap();
            let m = &v["meaning"];
            if m["request"] == "get_modules_rate" {
                assert_eq!(Value::from(decode_word(&bytes).unwrap()), m["kbit_per_s"]);
            } else {
                assert_eq!(
                    Value::from(modules(decode_byte(&bytes).unwrap()).collect::<Vec<_>>()),
                    m["modules"]
                );
            }
        }
        assert!((rate(4000, 1) - 4e6).abs() < 1e-6 && (rate(4000, 0b1111) - 16e6).abs() < 1e-6);
    }

    #[test]
    fn a_short_packet_is_an_error() {
        assert!(check_packets(1024, 2).is_ok());
        assert_eq!(
            check_packets(1000, 2),
            Err(ProtoError::Length {
                expected: 1024,
                got: 1000
            })
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            fuzz(&bytes);
        }
    }
}
