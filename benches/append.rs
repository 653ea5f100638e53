//! Appending: four writers, one event or a hundred a commit, while the sealer keeps up. The time ends when the last
//! event is sealed.

use std::time::{Duration, Instant};

use contracts::NewEvent;
use contracts::events::rules::RuleChanged;
use spine::testing::{TestHub, hub};
use spine::{Cause, Scope};

use crate::Row;

const WRITERS: usize = 4;
const TIME: Duration = Duration::from_secs(5);

pub(crate) async fn run() -> Vec<Row> {
    let hub = hub(|_| Vec::new()).await;
    let mut rows = Vec::new();
    for batch in [1, 100] {
        let what = format!("events appended and sealed, {WRITERS} writers, {batch} a commit");
        rows.push(Row {
            what,
            per_second: append(&hub, batch).await,
        });
    }
    rows
}

async fn append(hub: &TestHub, batch: usize) -> f64 {
    let begun = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (access, scope) = (hub.context.access.clone(), hub.somebody());
            tokio::spawn(async move {
                let mut count = 0;
                while begun.elapsed() < TIME {
                    write(&access, &scope, batch).await;
                    count += batch;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for writer in writers {
        count += writer.await.unwrap();
    }
    hub.settle().await;
    count as f64 / begun.elapsed().as_secs_f64()
}

async fn write(access: &spine::Access, scope: &Scope, batch: usize) {
    let mut tx = access.begin(scope, Cause::outside()).await.unwrap();
    for n in 0..batch {
        let payload = RuleChanged {
            rule: format!("rule-{n}"),
            version: "0123456789abcdef".to_owned(),
            enabled: true,
        };
        tx.publish(NewEvent::of(&payload).unwrap().about("rule")).unwrap();
    }
    tx.commit().await.unwrap();
}
