//! `allod state`.

use contracts::EventPayload;
use contracts::events::state::{FactChanged, FactExpired};
use serde_json::{Value, json};

use super::event::{FOLLOW, last_position};
use super::page::{self, Paging, Query};
use super::{CommandError, Session, flag};
use crate::cli::{State, StateChange};
use crate::client::escape;
use crate::render;
use crate::times::Toward;

pub(super) async fn run(session: &Session, command: State) -> Result<(), CommandError> {
    let State {
        key,
        prefix,
        history,
        since,
        until,
        paging,
        follow,
        change,
    } = command;
    match (change, key) {
        (Some(change), _) => return self::change(session, change).await,
        (None, Some(key)) if history => {
            let query = Query::default()
                .with(
                    "since",
                    flag::instant("--since", since.as_deref(), Toward::Past)?.as_deref(),
                )
                .with(
                    "until",
                    flag::instant("--until", until.as_deref(), Toward::Past)?.as_deref(),
                );
            return self::history(session, &key, &query, &paging).await;
        }
        // What follows may be the first that is heard of it.
        (None, Some(key)) if follow => return self::follow(session, Some(&key)).await,
        (None, Some(key)) => show(session, &key).await?,
        (None, None) => list(session, prefix.as_deref(), &paging).await?,
    }
    if follow {
        self::follow(session, None).await?;
    }
    Ok(())
}

const FACT: [render::Column; 8] = [
    ("FACT", "key"),
    ("VALUE", "value"),
    ("UNIT", "unit"),
    ("SINCE", "since"),
    ("SOURCE", "source"),
    ("CONFIDENCE", "confidence"),
    ("EXPIRES", "expires_at"),
    ("UNKNOWN SINCE", "expired_at"),
];

async fn show(session: &Session, key: &str) -> Result<(), CommandError> {
    let fact = session.client.get(&format!("/state/{}", escape(key))).await?;
    session.show(&fact, |fact| render::table(&json!([fact]), &FACT, ""));
    Ok(())
}

async fn list(session: &Session, prefix: Option<&str>, paging: &Paging) -> Result<(), CommandError> {
    let query = Query::default().with("prefix", prefix);
    let facts = page::list(session, "/state", &query, paging).await?;
    let empty =
        "nothing is known yet: device tokens let your phone report (`allod token create --kind device`)";
    page::show(session, &facts, &FACT, empty);
    Ok(())
}

async fn history(session: &Session, key: &str, query: &Query, paging: &Paging) -> Result<(), CommandError> {
    let path = format!("/state/{}/history", escape(key));
    let answer = page::list(session, &path, query, paging).await?;
    let columns = [
        ("VALUE", "value"),
        ("UNIT", "unit"),
        ("SINCE", "since"),
        ("UNTIL", "until"),
        ("SOURCE", "source"),
        ("CONFIDENCE", "confidence"),
    ];
    page::show(session, &answer, &columns, "nothing was known about it then");
    Ok(())
}

/// Shows changes until it is interrupted, of one fact or of all.
async fn follow(session: &Session, key: Option<&str>) -> Result<(), CommandError> {
    let client = &session.client;
    let types = format!("type={}&type={}", FactChanged::TYPE, FactExpired::TYPE);
    let mut after = last_position(&client.get(&format!("/events?{types}&limit=1")).await?, 0);
    loop {
        tokio::time::sleep(FOLLOW).await;
        let more = client.get(&format!("/events?{types}&after={after}")).await?;
        after = last_position(&more, after);
        for event in render::list(&more) {
            if key.is_none_or(|key| event["body"]["key"] == key) {
                print(session, event);
            }
        }
    }
}

fn print(session: &Session, event: &Value) {
    if session.json {
        return render::json(event);
    }
    let cell = |path| render::cell(event, path);
    let became = if event["type"] == FactExpired::TYPE {
        format!("{} -> unknown (it expired)", cell("body.last_known"))
    } else {
        format!(
            "{} -> {} {}",
            or_unknown(cell("body.from")),
            or_unknown(cell("body.to")),
            cell("body.unit")
        )
    };
    render::line(format!(
        "{}  {}  {}  by {}",
        render::time(&event["recorded_at"]),
        cell("body.key"),
        became.trim_end(),
        cell("body.source")
    ));
}

fn or_unknown(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

async fn change(session: &Session, change: StateChange) -> Result<(), CommandError> {
    let client = &session.client;
    match change {
        StateChange::Set {
            key,
            value,
            unit,
            valid_for,
        } => {
            let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
            let body = json!({ "value": value, "unit": unit, "valid_for": valid_for });
            let answer = client.put(&format!("/state/{}", escape(&key)), &body).await?;
            session.show(&answer, |_| {
                render::line(format!("{key} is {}", render::text(&value)));
            });
        }
        StateChange::Retract { key } => {
            let answer = client.delete(&format!("/state/{}", escape(&key))).await?;
            session.show(&answer, |_| render::line(format!("{key} is unknown now")));
        }
        StateChange::Validity { key, valid_for } => {
            let wish = Some(&valid_for).filter(|wish| *wish != "forever");
            let path = format!("/state/{}/settings", escape(&key));
            let answer = client.put(&path, &json!({ "valid_for": wish })).await?;
            session.show(&answer, |_| {
                render::line(format!(
                    "readings of {key} that come from now on hold: {valid_for}"
                ));
            });
        }
    }
    Ok(())
}
