//! Lists that come a page at a time: how long a page is, and where the next one begins.

use chrono::{DateTime, Utc};
use contracts::Problem;
use uuid::Uuid;

const PAGE_DEFAULT: u32 = 50;
const PAGE_MAX: u32 = 200;

/// What PostgreSQL's timestamps hold, rounded inwards: years 4713 BC to 294276.
pub const DATABASE_TIME_MIN: DateTime<Utc> = match DateTime::from_timestamp(-210_000_000_000, 0) {
    Some(at) => at,
    None => DateTime::<Utc>::UNIX_EPOCH,
};
/// The end of that.
pub const DATABASE_TIME_MAX: DateTime<Utc> = match DateTime::from_timestamp(8_000_000_000_000, 0) {
    Some(at) => at,
    None => DateTime::<Utc>::UNIX_EPOCH,
};

/// Where a list goes on: after the moment and id of the last item, in a form that callers hand back unread. Lists in
/// which an item may have no moment put those last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The last item's moment.
    pub at: Option<DateTime<Utc>>,
    /// The last item's id.
    pub id: Uuid,
}

impl Cursor {
    /// Reads the cursor that a caller hands back, if it does.
    ///
    /// # Errors
    /// 400: no list gave it.
    pub fn read(text: Option<&str>) -> Result<Option<Self>, Problem> {
        text.map(str::parse).transpose()
    }

    /// As [`Cursor::read`], of a list whose items all have a moment.
    ///
    /// # Errors
    /// 400: such a list didn't give it.
    pub fn read_dated(text: Option<&str>) -> Result<Option<(DateTime<Utc>, Uuid)>, Problem> {
        let dated = |cursor: Self| Some((cursor.at?, cursor.id));
        Self::read(text)?
            .map(|cursor| dated(cursor).ok_or_else(unknown_cursor))
            .transpose()
    }
}

/// A list is asked to go on from where none ended.
pub fn unknown_cursor() -> Problem {
    Problem::bad_request("`cursor` is not one that a list gave; leave it out to begin anew")
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.at {
            Some(at) => write!(f, "{}_{}", at.timestamp_micros(), self.id.simple()),
            None => write!(f, "none_{}", self.id.simple()),
        }
    }
}

impl std::str::FromStr for Cursor {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let parsed = text.split_once('_').and_then(|(micros, id)| {
            let at = match micros {
                "none" => None,
                micros => Some(
                    DateTime::from_timestamp_micros(micros.parse().ok()?)
                        .filter(|at| (DATABASE_TIME_MIN..=DATABASE_TIME_MAX).contains(at))?,
                ),
            };
            let id = Uuid::parse_str(id).ok()?;
            Some(Self { at, id })
        });
        parsed.ok_or_else(unknown_cursor)
    }
}

/// The size of a page that is asked for, 50 if nothing is said.
///
/// # Errors
/// 400 when it isn't 1 to 200.
pub fn page_size(limit: Option<u32>) -> Result<usize, Problem> {
    match limit.unwrap_or(PAGE_DEFAULT) {
        limit @ 1..=PAGE_MAX => Ok(limit as usize),
        _ => Err(Problem::bad_request(format!("`limit` is 1 to {PAGE_MAX}"))),
    }
}

/// Cuts a list that was read one longer than the page, and says where the next page begins: `at` gives an item's
/// moment and id.
pub fn page<T, A: Into<Option<DateTime<Utc>>>>(
    items: Vec<T>,
    size: usize,
    at: impl Fn(&T) -> (A, Uuid),
) -> (Vec<T>, Option<String>) {
    page_by(items, size, |last| {
        let (at, id) = at(last);
        Cursor { at: at.into(), id }.to_string()
    })
}

/// As [`page`], of a list in the order of a name or a position: `cursor` tells it of the last item.
pub fn page_by<T, C>(mut items: Vec<T>, size: usize, cursor: impl Fn(&T) -> C) -> (Vec<T>, Option<C>) {
    let more = items.len() > size;
    items.truncate(size);
    let next = items.last().filter(|_| more).map(cursor);
    (items, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given_and_nothing_else_passes_for_one() {
        let long_ago = DateTime::from_timestamp_micros(-1_780_000_000_123_456);
        for at in [
            None,
            DateTime::from_timestamp_micros(1_780_000_000_123_456),
            long_ago,
        ] {
            let cursor = Cursor {
                at,
                id: Uuid::now_v7(),
            };
            assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
            let dated = Cursor::read_dated(Some(&cursor.to_string()));
            assert_eq!(dated.ok(), at.map(|at| Some((at, cursor.id))));
        }
        let nobody = Uuid::nil().simple();
        for bad in ["", "_", "none_", "1_", "x_0", "99999999999999999999_0"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
        // Before and after all time that the database knows.
        for bad in [
            format!("-8000000000000000000_{nobody}"),
            format!("8100000000000000000_{nobody}"),
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_page_has_no_next_one() {
        let at = |id: &u128| (DateTime::UNIX_EPOCH, Uuid::from_u128(*id));
        assert_eq!(page(vec![1, 2], 2, at), (vec![1, 2], None));
        let (items, next) = page(vec![1, 2, 3], 2, at);
        assert_eq!(
            (items, next.unwrap().parse::<Cursor>().unwrap().id.as_u128()),
            (vec![1, 2], 2)
        );
        assert!(page_size(Some(0)).is_err() && page_size(Some(201)).is_err());
    }
}
