//! Idempotency keys: of all who claim one, one is told that it is new.

use super::marking_hub;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_claimed_once_per_account() {
    let (hub, _) = marking_hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    let mut tx = hub.begin(&alice).await;
    assert!(tx.claim("webhook", b"CA1").await.unwrap());
    assert!(!tx.claim("webhook", b"CA1").await.unwrap());
    assert!(tx.claim("other", b"CA1").await.unwrap());
    tx.commit().await.unwrap();
    assert!(!hub.begin(&alice).await.claim("webhook", b"CA1").await.unwrap());
    assert!(hub.begin(&bob).await.claim("webhook", b"CA1").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_told_of_each_key_whether_it_is_new() {
    let (hub, _) = marking_hub().await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    let mut tx = hub.begin(&alice).await;
    let first = tx.claim_all("webhook", &["CA1", "CA2", "CA1"]).await.unwrap();
    assert_eq!(first, [true, true, false], "the double within the batch is old");
    tx.commit().await.unwrap();

    let mut tx = hub.begin(&alice).await;
    let again = tx.claim_all("webhook", &["CA3", "CA2", "CA1"]).await.unwrap();
    assert_eq!(again, [true, false, false], "partly known");
    assert!(
        !tx.claim("webhook", b"CA3").await.unwrap(),
        "known to the single claim too"
    );
    let other = tx.claim_all("other", &["CA1", "CA2"]).await.unwrap();
    assert_eq!(other, [true, true], "another source has keys of its own");
    drop(tx); // rolled back: nothing of it was claimed

    let mut tx = hub.begin(&alice).await;
    let third = tx.claim_all("webhook", &["CA1", "CA2", "CA3"]).await.unwrap();
    assert_eq!(third, [false, false, true]);
    let nothing: [&str; 0] = [];
    assert!(tx.claim_all("webhook", &nothing).await.unwrap().is_empty());
    let bobs = hub
        .begin(&bob)
        .await
        .claim_all("webhook", &["CA1"])
        .await
        .unwrap();
    assert_eq!(bobs, [true], "another account too");
}

/// Alice's second transaction claims while her first has claimed and goes on; which ends as told.
async fn second_claim_while_the_first_is_open(first_commits: bool) -> Vec<bool> {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    let mut first = hub.begin(&alice).await;
    assert_eq!(
        first.claim_all("webhook", &["CA1", "CA2"]).await.unwrap(),
        [true, true]
    );
    let mut second = hub.begin(&alice).await;
    let waiting = tokio::spawn(async move { second.claim_all("webhook", &["CA3", "CA2"]).await.unwrap() });
    let mut superuser = hub.database.superuser().await;
    hub.eventually("the second waits for the first", async || {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock')",
        )
        .fetch_one(&mut superuser)
        .await
        .unwrap();
        waits.then_some(())
    })
    .await;
    if first_commits {
        first.commit().await.unwrap();
    } else {
        drop(first);
    }
    waiting.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_claim_at_once_the_first_to_commit_has_the_key() {
    assert_eq!(second_claim_while_the_first_is_open(true).await, [true, false]);
    assert_eq!(
        second_claim_while_the_first_is_open(false).await,
        [true, true],
        "what was rolled back was never claimed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_with_keys_in_common_never_wait_for_each_other_in_a_circle() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    let forward: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let backward: Vec<String> = forward.iter().rev().cloned().collect();
    for round in 0..10 {
        let source = format!("round {round}");
        let claims = [&forward, &backward].map(|keys| {
            let (access, alice) = (hub.context.access.clone(), alice.clone());
            let (source, keys) = (source.clone(), keys.clone());
            tokio::spawn(async move {
                let mut tx = access.begin(&alice, crate::Cause::outside()).await.unwrap();
                let fresh = tx.claim_all(&source, &keys).await.unwrap();
                tx.commit().await.unwrap();
                fresh.into_iter().filter(|fresh| *fresh).count()
            })
        });
        let mut fresh = 0;
        for claim in claims {
            fresh += claim.await.unwrap();
        }
        assert_eq!(fresh, 500, "each key is new once");
    }
}
