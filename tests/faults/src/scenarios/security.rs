//! Secrets that must not be anywhere, and addresses that must not be called.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scimfleet_core::ResourceKind;
use scimfleet_testkit::provider::{Behaviour, Fault, Mark, Matcher};

use crate::failure::{Told, ensure};
use crate::figures::Figures;
use crate::process::{get, request};
use crate::services::Services;
use crate::stage::{KEY_FILE, Setup, Stage};
use crate::wait::until;

const REST: Duration = Duration::from_secs(120);
const DIRECTORY_TOKEN: &str = "canary-directory-token-6c1e0b7d";
const PASSWORD: &str = "canary-password-93fa2c55";
const TOKEN: &str = "canary-provider-token-51d0a8e2";
const ROTATED: &str = "canary-rotated-token-7e41bb90";

/// Canary secrets pass through everything at TRACE; then they are looked for wherever something is written.
pub(super) async fn canaries(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let environment = [("SCIMFLEET_LOG", "trace"), ("SCIMFLEET_DIRECTORY_TOKEN", DIRECTORY_TOKEN)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let setup = Setup {
        users: 40,
        groups: 2,
        provider: "passwords = true",
        environment: environment.into(),
        ..Setup::default()
    };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.target.set_token(TOKEN);
    let table = stage.provider_table(name, &stage.target.base_url(), TOKEN, "passwords = true\nbulk = \"off\"");
    stage.apply(&table).await?;
    stage.load().await?;
    stage.rest(REST).await?;
    let console = stage.start("console").await?;
    let body = format!(
        "{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"userName\":\"canary@example.com\",\
         \"externalId\":\"canary\",\"active\":true,\"password\":\"{PASSWORD}\"}}"
    );
    let answer = request(console.address(), "POST", "/scim/v2/Users", DIRECTORY_TOKEN, &body)?;
    ensure(answer.contains(" 201 "), || format!("the directory refused a user: {answer}"))?;
    figures.promise(!answer.contains(PASSWORD), || "the directory returned a password".to_owned());
    stage.strangers.push("canary".to_owned());
    let target = &stage.target;
    let password = || {
        let found = target.named(ResourceKind::User, "canary@example.com");
        found.first().and_then(|user| target.password(user["id"].as_str()?))
    };
    until(REST, "the password arrives", || async { Ok(password().as_deref() == Some(PASSWORD)) }).await?;
    // Errors of every kind, and a token that is rotated without a stop.
    for fault in [Fault::Status(400), Fault::Garbage, Fault::Status(403), Fault::ResetAfterApplying] {
        stage.target.script(Matcher::any().times(2), fault);
        let edited = stage.model.edit_some(5);
        stage.import(&stage.model.lines(Some(&edited), false)).await?;
    }
    stage.rest(REST).await?;
    stage.target.clear_script();
    tokio::fs::write(stage.folder.join("rotated"), ROTATED).await?;
    stage.target.set_token(ROTATED);
    stage.apply(&table.replace(&format!("value = \"{TOKEN}\""), "file = \"rotated\"")).await?;
    let _ = stage.try_cli(&["parked", "retry"]).await?;
    let edited = stage.model.edit_some(5);
    stage.import(&stage.model.lines(Some(&edited), false)).await?;
    stage.rest(REST).await?;
    figures.attempted = stage.model.len() as u64;
    figures.recovered = 1;
    for role in stage.workers.iter().chain(&stage.schedulers) {
        tokio::fs::write(stage.folder.join(format!("{}.metrics", role.name)), get(role.address(), "/metrics")?).await?;
    }
    search(&stage, services, figures).await?;
    stage.judge(figures).await?;
    console.drain().await?;
    stage.close(figures).await
}

/// The sealing key and the provider's token are changed while two workers go on.
pub(super) async fn rotation(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let key = |letter: &str| format!("{}=\n", letter.repeat(43));
    let (old, new) = (key("A"), key("E"));
    let file = std::env::temp_dir().join(format!("{name}.key"));
    tokio::fs::write(&file, &old).await?;
    let environment = vec![(KEY_FILE.to_owned(), file.display().to_string())];
    let setup = Setup { users: 100, groups: 2, provider: "bulk = \"off\"", environment, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.rest(REST).await?;
    figures.attempted = stage.model.len() as u64;
    tokio::fs::write(&file, format!("{new}{old}")).await?;
    let migrated = stage.cli(&["migrate"]).await?;
    ensure(migrated["resealed"] == 1 && migrated["unopenable"] == 0, || format!("not sealed again: {migrated}"))?;
    tokio::fs::write(&file, &new).await?;
    for token in [TOKEN, ROTATED] {
        tokio::fs::write(stage.folder.join("rotated"), token).await?;
        let table = stage.provider_table(name, &stage.target.base_url(), "rotated", "bulk = \"off\"");
        stage.apply(&table.replace("value = \"rotated\"", "file = \"rotated\"")).await?;
        stage.target.set_token(token);
        let edited = stage.model.edit_some(20);
        stage.import(&stage.model.lines(Some(&edited), false)).await?;
        stage.rest(REST).await?;
        figures.attempted += 20;
        figures.recovered += 1;
    }
    stage.judge(figures).await?;
    figures.confirmed += 40_u64.saturating_sub(figures.lost);
    let refused = stage.target.counts_since(&Mark::default()).answered(401);
    figures.notes.push(format!("one key and two tokens changed, {refused} requests refused"));
    figures.promise(refused == 0, || format!("{refused} requests were sent with an old token"));
    stage.close(figures).await
}

async fn search(stage: &Stage, services: &Services, figures: &mut Figures) -> Told<()> {
    // What the fleet file and the rotated token say is the operator's own.
    for own in ["fleet.toml", "rotated"] {
        let _ = tokio::fs::remove_file(stage.folder.join(own)).await;
    }
    let dump = stage.dump().await?;
    tokio::fs::write(stage.folder.join("dump.sql"), &dump).await?;
    let redis = services.redis_keys().await?;
    tokio::fs::write(stage.folder.join("redis.txt"), redis).await?;
    let control = std::env::var("SCIMFLEET_TEST_CONTROL")?;
    let services_folder = Path::new(&control).parent().map(Path::to_path_buf).unwrap_or_default();
    let (mut files, mut found, mut markers) = (0_u64, Vec::new(), 0_u64);
    for folder in [stage.folder.clone(), services_folder] {
        walk(&folder, &mut |path, bytes| {
            files += 1;
            for secret in [DIRECTORY_TOKEN, PASSWORD, TOKEN, ROTATED] {
                if contains(bytes, secret.as_bytes()) {
                    found.push(format!("{secret} in {}", path.display()));
                }
            }
            markers += u64::from(contains(bytes, b"canary@example.com"));
        });
    }
    figures.notes.push(format!("{files} files searched, a plain value found in {markers} of them"));
    figures.promise(markers > 0, || "the search finds nothing at all".to_owned());
    for words in found {
        figures.broken.push(words);
    }
    Ok(())
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window[0] == needle[0] && window == needle)
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path, &[u8])) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, visit);
        } else if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let mut bytes = Vec::new();
            if std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)).is_ok() {
                visit(&path, &bytes);
            }
        }
    }
}

/// A listener that nobody may call.
fn trap() -> Told<(u16, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let called = Arc::new(AtomicU64::new(0));
    let count = called.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    Ok((port, called))
}

/// Base URLs and token URLs that point inside.
pub(super) async fn hostile_urls(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let environment = vec![("SCIMFLEET_EGRESS_LOOPBACK".to_owned(), "false".to_owned())];
    let setup = Setup { users: 5, groups: 0, workers: 0, schedulers: 0, environment, ..Setup::default() };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    let (port, called) = trap()?;
    let hosts = [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "user:word@127.0.0.1",
        "127.0.0.1.",
        "LOCALHOST",
        "localhost.",
    ];
    let metadata =
        ["http://169.254.169.254/latest", "http://[fd00:ec2::254]/latest", "http://metadata.google.internal/v1"];
    let urls: Vec<String> = hosts
        .iter()
        .map(|host| format!("http://{host}:{port}/scim/v2"))
        .chain(metadata.iter().map(|url| (*url).to_owned()))
        .collect();
    let mut refused = 0;
    for (n, url) in urls.iter().enumerate() {
        for oauth in [false, true] {
            let provider = format!("hostile-{n}-{}", u8::from(oauth));
            let (base, auth) = if oauth {
                (
                    "http://192.0.2.1/scim".to_owned(),
                    format!(
                        "{{ kind = \"oauth2\", token_url = \"{url}\", client_id = \"c\", client_secret = {{ value = \"s\" }} }}"
                    ),
                )
            } else {
                (url.clone(), "{ kind = \"bearer\", token = { value = \"t\" } }".to_owned())
            };
            let table = format!(
                "[[provider]]\nname = \"{provider}\"\nbase_url = \"{base}\"\nauth = {auth}\nschedule = \"off\"\n"
            );
            let path = stage.folder.join("hostile.toml");
            tokio::fs::write(&path, table).await?;
            figures.attempted += 1;
            let applied = stage.try_cli(&["apply", "hostile.toml"]).await?;
            let probed = if applied.code == 0 {
                stage.try_cli(&["providers", "probe", &provider]).await?.code
            } else {
                applied.code
            };
            refused += u64::from(probed != 0);
        }
    }
    figures.confirmed = refused;
    let calls = called.load(Ordering::SeqCst);
    figures.notes.push(format!("{} hostile addresses, {calls} connections", figures.attempted));
    figures.promise(calls == 0, || format!("{calls} connections to an address inside"));
    let attempted = figures.attempted;
    figures.promise(refused == attempted, || format!("{} hostile addresses were not refused", attempted - refused));
    stage.close(figures).await
}

/// A target that redirects, and names other addresses in `Location` and `$ref`.
pub(super) async fn redirects(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup =
        Setup { users: 20, groups: 2, provider: "bulk = \"off\"", behaviour: Behaviour::default(), ..Setup::default() };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    let (port, called) = trap()?;
    let elsewhere = format!("http://127.0.0.1:{port}/scim/v2/Users/1");
    stage.load().await?;
    stage.rest(REST).await?;
    let body = format!(
        "{{\"id\":\"1\",\"meta\":{{\"location\":\"{elsewhere}\"}},\"groups\":[{{\"value\":\"1\",\"$ref\":\"{elsewhere}\"}}],\"Location\":\"{elsewhere}\"}}"
    );
    for status in [301, 302, 307, 308] {
        stage.target.script(Matcher::any().times(3), Fault::Body(status, body.clone()));
    }
    stage.target.script(Matcher::on("PATCH", "/Users").times(3), Fault::Body(200, body));
    figures.attempted = stage.model.len() as u64;
    let redirector = redirector(&elsewhere)?;
    let table = stage.provider_table(&format!("{name}-r"), &format!("http://127.0.0.1:{redirector}/scim/v2"), "t", "");
    tokio::fs::write(stage.folder.join("redirector.toml"), table).await?;
    stage.cli(&["apply", "redirector.toml"]).await?;
    let _ = stage.try_cli(&["providers", "probe", &format!("{name}-r")]).await?;
    let _ = stage.try_cli(&["sync", &format!("{name}-r"), "--wait"]).await?;
    stage.target.clear_script();
    stage.judge(figures).await?;
    let calls = called.load(Ordering::SeqCst);
    figures.notes.push(format!("{calls} connections"));
    figures.promise(calls == 0, || format!("{calls} connections to where a target pointed"));
    stage.close(figures).await
}

/// Answers everything with a redirect.
fn redirector(to: &str) -> Told<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let answer =
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut connection = connection;
            let mut bytes = [0_u8; 4096];
            let _ = connection.read(&mut bytes);
            let _ = std::io::Write::write_all(&mut connection, answer.as_bytes());
        }
    });
    Ok(port)
}
