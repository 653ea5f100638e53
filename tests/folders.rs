//! Folders that Alice imports at a real hub.

use crate::command_line::alices;

#[test]
fn a_maildir_and_a_folder_of_files_come_in_whole_and_a_second_time_add_nothing() {
    let hub = alices();
    let folder = hub.dir().join("takeout");
    let mails = folder.join("Mail");
    for sub in ["cur", "new", "tmp", ".Sent/cur", ".Sent/new"] {
        std::fs::create_dir_all(mails.join(sub)).unwrap();
    }
    let mail = |id: &str, text: &str| {
        format!(
            "From: Sam <sam@example.org>\nTo: alice@example.org\nMessage-ID: <{id}@example.org>\nSubject: {id}\n\n{text}\n"
        )
    };
    let lines = "hello\n\nFrom here on 10:00 2026\nX: it is text\n";
    std::fs::write(mails.join("cur/1:2,S"), mail("one", lines)).unwrap();
    std::fs::write(mails.join("new/2"), mail("two", "hi")).unwrap();
    std::fs::write(mails.join(".Sent/cur/3:2,S"), mail("three", "bye")).unwrap();
    std::fs::write(mails.join("tmp/4"), mail("four", "half")).unwrap();
    std::fs::write(mails.join("cur/dovecot-uidlist"), "3 V1 N4\n").unwrap();
    std::fs::write(
        folder.join("sam.vcf"),
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:sam\r\nFN:Sam\r\nEND:VCARD\r\n",
    )
    .unwrap();
    std::fs::write(folder.join("photo.jpg"), "no").unwrap();

    let path = folder.to_str().unwrap();
    let shown = hub.person(&["import", path]);
    assert_eq!(shown.code, 0, "{}{}", shown.out, shown.err);
    assert!(
        shown.err.contains("2 files of other kinds were left out"),
        "{}",
        shown.err
    );
    let messages = hub.cli(&["entity", "list", "--type", "Message"]);
    let mut titles: Vec<String> = messages["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["title"].as_str().unwrap().to_owned())
        .collect();
    titles.sort();
    assert_eq!(titles, ["one", "three", "two"]);
    let again = hub.cli(&["import", path]);
    let new: i64 = again["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["new"].as_i64().unwrap())
        .sum();
    assert_eq!(new, 0, "{again}");

    let empty = hub.dir().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let refused = hub.person(&["import", empty.to_str().unwrap()]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert!(
        refused.err.contains("no file that can be imported"),
        "{}",
        refused.err
    );
    let imports = hub.cli(&["import", "list"]);
    assert_eq!(imports["items"].as_array().unwrap().len(), 4, "{imports}");
}
