//! The edge: one router from the services' routes, with sign-in, limits, problems, headers, health and metrics.
//!
//! Invariant: below `/api/v1` nothing runs without a [`spine::edge::Caller`], but what a service mounts at the root by
//! its full path on purpose (sign-in, set-up). What a stranger reads never tells a cause; the log does.
//! Begin with [`build`], then `layers/`.

mod health;
mod landing;
mod layers;
mod metrics;
mod openapi;
mod serve;
mod spine_routes;
mod sse;
#[cfg(test)]
mod stories;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use spine::access::Gate;
use spine::limit::MinuteLimit;
use spine::{Admin, Context, Service};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use health::Health;
pub use health::HealthCheck;
pub use layers::client::TrustedProxies;
pub use metrics::{Metrics, MetricsError};
pub use serve::{Limits, serve};

/// No body is larger unless its route says so.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Wrong tokens from one source in a minute that are told so; more are told to wait. They can't be guessed, and a
/// right one is never refused for what others tried.
const REFUSALS_PER_SOURCE_MAX: u32 = 60;

/// What the edge is built from.
#[derive(Debug)]
pub struct Parts {
    /// What services are built with.
    pub context: Context,
    /// Work on the spine itself.
    pub admin: Admin,
    /// Makes the operator's scopes, for the control socket.
    pub gate: Gate,
    /// The services' routes, see [`Routes::take`].
    pub routes: Routes,
    /// What must be well before the hub takes requests, beside the database and the log, which the edge asks itself.
    pub checks: Vec<Arc<dyn HealthCheck>>,
    /// The metrics to show; `None`: there is no `/metrics`.
    pub metrics: Option<Metrics>,
    /// True: metrics are for everybody. Else a token opens them.
    pub metrics_public: bool,
    /// From whom `X-Forwarded-For` is believed.
    pub proxies: TrustedProxies,
}

/// The services' routes.
#[derive(Default)]
pub struct Routes {
    api: Router,
    public: Router,
    description: openapi::Description,
}

impl Routes {
    /// Takes the routes out of a service, best as soon as it is built: their description is large until it is written
    /// down here. The rest of the service goes to [`spine::Spine::start`].
    pub fn take(&mut self, service: &mut Service) {
        self.add_api(std::mem::take(&mut service.api));
        let (public, document) = std::mem::take(&mut service.public).split_for_parts();
        self.public = std::mem::take(&mut self.public).merge(public);
        self.description.add_public(document);
    }

    /// Adds routes below `/api/v1`: the hub's own.
    pub fn add_api(&mut self, api: OpenApiRouter) {
        let (api, document) = api.split_for_parts();
        self.api = std::mem::take(&mut self.api).merge(api);
        self.description.add_api(document);
    }
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Routes")
    }
}

/// The two doors of the hub: the same routes, other ways to say who one is.
#[derive(Debug)]
pub struct Edge {
    /// For the network: callers have a bearer token. Serve it with [`serve`], so that limits know their sources.
    pub network: Router,
    /// For the control socket, which only the operator may open.
    pub control: Router,
    /// Cancelled when the hub stops: ends the live streams, which would else hold their connections open.
    pub streams: CancellationToken,
}

/// What the edge's own routes share.
#[derive(Debug, Clone)]
struct State {
    context: Context,
    admin: Admin,
    gate: Arc<Gate>,
    health: Health,
    metrics: Option<Metrics>,
    metrics_public: bool,
    refusals: Arc<MinuteLimit>,
    places: sse::Places,
    streams: CancellationToken,
    proxies: TrustedProxies,
}

/// Puts it all together.
pub fn build(parts: Parts) -> Edge {
    let state = State {
        health: Health::new(parts.admin.clone(), parts.checks),
        context: parts.context,
        admin: parts.admin,
        gate: Arc::new(parts.gate),
        metrics: parts.metrics,
        metrics_public: parts.metrics_public,
        refusals: Arc::new(MinuteLimit::new(REFUSALS_PER_SOURCE_MAX)),
        places: sse::Places::default(),
        streams: CancellationToken::new(),
        proxies: parts.proxies,
    };
    let mut routes = parts.routes;
    routes.add_api(spine_routes::api(state.clone()));
    let Routes {
        api,
        public,
        description,
    } = routes;
    let document = description.finish();
    let doors = [layers::auth::Door::Network, layers::auth::Door::Control];
    let [network, control] = doors.map(|door| {
        let api = layers::auth::guard(api.clone(), state.clone(), door);
        // Public routes are never nested: a peer's signature covers the path as it came.
        let routes = Router::new().nest(openapi::API, api).merge(public.clone());
        door_router(routes.merge(openapi::route(document.clone())), &state, door)
    });
    Edge {
        network,
        control,
        streams: state.streams,
    }
}

fn door_router(routes: Router, state: &State, door: layers::auth::Door) -> Router {
    let router = routes
        .merge(health::routes(state.health.clone()))
        .merge(metrics::route(state.clone(), door))
        .route("/", get(landing::page))
        .route("/allod.css", get(landing::style))
        .fallback(layers::problems::not_found)
        .method_not_allowed_fallback(layers::problems::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    layers::around(router, state.proxies.clone())
}
