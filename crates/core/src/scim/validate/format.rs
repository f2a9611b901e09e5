//! The formats that a text may have to keep (RFC 7643 §2.3.5 to §2.3.7).

/// A URI, absolute or relative (RFC 7643 §2.3.7): not empty, and without the characters that RFC 3986
/// §2 leaves no place for and that break a URL wherever it is used. Letters beyond ASCII pass, since
/// service providers take them (RFC 3987).
pub(super) fn is_reference(text: &str) -> bool {
    let refused = |symbol: char| {
        symbol.is_whitespace()
            || symbol.is_control()
            || matches!(symbol, '<' | '>' | '"' | '\\' | '^' | '`' | '{' | '|' | '}')
    };
    !text.is_empty() && !text.contains(refused)
}

/// RFC 4648 §4 with its padding (RFC 7643 §2.3.6).
pub(super) fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    padding <= 2
        && text.len().is_multiple_of(4)
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// An `xsd:dateTime` with both a date and a time (RFC 7643 §2.3.5): `2008-01-23T04:56:22Z`, with a
/// fraction of a second or not, with `Z`, an offset or neither.
pub(super) fn is_date_time(text: &str) -> bool {
    read_date_time(text.as_bytes()).is_some_and(<[u8]>::is_empty)
}

/// What is left after a date, a time and a zone; `None` when they are not there.
fn read_date_time(text: &[u8]) -> Option<&[u8]> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(literal(rest, b'-')?, 2)?;
    let (day, rest) = digits(literal(rest, b'-')?, 2)?;
    let (hour, rest) = digits(literal(rest, b'T')?, 2)?;
    let (minute, rest) = digits(literal(rest, b':')?, 2)?;
    let (second, rest) = digits(literal(rest, b':')?, 2)?;
    let exists = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    // xsd:dateTime writes midnight at the end of a day as 24:00:00.
    let passes = (hour < 24 && minute < 60 && second < 60) || (hour == 24 && minute == 0 && second == 0);
    if exists && passes { zone(fraction(rest)?) } else { None }
}

fn fraction(text: &[u8]) -> Option<&[u8]> {
    let Some(rest) = literal(text, b'.') else { return Some(text) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 { None } else { rest.get(length..) }
}

fn zone(text: &[u8]) -> Option<&[u8]> {
    match text.split_first() {
        None => Some(text),
        Some((b'Z', rest)) => Some(rest),
        Some((b'+' | b'-', rest)) => {
            let (hours, rest) = digits(rest, 2)?;
            let (minutes, rest) = digits(literal(rest, b':')?, 2)?;
            (hours < 14 && minutes < 60 || hours == 14 && minutes == 0).then_some(rest)
        }
        Some(_) => None,
    }
}

fn literal(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.strip_prefix(&[byte])
}

fn digits(text: &[u8], count: usize) -> Option<(u32, &[u8])> {
    let (head, rest) = text.split_at_checked(count)?;
    let value =
        head.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')));
    Some((value?, rest))
}

const fn days_in(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times() {
        let good = [
            "2008-01-23T04:56:22Z",
            "2010-01-23T04:56:22.123Z",
            "2024-02-29T00:00:00",
            "2011-05-13T04:42:34+02:00",
            "2011-05-13T24:00:00-14:00",
        ];
        for text in good {
            assert!(is_date_time(text), "{text}");
        }
        let bad = [
            "",
            "2008-01-23",
            "04:56:22Z",
            "2008-01-23 04:56:22Z",
            "2008-01-23T04:56Z",
            "2008-13-23T04:56:22Z",
            "2023-02-29T00:00:00Z",
            "2008-01-23T24:56:22Z",
            "2008-01-23T04:56:22.Z",
            "2008-01-23T04:56:22Zjunk",
            "2008-01-23T04:56:22+15:00",
            "2008-01-23T04:56:22+0200",
            "２008-01-23T04:56:22Z",
        ];
        for text in bad {
            assert!(!is_date_time(text), "{text}");
        }
    }

    #[test]
    fn base64() {
        for text in ["", "TQ==", "TWE=", "TWFu", "a+/9"] {
            assert!(is_base64(text), "{text}");
        }
        for text in ["T", "TQ", "TQ=", "T===", "====", "TW Fu", "TQ==TWFu", "a-_9", "ä+9="] {
            assert!(!is_base64(text), "{text}");
        }
    }

    #[test]
    fn references() {
        for text in ["https://example.com/a?b=c#d", "../Users/26118915", "urn:x:y", "data:image/png;base64,AA==", "ü"]
        {
            assert!(is_reference(text), "{text}");
        }
        for text in ["", "not a uri", "https://exa mple", "a\tb", "<x>", "{id}"] {
            assert!(!is_reference(text), "{text}");
        }
    }
}
