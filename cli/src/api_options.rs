//! The options of every command that calls the management API.

use clap::Args;

use crate::endpoint::Endpoint;
use crate::output::Output;

/// The heading of these options in every command's help.
pub(crate) const HEADING: &str = "Options of all commands";

/// Which API, and how its answer is printed.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApiOptions {
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
    #[command(flatten)]
    pub(crate) output: Output,
}
