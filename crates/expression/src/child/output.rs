//! The interpreter's values back into JSON, within the limits of a result.

use monty_types::MontyObject;
use scimfleet_core::scim::Document;
use serde_json::{Number, Value};

use crate::{ErrorKind, Limits};

/// Why a result cannot be sent.
pub(super) type Refusal = (ErrorKind, String);

/// The payload that a dict stands for.
pub(super) fn payload(value: &MontyObject, limits: &Limits) -> Result<Document, Refusal> {
    let mut writer = Writer { limits, bytes: 0, path: Vec::new() };
    match writer.value(value)? {
        Value::Object(document) => Ok(document),
        _ => Err((ErrorKind::NotADict, not_a_dict(value))),
    }
}

pub(super) fn not_a_dict(value: &MontyObject) -> String {
    format!("it returned {}; a mapping returns a dict, or None for nothing to add", article(value.type_name()))
}

fn article(name: &str) -> String {
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} `{name}`", if vowel { "an" } else { "a" })
}

struct Writer<'a> {
    limits: &'a Limits,
    bytes: usize,
    /// Where in the result we are; its length is the depth.
    path: Vec<Step<'a>>,
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Writer<'a> {
    fn value(&mut self, value: &'a MontyObject) -> Result<Value, Refusal> {
        match value {
            MontyObject::None => self.charge(4).map(|()| Value::Null),
            MontyObject::Bool(value) => self.charge(5).map(|()| Value::Bool(*value)),
            MontyObject::Int(value) => self.charge(8).map(|()| Value::from(*value)),
            MontyObject::Float(value) => {
                let number = Number::from_f64(*value);
                number.map(Value::Number).ok_or_else(|| self.unsendable("a float that is not a number or infinite"))
            }
            MontyObject::String(text) => self.charge(text.len() + 2).map(|()| Value::String(text.clone())),
            MontyObject::List(entries) | MontyObject::Tuple(entries) => self.list(entries),
            MontyObject::NamedTuple { values, .. } => self.list(values),
            MontyObject::Dict(pairs) => self.dict(pairs.iter()),
            MontyObject::BigInt(_) => Err(self.unsendable("an integer of more than 64 bits")),
            MontyObject::Cycle(..) => Err(self.unsendable("a value that holds itself")),
            MontyObject::Repr(_) => Err(self.unsendable("an object")),
            other => Err(self.unsendable(&article(other.type_name()))),
        }
    }

    fn list(&mut self, entries: &'a [MontyObject]) -> Result<Value, Refusal> {
        self.charge(2)?;
        let mut list = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            self.enter(Step::Index(index))?;
            list.push(self.value(entry)?);
            self.path.pop();
        }
        Ok(Value::Array(list))
    }

    fn dict(&mut self, pairs: impl Iterator<Item = &'a (MontyObject, MontyObject)>) -> Result<Value, Refusal> {
        self.charge(2)?;
        let mut document = Document::new();
        for (key, value) in pairs {
            let MontyObject::String(key) = key else {
                return Err(self.unsendable(&format!("a key that is {}, not a string", article(key.type_name()))));
            };
            self.enter(Step::Key(key))?;
            self.charge(key.len() + 4)?;
            let value = self.value(value)?;
            self.path.pop();
            document.insert(key.clone(), value);
        }
        Ok(Value::Object(document))
    }

    fn enter(&mut self, step: Step<'a>) -> Result<(), Refusal> {
        self.path.push(step);
        if self.path.len() > self.limits.nesting_depth {
            let message = format!("the result is nested more than {} levels deep", self.limits.nesting_depth);
            return Err((ErrorKind::Depth, message));
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        if self.bytes > self.limits.output_bytes {
            let message = format!("the result has more than {} bytes", self.limits.output_bytes);
            return Err((ErrorKind::OutputTooLarge, message));
        }
        Ok(())
    }

    fn unsendable(&self, what: &str) -> Refusal {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key(key) if path.is_empty() => path.extend(key.chars().take(120)),
                Step::Key(key) => path.extend(std::iter::once('.').chain(key.chars().take(120))),
            }
        }
        let place = if path.is_empty() { "the result".to_owned() } else { format!("`{path}`") };
        (ErrorKind::Unsendable, format!("{place} is or holds {what}, which JSON does not know"))
    }
}
