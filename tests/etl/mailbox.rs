//! Generated mail: threads of some mails each, between Alice and a handful of people.

use std::fmt::Write;

/// A mail by its number, an answer to those numbered before it.
pub(super) fn mail(number: usize, references: &[usize]) -> String {
    let id = |number: &usize| format!("<m{number}@example.org>");
    let mut mail = format!(
        "From: Person {p} <p{p}@example.org>\nTo: alice@example.org\nCc: info@example.org\nSubject: {re}Topic\n\
         Date: Fri, 1 May 2026 12:{minute:02}:00 +0200\nMessage-ID: {id}\n",
        p = number / 100 % 7,
        re = if references.is_empty() { "" } else { "Re: " },
        minute = number % 60,
        id = id(&number),
    );
    if let Some(parent) = references.last() {
        let _ = writeln!(mail, "In-Reply-To: {}", id(parent));
    }
    if references.len() > 1 {
        let ids: Vec<String> = references.iter().map(id).collect();
        let _ = writeln!(mail, "References: {}", ids.join(" "));
    }
    mail + "\nHello,\nFrom here it is well.\n"
}

/// So many mails in threads of three.
pub(super) fn mailbox(count: usize) -> String {
    let mut file = String::new();
    for number in 0..count {
        let before: Vec<usize> = (number - number % 3..number).collect();
        let mail = mail(number, &before).replace("\nFrom here", "\n>From here");
        let _ = write!(file, "From MAILER-DAEMON Fri May  1 12:00:00 2026\n{mail}\n");
    }
    file
}
