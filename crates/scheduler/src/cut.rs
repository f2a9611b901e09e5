//! Cutting objects into tasks: up to 100 of them, and of groups no more than a worker can well hold.

use std::collections::HashMap;

use scimfleet_core::profile::{self, NestedGroups, Update};
use scimfleet_core::task::{MEMBERS_PER_TASK_MAX, OBJECTS_PER_TASK_MAX};
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::{MembersRead, ProviderRow};

use crate::{Scheduler, SchedulerError};

impl Scheduler {
    /// The objects of each task, in their order. Users weigh nothing beside themselves; a group weighs as many
    /// members as a worker reads of it.
    pub(crate) async fn cut_objects(
        &self,
        provider: &ProviderRow,
        kind: ResourceKind,
        ids: &[ResourceId],
    ) -> Result<Vec<Vec<ResourceId>>, SchedulerError> {
        let members = match kind {
            ResourceKind::User => HashMap::new(),
            ResourceKind::Group => self.store.members_read(provider.id, ids, members_read(provider)).await?,
        };
        Ok(cut(ids, &members))
    }
}

/// What a worker reads of the members of a group there.
fn members_read(provider: &ProviderRow) -> MembersRead {
    let known = profile::of(&provider.settings, provider.announced.as_deref(), &provider.remembered);
    match known.map(|known| known.profile) {
        Ok(profile) if profile.nested_groups == NestedGroups::Flatten => MembersRead::Flattened,
        Ok(profile) if profile.update == Update::Put || profile.update_of_members() == Update::Put => {
            MembersRead::Whole
        }
        _ => MembersRead::Differences,
    }
}

/// A task ends before the object with which it would hold too much; whoever is too much alone travels alone.
fn cut(ids: &[ResourceId], members: &HashMap<ResourceId, u64>) -> Vec<Vec<ResourceId>> {
    let mut tasks: Vec<Vec<ResourceId>> = Vec::new();
    let mut held = 0;
    for id in ids {
        let more = members.get(id).copied().unwrap_or_default();
        match tasks.last_mut() {
            Some(task) if task.len() < OBJECTS_PER_TASK_MAX && held + more <= MEMBERS_PER_TASK_MAX => {
                task.push(id.clone());
                held += more;
            }
            _ => {
                tasks.push(vec![id.clone()]);
                held = more;
            }
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<ResourceId> {
        (0..count).map(|n| ResourceId::parse(format!("u{n}")).unwrap()).collect()
    }

    fn sizes(ids: &[ResourceId], members: &[(usize, u64)]) -> Vec<usize> {
        let members = members.iter().map(|(index, count)| (ids[*index].clone(), *count)).collect();
        let tasks = cut(ids, &members);
        assert_eq!(tasks.concat(), ids, "nobody is lost, and the order stays");
        tasks.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_task_holds_a_hundred_objects_at_the_most() {
        assert_eq!(sizes(&ids(250), &[]), [100, 100, 50]);
        assert!(sizes(&[], &[]).is_empty());
    }

    #[test]
    fn a_task_holds_no_more_members_than_a_worker_can_well_hold() {
        let half = MEMBERS_PER_TASK_MAX / 2;
        assert_eq!(sizes(&ids(5), &[(0, half), (1, half), (2, 1), (3, half)]), [2, 3]);
        assert_eq!(sizes(&ids(4), &[(1, 40 * half), (2, 1)]), [1, 1, 2], "one that is too much alone travels alone");
    }
}
