//! A directory, and files beside it.

use std::path::PathBuf;
use std::sync::Mutex;

use scimfleet_directory::import::{ImportError, ImportOptions, ImportReport, Progress, import_file};
use scimfleet_store::{ResourceRow, Store, StoreOptions};
use serde_json::Value;

pub(crate) struct Directory {
    pub(crate) store: Store,
    folder: tempfile::TempDir,
}

impl Directory {
    pub(crate) async fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let store = Store::connect(&StoreOptions::new(url), None).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, folder }
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Imports one file of this name and content.
    pub(crate) async fn import(&self, name: &str, content: impl AsRef<[u8]>) -> ImportReport {
        let files = vec![self.file(name, content)];
        self.run(ImportOptions { files, ..ImportOptions::default() }).await.unwrap()
    }

    /// Imports one file as a snapshot.
    pub(crate) async fn snapshot(&self, name: &str, content: impl AsRef<[u8]>) -> Result<ImportReport, ImportError> {
        let files = vec![self.file(name, content)];
        self.run(ImportOptions { files, snapshot: true, ..ImportOptions::default() }).await
    }

    pub(crate) async fn run(&self, options: ImportOptions) -> Result<ImportReport, ImportError> {
        import_file(&self.store, options, |_| {}).await
    }

    /// Imports, and keeps what was told of its progress.
    pub(crate) async fn watch(&self, options: ImportOptions) -> (ImportReport, Vec<Progress>) {
        let told = Mutex::new(Vec::new());
        let report = import_file(&self.store, options, |progress| told.lock().unwrap().push(progress)).await;
        (report.unwrap(), told.into_inner().unwrap())
    }

    pub(crate) async fn row(&self, reference: &str) -> ResourceRow {
        let found = self.store.find_resources(reference).await.unwrap();
        assert_eq!(found.len(), 1, "`{reference}`: {found:?}");
        found.into_iter().next().unwrap()
    }

    pub(crate) async fn document(&self, reference: &str) -> Value {
        Value::Object(self.row(reference).await.document)
    }

    pub(crate) async fn exists(&self, reference: &str) -> bool {
        !self.store.find_resources(reference).await.unwrap().is_empty()
    }

    /// Names of a group's members, sorted.
    pub(crate) async fn members(&self, group: &str) -> Vec<String> {
        let group = self.row(group).await.id;
        let ids = self.store.members_after(&group, None, 1000).await.unwrap();
        let rows = self.store.resources(&ids).await.unwrap();
        let mut names: Vec<String> = rows.iter().map(|row| row.name().to_owned()).collect();
        names.sort();
        names
    }
}

/// Created, updated, unchanged, removed, rejected.
pub(crate) fn counts(report: &ImportReport) -> [u64; 5] {
    [report.created, report.updated, report.unchanged, report.removed, report.rejected_count]
}

/// Line and reason of what was rejected.
pub(crate) fn rejected(report: &ImportReport) -> Vec<(u64, &str)> {
    report.rejected.iter().map(|rejected| (rejected.line, rejected.reason.as_str())).collect()
}
