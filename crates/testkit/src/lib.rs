//! A SCIM service provider with scripted faults and a journal, and sample directories, for tests and the demo.
