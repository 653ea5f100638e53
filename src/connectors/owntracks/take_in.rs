//! Takes a report in: raw record, Device, Reading and event in one commit.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::events::device::PositionReported;
use contracts::{EntityId, NewEvent};
use serde_json::json;
use spine::ports::{AssertedBy, Change, EntityChange, GraphError, RawRecord, Target};
use spine::{AccessError, ScopedTx};

use super::report::{Location, Report};
use crate::device::{Graph, Sender, device, object};

impl Sender {
    fn source(&self) -> String {
        format!("owntracks/{}", self.token)
    }

    /// The device from which the records of a source came, if it is one.
    pub(crate) fn of_source(source: &str) -> Option<Self> {
        let token = source.strip_prefix("owntracks/")?.parse().ok()?;
        Some(Self { token, name: None })
    }
}

/// What became of a report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in, now or since before.
    Taken,
    /// It is kept with this reason.
    Parked(String),
}

/// The record of a body that arrived.
pub(crate) fn record(tx: &ScopedTx, report: &Report, body: &[u8]) -> RawRecord {
    match report {
        Report::Location(location) => raw_record("location", remote_id(tx, location), body),
        Report::Other { stream } | Report::Malformed { stream, .. } => {
            raw_record(stream, fingerprint(tx, body), body)
        }
        Report::Empty => raw_record("empty", String::new(), body),
    }
}

/// Writes what the report means; the caller commits. The same report a second time changes nothing. What the graph
/// refuses is parked too.
pub(crate) async fn take_in(
    tx: &mut ScopedTx,
    graph: &Graph<'_>,
    sender: &Sender,
    report: &Report,
    raw: RawRecord,
) -> Result<Outcome, GraphError> {
    let taken = match report {
        Report::Malformed { reason, .. } => Err(GraphError::Invalid(reason.clone())),
        Report::Location(location) => location_taken_in(tx, graph, sender, location, raw.clone()).await,
        Report::Other { .. } | Report::Empty => graph
            .write
            .apply(tx, change(sender, Some(raw.clone()), Vec::new()))
            .await
            .map(drop),
    };
    match taken {
        Ok(()) => Ok(Outcome::Taken),
        Err(GraphError::Invalid(reason)) => {
            graph.write.park(tx, &sender.source(), raw, &reason).await?;
            Ok(Outcome::Parked(reason))
        }
        Err(away) => Err(away),
    }
}

async fn location_taken_in(
    tx: &mut ScopedTx,
    graph: &Graph<'_>,
    sender: &Sender,
    location: &Location,
    raw: RawRecord,
) -> Result<(), GraphError> {
    let device = device(tx, graph, sender, &sender.source(), location.tid.as_deref()).await?;
    let reading = EntityId::new();
    let change = change(sender, Some(raw), vec![reading_change(reading, device, location)]);
    let applied = graph.write.apply(tx, change).await?;
    if applied.duplicate {
        return Ok(());
    }
    let reported = PositionReported {
        reading,
        device,
        latitude: location.latitude,
        longitude: location.longitude,
        accuracy_m: location.accuracy_m,
        battery_percent: location.battery_percent,
    };
    let event = NewEvent::of(&reported).map_err(AccessError::from)?;
    tx.publish(event.about(device).occurred(location.taken_at))?;
    Ok(())
}

fn reading_change(reading: EntityId, device: EntityId, location: &Location) -> EntityChange {
    EntityChange {
        target: Target::New(reading),
        kind: "Reading".to_owned(),
        title: None,
        props: object(json!({
            "kind": "position",
            "latitude": location.latitude,
            "longitude": location.longitude,
            "accuracy_m": location.accuracy_m,
            "battery_percent": location.battery_percent,
            "device": device,
        })),
        identifiers: Vec::new(),
        starts_at: Some(location.taken_at),
    }
}

fn change(sender: &Sender, raw: Option<RawRecord>, entities: Vec<EntityChange>) -> Change {
    Change {
        by: AssertedBy::Connector,
        source: sender.source(),
        raw,
        entities,
        relations: Vec::new(),
    }
}

fn raw_record(stream: &str, remote_id: String, body: &[u8]) -> RawRecord {
    RawRecord {
        connection: None,
        stream: stream.to_owned(),
        remote_id,
        revision: String::new(),
        media_type: "application/json".to_owned(),
        body: body.to_vec(),
    }
}

/// Time and the app's own id of the message; without one, time and a keyed hash of what was measured.
fn remote_id(tx: &ScopedTx, location: &Location) -> String {
    let seconds = location.taken_at.timestamp();
    match &location.id {
        Some(id) => format!("{seconds}:{id}"),
        None => {
            let measured = format!(
                "{}:{}:{:?}",
                location.latitude, location.longitude, location.accuracy_m
            );
            format!("{seconds}:{}", fingerprint(tx, measured.as_bytes()))
        }
    }
}

/// A keyed hash: the same bytes are known again, and can't be guessed from it.
fn fingerprint(tx: &ScopedTx, bytes: &[u8]) -> String {
    let hash = tx.pseudonym("owntracks.report", bytes);
    URL_SAFE_NO_PAD.encode(&hash[..16])
}
