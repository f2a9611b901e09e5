//! Dead letters by page and by trouble. A queue can only be read from its head: a page costs those before it.

use std::collections::BTreeMap;

use scimfleet_core::ports::{DeadLetter, QueueError};

use crate::Cluster;

/// Letters that are read from the head of the queue, at the most: each is fetched and given back.
pub(crate) const READ_MAX: usize = 1_000;

/// A page of dead letters, oldest first.
pub(crate) struct Letters {
    pub(crate) rows: Vec<DeadLetter>,
    /// The letter after which the next page begins; `None` on the last one.
    pub(crate) next: Option<String>,
}

/// The letters after the one with the id `after`; from the oldest on, if that one is not there any more.
pub(crate) async fn page(cluster: &Cluster, after: Option<&str>, limit: usize) -> Result<Letters, QueueError> {
    let read = if after.is_some() { READ_MAX } else { limit + 1 };
    Ok(cut(cluster.queue.dead_letters(read).await?, after, limit))
}

fn cut(letters: Vec<DeadLetter>, after: Option<&str>, limit: usize) -> Letters {
    let place = after.and_then(|after| letters.iter().position(|letter| letter.id == after));
    let mut rows: Vec<DeadLetter> = letters.into_iter().skip(place.map_or(0, |place| place + 1)).collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|letter| letter.id.clone());
    Letters { rows, next }
}

/// Letters that have the same trouble.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) reason: String,
    pub(crate) routing_key: String,
    pub(crate) ids: Vec<String>,
}

/// The oldest [`READ_MAX`] letters by their trouble, the most frequent first.
pub(crate) async fn groups(cluster: &Cluster) -> Result<Vec<Group>, QueueError> {
    Ok(grouped(cluster.queue.dead_letters(READ_MAX).await?))
}

fn grouped(letters: Vec<DeadLetter>) -> Vec<Group> {
    let mut ids: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for letter in letters {
        ids.entry((letter.reason, letter.routing_key)).or_default().push(letter.id);
    }
    let group = |((reason, routing_key), ids)| Group { reason, routing_key, ids };
    let mut groups: Vec<Group> = ids.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.ids.len()));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str, reason: &str) -> DeadLetter {
        let (routing_key, body) = ("jobs".to_owned(), String::new());
        DeadLetter { id: id.to_owned(), reason: reason.to_owned(), routing_key, body }
    }

    #[test]
    fn pages_follow_each_other_and_trouble_is_counted() {
        let letters = || vec![letter("1", "a"), letter("2", "b"), letter("3", "b")];
        let ids = |page: &Letters| page.rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
        let first = cut(letters(), None, 2);
        assert_eq!((ids(&first), first.next.as_deref()), (vec!["1".to_owned(), "2".to_owned()], Some("2")));
        let last = cut(letters(), Some("2"), 2);
        assert_eq!((ids(&last), last.next), (vec!["3".to_owned()], None));
        let groups = grouped(letters());
        assert_eq!((groups[0].reason.as_str(), groups[0].ids.len(), groups.len()), ("b", 2, 2));
    }
}
