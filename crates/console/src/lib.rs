//! Metrics, health and the operators' page.
