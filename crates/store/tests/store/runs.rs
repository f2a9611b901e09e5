//! Runs (R13–R18): one at a time, phase by phase, each task closed once.

use scimfleet_core::state::RunState;
use scimfleet_core::task::{Cause, Lane};
use scimfleet_core::{ProviderId, ResourceId, ResourceKind, RunId, TaskId};
use scimfleet_store::{Counts, NewTask, Opening, RunError, RunKind, Signal, Store, TaskClose, TaskRecord, UNBEGUN_MS};
use sqlx::Connection;

use crate::support::{Database, PATIENCE, on_both};

on_both! {
    async fn one_run_is_queued_and_one_runs(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let elsewhere = db.provider("other", &[]).await;
        let first = queue(db, provider, Opening::Asked).await.unwrap();
        assert_eq!(queue(db, provider, Opening::Asked).await, None, "at most one is queued");
        assert!(queue(db, elsewhere, Opening::Asked).await.is_some(), "other providers have their own");
        assert!(open(db, first, provider, RunState::Queued, RunState::Observing, 1).await);
        let second = queue(db, provider, Opening::Asked).await.unwrap();
        assert_eq!(db.store.queued_run(provider).await.unwrap(), Some(second));
        assert!(!open(db, second, provider, RunState::Queued, RunState::Observing, 0).await, "the first is running");
        assert!(db.store.end_run(first, RunState::Cancelled, None).await.unwrap());
        assert!(open(db, second, provider, RunState::Queued, RunState::Observing, 0).await);
    }

    async fn a_slot_is_taken_once(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let other = db.other().await;
        for slot in 1..=10 {
            let task = |store: Store| {
                tokio::spawn(async move { store.queue_run(provider, RunKind::Full, Opening::Scheduled(slot)).await.unwrap() })
            };
            let (one, two) = tokio::join!(task(db.store.clone()), task(other.clone()));
            let (one, two) = (one.unwrap(), two.unwrap());
            assert!(one.is_some() != two.is_some(), "slot {slot}: {one:?} {two:?}");
            assert!(db.store.has_slot(provider, slot).await.unwrap());
            let run = one.or(two).unwrap();
            db.store.end_run(run, RunState::Cancelled, None).await.unwrap();
            assert_eq!(queue(db, provider, Opening::Scheduled(slot)).await, None, "also after it ended");
        }
        db.store.skip_run(provider, 99, "another run is going").await.unwrap();
        db.store.skip_run(provider, 99, "another run is going").await.unwrap();
        let newest = db.store.runs(Some(provider), 1).await.unwrap().remove(0);
        assert_eq!((newest.state, newest.error.unwrap().message.as_str()), (RunState::Skipped, "another run is going"));
        assert_eq!(db.store.runs(None, 100).await.unwrap().len(), 11);
        other.close().await;
    }

    async fn a_phase_is_opened_by_one(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let run = queue(db, provider, Opening::Asked).await.unwrap();
        let attempts = (0..6).map(|_| {
            let store = db.store.clone();
            tokio::spawn(async move {
                let tasks = tasks(3);
                store.open_phase(run, provider, RunState::Queued, RunState::Observing, &tasks, 5).await.unwrap()
            })
        });
        let won = futures::future::join_all(attempts).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
        assert_eq!(won, 1);
        let row = db.store.run(run).await.unwrap().unwrap();
        assert_eq!((row.state, row.open_tasks, row.untasked), (RunState::Observing, 3, 5));
        assert_eq!(db.store.run_tasks(run).await.unwrap().len(), 3, "the losers' tasks are not there");
        assert!(!open(db, run, provider, RunState::Users, RunState::Groups, 0).await, "not from where it is not");
        assert_eq!(db.store.runs_to_move().await.unwrap(), []);
    }

    async fn a_task_is_closed_once(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let run = queue(db, provider, Opening::Asked).await.unwrap();
        let tasks = tasks(2);
        assert!(db.store.open_phase(run, provider, RunState::Queued, RunState::Users, &tasks, 0).await.unwrap());
        let mut runs = db.store.signals().subscribe(Signal::Runs);
        runs.mark_unchanged();
        for _ in 0..3 {
            let record = TaskRecord { close: Some(done(&tasks[0])), ..TaskRecord::default() };
            db.store.record(provider, &record).await.unwrap();
        }
        assert_eq!(db.store.run(run).await.unwrap().unwrap().open_tasks, 1);
        let later = TaskClose::Later {
            task: tasks[1].id,
            counts: count("updated"),
            worker: "w".to_owned(),
            due_at_ms: db.store.now_ms() - 1,
            left: 1,
        };
        db.store.close_run_task(&later).await.unwrap();
        assert_eq!(db.store.run(run).await.unwrap().unwrap().open_tasks, 1);
        let due = db.store.tasks_due(10).await.unwrap();
        assert_eq!(due, [(run, provider, tasks[1].clone())]);
        db.store.close_run_task(&done(&tasks[1])).await.unwrap();
        assert_eq!(db.store.runs_to_move().await.unwrap(), [(run, provider, RunState::Users)]);
        let rows = db.store.run_tasks(run).await.unwrap();
        assert!(rows.iter().all(|row| row.state == "done"));
        let mut sum = Counts::default();
        rows.iter().for_each(|row| sum.add(&row.counts));
        assert_eq!((sum.objects["created"], sum.objects["updated"]), (2, 1), "what was counted before is kept");
        tokio::time::timeout(PATIENCE, runs.changed()).await.unwrap().unwrap();
    }

    async fn what_nobody_began_with_can_be_taken_for_lost(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let run = queue(db, provider, Opening::Asked).await.unwrap();
        let tasks = tasks(3);
        assert!(db.store.open_phase(run, provider, RunState::Queued, RunState::Users, &tasks, 0).await.unwrap());
        assert!(!db.store.has_unbegun(provider, Lane::Sync).await.unwrap(), "published a moment ago");
        let mut connection = sqlx::AnyConnection::connect(&db.url).await.unwrap();
        let older = |by: i64| sqlx::AssertSqlSafe(format!("UPDATE run_tasks SET due_at = due_at - {by}"));
        sqlx::query(older(UNBEGUN_MS + 1000)).execute(&mut connection).await.unwrap();
        assert!(db.store.has_unbegun(provider, Lane::Sync).await.unwrap());
        assert!(!db.store.has_unbegun(provider, Lane::Leavers).await.unwrap(), "another lane");
        db.store.begin_run_task(tasks[0].id, "w").await.unwrap();
        db.store.close_run_task(&done(&tasks[1])).await.unwrap();
        assert_eq!(db.store.tasks_due(10).await.unwrap(), []);
        assert_eq!(db.store.take_for_lost(provider, Lane::Sync).await.unwrap(), 1, "begun and done ones stay");
        assert_eq!(db.store.tasks_due(10).await.unwrap(), [(run, provider, tasks[2].clone())]);
        assert!(!db.store.has_unbegun(provider, Lane::Sync).await.unwrap(), "published again a moment ago");
        db.store.tasks_unpublished(&tasks).await.unwrap();
        assert_eq!(db.store.tasks_due(10).await.unwrap(), [(run, provider, tasks[2].clone())], "could not be published");
        sqlx::query(older(1_000_000)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(db.store.tasks_due(10).await.unwrap().len(), 2, "begun by somebody who never came back");
    }

    async fn objects_that_never_settle_fail_when_the_limit_has_passed(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let run = queue(db, provider, Opening::Asked).await.unwrap();
        let tasks = tasks(1);
        assert!(db.store.open_phase(run, provider, RunState::Queued, RunState::Users, &tasks, 0).await.unwrap());
        let due_at_ms = db.store.now_ms();
        let later = |left| TaskClose::Later { task: tasks[0].id, counts: Counts::default(), worker: "w".to_owned(), due_at_ms, left };
        db.store.close_run_task(&later(7)).await.unwrap();
        assert_eq!(db.store.run(run).await.unwrap().unwrap().open_tasks, 1);
        let mut connection = sqlx::AnyConnection::connect(&db.url).await.unwrap();
        sqlx::query("UPDATE run_tasks SET created_at = 0").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        db.store.close_run_task(&later(0)).await.unwrap();
        assert_eq!(db.store.run(run).await.unwrap().unwrap().open_tasks, 1, "a listing that goes on is no failure");
        db.store.close_run_task(&later(7)).await.unwrap();
        assert_eq!(db.store.run(run).await.unwrap().unwrap().open_tasks, 0);
        assert_eq!(db.store.run_tasks(run).await.unwrap()[0].counts.objects["failed"], 7);
    }

    async fn the_last_task_ends_the_phase_exactly_once(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let run = queue(db, provider, Opening::Asked).await.unwrap();
        let tasks = tasks(12);
        assert!(db.store.open_phase(run, provider, RunState::Queued, RunState::Users, &tasks, 0).await.unwrap());
        let other = db.other().await;
        let mut workers = tokio::task::JoinSet::new();
        // Every task is delivered three times, at once.
        for (n, task) in tasks.iter().cycle().take(36).enumerate() {
            let store = if n % 2 == 0 { db.store.clone() } else { other.clone() };
            let close = done(task);
            workers.spawn(async move {
                let record = TaskRecord { close: Some(close), ..TaskRecord::default() };
                store.record(provider, &record).await.unwrap();
                let at_end = store.run(run).await.unwrap().unwrap().open_tasks == 0;
                at_end && store.open_phase(run, provider, RunState::Users, RunState::Groups, &[], 0).await.unwrap()
            });
        }
        let mut moved = 0;
        while let Some(outcome) = workers.join_next().await {
            moved += usize::from(outcome.unwrap());
        }
        assert_eq!(moved, 1);
        let row = db.store.run(run).await.unwrap().unwrap();
        assert_eq!((row.state, row.open_tasks), (RunState::Groups, 0));
        other.close().await;
    }

    async fn ending_a_run_drops_its_open_tasks(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let run = queue(db, provider, Opening::Asked).await.unwrap();
        let tasks = tasks(3);
        assert!(db.store.open_phase(run, provider, RunState::Queued, RunState::Users, &tasks, 0).await.unwrap());
        db.store.close_run_task(&done(&tasks[0])).await.unwrap();
        let error = RunError {
            code: "invalid".to_owned(),
            message: "1 violation".to_owned(),
            object: Some("anna".to_owned()),
            mapping: None,
            violations: vec![serde_json::json!({"path": "emails"})],
        };
        assert!(db.store.end_run(run, RunState::Stopped, Some(&error)).await.unwrap());
        assert!(!db.store.end_run(run, RunState::Failed, None).await.unwrap(), "it has ended");
        let row = db.store.run(run).await.unwrap().unwrap();
        assert_eq!((row.state, row.open_tasks, row.error), (RunState::Stopped, 0, Some(error)));
        let mut states: Vec<_> = db.store.run_tasks(run).await.unwrap().into_iter().map(|row| row.state).collect();
        states.sort();
        assert_eq!(states, ["done", "dropped", "dropped"]);
        db.store.close_run_task(&done(&tasks[1])).await.unwrap();
        assert_eq!(db.store.run(run).await.unwrap().unwrap().open_tasks, 0);
        db.store.requeue_open_tasks().await.unwrap();
        assert_eq!(db.store.tasks_due(10).await.unwrap(), []);
        assert_eq!(db.store.run_state(run).await.unwrap(), Some(RunState::Stopped));
    }

    async fn ending_a_run_while_its_tasks_close_never_hangs(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        for _ in 0..10 {
            let run = queue(db, provider, Opening::Asked).await.unwrap();
            let tasks = tasks(8);
            assert!(db.store.open_phase(run, provider, RunState::Queued, RunState::Users, &tasks, 0).await.unwrap());
            let mut workers = tokio::task::JoinSet::new();
            for task in &tasks {
                let (store, close) = (db.store.clone(), done(task));
                workers.spawn(async move { store.close_run_task(&close).await.map(|()| false) });
            }
            let store = db.store.clone();
            workers.spawn(async move { store.end_run(run, RunState::Cancelled, None).await });
            while let Some(outcome) = workers.join_next().await {
                outcome.unwrap().unwrap();
            }
            let row = db.store.run(run).await.unwrap().unwrap();
            assert_eq!((row.state, row.open_tasks), (RunState::Cancelled, 0));
        }
    }

    async fn open_tasks_are_due_once(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let run = queue(db, provider, Opening::Asked).await.unwrap();
        let tasks = tasks(20);
        assert!(db.store.open_phase(run, provider, RunState::Queued, RunState::Users, &tasks, 0).await.unwrap());
        assert_eq!(db.store.tasks_due(10).await.unwrap(), [], "not before they count as lost");
        db.store.requeue_open_tasks().await.unwrap();
        let other = db.other().await;
        let (one, two) = tokio::join!(db.store.tasks_due(100), other.tasks_due(100));
        let mut due: Vec<TaskId> = one.unwrap().into_iter().chain(two.unwrap()).map(|(_, _, task)| task.id).collect();
        due.sort();
        let mut expected: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
        expected.sort();
        assert_eq!(due, expected, "two schedulers share them");
        other.close().await;
    }

    async fn a_position_is_kept_while_its_task_is_open(db: &Database) {
        let provider = db.provider("acme", &[]).await;
        let run = queue(db, provider, Opening::Asked).await.unwrap();
        let task = tasks(1).remove(0);
        let list = std::slice::from_ref(&task);
        assert!(db.store.open_phase(run, provider, RunState::Queued, RunState::Observing, list, 0).await.unwrap());
        assert_eq!(db.store.task_position(task.id).await.unwrap(), Some(None));
        db.store.save_position(task.id, r#"{"index":101}"#).await.unwrap();
        assert_eq!(db.store.task_position(task.id).await.unwrap(), Some(Some(r#"{"index":101}"#.to_owned())));
        let (one, two) = (serde_json::json!({"complete": true}), serde_json::json!({"complete": false}));
        let (first, second) =
            tokio::join!(db.store.note_listing(run, "user", &one), db.store.note_listing(run, "group", &two));
        first.unwrap();
        second.unwrap();
        let listings = db.store.run(run).await.unwrap().unwrap().listings;
        assert_eq!((&listings["user"], &listings["group"]), (&one, &two));
        db.store.close_run_task(&done(&task)).await.unwrap();
        assert_eq!(db.store.task_position(task.id).await.unwrap(), None);
    }
}

async fn queue(db: &Database, provider: ProviderId, opening: Opening) -> Option<RunId> {
    db.store.queue_run(provider, RunKind::Full, opening).await.unwrap()
}

async fn open(db: &Database, run: RunId, provider: ProviderId, from: RunState, to: RunState, count: usize) -> bool {
    db.store.open_phase(run, provider, from, to, &tasks(count), 0).await.unwrap()
}

fn tasks(count: usize) -> Vec<NewTask> {
    let objects: Vec<ResourceId> = vec!["a".parse().unwrap(), "b".parse().unwrap()];
    (0..count)
        .map(|_| NewTask {
            id: TaskId(uuid::Uuid::now_v7()),
            kind: ResourceKind::User,
            lane: Lane::Sync,
            cause: Cause::Full,
            objects: objects.clone(),
        })
        .collect()
}

fn count(outcome: &str) -> Counts {
    let mut counts = Counts::default();
    counts.object(outcome);
    counts.request("POST", 1);
    counts
}

fn done(task: &NewTask) -> TaskClose {
    TaskClose::Done { task: task.id, counts: count("created"), worker: "w".to_owned() }
}
