//! The rules of Tollgate, pure: no I/O, no AWS, no async, and no clock of its own. Time is always an argument.
//!
//! - [`id`]: ids of keys, plans and API stages.
//! - [`key`]: the value a client sends: its format, checksum and hash.
//! - [`limit`]: what a plan may limit: [`Throttle`](limit::Throttle) and [`Quota`](limit::Quota), checked when they are made.
//! - [`plan`]: limits by API stage and method, and which of them a request meets.
//! - [`terms`]: what one key may do under one plan.
//! - [`path`]: what a request asks for, as every front door reads it.
//! - [`template`]: route templates such as `/pets/{id}/GET`, and which of several matches best.
//! - [`calendar`]: days and quota periods, UTC.
//! - [`bucket`]: GCRA, the throttle's whole arithmetic.
//! - [`meter`]: the live counters of one key under one plan.
//! - [`charge`](mod@charge): given a meter and a request, the one conditional write that would charge it, or the refusal.
//! - [`sharing`]: how instances that share a bucket keep out of each other's way.
//! - [`lane`]: how a lost answer is told from a write that never happened.
//! - [`verdict`]: what was decided and why, in the words that clients see; [`status`]: what is left of each limit.

pub mod bucket;
pub mod calendar;
pub mod charge;
pub mod id;
pub mod key;
pub mod lane;
pub mod limit;
pub mod meter;
pub mod path;
pub mod plan;
pub mod sharing;
pub mod status;
pub mod template;
pub mod terms;
pub mod verdict;
