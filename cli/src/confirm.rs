//! Questions before something that cannot be undone.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Asks whether to go on, unless `yes` has answered already. Without a terminal there is nobody to ask, so the command fails.
pub(crate) fn confirm(action: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(format!("{action}: this cannot be undone; add --yes to do it").into());
    }
    eprint!("{}? This cannot be undone. [y/N] ", capitalized(action));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err("nothing was changed".into()),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
