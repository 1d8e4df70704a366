//! Settings of `hw` as parameters. Ranges and choices are those of the vendor's clients
//! (`local/hw_alice.py`, `local/hw_bob.py`). Settings have no reply and cannot be read back in a
//! documented form, so they are write-only.

use crate::proto::{Argument, HwCommand, Side};
use qkd_hal::{
    Error, Result,
    parameter::{ParameterSpec, ParameterType, ParameterValue, find},
};

const fn real(
    name: &'static str,
    title: &'static str,
    min: f64,
    max: f64,
    unit: &'static str,
) -> ParameterSpec {
    ParameterSpec::read_only(name, title, ParameterType::Real { min, max }, unit)
        .write_only()
        .disruptive()
}
const fn choice(
    name: &'static str,
    title: &'static str,
    words: &'static [&'static str],
) -> ParameterSpec {
    ParameterSpec::read_only(name, title, ParameterType::choice(words), "")
        .write_only()
        .disruptive()
}
const fn integer(
    name: &'static str,
    title: &'static str,
    min: i64,
    max: i64,
    unit: &'static str,
) -> ParameterSpec {
    ParameterSpec::read_only(name, title, ParameterType::Integer { min, max }, unit)
        .write_only()
        .disruptive()
}

const PM_MODE: ParameterSpec = choice(
    "pm-mode",
    "sequence of the phase modulator",
    &["seq64", "seq64tight", "fake_rng", "true_rng", "off"],
);
const INSERT_ZEROS: ParameterSpec = choice(
    "insert-zeros",
    "zeros in the sequence, for feedback",
    &["on", "off"],
);
const PM_SHIFT: ParameterSpec = integer(
    "pm-shift",
    "shift of the phase modulator's signal, in steps of 1.25 ns",
    0,
    i32::MAX as i64,
    "",
);

const ALICE: &[ParameterSpec] = &[
    real("vca", "voltage-controlled attenuator", 0.0, 5.0, "V"),
    real(
        "am-bias",
        "bias of the amplitude modulator",
        -10.0,
        10.0,
        "V",
    ),
    real("qdistance", "separation of the double pulse", -1.0, 1.0, ""),
    integer(
        "am-shift",
        "shift of the pulse generation, in steps of 1.25 ns",
        0,
        i32::MAX as i64,
        "",
    ),
    PM_MODE,
    PM_SHIFT,
    INSERT_ZEROS,
];

const BOB: &[ParameterSpec] = &[
    choice("spd-mode", "mode of the detector", &["free", "gated"]),
    integer(
        "spd-deadtime",
        "dead time of the detector; 15 gated, 50 free running",
        0,
        1_000,
        "µs",
    ),
    choice(
        "spd-eff",
        "efficiency of the detector, in percent; 20 is recommended",
        &["10", "20", "30"],
    ),
    integer(
        "spd-delay",
        "delay of the detector's gate",
        0,
        i32::MAX as i64,
        "ps",
    ),
    PM_MODE,
    PM_SHIFT,
    INSERT_ZEROS,
];

/// The settings of one end.
pub(crate) fn of(side: Side) -> &'static [ParameterSpec] {
    match side {
        Side::Alice => ALICE,
        Side::Bob => BOB,
    }
}

/// The command of a setting.
pub(crate) fn command(side: Side, name: &str, value: &ParameterValue) -> Result<HwCommand> {
    let spec = find(of(side), name)?;
    spec.check(value)?;
    let int = |v: i64| {
        i32::try_from(v)
            .map(Argument::Int)
            .map_err(|_| Error::invalid(format!("{name}={v} does not fit onto the wire")))
    };
    let argument = match value {
        // The efficiency is a choice for people and an integer on the wire.
        ParameterValue::Text(word) if spec.name == "spd-eff" => Argument::Int(
            word.parse()
                .map_err(|_| Error::invalid("spd-eff takes 10, 20 or 30"))?,
        ),
        ParameterValue::Text(word) => Argument::Text(word.clone()),
        ParameterValue::Integer(v) => int(*v)?,
        ParameterValue::Real(v) => Argument::Double(*v),
        _ => {
            return Err(Error::invalid(format!(
                "invalid value `{value}` for {name}"
            )));
        }
    };
    let word = match &*spec.name {
        "vca" => "set_vca",
        "am-bias" => "set_am_bias",
        "qdistance" => "set_qdistance",
        "am-shift" => "set_am_shift",
        "pm-mode" => "set_pm_mode",
        "pm-shift" => "set_pm_shift",
        "insert-zeros" => "set_insert_zeros",
        "spd-mode" => "set_spd_mode",
        "spd-deadtime" => "set_spd_deadtime",
        "spd-eff" => "set_spd_eff",
        _ => "set_spd_delay",
    };
    Ok(HwCommand::Set(word, vec![argument]))
}
