//! A tower layer for Rust backends, with axum and `lambda_http`. It answers refused requests with the right status, and tells
//! clients how much of their limits remains.
//!
//! | reason | status | body |
//! |---|---|---|
//! | a throttle or a quota | 429, with `Retry-After` if the refusal will end | a problem document of
//! draft-ietf-httpapi-ratelimit-headers |
//! | no key, or one that is not valid | 401 | a problem document |
//! | the key may not call this method | 403 | a problem document |
//! | the store could not decide | 503, with `Retry-After` | a problem document |
//!
//! Responses to admitted and refused requests carry `RateLimit` and `RateLimit-Policy`. Handlers find the decision as a
//! [`Context`] in the request's extensions.
//!
//! **Behind an authorizer** ([`Guard::behind_authorizer`]): an HTTP API can only answer 403. With `TOLLGATE_ON_LIMIT=pass` the
//! authorizer lets requests over a limit pass, and this layer refuses them before the handler runs, by the decision in the
//! request's context. A request without a readable decision is refused too.
//! Feature `lambda`.
//!
//! **In process** ([`Guard::in_process`]): the layer decides itself, without an authorizer. Use it with function URLs, load
//! balancers and containers. Feature `in-process`.
//!
//! No feature is on by default. [`Guard::behind_adapter`] needs none: it reads the decision from a header. Layers outside of this
//! one find the decision as a [`Context`] in the response's extensions, for access logs.
//!
//! Decisions made in process are counted through the [`metrics`](https://docs.rs/metrics) facade, under the names of the
//! authorizer's metrics (`Allowed`, `Throttled`, `StoreUnavailable` ...). Install the recorder of your choice.
//!
//! - `authorizer_context`: decisions of an authorizer. `gate`: decisions made in process; `fields`: the headers and parameters
//!   that it looks for a key in.
//! - `answer`: decisions in HTTP.

mod answer;
mod authorizer_context;
#[cfg(feature = "in-process")]
mod fields;
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

/// The layer: it answers refused requests itself and passes on the others.
#[derive(Clone)]
pub struct Guard {
    source: Arc<Source>,
}

/// Who decides.
enum Source {
    /// An authorizer, whose decision is in the event that `lambda_http` keeps with the request.
    #[cfg(feature = "lambda")]
    Event,
    /// An authorizer, whose decision is in this header with the rest of the event's request context.
    Header(HeaderName),
    /// This process.
    #[cfg(feature = "in-process")]
    InProcess(Box<Gate>),
}

impl Guard {
    /// Applies the decision of an authorizer, from the event that `lambda_http` keeps with a request.
    ///
    /// ```no_run
    /// # use axum::{Router, routing::get};
    /// let app: Router = Router::new()
    ///     .route("/pets", get(async || "pets"))
    ///     .layer(tollgate_guard::Guard::behind_authorizer());
    /// // lambda_http::run(app).await
    /// ```
    #[cfg(feature = "lambda")]
    pub fn behind_authorizer() -> Self {
        Self::from_source(Source::Event)
    }

    /// Applies the decision of an authorizer, from a header with the event's request context as JSON: the Lambda Web Adapter's
    /// `x-amzn-request-context`. Use it only where clients cannot set that header: whoever sets it controls the decision.
    pub fn behind_adapter(header: HeaderName) -> Self {
        Self::from_source(Source::Header(header))
    }

    /// Decides in this process.
    ///
    /// ```no_run
    /// # use axum::{Router, routing::get};
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// let gate = tollgate_guard::Gate::from_env().await?; // TOLLGATE_TABLE, TOLLGATE_API_STAGE=orders:prod ...
    /// let app: Router = Router::new()
    ///     .route("/pets", get(async || "pets"))
    ///     .layer(tollgate_guard::Guard::in_process(gate));
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "in-process")]
    pub fn in_process(gate: Gate) -> Self {
        Self::from_source(Source::InProcess(Box::new(gate)))
    }

    fn from_source(source: Source) -> Self {
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
            reason = "only a decision in process waits for anything"
        )
    )]
    async fn decision(&self, parts: &Parts) -> Context {
        let authorizer_context = match self {
            #[cfg(feature = "lambda")]
            Self::Event => authorizer_context::in_event(parts),
            Self::Header(name) => authorizer_context::in_header(parts, name),
            #[cfg(feature = "in-process")]
            Self::InProcess(gate) => return gate.decide(parts).await,
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
        // Call the service that was polled until it was ready, and keep the clone for the next request.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let source = Arc::clone(&self.guard.source);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let context = source.decision(&parts).await;
            if let Some(mut refused) = refusal(&context) {
                refused.extensions_mut().insert(context);
                return Ok(refused);
            }
            parts.extensions.insert(context.clone());
            let mut response = inner.call(Request::from_parts(parts, body)).await?;
            answer::add_limits(&context, response.headers_mut());
            // Layers around this one can log the decision.
            response.extensions_mut().insert(context);
            Ok(response)
        })
    }
}
