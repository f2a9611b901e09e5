//! The provider that everything is measured against: the testkit's, in this process, on threads of its own,
//! so that what it spends can be told from what its clients spend. It counts the requests itself, and a
//! figure is only worth printing when its content is what the directory says.

use std::collections::HashMap;
use std::sync::OnceLock;

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::resource::ENTERPRISE_URN;
use scimfleet_testkit::directory::{SampleDirectory, user_external_id};
use scimfleet_testkit::provider::{Behaviour, Counts, Mark, Running, ServiceProvider};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::figure::{BenchError, wrong};
use crate::machine::threads_cpu_s;

/// The name of the provider's threads.
const THREADS: &str = "target";
/// Beyond so many users only every hundredth is compared attribute by attribute: what is compared is copied.
const COMPARE_ALL_MAX: usize = 200_000;

/// The sample directory of all cases.
pub(crate) const fn sample(users: usize, groups: usize) -> SampleDirectory {
    SampleDirectory { users, groups, seed: 1, inactive_percent: 0 }
}

fn runtime() -> Result<&'static Runtime, BenchError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = tokio::runtime::Builder::new_multi_thread().thread_name(THREADS).enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| made))
}

/// A running provider.
pub(crate) struct Target {
    running: Option<Running>,
}

impl Target {
    pub(crate) async fn start(latency_ms: u64) -> Result<Self, BenchError> {
        Self::with(Behaviour { latency_ms, ..Behaviour::default() }).await
    }

    pub(crate) async fn with(behaviour: Behaviour) -> Result<Self, BenchError> {
        let running = runtime()?.spawn(ServiceProvider::start(behaviour)).await??;
        running.cap_journal(0);
        Ok(Self { running: Some(running) })
    }

    #[expect(clippy::expect_used, reason = "only `stop`, which takes the target, takes the provider out")]
    pub(crate) fn provider(&self) -> &Running {
        self.running.as_ref().expect("the provider runs until the target is stopped")
    }

    pub(crate) fn base_url(&self) -> String {
        self.provider().base_url()
    }

    pub(crate) async fn stop(mut self) -> Result<(), BenchError> {
        if let Some(running) = self.running.take() {
            runtime()?.spawn(running.stop()).await?;
        }
        Ok(())
    }

    pub(crate) fn mark(&self) -> Mark {
        self.provider().mark()
    }

    pub(crate) fn counts_since(&self, mark: &Mark) -> Counts {
        self.provider().counts_since(mark)
    }

    /// Only the users: how many they are, and each as it should be.
    pub(crate) fn check_users(&self, sample: SampleDirectory) -> Result<(), BenchError> {
        let held = self.provider().users_count();
        if held != sample.users {
            return wrong(format!("the provider holds {held} users, not {}", sample.users));
        }
        let step = if sample.users > COMPARE_ALL_MAX { 100 } else { 1 };
        for user in sample.users().step_by(step) {
            self.check_user(user)?;
        }
        Ok(())
    }

    fn check_user(&self, mut wanted: Value) -> Result<(), BenchError> {
        let external_id = wanted["externalId"].as_str().unwrap_or_default().to_owned();
        let mut found = self.provider().with_external_id(ResourceKind::User, &external_id);
        let (Some(mut shown), true) = (found.pop(), found.is_empty()) else {
            return wrong(format!("the provider holds no user `{external_id}`, or more than one"));
        };
        // Our free attributes stay with us; the manager's value is the manager's account there.
        let manager = manager_of(&mut shown);
        let expected = manager_of(&mut wanted).and_then(|reference| self.account_of(reference.as_str()?));
        for document in [&mut wanted, &mut shown] {
            if let Some(document) = document.as_object_mut() {
                document.retain(|name, _| name != "attributes" && name != "id");
            }
        }
        if wanted != shown || manager != expected {
            return wrong(format!("`{external_id}` is not at the provider what it should be: {shown} for {wanted}"));
        }
        Ok(())
    }

    fn account_of(&self, external_id: &str) -> Option<Value> {
        let mut found = self.provider().with_external_id(ResourceKind::User, external_id);
        found.pop().map(|mut user| user["id"].take())
    }

    /// Users and groups with their members.
    pub(crate) fn check(&self, sample: SampleDirectory) -> Result<(), BenchError> {
        self.check_users(sample)?;
        let held = self.provider().groups_count();
        if held != sample.groups {
            return wrong(format!("the provider holds {held} groups, not {}", sample.groups));
        }
        if sample.users > COMPARE_ALL_MAX {
            return Ok(());
        }
        let content = self.provider().content();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names: HashMap<String, String> = content
            .users
            .iter()
            .chain(&content.groups)
            .map(|one| (text(&one["id"]), text(&one["externalId"])))
            .collect();
        let groups: HashMap<String, &Value> =
            content.groups.iter().map(|group| (text(&group["externalId"]), group)).collect();
        for wanted in sample.groups() {
            let name = text(&wanted["externalId"]);
            let members = |group: &Value| group["members"].as_array().cloned().unwrap_or_default();
            let mut expected: Vec<String> = members(&wanted).iter().map(|member| text(&member["value"])).collect();
            let shown = groups.get(&name).map(|group| members(group)).unwrap_or_default();
            let mut shown: Vec<String> =
                shown.iter().map(|member| names.get(&text(&member["value"])).cloned().unwrap_or_default()).collect();
            expected.sort_unstable();
            shown.sort_unstable();
            if expected != shown {
                return wrong(format!("group `{name}` has {} members there, not {}", shown.len(), expected.len()));
            }
        }
        Ok(())
    }
}

/// Takes the manager's value out of a user.
fn manager_of(user: &mut Value) -> Option<Value> {
    user.get_mut(ENTERPRISE_URN)?.get_mut("manager")?.as_object_mut()?.shift_remove("value")
}

/// CPU seconds that all providers of this process have spent so far.
pub(crate) fn provider_cpu_s() -> f64 {
    threads_cpu_s(THREADS)
}

/// A user's body as a provider would be sent it: our free attributes stay with us, the manager is named by an
/// account that the provider would have to know.
pub(crate) fn body_of(index: usize, mut user: Value) -> String {
    if let Some(user) = user.as_object_mut() {
        user.shift_remove("attributes");
    }
    if index > 0 {
        user[ENTERPRISE_URN]["manager"]["value"] = format!("{index:036}").into();
    }
    user.to_string()
}

/// The account names of the sample's users by their number.
pub(crate) fn name_of(index: usize) -> String {
    user_external_id(index)
}
