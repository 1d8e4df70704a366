//! `hws`: calibration and start, at Alice only (`remote/hws_alice.py`, `local/hws.py`).

use super::{Field, ProtoError, Reader, plain};
use qkd_driver_kit::link::bytes::Frame;

/// A command of `hws`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HwsCommand {
    /// `init`: initialises both ends; key generation ends.
    Init,
    /// Command `config_laser` of the vendor.
    ConfigLaser,
    /// `sync_gc`: the global counters of both ends.
    SyncGc,
    /// Command `compare_gc` of the vendor.
    CompareGc,
    /// `find_vca`, to a number of counts
    FindVca(Option<u32>),
    /// Command `vca_per_N`, with N in percent.
    VcaPercent(u32),
    /// Command `loop_find_am_bias` of the vendor.
    LoopFindAmBias,
    /// Command `find_am2_bias` of the vendor.
    FindAm2Bias,
    /// `pol_bob`: the polarisation controller.
    PolBob,
    /// `loop_find_gates`: answered by a picture, then the text.
    LoopFindGates,
    /// Command `qdistance` of the vendor.
    Qdistance,
    /// `fs_b`, `fs_a`, `fd_b`, `fd_b_long`, `fd_a`, `fd_a_long`, `fz_a`, `fz_b`: shifts, delays and
    /// zero positions.
    Find(&'static str),
    /// Command `adjust_am` of the vendor.
    AdjustAm,
    /// Command `adjust_soft_gates` of the vendor.
    AdjustSoftGates,
    /// `start`: arms key generation (`pm_mode=true_rng`, `insert_zeros=on`).
    Start,
    /// Command `save_NAME`: saves the settings under a name.
    Save(String),
    /// Command `load_NAME`: loads the settings of a name.
    Load(String),
}

/// Result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The command was completed; with the text of the reply.
    Done(String),
    /// The calibration failed; the vendor's client ends at any text with `fail` in it.
    Failed(String),
    /// The server does not know it, or an error was raised in it.
    Unknown(String),
}

impl HwsCommand {
    /// Whether servers exist that do not know it: it is in `local/hws.py` of 2026 and not in older
    /// lists of commands.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            Self::FindAm2Bias | Self::Find("fd_a_long" | "fd_b_long")
        )
    }

    /// Finds the end of the reply. A picture before the text is detected by its length, whose
    /// highest byte is 0 below 16 MiB; a text has a letter there.
    #[must_use]
    pub fn frame(&self, seen: &[u8]) -> Frame {
        if self.reply().first() == Some(&Field::Data) && seen.get(3).is_some_and(|b| *b != 0) {
            return super::frame(&[Field::Text8], seen);
        }
        if seen.len() < 4 && self.reply().first() == Some(&Field::Data) {
            return Frame::Incomplete;
        }
        super::frame(self.reply(), seen)
    }

    /// Returns the vendor's complete calibration, in the order of `local/hws.py --full_init`,
    /// without its last step `start`. The server interprets `find_vca` as `find_vca_3000`.
    #[must_use]
    pub fn calibration() -> Vec<Self> {
        let mut all = vec![
            Self::Init,
            Self::ConfigLaser,
            Self::SyncGc,
            Self::FindVca(Some(3_000)),
            Self::LoopFindAmBias,
            Self::FindAm2Bias,
            Self::PolBob,
            Self::VcaPercent(95),
            Self::LoopFindGates,
        ];
        all.extend(
            [
                "fs_b",
                "fs_a",
                "fd_b",
                "fd_b_long",
                "fd_a",
                "fd_a_long",
                "fz_a",
                "fz_b",
            ]
            .map(Self::Find),
        );
        all.push(Self::AdjustAm);
        all
    }

    /// Its word on the wire.
    #[must_use]
    pub fn keyword(&self) -> String {
        match self {
            Self::Init => "init".into(),
            Self::ConfigLaser => "config_laser".into(),
            Self::SyncGc => "sync_gc".into(),
            Self::CompareGc => "compare_gc".into(),
            Self::FindVca(None) => "find_vca".into(),
            Self::FindVca(Some(counts)) => format!("find_vca_{counts}"),
            Self::VcaPercent(percent) => format!("vca_per_{percent}"),
            Self::LoopFindAmBias => "loop_find_am_bias".into(),
            Self::FindAm2Bias => "find_am2_bias".into(),
            Self::PolBob => "pol_bob".into(),
            Self::LoopFindGates => "loop_find_gates".into(),
            Self::Qdistance => "qdistance".into(),
            Self::Find(what) => (*what).into(),
            Self::AdjustAm => "adjust_am".into(),
            Self::AdjustSoftGates => "adjust_soft_gates".into(),
            Self::Start => "start".into(),
            Self::Save(name) => format!("save_{name}"),
            Self::Load(name) => format!("load_{name}"),
        }
    }

    /// Returns the start of the reply: the name without the argument, except where the server has
    /// another text (`remote/hws_alice.py`).
    fn answer(&self) -> &'static str {
        match self {
            Self::Init => "init",
            // The server says `laser_config_done Rcalc=... Rread=...`.
            Self::ConfigLaser => "laser_config_done",
            Self::SyncGc => "sync_gc",
            Self::CompareGc => "gc difference",
            Self::FindVca(_) => "find_vca",
            Self::VcaPercent(_) => "vca_per",
            Self::LoopFindAmBias => "loop_find_am_bias",
            // The server says `find_am_bias done. ...`.
            Self::FindAm2Bias => "find_am",
            Self::PolBob => "pol_bob",
            Self::LoopFindGates => "loop_find_gates",
            Self::Qdistance => "qdistance",
            Self::Find(what) => what,
            Self::AdjustAm => "adjust_am",
            Self::AdjustSoftGates => "adjust_soft_gates",
            Self::Start => "start",
            Self::Save(_) => "save",
            Self::Load(_) => "load",
        }
    }

    /// The fields of its reply.
    #[must_use]
    pub fn reply(&self) -> &'static [Field] {
        match self {
            Self::LoopFindGates => &[Field::Data, Field::Text8],
            _ => &[Field::Text8],
        }
    }

    /// The bytes of the command.
    ///
    /// # Errors
    /// [`ProtoError::Argument`] for a name of a saved setting that is empty, too long, or not of
    /// ASCII letters, digits and `-`.
    pub fn encode(&self) -> Result<Vec<u8>, ProtoError> {
        if let Self::Save(name) | Self::Load(name) = self
            && (name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        {
            return Err(ProtoError::Argument);
        }
        let word = self.keyword();
        let length = u8::try_from(word.len()).map_err(|_| ProtoError::Argument)?;
        let mut out = Vec::with_capacity(1 + word.len());
        out.push(length);
        out.extend_from_slice(word.as_bytes());
        Ok(out)
    }
}

/// Decodes the result of a command.
///
/// # Errors
/// See [`ProtoError`]; `Unexpected` for the reply to another command.
pub fn decode_hws(command: &HwsCommand, reply: &[u8]) -> Result<Outcome, ProtoError> {
    let mut reader = Reader::new(reply);
    if command.reply().first() == Some(&Field::Data) && reply.get(3) == Some(&0) {
        reader.skip_data()?;
    }
    let words = plain(reader.text8()?);
    reader.end()?;
    if words.starts_with("unknown command or error in function") {
        Ok(Outcome::Unknown(words))
    } else if words.contains("fail") || words.ends_with("filename does not exist") {
        Ok(Outcome::Failed(words))
    } else if words.starts_with(command.answer()) {
        Ok(Outcome::Done(words))
    } else {
        Err(ProtoError::Unexpected(words))
    }
}
