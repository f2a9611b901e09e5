//! What a play consists of, drawn from its seed before it begins: the directory, the providers, the edits and when
//! they come, and what goes wrong meanwhile. Nothing of it depends on what the product does.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand::{Rng as _, SeedableRng as _};
use scimfleet_core::provider::LeaverAction;

use crate::directory::{Directory, Group, User};

/// The user and the group that are never taken away: what is left of a directory that loses everybody is held
/// back for a person's word, and would never come to rest.
const ANCHOR: &str = "u-anchor";
/// The group that scopes name.
pub const SCOPE_GROUP: &str = "g-staff";

/// What a seed is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Edits of every kind and every fault.
    Everything,
    /// Users, managers, groups and members that arrive in any order, without faults: who waits for whom.
    Waits,
}

/// How a provider behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Everything that RFC 7644 offers.
    Strict,
    /// PUT only, no bulk, no versions.
    PutOnly,
    /// No bulk.
    Patch,
    /// A new group drops its members in silence.
    IgnoresMembers,
    /// Groups hold users only.
    Flat,
}

/// One provider.
#[derive(Debug, Clone)]
pub struct ProviderPlan {
    /// How it behaves.
    pub habit: Habit,
    /// What is done with users who leave.
    pub leavers: LeaverAction,
    /// Whether only members of [`SCOPE_GROUP`] are in scope.
    pub scoped: bool,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One of the schedulers.
    Scheduler(usize),
    /// One of the workers.
    Worker(usize),
}

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// Objects are written as they are in the directory of that time, in one batch.
    Write(Vec<String>, Box<Directory>),
    /// An object is deleted.
    Delete(String),
    /// A full sync of a provider is asked for.
    Sync(usize),
    /// A role is killed, and another takes its place after this time.
    Kill(Role, Duration),
    /// A provider is away for this time.
    Away(usize, Duration),
    /// The broker takes the next tasks and loses them.
    TasksLost,
}

/// A whole play.
#[derive(Debug, Clone)]
pub struct Script {
    /// The providers.
    pub providers: Vec<ProviderPlan>,
    /// How many schedulers.
    pub schedulers: usize,
    /// How many workers.
    pub workers: usize,
    /// What happens, by time since the beginning.
    pub events: Vec<(Duration, Event)>,
    /// How often a request meets a fault until all is quiet, of a thousand.
    pub faults_per_mille: u32,
    /// When edits and faults end.
    pub quiet_after: Duration,
    /// The directory at the end.
    pub directory: Directory,
}

impl Script {
    /// The play of a seed.
    pub fn of(seed: u64, family: Family) -> Self {
        let mut draw = Draw::new(seed);
        match family {
            Family::Everything => draw.everything(),
            Family::Waits => draw.waits(),
        }
    }
}

struct Draw {
    rng: StdRng,
    directory: Directory,
    /// Counts names, so that none is given twice by accident.
    names: u32,
    /// Whether somebody else may get a name that was given up: only where the account of an owner who leaves goes,
    /// too, and does not keep the name.
    names_come_free: bool,
    /// Names of the deleted.
    free_names: Vec<String>,
    events: Vec<(Duration, Event)>,
}

impl Draw {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            directory: Directory::default(),
            names: 0,
            names_come_free: false,
            free_names: Vec::new(),
            events: Vec::new(),
        }
    }

    fn waits(&mut self) -> Script {
        let habit = *[Habit::Strict, Habit::Patch, Habit::PutOnly].choose(&mut self.rng).unwrap_or(&Habit::Patch);
        let provider = ProviderPlan { habit, leavers: LeaverAction::Delete, scoped: false };
        self.populate();
        let mut order: Vec<String> = self.directory.users.keys().chain(self.directory.groups.keys()).cloned().collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.rng.random_range(0..=last));
        }
        let whole = Box::new(self.directory.clone());
        let mut at = Duration::ZERO;
        while !order.is_empty() {
            let batch = order.split_off(order.len().saturating_sub(self.rng.random_range(1..=3)));
            self.events.push((at, Event::Write(batch, whole.clone())));
            at += Duration::from_millis(self.rng.random_range(0..400));
        }
        let workers = self.rng.random_range(1..=3);
        self.script(vec![provider], 1, workers, 0, at)
    }

    fn everything(&mut self) -> Script {
        let is_calm = self.rng.random_bool(0.15);
        let providers: Vec<ProviderPlan> = (0..self.rng.random_range(1..=2)).map(|_| self.provider()).collect();
        self.names_come_free = providers.iter().all(|one| one.leavers == LeaverAction::Delete && !one.scoped);
        self.populate();
        let mut ids: Vec<String> = self.directory.users.keys().chain(self.directory.groups.keys()).cloned().collect();
        if self.rng.random_bool(0.5) {
            ids.reverse();
        }
        self.events.push((Duration::ZERO, Event::Write(ids, Box::new(self.directory.clone()))));
        let quiet_after = Duration::from_millis(self.rng.random_range(10_000..45_000));
        let edits = self.rng.random_range(3..25);
        let mut times: Vec<Duration> = (0..edits).map(|_| quiet_after.mul_f64(self.rng.random())).collect();
        times.sort_unstable();
        for at in times {
            if let Some(event) = self.edit() {
                self.events.push((at, event));
            }
        }
        let (schedulers, workers) = (self.rng.random_range(1..=2), self.rng.random_range(1..=3));
        let mishaps = if is_calm { 0 } else { self.rng.random_range(0..5) };
        for _ in 0..mishaps {
            let at = quiet_after.mul_f64(self.rng.random());
            let event = self.fault(providers.len(), schedulers, workers);
            self.events.push((at, event));
        }
        let faults = if is_calm { 0 } else { *[0, 5, 30, 120].choose(&mut self.rng).unwrap_or(&0) };
        self.script(providers, schedulers, workers, faults, quiet_after)
    }

    fn script(
        &mut self,
        providers: Vec<ProviderPlan>,
        schedulers: usize,
        workers: usize,
        faults_per_mille: u32,
        quiet_after: Duration,
    ) -> Script {
        let mut events = std::mem::take(&mut self.events);
        events.sort_by_key(|(at, _)| *at);
        let directory = std::mem::take(&mut self.directory);
        Script { providers, schedulers, workers, events, faults_per_mille, quiet_after, directory }
    }

    fn provider(&mut self) -> ProviderPlan {
        let habits = [Habit::Strict, Habit::PutOnly, Habit::Patch, Habit::IgnoresMembers, Habit::Flat];
        ProviderPlan {
            habit: *habits.choose(&mut self.rng).unwrap_or(&Habit::Strict),
            leavers: if self.rng.random_bool(0.6) { LeaverAction::Delete } else { LeaverAction::Deactivate },
            scoped: self.rng.random_bool(0.35),
        }
    }

    fn populate(&mut self) {
        let users = self.rng.random_range(1..=12);
        self.directory.users.insert(ANCHOR.to_owned(), user("anchor"));
        for _ in 0..users {
            self.add_user();
        }
        let staff = self.some_users(0.7);
        let mut staff_and_anchor = staff;
        staff_and_anchor.insert(ANCHOR.to_owned());
        let group = Group { name: "Staff".to_owned(), members: staff_and_anchor };
        self.directory.groups.insert(SCOPE_GROUP.to_owned(), group);
        for _ in 0..self.rng.random_range(0..=3) {
            self.add_group();
        }
    }

    fn add_user(&mut self) -> String {
        self.names += 1;
        let id = format!("u-{:02}", self.names);
        let manager = if self.rng.random_bool(0.4) { self.any_user() } else { None };
        let name = match self.free_names.pop().filter(|_| self.names_come_free) {
            Some(free) => free,
            None => format!("user{:02}", self.names),
        };
        self.directory.gone.remove(&id);
        self.directory.users.insert(id.clone(), User { manager, ..user(&name) });
        id
    }

    fn add_group(&mut self) -> String {
        self.names += 1;
        let id = format!("g-{:02}", self.names);
        let mut members = self.some_users(0.4);
        if self.rng.random_bool(0.4) {
            // Only groups that are there already: no group is inside itself.
            let inner = self.directory.groups.keys().choose(&mut self.rng).cloned();
            members.extend(inner);
        }
        self.directory.groups.insert(id.clone(), Group { name: format!("Group {:02}", self.names), members });
        id
    }

    fn some_users(&mut self, share: f64) -> BTreeSet<String> {
        let users: Vec<String> = self.directory.users.keys().cloned().collect();
        users.into_iter().filter(|_| self.rng.random_bool(share)).collect()
    }

    fn any_user(&mut self) -> Option<String> {
        let users = self.directory.users.keys().filter(|id| *id != ANCHOR);
        users.choose(&mut self.rng).cloned()
    }

    fn any_group(&mut self) -> Option<String> {
        self.directory.groups.keys().choose(&mut self.rng).cloned()
    }

    fn edit(&mut self) -> Option<Event> {
        let touched = match self.rng.random_range(0..100) {
            0..14 => vec![self.add_user()],
            14..20 => vec![self.add_group()],
            20..34 => self.change_user(|user, draw| user.title = format!("Title {}", draw.random_range(0..1000)))?,
            34..42 => {
                self.names += 1;
                let name = format!("renamed{:02}", self.names);
                self.change_user(|user, _| user.name = name)?
            }
            42..46 => self.hand_over_name()?,
            46..56 => self.change_user(|user, _| user.active = !user.active)?,
            56..64 => {
                let manager = self.any_user();
                self.change_user(|user, _| user.manager = manager)?
            }
            64..84 => self.change_members()?,
            84..87 => {
                self.names += 1;
                let (id, name) = (self.any_group()?, format!("Group renamed {:02}", self.names));
                self.directory.groups.get_mut(&id)?.name = name;
                vec![id]
            }
            87..97 => return self.delete(),
            _ => return Some(Event::Sync(0)),
        };
        Some(Event::Write(touched, Box::new(self.directory.clone())))
    }

    fn change_user(&mut self, change: impl FnOnce(&mut User, &mut StdRng)) -> Option<Vec<String>> {
        let id = self.any_user()?;
        let user = self.directory.users.get_mut(&id)?;
        change(user, &mut self.rng);
        if user.manager.as_ref() == Some(&id) {
            user.manager = None;
        }
        Some(vec![id])
    }

    /// One is renamed, another takes the name: the first must get out of the way there, too.
    fn hand_over_name(&mut self) -> Option<Vec<String>> {
        let (first, second) = (self.any_user()?, self.any_user()?);
        if first == second || !self.names_come_free {
            return None;
        }
        self.names += 1;
        let name =
            std::mem::replace(&mut self.directory.users.get_mut(&first)?.name, format!("moved{:02}", self.names));
        self.directory.users.get_mut(&second)?.name = name;
        Some(vec![first, second])
    }

    fn change_members(&mut self) -> Option<Vec<String>> {
        let (id, member) = (self.any_group()?, self.any_user()?);
        let members = &mut self.directory.groups.get_mut(&id)?.members;
        if !members.remove(&member) {
            members.insert(member);
        }
        Some(vec![id])
    }

    fn delete(&mut self) -> Option<Event> {
        let id = if self.rng.random_bool(0.75) { self.any_user()? } else { self.any_group()? };
        if id == SCOPE_GROUP {
            return None;
        }
        self.free_names.extend(self.directory.users.get(&id).map(|user| user.name.clone()));
        self.directory.delete(&id);
        Some(Event::Delete(id))
    }

    fn fault(&mut self, providers: usize, schedulers: usize, workers: usize) -> Event {
        let pause = Duration::from_millis(self.rng.random_range(0..15_000));
        match self.rng.random_range(0..10) {
            0..2 => Event::Kill(Role::Scheduler(self.rng.random_range(0..schedulers)), pause),
            2..7 => Event::Kill(Role::Worker(self.rng.random_range(0..workers)), pause),
            7..9 => Event::Away(self.rng.random_range(0..providers), pause * 3),
            _ => Event::TasksLost,
        }
    }
}

fn user(name: &str) -> User {
    User { name: name.to_owned(), title: "Title".to_owned(), active: true, manager: None }
}
