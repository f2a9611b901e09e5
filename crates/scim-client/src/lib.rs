//! SCIM 2.0 over HTTP: discovery, paging, requests and typed errors.
