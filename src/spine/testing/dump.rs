//! A whole account as text, in one way only: two accounts that know the same read the same.
//!
//! Invariant: ids are numbered in the order in which they were made (they are UUIDs of version 7), and rows are in the
//! order of what they say, so that neither which ids there are nor how the database keeps rows shows.

use std::collections::BTreeMap;

use contracts::AccountId;
use sqlx::PgConnection;

/// Every row of a schema's tables that belongs to an account, as `table {"column": value …}` without nulls, read past
/// all policies. `left_out` names columns that say when, not what; the account's own id is left out always.
pub async fn dump(
    superuser: &mut PgConnection,
    schema: &str,
    account: AccountId,
    left_out: &[&str],
) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'account'
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = $1 ORDER BY 1",
    )
    .bind(schema)
    .fetch_all(&mut *superuser)
    .await
    .expect("the catalogue can be read");
    let mut rows: Vec<String> = Vec::new();
    for table in tables {
        let read = format!(
            "SELECT (jsonb_strip_nulls(to_jsonb(t)) - 'account' - $2::text[])::text FROM {schema}.{table} t
             WHERE account = $1"
        );
        let found: Vec<String> = sqlx::query_scalar(&read)
            .bind(account.0)
            .bind(left_out)
            .fetch_all(&mut *superuser)
            .await
            .expect("a table can be read");
        rows.extend(found.into_iter().map(|row| format!("{table} {row}")));
    }
    let numbers = numbers(&rows);
    let mut rows: Vec<String> = rows.iter().map(|row| renamed(row, &numbers)).collect();
    rows.sort();
    rows
}

/// The ids in some rows, numbered in their order.
fn numbers(rows: &[String]) -> BTreeMap<String, usize> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        numbers.extend(ids(row).map(|(_, id)| (id.to_owned(), 0)));
    }
    for (number, nth) in numbers.values_mut().zip(1..) {
        *number = nth;
    }
    numbers
}

fn renamed(row: &str, numbers: &BTreeMap<String, usize>) -> String {
    let (mut text, mut from) = (String::new(), 0);
    for (at, id) in ids(row) {
        text.push_str(&row[from..at]);
        text.push_str(&format!("#{:04}", numbers.get(id).copied().unwrap_or_default()));
        from = at + id.len();
    }
    text.push_str(&row[from..]);
    text
}

/// The ids in a text, with where they begin.
fn ids(text: &str) -> impl Iterator<Item = (usize, &str)> {
    const LENGTH: usize = 36;
    let mut at = 0;
    std::iter::from_fn(move || {
        while at + LENGTH <= text.len() {
            // `None` within a character.
            let word = text
                .get(at..at + LENGTH)
                .filter(|word| word.as_bytes()[8] == b'-');
            if let Some(id) = word.filter(|word| uuid::Uuid::try_parse(word).is_ok()) {
                at += LENGTH;
                return Some((at - LENGTH, id));
            }
            at += 1;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbered_in_the_order_in_which_they_were_made() {
        let (one, two) = (
            "01890000-0000-7000-8000-000000000001",
            "01890000-0000-7000-8000-000000000002",
        );
        let rows = [format!("é {two} is {one}"), one.to_owned()];
        let numbers = numbers(&rows);
        let renamed: Vec<_> = rows.iter().map(|row| renamed(row, &numbers)).collect();
        assert_eq!(renamed, ["é #0002 is #0001", "#0001"]);
    }
}
