//! The options of every command that calls the management API.

use clap::Args;

use crate::endpoint::Endpoint;
use crate::output::Output;

/// Which API, and how its answer is printed.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApiOptions {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    pub(crate) output: Output,
}
