//! A hub with media alone, and somebody who uses it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Request, request};
use contracts::{EntityId, RawRecordId};
use futures::StreamExt;
use http_body_util::BodyExt;
use serde_json::Value;
use spine::edge::Caller;
use spine::ports::{
    Applied, AppliedEntity, Change, GraphError, IntakeBatch, RawRecord, Received, RecordIntake, Withdrawal,
};
use spine::testing::{MemoryGraph, TestHub};
use spine::{Context, Scope, ScopedTx, Service};
use tower::ServiceExt;

use crate::blobs::{Blobs, FOLDER};
use crate::keep::Keeper;
use crate::staging::Staging;

/// No status: the answer ended before its end.
pub(super) const BROKEN_OFF: u16 = 0;
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// Takes nothing back: what media does with the graph is told in the stories with a real one.
#[derive(Debug)]
struct NoIntake;

#[async_trait]
impl RecordIntake for NoIntake {
    async fn receive(&self, _: &mut ScopedTx, _: &str, _: RawRecord) -> Result<Received, GraphError> {
        Err(GraphError::Invalid("nothing is received here".to_owned()))
    }

    async fn understand(&self, _: &mut ScopedTx, _: RawRecordId, _: Change) -> Result<Applied, GraphError> {
        Err(GraphError::Invalid("nothing is understood here".to_owned()))
    }

    async fn park_received(&self, _: &mut ScopedTx, _: RawRecordId, _: &str) -> Result<(), GraphError> {
        Ok(())
    }

    async fn pass_over(
        &self,
        _: &mut ScopedTx,
        _: RawRecordId,
        _: Option<RawRecordId>,
    ) -> Result<(), GraphError> {
        Ok(())
    }

    fn batch<'a>(&'a self, _: &str, _: usize) -> Box<dyn IntakeBatch + 'a> {
        unreachable!("nothing is received here")
    }

    async fn withdraw(&self, _: &mut ScopedTx, _: Withdrawal) -> Result<Option<AppliedEntity>, GraphError> {
        Ok(None)
    }
}

fn service(context: &Context) -> Service {
    let data_dir = &context.settings.data_dir;
    let blobs = Blobs::local(data_dir.join(FOLDER)).unwrap();
    let staging = Staging::open(data_dir, FILE_BYTES_MAX).unwrap();
    crate::build(context, blobs, staging)
}

fn with_graph(context: &Context, graph: &Arc<MemoryGraph>) {
    context.ports.provide_graph_write(graph.clone());
    context.ports.provide_graph_read(graph.clone());
    context.ports.provide_record_intake(Arc::new(NoIntake));
}

pub(super) struct World {
    pub(super) hub: TestHub,
    pub(super) graph: Arc<MemoryGraph>,
    pub(super) alice: Scope,
    /// What the routes work with: the same rows and objects, uploads of its own.
    pub(super) keeper: Arc<Keeper>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn front(hub: &TestHub) -> Arc<Keeper> {
    let data_dir = &hub.context.settings.data_dir;
    Arc::new(Keeper {
        context: hub.context.clone(),
        blobs: Blobs::local(data_dir.join(FOLDER)).unwrap(),
        staging: Staging::open(&data_dir.join("front"), FILE_BYTES_MAX).unwrap(),
    })
}

impl World {
    pub(super) async fn new() -> Self {
        let graph = Arc::new(MemoryGraph::default());
        let hub = spine::testing::hub(|context| {
            with_graph(context, &graph);
            vec![service(context)]
        })
        .await;
        let alice = hub.somebody();
        let keeper = front(&hub);
        Self {
            hub,
            graph,
            alice,
            keeper,
        }
    }

    /// The hub is killed and starts again: what it had in hand is lost.
    pub(super) async fn restart(&mut self) {
        let graph = self.graph.clone();
        self.hub
            .restart(|context| {
                with_graph(context, &graph);
                vec![service(context)]
            })
            .await;
        self.keeper = front(&self.hub);
    }

    pub(super) async fn call(&self, scope: &Scope, request: request::Builder, body: Body) -> Answer {
        let (router, _) = crate::http::router(self.keeper.clone()).split_for_parts();
        let request = request.extension(Caller(scope.clone())).body(body).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: match body.collect().await {
                Ok(body) => body.to_bytes().to_vec(),
                // It went while it was read.
                Err(_) => {
                    return Answer {
                        status: BROKEN_OFF,
                        headers: HeaderMap::new(),
                        body: Vec::new(),
                    };
                }
            },
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call(&self.alice, Request::get(path), Body::empty()).await
    }

    pub(super) async fn upload(&self, scope: &Scope, bytes: &[u8]) -> Answer {
        let request = Request::post("/media?filename=a.bin");
        self.call(scope, request, Body::from(bytes.to_vec())).await
    }

    pub(super) async fn kept(&self, bytes: &[u8]) -> EntityId {
        let answer = self.upload(&self.alice, bytes).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        answer.json()["id"].as_str().unwrap().parse().unwrap()
    }

    /// Waits until it has been looked into.
    pub(super) async fn processed(&self, media: EntityId) -> Value {
        self.hub
            .eventually("it is looked into", async || {
                let now = self.get(&format!("/media/{media}")).await.json();
                (now["processed"] == true).then_some(now)
            })
            .await
    }

    /// Everything that lies in the folder for somebody, below her name.
    pub(super) fn files(&self, scope: &Scope) -> Vec<PathBuf> {
        let root = self.hub.context.settings.data_dir.join(FOLDER);
        files_below(&root.join(scope.account().0.simple().to_string()))
    }

    pub(super) async fn change(&self, sql: &str) {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query(sql).execute(&mut behind).await.unwrap();
    }
}

pub(super) fn files_below(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A body that comes in pieces and doesn't say how long it is.
pub(super) fn pieces(count: usize, piece: Vec<u8>) -> Body {
    let pieces = futures::stream::iter(std::iter::repeat_n(piece, count));
    Body::from_stream(pieces.map(|piece| Ok::<_, std::io::Error>(bytes::Bytes::from(piece))))
}
