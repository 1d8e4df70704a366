//! Replies: each decoder takes one line and refuses what answers another request.

use super::{BootMode, Identification, Network, ProtoError, State};

/// One entry of the error queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScpiError {
    /// 0: none; below 0: an error.
    pub code: i32,
    /// Error text of the switch.
    pub text: String,
}

fn text(reply: &[u8]) -> Result<&str, ProtoError> {
    let text = std::str::from_utf8(reply)
        .map_err(|_| ProtoError::NotText)?
        .trim_matches(['\r', '\n', ' ']);
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        Ok(text)
    } else {
        Err(ProtoError::NotText)
    }
}

fn shape(expected: &'static str, got: &str) -> ProtoError {
    ProtoError::Shape {
        expected,
        got: got.chars().take(80).collect(),
    }
}

fn number(digits: &str) -> Option<u32> {
    (digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// `maker,product code,serial,firmware`.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_identity(reply: &[u8]) -> Result<Identification, ProtoError> {
    let line = text(reply)?;
    let fields: Vec<&str> = line.splitn(5, ',').map(str::trim).collect();
    match fields[..] {
        [maker, product_code, serial, firmware]
            if !line.contains(['(', '"']) && fields.iter().all(|f| !f.is_empty()) =>
        {
            Ok(Identification {
                maker: maker.to_owned(),
                product_code: product_code.to_owned(),
                serial: serial.to_owned(),
                firmware: firmware.to_owned(),
            })
        }
        _ => Err(shape("maker,product code,serial,firmware", line)),
    }
}

/// `16,16`: ingress and egress ports.
pub fn decode_size(reply: &[u8]) -> Result<(u32, u32), ProtoError> {
    let line = text(reply)?;
    line.split_once(',')
        .and_then(|(n, m)| Some((number(n.trim())?, number(m.trim())?)))
        .ok_or_else(|| shape("ingress,egress", line))
}

/// Splits `(@1,2)` or `(D,E)` into its items and the rest of the line.
fn group<'a>(line: &'a str, open: &str) -> Option<(&'a str, &'a str)> {
    let (inside, rest) = line.trim_start().strip_prefix(open)?.split_once(')')?;
    (!inside.contains('(')).then_some((inside, rest))
}

fn items(inside: &str) -> impl Iterator<Item = &str> {
    inside
        .split(',')
        .map(str::trim)
        .filter(move |_| !inside.trim().is_empty())
}

/// `(@1,2,3),(@19,18,22)`: pairs of ingress and egress ports; `(@),(@)`: none.
pub fn decode_connections(reply: &[u8]) -> Result<Vec<(u32, u32)>, ProtoError> {
    const SHAPE: &str = "(@ingress ports),(@egress ports)";
    let line = text(reply)?;
    let lists = || {
        let (ingress, rest) = group(line, "(@")?;
        let (egress, rest) = group(rest.trim_start().strip_prefix(',')?, "(@")?;
        rest.trim().is_empty().then_some((ingress, egress))
    };
    let (ingress, egress) = lists().ok_or_else(|| shape(SHAPE, line))?;
    let ports = |list| {
        items(list)
            .map(number)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| shape(SHAPE, line))
    };
    let (ingress, egress) = (ports(ingress)?, ports(egress)?);
    if ingress.len() != egress.len() {
        return Err(ProtoError::Count {
            expected: ingress.len(),
            got: egress.len(),
        });
    }
    Ok(ingress.into_iter().zip(egress).collect())
}

/// `"18"`; `""` where the port is dark.
pub fn decode_peer(reply: &[u8]) -> Result<Option<u32>, ProtoError> {
    let line = text(reply)?;
    let inside = line.strip_prefix('"').and_then(|l| l.strip_suffix('"'));
    match inside.map(str::trim) {
        Some("") => Ok(None),
        Some(port) if number(port).is_some() => Ok(number(port)),
        _ => Err(shape("a port in quotation marks", line)),
    }
}

fn grouped(reply: &[u8], expected: &'static str, count: usize) -> Result<Vec<String>, ProtoError> {
    let line = text(reply)?;
    let (inside, _) = group(line, "(")
        .filter(|(inside, rest)| rest.is_empty() && !inside.contains('@'))
        .ok_or_else(|| shape(expected, line))?;
    let all: Vec<String> = items(inside).map(str::to_owned).collect();
    if all.len() == count {
        Ok(all)
    } else {
        Err(ProtoError::Count {
            expected: count,
            got: all.len(),
        })
    }
}

/// `(D,E,F)`: one letter for each of `count` ports.
pub fn decode_states(reply: &[u8], count: usize) -> Result<Vec<State>, ProtoError> {
    const SHAPE: &str = "(D, E or F for each port)";
    let all = grouped(reply, SHAPE, count)?;
    all.iter()
        .map(|letter| match letter.as_str() {
            "E" => Ok(State::Enabled),
            "D" => Ok(State::Disabled),
            "F" => Ok(State::Failed),
            _ => Err(shape(SHAPE, letter)),
        })
        .collect()
}

/// `(-12.3,-60.0)`: dBm for each of `count` ports.
pub fn decode_power(reply: &[u8], count: usize) -> Result<Vec<f64>, ProtoError> {
    const SHAPE: &str = "(dBm for each port)";
    let all = grouped(reply, SHAPE, count)?;
    all.iter()
        .map(|number| {
            number
                .parse()
                .ok()
                .filter(|dbm: &f64| dbm.is_finite() && number.bytes().any(|b| b.is_ascii_digit()))
                .ok_or_else(|| shape(SHAPE, number))
        })
        .collect()
}

/// Decodes `DARK`, `REST` or `AUT`.
pub fn decode_boot_mode(reply: &[u8]) -> Result<BootMode, ProtoError> {
    match text(reply)? {
        "DARK" => Ok(BootMode::Dark),
        "REST" => Ok(BootMode::Restore),
        "AUT" => Ok(BootMode::AutoSave),
        line => Err(shape("DARK, REST or AUT", line)),
    }
}

/// Decodes `<code>, "<text>"`.
pub fn decode_error(reply: &[u8]) -> Result<ScpiError, ProtoError> {
    let line = text(reply)?;
    let parsed = || {
        let (code, words) = line.split_once(',')?;
        let words = words.trim().strip_prefix('"')?.strip_suffix('"')?;
        Some(ScpiError {
            code: code.trim().parse().ok()?,
            text: words.to_owned(),
        })
    };
    parsed().ok_or_else(|| shape("an error number and its text in quotation marks", line))
}

/// `1`, the answer to `*opc?`.
pub fn decode_complete(reply: &[u8]) -> Result<(), ProtoError> {
    match text(reply)? {
        "1" => Ok(()),
        line => Err(shape("1", line)),
    }
}

/// `IP="..." Gateway="..." Mask="..." Broadcast="..."`.
pub fn decode_network(reply: &[u8]) -> Result<Network, ProtoError> {
    let line = text(reply)?;
    let field = |name: &str| {
        let (_, rest) = line.split_once(name)?;
        let (value, _) = rest.strip_prefix("=\"")?.split_once('"')?;
        Some(value.to_owned())
    };
    let parsed = || {
        Some(Network {
            address: field("IP")?,
            gateway: field("Gateway")?,
            mask: field("Mask")?,
            broadcast: field("Broadcast")?,
        })
    };
    parsed().ok_or_else(|| shape("IP, Gateway, Mask and Broadcast", line))
}
