//! What a listing delivered, by a digest of each id: 8 bytes each, so that a listing of a million fits.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scimfleet_core::RemoteId;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) const DIGEST_SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: the same in every build, because digests are saved.
pub(crate) fn mix(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(crate) fn digest(id: &RemoteId) -> u64 {
    mix(DIGEST_SEED, id.as_str().as_bytes())
}

/// The resources that a listing delivered so far. Two ids with the same digest count as one that came again, which
/// errs towards incomplete.
///
/// It is saved as base64 of the digests, in no order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered(HashSet<u64>);

impl Delivered {
    /// Adds a resource by its digest; false when it had been delivered before.
    pub(crate) fn add(&mut self, digest: u64) -> bool {
        self.0.insert(digest)
    }

    /// Whether the resource was delivered.
    pub fn contains(&self, id: &RemoteId) -> bool {
        self.0.contains(&digest(id))
    }

    /// How many different ones.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

impl Serialize for Delivered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.0.len() * size_of::<u64>());
        self.0.iter().for_each(|digest| bytes.extend_from_slice(&digest.to_le_bytes()));
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Delivered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let (digests, rest) = bytes.as_chunks::<{ size_of::<u64>() }>();
        if !rest.is_empty() {
            return Err(D::Error::custom(format!("{} bytes are no whole digests", bytes.len())));
        }
        Ok(Self(digests.iter().map(|digest| u64::from_le_bytes(*digest)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RemoteId {
        RemoteId::parse(text).unwrap()
    }

    #[test]
    fn what_was_saved_is_read_again() {
        let mut delivered = Delivered::default();
        assert!(delivered.add(digest(&id("a"))) && delivered.add(digest(&id("b"))));
        assert!(!delivered.add(digest(&id("a"))));
        let text = serde_json::to_string(&delivered).unwrap();
        let read: Delivered = serde_json::from_str(&text).unwrap();
        assert_eq!((read.count(), read.contains(&id("b")), read.contains(&id("c"))), (2, true, false));
        assert_eq!(read, delivered);
        for odd in ["\"AAAA\"", "\"?\"", "[1,2]"] {
            assert!(serde_json::from_str::<Delivered>(odd).is_err(), "{odd}");
        }
    }
}
