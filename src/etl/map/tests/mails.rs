//! Mails.

use super::*;

pub(super) const MAIL: &str = "From: \"Sam Example\" <Sam@example.org>\nTo: alice@example.org, Kim <kim@example.org>\nCc: info@example.org\n\
    Subject: Re: Lunch\nDate: Fri, 1 May 2026 12:00:00 +0200\nMessage-ID: <b@example.org>\nIn-Reply-To: <a@example.org>\n\
    References: <r@example.org> <a@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n\
    --x\nContent-Type: text/html; charset=utf-8\n\n<p>See <b>you</b></p>\n--x\n\
    Content-Type: application/pdf\nContent-Disposition: attachment; filename=\"../../menu.pdf\"\n\nabc\n--x--\n";

#[test]
fn a_mail_is_a_message_of_a_thread_with_people() {
    let meaning = meant("message/rfc822", MAIL);
    let message = &meaning.entities[0];
    assert_eq!(
        (message.kind.as_str(), message.title.as_deref()),
        ("Message", Some("Re: Lunch"))
    );
    let hash = meaning.letter.clone().unwrap();
    assert_eq!(
        known_by(message),
        [
            format!("mail.content {hash}"),
            "mail.message-id b@example.org".to_owned()
        ]
    );
    assert_eq!(
        message.starts_at.unwrap().to_rfc3339(),
        "2026-05-01T10:00:00+00:00"
    );
    assert_eq!(
        Value::Object(message.props.clone()),
        json!({
            "direction": "in", "channel": "email", "status": "received", "subject": "Re: Lunch", "from": "sam@example.org",
            "to": "alice@example.org", "recipients": ["alice@example.org", "kim@example.org"], "cc": ["info@example.org"],
            "message_id": "b@example.org", "content_hash": hash,
            "text": "See you", "sent_at": "2026-05-01T10:00:00Z", "in_reply_to": "a@example.org",
            "attachments": [{
                "name": "menu.pdf", "media_type": "application/pdf", "size_bytes": 3,
                "content_hash": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            }],
        })
    );
    let [menu] = &meaning.enclosures[..] else {
        panic!("{:?}", meaning.enclosures)
    };
    assert_eq!(
        (menu.predicate, menu.filename.as_deref(), &menu.bytes[..]),
        ("attachment", Some("menu.pdf"), &b"abc"[..])
    );
    assert!(
        !format!("{menu:?}").contains("menu.pdf"),
        "no content reaches a log"
    );
    assert_eq!(
        meaning.thread.unwrap(),
        Thread {
            ids: ["r@example.org", "a@example.org", "b@example.org"]
                .map(ToOwned::to_owned)
                .to_vec(),
            subject: Some("Lunch".to_owned()),
        }
    );
    let people: Vec<_> = meaning
        .people
        .iter()
        .map(|one| (one.email.as_str(), one.name.as_deref()))
        .collect();
    assert_eq!(
        people,
        [
            ("sam@example.org", Some("Sam Example")),
            ("kim@example.org", Some("Kim"))
        ]
    );
}

#[test]
fn what_the_owner_sends_goes_out_and_a_newsletter_introduces_nobody() {
    let own = meant(
        "message/rfc822",
        &MAIL.replace("Sam@example.org", "alice@example.org"),
    );
    assert_eq!(own.entities[0].props["direction"], "out");
    assert_eq!(own.entities[0].props["status"], "sent");
    let list = meant("message/rfc822", &format!("List-Id: <news.example.org>\n{MAIL}"));
    assert_eq!(list.people, []);
}

/// What is hashed of the mail.
fn letter(mail: &str) -> String {
    meant("message/rfc822", mail).letter.unwrap()
}

#[test]
fn two_copies_of_a_mail_are_one_whichever_way_each_came_and_another_with_its_id_is_not() {
    let mail = "From: sam@example.org\nSubject: Lunch\nDate: Fri, 1 May 2026 12:00:00 +0200\nMessage-ID: <b@example.org>\n\n\
        Hello\nFrom here on\n";
    let one = letter(mail);
    let trace = "Received: from a.example.org by b.example.org; Fri, 1 May 2026 12:00:01 +0200\nX-Status: RO\n\
        Delivered-To: alice@example.org\n";
    assert_eq!(letter(&format!("{trace}{mail}")), one);
    assert_eq!(letter(&mail.replace("\nFrom here", "\n>From here")), one);
    assert_eq!(letter(&format!("{mail}\n\n")), one);
    let unix = map(&record("message/rfc822", mail), &hints()).unwrap();
    assert_eq!(unix.letter.unwrap(), one, "whatever ends a line");
    for (was, is) in [
        ("Hello", "Hullo"),
        ("Subject: Lunch", "Subject: Launch"),
        ("12:00:00", "12:00:02"),
        ("sam@", "kim@"),
        ("<b@", "<c@"),
    ] {
        assert_ne!(letter(&mail.replace(was, is)), one, "{is}");
    }
    assert_ne!(
        letter(&MAIL.replace("\nabc\n", "\nabd\n")),
        letter(MAIL),
        "an attachment"
    );
}
