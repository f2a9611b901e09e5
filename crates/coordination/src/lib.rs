//! What makes workers polite: rate limits, gates, heartbeats; Redis and in-process.
