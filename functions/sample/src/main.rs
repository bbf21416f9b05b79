//! The `sample` bootstrap: a backend behind the authorizer. It answers with the authorizer's context, and with 429 if a limit
//! refuses the request and `TOLLGATE_ON_LIMIT=pass` lets it through.

use axum::http::Uri;
use axum::{Extension, Json, Router};
use lambda_http::{Error, run};
use serde_json::{Value, json};
use tollgate_guard::{Context, Guard};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tollgate_telemetry::init();
    run(Router::new()
        .fallback(answer)
        .layer(Guard::behind_authorizer()))
    .await
}

async fn answer(path: Uri, Extension(context): Extension<Context>) -> Json<Value> {
    Json(json!({ "path": path.path(), "authorizer": context }))
}
