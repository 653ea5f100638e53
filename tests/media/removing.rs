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
        world.import("mbox", &format!("X-Status: R{times}\n{}", mail(1, "the secret plan"))).await;
        assert_eq!(world.kept().await.len(), 1, "the picture alone");
        assert_eq!(world.files_with(b"the secret plan"), 0);
    }
    // Another mail that has it brings it, and so does she herself.
    world.import("mbox", &mail(2, "the secret plan")).await;
    assert_eq!(world.kept().await.len(), 2);
    assert_eq!(world.count(RELATED).await, 3);
    let second = world.ids("Message").await[1];
    world.erase(second).await;
    world
        .hub
        .eventually("it is gone again", async || {
            (world.files_with(b"the secret plan") == 0).then_some(())
        })
        .await;
    let (status, _) = world.call("POST", "/media?filename=plan.html", &[], "the secret plan").await;
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
