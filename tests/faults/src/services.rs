//! RabbitMQ, PostgreSQL and Redis of `tests/services`, and what can be done to them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::{Failure, Told};

/// What can be done to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// SIGKILL.
    Kill,
    /// Started again on the same port and data.
    Start,
    /// Stopped in order, then started.
    Restart,
    /// RabbitMQ's memory alarm: it reads nothing from whoever publishes.
    Alarm,
    /// The end of the alarm.
    Calm,
}

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The broker.
    Rabbitmq,
    /// The database.
    Postgres,
    /// The coordination service.
    Redis,
}

/// Where the services are.
#[derive(Debug, Clone)]
pub struct Services {
    /// `amqp://…`
    pub amqp: String,
    /// `postgres://…/postgres`
    pub postgres: String,
    /// `redis://…`
    pub redis: String,
    control: String,
}

impl Services {
    /// From the environment that `with-services.sh` makes.
    ///
    /// # Errors
    /// When a variable is missing; a suite that skips would prove nothing.
    pub fn from_environment() -> Told<Self> {
        let of = |name: &str| {
            std::env::var(name).map_err(|_| {
                Failure::new(format!(
                    "{name} is unset; run `make faults`, or tests/services/with-services.sh -- COMMAND"
                ))
            })
        };
        Ok(Self {
            amqp: of("SCIMFLEET_TEST_AMQP_URL")?,
            postgres: of("SCIMFLEET_TEST_POSTGRES_URL")?,
            redis: of("SCIMFLEET_TEST_REDIS_URL")?,
            control: of("SCIMFLEET_TEST_CONTROL")?,
        })
    }

    /// Does something to a service, and returns when it is done.
    ///
    /// # Errors
    /// The runner's words.
    pub async fn act(&self, verb: Verb, service: Service) -> Told<()> {
        let request = format!(
            "{} {}\n",
            match verb {
                Verb::Kill => "kill",
                Verb::Start => "start",
                Verb::Restart => "restart",
                Verb::Alarm => "alarm",
                Verb::Calm => "calm",
            },
            match service {
                Service::Rabbitmq => "rabbitmq",
                Service::Postgres => "postgres",
                Service::Redis => "redis",
            }
        );
        let path = self.control.clone();
        tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(&path)?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer)?;
            if answer.trim() == "ok" { Ok(()) } else { Err(Failure::new(format!("{}: {answer}", request.trim()))) }
        })
        .await?
    }

    /// Statements as the superuser, in a database (`postgres` makes and drops others).
    ///
    /// # Errors
    /// The words of psql.
    pub async fn sql(&self, database: &str, statement: &str) -> Told<String> {
        let mut url = url::Url::parse(&self.postgres)?;
        url.set_path(database);
        let output = tokio::process::Command::new(postgres_tool("psql"))
            .args(["-qXAt", "-v", "ON_ERROR_STOP=1", "-c", statement, url.as_str()])
            .stdin(Stdio::null())
            .output()
            .await?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(Failure::new(format!("psql: {}", String::from_utf8_lossy(&output.stderr).trim())))
        }
    }

    /// Empties Redis.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn flush_redis(&self) -> Told<()> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address_of(&self.redis)?).await?;
        stream.write_all(b"FLUSHALL\r\n").await?;
        let mut answer = [0_u8; 5];
        stream.read_exact(&mut answer).await?;
        if answer.starts_with(b"+OK") { Ok(()) } else { Err(Failure::new("Redis refused FLUSHALL")) }
    }

    /// Whatever Redis holds, as text.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn redis_keys(&self) -> Told<Vec<u8>> {
        let address = address_of(&self.redis)?;
        let script = "local all = {} for _, key in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = key \
                      all[#all + 1] = redis.call('DUMP', key) end return all";
        let port = address.port().to_string();
        let output =
            tokio::process::Command::new("redis-cli").args(["-p", &port, "EVAL", script, "0"]).output().await?;
        if output.status.success() { Ok(output.stdout) } else { Err(Failure::new("redis-cli failed")) }
    }
}

/// `host:port` of a service's URL.
///
/// # Errors
/// When the URL has none.
pub fn address_of(url: &str) -> Told<std::net::SocketAddr> {
    let url = url::Url::parse(url)?;
    let (Some(host), Some(port)) = (url.host_str(), url.port()) else {
        return Err(Failure::new("a service's URL lacks host or port"));
    };
    Ok(format!("{}:{port}", if host == "localhost" { "127.0.0.1" } else { host }).parse()?)
}

/// The same URL through another address.
///
/// # Errors
/// When it is no URL.
pub fn through(url: &str, address: std::net::SocketAddr) -> Told<String> {
    let mut url = url::Url::parse(url)?;
    let changed = url.set_host(Some(&address.ip().to_string())).is_ok() && url.set_port(Some(address.port())).is_ok();
    if changed { Ok(url.into()) } else { Err(Failure::new("a service's URL cannot be redirected")) }
}

/// A program of PostgreSQL: in the path, or where Debian puts it.
pub fn postgres_tool(name: &str) -> PathBuf {
    let script = format!("command -v {name} || ls /usr/lib/postgresql/*/bin/{name} 2>/dev/null | sort -V | tail -n 1");
    let found = Command::new("sh").arg("-c").arg(script).output();
    let path = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    PathBuf::from(path.ok().filter(|path| !path.is_empty()).unwrap_or_else(|| name.to_owned()))
}
