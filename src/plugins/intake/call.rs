//! A call: that it began, and how it went on.

use chrono::{DateTime, Utc};
use contracts::events::communication::{CallStarted, CallStatusChanged, Party};
use serde_json::{Map, Value, json};
use spine::ScopedTx;
use spine::ports::{EntityChange, Target};

use super::{Intake, Received, Unfit, occurred, publish, title};
use crate::record::{self, CallRecord};

impl Intake<'_> {
    pub(super) async fn call(
        &self,
        tx: &mut ScopedTx,
        call: &CallRecord,
        received: &Received<'_>,
        started: bool,
    ) -> Result<bool, Unfit> {
        self.may_emit("Call")?;
        let at = occurred(&call.origin, tx.now())?;
        let (from, to) = self.parties(tx, &call.from, &call.to).await?;
        let mut taken = None;
        let mut is_late = false;
        if started {
            // Nearly always nobody has heard of the call.
            let entity = self.told(call, (&from, &to), started, false, Some(at));
            taken = self.apply_new(tx, &call.origin, received, entity).await?;
        }
        if taken.is_none() {
            let known = self.known(tx, "Call", &call.origin.identifier).await?;
            // Callbacks may overtake each other; what ended stays ended.
            is_late = known.as_ref().is_some_and(|entity| {
                entity
                    .props
                    .get("status")
                    .and_then(Value::as_str)
                    .is_some_and(record::is_final)
                    && !record::is_final(&call.status)
            });
            let starts_at = (started || known.is_none()).then_some(at);
            let entity = self.told(call, (&from, &to), started, is_late, starts_at);
            taken = Some(self.apply(tx, &call.origin, received, vec![entity]).await?);
        }
        let applied = taken.unwrap_or_default();
        let Some(entity) = applied.entities.first().filter(|_| !applied.duplicate) else {
            return Ok(false);
        };
        let connection = self.connection.id;
        if started {
            let direction = call.direction.as_str().to_owned();
            let event = CallStarted {
                call: entity.id,
                connection,
                direction,
                from,
                to,
                answered: call.answered,
            };
            publish(tx, &event, entity.id, at)?;
        } else if !is_late {
            let event = CallStatusChanged {
                call: entity.id,
                status: call.status.clone(),
                duration_s: call.duration_s,
            };
            publish(tx, &event, entity.id, at)?;
        }
        Ok(true)
    }

    /// The Call as this record tells it.
    fn told(
        &self,
        call: &CallRecord,
        (from, to): (&Party, &Party),
        started: bool,
        is_late: bool,
        starts_at: Option<DateTime<Utc>>,
    ) -> EntityChange {
        let mut props = Map::from_iter([
            ("direction".to_owned(), json!(call.direction.as_str())),
            ("from".to_owned(), json!(from.address)),
            ("to".to_owned(), json!(to.address)),
            ("connection".to_owned(), json!(self.connection.id)),
            ("remote_id".to_owned(), json!(call.origin.remote_id)),
        ]);
        if !is_late {
            props.insert("status".to_owned(), json!(call.status));
            if started || call.answered {
                props.insert("answered".to_owned(), json!(call.answered));
            }
            if let Some(seconds) = call.duration_s {
                props.insert("duration_s".to_owned(), json!(seconds));
            }
        }
        let (word, other) = match call.direction {
            record::Direction::In => ("Call from", from),
            record::Direction::Out => ("Call to", to),
        };
        EntityChange {
            target: Target::Identified,
            kind: "Call".to_owned(),
            title: Some(title(word, other)),
            props,
            identifiers: vec![call.origin.identifier.clone()],
            starts_at,
        }
    }
}
