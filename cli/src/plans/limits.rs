//! Limits of a plan on the command line.

use clap::{Args, ValueEnum};

use crate::arguments::throttle::{MethodThrottle, rate};

#[derive(Debug, Args)]
pub(super) struct Limits {
    /// Requests per second of each key [default: no throttle]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Requests that may come at once [default: one second's worth of --rate]
    #[arg(long, value_name = "N")]
    pub(super) burst: Option<u32>,
    /// Requests per period of each key [default: no quota]
    #[arg(long, value_name = "N")]
    pub(super) quota: Option<u64>,
    /// Period of the quota; periods begin at 00:00 UTC
    #[arg(long, value_enum)]
    pub(super) period: Option<Period>,
    /// Day on which a period begins: 0 (Sunday) to 6 for weeks, 0 (the 1st) to 27 for months [default: 0]
    #[arg(long, value_name = "DAYS")]
    pub(super) offset: Option<u32>,
    /// Rate and burst of each key on one method, such as abc123:prod/pets/{id}/GET=5:10; repeatable
    #[arg(long, value_name = "API:STAGE/PATH/METHOD=RATE[:BURST]")]
    pub(super) method_throttle: Vec<MethodThrottle>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Period {
    Day,
    Week,
    Month,
}

impl Period {
    /// The period's name in the API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
        }
    }
}
