//! `mon`: what can be observed (`remote/mon_alice.py`, `remote/mon_bob.py`, `local/mon.py`).

use super::{Field, ProtoError, Reader, Side, plain, text16};

/// A command of `mon`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MonCommand {
    /// Query of the link state: `get_link`.
    Link,
    /// `set_error`: raises the error flag. Not answered.
    SetError,
    /// Clearing of the error: `clear_error`, without a reply.
    ClearError,
    /// `get_counts`, Bob: detections of 0.1 s.
    Counts,
    /// `get_gates`, Bob: histogram of 312 bins.
    Gates,
    /// Query of the calibration figures: `get_calfigures`, Bob.
    Figures,
    /// `get_rng_status`: 0 = ok.
    RngStatus,
    /// `get_spd_temp`, Bob: temperature of the detector.
    DetectorTemperature,
    /// `get_pci_status`: `ok` or `missing`.
    PciStatus,
    /// `get_fifo_status`. Six integers in the published servers of 2026; older ones send four, so
    /// the driver does not ask.
    FifoStatus,
    /// `get_gc`: the global counter.
    GlobalCounter,
    /// `get_ltc_info`: the clock chip; the vendor's client takes 0 for an error.
    Clock,
    /// `get_sda_info`: the slow DAC, likewise.
    SlowDac,
    /// `get_fda_info`: the fast DAC, likewise.
    FastDac,
    /// `get_server_status`: hw, hws, gc, rng; 0 = active.
    Servers,
    /// `get_wrs_ip_status`: 0 = ok.
    WhiteRabbit,
    /// `get_node_stats`, Alice: length of the last key and its QBER; 0, 0 if there is no key.
    NodeStats,
}

/// Reply to `get_link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The link has an error: `error`.
    Error,
    /// A calibration is in progress: `calibrating`.
    Calibrating,
    /// The link generates keys: `probably online`.
    ProbablyOnline,
}

impl Link {
    /// Returns the text of the vendor.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Calibrating => "calibrating",
            Self::ProbablyOnline => "probably online",
        }
    }
}

/// Detections within 0.1 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Total number of counts.
    pub total: i32,
    /// In the first gate.
    pub click0: i32,
    /// In the second gate.
    pub click1: i32,
}

/// Statistics of the last key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeStats {
    /// Length of the key, in bits.
    pub key_length: i32,
    /// Quantum bit error ratio.
    pub qber: f64,
}

impl MonCommand {
    /// All commands, in the order of this page.
    pub const ALL: [Self; 17] = [
        Self::Link,
        Self::SetError,
        Self::ClearError,
        Self::Counts,
        Self::Gates,
        Self::Figures,
        Self::RngStatus,
        Self::DetectorTemperature,
        Self::PciStatus,
        Self::FifoStatus,
        Self::GlobalCounter,
        Self::Clock,
        Self::SlowDac,
        Self::FastDac,
        Self::Servers,
        Self::WhiteRabbit,
        Self::NodeStats,
    ];

    /// Its word on the wire.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Link => "get_link",
            Self::SetError => "set_error",
            Self::ClearError => "clear_error",
            Self::Counts => "get_counts",
            Self::Gates => "get_gates",
            Self::Figures => "get_calfigures",
            Self::RngStatus => "get_rng_status",
            Self::DetectorTemperature => "get_spd_temp",
            Self::PciStatus => "get_pci_status",
            Self::FifoStatus => "get_fifo_status",
            Self::GlobalCounter => "get_gc",
            Self::Clock => "get_ltc_info",
            Self::SlowDac => "get_sda_info",
            Self::FastDac => "get_fda_info",
            Self::Servers => "get_server_status",
            Self::WhiteRabbit => "get_wrs_ip_status",
            Self::NodeStats => "get_node_stats",
        }
    }

    /// Whether that end knows it; an unknown command is not answered.
    #[must_use]
    pub fn exists_at(self, side: Side) -> bool {
        match self {
            Self::Counts | Self::Gates | Self::Figures | Self::DetectorTemperature => {
                side == Side::Bob
            }
            Self::NodeStats => side == Side::Alice,
            _ => true,
        }
    }

    /// The fields of its reply; none where it is not answered.
    #[must_use]
    pub const fn reply(self) -> &'static [Field] {
        use Field::{Array, Double, Int, Text16};
        match self {
            Self::SetError | Self::ClearError => &[],
            Self::Link | Self::PciStatus => &[Text16],
            Self::Counts => &[Int, Int, Int],
            Self::Gates => &[Array],
            Self::Figures => &[Array, Array, Array, Array, Array, Array],
            Self::RngStatus | Self::Clock | Self::SlowDac | Self::FastDac | Self::WhiteRabbit => {
                &[Int]
            }
            Self::DetectorTemperature | Self::GlobalCounter => &[Double],
            Self::FifoStatus => &[Int, Int, Int, Int, Int, Int],
            Self::Servers => &[Int, Int, Int, Int],
            Self::NodeStats => &[Int, Double],
        }
    }

    /// The bytes of the command.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + self.keyword().len());
        // The words are short, so that this cannot fail.
        let _ = text16(&mut out, self.keyword());
        out
    }

    fn whole<T>(
        reply: &[u8],
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, ProtoError>,
    ) -> Result<T, ProtoError> {
        let mut reader = Reader::new(reply);
        let value = read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    fn whole_text(reply: &[u8]) -> Result<&str, ProtoError> {
        let mut reader = Reader::new(reply);
        let text = reader.text16()?;
        reader.end()?;
        Ok(text)
    }

    /// Of [`MonCommand::Link`].
    ///
    /// # Errors
    /// See [`ProtoError`]; so for all decoders.
    pub fn decode_link(reply: &[u8]) -> Result<Link, ProtoError> {
        match Self::whole_text(reply)?.trim() {
            "error" => Ok(Link::Error),
            "calibrating" => Ok(Link::Calibrating),
            "probably online" => Ok(Link::ProbablyOnline),
            other => Err(ProtoError::Unexpected(plain(other))),
        }
    }

    /// Decodes the reply to [`MonCommand::Counts`].
    pub fn decode_counts(reply: &[u8]) -> Result<Counts, ProtoError> {
        Self::whole(reply, |r| {
            Ok(Counts {
                total: r.int()?,
                click0: r.int()?,
                click1: r.int()?,
            })
        })
    }

    /// Decodes the reply to [`MonCommand::Gates`].
    pub fn decode_gates(reply: &[u8]) -> Result<Vec<i32>, ProtoError> {
        Self::whole(reply, |r| Ok(r.nai()?.2))
    }

    /// Of [`MonCommand::Figures`]: six arrays, as rows, columns and items.
    pub fn decode_figures(reply: &[u8]) -> Result<Vec<(usize, usize, Vec<i32>)>, ProtoError> {
        Self::whole(reply, |r| (0..6).map(|_| r.nai()).collect())
    }

    /// Of commands with one integer.
    pub fn decode_int(reply: &[u8]) -> Result<i32, ProtoError> {
        Self::whole(reply, |r| r.int())
    }

    /// Of commands with one number.
    pub fn decode_double(reply: &[u8]) -> Result<f64, ProtoError> {
        Self::whole(reply, |r| r.double())
    }

    /// Of commands with one text.
    pub fn decode_text(reply: &[u8]) -> Result<String, ProtoError> {
        Self::whole_text(reply).map(plain)
    }

    /// Of [`MonCommand::Servers`]: hw, hws, gc, rng; 0 = active.
    pub fn decode_servers(reply: &[u8]) -> Result<[i32; 4], ProtoError> {
        Self::whole(reply, |r| Ok([r.int()?, r.int()?, r.int()?, r.int()?]))
    }

    /// Decodes the reply to [`MonCommand::FifoStatus`].
    pub fn decode_fifos(reply: &[u8]) -> Result<[i32; 6], ProtoError> {
        Self::whole(reply, |r| {
            Ok([r.int()?, r.int()?, r.int()?, r.int()?, r.int()?, r.int()?])
        })
    }

    /// Decodes the reply to [`MonCommand::NodeStats`].
    pub fn decode_node_stats(reply: &[u8]) -> Result<NodeStats, ProtoError> {
        Self::whole(reply, |r| {
            Ok(NodeStats {
                key_length: r.int()?,
                qber: r.double()?,
            })
        })
    }
}
