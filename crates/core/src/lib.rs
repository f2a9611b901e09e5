//! The pure heart: SCIM schemas, mapping merge, validation, planning, tasks and ports; no I/O, no clock.
