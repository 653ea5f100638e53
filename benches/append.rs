//! Appending as a webhook or an import does it: each event's idempotency key is claimed in the event's own commit.
//! Four writers, one event or a hundred a commit, while the sealer keeps up. The time ends when the last event is
//! sealed.

use std::time::{Duration, Instant};

use contracts::events::rules::RuleChanged;
use contracts::{NewEvent, Position};
use spine::testing::{TestHub, hub};
use spine::{Access, Cause, Scope};

use crate::Row;

const WRITERS: usize = 4;
const TIME: Duration = Duration::from_secs(5);

pub(crate) async fn run() -> Vec<Row> {
    let hub = hub(|_| Vec::new()).await;
    let mut rows = Vec::new();
    for batch in [1, 100] {
        let what = format!("events appended with keys and sealed, {WRITERS} writers, {batch} a commit");
        rows.push(Row {
            what,
            per_second: append(&hub, batch).await,
        });
    }
    rows
}

async fn append(hub: &TestHub, batch: usize) -> f64 {
    let mut head = hub.admin.head();
    let before = *head.borrow();
    let begun = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| tokio::spawn(write(hub.context.access.clone(), hub.somebody(), batch, begun)))
        .collect();
    let mut count = 0;
    for writer in writers {
        count += writer.await.unwrap();
    }
    let all_sealed = before + Position::try_from(count).unwrap();
    head.wait_for(|head| *head >= all_sealed).await.unwrap();
    count as f64 / begun.elapsed().as_secs_f64()
}

/// Commits batches until the time is up; how many events that were.
async fn write(access: Access, scope: Scope, batch: usize, begun: Instant) -> usize {
    let mut count = 0;
    while begun.elapsed() < TIME {
        let keys: Vec<String> = (count..count + batch).map(|n| format!("message-{n}")).collect();
        let mut tx = access.begin(&scope, Cause::outside()).await.unwrap();
        let fresh = tx.claim_all("bench", &keys).await.unwrap();
        for (key, _) in keys.into_iter().zip(fresh).filter(|(_, fresh)| *fresh) {
            let payload = RuleChanged {
                rule: key,
                version: "0123456789abcdef".to_owned(),
                enabled: true,
            };
            tx.publish(NewEvent::of(&payload).unwrap().about("rule")).unwrap();
            count += 1;
        }
        tx.commit().await.unwrap();
    }
    count
}
