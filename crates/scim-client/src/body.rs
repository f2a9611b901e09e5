//! Bodies of answers: limits first, then JSON, then what an error says. Reads leniently and never keeps
//! more of a body than is asked for.

use scimfleet_core::scim::message::ErrorMessage;
use scimfleet_core::scim::path::member;
use serde_json::Value;

use crate::config::Limits;

/// Why a body cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// The limit that was passed, and its unit.
    TooLarge(usize, &'static str),
    /// What is wrong, without the body's words.
    NotJson(String),
}

/// Parses `bytes` unless they nest too deep or hold too many values. The check is a scan without
/// allocations, so that hostile JSON costs no memory beyond its bytes.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, BodyError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    check_shape(bytes, limits)?;
    serde_json::from_slice(bytes).map_err(|error| BodyError::NotJson(error.to_string()))
}

fn check_shape(bytes: &[u8], limits: &Limits) -> Result<(), BodyError> {
    let (mut depth, mut values) = (0_usize, 1_usize);
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => skip_string(&mut rest),
            b'{' | b'[' => (depth, values) = (depth + 1, values + 1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > limits.json_depth_max {
            return Err(BodyError::TooLarge(limits.json_depth_max, "JSON levels"));
        }
        if values > limits.json_values_max {
            return Err(BodyError::TooLarge(limits.json_values_max, "JSON values"));
        }
    }
    Ok(())
}

fn skip_string(rest: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => drop(rest.next()),
            b'"' => return,
            _ => {}
        }
    }
}

/// What an error body says; anything that is no JSON object says nothing.
pub(crate) fn error_message(value: Value) -> ErrorMessage {
    ErrorMessage::try_from(value).unwrap_or_default()
}

/// The SCIM error inside a body that came with a success, which some providers send.
pub(crate) fn error_in_success(value: &Value) -> Option<ErrorMessage> {
    let object = value.as_object()?;
    // Resources and lists are large; they are not copied to find out that they are no errors.
    let may_be = ["detail", "scimType", "status", "Errors"].iter().any(|name| member(object, name).is_some())
        && ["id", "Resources", "Operations"].iter().all(|name| member(object, name).is_none());
    if may_be { Some(error_message(value.clone())).filter(|message| message.is_scim) } else { None }
}

/// A provider's words made fit for an error message: one line, cut, without what is secret.
pub(crate) fn presentable(text: &str, secrets: &[&str], chars_max: usize) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[redacted]");
    }
    // Bidirectional controls are no control characters for Rust, but they rewrite a line on a terminal.
    let is_hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.replace(is_hidden, " ").trim().chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use scimfleet_core::scim::message::ERROR_URN;
    use serde_json::json;

    use super::*;

    #[test]
    fn shapes_are_limited_before_they_are_parsed() {
        let limits = Limits { json_depth_max: 3, json_values_max: 10, ..Limits::default() };
        let cases: &[(&str, bool)] = &[
            (r#"{"a":{"b":[1]}}"#, true),
            (r#"{"a":{"b":[[1]]}}"#, false),
            (r#"{"a":"[[[[[[[[["}"#, true),
            (r#"{"a":"\"[[[[[["}"#, true),
            (r"[1,2,3,4,5,6,7,8,9,10]", false),
            ("\u{feff}{}", true),
        ];
        for (text, accepted) in cases {
            assert_eq!(parse(text.as_bytes(), &limits).is_ok(), *accepted, "{text}");
        }
    }

    #[test]
    fn an_error_with_a_success_is_seen_and_a_resource_is_none() {
        let urn = ERROR_URN;
        let cases = [
            (json!({"schemas":[urn],"status":"404","detail":"no"}), Some(404)),
            (json!({"Errors":[{"description":"gone","code":"404"}]}), Some(404)),
            (json!({"id":"1","schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"status":"x"}), None),
            (json!({"detail":"fine","status":200}), None),
            (json!([1]), None),
        ];
        for (body, status) in cases {
            assert_eq!(error_in_success(&body).and_then(|message| message.status), status, "{body}");
        }
    }

    #[test]
    fn words_lose_controls_secrets_and_length() {
        assert_eq!(presentable(" a\r\n\u{1b}[31mb s3cret ", &["s3cret", ""], 17), "a   [31mb [redact");
    }
}
