//! `allod event` and `allod audit`.

use std::time::Duration;

use contracts::EventPayload;
use contracts::events::audit::{AccessRecorded, SignInsRefused, WebhooksRefused};
use serde_json::{Value, json};

use super::page::{self, Query};
use super::{CommandError, Session};
use crate::cli::{Event, Stretch};
use crate::client::escape;
use crate::render;

/// How often `--follow` asks for more.
pub(super) const FOLLOW: Duration = Duration::from_millis(500);

/// How often a long proof says that it goes on.
const PROGRESS: Duration = Duration::from_secs(5);

pub(super) async fn run(session: &Session, command: Event) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Event::Tail {
            correlation,
            types,
            stretch,
        } => {
            let mut query = Query::default();
            query = query.with("correlation", correlation.as_deref());
            for kind in &types {
                query = query.with("type", Some(kind));
            }
            tail(session, query, &stretch).await?;
        }
        Event::Parked { paging } => {
            let parked = page::list(session, "/events/parked", &Query::default(), &paging).await?;
            let columns = [
                ("CONSUMER", "consumer"),
                ("EVENT", "event"),
                ("POSITION", "position"),
                ("TRIES", "tries"),
                ("WHY", "reason"),
            ];
            page::show(session, &parked, &columns, "no events are parked");
        }
        Event::Retry { consumer, event } => {
            let event = super::id::id("event", &event, "allod event parked")?;
            let path = format!("/events/parked/{}/{}/retry", escape(&consumer), event);
            let answer = client.post(&path, &json!({})).await?;
            session.show(&answer, |_| render::line("the event is handled now"));
        }
        Event::Replay {
            consumer,
            after,
            lane,
        } => {
            let body = json!({ "consumer": consumer, "after": after, "lane": lane });
            let answer = client.post("/events/replay", &body).await?;
            session.show(&answer, |_| {
                render::line(format!(
                    "{consumer} reads the {lane} lane again from after {after}"
                ));
            });
        }
    }
    Ok(())
}

/// `allod audit list`: the events of the audit.
pub(super) async fn audit(session: &Session, stretch: &Stretch) -> Result<(), CommandError> {
    let kinds = [AccessRecorded::TYPE, WebhooksRefused::TYPE, SignInsRefused::TYPE];
    let query = kinds
        .iter()
        .fold(Query::default(), |query, kind| query.with("type", Some(kind)));
    tail(session, query, stretch).await
}

async fn tail(session: &Session, query: Query, stretch: &Stretch) -> Result<(), CommandError> {
    let client = &session.client;
    let events = format!("/events?limit={}{query}", stretch.limit);
    let before = Query::default().with("before", stretch.before.as_deref());
    let newest = client.get(&format!("{events}{before}")).await?;
    print(session, &newest, stretch.follow);
    if !stretch.follow {
        if let Some(before) = newest["next_before"].as_i64() {
            render::note(format!(
                "there are more: {}",
                page::going_on("--before", &before.to_string())
            ));
        }
        return Ok(());
    }
    let mut after = last_position(&newest, 0);
    loop {
        tokio::time::sleep(FOLLOW).await;
        let more = client.get(&format!("{events}&after={after}")).await?;
        print(session, &more, true);
        after = last_position(&more, after);
    }
}

pub(super) fn last_position(events: &Value, before: i64) -> i64 {
    render::list(events)
        .last()
        .and_then(|event| event["position"].as_i64())
        .unwrap_or(before)
}

/// A page of events; of a list that goes on each by itself, and nothing while nothing comes.
fn print(session: &Session, events: &Value, goes_on: bool) {
    let rows = render::list(events);
    match (session.json, goes_on) {
        (true, true) => return rows.iter().for_each(render::json),
        (true, false) => return render::json(events),
        (false, _) => {}
    }
    if rows.is_empty() && !goes_on {
        render::line("no events like that yet; `allod event tail --follow` waits for them");
    }
    for event in rows {
        let cell = |path| render::cell(event, path);
        render::line(format!(
            "{:>7}  {}  {:<34} {}",
            cell("position"),
            render::time(&event["recorded_at"]),
            cell("type"),
            cell("actor"),
        ));
        render::line(format!(
            "         id {}  because of {}  correlation {}",
            cell("id"),
            or_dash(&cell("causation")),
            cell("correlation")
        ));
        let body = if event["body"].is_null() {
            "(erased)".to_owned()
        } else {
            event["body"].to_string()
        };
        render::line(format!("         {body}"));
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

pub(super) async fn verify(session: &Session) -> Result<(), CommandError> {
    let log = session.client.get("/status").await?["log"].take();
    let report = proof(session, &log).await?;
    let faults = report["faults"].as_array().cloned().unwrap_or_default();
    session.show(&report, |report| {
        let cell = |path| render::cell(report, path);
        render::line(format!(
            "{} rows in {} batches checked, up to position {}; {} bodies were erased",
            cell("rows"),
            cell("batches"),
            cell("head"),
            cell("erased")
        ));
        match log["unsealed"].as_i64() {
            Some(waiting) if waiting > 0 => render::line(format!(
                "{waiting} more wait to be sealed, which takes a moment; they are proven the next time"
            )),
            _ => {}
        }
        for fault in &faults {
            render::line(format!("  FAULT: {}", render::cell(fault, "message")));
        }
        render::line(if faults.is_empty() {
            "the log is whole"
        } else {
            "the log was tampered with"
        });
    });
    if faults.is_empty() {
        Ok(())
    } else {
        Err(CommandError::Unwell)
    }
}

/// Asks for the proof, which takes as long as the log is long; says meanwhile that it goes on.
async fn proof(session: &Session, log: &Value) -> Result<Value, CommandError> {
    let mut proof = std::pin::pin!(session.client.get("/audit/verify"));
    let began = tokio::time::Instant::now();
    loop {
        tokio::select! {
            report = &mut proof => return Ok(report?),
            () = tokio::time::sleep(PROGRESS) => render::note(format!(
                "proving {} positions, for {} s by now",
                render::text(&log["head"]),
                began.elapsed().as_secs()
            )),
        }
    }
}
