//! Examples at the end of each command's help. They stand in one table, so that a test can read each of them
//! with the parser that a shell would meet.

use clap::{Command, CommandFactory};

use crate::args::Arguments;

/// By path: what to type, and what it does.
type Example = (&'static str, &'static [(&'static str, &'static str)]);

#[rustfmt::skip]
const EXAMPLES: &[Example] = &[
    ("status", &[
        ("scimfleet status", "are leavers out, and who needs a person"),
        ("scimfleet status --output json", "the same for a script or a status board"),
    ]),
    ("demo", &[
        ("scimfleet demo", "sample data, a sample provider, the dashboard; until Ctrl-C"),
        ("scimfleet demo --once", "end after the summary"),
    ]),
    ("serve", &[
        ("scimfleet serve", "everything in one process, on scimfleet.db in this folder"),
    ]),
    ("worker", &[
        ("SCIMFLEET_QUEUE_URL=amqp://user:password@mq SCIMFLEET_STORE_URL=postgres://user:password@db/scimfleet scimfleet worker", "one more worker for a cluster"),
    ]),
    ("apply", &[
        ("scimfleet apply fleet.toml --plan", "the difference, with the users who enter or leave each scope"),
        ("scimfleet apply fleet.toml", "do it; twice is the same as once"),
    ]),
    ("import", &[
        ("scimfleet import people.jsonl", "one SCIM resource a line"),
        ("scimfleet import people.csv --source hr --snapshot --key userName", "the file is everything: whom it lacks, leaves"),
    ]),
    ("sync", &[
        ("scimfleet sync acme --dry-run", "what would be sent, attribute by attribute; writes nothing"),
        ("scimfleet sync acme --wait", "with progress and a report"),
        ("scimfleet sync --all --wait --output json --fail-on parked", "for a pipeline"),
        ("scimfleet sync acme --object anna@example.com", "one object"),
    ]),
    ("preview", &[
        ("scimfleet preview acme anna@example.com", "each mapping's result, the merged payload, the requests"),
    ]),
    ("explain", &[
        ("scimfleet explain anna@example.com", "at every provider: scope, account, last answers, next attempt"),
        ("scimfleet explain anna@example.com acme", "at one"),
    ]),
    ("runs", &[
        ("scimfleet runs list --provider acme", "the newest runs"),
        ("scimfleet runs show 0198c1d2-5e4f-7a60-8b9c-0d1e2f3a4b5c --follow", "watch one until it ends"),
    ]),
    ("holds", &[
        ("scimfleet holds list", "what the guard withheld"),
        ("scimfleet holds show 0198c1d2-5e4f-7a60-8b9c-0d1e2f3a4b5c", "whom, and what each would lose"),
        ("scimfleet holds approve 0198c1d2-5e4f-7a60-8b9c-0d1e2f3a4b5c", "release exactly these"),
    ]),
    ("offboard", &[
        ("scimfleet offboard anna@example.com --wait 5m", "every access, now; exit 1 unless all providers confirmed"),
    ]),
    ("leavers", &[
        ("scimfleet leavers list --overdue", "exit 1 if anybody waits for more than a minute: a check for monitoring"),
    ]),
    ("providers", &[
        ("scimfleet providers list", "all of them"),
        ("scimfleet providers probe acme", "what it announces, does and gets wrong"),
        ("scimfleet providers pause --all", "stop every write within a second"),
        ("scimfleet providers set-token acme < token.txt", "seal a new token"),
    ]),
    ("providers add", &[
        ("scimfleet providers add", "asks for everything"),
        ("scimfleet providers add acme --base-url https://acme.example/scim/v2 --secret-env ACME_TOKEN", "asks for nothing"),
        ("scimfleet providers add crm --base-url https://crm.example/scim/v2 --auth basic --username svc --secret-stdin < password.txt", "user name and password"),
        ("scimfleet providers add acme --base-url https://acme.example/scim/v2 --secret-env ACME_TOKEN --file fleet.toml", "into the fleet file, too"),
    ]),
    ("links", &[
        ("scimfleet links list --provider acme --state parked", "objects at a provider, by state"),
    ]),
    ("parked", &[
        ("scimfleet parked list", "with the words of mapping or provider"),
        ("scimfleet parked retry --provider acme", "after it was mended"),
    ]),
    ("dead", &[
        ("scimfleet dead list", "messages with the reason"),
        ("scimfleet dead replay", "publish all of them again"),
    ]),
    ("log", &[
        ("scimfleet log list --object anna@example.com", "every write about one person"),
        ("scimfleet log export --since 24h --provider acme > acme.jsonl", "JSON Lines for an auditor"),
    ]),
    ("token", &[
        ("scimfleet token create --scope directory --name okta", "printed once"),
        ("scimfleet token revoke okta", "opens nothing any more"),
    ]),
    ("enqueue", &[
        ("scimfleet enqueue job.json", r#"where job.json is {"v":1,"job":"sync","provider":"acme"}"#),
    ]),
    ("completions", &[
        ("scimfleet completions bash > /etc/bash_completion.d/scimfleet", "also zsh, fish, elvish, powershell"),
    ]),
    ("man", &[
        ("scimfleet man --folder /usr/local/share/man/man1", "a page for every command"),
    ]),
];

/// The command line with the examples in its help.
pub(crate) fn command() -> Command {
    EXAMPLES.iter().fold(Arguments::command(), |whole, (path, examples)| {
        let words: Vec<&str> = path.split(' ').collect();
        teach(whole, &words, &text(examples))
    })
}

fn teach(command: Command, path: &[&str], examples: &str) -> Command {
    match path {
        [] => command.after_help(examples.to_owned()),
        [first, rest @ ..] => command.mut_subcommand(*first, |inner| teach(inner, rest, examples)),
    }
}

fn text(examples: &[(&str, &str)]) -> String {
    let lines: Vec<String> = examples.iter().map(|(typed, says)| format!("  {typed}\n      {says}")).collect();
    format!("Examples:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words of an example up to where the shell takes over.
    fn words(typed: &str) -> Vec<&str> {
        let ours = typed.split_whitespace().skip_while(|word| word.contains('='));
        ours.take_while(|word| !matches!(*word, "<" | ">" | "|")).collect()
    }

    #[test]
    fn every_example_parses() {
        for (path, examples) in EXAMPLES {
            for (typed, _) in *examples {
                let read = command().try_get_matches_from(words(typed));
                assert!(read.is_ok(), "{typed}: {}", read.err().map(|error| error.to_string()).unwrap_or_default());
                assert!(typed.contains(&format!("scimfleet {path}")), "{typed} stands at `{path}`");
            }
        }
    }

    #[test]
    fn every_command_that_does_something_has_an_example() {
        let taught: BTreeSet<&str> = EXAMPLES.iter().map(|(path, _)| *path).collect();
        // Roles that take no argument, and `migrate`, say all in one line.
        let plain = ["scheduler", "console", "migrate", "help"];
        let whole = command();
        for inner in whole.get_subcommands() {
            let name = inner.get_name();
            assert!(taught.contains(name) || plain.contains(&name), "`{name}` has no example");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }
}
