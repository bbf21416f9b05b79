//! Values of keys.

pub(crate) use tollgate_api::Secret;

use crate::failure::Failure;

/// The value of an option, or the first line of standard input if the option is `-`: a value that is typed on the command line
/// stays in the shell's history.
pub(crate) fn value_or_stdin(value: &Secret) -> Result<String, Failure> {
    if value.expose() != "-" {
        return Ok(value.expose().to_owned());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
