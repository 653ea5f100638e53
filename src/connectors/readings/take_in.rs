//! Takes a reading in: raw record, Reading and event in one commit.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::events::device::ReadingReported;
use contracts::{EntityId, NewEvent};
use serde_json::json;
use spine::access::TokenKind;
use spine::ports::{AssertedBy, Change, EntityChange, GraphError, RawRecord, Target};
use spine::{AccessError, Principal, ScopedTx};

use super::report::Reading;
use crate::device::{Graph, Sender, device, object};

/// Who says something.
#[derive(Debug)]
pub(crate) enum Speaker {
    /// A device, by its token.
    Device(Sender),
    /// A person or program, by who acts in the transaction.
    Caller,
}

/// Who speaks, as the graph and facts name it.
struct Voice {
    by: AssertedBy,
    /// The source of its records.
    records: String,
    /// The source of its facts.
    facts: String,
    device: Option<EntityId>,
}

/// Writes what the reading means; the caller commits. Answers with its Reading; `None`: it was taken in before.
pub(crate) async fn take_in(
    tx: &mut ScopedTx,
    graph: &Graph<'_>,
    speaker: &Speaker,
    reading: Reading,
) -> Result<Option<EntityId>, GraphError> {
    let voice = voice(tx, graph, speaker).await?;
    let source = match &reading.sensor {
        Some(sensor) => format!("{}/{sensor}", voice.facts),
        None => voice.facts,
    };
    let id = EntityId::new();
    let change = Change {
        by: voice.by,
        source: voice.records,
        raw: Some(raw_record(tx, &source, &reading)),
        entities: vec![EntityChange {
            target: Target::New(id),
            kind: "Reading".to_owned(),
            title: None,
            props: object(json!({
                "kind": reading.key,
                "value": reading.value,
                "unit": reading.unit,
                "confidence": reading.confidence,
                "valid_for_s": reading.valid_for_s,
                "device": voice.device,
                "source": source,
            })),
            identifiers: Vec::new(),
            starts_at: Some(reading.taken_at),
        }],
        relations: Vec::new(),
    };
    if graph.write.apply(tx, change).await?.duplicate {
        return Ok(None);
    }
    let reported = ReadingReported {
        reading: id,
        key: reading.key.clone(),
        value: reading.value,
        unit: reading.unit,
        confidence: reading.confidence,
        valid_for_s: reading.valid_for_s,
        source,
    };
    let event = NewEvent::of(&reported).map_err(AccessError::from)?;
    tx.publish(event.about(reading.key).occurred(reading.taken_at))?;
    Ok(Some(id))
}

async fn voice(tx: &mut ScopedTx, graph: &Graph<'_>, speaker: &Speaker) -> Result<Voice, GraphError> {
    if let Speaker::Device(sender) = speaker {
        let records = format!("readings/{}", sender.token);
        let device = device(tx, graph, sender, &records, None).await?;
        return Ok(Voice {
            by: AssertedBy::Connector,
            records,
            facts: format!("device/{device}"),
            device: Some(device),
        });
    }
    let (by, facts) = match tx.scope().principal() {
        Principal::Token {
            id,
            kind: TokenKind::Api,
        } => (AssertedBy::Connector, format!("token/{id}")),
        _ => (AssertedBy::User, "owner".to_owned()),
    };
    Ok(Voice {
        by,
        records: format!("readings/{facts}"),
        facts,
        device: None,
    })
}

/// The record of a reading, known again by time, source and a keyed hash of what was read.
fn raw_record(tx: &ScopedTx, source: &str, reading: &Reading) -> RawRecord {
    let body = json!({
        "key": reading.key,
        "value": reading.value,
        "unit": reading.unit,
        "taken_at": reading.taken_at,
        "confidence": reading.confidence,
        "valid_for_s": reading.valid_for_s,
        "source": source,
    });
    let body = body.to_string().into_bytes();
    let hash = tx.pseudonym("readings.report", &body);
    RawRecord {
        connection: None,
        stream: "readings".to_owned(),
        remote_id: format!(
            "{}:{}",
            reading.taken_at.timestamp_micros(),
            URL_SAFE_NO_PAD.encode(&hash[..16])
        ),
        revision: String::new(),
        media_type: "application/json".to_owned(),
        body,
    }
}
