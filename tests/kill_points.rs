//! The hub is killed with SIGKILL at each named place on the way of a call, and the webhook delivered twice.

use std::process::Command;

use crate::support::binary;

#[test]
fn a_call_is_answered_exactly_once_wherever_the_hub_is_killed() {
    let played = Command::new(binary())
        .args(["demo", "--kill-points"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&played.stdout);
    assert!(
        played.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&played.stderr)
    );
    let table = told.split("KILLED AT").nth(1).expect("the table is printed");
    println!("KILLED AT{table}");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|row| row.split("  ").filter(|cell| !cell.is_empty()).collect())
        .collect();
    let points: Vec<&str> = rows.iter().map(|row| row[0].trim()).collect();
    let wanted = [
        "accepted",
        "sealed",
        "rules committed",
        "job active",
        "before the POST",
        "before the POST",
        "after the POST",
        "after the POST",
    ];
    assert_eq!(points, wanted);
    for row in rows {
        let (runs, posts) = (row[3].trim(), row[4].trim());
        assert_eq!((runs, posts), ("1", "1"), "{row:?}");
    }
}
