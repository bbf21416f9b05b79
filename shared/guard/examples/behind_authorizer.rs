//! A Lambda function behind an HTTP API whose authorizer hands on requests over a limit (`OnLimit=pass`): the guard answers 429.

use axum::Router;
use axum::routing::get;
use tollgate_guard::Guard;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    let app = Router::new()
        .route("/pets", get(async || "pets"))
        .layer(Guard::behind_authorizer());
    lambda_http::run(app).await
}
