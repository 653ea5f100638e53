//! `allod schedule`.

use serde_json::{Value, json};

use super::page::{self, Paging, Query};
use super::task::object;
use super::{CommandError, Session, flag};
use crate::cli::Schedule;
use crate::client::escape;
use crate::render::{self, cell};
use crate::times::Toward;

pub(super) async fn run(session: &Session, command: Schedule) -> Result<(), CommandError> {
    let client = &session.client;
    let path = |name: &str| format!("/schedules/{}", escape(name));
    match command {
        Schedule::Add {
            name,
            cron,
            rrule,
            starts,
            zone,
            catch_up,
        } => {
            let starts = flag::time_if("--starts", starts.as_deref(), Toward::Future)?;
            let body = object([
                ("name", Some(name.into())),
                ("cron", cron.map(Value::from)),
                ("rrule", rrule.map(Value::from)),
                ("starts", starts.map(Value::from)),
                ("zone", zone.map(Value::from)),
                ("catch_up", Some(catch_up.into())),
            ]);
            let answer = client.post("/schedules", &body.into()).await?;
            session.show(&answer, next);
        }
        Schedule::List { name } => list(session, name.as_deref()).await?,
        Schedule::Pause { name } => {
            let answer = client.post(&format!("{}/pause", path(&name)), &json!({})).await?;
            session.show(&answer, |_| {
                render::line(format!("paused; to let it go on: allod schedule resume {name}"));
            });
        }
        Schedule::Resume { name } => {
            let answer = client
                .post(&format!("{}/resume", path(&name)), &json!({}))
                .await?;
            session.show(&answer, next);
        }
        Schedule::Remove { name } => {
            let answer = client.delete(&path(&name)).await?;
            session.show(&answer, |_| render::line("removed"));
        }
    }
    Ok(())
}

async fn list(session: &Session, name: Option<&str>) -> Result<(), CommandError> {
    let mut answer = page::list(session, "/schedules", &Query::default(), &Paging::everything()).await?;
    if let (Some(part), Some(items)) = (name, answer["items"].as_array_mut()) {
        let part = part.to_lowercase();
        items.retain(|one| cell(one, "name").to_lowercase().contains(&part));
    }
    session.show(&answer, |answer| {
        let columns = [
            ("NAME", "name"),
            ("NEXT", "next_at"),
            ("CRON", "cron"),
            ("RRULE", "rrule"),
            ("ZONE", "zone"),
            ("PAUSED", "paused"),
            ("LAST", "last_planned_at"),
        ];
        let empty = "no schedules here: `allod schedule add morning --cron \"0 9 * * 1-5\"` adds one";
        render::table(answer, &columns, empty);
    });
    Ok(())
}

fn next(answer: &Value) {
    let (name, at) = (cell(answer, "name"), cell(answer, "next_at"));
    if at.is_empty() {
        render::line(format!("{name} fires no more"));
    } else {
        render::line(format!("{name} fires next at {at}"));
    }
}
