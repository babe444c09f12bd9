"""The database's roles: what each may, and what an administrator needs to set them up."""

import json
import stat

import psycopg
import pytest
from psycopg import sql

from wallet.run import migrate, roles
from wallet.run.faults import Fault
from wallet.run.postgres import Cluster

WORDS = roles.Passwords(migrator="m" * 8, app="a" * 8, audit="u" * 8, superuser="s" * 8)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A cluster without our groups yet: they belong to a whole cluster, and the tests' own has them."""
    cluster = Cluster(tmp_path_factory.mktemp("roles") / "pg", password="c3" * 16, settings={"shared_buffers": "8MB"})
    with cluster.using():
        with psycopg.connect(cluster.url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'x'")
            admin.execute("CREATE ROLE builder LOGIN CREATEROLE CREATEDB PASSWORD 'x'")
            admin.execute("CREATE ROLE poor LOGIN PASSWORD 'x'")
        yield cluster
    cluster.remove()


@pytest.fixture
def without_groups(server):
    """Forget all databases and roles of ours."""
    yield
    with psycopg.connect(server.url(), autocommit=True) as admin:
        for (name,) in admin.execute("SELECT datname FROM pg_database WHERE oid > 16383 AND datname <> 'postgres'"):
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        rows = admin.execute(
            "SELECT rolname FROM pg_roles WHERE rolname ~ '^(?!pg_).*_(owner|app|audit|migrator)$'"
        ).fetchall()
        for (name,) in rows:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def as_role(server, role: str, database: str) -> str:
    return roles.login_url(server.url(), role, "x", database=database)


def refused(url: str, statement: str) -> bool:
    with psycopg.connect(url) as connection:
        try:
            connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            return True
    return False


@pytest.mark.usefixtures("without_groups")
def test_a_role_that_may_create_roles_and_owns_the_database_is_enough(server):
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE hue OWNER boss")
    urls = roles.bootstrap(as_role(server, "boss", "hue"), WORDS)
    assert migrate.upgrade(urls.migrator)[-1] == migrate.newest()
    assert roles.bootstrap(as_role(server, "boss", "hue"), WORDS) == urls, "again changes nothing"
    for name, url in (("app", urls.app), ("audit", urls.audit), ("migrator", urls.migrator)):
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (f"hue_{name}",)


@pytest.mark.usefixtures("without_groups")
def test_a_missing_database_is_made_when_the_role_may(server):
    urls = roles.bootstrap(as_role(server, "builder", "hue"), WORDS)
    with psycopg.connect(urls.app) as connection:
        row = connection.execute(
            "SELECT datlocprovider::text, datlocale FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row == ("b", "C.UTF-8")


@pytest.mark.usefixtures("without_groups")
def test_a_database_called_wallet_does_not_make_a_login_of_a_group(server):
    urls = roles.bootstrap(server.url("wallet"), WORDS)
    assert roles.login_names("wallet").app == "wallet_db_app"
    assert migrate.upgrade(urls.migrator)
    with psycopg.connect(server.url()) as admin:
        assert admin.execute(
            "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname = ANY(%s)", [list(roles.GROUPS)]
        ).fetchone() == (0,)


@pytest.mark.usefixtures("without_groups")
@pytest.mark.parametrize(
    ("role", "database", "line"),
    [
        ("poor", "theirs", "Role poor may not create roles"),
        ("boss", "theirs", "boss"),
        ("boss", "missing", "The database missing is missing and cannot be made"),
        ("stranger", "theirs", "password authentication failed"),
    ],
)
def test_a_role_that_may_not_is_told_so_in_one_line(server, role, database, line):
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE theirs OWNER builder")
    with pytest.raises(Fault, match=line) as caught:
        roles.bootstrap(as_role(server, role, database), WORDS)
    assert "\n" not in str(caught.value)
    assert ":x@" not in str(caught.value)


@pytest.mark.usefixtures("without_groups")
def test_groups_that_another_administrator_made_are_told_in_one_line(server):
    roles.bootstrap(as_role(server, "builder", "hue"), WORDS)
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE vinh OWNER boss")
    with pytest.raises(Fault, match="Role boss may not set up database vinh: permission denied to grant role"):
        roles.bootstrap(as_role(server, "boss", "vinh"), WORDS)


def test_a_name_that_postgres_would_cut_short_is_refused():
    with pytest.raises(Fault, match="longer than 54 bytes"):
        roles.login_names("x" * 55)


def test_nobody_else_may_connect_or_create(database):
    with database.superuser() as superuser:
        superuser.execute("DROP ROLE IF EXISTS passer_by")
        superuser.execute("CREATE ROLE passer_by LOGIN PASSWORD 'x'")
        url = roles.login_url(database.owner_url, "passer_by", "x")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(url)
        superuser.execute("DROP ROLE passer_by")


@pytest.mark.parametrize("who", ["database_url", "audit_database_url", "migrator_database_url"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.mine ()",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION ledger.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "INSERT INTO ledger.posting DEFAULT VALUES",
        "DELETE FROM ledger.posting",
        "TRUNCATE ledger.posting",
        "ALTER TABLE ledger.posting DISABLE TRIGGER ALL",
    ],
)
def test_no_login_as_it_connects_can_create_anything_or_write_the_ledger(database, who, statement):
    """Row 86, and the migrator: it must say SET ROLE first."""
    assert refused(getattr(database.config, who), statement)


@pytest.mark.parametrize("who", ["database_url", "audit_database_url"])
@pytest.mark.parametrize("role", roles.GROUPS)
def test_neither_app_nor_auditor_can_become_somebody_else(database, who, role):
    assert refused(getattr(database.config, who), f"SET ROLE {role}")


def test_the_migrator_becomes_owner_by_saying_so(database):
    with psycopg.connect(database.config.migrator_database_url) as connection:
        connection.execute("SET ROLE wallet_owner")
        assert connection.execute("SELECT count(*) >= 0 FROM ledger.posting").fetchone() == (True,)


def test_a_new_function_is_nobodys_to_call_until_it_is_granted(fresh_database):
    """Otherwise an auditor who may only read could call what writes."""
    with psycopg.connect(fresh_database.config.migrator_database_url, autocommit=True) as connection:
        connection.execute("SET ROLE wallet_owner")
        connection.execute("CREATE FUNCTION ledger.fresh() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        row = connection.execute("SELECT has_function_privilege('public', 'ledger.fresh()', 'EXECUTE')").fetchone()
    assert row == (False,)
    assert refused(fresh_database.config.audit_database_url, "SELECT ledger.fresh()")


def test_passwords_are_random_kept_and_their_owners_only(tmp_path):
    file = tmp_path / "var" / "roles.json"
    first = roles.passwords(file, "embedded")
    assert roles.passwords(file, "embedded") == first
    other = roles.passwords(file, "10.0.0.1:5432/hue")
    assert len({*json.loads(file.read_text())["embedded"].values(), other.app}) == 5
    assert min(map(len, (first.app, first.migrator, first.audit, first.superuser))) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_damaged_password_file_is_one_clear_line(tmp_path):
    (tmp_path / "roles.json").write_text("{")
    with pytest.raises(Fault, match="is damaged"):
        roles.passwords(tmp_path / "roles.json", "embedded")


def test_the_servers_log_never_sees_a_password(server, without_groups):
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        admin.execute("SELECT pg_reload_conf()")
    words = roles.Passwords(migrator="plain-m", app="plain-a", audit="plain-u", superuser="-")
    roles.bootstrap(server.url("hue"), words)
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("ALTER SYSTEM RESET log_statement")
        admin.execute("SELECT pg_reload_conf()")
    log = server.log.read_text()
    assert "SCRAM-SHA-256$" in log
    assert "plain-" not in log
