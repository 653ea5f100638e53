//! What a calendar says about alarms and places, and what a thread of mails says about conversations.

use super::*;

const ALARMS: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTODO\r\nUID:taxes\r\nSUMMARY:Taxes\r\n\
    DTSTART:20260531T080000Z\r\nDUE:20260531T100000Z\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\n\
    TRIGGER;RELATED=END:-PT15M\r\nEND:VALARM\r\nBEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:PT0S\r\nEND:VALARM\r\n\
    BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER;VALUE=DATE-TIME:20260530T070000Z\r\nEND:VALARM\r\nBEGIN:VALARM\r\n\
    ACTION:NONE\r\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z\r\nEND:VALARM\r\nEND:VTODO\r\nBEGIN:VTODO\r\nUID:milk\r\n\
    SUMMARY:Milk\r\nDUE:20260601T100000Z\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-P1D\r\nEND:VALARM\r\nEND:VTODO\r\n\
    BEGIN:VEVENT\r\nUID:lunch\r\nSUMMARY:Lunch\r\nDTSTART:20260501T100000Z\r\nDTEND:20260501T110000Z\r\n\
    BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT10M\r\nEND:VALARM\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\n\
    TRIGGER;RELATED=END:-PT5M\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

impl Alice<'_> {
    /// A property by the title of what has it.
    async fn props(&self, name: &str) -> Vec<(String, Value)> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_as(&format!(
            "SELECT title, props->'{name}' FROM graph.entity WHERE account = $1 AND props ? '{name}' ORDER BY title"
        ))
        .bind(self.scope.account().0)
        .fetch_all(&mut behind)
        .await
        .unwrap()
    }

    /// What happened where, by titles.
    async fn locations(&self) -> Vec<(String, String)> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_as(
            "SELECT thing.title, place.title FROM graph.relation r
             JOIN graph.entity thing ON thing.id = r.from_entity JOIN graph.entity place ON place.id = r.to_entity
             WHERE r.account = $1 AND predicate = 'location' ORDER BY 1, 2",
        )
        .bind(self.scope.account().0)
        .fetch_all(&mut behind)
        .await
        .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_of_a_calendar_are_reminders_and_come_back_from_an_export() {
    let hub = hub().await;
    let [alice, other] = [0, 1].map(|_| Alice {
        hub: &hub,
        scope: hub.somebody(),
    });
    assert_eq!(alice.import("ical", ALARMS).await["parked"], 0);
    let expected = [
        ("Lunch", json!(["-PT10M", "PT55M"])),
        ("Milk", json!(["-P1D"])),
        ("Taxes", json!(["-PT15M", "-PT2H", "2026-05-30T07:00:00Z"])),
    ];
    let expected = expected.map(|(title, reminders)| (title.to_owned(), reminders));
    assert_eq!(alice.props("reminders").await, expected);
    let export = alice.export("ical").await;
    assert!(export.contains("TRIGGER;RELATED=END:-PT2H"), "{export}");
    assert_eq!(other.import("ical", export).await["parked"], 0);
    assert_eq!(other.props("reminders").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_at_the_place_that_it_names_or_lies_in_and_no_place_is_invented() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let place = async |name: &str, latitude: f64| {
        let id = alice.write("Place", name, &[]).await;
        let mut tx = hub.begin(&alice.scope).await;
        let Value::Object(props) = json!({ "latitude": latitude, "longitude": 8.0, "radius_m": 150 }) else {
            panic!("an object")
        };
        let circle = EntityChange {
            target: Target::Existing(id),
            kind: "Place".to_owned(),
            title: None,
            props,
            identifiers: Vec::new(),
            starts_at: None,
        };
        let change = Change {
            by: AssertedBy::User,
            source: "user".to_owned(),
            raw: None,
            entities: vec![circle],
            relations: Vec::new(),
        };
        let ports = &hub.context.ports;
        ports.graph_write().apply(&mut tx, change).await.unwrap();
        tx.commit().await.unwrap();
    };
    place("Work", 47.0).await;
    place("Café Rosa", 47.1).await;
    let event = |uid: &str, line: &str| {
        format!(
            "BEGIN:VEVENT\r\nUID:{uid}\r\nSUMMARY:{uid}\r\nDTSTART:20260501T100000Z\r\n{line}\r\nEND:VEVENT\r\n"
        )
    };
    let calendar = [
        event("in the circle", "GEO:47.001;8.0"),
        event("by name", "LOCATION:café rosa\\, Main Street 5"),
        event("name first", "LOCATION:Work\r\nGEO:47.1;8.0"),
        event("elsewhere", "LOCATION:The Grand Hotel\r\nGEO:48.0;8.0"),
    ]
    .concat();
    let calendar = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{calendar}END:VCALENDAR\r\n");
    assert_eq!(alice.import("ical", calendar).await["parked"], 0);
    let expected = [
        ("by name", "Café Rosa"),
        ("in the circle", "Work"),
        ("name first", "Work"),
    ];
    let expected = expected.map(|(thing, place)| (thing.to_owned(), place.to_owned()));
    assert_eq!(alice.locations().await, expected);
    assert_eq!(alice.entities("Place").await, 2, "the hotel is none");
    let export = alice.export("ical").await;
    assert!(
        export.contains("GEO:48;8") && export.contains("GEO:47.001;8"),
        "{export}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_that_a_late_mail_made_one_can_be_parted_and_stay_so() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    // The first and the answer's thread are known apart, until the mail between them comes.
    for mail in [mailbox::mail(1, &[]), mailbox::mail(3, &[2])] {
        alice.import("mbox", mail).await;
    }
    assert_eq!(alice.conversation_sizes().await, [1, 1]);
    alice.import("mbox", mailbox::mail(2, &[1])).await;
    assert_eq!(alice.conversation_sizes().await, [3]);
    let mut behind = hub.database.superuser().await;
    let (absorbed, reason): (uuid::Uuid, String) = sqlx::query_as(
        "SELECT e.id, d.reason FROM graph.entity e JOIN graph.merge_decision d ON e.id IN (d.first_entity, d.second_entity)
         WHERE e.merged_into IS NOT NULL AND d.standing = 'merged'",
    )
    .fetch_one(&mut behind)
    .await
    .unwrap();
    assert_eq!(reason, "mails of one thread are in both");
    sqlx::query("UPDATE graph.entity SET merged_into = NULL WHERE id = $1")
        .bind(absorbed)
        .execute(&mut behind)
        .await
        .unwrap();
    sqlx::query("UPDATE graph.merge_decision SET standing = 'distinct'")
        .execute(&mut behind)
        .await
        .unwrap();
    let request = Body::from(json!({}).to_string());
    assert_eq!(alice.call("POST", "/raw-records/process", request).await.0, 202);
    hub.eventually("all is understood again", async || {
        let done: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pgboss.job WHERE name = 'reprocess-records' AND state = 'completed'",
        )
        .fetch_one(&mut hub.database.superuser().await)
        .await
        .unwrap();
        (done == 1).then_some(())
    })
    .await;
    assert_eq!(alice.entities("Conversation").await, 2, "the owner's word stands");
}
