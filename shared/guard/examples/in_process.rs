//! A server that decides by itself, without API Gateway.
//!
//! With `tollgate dev --demo` running:
//!
//! ```sh
//! AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local \
//!   TOLLGATE_API_STAGE='local:$default' cargo run --package tollgate-guard --example in_process --features in-process
//! curl -i -H "x-api-key: $KEY" http://127.0.0.1:3002/pets
//! ```

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tollgate_guard::{Gate, Guard};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gate = Gate::from_env().await?;
    let app = Router::new()
        .route("/pets", get(async || "pets"))
        .layer(Guard::in_process(gate));
    let listener = TcpListener::bind("127.0.0.1:3002").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
