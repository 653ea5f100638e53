//! Consumers: every event once, whatever is poison, played again or feeds itself.

use async_trait::async_trait;
use contracts::events::rules::RuleChanged;
use contracts::{Event, EventPayload, Lane};

use super::super::consumer::{Consumer, HandleError, parked_list};
use super::{hub_with, marking_hub, marks, rule_changed, rules_change};
use crate::access::ScopedTx;

#[tokio::test(flavor = "multi_thread")]
async fn the_backfill_lane_does_not_stand_before_the_live_one() {
    let (hub, _) = marking_hub().await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    tx.set_lane(Lane::Backfill);
    tx.publish(rule_changed("old")).unwrap();
    tx.set_lane(Lane::Live);
    tx.publish(rule_changed("new")).unwrap();
    tx.commit().await.unwrap();
    hub.settle().await;
    let events = hub.events(&alice).await;
    let lane = |on: &str| {
        events
            .iter()
            .find(|event| event.body.as_ref().unwrap()["on"] == on)
            .unwrap()
            .lane
    };
    assert_eq!(lane("mark/old"), Lane::Backfill);
    assert_eq!(lane("mark/new"), Lane::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_feeds_itself_is_stopped_by_the_depth_of_causes() {
    /// Answers each event with the next.
    struct Echo;
    #[async_trait]
    impl Consumer for Echo {
        fn name(&self) -> &'static str {
            "echo"
        }
        fn types(&self) -> Vec<String> {
            vec![RuleChanged::TYPE.to_owned()]
        }
        async fn handle(&self, tx: &mut ScopedTx, _: &Event) -> Result<(), HandleError> {
            tx.publish(rule_changed("again"))?;
            Ok(())
        }
    }
    let hub = hub_with(Echo).await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    tx.publish(rule_changed("first")).unwrap();
    tx.commit().await.unwrap();
    hub.eventually("the last echo is parked", async || {
        parked_list(&mut hub.begin(&alice).await, (0, ""), 500)
            .await
            .unwrap()
            .pop()
    })
    .await;
    assert_eq!(
        hub.events(&alice).await.len() as i16,
        crate::access::DEPTH_MAX + 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_concern_a_consumer_is_passed_over_without_a_commit_and_what_does_is_handled_once() {
    /// Marks the rules that are its own.
    struct Choosy;
    #[async_trait]
    impl Consumer for Choosy {
        fn name(&self) -> &'static str {
            "choosy"
        }
        fn types(&self) -> Vec<String> {
            vec![RuleChanged::TYPE.to_owned()]
        }
        fn may_concern(&self, event: &Event) -> bool {
            event.subject.as_deref() != Some("his")
        }
        async fn concerns(&self, _: &mut ScopedTx, event: &Event) -> Result<bool, HandleError> {
            assert_ne!(
                event.subject.as_deref(),
                Some("his"),
                "no transaction was begun for it"
            );
            Ok(event.subject.as_deref() == Some("mine"))
        }
        async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
            let on = format!("mark/{}", event.subject.as_deref().unwrap_or_default());
            tx.audit("act", on, None)?;
            Ok(())
        }
    }
    let hub = hub_with(Choosy).await;
    let alice = hub.somebody();
    let written = async || -> i64 {
        sqlx::query_scalar(
            "SELECT position FROM spine.consumer_position WHERE consumer = 'choosy' AND lane = 'live'",
        )
        .fetch_one(hub.database.db.spine())
        .await
        .unwrap()
    };
    rules_change(&hub, &alice, &["hers", "his"]).await;
    assert!(marks(&hub.events(&alice).await).is_empty());
    assert_eq!(written().await, 0, "nothing was done that a commit would keep");
    rules_change(&hub, &alice, &["hers", "mine"]).await;
    assert_eq!(marks(&hub.events(&alice).await), ["mine"]);
    assert_eq!(written().await, 4, "the position goes with the effect");
    rules_change(&hub, &alice, &["mine"]).await;
    assert_eq!(marks(&hub.events(&alice).await), ["mine", "mine"]);
    assert!(hub.admin.replay(&alice, "choosy", Lane::Live, 3).await.unwrap());
    hub.eventually(
        "what concerns it is handled again, and nothing else",
        async || (marks(&hub.events(&alice).await) == ["mine"; 4]).then_some(()),
    )
    .await;
}

/// Does with an event what its rule's name says.
struct Clumsy;

#[async_trait]
impl Consumer for Clumsy {
    fn name(&self) -> &'static str {
        "clumsy"
    }
    fn types(&self) -> Vec<String> {
        vec![RuleChanged::TYPE.to_owned()]
    }
    async fn handle(&self, tx: &mut ScopedTx, event: &Event) -> Result<(), HandleError> {
        let statements: &[&str] = match event.subject.as_deref() {
            Some("stumbles") => panic!("over its own feet"),
            Some("dawdles") => &["SET LOCAL statement_timeout = 20", "SELECT pg_sleep(10)"],
            Some("doubles") => {
                &["INSERT INTO spine.consumer_position VALUES ('twice', 'live', 0), ('twice', 'live', 0)"]
            }
            _ => return Ok(()),
        };
        for statement in statements {
            sqlx::query(statement).execute(tx.conn()).await?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_panics_or_is_cut_off_parks_that_event_with_a_true_reason_and_goes_on_for_all() {
    let hub = hub_with(Clumsy).await;
    let (alice, bob) = (hub.somebody(), hub.somebody());
    rules_change(&hub, &alice, &["one", "stumbles", "dawdles", "doubles"]).await;
    rules_change(&hub, &bob, &["stumbles"]).await;
    let reasons = async |scope| -> Vec<String> {
        let parked = parked_list(&mut hub.begin(scope).await, (0, ""), 500)
            .await
            .unwrap();
        parked.into_iter().map(|parked| parked.reason).collect()
    };
    let stumbled = "the consumer panicked: over its own feet";
    assert_eq!(
        reasons(&alice).await,
        [
            stumbled,
            "the database cut a statement off (57014): it took too long",
            "the database refused a statement (23505), constraint consumer_position_pkey, table consumer_position",
        ]
    );
    assert_eq!(reasons(&bob).await, [stumbled]);
    let mut walked = Vec::new();
    let mut last = (0, String::new());
    loop {
        let page = parked_list(&mut hub.begin(&alice).await, (last.0, &last.1), 1)
            .await
            .unwrap();
        let Some(parked) = page.into_iter().next() else {
            break;
        };
        last = (parked.position, parked.consumer);
        walked.push(parked.reason);
    }
    assert_eq!(walked, reasons(&alice).await, "a page at a time, too");
    let event = parked_list(&mut hub.begin(&bob).await, (0, ""), 500)
        .await
        .unwrap()[0]
        .event;
    let again = hub.admin.parked_retry(&bob, "clumsy", event).await;
    assert!(
        matches!(again, Err(HandleError::Poison(_))),
        "the retry survives it too"
    );

    let status = hub.admin.status().await.unwrap();
    let parked: Vec<_> = status
        .consumers
        .iter()
        .map(|one| (one.lane, one.parked))
        .collect();
    assert_eq!(
        parked,
        [(Lane::Live, 4), (Lane::Backfill, 0)],
        "each once, on its lane"
    );
    assert!(
        status.consumers.iter().all(|one| one.silent_seconds < 20),
        "{status:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_stuck_shows_how_long_it_has_been_silent_and_how_old_its_next_event_is() {
    struct Stuck;
    #[async_trait]
    impl Consumer for Stuck {
        fn name(&self) -> &'static str {
            "stuck"
        }
        fn types(&self) -> Vec<String> {
            vec![RuleChanged::TYPE.to_owned()]
        }
        async fn handle(&self, _: &mut ScopedTx, _: &Event) -> Result<(), HandleError> {
            std::future::pending().await
        }
    }
    let hub = hub_with(Stuck).await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    tx.publish(rule_changed("one")).unwrap();
    tx.commit().await.unwrap();
    let status = hub
        .eventually("its silence shows", async || {
            let status = hub.admin.status().await.unwrap();
            let live = status.consumers.into_iter().find(|one| one.lane == Lane::Live)?;
            (live.silent_seconds > 0 && live.lag_seconds > 0).then_some(live)
        })
        .await;
    assert_eq!((status.behind, status.position), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_services_task_that_panics_is_told_in_the_hubs_status() {
    let hub = crate::testing::hub(|_| {
        vec![crate::Service {
            name: "fragile",
            tasks: vec![Box::new(|_| Box::pin(async { panic!("on purpose") }))],
            ..crate::Service::default()
        }]
    })
    .await;
    hub.eventually("it is told", async || {
        (hub.admin.status().await.unwrap().ended == ["fragile"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_two_parts_of_one_name_does_not_start() {
    use crate::queue::{JobContext, JobError, JobHandler, JobRegistry};
    use contracts::jobs::SendOutgoingMessage;

    struct Deaf;
    #[async_trait]
    impl JobHandler for Deaf {
        type Payload = SendOutgoingMessage;
        async fn run(&self, _: &JobContext, _: Self::Payload) -> Result<serde_json::Value, JobError> {
            Ok(serde_json::Value::Null)
        }
    }
    let database = crate::testing::database().await;
    let dir = tempfile::tempdir().unwrap();
    let start = async |build: &dyn Fn(&'static str, &'static str) -> crate::Service| {
        let (spine, _) = crate::Spine::new(
            database.db.app().clone(),
            database.db.spine().clone(),
            crate::vault::Vault::open_or_create(&dir.path().join("key")).unwrap(),
            std::sync::Arc::new(contracts::SystemClock),
            crate::Settings {
                data_dir: dir.path().to_owned(),
                packs_dir: dir.path().to_owned(),
                recipes_dir: dir.path().to_owned(),
                public_url: String::new(),
                extra_ca_pem: Vec::new(),
                upload_bytes_max: 1 << 20,
                media: crate::service::MediaSettings::default(),
            },
        );
        let services = vec![build("first", "one"), build("second", "two")];
        match spine
            .start(services, crate::queue::RunnerOptions::default())
            .await
        {
            Ok(running) => {
                running.drain(std::time::Duration::from_secs(5)).await;
                "it starts".to_owned()
            }
            Err(error) => error.to_string(),
        }
    };
    let service = |name| crate::Service {
        name,
        ..crate::Service::default()
    };
    assert_eq!(start(&|name, _| service(name)).await, "it starts");
    assert_eq!(
        start(&|_, _| service("same")).await,
        "there are two services same"
    );
    let reading = |name| crate::Service {
        consumers: vec![std::sync::Arc::new(Clumsy)],
        ..service(name)
    };
    assert_eq!(
        start(&|name, _| reading(name)).await,
        "there are two consumers clumsy"
    );
    let working = |name| {
        let mut jobs = JobRegistry::default();
        jobs.register(Deaf);
        crate::Service {
            jobs,
            ..service(name)
        }
    };
    let queue = <SendOutgoingMessage as contracts::JobPayload>::QUEUE;
    let told = format!("there are two handlers of the queue {queue}");
    assert_eq!(start(&|name, _| working(name)).await, told);
}
