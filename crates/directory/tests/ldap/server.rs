//! A private `slapd` on loopback, with certificates of its own, filled by its administrator.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ldap3::{Ldap, LdapConnAsync, Mod, Scope};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

pub(crate) const BASE: &str = "dc=example,dc=org";
pub(crate) const READER: &str = "cn=reader,dc=example,dc=org";
pub(crate) const READER_PASSWORD: &str = "reads-only";
const ADMIN: &str = "cn=admin,dc=example,dc=org";
const ADMIN_PASSWORD: &str = "may-all";
/// It answers within this time, or the test fails.
const UP_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    folder: TempDir,
    child: Mutex<Child>,
    plain_port: u16,
    secure_port: u16,
}

impl Server {
    pub(crate) async fn start(users: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["data", "other"] {
            std::fs::create_dir(folder.path().join(inner)).unwrap();
        }
        certificates(folder.path());
        std::fs::write(folder.path().join("slapd.conf"), configuration(folder.path())).unwrap();
        let (plain_port, secure_port) = (free_port(), free_port());
        let child = Command::new(program())
            .args(["-d", "0", "-f"])
            .arg(folder.path().join("slapd.conf"))
            .arg("-h")
            .arg(format!("ldap://127.0.0.1:{plain_port} ldaps://127.0.0.1:{secure_port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { folder, child: Mutex::new(child), plain_port, secure_port };
        let deadline = Instant::now() + UP_WITHIN;
        while std::net::TcpStream::connect(("127.0.0.1", plain_port)).is_err() {
            assert!(Instant::now() < deadline, "slapd did not come up; run tests/services/install.sh ldap");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.fill(users).await;
        server
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        let port = if scheme == "ldaps" { self.secure_port } else { self.plain_port };
        format!("{scheme}://localhost:{port}")
    }

    pub(crate) fn authority(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    pub(crate) fn other_authority(&self) -> String {
        self.folder.path().join("other-ca.pem").display().to_string()
    }

    pub(crate) fn stop(&self) {
        let mut child = self.child.lock().unwrap();
        if child.kill().is_ok() {
            child.wait().unwrap();
        }
    }

    async fn admin(&self) -> Ldap {
        let (connection, mut ldap) =
            LdapConnAsync::new(&format!("ldap://127.0.0.1:{}", self.plain_port)).await.unwrap();
        tokio::spawn(async move { connection.drive().await });
        ldap.simple_bind(ADMIN, ADMIN_PASSWORD).await.unwrap().success().unwrap();
        ldap
    }

    async fn fill(&self, users: usize) {
        let mut ldap = self.admin().await;
        let root = [("objectClass", vec!["dcObject", "organization"]), ("dc", vec!["example"]), ("o", vec!["Example"])];
        add(&mut ldap, BASE, &root).await;
        for unit in ["people", "groups"] {
            add(
                &mut ldap,
                &format!("ou={unit},{BASE}"),
                &[("objectClass", vec!["organizationalUnit"]), ("ou", vec![unit])],
            )
            .await;
        }
        let reader = [
            ("objectClass", vec!["organizationalRole", "simpleSecurityObject"]),
            ("cn", vec!["reader"]),
            ("userPassword", vec![READER_PASSWORD]),
        ];
        add(&mut ldap, READER, &reader).await;
        let boss = format!("uid=user00,ou=people,{BASE}");
        for number in 0..users {
            let (uid, family, room) = (format!("user{number:02}"), format!("Family {number}"), format!("R{number}"));
            let (name, mail) = (format!("Given {family}"), format!("{uid}@example.org"));
            let mut entry = vec![
                ("objectClass", vec!["inetOrgPerson"]),
                ("uid", vec![uid.as_str()]),
                ("cn", vec![name.as_str()]),
                ("sn", vec![family.as_str()]),
                ("givenName", vec!["Given"]),
                ("mail", vec![mail.as_str()]),
                ("roomNumber", vec![room.as_str()]),
                ("manager", vec![boss.as_str()]),
            ];
            if number == 9 {
                entry.push(("employeeType", vec!["left"]));
            }
            add(&mut ldap, &format!("uid={uid},ou=people,{BASE}"), &entry).await;
        }
        let member = |number: usize| format!("uid=user{number:02},ou=people,{BASE}");
        let even: Vec<String> = (0..users).step_by(2).map(member).collect();
        // As a person may have typed it: the same names all the same.
        let odd: Vec<String> =
            (1..users).step_by(2).map(|number| member(number).replace("ou=people", "OU=People")).collect();
        let inner = vec![format!("cn=Even,ou=groups,{BASE}")];
        for (name, members) in [("Even", &even), ("Odd", &odd), ("Everybody", &inner)] {
            let members = members.iter().map(String::as_str).collect();
            let entry = [("objectClass", vec!["groupOfNames"]), ("cn", vec![name]), ("member", members)];
            add(&mut ldap, &format!("cn={name},ou=groups,{BASE}"), &entry).await;
        }
        let (found, _) =
            ldap.search(BASE, Scope::Subtree, "(uid=user00)", vec!["uid"]).await.unwrap().success().unwrap();
        assert_eq!(found.len(), 1);
        ldap.unbind().await.unwrap();
    }

    /// Puts these values in the place of an attribute's; none removes it.
    pub(crate) async fn modify(&self, entry: &str, attribute: &str, values: &[&str]) {
        let mut ldap = self.admin().await;
        let change = Mod::Replace(attribute, values.iter().copied().collect());
        ldap.modify(&format!("{entry},{BASE}"), vec![change]).await.unwrap().success().unwrap();
        ldap.unbind().await.unwrap();
    }

    pub(crate) async fn remove(&self, entry: &str) {
        let mut ldap = self.admin().await;
        ldap.delete(&format!("{entry},{BASE}")).await.unwrap().success().unwrap();
        ldap.unbind().await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn add(ldap: &mut Ldap, dn: &str, entry: &[(&str, Vec<&str>)]) {
    let entry = entry.iter().map(|(name, values)| (*name, values.iter().copied().collect())).collect();
    ldap.add(dn, entry).await.unwrap().success().unwrap_or_else(|error| panic!("{dn}: {error}"));
}

/// Debian installs it where a user's PATH does not lead.
fn program() -> PathBuf {
    let sbin = PathBuf::from("/usr/sbin/slapd");
    if sbin.exists() { sbin } else { PathBuf::from("slapd") }
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
         moduleload memberof\npidfile {folder}/slapd.pid\nTLSCACertificateFile {folder}/ca.pem\n\
         TLSCertificateFile {folder}/server.pem\nTLSCertificateKeyFile {folder}/server.key\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by dn.exact=\"{READER}\" tls_ssf=128 read by * none\n\
         database mdb\nsuffix {BASE}\nrootdn {ADMIN}\nrootpw {ADMIN_PASSWORD}\ndirectory {folder}/data\n\
         limits dn.exact=\"{READER}\" size.soft=25 size.hard=25 size.pr=25 size.prtotal=unlimited\n\
         overlay memberof\n"
    )
}

fn certificates(folder: &Path) {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let authority = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        (Issuer::new(params, key), certificate.pem())
    };
    let (issuer, pem) = authority("test authority");
    write("ca.pem", pem);
    write("other-ca.pem", authority("another authority").1);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    write("server.pem", server.signed_by(&key, &issuer).unwrap().pem());
    write("server.key", key.serialize_pem());
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}
