//! Tables for people, JSON for programs.

use crate::{
    cli::Output,
    colour::{self, Tone, paint},
};
use comfy_table::{ContentArrangement, Table, presets};
use qkd_driver_kit::program::console;
use qkd_hal::{
    Error,
    reading::{Measured, Quality},
    text::{MAX_TEXT, printable},
    units::DecibelMilliwatts,
};
use serde::Serialize;
use std::borrow::Cow;

/// The longest line of ours that holds text from outside, in characters: the paths of a large
/// switch have some thousands.
const MAX_MESSAGE: usize = 16_000;

/// One field from outside, on one line.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    printable(text, MAX_TEXT)
}

/// The cells of a row of a table, each on one line.
pub(crate) fn cells<const N: usize>(cells: [String; N]) -> [String; N] {
    cells.map(|cell| clean(&cell).into_owned())
}

/// Writes a line to standard output. That it cannot be written does not undo what was done.
pub(crate) fn line(text: &str) {
    console::line_to(anstream::stdout(), &colour::render(text));
}

/// Writes a line to standard error.
pub(crate) fn error_line(text: &str) {
    console::error_line_to(anstream::stderr(), &colour::render(text));
}

/// Prints a result: `table` for people, `value` as JSON.
pub(crate) fn print(
    output: Output,
    value: &impl Serialize,
    table: impl FnOnce() -> String,
) -> qkd_hal::Result<()> {
    match output {
        Output::Json => {
            let text = serde_json::to_string_pretty(value)
                .map_err(|e| Error::new(qkd_hal::ErrorKind::Internal, format!("no JSON: {e}")))?;
            line(&console::json_text(&text));
        }
        Output::Table => line(table().trim_end()),
    }
    Ok(())
}

/// Prints an error: what happened, whether the device may have changed, and what to try.
pub(crate) fn print_error(output: Output, error: &Error) {
    match output {
        Output::Json => {
            let value = serde_json::json!({"error": {
                "kind": error.kind().name(), "detail": format!("{}", error.kind()), "effect": error.effect_on_device(), "message": error.message(), "operation": error.operation(),
                "device": error.device(), "vendor_code": error.code(), "vendor_text": error.words(), "try": error.kind().advice(),
            }});
            error_line(&console::json_text(&format!("{value:#}")));
        }
        Output::Table => {
            let place = [error.device(), error.operation()]
                .into_iter()
                .flatten()
                .map(clean)
                .collect::<Vec<_>>()
                .join(": ");
            let colon = if place.is_empty() { "" } else { ": " };
            error_line(&format!(
                "{} {place}{colon}{}",
                paint(Tone::Bad, "error:"),
                printable(error.message(), MAX_MESSAGE)
            ));
            if let Some(words) = error.words().or(error.code()).map(clean) {
                error_line(&format!(
                    "  the device says: {}{words}",
                    error
                        .code()
                        .filter(|_| error.words().is_some())
                        .map_or_else(String::new, |c| format!("{}: ", clean(c)))
                ));
            }
            error_line(&format!("  what:   {}", error.kind()));
            error_line(&format!("  effect: {}", error.effect_on_device()));
            error_line(&format!("  try:    {}", error.kind().advice()));
        }
    }
}

/// A table with these columns.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(columns.to_vec());
    table
}

/// A list of pairs, the names in a column of their own.
pub(crate) fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("{name:width$}  {}\n", printable(value, MAX_MESSAGE)))
        .collect()
}

/// How a quality is marked behind a value; good ones are not.
pub(crate) fn mark(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "",
        Quality::Stale => " (stale)",
        Quality::OutOfRange => " (out of range)",
        _ => " (invalid)",
    }
}

/// A power, to hundredths.
pub(crate) fn dbm(power: Measured<DecibelMilliwatts>) -> String {
    format!("{:.2} dBm{}", power.value.0, mark(power.quality))
}
