//! Examples are taken by the command line, and every command has one.

use clap::FromArgMatches;

use super::*;

/// Words as a shell splits them; quotes are double ones.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, bool)>) {
    let below: Vec<_> = command
        .get_subcommands()
        .filter(|one| one.get_name() != "help")
        .collect();
    if below.is_empty() || command.get_arguments().any(clap::Arg::is_positional) {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        found.push((path.to_owned(), help.contains(&format!("allod {path}"))));
    }
    for one in below {
        leaves(one, format!("{path} {}", one.get_name()).trim_start(), found);
    }
}

#[test]
fn every_command_teaches_by_an_example() {
    let mut found = Vec::new();
    leaves(&command(), "", &mut found);
    let without: Vec<_> = found.iter().filter(|(_, taught)| !taught).collect();
    assert!(without.is_empty(), "{without:?}");
    assert!(found.len() > 90, "{}", found.len());
}

#[test]
fn every_example_is_taken() {
    for (path, examples) in EXAMPLES {
        for example in *examples {
            assert!(example.starts_with(path), "{example}");
            let line = words(&format!("allod {example}"));
            let read = command().try_get_matches_from(line);
            let read = read.and_then(|read| Cli::from_arg_matches(&read));
            assert!(read.is_ok(), "{example}: {}", read.err().unwrap());
        }
    }
}
