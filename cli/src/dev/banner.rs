//! What `tollgate dev` serves, for people: on standard error, because programs read the ready line on standard output.

use std::path::Path;

use super::Urls;
use crate::gateway::Api;

/// Where the store keeps what it holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Store<'a> {
    Memory,
    File(&'a Path),
    Elsewhere,
}

impl<'a> Store<'a> {
    /// The store of a run: `state` is the file that was given.
    pub(super) fn of(state: Option<&'a Path>, is_embedded: bool) -> Self {
        match state {
            Some(file) => Self::File(file),
            None if is_embedded => Self::Memory,
            None => Self::Elsewhere,
        }
    }
}

/// Prints what is served where, and what becomes of it.
pub(super) fn print(api: Api, urls: &Urls, store: Store<'_>) {
    let answers = match api {
        Api::Http => "an HTTP API with the authorizer",
        Api::Rest => "a REST API with the authorizer",
        Api::InProcess => "a server with the guard, without an authorizer",
    };
    let kept = match store {
        Store::Memory => "in memory; keep it with --state FILE".to_owned(),
        Store::File(file) => format!("kept in {}", file.display()),
        Store::Elsewhere => "not started here".to_owned(),
    };
    eprintln!();
    eprintln!("Tollgate {}", env!("CARGO_PKG_VERSION"));
    for (name, url, what) in [
        ("gateway", &urls.gateway, answers),
        ("management", &urls.management, "for --url or TOLLGATE_URL"),
        ("DynamoDB", &urls.dynamodb, kept.as_str()),
    ] {
        eprintln!("  {name:<12}{url:<25}{what}");
    }
    eprintln!("Requests are listed here. Stop with Ctrl-C.");
    eprintln!();
}
