//! What is served: in part, again only when it changed, and never as a page of the hub.

use axum::body::Body;
use axum::http::Request;

use super::world::{Answer, World};

async fn ask(world: &World, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.call(&world.alice, request, Body::empty()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_served_whole_or_in_part_and_not_at_all_to_who_has_them() {
    let world = World::new().await;
    let content: Vec<u8> = (0..300_000_u32)
        .flat_map(u32::to_le_bytes)
        .take(1_048_000)
        .collect();
    let media = world.kept(&content).await;
    let path = format!("/media/{media}/content");
    let whole = ask(&world, "GET", &path, &[]).await;
    assert_eq!((whole.status, &whole.body), (200, &content));
    assert_eq!(whole.header("content-length"), content.len().to_string());
    assert!(whole.header("cache-control").contains("private"));
    assert!(whole.header("repr-digest").starts_with("sha-256=:"));
    let etag = whole.header("etag").to_owned();

    let part = ask(&world, "GET", &path, &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &content[10..20]));
    assert_eq!(
        part.header("content-range"),
        format!("bytes 10-19/{}", content.len())
    );
    let end = ask(
        &world,
        "GET",
        &path,
        &[("range", "bytes=-5"), ("if-range", &etag)],
    )
    .await;
    assert_eq!((end.status, &end.body[..]), (206, &content[content.len() - 5..]));
    let other = ask(
        &world,
        "GET",
        &path,
        &[("range", "bytes=-5"), ("if-range", "\"other\"")],
    )
    .await;
    assert_eq!(other.status, 200, "a part of other bytes is of no use");
    let beyond = ask(&world, "GET", &path, &[("range", "bytes=2000000-")]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(
        beyond.header("content-range"),
        format!("bytes */{}", content.len())
    );

    let same = ask(&world, "GET", &path, &[("if-none-match", &etag)]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    let head = ask(&world, "HEAD", &path, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), content.len().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_would_run_is_handed_over_as_a_file_in_a_sandbox() {
    let world = World::new().await;
    for (bytes, media_type) in [
        ("<!doctype html><script>alert(1)</script>", "text/html"),
        (
            "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            "image/svg+xml",
        ),
    ] {
        let request =
            Request::post("/media?filename=../%22holiday%22.png").header("content-type", "image/png");
        let kept = world.call(&world.alice, request, Body::from(bytes)).await.json();
        assert_eq!(
            (&kept["media_type"], &kept["mismatch"]),
            (&media_type.into(), &true.into())
        );
        let served = ask(
            &world,
            "GET",
            &format!("/media/{}/content", kept["id"].as_str().unwrap()),
            &[],
        )
        .await;
        assert_eq!(served.header("content-type"), media_type);
        assert_eq!(
            served.header("content-disposition"),
            "attachment; filename*=UTF-8''%22holiday%22.png"
        );
        assert!(served.header("content-security-policy").starts_with("sandbox;"));
        assert_eq!(served.header("x-content-type-options"), "nosniff");
    }
    let picture = world.kept(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").await;
    let shown = ask(&world, "GET", &format!("/media/{picture}/content"), &[]).await;
    assert!(shown.header("content-disposition").starts_with("inline"));
    assert!(shown.header("content-security-policy").starts_with("sandbox;"));
}
