//! Gives up root before anything else happens: a hub that was started as root runs itself again as user `allod`.
//!
//! Takes and makes no events or jobs; called first thing in `main`, before the runtime's threads exist.
//! Invariant: nothing that parses input from the network ever runs as root, and nothing that this program starts can
//! become root again (`no_new_privs`, no capabilities to inherit).
//! Begin with [`drop_root`]. util-linux's `setpriv` does the change, so that no unsafe code is needed here.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Gid, Mode, OFlags, Uid};

/// The system user that the hub runs as when it was started as root.
const USER: &str = "allod";

/// Why the hub does not go on as root.
#[derive(Debug)]
pub(crate) enum DropRootError {
    /// The user isn't there.
    NoUser,
    /// `allod` may not be root by another name.
    UserIsRoot,
    /// The data directory belongs to somebody else, or is no directory.
    DataDir { path: PathBuf, why: String },
    /// The user can't reach the data directory.
    DataDirUnreachable(PathBuf),
    /// The user can't run this program, for example because it lies in root's home.
    BinaryUnreachable(PathBuf),
    /// `setpriv` of util-linux is missing or failed.
    Setpriv(std::io::Error),
    /// This program's own path, or the list of users, can't be read.
    System {
        what: &'static str,
        source: std::io::Error,
    },
}

impl std::fmt::Display for DropRootError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoUser => write!(
                f,
                "the hub was started as root and runs as user `{USER}`, who does not exist. Run scripts/run, or make \
                 the user:\n  useradd --system --user-group --home-dir /var/lib/allod --no-create-home \
                 --shell /usr/sbin/nologin {USER}"
            ),
            Self::UserIsRoot => write!(f, "user `{USER}` has the id of root; give it an id of its own"),
            Self::DataDir { path, why } => write!(f, "data directory {}: {why}", path.display()),
            Self::DataDirUnreachable(path) => write!(
                f,
                "user `{USER}` cannot enter {}: a directory above it is closed. Choose another, such as /var/lib/allod",
                path.display()
            ),
            Self::BinaryUnreachable(path) => write!(
                f,
                "user `{USER}` cannot run {}. Use scripts/run, which copies the program to where that user can",
                path.display()
            ),
            Self::Setpriv(source) => write!(
                f,
                "`setpriv` (package util-linux) is needed to give up root and could not be run: {source}. Install it, \
                 or start the hub as a normal user"
            ),
            Self::System { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl std::error::Error for DropRootError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Setpriv(source) | Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Who the hub becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

/// Returns at once when this isn't root. As root it makes the data directory, hands it to user `allod`, and replaces
/// this process by the same command run as that user, told of the directory by `ALLOD_DATA_DIR`; then it returns only
/// with an error. The process id stays, so supervisors and signals don't notice.
pub(crate) fn drop_root(data_dir: &Path) -> Result<(), DropRootError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(|source| DropRootError::System {
        what: "cannot read /etc/passwd",
        source,
    })?;
    let account = account(&users)?;
    let data_dir = std::path::absolute(data_dir).map_err(|source| DropRootError::System {
        what: "cannot resolve the data directory",
        source,
    })?;
    let binary = std::env::current_exe().map_err(|source| DropRootError::System {
        what: "cannot find this program's own path",
        source,
    })?;
    hand_over(&data_dir, &account)?;
    if !may(&account, "-x", &binary)? {
        return Err(DropRootError::BinaryUnreachable(binary));
    }
    if !may(&account, "-w", &data_dir)? {
        return Err(DropRootError::DataDirUnreachable(data_dir));
    }
    // Relative paths among the arguments keep their meaning where the user may follow them.
    let directory = if may(&account, "-x", Path::new("."))? {
        Path::new(".")
    } else {
        Path::new("/")
    };
    let failed = command(&account, &binary, std::env::args_os().skip(1), &data_dir)
        .current_dir(directory)
        .exec();
    Err(DropRootError::Setpriv(failed))
}

/// The entry of `allod` in `/etc/passwd` (name, password, uid, gid, comment, home, shell).
fn account(users: &str) -> Result<Account, DropRootError> {
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|f| f.first() == Some(&USER));
    let Some([_, _, uid, gid, _, home, ..]) = fields.as_deref() else {
        return Err(DropRootError::NoUser);
    };
    let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else {
        return Err(DropRootError::NoUser);
    };
    if uid == 0 || gid == 0 {
        return Err(DropRootError::UserIsRoot);
    }
    Ok(Account {
        uid,
        gid,
        home: PathBuf::from(home),
    })
}

/// Makes the data directory (0700) and gives it to the user. One that exists is given away only when it is empty and
/// root's own: a mistyped `--data-dir /etc` must not change `/etc`.
fn hand_over(data_dir: &Path, account: &Account) -> Result<(), DropRootError> {
    let refuse = |why: String| DropRootError::DataDir {
        path: data_dir.to_owned(),
        why,
    };
    if let Some(parent) = data_dir.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|e| refuse(format!("cannot make the directory above it: {e}")))?;
    }
    match rustix::fs::mkdir(data_dir, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(refuse(format!("cannot be made: {errno}"))),
    }
    // Everything from here on goes through one descriptor, so that nobody can swap the directory for a link.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(data_dir, flags, Mode::empty())
        .map(File::from)
        .map_err(|errno| {
            refuse(format!(
                "is a link, or no directory ({errno}); name the directory itself"
            ))
        })?;
    let meta = directory.metadata().map_err(|e| refuse(e.to_string()))?;
    match ownership(meta.uid(), is_empty(data_dir), account) {
        Ownership::Theirs => Ok(()),
        Ownership::GiveAway => {
            let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
            rustix::fs::fchmod(&directory, Mode::RWXU)
                .and_then(|()| rustix::fs::fchown(&directory, Some(uid), Some(gid)))
                .map_err(|errno| refuse(format!("cannot be given to user `{USER}`: {errno}")))
        }
        Ownership::Refuse => Err(refuse(not_ours(data_dir, meta.uid()))),
    }
}

/// Offers a `chown` only for what looks like a hub's data: obeyed on the wrong directory it would break the system.
fn not_ours(data_dir: &Path, owner: u32) -> String {
    let mut text = format!("belongs to uid {owner}, and the hub runs as user `{USER}`; name a new directory");
    if data_dir.join("postgres/PG_VERSION").exists() || data_dir.join("database.toml").exists() {
        text.push_str(&format!(
            ", or give it to that user: chown -R {USER}: {}",
            data_dir.display()
        ));
    }
    text
}

#[derive(Debug, PartialEq, Eq)]
enum Ownership {
    Theirs,
    GiveAway,
    Refuse,
}

fn ownership(owner: u32, empty: bool, account: &Account) -> Ownership {
    match owner {
        uid if uid == account.uid => Ownership::Theirs,
        0 if empty => Ownership::GiveAway,
        _ => Ownership::Refuse,
    }
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Asks the kernel, as the user, whether a path may be used: modes of all directories above it, access lists and
/// read-only mounts count.
fn may(account: &Account, test: &str, path: &Path) -> Result<bool, DropRootError> {
    setpriv(account)
        .args(["test", test])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .map_err(DropRootError::Setpriv)
        .and_then(|status| match status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(DropRootError::Setpriv(std::io::Error::other(format!(
                "it ended with {status}"
            )))),
        })
}

fn setpriv(account: &Account) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={}", account.uid))
        .arg(format!("--regid={}", account.gid))
        .args(["--init-groups", "--inh-caps=-all", "--no-new-privs", "--"]);
    command
}

fn command(
    account: &Account,
    binary: &Path,
    arguments: impl Iterator<Item = OsString>,
    data_dir: &Path,
) -> Command {
    let mut command = setpriv(account);
    command
        .arg(binary)
        .args(arguments)
        .env("ALLOD_DATA_DIR", data_dir)
        .env("HOME", &account.home)
        .env("USER", USER)
        .env("LOGNAME", USER)
        .env("SHELL", "/bin/sh");
    // Root's own places, which the user may not enter, and what sudo tells of the caller.
    for name in [
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "MAIL",
    ] {
        command.env_remove(name);
    }
    for name in ["SUDO_USER", "SUDO_UID", "SUDO_GID", "SUDO_COMMAND", "TMPDIR"] {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\nallodial:x:7:7::/:/bin/sh\n\
                         allod:x:998:997::/var/lib/allod:/usr/sbin/nologin\n";

    fn allod() -> Account {
        Account {
            uid: 998,
            gid: 997,
            home: PathBuf::from("/var/lib/allod"),
        }
    }

    #[test]
    fn the_user_is_found_by_its_whole_name() {
        assert_eq!(account(USERS).unwrap(), allod());
    }

    #[test]
    fn a_machine_without_the_user_is_told_the_command_that_makes_it() {
        for users in [
            "",
            "root:x:0:0:root:/root:/bin/bash\n",
            "allod:x:many:997::/:/bin/sh\n",
            "allod:x\n",
        ] {
            let refused = account(users).unwrap_err().to_string();
            assert!(
                refused.contains("useradd --system") && refused.ends_with(" allod"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_user_that_is_root_by_another_name_is_refused() {
        for users in ["allod:x:0:997::/:/bin/sh", "allod:x:998:0::/:/bin/sh"] {
            assert!(
                matches!(account(users), Err(DropRootError::UserIsRoot)),
                "{users}"
            );
        }
    }

    #[test]
    fn only_an_empty_directory_of_root_is_given_away() {
        assert_eq!(ownership(998, false, &allod()), Ownership::Theirs);
        assert_eq!(ownership(0, true, &allod()), Ownership::GiveAway);
        assert_eq!(ownership(0, false, &allod()), Ownership::Refuse, "such as /etc");
        assert_eq!(ownership(1000, true, &allod()), Ownership::Refuse);
    }

    #[test]
    fn nobody_is_told_to_give_a_system_directory_away() {
        assert!(!not_ours(Path::new("/etc"), 0).contains("chown"));
    }

    #[test]
    fn a_link_in_the_place_of_the_data_directory_is_refused() {
        let dir = std::env::temp_dir().join(format!("allod-link-{}", uuid::Uuid::new_v4().simple()));
        std::os::unix::fs::symlink("/etc", &dir).unwrap();
        let refused = hand_over(&dir, &allod()).unwrap_err().to_string();
        std::fs::remove_file(&dir).unwrap();
        assert!(refused.contains("is a link"), "{refused}");
    }

    #[test]
    fn the_new_process_keeps_the_arguments_and_loses_root_for_good() {
        let arguments = ["serve", "--listen", "127.0.0.1:0"].map(OsString::from);
        let command = command(
            &allod(),
            Path::new("/opt/allod"),
            arguments.into_iter(),
            Path::new("/var/lib/allod"),
        );
        let given: Vec<_> = command
            .get_args()
            .map(|a| a.to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            given,
            [
                "--reuid=998",
                "--regid=997",
                "--init-groups",
                "--inh-caps=-all",
                "--no-new-privs",
                "--",
                "/opt/allod",
                "serve",
                "--listen",
                "127.0.0.1:0"
            ]
        );
        let environment: Vec<_> = command.get_envs().collect();
        assert!(environment.contains(&("HOME".as_ref(), Some("/var/lib/allod".as_ref()))));
        assert!(environment.contains(&("ALLOD_DATA_DIR".as_ref(), Some("/var/lib/allod".as_ref()))));
        assert!(environment.contains(&("XDG_RUNTIME_DIR".as_ref(), None)));
    }
}
