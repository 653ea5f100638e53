//! The hub at rest: how soon it is ready on a directory that was used before, and how much memory it holds.

use std::time::Duration;

use crate::hub::{Home, Hub};
use crate::measure::{Measure, Spread, ms};

const STARTS: usize = 5;
/// Whatever the start needed is done by then.
const REST: Duration = Duration::from_secs(10);

pub(crate) async fn run() -> Vec<Measure> {
    let home = Home::new();
    let first = Hub::start(&home).await;
    let first_ms = ms(first.ready_after);
    tokio::time::sleep(REST).await;
    first.stop().await;
    let (mut starts, mut resident, mut anonymous) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let hub = Hub::start(&home).await;
        starts.push(ms(hub.ready_after));
        tokio::time::sleep(REST).await;
        let (all, own) = hub.memory();
        resident.push(all);
        anonymous.push(own);
        hub.stop().await;
    }
    let (starts, resident, anonymous) = (Spread::of(starts), Spread::of(resident), Spread::of(anonymous));
    vec![
        Measure::new("start to ready, initialised directory", starts.median, "ms")
            .note(format!("{STARTS} starts, {}", starts.note("ms")))
            .at_most(1500.0),
        Measure::new(
            "start to ready, the first time (makes the database)",
            first_ms,
            "ms",
        ),
        Measure::new("the hub's own resident memory at rest", resident.median, "MB")
            .note(format!("{STARTS} starts, {}", resident.note("MB")))
            .at_most(40.0),
        Measure::new(
            "of which its own and of no file (RssAnon)",
            anonymous.median,
            "MB",
        )
        .note(anonymous.note("MB")),
    ]
}
