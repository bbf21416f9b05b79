//! A line for each request to the gateway, on standard error: time, status, method, path, decision, reason, key and limit.

use std::io::Write;
use std::sync::mpsc::{SyncSender, sync_channel};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tollgate_core::verdict::Decision;
use tollgate_guard::Context;

/// Lines that wait to be written. More are dropped: a terminal, or a pipe that nobody reads, must not hold up requests.
const WAITING: usize = 1_000;

/// Adds the log to a gateway, unless it is to be `quiet`.
pub(super) fn layer(gateway: Router, quiet: bool) -> Router {
    if quiet {
        return gateway;
    }
    let lines = writer();
    gateway.layer(from_fn(move |request: Request, next: Next| {
        let lines = lines.clone();
        async move {
            let what = format!("{} {}", request.method(), request.uri().path());
            let response = next.run(request).await;
            drop(lines.try_send(line(&what, &response)));
            response
        }
    }))
}

/// Writes lines in a thread of its own.
fn writer() -> SyncSender<String> {
    let (sender, lines) = sync_channel::<String>(WAITING);
    std::thread::spawn(move || {
        let mut out = AutoStream::auto(std::io::stderr());
        for line in lines {
            drop(writeln!(out, "{line}"));
        }
    });
    sender
}

fn line(what: &str, response: &Response) -> String {
    let time = Timestamp::now().to_zoned(TimeZone::system());
    let time = time.strftime("%H:%M:%S");
    let status = response.status().as_u16();
    let Some(context) = response.extensions().get::<Context>() else {
        return format!("{time} {status} {what}");
    };
    let style = color(context.decision);
    let (decision, reason) = (context.decision.as_str(), &context.reason);
    let key = context.key_id.as_ref();
    let key = key.map_or_else(String::new, |key| format!("  key {key}"));
    let limit = limit(context);
    format!("{time} {style}{status} {decision:<14}{style:#} {reason:<18} {what}{key}{limit}")
}

/// The limit that refuses, or what is left of the quota.
fn limit(context: &Context) -> String {
    match (&context.violated_policy, context.retry_after) {
        (Some(policy), Some(seconds)) => format!("  limit {policy}, again in {seconds} s"),
        (Some(policy), None) => format!("  limit {policy}"),
        (None, _) => match (context.quota_remaining, context.quota_limit) {
            (Some(left), Some(limit)) => format!("  quota {left} left of {limit}"),
            _ => String::new(),
        },
    }
}

fn color(decision: Decision) -> Style {
    let color = match decision {
        Decision::Allow => AnsiColor::Green,
        Decision::Throttled | Decision::QuotaExceeded => AnsiColor::Yellow,
        Decision::Denied => AnsiColor::Red,
    };
    color.on_default()
}
