//! Opens runs, cuts them into tasks of up to 100 objects, relays changes.
