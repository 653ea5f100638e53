//! What the operator may do, and what accounts may do with themselves alone.

use super::*;

#[tokio::test]
async fn the_operator_acts_in_the_account_that_she_names() {
    let house = house(None).await;
    let bobs = house.happens(&house.bob).await.to_string();
    house.subjects("bob-api", "/api/v1/events", 1).await;
    let id = house.bob.account().to_string();
    let list = async |account| json(house.operate(account, Method::GET, "/api/v1/events", "").await).await;
    assert_eq!(list(Some("bob")).await["items"][0]["subject"], bobs);
    assert_eq!(list(Some(id.as_str())).await["items"][0]["subject"], bobs);
    assert_eq!(
        list(None).await["items"],
        serde_json::json!([]),
        "the owner's, when she names nobody"
    );
    let wrong = house.call("wrong", Method::GET, "/api/v1/events").await;
    assert_eq!(problem(wrong).await, 401);
    house.context.access.refusals_flush().await.unwrap();
    for _ in 0..200 {
        if list(Some("instance")).await["items"][0]["type"] == "audit.SignInsRefused" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let hubs = list(Some("instance")).await;
    assert_eq!(
        hubs["items"][0]["body"]["source"], "192.0.2.1",
        "the hub's own audit: {hubs}"
    );
    let nobody = house
        .operate(Some("mallory"), Method::GET, "/api/v1/events", "")
        .await;
    assert_eq!(problem(nobody).await, 404);
}

#[tokio::test]
async fn the_owner_who_signed_in_reads_the_hubs_own_audit_and_nobody_else_does() {
    let house = house(None).await;
    let path = "/api/v1/audit/instance";
    for (secret, status) in [("bob-session", 403), ("alice-api", 403), ("wrong", 401)] {
        assert_eq!(
            problem(house.call(secret, Method::GET, path).await).await,
            status,
            "{secret}"
        );
    }
    house.context.access.refusals_flush().await.unwrap();
    let read = async |path: &str| json(house.call("alice-session", Method::GET, path).await).await;
    let mut told = read(path).await;
    for _ in 0..200 {
        if told["items"][0]["type"] == "audit.SignInsRefused" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        told = read(&format!("{path}?type=audit.SignInsRefused")).await;
    }
    assert_eq!(told["items"][0]["body"]["source"], "192.0.2.1", "{told}");
    // That she looked stands there too, and her own account's events don't.
    house.happens(&house.alice).await;
    let on = format!("instance/events by account/{}", house.alice.account());
    for _ in 0..200 {
        told = read(&format!("{path}?type=audit.AccessRecorded")).await;
        if told["items"][0]["body"]["on"] == on.as_str() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(told["items"][0]["body"]["on"], on.as_str(), "{told}");
    assert!(
        !told["items"][0]["actor"].as_str().unwrap().contains("operator"),
        "{told}"
    );
    let all = read(path).await;
    let kinds = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].clone());
    assert!(
        !kinds
            .collect::<Vec<_>>()
            .contains(&serde_json::json!("accounts.TokenRevoked")),
        "{all}"
    );
}

#[tokio::test]
async fn what_concerns_the_whole_hub_is_for_the_operator() {
    let house = house(None).await;
    for (method, path) in [
        (Method::GET, "/api/v1/audit/verify"),
        (Method::POST, "/api/v1/events/replay"),
    ] {
        let body = r#"{"consumer":"nobody","after":0}"#;
        let refused = with_token(request(method.clone(), path, body), "alice-session");
        assert_eq!(
            problem(call(&house.edge.network, refused).await).await,
            403,
            "{path}"
        );
    }
    house.happens(&house.alice).await;
    house.subjects("alice-api", "/api/v1/events", 1).await;
    let proof = json(house.operate(None, Method::GET, "/api/v1/audit/verify", "").await).await;
    assert_eq!(
        (&proof["faults"], &proof["rows"]),
        (&serde_json::json!([]), &serde_json::json!(1))
    );
    let replay = house.operate(
        None,
        Method::POST,
        "/api/v1/events/replay",
        r#"{"consumer":"nobody","after":0}"#,
    );
    assert_eq!(problem(replay.await).await, 404);
    let entries = "SELECT count(*) FROM spine.event_body
        WHERE convert_from(body, 'UTF8')::jsonb ->> 'on' = 'consumer/nobody/replay'";
    let entries: i64 = sqlx::query_scalar(entries)
        .fetch_one(&mut house.database.superuser().await)
        .await
        .unwrap();
    assert_eq!(entries, 0, "nothing was replayed, and so none is written down");
}

#[tokio::test]
async fn an_account_is_erased_by_itself_or_the_operator_and_by_nobody_else() {
    let house = house(None).await;
    for (secret, status) in [("bob-session", 404), ("alice-api", 403)] {
        let refused = house.call(secret, Method::DELETE, "/api/v1/accounts/alice").await;
        assert_eq!(problem(refused).await, status, "{secret}");
    }
    house.happens(&house.alice).await;
    house.subjects("alice-api", "/api/v1/events", 1).await;
    let erased = json(
        house
            .call("alice-session", Method::DELETE, "/api/v1/accounts/alice")
            .await,
    )
    .await;
    assert_eq!(erased["rows"]["spine.event_body"], 1, "{erased}");
    let operator = house
        .operate(Some("bob"), Method::DELETE, "/api/v1/accounts/bob", "")
        .await;
    assert_eq!(operator.status(), StatusCode::OK);
}
