"""The database's roles: who may do what, before the first table exists.

What    Makes, in any PostgreSQL that lets us, the groups and the logins of one database, as often as one
        likes.
Words   Groups own and read; nobody logs in as a group: `wallet_owner` owns every table and function,
        `wallet_app` is what web and worker may do, `wallet_audit` is what an auditor may read. Logins are per
        database: `<database>_migrator`, which may become the owner but never is it by itself,
        `<database>_app` and `<database>_audit`.
Rules   Nobody else may connect, make temporary tables or create anything; what a group may do with a table is
        granted by the migration that makes it.
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg import sql

from wallet.run.faults import Fault, one_line

OWNER: Final = "wallet_owner"
APP: Final = "wallet_app"
AUDIT: Final = "wallet_audit"
GROUPS: Final = (OWNER, APP, AUDIT)

NAME_BYTES_MAX: Final = 63 - len("_migrator")
"""PostgreSQL cuts longer names short without a word, and two logins would become one."""

ROLES_LOCK: Final = 0x7472_6F6C
"""Advisory lock ("trol"): two starts do not make the same roles at once. It holds within one database only,
so the statements below also bear being run at the same time from two databases."""

CONNECT_S_MAX: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """One random password for each login of a database, and for the superuser of a cluster of our own."""

    migrator: str
    app: str
    audit: str
    superuser: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """How each login connects."""

    migrator: str
    app: str
    audit: str


def passwords(file: Path, database: str) -> Passwords:
    """Return the passwords kept for a database; made at random the first time, in a file only its owner
    reads.

    Args:
        file: usually var/roles.json.
        database: any name for the database that stays the same, such as host:port/name.

    Raises:
        Fault: the file cannot be read or written.
    """
    try:
        kept = json.loads(file.read_text()) if file.exists() else {}
        if database not in kept:
            kept[database] = {name: secrets.token_hex(24) for name in Passwords.__dataclass_fields__}
            file.parent.mkdir(parents=True, exist_ok=True)
            fresh = file.with_name(f".{file.name}.{os.getpid()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
                json.dump(kept, handle, indent=1)
                handle.write("\n")
                handle.flush()
                os.fsync(handle.fileno())
            fresh.replace(file)
        return Passwords(**kept[database])
    except OSError as error:
        raise Fault(f"{file} cannot be used: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise Fault(f"{file} is damaged: put a copy back, or remove it to make new passwords.") from error


def login_names(database: str) -> Urls:
    """Return the login names of a database. One that is called `wallet` must not make a login of a group's
    name.

    Raises:
        Fault: the name is too long.
    """
    if len(database.encode()) > NAME_BYTES_MAX:
        raise Fault(f"The database's name {database!r} is longer than {NAME_BYTES_MAX} bytes.")
    stem = "wallet_db" if database == "wallet" else database
    return Urls(migrator=f"{stem}_migrator", app=f"{stem}_app", audit=f"{stem}_audit")


def bootstrap(admin_url: str, words: Passwords, *, logins: Urls | None = None) -> Urls:
    """Make the database (if it is missing), the groups and the logins, and close the door behind them.

    Args:
        admin_url: of a role that may create roles and owns the database, or may create it; or of a superuser.
        words: the logins' passwords; a login that exists gets them anew.
        logins: other names than the database's own; tests share them among many databases.

    Returns:
        The URLs of the three logins in that database.

    Raises:
        Fault: the server does not answer, or the role may not do it.
    """
    database = database_of(admin_url)
    names = logins or login_names(database)
    with _connect(admin_url) as admin:
        try:
            _require_may_create_roles(admin)
            admin.execute("SELECT pg_advisory_lock(%s)", [ROLES_LOCK])
            for group in GROUPS:
                _create_role(admin, group, sql.SQL("NOLOGIN"))
            # The migrator may become the owner (SET) but has none of its rights by itself (INHERIT).
            _login(admin, names.migrator, words.migrator, OWNER, sql.SQL("INHERIT FALSE, SET TRUE"))
            _login(admin, names.app, words.app, APP, sql.SQL("INHERIT TRUE, SET FALSE"))
            _login(admin, names.audit, words.audit, AUDIT, sql.SQL("INHERIT TRUE, SET FALSE"))
            close(admin, database, names)
        except psycopg.errors.InsufficientPrivilege as error:
            raise Fault(
                f"Role {admin.info.user} may not set up database {database}: {one_line(error)}. "
                "It must own the database and have made its roles, or be a superuser."
            ) from error
    return Urls(
        migrator=login_url(admin_url, names.migrator, words.migrator),
        app=login_url(admin_url, names.app, words.app),
        audit=login_url(admin_url, names.audit, words.audit),
    )


def database_of(url: str) -> str:
    """Return the name of the database that a URL names."""
    return unquote(urlsplit(url).path.lstrip("/"))


def login_url(url: str, user: str, password: str, *, database: str | None = None) -> str:
    """Return `url` with another user, and another database if given; host, port and options stay."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    path = parts.path if database is None else "/" + quote(database, safe="")
    who = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{who}@{where}", path=path).geturl()


def place_of(url: str) -> str:
    """Return host, port and database of a URL, without user and password: for messages, and to keep passwords
    by."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path + (f"?{parts.query}" if not parts.hostname else "")


def check(name: str, url: str) -> None:
    """Connect once, so that what is wrong is said before anything starts.

    Raises:
        Fault: naming the variable `name`, without the URL's password.
    """
    try:
        psycopg.connect(url, connect_timeout=CONNECT_S_MAX).close()
    except psycopg.OperationalError as error:
        raise Fault(f"{name}: {place_of(url)} cannot be used: {one_line(error)}.") from error


def _connect(admin_url: str) -> psycopg.Connection:
    """Connect as the administrator, making the database first when it is missing and that is allowed."""
    try:
        return psycopg.connect(admin_url, autocommit=True, connect_timeout=CONNECT_S_MAX)
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error) or "database" not in str(error):
            raise Fault(f"The database {place_of(admin_url)} cannot be used: {one_line(error)}.") from error
    database = database_of(admin_url)
    parts = urlsplit(admin_url)
    try:
        with psycopg.connect(
            parts._replace(path="/postgres").geturl(), autocommit=True, connect_timeout=CONNECT_S_MAX
        ) as admin:
            create_database(admin, database)
        return psycopg.connect(admin_url, autocommit=True, connect_timeout=CONNECT_S_MAX)
    except psycopg.Error as error:
        raise Fault(f"The database {database} is missing and cannot be made: {one_line(error)}.") from error


def create_database(admin: psycopg.Connection, database: str, *, template: str = "template0") -> None:
    """Create a database with the builtin locale C.UTF-8: the same order of letters wherever it runs.

    One that exists by now is fine.
    """
    names = sql.Identifier(database), sql.Identifier(template)
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names)
    if template == "template0":
        statement += sql.SQL(" ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'")
    try:
        admin.execute(statement)
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        return


def _require_may_create_roles(admin: psycopg.Connection) -> None:
    row = admin.execute("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user").fetchone()
    if row is None or not row[0]:
        raise Fault(
            f"Role {admin.info.user} may not create roles: give DATABASE_URL a superuser or a role with "
            "CREATEROLE, or set DATABASE_URL, AUDIT_DATABASE_URL and MIGRATOR_DATABASE_URL all three."
        )


def _create_role(admin: psycopg.Connection, name: str, kind: sql.SQL) -> None:
    if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
        return
    try:
        admin.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(name), kind))
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        return  # another database of the same cluster was set up in the same moment


def _login(admin: psycopg.Connection, name: str, word: str, group: str, options: sql.SQL) -> None:
    """Make a login with a password and its one group. The server, and so its log, sees only the SCRAM
    verifier."""
    _create_role(admin, name, sql.SQL("LOGIN"))
    verifier = admin.pgconn.encrypt_password(word.encode(), name.encode(), b"scram-sha-256").decode()
    _again_if_concurrent(
        admin,
        sql.SQL("ALTER ROLE {} LOGIN INHERIT PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier)),
    )
    _again_if_concurrent(
        admin,
        sql.SQL("GRANT {} TO {} WITH ADMIN FALSE, {}").format(sql.Identifier(group), sql.Identifier(name), options),
    )


def close(admin: psycopg.Connection, database: str, names: Urls) -> None:
    """Let only the three logins in, and only the owner create."""
    base = sql.Identifier(database)
    for statement in (
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(base),
        sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC").format(sql.Identifier("public")),
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(base, sql.Identifier(OWNER)),
        *(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(base, sql.Identifier(name))
            for name in (names.migrator, names.app, names.audit)
        ),
    ):
        _again_if_concurrent(admin, statement)
    # Somebody who does not own the database is only warned, so look at what came of it.
    row = admin.execute(
        """
        SELECT has_database_privilege('public', %(database)s, 'CONNECT, TEMPORARY'),
               has_schema_privilege('public', 'public', 'CREATE'),
               has_database_privilege(%(owner)s, %(database)s, 'CREATE')
        """,
        {"database": database, "owner": OWNER},
    ).fetchone()
    if row != (False, False, True):
        raise Fault(f"Role {admin.info.user} does not own database {database} and cannot close it to others.")


def _again_if_concurrent(admin: psycopg.Connection, statement: sql.Composed) -> None:
    """Run a statement that changes a row of the catalogue, again while another session changes the same
    row."""
    for left in reversed(range(5)):
        try:
            admin.execute(statement)
        except psycopg.errors.InternalError_ as error:
            if "concurrently" not in str(error) or left == 0:
                raise
        else:
            return
