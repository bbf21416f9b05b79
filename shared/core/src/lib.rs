//! The rules of Tollgate, pure: no I/O, no AWS, no async, and no clock of its own. Time is always an argument.
//!
//! What a key may do:
//! - [`id`]: ids of keys, plans and API stages. [`key`]: the value a client sends: its format, checksum and hash.
//! - [`limit`]: what a plan may limit: [`Throttle`](limit::Throttle) and [`Quota`](limit::Quota), checked when they are made.
//! - [`plan`]: limits by API stage and method. [`terms`]: what one key may do under one plan.
//! - [`path`]: what a request asks for, as every front door reads it. [`template`]: route templates such as `/pets/{id}/GET`,
//!   and which of several matches best.
//!
//! What a request is charged:
//! - [`limits`]: the list of limits that one request has to meet.
//! - [`meter`]: the live counters of one key under one plan. [`bucket`]: GCRA, the throttle's whole arithmetic.
//! - [`charge`](mod@charge): given a meter and a request, the one conditional write that would charge it, as a list of effects,
//!   or the refusal.
//! - [`moment`], [`calendar`]: the time of a decision; days and quota periods, UTC.
//!
//! How that is decided against a store that others write to as well:
//! - [`flow`]: the decision of a batch of requests, call by call.
//! - [`sharing`], [`tactic`]: how instances that share a bucket avoid making each other's writes fail.
//! - [`age`]: how old something remembered may be.
//! - [`lane`]: how a lost answer is told from a write that never happened.
//!
//! What comes of it:
//! - [`reason`]: decisions and reasons, with their words, and the kinds of limits. [`verdict`]: the answer to one request.
//! - [`status`]: what is left of each limit.
//!
//! **A new kind of limit** that counts by a bucket or a quota is a [`LimitKind`](reason::LimitKind) with its words, a field of
//! [`Plan`](plan::Plan), and one line in [`Terms::limits`](terms::Terms::limits). One that counts in another way is also a
//! [`Rule`](limits::Rule), an [`Effect`](charge::Effect), and an expression of that effect in `tollgate-dynamo`.

pub mod age;
pub mod bucket;
pub mod calendar;
pub mod charge;
pub mod flow;
pub mod id;
pub mod key;
pub mod lane;
pub mod limit;
pub mod limits;
pub mod meter;
pub mod moment;
pub mod path;
pub mod plan;
pub mod reason;
pub mod sharing;
pub mod status;
pub mod tactic;
pub mod template;
pub mod terms;
pub mod verdict;
