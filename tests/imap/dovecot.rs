//! A real Dovecot on loopback with one user, whose mails are files.

use std::collections::BTreeMap;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PASSWORD: &str = "correct horse";
const PATIENCE: Duration = Duration::from_secs(60);

/// Stopped at the end.
pub(crate) struct Dovecot {
    dir: PathBuf,
    child: Option<Child>,
    pub(crate) port: u16,
    /// With TLS from the first byte on; 0: none.
    pub(crate) tls_port: u16,
    written: std::cell::Cell<u64>,
}

/// Who runs it where the tests run as root, which Dovecot lets read no mail.
fn nobody() -> Option<(u32, u32)> {
    let number = |flag: &str, name: &str| {
        let output = Command::new("id").args([flag, name]).output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse::<u32>()
            .unwrap()
    };
    let me = Command::new("id").arg("-u").output().unwrap().stdout;
    (me == b"0\n").then(|| (number("-u", "nobody"), number("-g", "nobody")))
}

fn name_of(what: &str) -> String {
    let output = Command::new("id").args([what, "-n"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Dovecot {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// With a certificate and its key, in PEM.
    pub(crate) fn start_with(tls: Option<(&str, &str)>) -> Self {
        let short = uuid::Uuid::new_v4().simple().to_string();
        let dir = Path::new("/tmp").join(format!("allod-mail-{}", &short[..8]));
        for folder in ["", "run", "state", "mail"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let mut dovecot = Self {
            dir,
            child: None,
            port: free_port(),
            tls_port: tls.map_or(0, |_| free_port()),
            written: std::cell::Cell::new(0),
        };
        dovecot.configure(tls);
        dovecot.on();
        dovecot
    }

    fn configure(&self, tls: Option<(&str, &str)>) {
        let (user, group, ids) = match nobody() {
            Some((uid, gid)) => ("nobody".to_owned(), group_of(gid), format!("uid={uid} gid={gid}")),
            None => {
                let number = |flag: &str| {
                    String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap()
                };
                let ids = format!("uid={} gid={}", number("-u").trim(), number("-g").trim());
                (name_of("-u"), name_of("-g"), ids)
            }
        };
        let (at, port, tls_port) = (self.dir.display(), self.port, self.tls_port);
        let mut ssl = "no".to_owned();
        if let Some((certificate, key)) = tls {
            for (name, text) in [("cert.pem", certificate), ("key.pem", key)] {
                std::fs::write(self.dir.join(name), text).unwrap();
                self.give(&self.dir.join(name));
            }
            ssl = format!("yes\nssl_cert = <{at}/cert.pem\nssl_key = <{at}/key.pem");
        }
        let config = format!(
            "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/log\nprotocols = imap\nlisten = 127.0.0.1\n\
             ssl = {ssl}\ndisable_plaintext_auth = no\ndefault_internal_user = {user}\ndefault_internal_group = {group}\n\
             default_login_user = {user}\nauth_mechanisms = plain login\nauth_failure_delay = 0\nmail_fsync = never\n\
             passdb {{\n driver = passwd-file\n args = scheme=PLAIN username_format=%u {at}/users\n}}\n\
             userdb {{\n driver = static\n args = {ids} home={at}/mail/%u\n}}\n\
             mail_location = maildir:~/Maildir\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n\
             service anvil {{\n chroot =\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imap {{\n address = 127.0.0.1\n port = {port}\n }}\n \
             inet_listener imaps {{\n address = 127.0.0.1\n port = {tls_port}\n }}\n}}\n\
             namespace inbox {{\n inbox = yes\n separator = /\n mailbox Junk {{\n special_use = \\Junk\n auto = create\n }}\n}}\n"
        );
        std::fs::write(self.dir.join("dovecot.conf"), config).unwrap();
        self.password_is(PASSWORD);
        self.give(&self.dir);
        for folder in ["run", "state", "mail"] {
            self.give(&self.dir.join(folder));
        }
    }

    fn give(&self, path: &Path) {
        if let Some((uid, gid)) = nobody() {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if let Some((uid, gid)) = nobody() {
            command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
            command.arg("--clear-groups");
        }
        // It ends with the test, even when the test is killed.
        command
            .args(["--pdeathsig", "INT", program, "-c"])
            .arg(self.dir.join("dovecot.conf"));
        command.current_dir(&self.dir).stdin(Stdio::null());
        command
    }

    pub(crate) fn on(&mut self) {
        let log = std::fs::File::create(self.dir.join("out")).unwrap();
        let child = self
            .command("dovecot")
            .arg("-F")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("dovecot is installed: run scripts/test"));
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "Dovecot doesn't listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn off(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Else who is signed in is served on.
            let _ = self.command("doveadm").args(["kick", "alice"]).output();
            let pid = child.id().to_string();
            Command::new("kill").args(["-TERM", &pid]).status().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn password(&self) -> &'static str {
        PASSWORD
    }

    pub(crate) fn password_is(&self, password: &str) {
        let users = self.dir.join("users");
        std::fs::write(&users, format!("alice:{{PLAIN}}{password}\n")).unwrap();
        self.give(&users);
    }

    /// How often somebody tried to sign in, and was refused.
    pub(crate) fn refusals(&self) -> usize {
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("auth failed")).count()
    }

    fn folder(&self, name: &str) -> PathBuf {
        let home = self.dir.join("mail/alice");
        let mail = home.join("Maildir");
        let folder = match name {
            "INBOX" => mail.clone(),
            // As Maildir++ writes what is below another.
            other => mail.join(format!(".{}", other.replace('/', "."))),
        };
        for path in [home, mail, folder.clone()]
            .into_iter()
            .chain(["cur", "new", "tmp"].map(|one| folder.join(one)))
        {
            if !path.exists() {
                std::fs::create_dir(&path).unwrap();
                self.give(&path);
            }
        }
        folder
    }

    /// Delivers a mail as it is, with flags as Maildir writes them (`S`: read, `F`: flagged).
    pub(crate) fn deliver(&self, folder: &str, mail: &[u8], flags: &str) {
        let number = self.written.get() + 1;
        self.written.set(number);
        let at = self.folder(folder);
        let (from, to) = (
            at.join(format!("tmp/{number}")),
            at.join(format!("cur/{number:08}.M1.test:2,{flags}")),
        );
        std::fs::write(&from, mail).unwrap();
        self.give(&from);
        std::fs::rename(from, to).unwrap();
    }

    /// Asks Dovecot's own tool to change something in Alice's mailbox.
    pub(crate) fn change(&self, arguments: &[&str]) {
        let (verb, rest) = match arguments[0] {
            "flags" | "mailbox" => arguments.split_at(2),
            _ => arguments.split_at(1),
        };
        let done = self
            .command("doveadm")
            .args(verb)
            .args(["-u", "alice"])
            .args(rest)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// UIDVALIDITY is another one from now on: all of a folder is numbered anew.
    pub(crate) fn renumber(&mut self, folder: &str) {
        self.off();
        let at = self.folder(folder);
        let names: BTreeMap<String, PathBuf> = std::fs::read_dir(&at)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
            .collect();
        for (name, path) in names {
            if name.starts_with("dovecot") {
                std::fs::remove_file(path).unwrap();
            }
        }
        self.on();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn group_of(gid: u32) -> String {
    let output = Command::new("getent")
        .args(["group", &gid.to_string()])
        .output()
        .unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    line.split(':').next().unwrap().to_owned()
}

impl Drop for Dovecot {
    #[expect(
        clippy::print_stdout,
        reason = "what the server said is part of why a story failed"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            println!("the end of Dovecot's log, backwards: {tail:#?}");
        }
        self.off();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
