//! Schedules: fired once, late once or not at all, and by the owner's clock.

use chrono::Duration;
use serde_json::{Value, json};

use super::world::{World, utc};

#[tokio::test]
async fn schedules_are_listed_by_name_a_page_at_a_time() {
    let world = World::at("2026-05-01T06:00").await;
    for name in ["noon", "evening", "morning"] {
        world
            .ok("POST", "/schedules", json!({"name": name, "cron": "@daily"}))
            .await;
    }
    let first = world.ok("GET", "/schedules?limit=2", Value::Null).await;
    assert_eq!(
        (&first["items"][0]["name"], &first["items"][1]["name"]),
        (&json!("evening"), &json!("morning"))
    );
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = world
        .ok("GET", &format!("/schedules?limit=2&cursor={cursor}"), Value::Null)
        .await;
    assert_eq!(
        (&rest["items"][0]["name"], &rest["next_cursor"]),
        (&json!("noon"), &Value::Null)
    );
}

#[tokio::test]
async fn a_schedule_fires_at_nine_before_and_after_the_clocks_change() {
    let world = World::at("2026-03-28T00:00").await;
    world
        .ok(
            "POST",
            "/schedules",
            json!({"name": "morning", "cron": "0 9 * * *"}),
        )
        .await;
    world
        .ok(
            "POST",
            "/schedules",
            json!({"name": "daily", "rrule": "FREQ=DAILY;COUNT=2", "starts": "2026-03-28T09:00"}),
        )
        .await;
    for now in ["2026-03-28T08:00", "2026-03-29T07:00", "2026-03-30T07:00"] {
        world.until(now).await;
    }
    let fired: Vec<_> = world
        .told(&["ScheduleFired"])
        .await
        .into_iter()
        .map(|(_, at, body)| (at, body["name"].as_str().unwrap().to_owned()))
        .collect();
    let mut expected = vec![
        (utc("2026-03-28T08:00"), "daily".to_owned()),
        (utc("2026-03-28T08:00"), "morning".to_owned()),
        (utc("2026-03-29T07:00"), "daily".to_owned()),
        (utc("2026-03-29T07:00"), "morning".to_owned()),
        (utc("2026-03-30T07:00"), "morning".to_owned()),
    ];
    let mut fired = fired;
    fired.sort();
    expected.sort();
    assert_eq!(fired, expected);
    let ended = world.ok("GET", "/schedules/daily", json!(null)).await;
    assert_eq!(ended["next_at"], json!(null));
}

#[tokio::test]
async fn of_what_was_missed_the_latest_fires_once_or_nothing_as_the_schedule_says() {
    let world = World::at("2026-05-01T00:00").await;
    world
        .ok(
            "POST",
            "/schedules",
            json!({"name": "backup", "cron": "0 * * * *"}),
        )
        .await;
    world
        .ok(
            "POST",
            "/schedules",
            json!({"name": "bell", "cron": "0 * * * *", "catch_up": "none"}),
        )
        .await;
    world.sleep(Duration::hours(26) + Duration::minutes(30));
    world.wait_until_told().await;
    let fired = world.told(&["ScheduleFired"]).await;
    assert_eq!(fired.len(), 1, "{fired:?}");
    assert_eq!(
        (fired[0].1, &fired[0].2["name"]),
        (utc("2026-05-02T02:00"), &json!("backup"))
    );
    world.until("2026-05-02T03:00").await;
    assert_eq!(world.told(&["ScheduleFired"]).await.len(), 3);
}

#[tokio::test]
async fn a_paused_schedule_is_silent_and_goes_on_from_when_it_is_resumed() {
    let world = World::at("2026-05-01T00:30").await;
    let made = world
        .ok(
            "POST",
            "/schedules",
            json!({"name": "hourly", "cron": "0 * * * *", "zone": "Asia/Kolkata"}),
        )
        .await;
    assert_eq!(made["next_at"], "2026-05-01T01:30:00Z");
    assert_eq!(
        world.ok("POST", "/schedules/hourly/pause", json!(null)).await["next_at"],
        json!(null)
    );
    world.until("2026-05-01T05:00").await;
    let resumed = world.ok("POST", "/schedules/hourly/resume", json!(null)).await;
    assert_eq!(resumed["next_at"], "2026-05-01T05:30:00Z");
    assert!(world.told(&["ScheduleFired"]).await.is_empty());
    let changed = world
        .ok(
            "PATCH",
            "/schedules/hourly",
            json!({"cron": "15 * * * *", "zone": null}),
        )
        .await;
    assert_eq!(changed["next_at"], "2026-05-01T05:15:00Z");
    let (status, _) = world
        .call_as(&world.alice, "DELETE", "/schedules/hourly", json!(null))
        .await;
    assert_eq!(status, 204);
    world.until("2026-05-01T07:00").await;
    assert!(world.told(&["ScheduleFired"]).await.is_empty());
    let listed = world.ok("GET", "/schedules", json!(null)).await;
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn a_schedule_that_can_not_be_is_refused_with_what_would_be_right() {
    let world = World::at("2026-05-01T00:00").await;
    for (body, part) in [
        (json!({"name": "x", "cron": "every morning"}), "0 9 * * 1-5"),
        (json!({"name": "x", "cron": "* * * * * *"}), "0 9 * * 1-5"),
        (json!({"name": "x", "cron": "0 0 30 2 *"}), "never fires"),
        (json!({"name": "x", "rrule": "FREQ=SECONDLY"}), "by day, week"),
        (
            json!({"name": "x", "rrule": "FREQ=DAILY;UNTIL=20200101"}),
            "never fires",
        ),
        (
            json!({"name": "x", "rrule": "FREQ=DAILY", "starts": "soon"}),
            "is not a time",
        ),
        (json!({"name": "x"}), "either `cron`"),
        (
            json!({"name": "x", "cron": "@daily", "zone": "Mars/Olympus"}),
            "Europe/Lisbon",
        ),
        (
            json!({"name": "x", "cron": "@daily", "starts": "2026-05-01"}),
            "only an rrule",
        ),
        (json!({"name": "Water Plants", "cron": "@daily"}), "water-plants"),
        (json!({"name": "", "cron": "@daily"}), "1 to 64"),
    ] {
        let (status, detail) = world.refused("POST", "/schedules", body.clone()).await;
        assert!(
            status == 422 && detail.contains(part),
            "{body}: {status} {detail}"
        );
    }
    world
        .ok("POST", "/schedules", json!({"name": "x", "cron": "@daily"}))
        .await;
    let (status, _) = world
        .refused("POST", "/schedules", json!({"name": "x", "cron": "@daily"}))
        .await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn a_schedule_that_is_paused_while_its_owner_moves_stays_paused() {
    let world = World::at("2026-05-01T00:00").await;
    world
        .ok(
            "POST",
            "/schedules",
            json!({"name": "morning", "cron": "0 9 * * *"}),
        )
        .await;
    let mut other = world.hub.database.superuser().await;
    sqlx::raw_sql("BEGIN; UPDATE intentions.schedule SET paused = true, next_at = NULL")
        .execute(&mut other)
        .await
        .unwrap();
    let moved = world.move_to(chrono_tz::Asia::Tokyo);
    let paused = async {
        let mut watch = world.hub.database.superuser().await;
        world
            .hub
            .eventually("the move waits for who pauses", async || {
                let waiting: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%intentions.schedule%'",
                )
                .fetch_one(&mut watch)
                .await
                .unwrap();
                (waiting > 0).then_some(())
            })
            .await;
        sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    };
    tokio::join!(moved, paused);
    let schedule = world.ok("GET", "/schedules/morning", json!(null)).await;
    assert_eq!(
        (&schedule["paused"], &schedule["next_at"]),
        (&json!(true), &json!(null))
    );
}
