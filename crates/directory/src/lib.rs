//! The way in: importers.
