//! The database: PostgreSQL and SQLite, one code for both.
