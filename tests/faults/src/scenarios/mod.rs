//! The scenarios, each with the rows of the hazards table that it proves.

mod changes;
mod crash;
mod operations;
mod outages;
mod security;
mod targets;

use std::future::Future;
use std::pin::Pin;

use crate::failure::Told;
use crate::figures::Figures;
use crate::services::Services;

type Playing<'a> = Pin<Box<dyn Future<Output = Told<()>> + Send + 'a>>;

/// One scenario.
pub struct Scenario {
    /// Rows of the hazards table.
    pub rows: &'static str,
    /// For the command line, and for its database and provider.
    pub name: &'static str,
    /// What happens.
    pub title: &'static str,
    /// Whether `make test` plays it.
    pub quick: bool,
    run: for<'a> fn(&'a Services, &'a str, &'a mut Figures) -> Playing<'a>,
}

impl Scenario {
    /// Plays it.
    ///
    /// # Errors
    /// Why it could not go on.
    pub fn play<'a>(&'a self, services: &'a Services, figures: &'a mut Figures) -> Playing<'a> {
        (self.run)(services, self.name, figures)
    }
}

/// A row of the list: hazards, name, title, and whether it is quick.
macro_rules! scenario {
    ($rows:literal, $name:literal, $title:literal, $quick:literal, $run:path) => {
        Scenario {
            rows: $rows,
            name: $name,
            title: $title,
            quick: $quick,
            run: |services, name, figures| Box::pin($run(services, name, figures)),
        }
    };
}

/// All of them, in the order in which they are played.
pub fn all() -> &'static [Scenario] {
    ALL
}

const ALL: &[Scenario] = &[
    scenario!(
        "4",
        "kill-before",
        "all workers killed while creates wait at the target, not applied",
        false,
        crash::before_the_write
    ),
    scenario!(
        "4",
        "kill-after",
        "all workers killed after the target applied creates, before any id was stored",
        true,
        crash::after_the_write
    ),
    scenario!(
        "3, 4",
        "kill-unacked",
        "all workers killed after recording, before any ack",
        false,
        crash::after_recording
    ),
    scenario!("4", "answer-lost", "the target applies creates and drops the answers", false, crash::answers_lost),
    scenario!(
        "1, 6",
        "relay-killed",
        "the relay is killed again and again while everybody is edited",
        false,
        changes::relay_killed
    ),
    scenario!("3", "thrice", "every task is delivered three times to three workers", false, changes::thrice),
    scenario!("8", "deletes-race", "deletions race edits, a full sync and re-hires", false, changes::deletes_race),
    scenario!("7", "any-order", "users, managers and groups arrive in any order", false, changes::any_order),
    scenario!("2", "publish-nowhere", "queues are deleted under load", false, outages::publish_nowhere),
    scenario!("2", "memory-alarm", "the broker blocks publishers for half a minute", false, outages::memory_alarm),
    scenario!(
        "5",
        "holder-stopped",
        "a worker stands still for two leases; Redis is flushed every 5 s",
        false,
        outages::holder_stopped
    ),
    scenario!("24", "redis-lost", "Redis is killed, then flushed again and again", false, outages::redis),
    scenario!("25", "database-restarts", "ten restarts of the database during a sync", false, outages::database),
    scenario!("26", "broker-killed", "the broker is killed twice at full rate", false, outages::broker),
    scenario!("2, 24–26", "cut", "the workers' connections are cut, refused, throttled", false, outages::cut),
    scenario!("11, 12", "poison", "poisoned objects among a thousand, and a crash", true, targets::poison),
    scenario!("13", "outage", "the target is away while much is owed", false, targets::outage),
    scenario!("14", "limited", "four workers share five requests a second", false, targets::limited),
    scenario!("15", "black-hole", "one of six targets swallows everything", false, targets::black_hole),
    scenario!("15", "leavers-first", "leavers during a large sync", false, targets::leavers_first),
    scenario!("17", "slow-loris", "a request that never ends", false, targets::slow_loris),
    scenario!("19", "unauthorised", "the token is refused for everybody", false, targets::unauthorised),
    scenario!("21", "anything", "the target answers with anything", false, targets::anything),
    scenario!("31", "gateway", "a gateway answers instead; one account is protected", false, targets::gateway),
    scenario!("9", "triggered", "a sync is asked for each second", false, operations::triggered),
    scenario!("10", "leader-lost", "the leading scheduler is killed or stopped", false, operations::leader_lost),
    scenario!(
        "16, 27",
        "rolling-restart",
        "every role is restarted in order during a sync",
        false,
        operations::rolling_restart
    ),
    scenario!(
        "16",
        "interrupted",
        "a provider is paused and its run cancelled half-way",
        false,
        operations::interrupted
    ),
    scenario!("18", "empty-source", "the source returns nothing, then too little", true, operations::empty_source),
    scenario!("18, 31", "incomplete-listing", "listings that break off", true, operations::incomplete_listing),
    scenario!(
        "20",
        "canaries",
        "canary secrets at TRACE, then a search of everything written",
        false,
        security::canaries
    ),
    scenario!("20", "rotation", "the sealing key and a token are changed without a stop", false, security::rotation),
    scenario!("22", "hostile-urls", "base URLs and token URLs that point inside", false, security::hostile_urls),
    scenario!("22", "redirects", "a target that redirects and names other addresses", true, security::redirects),
];
