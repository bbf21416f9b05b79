//! Where the figures go: parts of `docs/performance.md`, between marks that name them.

use std::fs;
use std::path::Path;

/// Prints a part and puts it into the page, in the place of what was measured before.
pub(crate) fn write(part: &str, text: &str) {
    println!("{text}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let before = fs::read_to_string(&page).expect("docs/performance.md is there");
    let (start, end) = (
        format!("<!-- {part} -->"),
        format!("<!-- end of {part} -->"),
    );
    let (head, rest) = before.split_once(&start).expect("the part's first mark");
    let (_, tail) = rest.split_once(&end).expect("the part's second mark");
    let after = format!("{head}{start}\n{}\n{end}{tail}", text.trim());
    fs::write(page, after).expect("docs/performance.md can be written");
}

/// The median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
