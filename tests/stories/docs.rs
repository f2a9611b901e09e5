//! The documents are run: files that they show are written, commands that they show are typed into a shell, and
//! the lines that they show are looked for in what comes back.

use std::path::{Path, PathBuf};
use std::process::Command;

use scimfleet_testkit::provider::{Behaviour, ServiceProvider};
use scimfleet_tests::{Fleet, repository};

/// The base URL in the documents; a sample provider answers for it.
const BASE_URL: &str = "https://acme.example/scim/v2";

/// One fenced block: what stands behind the fence, the text, and where it begins.
struct Block {
    info: String,
    body: String,
    place: String,
}

fn blocks(path: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let place = format!("{}:{}", path.file_name().unwrap().to_string_lossy(), number + 1);
                open = Some(Block { info: info.trim().to_owned(), body: String::new(), place });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.body += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(repository().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.extend([repository().join("README.md"), repository().join("deploy/kubernetes/README.md")]);
    pages
}

/// What is typed, each with the lines that are shown below it.
fn typed(body: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in body.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((_, shown))) if !line.trim().is_empty() => shown.push(squeezed(line)),
            _ => {}
        }
    }
    commands
}

/// Columns move with their content; single blanks do not.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_documents_show_is_what_happens() {
    let mut ran = 0;
    for page in pages() {
        let blocks = blocks(&page);
        if !blocks.iter().any(|block| block.info == "console") {
            continue;
        }
        let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
        let fleet = Fleet::embedded();
        for block in &blocks {
            match block.info.split_once(' ') {
                // A file of this name.
                Some((_, name)) => drop(fleet.write(name, &block.body.replace(BASE_URL, &sample.base_url()))),
                None if block.info == "console" => {
                    for (command, shown) in typed(&block.body) {
                        let output = fleet.shell(&command).env("ACME_TOKEN", sample.token()).output().unwrap();
                        let text = String::from_utf8_lossy(&output.stdout).into_owned();
                        let lines: Vec<String> = text.lines().map(squeezed).collect();
                        let said = String::from_utf8_lossy(&output.stderr).into_owned();
                        assert!(output.status.success(), "{}: `{command}`\n{text}{said}", block.place);
                        for line in shown {
                            let there = lines.iter().any(|found| found.contains(&line));
                            assert!(there, "{}: `{command}` does not print `{line}`:\n{text}{said}", block.place);
                        }
                        ran += 1;
                    }
                }
                None => {}
            }
        }
    }
    assert!(ran > 20, "only {ran} commands were found");
}

/// Commands that are not run, since they need what is not here, are read by the parser at least.
#[test]
fn every_command_in_the_documents_is_one() {
    let fleet = Fleet::embedded();
    let mut seen = 0;
    for page in pages() {
        for block in blocks(&page).iter().filter(|block| block.info == "sh") {
            for line in block.body.lines().filter(|line| line.starts_with("scimfleet ")) {
                // What a shell would put in place of a variable.
                let line = line.replace("\"$AUTHENTIK_URL\"", "https://authentik.example");
                let ours = line.split([' ']).skip(1).take_while(|word| !matches!(*word, "<" | ">" | "|" | "#" | "||"));
                let mut arguments: Vec<&str> = ours.filter(|word| !word.is_empty()).collect();
                arguments.push("--help");
                let help = fleet.run(&arguments);
                assert_eq!(help.code, 0, "{}: `{line}`\n{}", block.place, help.stderr);
                seen += 1;
            }
        }
        // In the text: `scimfleet sync acme`.
        let text = std::fs::read_to_string(&page).unwrap();
        for part in text.split('`').filter(|part| part.starts_with("scimfleet ") && !part.contains('\n')) {
            let words: Vec<&str> = part.split(' ').skip(1).take_while(|word| is_command(word)).collect();
            let help = fleet.run(&[words.as_slice(), &["--help"]].concat());
            assert_eq!(help.code, 0, "{}: `{part}`\n{}", page.display(), help.stderr);
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} commands were found");
}

/// A sub-command, not a value: lower case letters and `-`.
fn is_command(word: &str) -> bool {
    const COMMANDS: &str = "status demo serve scheduler worker console migrate apply import sync preview explain runs \
        holds offboard leavers providers links parked dead log token enqueue completions man list show probe retry \
        create add resume pause disable set-token rename remove cancel approve reject replay drop revoke export";
    COMMANDS.split_whitespace().any(|known| known == word)
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|part| part.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !page.parent().unwrap().join(file).exists() {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn deploy_fits_the_programs_that_it_is_for() {
    let output = Command::new(repository().join("tests/deploy/check.sh")).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}
