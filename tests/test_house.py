"""The rules of the house: guarded doors, described doors, words for every refusal, and a safe role or no start."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask import Flask

from tests.databases import TestDatabase
from tests.make import City
from wallet import db, periods, refusal, words
from wallet.identity.roles import Role
from wallet.ledger import guard
from wallet.web import app as web
from wallet.web.gate import ANYONE

ROOT = Path(__file__).parents[1]
WEB, MARKET_WEB = ROOT / "wallet" / "web", ROOT / "market" / "web"


@pytest.fixture(scope="module")
def app(database: TestDatabase) -> Iterator[Flask]:
    with City(database) as city:
        assert city.app is not None
        yield city.app


# -- doors --------------------------------------------------------------------------------------------------


def test_every_route_names_the_roles_it_admits(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        admitted = getattr(app.view_functions[rule.endpoint], "admits", None)
        assert admitted, f"{rule.rule} names nobody"
        assert admitted == ANYONE or admitted <= frozenset(Role), rule.rule


OPEN = {
    "/",
    "/cho",
    "/cho/anh/<name>",
    "/cho/gian/<code>",
    "/cho/san-pham/<product>",
    "/city.css",
    "/dang-nhap",
    "/dang-xuat",
    "/docs",
    "/healthz",
    "/log/checkpoint",
    "/log/cosignatures",
    "/log/tile/<int:level>/<path:place>",
    "/mo-vi",
    "/mo-vi/ma",
    "/mo-vi/pin",
    "/ngon-ngu",
    "/openapi.json",
    "/q/<serial>",
    "/readyz",
    "/robots.txt",
    "/sitemap.xml",
    "/sitemap/<part>.xml",
    "/static/<path:filename>",
    "/stripe/events",
    "/v1/catalog/merchants/<merchant>",
    "/v1/catalog/products",
    "/v1/verify",
    "/xac-minh",
    "/xac-minh/<number>",
    "/xac-minh/<number>/<token>",
}
"""Doors that ask nobody who they are. Whoever adds one says so here."""


def test_doors_open_to_anyone_are_few_and_known(app: Flask) -> None:
    doors = {rule.rule: getattr(app.view_functions[rule.endpoint], "admits", None) for rule in app.url_map.iter_rules()}
    assert {path for path, admitted in doors.items() if admitted == ANYONE} == OPEN


def test_no_route_writes_by_a_get_and_none_takes_every_method(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        assert len(methods) == 1, f"{rule.rule} takes {methods}"


def test_every_door_under_v1_is_described(app: Flask) -> None:
    with app.test_client() as client:
        paths = client.get("/openapi.json").json["paths"]  # type: ignore[index]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    routed = {
        (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/v1/")
    }
    assert described == routed
    assert len(routed) >= 14


def test_the_specification_holds_together(app: Flask) -> None:
    """Every reference leads somewhere, every path parameter is declared, every operation has one name and an answer."""
    with app.test_client() as client:
        answer = client.get("/openapi.json")
    specification = answer.json
    assert specification is not None
    assert set(specification) == {"openapi", "info", "servers", "tags", "paths", "components"}
    assert specification["openapi"] == "3.1.0"
    references = set(re.findall(r'"\$ref":\s*"#/components/schemas/(\w+)"', answer.text))
    schemas = specification["components"]["schemas"]
    assert references - set(schemas) == set()
    assert all(schema["type"] == "object" and schema["properties"] for schema in schemas.values())
    operations = [(path, one) for path, methods in specification["paths"].items() for one in methods.values()]
    names = [one["operationId"] for _, one in operations]
    assert sorted(names) == sorted(set(names))
    for path, one in operations:
        declared = {each["name"] for each in one["parameters"] if each["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path))
        assert {"default"} < set(one["responses"])
        assert len(one["summary"]) > 10


def test_the_specification_names_every_refusal(app: Flask) -> None:
    with app.test_client() as client:
        problem = client.get("/openapi.json").json["components"]["schemas"]["Problem"]  # type: ignore[index]
        page = client.get("/docs").text
    codes = {kind.code for kind in refusal.every()}
    assert set(problem["properties"]["code"]["enum"]) == codes
    assert [code for code in codes if f'id="{code}"' not in page] == []


def test_every_answer_carries_what_protects_it(app: Flask) -> None:
    with app.test_client() as client:
        for path in ("/", "/dang-nhap", "/v1/bills", "/nowhere", "/v1/nowhere", "/healthz", "/quay"):
            answer = client.get(path)
            headers = answer.headers
            assert headers["Cache-Control"] == "no-store", path
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-Id"])


def test_a_bug_is_mute(app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It says nothing but its request id; the log has the rest."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(web, "asset", broken)
    monkeypatch.setitem(app.view_functions, "service.alive", broken)
    broken.admits = ANYONE  # type: ignore[attr-defined]
    with app.test_client() as client:
        answer = client.get("/healthz", headers={"Accept-Language": "en"})
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")  # type: ignore[index]
    assert "secret" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]  # type: ignore[index]
    assert "the secret of the house" in caplog.text


# -- words --------------------------------------------------------------------------------------------------


def test_every_refusal_has_three_sentences_in_both_languages(app: Flask) -> None:
    refusals = list(refusal.every())
    assert len(refusals) >= 50
    for kind in refusals:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", kind.code)
        assert 400 <= kind.status <= 503
        for locale in words.LOCALES:
            text = words.refusal(kind.code, locale)
            for sentence in (text.title, text.safe, text.next):
                assert len(sentence) >= 8, (kind.code, locale)
                assert sentence == sentence.strip()
                assert sentence[-1] in ".?!", (kind.code, locale, sentence)
        assert words.refusal(kind.code, "vi") != words.refusal(kind.code, "en")


def test_a_code_belongs_to_one_refusal(app: Flask) -> None:
    codes = [kind.code for kind in refusal.every()]
    assert sorted(codes) == sorted(set(codes))


def test_no_text_is_left_over_from_a_refusal_that_is_gone(app: Flask) -> None:
    written = tomllib.loads((ROOT / "wallet" / "words.toml").read_text(encoding="utf-8"))
    assert periods.ShapeWrong in refusal.every(), "also what the worker alone can be refused"
    assert set(written["refusal"]) == {kind.code for kind in refusal.every()}
    for term in written["term"].values():
        assert {"vi", "means"} <= set(term)


METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]


def messages() -> set[str]:
    """Every text of the pages, as Babel finds them in templates and code."""
    return {
        text if isinstance(text, str) else text[0]
        for folder in (WEB, MARKET_WEB)
        for _, _, text, _, _ in extract_from_dir(
            folder, METHODS, keywords={"_": None, "gettext": None, "ngettext": (1, 2)}
        )
    }


def test_every_text_of_the_pages_has_an_english_translation() -> None:
    """And no translation is left over."""
    with (WEB / "translations" / "en" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalog = read_po(file, locale="en")
    translated = {
        (entry.id if isinstance(entry.id, str) else entry.id[0]): entry
        for entry in catalog
        if entry.id and entry.string
    }
    used = messages()
    assert len(used) >= 100
    assert used - set(translated) == set()
    assert set(translated) - used == set()
    assert not [id for id, entry in translated.items() if entry.fuzzy]


def test_a_translation_keeps_its_placeholders() -> None:
    with (WEB / "translations" / "en" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalog = read_po(file, locale="en")
    for entry in catalog:
        if isinstance(entry.id, str) and entry.id and isinstance(entry.string, str):
            found = [sorted(re.findall(r"%\(\w+\)[sd]", text)) for text in (entry.id, entry.string)]
            assert found[0] == found[1], entry.id


# -- the guard ----------------------------------------------------------------------------------------------


def test_the_program_refuses_to_start_with_a_role_that_could_write_the_books(database: TestDatabase) -> None:
    """Superuser, migrator, the two roles swapped; each said in one line."""
    config = replace(database.config, city_file=ROOT / "city.toml")
    assert config.migrator_database_url is not None
    wrong = {
        "superuser": replace(config, database_url=database.owner_url),
        "migrator": replace(config, database_url=config.migrator_database_url),
        "auditor as application": replace(config, database_url=config.audit_database_url),
        "application as auditor": replace(config, audit_database_url=config.database_url),
        "superuser as auditor": replace(config, audit_database_url=database.owner_url),
    }
    for name, unsafe in wrong.items():
        with pytest.raises(guard.UnsafeRole) as raised:
            web.create(unsafe)
        assert "\n" not in str(raised.value), name


@pytest.mark.parametrize(
    "grant",
    [
        "GRANT INSERT ON ledger.entry TO {role}",
        "GRANT UPDATE ON ledger.balance TO {role}",
        "GRANT UPDATE (posted) ON ledger.balance TO {role}",
        "GRANT DELETE ON ledger.delta TO {role}",
        "GRANT TRUNCATE ON ledger.event TO {role}",
        "GRANT INSERT ON ledger.posting TO PUBLIC",
        "GRANT UPDATE ON person.order_content TO {role}",
        "GRANT INSERT ON ledger.hold TO {role}",
        "GRANT DELETE ON ledger.live_hold TO {role}",
        "GRANT INSERT (final) ON ledger.resolution TO {role}",
        "GRANT UPDATE (used) ON ledger.usage TO {role}",
        "GRANT UPDATE ON ledger.period TO {role}",
        "GRANT DELETE ON ledger.trial TO PUBLIC",
        "GRANT UPDATE (effective) ON ledger.snapshot TO {role}",
        "GRANT INSERT ON ledger.account_move TO {role}",
        "GRANT INSERT ON ledger.flow TO {role}",
        "GRANT UPDATE ON ledger.balance_now TO {role}",
        "GRANT INSERT ON log.leaf TO {role}",
        "GRANT UPDATE (note) ON log.checkpoint TO {role}",
        "ALTER TABLE ledger.usage OWNER TO {role}",
        "GRANT wallet_owner TO {role}",
        "ALTER TABLE ledger.outcome OWNER TO {role}",
    ],
)
def test_one_grant_too_many_is_noticed_at_the_start(database: TestDatabase, grant: str) -> None:
    """Any of the four ways to write, on any table of the ledger, by name, by membership, by ownership or through PUBLIC.

    In a transaction that is never committed: memberships belong to the whole cluster, and the other workers' programs
    start meanwhile.
    """
    login = sa.make_url(database.config.database_url).username
    engine = db.engine(database.owner_url)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SET LOCAL ROLE {login}")
        guard.check(connection, may_execute=True)
        connection.exec_driver_sql("RESET ROLE")
        connection.exec_driver_sql(grant.format(role=login))
        connection.exec_driver_sql(f"SET LOCAL ROLE {login}")
        with pytest.raises(guard.UnsafeRole):
            guard.check(connection, may_execute=True)
    engine.dispose()
