//! Events over HTTP: paged, filtered, live, and one's own only.

use contracts::events::state::FactChanged;
use futures::StreamExt;

use super::*;

/// Reads a live stream until it holds so many events; answers their lines.
async fn follow(response: Response, count: usize) -> String {
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    while text.matches("\ndata:").count() + usize::from(text.starts_with("data:")) < count {
        let next = tokio::time::timeout(Duration::from_secs(20), body.next())
            .await
            .expect("an event in time");
        text.push_str(std::str::from_utf8(&next.expect("the stream goes on").unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn events_are_paged_filtered_and_ones_own() {
    let house = house(None).await;
    let (first, second) = (
        house.happens(&house.alice).await,
        house.happens(&house.alice).await,
    );
    let bobs = house.happens(&house.bob).await;
    let (first, second) = (first.to_string(), second.to_string());
    assert_eq!(
        house.subjects("alice-api", "/api/v1/events", 2).await,
        [first.clone(), second.clone()]
    );
    assert_eq!(
        house.subjects("bob-api", "/api/v1/events", 1).await,
        [bobs.to_string()]
    );
    assert_eq!(
        house.subjects("alice-api", "/api/v1/events?limit=1", 1).await,
        *std::slice::from_ref(&second),
        "the newest"
    );
    let page = json(
        house
            .call("alice-api", Method::GET, "/api/v1/events?after=0&limit=1")
            .await,
    )
    .await;
    assert_eq!(page["items"][0]["subject"], first, "the oldest");
    let next = format!("/api/v1/events?after={}", page["next_after"]);
    assert_eq!(
        house.subjects("alice-api", &next, 1).await,
        std::slice::from_ref(&second)
    );

    let newest = json(
        house
            .call("alice-api", Method::GET, "/api/v1/events?limit=1")
            .await,
    )
    .await;
    assert_eq!(newest["items"][0]["subject"], second);
    let older = json(
        house
            .call(
                "alice-api",
                Method::GET,
                &format!("/api/v1/events?limit=1&before={}", newest["next_before"]),
            )
            .await,
    )
    .await;
    assert_eq!(
        older["items"][0]["subject"], first,
        "and so back to the beginning"
    );
    assert_eq!(older["next_before"], Value::Null);
    let both = house
        .call("alice-api", Method::GET, "/api/v1/events?after=1&before=9")
        .await;
    assert_eq!(problem(both).await, 400, "one can't go both ways");
    let live = house
        .call("alice-api", Method::GET, "/api/v1/events/stream?before=9")
        .await;
    assert_eq!(problem(live).await, 400, "nothing new comes before");

    let other = json(
        house
            .call("alice-api", Method::GET, "/api/v1/events?type=no.Such")
            .await,
    )
    .await;
    assert_eq!(other["items"], serde_json::json!([]));
    let odd = house
        .call("alice-api", Method::GET, "/api/v1/events?tpye=a.B")
        .await;
    assert_eq!(problem(odd).await, 400);
}

#[tokio::test]
async fn live_updates_bring_ones_own_events_at_once_and_go_on_where_they_ended() {
    let house = house(None).await;
    let stream = house
        .call("alice-api", Method::GET, "/api/v1/events/stream")
        .await;
    assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
    house.happens(&house.bob).await;
    let (first, second) = (
        house.happens(&house.alice).await,
        house.happens(&house.alice).await,
    );
    let seen = follow(stream, 2).await;
    assert!(
        seen.contains(&first.to_string()) && seen.contains(&second.to_string()),
        "{seen}"
    );
    assert!(
        !seen.contains(&house.bob.account().to_string()),
        "Bob's is Bob's: {seen}"
    );

    let id = seen.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let mut again = with_token(request(Method::GET, "/api/v1/events/stream", ""), "alice-api");
    again.headers_mut().insert("last-event-id", id.parse().unwrap());
    let seen = follow(call(&house.edge.network, again).await, 1).await;
    assert!(
        seen.contains(&second.to_string()) && !seen.contains(&first.to_string()),
        "{seen}"
    );
}

#[tokio::test]
async fn live_updates_end_when_the_hub_stops() {
    let house = house(None).await;
    let stream = house
        .call("alice-api", Method::GET, "/api/v1/events/stream")
        .await;
    house.edge.streams.cancel();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.into_body().collect()).await;
    assert!(end.expect("it ends").unwrap().to_bytes().is_empty());
}

impl House {
    async fn learns(&self, who: &Scope, key: &str) {
        let changed = FactChanged {
            key: key.to_owned(),
            from: Value::Null,
            to: 1.into(),
            last_known: Value::Null,
            unit: None,
            since: self.context.clock.now(),
            source: "owner".to_owned(),
        };
        let mut tx = self.context.access.begin(who, Cause::outside()).await.unwrap();
        tx.publish(NewEvent::of(&changed).unwrap().about(key)).unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn the_present_is_followed_live_without_anything_else_or_anybody_elses() {
    let house = house(None).await;
    let stream = house.call("alice-api", Method::GET, "/api/v1/state/live").await;
    assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
    house.learns(&house.bob, "bobs.secret").await;
    let other = house.happens(&house.alice).await;
    house.learns(&house.alice, "home.first").await;
    house.learns(&house.alice, "home.second").await;
    let seen = follow(stream, 2).await;
    assert!(
        seen.contains("home.first") && seen.contains("home.second"),
        "{seen}"
    );
    assert!(
        !seen.contains("bobs.secret") && !seen.contains(&other.to_string()),
        "{seen}"
    );

    let id = seen.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let mut again = with_token(request(Method::GET, "/api/v1/state/live", ""), "alice-api");
    again.headers_mut().insert("last-event-id", id.parse().unwrap());
    let seen = follow(call(&house.edge.network, again).await, 1).await;
    assert!(
        seen.contains("home.second") && !seen.contains("home.first"),
        "{seen}"
    );
    let odd = house
        .call("alice-api", Method::GET, "/api/v1/state/live?type=a.B")
        .await;
    assert_eq!(problem(odd).await, 400);
}
