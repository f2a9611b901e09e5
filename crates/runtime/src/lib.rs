//! What every role needs: configuration, fleet files, logs, metrics and health endpoints, drain.
