//! Evaluates mapping expressions in a jailed child process.
