//! The API's description, OpenAPI 3.1, made from the code.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, OpenApiVersion, RefOr,
};

/// Where the API is mounted.
pub(crate) const API: &str = "/api/v1";
/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The document before any route.
fn base() -> OpenApi {
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
fn require_bearer(document: &mut OpenApi) {
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

/// The document as it grows, service by service. What a service describes is written down at once: the structures of
/// all of them together would be the most memory that a hub ever holds at rest.
#[derive(Default)]
pub(crate) struct Description {
    paths: BTreeMap<String, Box<RawValue>>,
    schemas: BTreeMap<String, Box<RawValue>>,
}

impl Description {
    /// Operations below `/api/v1`; every one needs a bearer token.
    pub(crate) fn add_api(&mut self, mut document: OpenApi) {
        require_bearer(&mut document);
        self.add(API, document);
    }

    /// Operations at the root.
    pub(crate) fn add_public(&mut self, document: OpenApi) {
        self.add("", document);
    }

    fn add(&mut self, prefix: &str, document: OpenApi) {
        for (path, item) in document.paths.paths {
            let path = format!("{prefix}{path}");
            let Some(fresh) = written(&item) else { continue };
            let item = match self.paths.remove(&path) {
                Some(known) => united(&known, &fresh).unwrap_or(known),
                None => fresh,
            };
            self.paths.insert(path, item);
        }
        for (name, schema) in document.components.into_iter().flat_map(|all| all.schemas) {
            if !self.schemas.contains_key(&name)
                && let Some(schema) = written(&schema)
            {
                self.schemas.insert(name, schema);
            }
        }
    }

    /// The whole document as JSON.
    pub(crate) fn finish(mut self) -> Bytes {
        let mut base = base();
        let security = base
            .components
            .as_mut()
            .map(|all| std::mem::take(&mut all.security_schemes));
        let (openapi, info) = (base.openapi.clone(), base.info.clone());
        self.add_public(base);
        let document = Document {
            openapi,
            info,
            paths: self.paths,
            components: Components {
                schemas: self.schemas,
                security_schemes: security.unwrap_or_default(),
            },
        };
        written(&document).map_or_else(Bytes::new, |text| {
            Bytes::from(Box::<str>::from(text).into_boxed_bytes())
        })
    }
}

#[derive(serde::Serialize)]
struct Document {
    openapi: OpenApiVersion,
    info: Info,
    paths: BTreeMap<String, Box<RawValue>>,
    components: Components,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Components {
    schemas: BTreeMap<String, Box<RawValue>>,
    security_schemes: BTreeMap<String, RefOr<SecurityScheme>>,
}

fn written(part: &impl serde::Serialize) -> Option<Box<RawValue>> {
    let text = serde_json::value::to_raw_value(part);
    text.inspect_err(|error| tracing::error!(%error, "a part of the API's description can't be written"))
        .ok()
}

/// The operations of two services at one path.
fn united(one: &RawValue, other: &RawValue) -> Option<Box<RawValue>> {
    let mut all: serde_json::Map<String, Value> = serde_json::from_str(one.get()).ok()?;
    all.extend(serde_json::from_str::<serde_json::Map<String, Value>>(other.get()).ok()?);
    written(&all)
}

/// Serves the document, to anybody: it is the same on every hub.
pub(crate) fn route(document: Bytes) -> Router {
    Router::new().route(
        "/api/v1/openapi.json",
        get(move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], document.clone()))),
    )
}
