//! Arguments that several commands take, each turned into a value once, while the command line is read.
//!
//! - [`mod@url`]: URLs of servers.
//! - [`method`]: API stages and their methods; [`throttle`]: rates and bursts.
//! - [`time`]: dates, times and durations.
//! - [`value`]: the values of keys.

pub(crate) mod method;
pub(crate) mod throttle;
pub(crate) mod time;
pub(crate) mod url;
pub(crate) mod value;
