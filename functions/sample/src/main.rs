//! The `sample` bootstrap: a backend behind the authorizer, which answers with what the authorizer has told it. What a limit
//! refuses it answers 429.

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
