//! "Did you mean …?"

/// The candidate that a misspelt name was most likely meant to be: at most a third of its letters differ.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["account_sid", "from", "voice_text"];
        assert_eq!(nearest("acount_sid", known), Some("account_sid"));
        assert_eq!(nearest("form", known), Some("from"));
        assert_eq!(nearest("password", known), None);
    }
}
