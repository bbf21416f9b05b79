//! A tower layer for Rust backends, with axum and `lambda_http`: it refuses what Tollgate refuses with the true status, and
//! tells clients what they have left.
//!
//! | what refuses | status | body |
//! |---|---|---|
//! | a throttle, a quota | 429, `Retry-After` where it ends | a problem document of draft-ietf-httpapi-ratelimit-headers |
//! | no key, or one that is not good | 401 | a problem document |
//! | the key may not call this | 403 | a problem document |
//! | the store could not decide | 503, `Retry-After` | a problem document |
//!
//! Admitted and refused answers carry `RateLimit` and `RateLimit-Policy`. Handlers find the decision as a [`Context`] in the
//! request's extensions.
//!
//! **Behind an authorizer** ([`Guard::behind_authorizer`]): an HTTP API can only say 403. With `TOLLGATE_ON_LIMIT=pass` the
//! authorizer admits what a limit refuses, and this layer refuses it by the decision in the request's context, before the
//! handler runs. What comes without a decision that can be read is refused.
//!
//! ```no_run
//! # use axum::{Router, routing::get};
//! let app: Router = Router::new()
//!     .route("/pets", get(async || "pets"))
//!     .layer(tollgate_guard::Guard::behind_authorizer());
//! // lambda_http::run(app).await
//! ```
//!
//! **In process** ([`Guard::in_process`]): the layer decides itself, without an authorizer: for function URLs, load balancers
//! and containers.
//!
//! ```no_run
//! # use axum::{Router, routing::get};
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let gate = tollgate_guard::Gate::from_env().await?; // TOLLGATE_TABLE, TOLLGATE_API_STAGE=orders:prod ...
//! let app: Router = Router::new()
//!     .route("/pets", get(async || "pets"))
//!     .layer(tollgate_guard::Guard::in_process(gate));
//! # Ok(()) }
//! ```
//!
//! What is decided in process is counted by the [`metrics`](https://docs.rs/metrics) facade, under the names of the authorizer's
//! metrics (`Allowed`, `Throttled`, `StoreUnavailable` ...): install the recorder of your choice.
//!
//! - `answer`: decisions as HTTP; `authorizer_context`: decisions of an authorizer; `gate`: decisions made here.

mod answer;
mod authorizer_context;
#[cfg(feature = "in-process")]
mod gate;

use std::sync::Arc;
use std::task::{self, Poll};

use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderName, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

pub use answer::refusal;
#[cfg(feature = "in-process")]
pub use gate::{Gate, GateError};
pub use tollgate_protocol::context::Context;

/// Refuses what Tollgate refuses.
#[derive(Clone)]
pub struct Guard {
    source: Arc<Source>,
}

/// Who decides.
enum Source {
    /// An authorizer, whose decision is in the event that `lambda_http` hands on.
    #[cfg(feature = "lambda")]
    Event,
    /// An authorizer, whose decision is in this header, together with the rest of the event's request context.
    Header(HeaderName),
    /// We do.
    #[cfg(feature = "in-process")]
    Here(Box<Gate>),
}

impl Guard {
    /// Goes by the decision of an authorizer, in the event that `lambda_http` hands on.
    #[cfg(feature = "lambda")]
    pub fn behind_authorizer() -> Self {
        Self::by(Source::Event)
    }

    /// Goes by the decision of an authorizer, in a header that holds the event's request context as JSON: the Lambda Web
    /// Adapter's `x-amzn-request-context`. Only where nothing else can send that header: whoever can, decides.
    pub fn behind_adapter(header: HeaderName) -> Self {
        Self::by(Source::Header(header))
    }

    /// Decides here.
    #[cfg(feature = "in-process")]
    pub fn in_process(gate: Gate) -> Self {
        Self::by(Source::Here(Box::new(gate)))
    }

    fn by(source: Source) -> Self {
        Self {
            source: Arc::new(source),
        }
    }
}

impl Source {
    #[cfg_attr(
        not(feature = "in-process"),
        expect(
            clippy::unused_async,
            reason = "only a decision of one's own takes time"
        )
    )]
    async fn decision(&self, parts: &Parts) -> Context {
        let authorizer_context = match self {
            #[cfg(feature = "lambda")]
            Self::Event => authorizer_context::in_event(parts),
            Self::Header(name) => authorizer_context::in_header(parts, name),
            #[cfg(feature = "in-process")]
            Self::Here(gate) => return gate.decide(parts).await,
        };
        authorizer_context.unwrap_or_else(|error| {
            tracing::error!(error, "refused a request that came without a decision");
            Context::default()
        })
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            guard: self.clone(),
        }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    guard: Guard,
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that said it was ready is the one to call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let source = Arc::clone(&self.guard.source);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let context = source.decision(&parts).await;
            if let Some(refused) = refusal(&context) {
                return Ok(refused);
            }
            parts.extensions.insert(context.clone());
            let mut response = inner.call(Request::from_parts(parts, body)).await?;
            answer::tell(&context, response.headers_mut());
            Ok(response)
        })
    }
}
