//! What the gateway answers as.

use clap::ValueEnum;

/// The id of the gateway's API.
pub(crate) const API_ID: &str = "local";
/// The name of its stage.
pub(crate) const STAGE: &str = "$default";

/// What the gateway answers as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    /// An HTTP API with the authorizer: 403 to whatever is refused. With `TOLLGATE_ON_LIMIT=pass` the backend says 429
    Http,
    /// A REST API with the authorizer and the example's gateway responses: 429 and 401
    Rest,
    /// A server that decides itself, without an authorizer
    InProcess,
}
