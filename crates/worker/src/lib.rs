//! Consumes tasks: load, map, merge, validate, plan, send, record, acknowledge.
