//! The figures in the pages of `docs`: each part of a page stands between two marks with its name.

use std::fs;
use std::path::{Path, PathBuf};

use itertools::Itertools;
use procfs::{CpuInfo, Current};

/// A file in `docs`.
pub(crate) fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name)
}

/// Prints a part and puts it into its page, in place of the earlier figures.
pub(crate) fn write(name: &str, part: &str, text: &str) {
    println!("{}\n", text.trim());
    let page = page(name);
    let before = fs::read_to_string(&page).expect("the page is there");
    let (start, end) = (
        format!("<!-- {part} -->"),
        format!("<!-- end of {part} -->"),
    );
    let (head, rest) = before.split_once(&start).expect("the part's first mark");
    let (_, tail) = rest.split_once(&end).expect("the part's second mark");
    let after = format!("{head}{start}\n{}\n{end}{tail}", text.trim());
    fs::write(page, after).expect("docs can be written");
}

/// A table: a column of names, and columns of numbers.
pub(crate) fn table<R: AsRef<[String]>>(header: &[&str], rows: &[R]) -> String {
    let rule = ["---"].into_iter().chain(["--:"; 64]).take(header.len());
    let head = [header.iter().join(" | "), rule.into_iter().join(" | ")].into_iter();
    let body = rows.iter().map(|row| row.as_ref().join(" | "));
    head.chain(body)
        .map(|line| format!("| {line} |\n"))
        .join("")
        + "\n"
}

/// The date of the measurement and the machine.
pub(crate) fn machine() -> String {
    let processors = CpuInfo::current().expect("Linux tells");
    format!(
        "Measured on {}, on {} processors ({}), by release {}.",
        jiff::Timestamp::now().strftime("%F"),
        processors.num_cores(),
        processors.model_name(0).unwrap_or(std::env::consts::ARCH),
        env!("CARGO_PKG_VERSION"),
    )
}
