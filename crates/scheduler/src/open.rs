//! The tasks of a phase.

use scimfleet_core::state::RunState;
use scimfleet_core::task::{Cause, Lane};
use scimfleet_core::{ResourceId, ResourceKind, RunId, TaskId};
use scimfleet_store::{NewTask, ProviderRow, Share};
use uuid::Uuid;

use crate::gates::Passed;
use crate::{Scheduler, SchedulerError};

/// Ids read from the database in one go.
const PAGE: i64 = 5_000;

impl Scheduler {
    /// Opening a run: verdicts, what moved, the guard; then every leaver that is owed to the `leavers` lane
    /// (R13), and one observing task per kind (R15).
    pub(crate) async fn open(
        &self,
        passed: &Passed,
        run: RunId,
        provider: &ProviderRow,
    ) -> Result<Vec<NewTask>, SchedulerError> {
        self.judge_everything(provider).await?;
        self.store.mark_moved(provider.id).await?;
        let mut tasks = self.leavers(passed, provider, Some(run)).await?;
        for kind in [ResourceKind::User, ResourceKind::Group] {
            tasks.push(task(kind, Lane::Sync, Cause::Observe, Vec::new()));
        }
        Ok(tasks)
    }

    /// Listed before the guard is asked: it then has seen whoever is in the list, and a worker takes nobody
    /// whom it withheld.
    async fn leavers(
        &self,
        passed: &Passed,
        provider: &ProviderRow,
        run: Option<RunId>,
    ) -> Result<Vec<NewTask>, SchedulerError> {
        let mut tasks = Vec::new();
        for kind in [ResourceKind::User, ResourceKind::Group] {
            let ids = self.dirty(provider, kind, Share::Leaving).await?;
            tasks.extend(self.tasks(provider, kind, Lane::Leavers, &ids).await?);
        }
        self.guard_leavers(passed, provider, run).await?;
        Ok(tasks)
    }

    /// The tasks of a phase, and how many objects need none.
    pub(crate) async fn cut(
        &self,
        passed: &Passed,
        run: RunId,
        provider: &ProviderRow,
        phase: RunState,
    ) -> Result<(Vec<NewTask>, u64), SchedulerError> {
        Ok(match phase {
            RunState::Users => self.cut_kind(run, provider, ResourceKind::User).await?,
            RunState::Groups => self.cut_kind(run, provider, ResourceKind::Group).await?,
            RunState::References => (self.references(provider).await?, 0),
            RunState::CleanUp => (self.leavers(passed, provider, None).await?, 0),
            _ => (Vec::new(), 0),
        })
    }

    async fn cut_kind(
        &self,
        run: RunId,
        provider: &ProviderRow,
        kind: ResourceKind,
    ) -> Result<(Vec<NewTask>, u64), SchedulerError> {
        let settled = self.store.count_settled(provider.id, kind, run).await?;
        let ids = self.dirty(provider, kind, Share::Wanted).await?;
        Ok((self.tasks(provider, kind, Lane::Sync, &ids).await?, settled))
    }

    /// What waited for others, and what moved on meanwhile.
    async fn references(&self, provider: &ProviderRow) -> Result<Vec<NewTask>, SchedulerError> {
        let mut tasks = Vec::new();
        for kind in [ResourceKind::User, ResourceKind::Group] {
            let ids = self.dirty(provider, kind, Share::Wanted).await?;
            tasks.extend(self.tasks(provider, kind, Lane::Sync, &ids).await?);
        }
        Ok(tasks)
    }

    async fn tasks(
        &self,
        provider: &ProviderRow,
        kind: ResourceKind,
        lane: Lane,
        ids: &[ResourceId],
    ) -> Result<Vec<NewTask>, SchedulerError> {
        let cut = self.cut_objects(provider, kind, ids).await?;
        Ok(cut.into_iter().map(|objects| task(kind, lane, Cause::Full, objects)).collect())
    }

    async fn dirty(
        &self,
        provider: &ProviderRow,
        kind: ResourceKind,
        share: Share,
    ) -> Result<Vec<ResourceId>, SchedulerError> {
        let mut ids: Vec<ResourceId> = Vec::new();
        loop {
            let page = self.store.dirty_after(provider.id, kind, share, ids.last(), PAGE).await?;
            if page.is_empty() {
                return Ok(ids);
            }
            ids.extend(page);
        }
    }
}

fn task(kind: ResourceKind, lane: Lane, cause: Cause, objects: Vec<ResourceId>) -> NewTask {
    NewTask { id: TaskId(Uuid::now_v7()), kind, lane, cause, objects }
}
