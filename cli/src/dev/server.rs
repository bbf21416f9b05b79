//! Listening and serving on ports of this machine.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::failure::Failure;

/// How long a connection may take to send a request's header, or stay idle. Without a limit, connections of clients that have
/// gone away would stay open for ever.
const HEADER_TIME_LIMIT: Duration = Duration::from_secs(10);
/// The pause after a connection could not be accepted, usually because too many are open.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on a port, which `--{server}-port` has chosen.
pub(super) async fn listen(server: &str, port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| {
            format!("cannot listen on port {port}: {error}; choose another with --{server}-port")
                .into()
        })
}

/// The URL of a server that listens here.
pub(super) fn url(listener: &TcpListener) -> Result<String, Failure> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Serves an app for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, app: Router) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_LIMIT);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (builder, service) = (builder.clone(), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            // An error means that the client has gone away, which is nothing to report.
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            drop(connection.await);
        });
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
