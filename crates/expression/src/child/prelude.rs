//! The names that an expression sees, as Python text that stands before it.
//!
//! Only what a text names is put before it: the prelude runs for every object.

use monty_types::ExcType;
use scimfleet_core::ResourceKind;

/// The values that a run is given; the prelude makes objects of them.
pub(super) const INPUTS: [&str; 3] = ["_seen", "_groups", "_provider"];

/// What `SkipObject` is: of the exceptions that the interpreter has, one that `except Exception` lets
/// pass and that nobody raises for anything else. (Its classes cannot inherit.)
pub(super) const SKIP_OBJECT: ExcType = ExcType::KeyboardInterrupt;

/// Helpers by the names that call for them.
const HELPERS: [(&[&str], &str); 7] = [
    (&["SkipObject"], "SkipObject = KeyboardInterrupt\n"),
    (&["request"], include_str!("prelude/request.py")),
    (&["provider"], include_str!("prelude/provider.py")),
    (&["ak_logger"], include_str!("prelude/logger.py")),
    (&["ak_is_group_member"], include_str!("prelude/member.py")),
    (&["regex_match", "regex_replace"], include_str!("prelude/regex.py")),
    (&["slugify", "list_flatten"], include_str!("prelude/text.py")),
];

/// The text to put before an expression; it ends with a newline.
pub(super) fn of(kind: ResourceKind, source: &str) -> String {
    let mut text = String::new();
    match kind {
        ResourceKind::User => {
            if crate::model::reads_groups(source) {
                text.push_str(include_str!("prelude/groups.py"));
            }
            text.push_str(include_str!("prelude/user.py"));
            if crate::model::reads_groups(source) {
                text.push_str("user.groups = user.ak_groups = _GroupSet([_group(_each) for _each in _groups])\n");
            }
        }
        ResourceKind::Group => text.push_str(include_str!("prelude/group.py")),
    }
    for (names, helper) in HELPERS {
        if names.iter().any(|name| source.contains(name)) {
            text.push_str(helper);
        }
    }
    if source.contains("request") {
        text.push_str(match kind {
            ResourceKind::User => "request.user = request.obj = user\n",
            ResourceKind::Group => "request.obj = group\n",
        });
    }
    text
}

/// The names that the prelude gives to expressions for `kind`.
pub(super) fn names(kind: ResourceKind) -> impl Iterator<Item = &'static str> {
    let subject = match kind {
        ResourceKind::User => "user",
        ResourceKind::Group => "group",
    };
    let helpers = HELPERS.iter().flat_map(|(names, _)| names.iter().copied());
    std::iter::once(subject).chain(helpers)
}
