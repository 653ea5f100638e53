# What scripts/run, scripts/test, scripts/bench and scripts/sqlx-prepare share. Sourced, not run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
minimum_rust=1.95
export PATH="$PATH:/usr/sbin:/sbin"

say() { printf '== %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
is_root() { [ "$(id -u)" = 0 ]; }
has() { command -v "$1" >/dev/null 2>&1; }

# The folder of initdb and postgres, newest version first; nothing when there is none.
postgres_bin() {
    local dir
    for dir in "${ALLOD_POSTGRES_BIN:-}" \
        $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
            /usr/lib/postgresql[0-9]*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin |
            sort -rV) \
        /usr/bin /usr/local/bin /opt/homebrew/bin; do
        if [ -n "$dir" ] && [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && [ "$(postgres_major "$dir")" -ge 15 ]; then
            echo "$dir"
            return 0
        fi
    done
    return 1
}

postgres_major() {
    local version
    version=$("$1/postgres" --version 2>/dev/null | grep -oE '[0-9]+' | head -n 1) || version=0
    echo "${version:-0}"
}

# Which of the named tools are missing: build, postgres, setpriv, node, python, nginx, dovecot.
missing_tools() {
    local tool
    for tool in "$@"; do
        case $tool in
        build) has cc || echo build ;;
        postgres) postgres_bin >/dev/null || echo postgres ;;
        setpriv) [ "$(uname -s)" != Linux ] || has setpriv || echo setpriv ;;
        certificates) [ "$(uname -s)" != Linux ] || [ -e /etc/ssl/certs/ca-certificates.crt ] ||
            [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/cert.pem ] || echo certificates ;;
        node) { has node && has npm; } || echo node ;;
        python) python_for_venv >/dev/null || echo python ;;
        nginx) has nginx || echo nginx ;;
        dovecot) { has dovecot && has doveadm; } || echo dovecot ;;
        esac
    done
}

# A Python 3.8 or newer that can make a virtual environment with pip in it.
python_for_venv() {
    local python
    for python in /usr/bin/python3 python3; do
        if has "$python" &&
            "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
            echo "$python"
            return 0
        fi
    done
    return 1
}

debian_package() {
    case $1 in
    build) echo build-essential ;;
    postgres) echo postgresql ;;
    setpriv) echo util-linux ;;
    certificates) echo ca-certificates ;;
    node) echo nodejs npm ;;
    python) echo python3-venv ;;
    nginx) echo nginx ;;
    dovecot) echo dovecot-imapd ;;
    esac
}

# The same tools elsewhere: fedora, alpine, arch, macos.
other_package() {
    case $1-$2 in
    *-build) case $1 in fedora) echo gcc ;; alpine) echo build-base ;; arch) echo base-devel ;; esac ;;
    fedora-postgres) echo postgresql-server ;;
    alpine-postgres) echo postgresql16 postgresql16-client ;;
    arch-postgres) echo postgresql ;;
    macos-postgres) echo postgresql@17 ;;
    fedora-setpriv | arch-setpriv) echo util-linux ;;
    alpine-setpriv) echo setpriv bash ;;
    *-certificates) echo ca-certificates ;;
    fedora-node | arch-node | alpine-node) echo nodejs npm ;;
    macos-node) echo node ;;
    fedora-python | alpine-python) echo python3 ;;
    arch-python | macos-python) echo python ;;
    *-nginx) echo nginx ;;
    *-dovecot) echo dovecot ;;
    esac
}

packages_for() {
    local system=$1 tool
    shift
    for tool in "$@"; do
        if [ "$system" = debian ]; then debian_package "$tool"; else other_package "$system" "$tool"; fi
    done | tr '\n' ' ' | sed 's/ $//'
}

# Installs what is missing of the named tools where that is allowed; else says what to install, and ends.
need_tools() {
    local missing packages
    missing=$(missing_tools "$@")
    [ -n "$missing" ] || return 0
    # Names without spaces, one a line: split below on purpose.
    if has apt-get; then
        # shellcheck disable=SC2086
        packages=$(packages_for debian $missing)
        # shellcheck disable=SC2086
        if is_root; then
            say "installing $packages"
            bash "$root/scripts/install-packages" $packages
        elif has sudo && sudo -n true 2>/dev/null; then
            say "installing $packages (by sudo)"
            sudo -n bash "$root/scripts/install-packages" $packages
        else
            die "these packages are missing, and this user may not install them. Run as root:
  bash $root/scripts/install-packages $packages"
        fi
        missing=$(missing_tools "$@")
        [ -z "$missing" ] || die "still missing after the installation: ${missing//$'\n'/ }"
    else
        # shellcheck disable=SC2086
        tell_other_systems $missing
    fi
}

tell_other_systems() {
    {
        echo "error: these are missing: $*. Install them with the line for your system, then run this again:"
        echo "  Fedora   sudo dnf install $(packages_for fedora "$@")"
        echo "  Alpine   doas apk add $(packages_for alpine "$@")"
        echo "  Arch     sudo pacman -S $(packages_for arch "$@")"
        echo "  macOS    xcode-select --install; brew install $(packages_for macos "$@")"
    } >&2
    exit 1
}

# Cargo of the version that the workspace needs, from rustup's usual place too.
need_rust() {
    if ! has cargo && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    if ! has cargo; then
        local hint="https://rustup.rs tells how; on most systems:
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . \"\$HOME/.cargo/env\""
        if is_root && [ -n "${SUDO_USER:-}" ]; then
            hint="$hint
  If $SUDO_USER has Rust: run this as $SUDO_USER, without sudo; packages are then installed by sudo where needed."
        fi
        die "Rust is missing (cargo $minimum_rust or newer). $hint"
    fi
    local version
    version=$(cd "$root" && cargo --version | cut -d ' ' -f 2) || die "cargo does not run"
    if [ "$(printf '%s\n' "$minimum_rust" "$version" | sort -V | head -n 1)" != "$minimum_rust" ]; then
        die "cargo is $version, and allod needs $minimum_rust or newer. By rustup:  rustup update stable && rustup default stable"
    fi
}

cache_dir() { echo "${XDG_CACHE_HOME:-$HOME/.cache}/allod"; }

# Where cargo builds: below the clone, or below the user's own cache when the clone belongs to somebody else. Absolute,
# because cargo is called from the clone and we may have been called from anywhere.
set_target_dir() {
    target=${CARGO_TARGET_DIR:-$root/target}
    case $target in /*) ;; *) target=$PWD/$target ;; esac
    if ! mkdir -p "$target" 2>/dev/null || [ ! -w "$target" ]; then
        target=$(cache_dir)/target
        mkdir -p "$target"
    fi
    export CARGO_TARGET_DIR=$target
}

# hold_lock FILE: one at a time from here on, until release_lock; file descriptor 8.
hold_lock() {
    has flock || return 0
    mkdir -p "$(dirname "$1")"
    exec 8>"$1"
    flock -n 8 || {
        say "another run of this is at work; waiting for it"
        flock 8
    }
}
release_lock() { exec 8>&- || true; }

# The system user that a hub started as root becomes.
need_user() {
    if ! getent passwd allod >/dev/null; then
        say "making the system user allod"
        useradd --system --user-group --home-dir /var/lib/allod --no-create-home --shell /usr/sbin/nologin allod ||
            getent passwd allod >/dev/null # another run of this may have been first
    fi
}

# install_hub BINARY PREFIX: binary, packs and recipes to where user allod can read them. Each is put in place by one
# rename, so that a hub that starts meanwhile sees the old or the new, never half.
install_hub() {
    local binary=$1 prefix=$2 stamp fresh old
    stamp=$(date +%s)-$$
    fresh=$prefix/share/allod-$stamp
    (
        umask 022
        mkdir -p "$prefix/bin" "$prefix/share" "$fresh/rules"
        chmod 755 "$prefix" "$prefix/bin" "$prefix/share"
        cp -R "$root/plugins" "$fresh/plugins"
        cp -R "$root/rules/recipes" "$fresh/rules/recipes"
        chmod -R u=rwX,go=rX "$fresh"
        old=$(readlink "$prefix/share/allod" || true)
        ln -s "allod-$stamp" "$prefix/share/.allod-$stamp"
        mv -T "$prefix/share/.allod-$stamp" "$prefix/share/allod"
        install -m 755 "$binary" "$prefix/bin/.allod-$stamp"
        mv -T "$prefix/bin/.allod-$stamp" "$prefix/bin/allod"
        case $old in allod-*) rm -rf "${prefix:?}/share/$old" ;; esac
    )
}

# npm's packages for tests/pgboss, among them the Node that pg-boss needs; again only when package.json changes.
node_packages() {
    local folder node=$root/tests/pgboss/node_modules/.bin/node
    for folder in "$root/tests/pgboss" "$root/tests/vendors"; do
        if cmp -s "$folder/package.json" "$folder/node_modules/.installed" && "$node" --version >/dev/null 2>&1; then
            continue
        fi
        (cd "$folder" && npm install --no-package-lock --no-audit --no-fund --loglevel=error)
        "$node" --version
        cp "$folder/package.json" "$folder/node_modules/.installed"
    done
}

# start_cluster DIR [durable]: a throwaway PostgreSQL with its socket in DIR, made and run by an unprivileged user.
# Anybody who can enter DIR (mode 0700) is superuser. Nothing in it survives a crash, unless it is durable: then it syncs
# as a hub's own database does, for measuring. Sets cluster_pid.
start_cluster() {
    local dir=$1 kind=${2:-fast} bin as=()
    bin=$(postgres_bin) || die "PostgreSQL is not installed"
    mkdir -m 700 "$dir"
    if is_root; then
        local user=nobody
        getent passwd postgres >/dev/null && user=postgres
        chown "$user:" "$dir"
        as=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
    fi
    # The server ends with this script even when the script is killed.
    local held=() locale=C
    if is_root; then
        held=("${as[@]}" --pdeathsig INT)
    elif has setpriv; then
        held=(setpriv --pdeathsig INT)
    fi
    if locale -a 2>/dev/null | grep -qixE 'C.utf-?8'; then locale=C.UTF-8; fi
    # Commands run from DIR: the user may not be able to enter where we are.
    (cd "$dir" && ${as[@]+"${as[@]}"} "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale="$locale" \
        --no-sync --no-instructions >"$dir/initdb.log" 2>&1) ||
        { cat "$dir/initdb.log" >&2; die "initdb failed"; }
    cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
max_connections = 300
shared_buffers = 128MB
max_locks_per_transaction = 256
CONF
    if [ "$kind" = durable ]; then
        # What src/spine/database/cluster.rs gives the hub's own database.
        cat >>"$dir/data/postgresql.conf" <<CONF
max_wal_size = 512MB
wal_compression = on
checkpoint_timeout = 10min
random_page_cost = 1.1
jit = off
CONF
    else
        cat >>"$dir/data/postgresql.conf" <<CONF
fsync = off
synchronous_commit = off
full_page_writes = off
CONF
    fi
    (cd "$dir" && exec ${held[@]+"${held[@]}"} "$bin/postgres" -D "$dir/data") >"$dir/log" 2>&1 &
    cluster_pid=$!
    local tries=0
    until "$bin/psql" -h "$dir" -U postgres -d postgres -qAtc 'select 1' >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$cluster_pid" 2>/dev/null; then
            cat "$dir/log" >&2
            die "the test database does not start"
        fi
        sleep 0.1
    done
    "$bin/psql" -h "$dir" -U postgres -d postgres -v ON_ERROR_STOP=1 -qf "$root/src/spine/database/roles.sql"
}

stop_cluster() {
    [ -n "${cluster_pid:-}" ] || return 0
    kill -INT "$cluster_pid" 2>/dev/null || true
    wait "$cluster_pid" 2>/dev/null || true
    cluster_pid=
}
