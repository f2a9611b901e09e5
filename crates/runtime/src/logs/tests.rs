use std::io::{Result as IoResult, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::*;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

fn logged(act: impl FnOnce()) -> Vec<Value> {
    let kept = Kept::default();
    let writer = kept.clone();
    let layer = JsonLayer::new(move || writer.clone()).with_filter(filter_fn(is_discreet));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn fields_of_the_event_and_its_spans_stand_side_by_side() {
    let lines = logged(|| {
        let task = tracing::info_span!("task", provider = "acme", task = "t-1", run = tracing::field::Empty);
        let _in_task = task.enter();
        task.record("run", "r-1");
        let _in_object = tracing::info_span!("object", object = "u-1", provider = "inner").entered();
        tracing::warn!(status = 409, again = true, "provider refused");
    });
    let line = &lines[0];
    let wanted = [
        ("level", Value::from("warn")),
        ("message", "provider refused".into()),
        ("status", 409.into()),
        ("again", true.into()),
        ("run", "r-1".into()),
        ("task", "t-1".into()),
        ("object", "u-1".into()),
        ("provider", "inner".into()),
        ("target", "scimfleet_runtime::logs::tests".into()),
    ];
    for (key, value) in wanted {
        assert_eq!(line[key], value, "{key}");
    }
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_line_stays_one_line() {
    let lines = logged(|| tracing::error!(reason = "a\nb", "broken\n{{\"level\":\"info\"}}"));
    assert_eq!((lines.len(), &lines[0]["reason"]), (1, &Value::from("a\nb")));
}

#[test]
fn libraries_keep_their_traces_to_themselves() {
    let lines = logged(|| {
        tracing::trace!(target: "h2::hpack", "authorization: canary");
        tracing::trace!(target: "scimfleet_worker", "ours");
        tracing::debug!(target: "hyper", "theirs");
    });
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["ours", "theirs"]);
}

#[test]
fn the_environment_wins_over_the_flags() {
    let variables = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    type Variables = &'static [(&'static str, &'static str)];
    let cases: [(u8, Variables, &str); 6] = [
        (0, &[], "warn,scimfleet=info"),
        (1, &[], "warn,scimfleet=debug"),
        (2, &[], "info,scimfleet=trace"),
        (9, &[], "debug,scimfleet=trace"),
        (2, &[("SCIMFLEET_LOG", "error")], "error"),
        (0, &[("SCIMFLEET_LOG", " ")], "warn,scimfleet=info"),
    ];
    for (verbosity, pairs, filter) in cases {
        let options = LogOptions::new(verbosity, LevelFilter::INFO, variables(pairs)).unwrap();
        assert_eq!(options.filter, filter, "{verbosity} {pairs:?}");
    }
    let json = LogOptions::new(0, LevelFilter::WARN, variables(&[("SCIMFLEET_LOG_FORMAT", "JSON")])).unwrap();
    assert_eq!((json.format, json.filter.as_str()), (LogFormat::Json, "warn,scimfleet=warn"));
    let error = LogOptions::new(0, LevelFilter::WARN, variables(&[("SCIMFLEET_LOG_FORMAT", "xml")])).unwrap_err();
    assert_eq!(error.to_string(), "environment: `SCIMFLEET_LOG_FORMAT`: `xml` is no format (write `json` or `text`)");
}

#[test]
fn a_filter_that_cannot_be_read_is_refused_in_words() {
    let options = LogOptions { format: LogFormat::Json, filter: "scimfleet=loud".to_owned(), colour: false };
    let error = options.install(None).unwrap_err().to_string();
    assert!(error.starts_with("environment: `SCIMFLEET_LOG`: `scimfleet=loud` is no filter: "), "{error}");
}
