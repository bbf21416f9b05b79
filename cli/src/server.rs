//! Serving an app on a port of this machine.

use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// How long a connection may take to say what it wants, or lie idle. Otherwise connections whose other end has gone would be kept
/// for ever.
const TIME_TO_ASK: Duration = Duration::from_secs(10);
/// Before connections are taken again, where there are too many.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, app: Router) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(TIME_TO_ASK);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (builder, service) = (builder.clone(), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            // That a client has gone away is nothing to tell.
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            drop(connection.await);
        });
    }
}
