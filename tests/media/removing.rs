//! What the owner removes stays away.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_from_a_mail_does_not_come_back_when_it_is_read_again() {
    let world = World::new(None).await;
    world.import("mbox", &mail(1, "the secret plan")).await;
    let kept = world.kept().await;
    let plan = kept.iter().find(|one| one["bytes"] == 15).unwrap();
    let path = format!("/media/{}", plan["id"].as_str().unwrap());
    assert_eq!(world.call("DELETE", &path, &[], Body::empty()).await.0, 204);
    world
        .hub
        .eventually("its bytes are gone", async || {
            (world.files_with(b"the secret plan") == 0).then_some(())
        })
        .await;
    for times in 1..=2 {
        let (status, _) = world
            .call("POST", "/raw-records/process", &[], "{\"source\":null}")
            .await;
        assert_eq!(status, 202);
        let done = "pgboss.job WHERE name = 'reprocess-records' AND state = 'completed'";
        world
            .hub
            .eventually("all is read again", async || {
                (world.count(done).await == times).then_some(())
            })
            .await;
        // The same mail with another header: another record of the same mail.
        world
            .import(
                "mbox",
                &format!("X-Status: R{times}\n{}", mail(1, "the secret plan")),
            )
            .await;
        assert_eq!(world.kept().await.len(), 1, "the picture alone");
        assert_eq!(world.files_with(b"the secret plan"), 0);
    }
    // Another mail that has it brings it, and so does she herself.
    world.import("mbox", &mail(2, "the secret plan")).await;
    assert_eq!(world.kept().await.len(), 2);
    assert_eq!(world.count(RELATED).await, 4, "what each mail had is told again");
    let second = world.ids("Message").await[1];
    world.erase(second).await;
    world
        .hub
        .eventually("it is gone again", async || {
            (world.files_with(b"the secret plan") == 0).then_some(())
        })
        .await;
    let (status, _) = world
        .call("POST", "/media?filename=plan.html", &[], "the secret plan")
        .await;
    assert_eq!(status, 201);
    let first = world.ids("Message").await[0];
    world.erase(first).await;
    world
        .hub
        .eventually("nothing speaks of it", async || {
            (world.count("media.removed").await == 0).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_metadata_can_not_be_removed_from_has_nothing_for_others_and_says_why() {
    let world = World::new(None).await;
    let files: [(&[u8], &str); 4] = [
        (
            b"%PDF-1.7\n1 0 obj <</Author (Alice)>> endobj\n%%EOF\n",
            "application/pdf",
        ),
        (b"ID3\x04\0\0\0\0\0\x0aTIT2Alice at home", "audio/mpeg"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isomAlice at home", "video/mp4"),
        (
            b"fLaC\0\0\0\x22Alice at home, with her friends, in May",
            "audio/x-flac",
        ),
    ];
    for (bytes, media_type) in files {
        let id = world.add(bytes).await;
        let kept = world.kept().await;
        let one = kept.iter().find(|one| one["id"] == id.as_str()).unwrap();
        assert_eq!(one["media_type"], media_type);
        let path = format!("/media/{id}/content?rendition=public");
        let (status, body) = world.call("GET", &path, &[], Body::empty()).await;
        let answer = String::from_utf8_lossy(&body);
        assert_eq!(status, 404, "{answer}");
        assert!(
            answer.contains(&format!("metadata can't be removed from {media_type}")),
            "{answer}"
        );
        assert!(!answer.contains("Alice"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_whose_picture_was_removed_still_changes_her_employer() {
    let world = World::new(None).await;
    let card = |employer: &str| {
        format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:sam\r\nFN:Sam\r\nORG:{employer}\r\n\
             PHOTO;ENCODING=b;TYPE=PNG:{PIXEL}\r\nEND:VCARD\r\n"
        )
    };
    world.import("vcard", &card("Acme")).await;
    let path = format!("/media/{}", world.kept().await[0]["id"].as_str().unwrap());
    assert_eq!(world.call("DELETE", &path, &[], Body::empty()).await.0, 204);
    world.import("vcard", &card("Globex")).await;
    let employers = "graph.relation WHERE predicate = 'member-of' AND removed_at IS NULL";
    assert_eq!(world.count(employers).await, 1, "the old one is over");
}
