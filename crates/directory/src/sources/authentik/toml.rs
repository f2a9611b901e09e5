//! Values as TOML text (toml.io, 1.0). Texts come from strangers: everything is escaped, nothing is trusted to
//! be one line.

/// A basic string.
pub(super) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for letter in value.chars() {
        escape(&mut out, letter, false);
    }
    out.push('"');
    out
}

/// A text of several lines, as it is where TOML allows that.
pub(super) fn block(value: &str) -> String {
    let plain = |letter: char| letter == '\n' || letter == '\t' || !letter.is_control();
    // A quotation mark at the end would run into those that close the text.
    if value.chars().all(plain) && !value.contains("'''") && !value.ends_with('\'') {
        return format!("'''\n{value}'''");
    }
    let mut out = String::from("\"\"\"\n");
    for letter in value.chars() {
        escape(&mut out, letter, true);
    }
    out.push_str("\"\"\"");
    out
}

fn escape(out: &mut String, letter: char, lines: bool) {
    match letter {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' if lines => out.push('\n'),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        letter if letter.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
        letter => out.push(letter),
    }
}

/// A list of basic strings; as it happens, Python reads it, too.
pub(super) fn list<T: AsRef<str>>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(|value| text(value.as_ref())).collect();
    format!("[{}]", values.join(", "))
}

/// Comment lines, each with its end.
pub(super) fn comment(words: &str) -> String {
    words.split(['\n', '\r']).filter(|line| !line.is_empty()).fold(String::new(), |mut out, line| {
        let line: String = line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        out.push_str("# ");
        out.push_str(line.trim_end());
        out.push('\n');
        out
    })
}

/// The environment variable for a provider's token.
pub(super) fn variable(provider: &str) -> String {
    let name: String =
        provider.chars().map(|letter| if letter == '-' { '_' } else { letter.to_ascii_uppercase() }).collect();
    // A variable does not begin with a digit.
    let prefix = if name.starts_with(|letter: char| letter.is_ascii_digit()) { "SCIM_" } else { "" };
    format!("{prefix}{name}_TOKEN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_strangers_stay_what_they_are() {
        assert_eq!(text("a\"b\\c\nd\u{1}"), r#""a\"b\\c\nd\u0001""#);
        assert_eq!(block("if x:\n\treturn 'y'\n"), "'''\nif x:\n\treturn 'y'\n'''");
        assert_eq!(block("a = '''x'''\r\n\"\"\""), "\"\"\"\na = '''x'''\\r\n\\\"\\\"\\\"\"\"\"");
        assert_eq!(block("return 'x'"), "\"\"\"\nreturn 'x'\"\"\"");
        assert_eq!(comment("one\n\n[[provider]]\r\u{7}x"), "# one\n# [[provider]]\n#  x\n");
        assert_eq!((variable("acme-scim"), variable("9to5")), ("ACME_SCIM_TOKEN".into(), "SCIM_9TO5_TOKEN".into()));
    }
}
