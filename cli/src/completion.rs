//! What a shell completes: commands and options by clap, ids and names of keys and plans by asking the management API.

use std::time::Duration;

use clap::CommandFactory;
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, CompletionCandidate, Shell};
use serde_json::Value;
use tokio::time::timeout;

use crate::Arguments;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::names::Found;

/// The variable by which a shell's script asks for completions.
const VARIABLE: &str = "COMPLETE";
/// The shell waits for an answer, so a slow API completes nothing.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// Keys or plans that are offered, the newest ones.
const MOST: usize = 200;

/// Answers a shell that asks for completions, and ends the program. Returns if no shell asks.
pub(crate) fn answer_shell() {
    CompleteEnv::with_factory(Arguments::command)
        .var(VARIABLE)
        .complete();
}

/// The script that makes a shell ask.
pub(crate) fn script(shell: Shell) -> Result<String, Failure> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&shell.to_string())
        .ok_or("no completions for this shell")?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "tollgate", "tollgate", "tollgate", &mut script)?;
    Ok(String::from_utf8(script)?)
}

/// The ids and names of keys.
pub(crate) fn keys() -> Vec<CompletionCandidate> {
    candidates("apikeys")
}

/// The ids and names of plans.
pub(crate) fn plans() -> Vec<CompletionCandidate> {
    candidates("usageplans")
}

/// What the management API that the environment names has. Nothing can be said to people here, so any failure completes nothing.
fn candidates(path: &str) -> Vec<CompletionCandidate> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Vec::new();
    };
    let found = runtime.block_on(async { timeout(TIME_LIMIT, list(path)).await });
    let found = found.ok().and_then(Result::ok).unwrap_or_default();
    found.into_iter().flat_map(both).collect()
}

async fn list(path: &str) -> Result<Vec<Found>, Failure> {
    let api = Endpoint::default().client().await?;
    let records: Vec<Value> = api.list(&[path], &[], Some(MOST)).await?;
    Ok(records.iter().map(Found::of).collect())
}

/// A name and an id, each with the other beside it.
fn both(Found { id, name }: Found) -> Vec<CompletionCandidate> {
    let mut candidates = Vec::new();
    if !name.is_empty() {
        candidates.push(CompletionCandidate::new(&name).help(Some(id.clone().into())));
    }
    candidates.push(CompletionCandidate::new(id).help(Some(name.into())));
    candidates
}
