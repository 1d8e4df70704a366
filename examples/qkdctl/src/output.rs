//! Tables for people, JSON for programs.

use crate::{
    colour::{self, TextStyle, paint},
    exit,
};
use clap::ValueEnum;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use qkd_driver_kit::program::console;
use qkd_hal::{
    Error,
    reading::{Measured, Quality},
    text::{MAX_TEXT, bounded_json_text, printable},
    units::DecibelMilliwatts,
};
use serde::Serialize;
use std::{borrow::Cow, io::IsTerminal};

/// Maximum length of a line with text from outside, in characters: the paths of a large switch need
/// some thousands.
const MAX_MESSAGE: usize = 16_000;

/// A terminal with fewer columns is not wrapped for.
const MIN_WIDTH: usize = 20;

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
    console::line_to(anstream::stdout(), &colour::render(&wrapped(text)));
}

/// Output format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON document on standard output; errors as JSON on standard error.
    Json,
}

/// Output options of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) format: Format,
    /// Results and errors only.
    pub(crate) quiet: bool,
}

impl Output {
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }
}

/// The version of the schemas in `docs/schemas`.
const SCHEMA_VERSION: u32 = 2;

/// A JSON document, which names its schema.
#[derive(Serialize)]
struct Document<'a, T: ?Sized> {
    schema: String,
    #[serde(flatten)]
    body: &'a T,
}

/// Returns a document of a command as JSON text on several lines, or on one.
///
/// # Errors
/// `Internal`, if the body is not an object.
pub(crate) fn document(
    command: &str,
    body: &(impl Serialize + ?Sized),
    lines: bool,
) -> qkd_hal::Result<String> {
    let document = Document {
        schema: format!("qkdctl/{command}/{SCHEMA_VERSION}"),
        body,
    };
    let text = if lines {
        serde_json::to_string_pretty(&document)
    } else {
        serde_json::to_string(&document)
    };
    text.map(|text| bounded_json_text(&text, MAX_MESSAGE))
        .map_err(|e| Error::new(qkd_hal::ErrorKind::Internal, format!("no JSON: {e}")))
}

/// A count with its noun.
pub(crate) fn count(count: impl std::fmt::Display, one: &str, many: &str) -> String {
    let count = count.to_string();
    let noun = if count == "1" { one } else { many };
    format!("{count} {noun}")
}

/// The word of a unit variant, as JSON has it.
pub(crate) fn serde_name(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

/// Writes a note to standard error, unless only results and errors are wanted.
pub(crate) fn note(output: Output, text: &str) {
    if !output.quiet {
        error_line(text);
    }
}

/// Writes a line to standard error.
pub(crate) fn error_line(text: &str) {
    console::error_line_to(anstream::stderr(), &colour::render(&wrapped(text)));
}

/// Prints the result of a command: `table` for people, `body` as the document
/// `qkdctl/<command>/<version>`.
pub(crate) fn print(
    output: Output,
    command: &str,
    body: &impl Serialize,
    table: impl FnOnce() -> String,
) -> qkd_hal::Result<()> {
    match output.format {
        Format::Json => console::line_to(anstream::stdout(), &document(command, body, true)?),
        Format::Table => line(table().trim_end()),
    }
    Ok(())
}

/// Prints as JSON why a command line was not understood.
pub(crate) fn print_usage_error(error: &clap::Error) {
    let text = error.render().to_string();
    let message = text.trim().trim_start_matches("error: ");
    print_error(
        Output {
            format: Format::Json,
            quiet: false,
        },
        &Error::invalid(message),
    );
}

/// Prints an error: what happened, whether the device may have changed, and what to try.
pub(crate) fn print_error(output: Output, error: &Error) {
    match output.format {
        Format::Json => {
            let value = serde_json::json!({"error": {
                "kind": error.kind().name(), "detail": format!("{}", error.kind()),
                    "effect": error.effect(), "message": error.message(),
                        "operation": error.operation(),
                "device": error.device(), "vendor_code": error.vendor_code(),
                    "vendor_text": error.vendor_text(), "try": error.kind().advice(),
                "exit_code": exit::code(error),
            }});
            match document("error", &value, true) {
                Ok(text) => console::error_line_to(anstream::stderr(), &text),
                Err(no_json) => error_line(&no_json.to_string()),
            }
        }
        Format::Table => {
            let place = [error.device(), error.operation()]
                .into_iter()
                .flatten()
                .map(clean)
                .collect::<Vec<_>>()
                .join(": ");
            let colon = if place.is_empty() { "" } else { ": " };
            error_line(&format!(
                "{} {place}{colon}{}",
                paint(TextStyle::Bad, "error:"),
                printable(error.message(), MAX_MESSAGE)
            ));
            if let Some(words) = error.vendor_text().or(error.vendor_code()).map(clean) {
                error_line(&format!(
                    "  the device says: {}{words}",
                    error
                        .vendor_code()
                        .filter(|_| error.vendor_text().is_some())
                        .map_or_else(String::new, |c| format!("{}: ", clean(c)))
                ));
            }
            error_line(&format!("  what:   {}", error.kind()));
            error_line(&format!("  effect: {}", error.effect()));
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

/// The text of a table. No word is split: a table that has too little room is wider than the
/// terminal.
pub(crate) fn table_text(mut table: Table) -> String {
    let longest: Vec<u16> = (0..table.column_count())
        .map(|place| {
            let cells = table
                .row_iter()
                .filter_map(|row| row.cell_iter().nth(place));
            let header = table.header().and_then(|row| row.cell_iter().nth(place));
            let words = cells.chain(header).flat_map(|cell| {
                let words = cell.content();
                words
                    .split_whitespace()
                    .map(|word| word.chars().count())
                    .collect::<Vec<_>>()
            });
            u16::try_from(words.max().unwrap_or(1)).unwrap_or(u16::MAX)
        })
        .collect();
    for (column, longest) in table.column_iter_mut().zip(longest) {
        let width = longest.saturating_add(column.padding_width());
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    }
    table.to_string()
}

/// Formats pairs with the names in a column of their own; long values wrap in theirs.
pub(crate) fn pairs(rows: &[(&str, String)]) -> String {
    indented_pairs(0, rows)
}

/// The same, indented by some columns.
pub(crate) fn indented_pairs(indent: usize, rows: &[(&str, String)]) -> String {
    let names = rows.iter().map(|(name, _)| name.chars().count());
    let name_width = names.max().unwrap_or(0);
    rows.iter()
        .map(|(name, value)| {
            let row = format!(
                "{:indent$}{name:name_width$}  {}",
                "",
                printable(value, MAX_MESSAGE)
            );
            format!("{}\n", hanging(&row, indent + name_width + 2))
        })
        .collect()
}

/// Returns the columns of the terminal; `None` if standard output is not a terminal.
fn terminal_width() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal();
    let size = crossterm::terminal::size().ok().filter(|_| is_terminal)?;
    Some(usize::from(size.0)).filter(|width| *width >= MIN_WIDTH)
}

/// A line, wrapped at words to the width of the terminal, with this indent from its second line on.
fn hanging(line: &str, indent: usize) -> String {
    let Some(width) = terminal_width() else {
        return line.to_owned();
    };
    let indent = " ".repeat(indent.min(width / 2));
    let options = textwrap::Options::new(width)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .word_separator(textwrap::WordSeparator::AsciiSpace);
    textwrap::fill(line, options)
}

/// Text of several lines, each wrapped with an indent of two columns more than its own. Lines that
/// draw tables and pictures are left as they are.
fn wrapped(text: &str) -> String {
    let Some(width) = terminal_width() else {
        return text.to_owned();
    };
    let one = |line: &str| {
        let is_drawn = line.chars().any(|c| ('\u{2500}'..='\u{259f}').contains(&c));
        if is_drawn || line.chars().count() <= width {
            return line.to_owned();
        }
        hanging(line, line.len() - line.trim_start().len() + 2)
    };
    text.lines().map(one).collect::<Vec<_>>().join("\n")
}

/// Returns the mark of a quality after a value; empty for good quality.
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
