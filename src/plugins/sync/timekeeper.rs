//! Which streams there are, and when each is read.
//!
//! Invariant: each stream that the manifest declares is there once the connection is; one that isn't declared any more is
//! gone with its checkpoint.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use contracts::ConnectionId;
use spine::ScopedTx;
use spine::access::{AccessError, Cause, Scope};
use spine::ports::{Connected, Connections};
use tokio_util::sync::CancellationToken;

use super::enqueue;
use crate::manager::{Manager, Ready};
use crate::manifest::Code;
use crate::model::{Connection, Health};
use crate::store;
use crate::stream::{LEASE, Name, Stream};

/// How often the timekeeper looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Manager {
    /// Makes the streams that are missing, and removes those that the manifest doesn't declare any more.
    pub(crate) async fn ensure_streams(
        &self,
        tx: &mut ScopedTx,
        ready: &Ready,
    ) -> Result<Vec<Stream>, AccessError> {
        let (id, manifest) = (ready.connection.id, &ready.pack.manifest);
        for spec in manifest.streams.iter().filter(|spec| spec.found_by.is_none()) {
            let name = Name {
                connection: id,
                stream: spec.name.clone(),
                part: String::new(),
            };
            store::stream_insert(tx, &Stream::new(name, tx.now())).await?;
        }
        let mut streams = Vec::new();
        for stream in store::streams_by_connection(tx, id).await? {
            let spec = manifest.stream(&stream.name.stream);
            if spec.is_some_and(|spec| spec.found_by.is_some() != stream.name.part.is_empty()) {
                streams.push(stream);
            } else {
                store::stream_delete(tx, stream.id).await?;
            }
        }
        Ok(streams)
    }

    /// Reads all of a connection's streams now, or those of a name; `whole`: from their beginnings. How many.
    pub(crate) async fn sync_now(
        &self,
        tx: &mut ScopedTx,
        ready: &Ready,
        name: Option<&str>,
        whole: bool,
    ) -> Result<usize, AccessError> {
        let mut streams = self.ensure_streams(tx, ready).await?;
        streams.retain(|stream| name.is_none_or(|name| stream.name.stream == name));
        for stream in &mut streams {
            if whole {
                *stream = stream.anew();
            }
            stream.next_at = Some(tx.now() + LEASE);
            store::stream_put(tx, stream).await?;
            enqueue(tx, stream, None).await?;
        }
        Ok(streams.len())
    }

    /// The parts of a stream are these: new ones are read at once, the others' checkpoints are gone.
    pub(super) async fn set_parts(
        &self,
        tx: &mut ScopedTx,
        ready: &Ready,
        (finder, stream): (&str, &str),
        parts: &[String],
    ) -> Result<(), AccessError> {
        let id = ready.connection.id;
        let spec = ready.pack.manifest.stream(stream);
        if spec.and_then(|spec| spec.found_by.as_deref()) != Some(finder) {
            tracing::warn!(connection = %id, finder, stream, "a stream found parts of one that it doesn't find by its manifest");
            return Ok(());
        }
        let wanted: BTreeSet<&str> = parts.iter().map(String::as_str).collect();
        for known in store::streams_by_connection(tx, id).await? {
            if known.name.stream == stream && !wanted.contains(known.name.part.as_str()) {
                store::stream_delete(tx, known.id).await?;
            }
        }
        for part in wanted {
            let name = Name {
                connection: id,
                stream: stream.to_owned(),
                part: part.to_owned(),
            };
            let mut fresh = Stream::new(name, tx.now());
            fresh.next_at = Some(tx.now() + LEASE);
            if store::stream_insert(tx, &fresh).await? {
                enqueue(tx, &fresh, None).await?;
            }
        }
        Ok(())
    }

    /// A stream works again; the connection does if the others do, too.
    pub(super) async fn recovered(
        &self,
        tx: &mut ScopedTx,
        connection: &Connection,
        stream: &str,
    ) -> Result<(), AccessError> {
        let others = store::streams_by_connection(tx, connection.id).await?;
        if others.iter().any(|other| other.failures > 0) || connection.health == Health::Active {
            return Ok(());
        }
        tracing::info!(connection = %connection.id, stream, "the connection works again");
        self.set_health(tx, connection.id, Health::Active, "").await
    }
}

/// Queues what is due.
#[derive(Debug)]
pub(crate) struct Timekeeper(pub(crate) Manager);

impl Timekeeper {
    /// Until the hub stops.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut is_known = false;
        while !stop.is_cancelled() {
            let looked = async {
                if !is_known {
                    self.ensure_all().await?;
                }
                self.look().await
            };
            match looked.await {
                Ok(()) => is_known = true,
                Err(error) => {
                    tracing::debug!(%error, "streams will be looked after when the database is back");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// A pack may have been upgraded while the hub was off.
    async fn ensure_all(&self) -> Result<(), AccessError> {
        let access = &self.0.context().access;
        let now = self.0.context().clock.now();
        for pack in self.0.registry().packs() {
            for (scope, id) in access.scopes_of_due_connections(&pack.manifest.id, now).await? {
                let mut tx = access.begin(&scope, Cause::outside()).await?;
                let Some(ready) = store::connection_by_id(&mut tx, id)
                    .await?
                    .and_then(|found| self.0.ready(found))
                else {
                    continue;
                };
                self.0.ensure_streams(&mut tx, &ready).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    async fn look(&self) -> Result<(), AccessError> {
        let access = &self.0.context().access;
        let now = self.0.context().clock.now();
        for (scope, id) in access.scopes_of_due_streams(now).await? {
            let mut tx = access.begin(&scope, Cause::outside()).await?;
            let Some(mut stream) = store::stream_by_id_locked(&mut tx, id).await? else {
                continue;
            };
            if stream.next_at.is_some_and(|at| at <= now) {
                stream.next_at = Some(now + LEASE);
                store::stream_put(&mut tx, &stream).await?;
                enqueue(&mut tx, &stream, None).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Connections for Manager {
    async fn of_connector(&self, connector: &str) -> Result<Vec<(Scope, ConnectionId)>, AccessError> {
        let now = self.context().clock.now();
        let mut found = Vec::new();
        for pack in self.registry().packs() {
            if matches!(&pack.manifest.code, Code::BuiltIn(name) if name == connector) {
                let access = &self.context().access;
                found.extend(access.scopes_of_due_connections(&pack.manifest.id, now).await?);
            }
        }
        Ok(found)
    }

    async fn connected(&self, tx: &mut ScopedTx, id: ConnectionId) -> Result<Option<Connected>, AccessError> {
        let found = store::connection_by_id(tx, id).await?;
        let kept = store::kept_by_connection(tx, id).await?;
        let found = found.filter(|connection| !connection.paused);
        Ok(found
            .and_then(|connection| self.ready(connection))
            .map(|ready| Manager::connected(self, &ready, kept)))
    }

    async fn is_due(
        &self,
        tx: &mut ScopedTx,
        id: ConnectionId,
        stream: &str,
        part: &str,
    ) -> Result<(), AccessError> {
        let streams = store::streams_by_connection(tx, id).await?;
        let found = streams
            .into_iter()
            .find(|one| one.name.stream == stream && one.name.part == part);
        if let Some(mut stream) = found {
            stream.next_at = Some(tx.now() + LEASE);
            store::stream_put(tx, &stream).await?;
            enqueue(tx, &stream, None).await?;
        }
        Ok(())
    }
}
