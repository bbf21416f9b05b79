//! The rules of Tollgate as pure code: no I/O, no AWS, no async and no clock. Time is always an argument.
//!
//! Keys, plans and requests:
//! - [`id`]: ids of keys, plans and API stages. [`key`]: the value a client sends: its format, checksum and hash.
//! - [`limit`]: the limits of a plan, [`Throttle`](limit::Throttle) and [`Quota`](limit::Quota), validated on construction.
//! - [`plan`]: limits by API stage and method. [`terms`]: the limits and methods of one key under one plan.
//! - [`path`]: the path of a request, parsed the same way for every entry point. [`template`]: route templates such as
//!   `/pets/{id}/GET`, and which of several matches best.
//!
//! Charging a request:
//! - [`limits`]: the list of limits that one request has to meet.
//! - [`meter`]: the live counters of one key under one plan. [`bucket`]: GCRA, the arithmetic of throttles.
//! - [`charge`](mod@charge): given a meter and a request, the one conditional write that would charge it, as a list of effects,
//!   or the refusal.
//! - [`moment`], [`calendar`]: the time of a decision; days and quota periods in UTC.
//!
//! Deciding against a store that other instances also write to:
//! - [`flow`]: the decision of a batch of requests, call by call.
//! - [`sharing`], [`tactic`]: how instances that share a bucket avoid making each other's writes fail.
//! - [`age`]: how old a cached record may be.
//! - [`lane`]: how to distinguish a lost answer from a write that was never applied.
//!
//! Results:
//! - [`reason`]: decisions and reasons, with their texts, and the kinds of limits. [`verdict`]: the answer to one request.
//! - [`status`]: what remains of each limit.
//!
//! **To add a kind of limit** that counts by a bucket, add a form of [`template`]s and its line in
//! [`ApiStage`](plan::ApiStage)`::limits`, or, for a limit of the whole plan, a field of [`Plan`](plan::Plan) and a line in
//! [`Terms::limits`](terms::Terms::limits). A limit with a name of its own is a [`LimitKind`](reason::LimitKind). One that counts in another
//! way also needs a [`Rule`](limits::Rule), an [`Effect`](charge::Effect), and an expression of that effect in `tollgate-dynamo`.

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
