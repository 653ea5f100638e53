//! `allod event` and `allod audit`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{CommandError, Session};
use crate::cli::Event;
use crate::client::escape;
use crate::render;

/// How often `--follow` asks for more.
const FOLLOW: Duration = Duration::from_millis(500);

pub(super) async fn run(session: &Session, command: Event) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        Event::Tail {
            correlation,
            types,
            limit,
            follow,
        } => {
            let mut query = format!("limit={limit}");
            if let Some(correlation) = correlation {
                query.push_str(&format!("&correlation={}", escape(&correlation)));
            }
            for kind in &types {
                query.push_str(&format!("&type={}", escape(kind)));
            }
            let newest = client.get(&format!("/events?{query}")).await?;
            print(session, &newest, !follow);
            if !follow {
                return Ok(());
            }
            let mut after = last_position(&newest, 0);
            loop {
                tokio::time::sleep(FOLLOW).await;
                let more = client.get(&format!("/events?{query}&after={after}")).await?;
                print(session, &more, false);
                after = last_position(&more, after);
            }
        }
        Event::Parked => {
            let answer = client.get("/events/parked").await?;
            session.show(&answer, |answer| {
                let columns = [
                    ("CONSUMER", "consumer"),
                    ("EVENT", "event"),
                    ("POSITION", "position"),
                    ("TRIES", "tries"),
                    ("WHY", "reason"),
                ];
                render::table(answer, &columns, "no events are parked");
            });
        }
        Event::Retry { consumer, event } => {
            let path = format!("/events/parked/{}/{}/retry", escape(&consumer), escape(&event));
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

fn last_position(events: &Value, before: i64) -> i64 {
    render::list(events)
        .last()
        .and_then(|event| event["position"].as_i64())
        .unwrap_or(before)
}

fn print(session: &Session, events: &Value, say_empty: bool) {
    if session.json {
        return render::json(events);
    }
    let rows = render::list(events);
    if rows.is_empty() && say_empty {
        render::line("no events yet");
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
    let report = session.client.get("/audit/verify").await?;
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
