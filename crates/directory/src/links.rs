//! Lists of links that another sync kept: which object has which account. JSON Lines
//! (`{"kind":"user","object":"…","remote_id":"…"}`) or CSV with those columns.

use std::path::{Path, PathBuf};

use scimfleet_core::scim::Document;
use scimfleet_core::{RemoteId, ResourceKind};
use serde::Deserialize;

/// A list of a million links fits; a larger file is a wrong path.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// One link.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptLink {
    /// User or group.
    pub kind: ResourceKind,
    /// The object by externalId, name or id.
    pub object: String,
    /// The account.
    pub remote_id: RemoteId,
    /// What the account showed to whoever kept the link, if that is known.
    pub recorded: Option<Document>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: Option<String>,
    object: String,
    remote_id: String,
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{}`{}: {reason}", file.display(), line.map(|line| format!(" line {line}")).unwrap_or_default())]
pub struct LinksError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: Option<u64>,
    /// What is wrong, and what would do.
    pub reason: String,
}

/// Reads a list; one bad line refuses it, since a link that is missing would become a second account.
///
/// # Errors
/// With the place and the remedy.
pub fn read_links(file: &Path) -> Result<Vec<KeptLink>, LinksError> {
    let wrong = |line: Option<u64>, reason: String| LinksError { file: file.to_owned(), line, reason };
    let unreadable = |error: std::io::Error| wrong(None, error.to_string());
    if std::fs::metadata(file).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(wrong(None, "is larger than 512 MiB".to_owned()));
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.trim_start().starts_with('{') {
        return json_lines(text).map_err(|(line, reason)| wrong(Some(line), reason));
    }
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut links = Vec::new();
    for record in reader.deserialize::<Line>() {
        let record = record.map_err(|error| {
            let line = error.position().map(csv::Position::line);
            wrong(line, "expected the columns `kind`, `object` and `remote_id`, each with a value".to_owned())
        })?;
        links.push(link(record).map_err(|reason| wrong(Some(links.len() as u64 + 2), reason))?);
    }
    Ok(links)
}

fn json_lines(text: &str) -> Result<Vec<KeptLink>, (u64, String)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let line: Line = serde_json::from_str(line).map_err(|_| {
                (number, "expected `{\"kind\":\"user\",\"object\":\"…\",\"remote_id\":\"…\"}`".to_owned())
            })?;
            link(line).map_err(|reason| (number, reason))
        })
        .collect()
}

fn link(line: Line) -> Result<KeptLink, String> {
    let kind = match line.kind.as_deref().map(str::to_lowercase).as_deref() {
        None | Some("" | "user") => ResourceKind::User,
        Some("group") => ResourceKind::Group,
        Some(other) => return Err(format!("`{other}` is neither `user` nor `group`")),
    };
    if line.object.trim().is_empty() {
        return Err("`object` is empty".to_owned());
    }
    let remote_id = RemoteId::parse(line.remote_id).map_err(|error| error.to_string())?;
    Ok(KeptLink { kind, object: line.object, remote_id, recorded: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<KeptLink>, LinksError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("links");
        std::fs::write(&path, text).unwrap();
        read_links(&path)
    }

    #[test]
    fn both_formats_say_the_same() {
        let json =
            "{\"object\":\"u1\",\"remote_id\":\"7\"}\n\n{\"kind\":\"group\",\"object\":\"g\",\"remote_id\":\"8\"}\n";
        let table = "kind,object,remote_id\nuser,u1,7\nGroup, g ,8\n";
        assert_eq!(read(json).unwrap(), read(table).unwrap());
        assert_eq!(read(table).unwrap().len(), 2);
    }

    #[test]
    fn one_bad_line_refuses_the_list_and_is_named() {
        let cases = [
            ("{\"object\":\"u1\",\"remote_id\":\"7\"}\nnonsense\n", 2),
            ("kind,object,remote_id\nuser,u1,7\nrobot,u2,8\n", 3),
            ("kind,object,remote_id\nuser,,7\n", 2),
            ("kind,object,remote_id\nuser,u1,\n", 2),
        ];
        for (text, line) in cases {
            assert_eq!(read(text).unwrap_err().line, Some(line), "{text}");
        }
        assert!(read("a,b\n1,2\n").unwrap_err().to_string().contains("remote_id"));
    }
}
