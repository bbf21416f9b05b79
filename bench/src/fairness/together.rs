//! One process, many requests at once on one key: a server that decides itself, compared with the same server on a plan without
//! limits, and without Tollgate.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use jiff::ToSpan;
use tokio::net::{TcpListener, TcpStream};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::id::StageId;
use tollgate_core::plan::Plan;
use tollgate_dynamo::connection::Connection;
use tollgate_engine::Settings;
use tollgate_engine::config::Config;
use tollgate_guard::{Gate, Guard};
use tollgate_protocol::credential::KeySource;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{admin, linked, plan, used};

use super::PAGE;
use crate::report;
use crate::statistics::{count, median, percentile};
use crate::subject::milliseconds;

/// Requests at once.
const AT_ONCE: [usize; 2] = [64, 512];
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// The time that the proxy adds to a call to the store.
const CALL: Duration = Duration::from_millis(3);

pub(crate) async fn run() {
    let mut rows = Vec::new();
    for at_once in AT_ONCE {
        rows.push(Box::pin(measure(at_once)).await.row(at_once));
    }
    let header = [
        "requests at once",
        "requests/s",
        "only metered",
        "ratio",
        "without Tollgate",
        "p50 ms",
        "p99 ms",
        "refused",
        "writes / request",
        "counted but not answered",
    ];
    report::write(PAGE, "together", &report::table(&header, &rows));
}

/// What a number of requests at once has shown.
struct Measured {
    /// On a plan with limits.
    limited: Seen,
    /// On a plan without limits.
    metered: Seen,
    /// Without Tollgate.
    without: Seen,
    /// Requests per second with limits, as a share of those without, round by round.
    ratios: Vec<f64>,
    writes: usize,
    /// Requests that usage has, and no client was answered.
    not_answered: i128,
}

/// What a server was seen to do.
#[derive(Default)]
struct Seen {
    per_second: Vec<f64>,
    took: Vec<f64>,
    refused: usize,
    answered: usize,
}

async fn measure(at_once: usize) -> Measured {
    let store = Store::new(Kind::Embedded).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let admin = admin(&store).await;
    let (limited_plan, limited_key) = linked(&admin, high_limits()).await;
    let (_, metered_key) = linked(&admin, plan(None, None)).await;
    let (guarded, bare) = servers(&store.through(&proxy.endpoint)).await;
    // From here on keys are known and connections are warm.
    let mut warm = Seen::default();
    round(guarded, &limited_key.value, 1, &mut warm).await;
    for server in [guarded, bare] {
        round(server, &metered_key.value, 1, &mut Seen::default()).await;
    }
    proxy.rule(|_, _| Fault::Delay(CALL));
    let mut limited = Seen::default();
    let (mut metered, mut without) = (Seen::default(), Seen::default());
    let (mut ratios, mut writes) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        proxy.take_calls();
        round(guarded, &limited_key.value, at_once, &mut limited).await;
        let counts = proxy.take_counts();
        writes += counts.get("UpdateItem").copied().unwrap_or(0);
        round(guarded, &metered_key.value, at_once, &mut metered).await;
        round(bare, &metered_key.value, at_once, &mut without).await;
        ratios.push(limited.latest() / metered.latest());
    }
    let yesterday = day_of(jiff::Timestamp::now()) - 1.day();
    let (key, plan) = (&limited_key.record.id, &limited_plan.id);
    let counted = used(&admin, plan, key, yesterday).await;
    let admitted = warm.answered + limited.answered - limited.refused;
    Measured {
        not_answered: i128::from(counted) - i128::try_from(admitted).expect("a count"),
        limited,
        metered,
        without,
        ratios,
        writes,
    }
}

/// Limits that no round reaches.
fn high_limits() -> Plan {
    plan(
        Some((100_000.0, 100_000)),
        Some((1_000_000_000, PeriodKind::Month)),
    )
}

/// A server that decides itself, and the same server without Tollgate.
async fn servers(store: &Store) -> (SocketAddr, SocketAddr) {
    let connection = Connection::deciding(&store.sdk_config().await);
    let config = Config {
        table: store.table.clone(),
        key_sources: vec![KeySource::Header("x-api-key".to_owned())],
        engine: Settings::default(),
    };
    let gate = Gate::new(config, connection, StageId::new("api", "prod"));
    let app = || Router::new().route("/", get(async || "hello"));
    let guarded = serve(app().layer(Guard::in_process(gate))).await;
    (guarded, serve(app()).await)
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

impl Seen {
    /// Requests per second of the latest round.
    fn latest(&self) -> f64 {
        self.per_second.last().copied().unwrap_or(f64::NAN)
    }
}

impl Measured {
    fn row(mut self, at_once: usize) -> Vec<String> {
        let limited = &mut self.limited;
        vec![
            at_once.to_string(),
            format!("{:.0}", median(limited.per_second.clone())),
            format!("{:.0}", median(self.metered.per_second)),
            format!("{:.2}", median(self.ratios)),
            format!("{:.0}", median(self.without.per_second)),
            format!("{:.1}", percentile(&mut limited.took, 0.5)),
            format!("{:.1}", percentile(&mut limited.took, 0.99)),
            limited.refused.to_string(),
            format!("{:.4}", count(self.writes) / count(limited.answered)),
            self.not_answered.to_string(),
        ]
    }
}

/// A round of `connections`, each of which sends its next request as soon as it is answered.
async fn round(server: SocketAddr, key: &str, connections: usize, seen: &mut Seen) {
    let started = Instant::now();
    let end = started + ROUND;
    let running: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(connection(server, key.to_owned(), end)))
        .collect();
    let mut answered = 0;
    for running in running {
        let (took, refused) = running.await.expect("it ends");
        answered += took.len();
        seen.took.extend(took);
        seen.refused += refused;
    }
    seen.answered += answered;
    seen.per_second
        .push(count(answered) / started.elapsed().as_secs_f64());
}

/// Sends one request after the other until `end`: how many milliseconds each took, and how many were refused.
async fn connection(server: SocketAddr, key: String, end: Instant) -> (Vec<f64>, usize) {
    let stream = TcpStream::connect(server).await.expect("a connection");
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.expect("HTTP");
    tokio::spawn(connection);
    let (mut took, mut refused) = (Vec::new(), 0);
    while Instant::now() < end {
        let request = Request::get("/").header("host", "localhost");
        let request = request.header("x-api-key", &key).body(Body::empty());
        let sent = Instant::now();
        let response = sender.send_request(request.expect("a request")).await;
        let response = response.expect("an answer");
        refused += usize::from(response.status() != StatusCode::OK);
        response.into_body().collect().await.expect("a body");
        took.push(milliseconds(sent.elapsed()));
    }
    (took, refused)
}
