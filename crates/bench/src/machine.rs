//! What the operating system says of processes and threads: CPU seconds and memory. Linux only, by `/proc`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The kernel counts CPU time of processes in hundredths of a second on every Linux that there is.
const TICKS_PER_SECOND: f64 = 100.0;
/// A process that ends between two looks loses what it did since the last one.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// For threads that no runtime has.
#[expect(
    clippy::disallowed_methods,
    reason = "it blocks a thread that waits for other processes and does nothing else"
)]
pub(crate) fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// One line of `/proc/PID/stat`.
struct Stat {
    name: String,
    parent: u32,
    cpu_s: f64,
    rss_bytes: f64,
}

fn stat(path: &str) -> Option<Stat> {
    let text = fs::read_to_string(path).ok()?;
    let (head, rest) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Stat {
        name,
        parent: fields.get(1)?.parse().ok()?,
        cpu_s: (number(11)? + number(12)?) / TICKS_PER_SECOND,
        rss_bytes: number(21)? * 4096.0,
    })
}

/// CPU seconds of the threads of this process whose names begin with `prefix`.
pub(crate) fn threads_cpu_s(prefix: &str) -> f64 {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return f64::NAN };
    let mut sum = 0.0;
    for thread in threads.flatten() {
        let path = thread.path();
        let read = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
        if read("comm").starts_with(prefix) {
            // Nanoseconds on a processor come first.
            let spent = read("schedstat");
            sum += spent.split(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or_default() / 1e9;
        }
    }
    sum
}

/// What a group of processes used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage {
    /// CPU seconds by role.
    pub(crate) cpu_s: BTreeMap<String, f64>,
    /// The most memory that each role held at one time, in megabytes.
    pub(crate) peak_mb: BTreeMap<String, f64>,
}

impl Usage {
    pub(crate) fn cpu_sum(&self) -> f64 {
        self.cpu_s.values().sum()
    }

    pub(crate) fn peak(&self, role: &str) -> f64 {
        self.peak_mb.get(role).copied().unwrap_or_default()
    }

    /// `worker 1.2 s 40 MB · beam 0.3 s 110 MB`, as a share per user in microseconds.
    pub(crate) fn per_user(&self, users: f64) -> String {
        let one = |(role, cpu_s): (&String, &f64)| {
            format!("{role} {:.0} µs/user, {:.0} MB", cpu_s * 1e6 / users, self.peak(role))
        };
        self.cpu_s.iter().filter(|(_, cpu_s)| **cpu_s > 0.005).map(one).collect::<Vec<_>>().join(" · ")
    }
}

#[derive(Default)]
struct Seen {
    first: HashMap<u32, f64>,
    last: HashMap<u32, (String, f64)>,
    usage: Usage,
}

impl Seen {
    /// Looks at everything below `roots`; `baseline`: what was spent before does not count.
    fn look(&mut self, roots: &[u32], baseline: bool) {
        let mut all: HashMap<u32, Stat> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
                && let Some(stat) = stat(&format!("/proc/{pid}/stat"))
            {
                all.insert(pid, stat);
            }
        }
        let mut memory: BTreeMap<String, f64> = BTreeMap::new();
        for (pid, stat) in &all {
            if !is_below(*pid, roots, &all) {
                continue;
            }
            let role = role_of(*pid, &stat.name);
            *memory.entry(role.clone()).or_default() += stat.rss_bytes / 1e6;
            self.first.entry(*pid).or_insert(if baseline { stat.cpu_s } else { 0.0 });
            self.last.insert(*pid, (role, stat.cpu_s));
        }
        for (role, megabytes) in memory {
            let peak = self.usage.peak_mb.entry(role).or_default();
            *peak = peak.max(megabytes);
        }
    }

    fn sum(mut self) -> Usage {
        for (pid, (role, cpu_s)) in &self.last {
            let spent = cpu_s - self.first.get(pid).copied().unwrap_or_default();
            *self.usage.cpu_s.entry(role.clone()).or_default() += spent;
        }
        self.usage
    }
}

fn is_below(pid: u32, roots: &[u32], all: &HashMap<u32, Stat>) -> bool {
    let mut at = pid;
    while at > 1 {
        if roots.contains(&at) {
            return true;
        }
        match all.get(&at) {
            Some(stat) => at = stat.parent,
            None => return false,
        }
    }
    false
}

/// Our own roles by their command, everything else by the name of its program.
fn role_of(pid: u32, name: &str) -> String {
    if name != "scimfleet" {
        return match name {
            "beam.smp" | "erl_child_setup" | "inet_gethost" => "rabbitmq".to_owned(),
            "redis-server" => "redis".to_owned(),
            other => other.to_owned(),
        };
    }
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = text.split(|byte| *byte == 0).collect();
    match words.get(1) {
        Some(&b"worker") => "worker".to_owned(),
        Some(&b"scheduler") => "scheduler".to_owned(),
        Some(&b"console") => "console".to_owned(),
        Some(word) if word.starts_with(b"__expression") => "expressions".to_owned(),
        _ => "scimfleet".to_owned(),
    }
}

/// Watches processes and their descendants from now on.
pub(crate) struct Watch {
    ended: Arc<AtomicBool>,
    looks: Option<JoinHandle<Usage>>,
}

impl Watch {
    /// What the processes had spent before does not count.
    pub(crate) fn start(roots: Vec<u32>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        let looks = std::thread::spawn(move || {
            let mut seen = Seen::default();
            seen.look(&roots, true);
            while !until.load(Ordering::Relaxed) {
                rest(LOOK_EVERY);
                seen.look(&roots, false);
            }
            seen.sum()
        });
        Self { ended, looks: Some(looks) }
    }

    pub(crate) fn stop(mut self) -> Usage {
        self.ended.store(true, Ordering::Relaxed);
        self.looks.take().and_then(|looks| looks.join().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_seen_with_its_memory_and_its_time() {
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let mut seen = Seen::default();
        seen.look(&[child.id()], true);
        while stat(&format!("/proc/{}/stat", child.id())).is_none_or(|stat| stat.cpu_s < 0.05) {
            std::thread::yield_now();
        }
        seen.look(&[child.id()], false);
        let usage = seen.sum();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(usage.cpu_sum() > 0.0, "{usage:?}");
        assert!(usage.peak_mb.values().sum::<f64>() > 0.0, "{usage:?}");
    }

    #[test]
    fn threads_are_told_apart_by_name() {
        let work = || (0..20_000_000_u64).fold(0_u64, |sum, each| std::hint::black_box(sum ^ each));
        let thread = std::thread::Builder::new().name("busy-one".to_owned());
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let (done, ready) = std::sync::mpsc::channel::<()>();
        let handle = thread.spawn(move || {
            std::hint::black_box(work());
            let _ = done.send(());
            let _ = told.recv();
        });
        ready.recv().unwrap();
        assert!(threads_cpu_s("busy-one") > 0.0);
        assert!(threads_cpu_s("nobody-is-named-so") == 0.0);
        drop(tell);
        handle.unwrap().join().unwrap();
    }
}
