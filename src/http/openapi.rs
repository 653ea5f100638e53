//! The API's description, OpenAPI 3.1, made from the code.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The document before any route.
pub(crate) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("allod")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("A personal hub: what it knows, what it does, and why."))
        .license(Some(
            LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build(),
        ))
        .build();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API token, or the session of somebody who signed in."))
        .build();
    // Those that stand in paths alone: a parameter's schema is referred to and not collected.
    let components = ComponentsBuilder::new()
        .schema_from::<contracts::ConnectionId>()
        .schema_from::<contracts::EntityId>()
        .schema_from::<contracts::EventId>()
        .schema_from::<contracts::JobId>()
        .schema_from::<contracts::RawRecordId>()
        .schema_from::<contracts::TokenId>()
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .build()
}

/// Every operation of this document needs a bearer token.
pub(crate) fn require_bearer(document: &mut OpenApi) {
    for operation in document.paths.paths.values_mut().flat_map(operations_mut) {
        operation.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    }
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.options,
        &mut item.head,
        &mut item.patch,
        &mut item.trace,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// Serves the document, to anybody: it is the same on every hub.
pub(crate) fn route(document: &OpenApi) -> Router {
    let text = document.to_json().unwrap_or_else(|error| {
        tracing::error!(%error, "the API's description can't be written");
        "{}".to_owned()
    });
    Router::new().route(
        "/api/v1/openapi.json",
        get(move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], text.clone()))),
    )
}
