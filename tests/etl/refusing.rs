//! What is no file for an import.

use std::sync::Arc;

use axum::http::header;
use spine::Settings;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_for_an_import_is_refused() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    assert_eq!(alice.call("POST", "/imports?filename=x.zip", "PK").await.0, 415);
    assert_eq!(
        alice.call("POST", "/imports?type=vcard", Body::empty()).await.0,
        400
    );
    assert_eq!(
        alice.call("GET", "/export?format=zip", Body::empty()).await.0,
        400
    );
    let (router, _) = etl::service(&hub.context).api.split_for_parts();
    let huge = Request::builder()
        .method("POST")
        .uri("/imports?type=mbox")
        .header(header::CONTENT_LENGTH, u64::MAX.to_string())
        .extension(Caller(alice.scope.clone()));
    assert_eq!(
        router
            .oneshot(huge.body(Body::empty()).unwrap())
            .await
            .unwrap()
            .status(),
        413
    );
    let failed = alice.import("jsonld", "no json").await;
    assert_eq!(
        (&failed["state"], &failed["reason"]),
        (&json!("failed"), &json!("the file is no JSON-LD"))
    );
    assert_eq!(alice.get("/imports").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_at_the_owners_limit_also_if_it_does_not_say_how_long_it_is() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let mut context = hub.context.clone();
    context.settings = Arc::new(Settings {
        upload_bytes_max: u64::try_from(CARDS.len()).unwrap(),
        ..context.settings.as_ref().clone()
    });
    let upload = async |file: String| {
        let (router, _) = etl::service(&context).api.split_for_parts();
        let chunks = file
            .into_bytes()
            .chunks(100)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>();
        let chunks = chunks.into_iter().map(Ok::<_, std::io::Error>);
        let request = Request::post("/imports?type=vcard").extension(Caller(alice.scope.clone()));
        let body = Body::from_stream(futures::stream::iter(chunks));
        router
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap()
            .status()
    };
    assert_eq!(upload(CARDS.to_owned()).await, 202);
    assert_eq!(upload(format!("{CARDS}\n")).await, 413);
    assert_eq!(alice.get("/imports").await["items"].as_array().unwrap().len(), 1);
    let folder = hub.context.settings.data_dir.join("imports");
    let folder = folder.join(alice.scope.account().0.simple().to_string());
    hub.eventually("no file stays behind", async || {
        (std::fs::read_dir(&folder).unwrap().count() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_it_was_said_to_be_has_failed_and_an_empty_one_is_done() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    for (format, file, state, reason) in [
        ("vcard", CALENDAR, "failed", "there is no card in the file"),
        ("ical", CARDS, "failed", "there is no calendar in the file"),
        ("vcard", "\r\n", "finished", ""),
        (
            "ical",
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n",
            "finished",
            "",
        ),
    ] {
        let ended = alice.import(format, file).await;
        assert_eq!(ended["state"], state, "{ended}");
        assert!(
            ended["reason"].as_str().unwrap_or_default().contains(reason),
            "{ended}"
        );
    }
}
