//! The lines of two DiCon products. No I/O.

/// The 1xN MEMS module: 115200 8N1, requests end in CR; a reply begins with an LF and ends in one.
/// Sources: public archive id:34245833664, id:30861291597, id:9634796660 (photonmover),
/// `bdsmith147/FiberSwitchGUI`.
pub mod mems {
    use qkd_driver_kit::link::text::{TextDecodeError, text};

    /// Speed of the line.
    pub const BAUD: u32 = 115_200;

    /// Query of the identity.
    pub const IDENTIFY: &str = "ID?\r";

    /// Asks for the configuration.
    pub const CONFIGURATION: &str = "CF?\r";

    /// Asks for the channel of common port 1.
    pub const CHANNEL: &str = "I1?\r";

    /// Takes common port 1 to a channel; 0 is off. Not answered.
    #[must_use]
    pub fn set(channel: u32) -> String {
        format!("I1 {channel}\r")
    }

    /// The free text in the reply to [`IDENTIFY`].
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_identify(reply: &[u8]) -> Result<String, TextDecodeError> {
        let expected = "an identification";
        match text(reply)? {
            "" => Err(TextDecodeError::unexpected(expected, "")),
            other if decode_channel(reply).is_ok() || decode_configuration(reply).is_ok() => {
                Err(TextDecodeError::other_reply(expected, other))
            }
            name => Ok(name.to_owned()),
        }
    }

    /// The number of channels, which is the second field of the reply to [`CONFIGURATION`]; what
    /// the first means is not public.
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_configuration(reply: &[u8]) -> Result<u32, TextDecodeError> {
        let text = text(reply)?;
        let mut fields = text.split(',').map(|field| field.trim().parse::<u32>());
        match (fields.next(), fields.next()) {
            (Some(Ok(_)), Some(Ok(channels))) => Ok(channels),
            _ => Err(TextDecodeError::unexpected(
                "a list whose second field is the number of channels",
                text,
            )),
        }
    }

    /// The channel in the reply to [`CHANNEL`], which begins with its digits.
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_channel(reply: &[u8]) -> Result<u32, TextDecodeError> {
        let expected = "a channel";
        let text = text(reply)?;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if text[digits..].starts_with(',') {
            return Err(TextDecodeError::other_reply(expected, text));
        }
        text[..digits]
            .parse()
            .map_err(|_| TextDecodeError::unexpected(expected, text))
    }
}

/// The GP600 matrix in its X1 configuration: CR ends lines both ways. Source: PyPI `autosweep`
/// 0.1.0 `instruments/optical/DiConGP600.py` (public archive id:6745905193), after the manual's
/// table 4-11.
pub mod gp600 {
    use qkd_driver_kit::link::text::{TextDecodeError, number, text};

    /// Port of the raw TCP socket.
    pub const TCP_PORT: u16 = 10_001;

    /// Query of the identity.
    pub const IDENTIFY: &str = "*IDN?\r";

    /// Asks for the configuration.
    pub const CONFIGURATION: &str = "SYST:CONF?\r";

    /// Asks for the numbers of inputs and outputs.
    pub const SIZE: &str = "X1 DIM?\r";

    /// Takes the next error out of the queue.
    pub const ERROR: &str = "SYST:ERR?\r";

    /// Asks for the calibrated wavelengths.
    pub const WAVELENGTHS: &str = "X1 WAVESAVAIL?\r";

    /// Asks for the active wavelength.
    pub const WAVELENGTH: &str = "X1 W?\r";

    /// Asks whether the state is saved, to come back after a loss of power.
    pub const AUTO_SAVE: &str = "WEN?\r";

    /// Connects an input with an output; output 0 disconnects it. Not answered.
    #[must_use]
    pub fn set(input: u32, output: u32) -> String {
        format!("X1 CH {input} {output}\r")
    }

    /// Asks for the output of an input.
    #[must_use]
    pub fn output(input: u32) -> String {
        format!("X1 CH {input}?\r")
    }

    /// Takes the active wavelength. Not answered.
    #[must_use]
    pub fn set_wavelength(nanometres: f64) -> String {
        format!("X1 W {nanometres}\r")
    }

    /// Saves the state from now on, or does not. Not answered.
    #[must_use]
    pub fn set_auto_save(on: bool) -> String {
        format!("WEN {}\r", u8::from(on))
    }

    /// Identification of a device.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Identification {
        /// Name of the vendor.
        pub maker: String,
        /// Name of the model.
        pub model: String,
        /// Serial number, as in the reply.
        pub serial: String,
        /// Version of the firmware.
        pub firmware: String,
    }

    /// An entry of the error queue.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DeviceError {
        /// Error code; 0 is no error. No other code is published.
        pub code: i32,
        /// In the device's words.
        pub text: String,
    }

    /// The four fields of the reply to [`IDENTIFY`].
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_identify(reply: &[u8]) -> Result<Identification, TextDecodeError> {
        let text = text(reply)?;
        let fields: Vec<&str> = text.splitn(5, ',').map(str::trim).collect();
        match fields[..] {
            [maker, model, serial, firmware] if !maker.is_empty() && !serial.is_empty() => {
                Ok(Identification {
                    maker: maker.to_owned(),
                    model: model.to_owned(),
                    serial: serial.to_owned(),
                    firmware: firmware.to_owned(),
                })
            }
            _ => Err(TextDecodeError::unexpected(
                "maker, model, serial number, firmware",
                text,
            )),
        }
    }

    /// The text of a reply.
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_text(reply: &[u8]) -> Result<String, TextDecodeError> {
        text(reply).map(str::to_owned)
    }

    fn pair(expected: &'static str, text: &str) -> Result<(u32, u32), TextDecodeError> {
        let parse = |field: &str| field.trim().parse().ok();
        text.split_once(',')
            .and_then(|(a, b)| Some((parse(a)?, parse(b)?)))
            .ok_or_else(|| TextDecodeError::unexpected(expected, text))
    }

    /// Inputs and outputs, in the reply to [`SIZE`].
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_size(reply: &[u8]) -> Result<(u32, u32), TextDecodeError> {
        pair("inputs,outputs", text(reply)?)
    }

    /// The output of an input (0: none), in the reply to [`output`], which repeats the input.
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_output(input: u32, reply: &[u8]) -> Result<u32, TextDecodeError> {
        let (expected, text) = ("input,output", text(reply)?);
        match pair(expected, text)? {
            (of, output) if of == input => Ok(output),
            _ => Err(TextDecodeError::other_reply(expected, text)),
        }
    }

    /// The reply to [`ERROR`].
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_error(reply: &[u8]) -> Result<DeviceError, TextDecodeError> {
        let text = text(reply)?;
        text.split_once(',')
            .filter(|(code, words)| code.starts_with(['+', '-']) && !words.is_empty())
            .and_then(|(code, words)| {
                Some(DeviceError {
                    code: code.parse().ok()?,
                    text: words.trim().to_owned(),
                })
            })
            .ok_or_else(|| TextDecodeError::unexpected("a signed error number and its text", text))
    }

    /// Nanometres, in the reply to [`WAVELENGTH`].
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_wavelength(reply: &[u8]) -> Result<f64, TextDecodeError> {
        let text = text(reply)?;
        text.parse()
            .ok()
            .filter(|nm: &f64| nm.is_finite())
            .ok_or_else(|| TextDecodeError::unexpected("a wavelength in nm", text))
    }

    /// The reply to [`AUTO_SAVE`].
    ///
    /// # Errors
    /// [`TextDecodeError`].
    pub fn decode_auto_save(reply: &[u8]) -> Result<bool, TextDecodeError> {
        let expected = "0 or 1";
        match number(expected, reply)? {
            flag @ 0..=1 => Ok(flag == 1),
            other => Err(TextDecodeError::unexpected(expected, &other.to_string())),
        }
    }
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = (
        mems::decode_identify(input),
        mems::decode_configuration(input),
        mems::decode_channel(input),
    );
    let _ = (
        gp600::decode_identify(input),
        gp600::decode_text(input),
        gp600::decode_size(input),
        gp600::decode_output(2, input),
    );
    let _ = (
        gp600::decode_error(input),
        gp600::decode_wavelength(input),
        gp600::decode_auto_save(input),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use qkd_driver_kit::link::text::TextDecodeError;
    use serde_json::Value;

    #[test]
    fn lines_are_those_of_the_sources() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../vectors/dicon.json")).unwrap();
        let mut seen = 0;
        for v in &vectors {
            let (line, meaning) = (v["ascii"].as_str().unwrap(), &v["meaning"]);
            let n = |field: &str| u32::try_from(meaning[field].as_u64().unwrap()).unwrap();
            let reply = line.as_bytes();
            let which = [
                v["model"].as_str(),
                v["direction"].as_str(),
                v["to"].as_str().or(meaning["command"].as_str()),
            ]
            .map(Option::unwrap)
            .join(" ");
            match which.as_str() {
                "mems request identify" => assert_eq!(line, mems::IDENTIFY),
                "mems request configuration" => assert_eq!(line, mems::CONFIGURATION),
                "mems request channel" => assert_eq!(line, mems::CHANNEL),
                "mems request set" => assert_eq!(line, mems::set(n("channel"))),
                "mems reply configuration" => {
                    assert_eq!(mems::decode_configuration(reply).unwrap(), n("channels"))
                }
                "mems reply channel" => {
                    assert_eq!(mems::decode_channel(reply).unwrap(), n("channel"))
                }
                "gp600 request identify" => assert_eq!(line, gp600::IDENTIFY),
                "gp600 request configuration" => assert_eq!(line, gp600::CONFIGURATION),
                "gp600 request size" => assert_eq!(line, gp600::SIZE),
                "gp600 request error" => assert_eq!(line, gp600::ERROR),
                "gp600 request wavelengths" => assert_eq!(line, gp600::WAVELENGTHS),
                "gp600 request wavelength" => assert_eq!(line, gp600::WAVELENGTH),
                "gp600 request set-wavelength" => {
                    assert_eq!(line, gp600::set_wavelength(n("nm").into()))
                }
                "gp600 request auto-save?" => assert_eq!(line, gp600::AUTO_SAVE),
                "gp600 request auto-save" => {
                    assert_eq!(line, gp600::set_auto_save(meaning["on"].as_bool().unwrap()))
                }
                "gp600 request set" => assert_eq!(line, gp600::set(n("input"), n("output"))),
                "gp600 request output" => assert_eq!(line, gp600::output(n("input"))),
                "gp600 reply identify" => {
                    let id = gp600::decode_identify(reply).unwrap();
                    let reported = [&id.maker, &id.model, &id.serial, &id.firmware];
                    assert_eq!(
                        reported,
                        ["maker", "model", "serial", "firmware"]
                            .map(|f| meaning[f].as_str().unwrap())
                    );
                }
                "gp600 reply configuration" => assert_eq!(gp600::decode_text(reply).unwrap(), "X1"),
                "gp600 reply size" => assert_eq!(gp600::decode_size(reply).unwrap(), (16, 16)),
                "gp600 reply output" => assert_eq!(
                    gp600::decode_output(n("input"), reply).unwrap(),
                    n("output")
                ),
                "gp600 reply error" => assert_eq!(
                    gp600::decode_error(reply).unwrap(),
                    gp600::DeviceError {
                        code: 0,
                        text: "No Error".into()
                    }
                ),
                // Not sent by the driver.
                "mems request park" | "gp600 request firmware" | "gp600 request reset" => continue,
                other => panic!("{other}"),
            }
            seen += 1;
        }
        assert!(seen >= 24);
    }

    #[test]
    fn a_mismatched_reply_is_reported() {
        assert!(matches!(
            mems::decode_channel(b"\n1,16\r\n"),
            Err(TextDecodeError::OtherReply { .. })
        ));
        assert!(matches!(
            mems::decode_identify(b"\n3\n"),
            Err(TextDecodeError::OtherReply { .. })
        ));
        assert!(matches!(
            gp600::decode_output(3, b"2,5\r"),
            Err(TextDecodeError::OtherReply { .. })
        ));
        assert!(
            gp600::decode_error(b"2,5\r").is_err()
                && gp600::decode_size(b"+0, No Error\r").is_err()
        );
        assert_eq!(mems::decode_channel(b"\n12 ok\r\n"), Ok(12));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            fuzz(&bytes);
        }
    }
}
