//! Which licences go together with AGPL-3.0-or-later, by their SPDX expression.

/// Each was read for what it asks: notices at most, or copyleft that version 3 of the GPL family takes in.
const COMPATIBLE: [&str; 22] = [
    "0BSD",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    // Permissive for data: the list of certificate authorities that `webpki-roots` carries.
    "CDLA-Permissive-2.0",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Reads `A OR B`, `A AND (B OR C)`, `A WITH exception` and the old `A/B`.
pub(super) fn is_compatible(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>) -> bool {
    let mut compatible = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        compatible |= all_of(words);
    }
    compatible
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut compatible = one(words);
    while words.next_if_eq(&"AND").is_some() {
        compatible &= one(words);
    }
    compatible
}

fn one(words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let compatible = any_of(words);
        return words.next() == Some(")") && compatible;
    }
    // `MPL-2.0+`: that version or a later one.
    let compatible = words
        .next()
        .is_some_and(|name| COMPATIBLE.contains(&name.trim_end_matches('+')));
    // An exception only ever permits more.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    compatible
}

#[test]
fn a_choice_needs_one_good_licence_and_a_sum_needs_all() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        "Apache-2.0 AND ISC",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "SSPL-1.0 OR MIT",
    ] {
        assert!(is_compatible(good), "{good}");
    }
    for bad in [
        "SSPL-1.0",
        "MIT AND SSPL-1.0",
        "GPL-2.0-only",
        "(MIT",
        "MIT Apache-2.0",
        "",
        "none named",
        "OpenSSL",
    ] {
        assert!(!is_compatible(bad), "{bad}");
    }
}
