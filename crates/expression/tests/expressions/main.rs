//! Expressions as operators write them, through a real child.

mod authentik;
mod checks;
mod defaults;
mod hostile;
mod support;
