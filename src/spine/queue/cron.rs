//! Schedules: cron expressions with a time zone, in pg-boss's own table.
//!
//! Invariant: an occurrence fires once, whoever looks and however often. The claim is the row that pg-boss's own
//! timekeeper would put into its queue `__pgboss__send-it`, unique by schedule and minute; with it commits the job.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use chrono_tz::Tz;
use contracts::{AccountId, Clock, JobPayload};
use croner::Cron;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::enqueue::Retry;
use super::model::{JobOptions, QueueError};
use super::store::{self, ScheduleRow};

/// So long is an occurrence due; also the width of its slot. pg-boss's number, and the two hubs must agree.
const WINDOW_SECONDS: i64 = 60;

/// When a job is queued again and again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Schedule {
    /// The queue.
    pub queue: String,
    /// Tells several schedules of one queue and account apart.
    pub key: String,
    /// Five fields, or six with seconds first (one start a minute at the most).
    pub cron: String,
    /// An IANA time zone such as `Europe/Berlin`.
    pub timezone: String,
}

/// Makes or changes a schedule. `conn` is of role `allod_spine`.
///
/// # Errors
/// [`QueueError::Schedule`] when the expression or the zone can't be read.
pub async fn schedule_put<P: JobPayload>(
    conn: &mut PgConnection,
    account: AccountId,
    (key, cron, timezone): (&str, &str, &str),
    payload: &P,
    options: &JobOptions,
) -> Result<(), QueueError> {
    parse(cron, Some(timezone)).map_err(QueueError::Schedule)?;
    // Each occurrence is something new, so the envelope has no correlation: the runner makes one.
    let data = json!({ "account": account, "payload": serde_json::to_value(payload)? });
    let retry = Retry::of(&options.retry.unwrap_or(P::RETRY));
    let options = json!({
        "priority": options.priority, "retryLimit": retry.limit, "retryDelay": retry.delay, "retryBackoff": true,
        "retryDelayMax": retry.delay_max, "expireInSeconds": retry.expire, "tz": timezone,
    });
    store::queue_create(&mut *conn, P::QUEUE, retry).await?;
    let key = format!("{account}.{key}");
    Ok(store::schedule_put(conn, (P::QUEUE, &key), (cron, timezone), &data, &options).await?)
}

/// Removes a schedule. False: there was none.
///
/// # Errors
/// [`QueueError::Database`].
pub async fn schedule_delete<P: JobPayload>(
    conn: &mut PgConnection,
    account: AccountId,
    key: &str,
) -> Result<bool, QueueError> {
    Ok(store::schedule_delete(conn, P::QUEUE, &format!("{account}.{key}")).await?)
}

/// The schedules of an account.
///
/// # Errors
/// [`QueueError::Database`].
pub async fn schedule_list(conn: &mut PgConnection, account: AccountId) -> Result<Vec<Schedule>, QueueError> {
    let of_account = |row: &ScheduleRow| {
        row.data.as_ref().and_then(|data| data.get("account")) == Some(&Value::String(account.to_string()))
    };
    let prefix = format!("{account}.");
    let rows = store::schedules(conn).await?.into_iter().filter(of_account);
    Ok(rows
        .map(|row| Schedule {
            queue: row.name,
            key: row.key.strip_prefix(&prefix).unwrap_or(&row.key).to_owned(),
            cron: row.cron,
            timezone: row.timezone.unwrap_or_else(|| "UTC".to_owned()),
        })
        .collect())
}

fn parse(cron: &str, timezone: Option<&str>) -> Result<(Cron, Tz), String> {
    let zone = timezone.filter(|zone| !zone.is_empty()).unwrap_or("UTC");
    let zone = Tz::from_str(zone).map_err(|_| format!("there is no time zone {zone:?}"))?;
    let cron = Cron::from_str(cron)
        .map_err(|error| format!("the cron expression {cron:?} can't be read: {error}"))?;
    Ok((cron, zone))
}

/// The last occurrence in (`after`, `until`].
fn last_between(
    cron: &Cron,
    zone: Tz,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, String> {
    let last = cron.find_previous_occurrence(&until.with_timezone(&zone), true);
    let last = last.map_err(|error| error.to_string())?.with_timezone(&Utc);
    Ok((last > after).then_some(last))
}

/// The minute an occurrence falls in, in UTC, as pg-boss writes it.
fn slot_of(at: DateTime<Utc>) -> NaiveDateTime {
    let whole = at.timestamp().div_euclid(WINDOW_SECONDS) * WINDOW_SECONDS;
    DateTime::from_timestamp(whole, 0).unwrap_or(at).naive_utc()
}

/// Under which key pg-boss claims an occurrence: name and key, with the name's own underscores escaped.
fn claim_key(schedule: &ScheduleRow) -> String {
    format!("{}__{}", schedule.name.replace('_', "\\_"), schedule.key)
}

/// Looks which schedules are due, and fires them.
pub(super) struct Timekeeper {
    clock: Arc<dyn Clock>,
    fired: HashSet<(String, NaiveDateTime)>,
    warned: HashSet<(String, String)>,
}

impl Timekeeper {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            fired: HashSet::new(),
            warned: HashSet::new(),
        }
    }

    /// Returns how many jobs were queued. With `thorough`, gaps in which nobody looked are made up for where a
    /// schedule wants it, and what a Node program claimed and left is forwarded.
    pub(super) async fn look(&mut self, pool: &PgPool, thorough: bool) -> Result<u32, sqlx::Error> {
        let now = self.clock.now();
        let open = now - Duration::seconds(WINDOW_SECONDS);
        let mut seen = None;
        let mut count = 0;
        if thorough {
            seen = store::cron_seen(pool).await?;
            count += u32::try_from(store::forward_left(pool).await?).unwrap_or(0);
            self.fired
                .retain(|(_, slot)| *slot >= open.naive_utc() - Duration::minutes(5));
        }
        for schedule in store::schedules(pool).await? {
            for at in self.due(&schedule, now, open, seen) {
                let claim = (claim_key(&schedule), slot_of(at));
                if !self.fired.contains(&claim) {
                    count += u32::from(store::fire(pool, &schedule, &claim.0, claim.1).await?.is_some());
                    self.fired.insert(claim);
                }
            }
        }
        Ok(count)
    }

    fn due(
        &mut self,
        schedule: &ScheduleRow,
        now: DateTime<Utc>,
        open: DateTime<Utc>,
        seen: Option<DateTime<Utc>>,
    ) -> Vec<DateTime<Utc>> {
        let found = parse(&schedule.cron, schedule.timezone.as_deref()).and_then(|(cron, zone)| {
            let mut due = last_between(&cron, zone, open, now)?
                .into_iter()
                .collect::<Vec<_>>();
            if let Some(seen) = seen.filter(|_| schedule.missed.as_deref() == Some("once")) {
                due.extend(last_between(&cron, zone, seen.max(schedule.created_on), open)?);
            }
            Ok(due)
        });
        found.unwrap_or_else(|error| {
            // A broken schedule stays broken until somebody mends it: said once.
            if self.warned.insert((claim_key(schedule), schedule.cron.clone())) {
                tracing::warn!(
                    queue = schedule.name,
                    key = schedule.key,
                    error,
                    "a schedule can't be read: skipped"
                );
            }
            Vec::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn nine_in_the_morning_is_nine_in_berlin_in_winter_and_in_summer() {
        let (cron, zone) = parse("0 9 * * *", Some("Europe/Berlin")).unwrap();
        let last = |until| last_between(&cron, zone, at("2026-01-01T00:00:00Z"), at(until)).unwrap();
        assert_eq!(last("2026-01-15T12:00:00Z"), Some(at("2026-01-15T08:00:00Z")));
        assert_eq!(last("2026-07-15T12:00:00Z"), Some(at("2026-07-15T07:00:00Z")));
    }

    #[test]
    fn an_occurrence_is_due_for_a_minute_its_own_instant_included() {
        let (cron, zone) = parse("30 12 * * *", None).unwrap();
        let due = |now: &str| last_between(&cron, zone, at(now) - Duration::seconds(60), at(now)).unwrap();
        assert_eq!(due("2026-05-01T12:29:59Z"), None);
        assert_eq!(due("2026-05-01T12:30:00Z"), Some(at("2026-05-01T12:30:00Z")));
        assert_eq!(due("2026-05-01T12:30:59Z"), Some(at("2026-05-01T12:30:00Z")));
        assert_eq!(due("2026-05-01T12:31:00Z"), None);
    }

    #[test]
    fn slots_are_whole_minutes() {
        assert_eq!(
            slot_of(at("2026-05-01T12:30:59Z")),
            at("2026-05-01T12:30:00Z").naive_utc()
        );
    }

    #[test]
    fn unreadable_schedules_are_refused_with_what_is_wrong() {
        assert!(parse("61 * * * *", None).unwrap_err().contains("61"));
        assert!(
            parse("* * * * *", Some("Europe/Bärlin"))
                .unwrap_err()
                .contains("Bärlin")
        );
    }
}
