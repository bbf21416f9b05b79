//! CSV files, in the formats of an export.

use clap::ValueEnum;
use csv::Writer;

use crate::failure::Failure;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Json,
}

/// The contents of a CSV file with these rows.
pub(crate) fn contents<H, R>(
    header: H,
    rows: impl IntoIterator<Item = R>,
) -> Result<String, Failure>
where
    H: IntoIterator<Item: AsRef<[u8]>>,
    R: IntoIterator<Item: AsRef<[u8]>>,
{
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// Prints a CSV file.
pub(crate) fn print<H, R>(header: H, rows: impl IntoIterator<Item = R>) -> Result<(), Failure>
where
    H: IntoIterator<Item: AsRef<[u8]>>,
    R: IntoIterator<Item: AsRef<[u8]>>,
{
    super::print(contents(header, rows)?.trim_end())
}
