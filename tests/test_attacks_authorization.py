"""Who may see and do what: anything of another's is not there, and the database holds when the program does not."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa

from tests.attack import nothing_moved, refused
from tests.databases import TestDatabase
from tests.make import STATION, WARD, City, Seen, Signer
from tests.test_attacks_amounts import Page, bill_of
from wallet.crypto import PrivateKey
from wallet.identity.roles import Role

APPEND_ONLY = ("authority", "outcome", "entry", "posting", "event")
LEDGER = (*APPEND_ONLY, "account", "balance", "chart", "delta", "balance_now")


@dataclass(frozen=True, kw_only=True)
class Town:
    """Two citizens, officers and machines of two agencies, and one of each other role."""

    city: City
    hoa: Signer
    binh: Signer
    ward: Signer
    station: Signer
    machine: Signer
    auditor: Signer
    operator: Signer
    bill: Seen
    paid: Seen
    order: str
    pending: str


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[Town]:
    with City(database) as city:
        hoa = city.citizen("Nguyễn Thị Hồng Hoa", available=500_000)
        bill, paid = city.bill(debtor=hoa), city.bill(debtor=hoa)
        done = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[paid.seen])
        key = PrivateKey.generate()
        machine = Signer(origin=hoa.origin, key=key, holder=hoa.holder, app=city.app)
        enrolment = machine.order("key_enrol", key=dict(key.public.jwk), label="Máy", device="machine", code="")
        assert machine.send("POST", "/v1/keys", enrolment).json()["state"] == "pending"
        yield Town(
            city=city,
            hoa=hoa,
            binh=city.citizen("Trần Văn Bình", available=500_000),
            ward=city.officer(WARD),
            station=city.officer(STATION),
            machine=city.machine(STATION),
            auditor=city.person("Phạm Kiểm", Role.AUDITOR),
            operator=city.person("Hồ Vận Hành", Role.OPERATOR),
            bill=bill,
            paid=paid,
            order=done.json()["order"],
            pending=key.public.id,
        )


@pytest.fixture(scope="module")
def pages(town: Town) -> dict[str, Page]:
    """Browsers in which these are signed in."""
    names = ("hoa", "binh", "ward", "station", "auditor", "operator")
    return {name: Page(town.city, getattr(town, name)) for name in names}


# -- the database itself ------------------------------------------------------------------------------------


def as_role(database: TestDatabase, role: str) -> psycopg.Connection:
    urls = {
        "app": database.config.database_url,
        "audit": database.config.audit_database_url,
        "owner": database.owner_url,
    }
    return psycopg.connect(urls[role], autocommit=True)


def a_column(database: TestDatabase, table: str) -> str:
    """The last column of a table, for an UPDATE that changes nothing."""
    question = (
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum DESC LIMIT 1"
    )
    with database.superuser() as owner:
        row = owner.execute(question, [table]).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("role", ["app", "audit"])
@pytest.mark.parametrize("table", [*(f"ledger.{name}" for name in LEDGER), "person.order_content"])
def test_no_role_of_the_service_writes_the_ledgers_tables(database: TestDatabase, role: str, table: str) -> None:
    """Row 86: only the ledger's own functions do."""
    column = a_column(database, table)
    deeds = [
        f"INSERT INTO {table} DEFAULT VALUES",
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"COPY {table} FROM STDIN",
        f"SELECT * FROM {table} FOR UPDATE",
    ]
    with as_role(database, role) as connection:
        connection.execute(f"SELECT * FROM {table} LIMIT 1")
        for deed in deeds:
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType)):
                connection.execute(deed)


@pytest.mark.parametrize("table", [*(f"ledger.{name}" for name in APPEND_ONLY), "person.order_content"])
def test_the_owner_itself_is_refused_by_the_append_only_triggers(database: TestDatabase, table: str) -> None:
    """Row 86: a migration gone wrong, or a hand at the console, changes no history."""
    column = a_column(database, table)
    deeds = [f"UPDATE {table} SET {column} = {column} WHERE false", f"TRUNCATE {table} CASCADE"]
    if table != "person.order_content":  # deleting a row there is how a person's data is shredded
        deeds.append(f"DELETE FROM {table} WHERE false")
    with as_role(database, "owner") as connection:
        for deed in deeds:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                connection.execute(deed)


def test_every_table_of_the_ledger_is_among_those_that_are_tested(database: TestDatabase) -> None:
    with database.superuser() as owner:
        question = "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'v')"
        assert {row[0] for row in owner.execute(question)} == set(LEDGER)


def test_an_auditor_can_execute_nothing(database: TestDatabase) -> None:
    """Row 86: not one function of ours, by name or by default."""
    question = (
        "SELECT p.oid::regprocedure::text, has_function_privilege(p.oid, 'EXECUTE') FROM pg_proc p"
        " WHERE p.pronamespace IN ('ledger'::regnamespace, 'identity'::regnamespace, 'bills'::regnamespace)"
    )
    with as_role(database, "audit") as audit:
        may: dict[str, bool] = dict(audit.execute(question).fetchall())
        assert len(may) >= 10
        assert {name for name, granted in may.items() if granted} == set()
        for call in (
            "ledger.fold(NULL, 1)",
            "ledger.tell(gen_random_uuid(), 'x', 'x', NULL, now(), '')",
            "ledger.open_account(gen_random_uuid(), 'wallet', gen_random_uuid(), NULL, NULL, NULL)",
            "ledger.refuse(gen_random_uuid(), 400::smallint, 'x', '')",
            "ledger.execute(gen_random_uuid(), '{}', 201::smallint, '')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                audit.execute(f"SELECT {call}")


@pytest.mark.parametrize(
    "table",
    [
        "person.person",
        "identity.pin",
        "identity.session",
        "identity.one_time_code",
        "identity.attempt",
        "identity.known_device",
    ],
)
def test_an_auditor_reads_no_name_pin_code_or_session(database: TestDatabase, table: str) -> None:
    """Row 84."""
    with as_role(database, "audit") as audit, pytest.raises(psycopg.errors.InsufficientPrivilege):
        audit.execute(f"SELECT * FROM {table}")


@pytest.mark.parametrize("role", ["app", "audit"])
@pytest.mark.parametrize(
    "deed",
    [
        "SET ROLE wallet_owner",
        "SET SESSION AUTHORIZATION postgres",
        "SET session_replication_role = replica",
        "ALTER TABLE ledger.entry DISABLE TRIGGER ALL",
        "DROP TRIGGER append_only ON ledger.entry",
        "DROP TABLE ledger.delta",
        "ALTER FUNCTION ledger.fold(uuid, integer) OWNER TO CURRENT_USER",
        "CREATE OR REPLACE FUNCTION ledger.hold_open(timestamptz, timestamptz) RETURNS void LANGUAGE sql AS ''",
        "CREATE TABLE ledger.more (id int)",
        "CREATE TABLE public.more (id int)",
        "CREATE TEMPORARY TABLE account (id int)",
        "CREATE SCHEMA more",
        "CREATE ROLE more",
        "UPDATE bills.bill SET total = 0",
        "UPDATE bills.bill SET debtor = agency",
        "UPDATE bills.bill_line SET amount = 0",
        "DELETE FROM bills.bill",
        "DELETE FROM identity.key",
        "DELETE FROM identity.role",
        "UPDATE identity.role SET role = 'operator'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_no_role_of_the_service_can_give_itself_more(database: TestDatabase, role: str, deed: str) -> None:
    """Row 86."""
    with as_role(database, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(deed)


# -- roles at the doors -------------------------------------------------------------------------------------

WRITERS = {
    "/v1/transfers": {"hoa", "binh"},
    "/v1/bill-payments": {"hoa", "binh"},
    "/v1/bill-lookups": {"hoa", "binh"},
    "/v1/bills": {"ward", "station", "machine"},
    "/v1/bills/{bill}/cancel": {"ward", "station", "machine"},
}

EVERYBODY = ("hoa", "binh", "ward", "station", "machine", "auditor", "operator")


def order_for(town: Town, who: Signer, path: str) -> bytes:
    """A well-formed order for a door, whoever it is."""
    if path == "/v1/transfers":
        return who.order("transfer", payer=town.hoa.account, payee=town.binh.account, amount="1", memo="")
    if path == "/v1/bill-payments":
        return who.order("bill_payment", payer=town.hoa.account, bills=[town.bill.seen])
    if path == "/v1/bill-lookups":
        return who.order("bill_lookup", code=town.bill.code, detail=town.hoa.phone[-4:])
    if path == "/v1/bills":
        return who.order("bill_issue", **bill_of(town.city, town.hoa))
    return who.order("bill_cancel", bill=str(town.bill.id), reason="Không phải của tôi")


@pytest.mark.parametrize(("path", "writers"), WRITERS.items(), ids=WRITERS)
def test_a_role_that_a_door_does_not_admit_writes_nothing_there(town: Town, path: str, writers: set[str]) -> None:
    """Row 86: an officer does not pay, a citizen does not issue, an auditor and an operator do neither."""
    target = path.format(bill=town.bill.id)
    outsiders = [name for name in EVERYBODY if name not in writers]
    assert {"auditor", "operator"} <= set(outsiders)
    for name in outsiders:
        who: Signer = getattr(town, name)
        with nothing_moved(town.city):
            refused(who.send("POST", target, order_for(town, who, path)), 403, "role_not_admitted")


def test_a_role_that_a_door_does_not_admit_reads_nothing_there(town: Town) -> None:
    """Row 86."""
    for path in (f"/v1/accounts/{town.hoa.account}", "/v1/bills", f"/v1/bills/{town.bill.id}"):
        for who in (town.auditor, town.operator):
            refused(who.get(path), 403, "role_not_admitted")
    for who in (town.ward, town.station):
        refused(who.get(f"/v1/accounts/{town.hoa.account}"), 403, "role_not_admitted")


def test_pages_of_another_role_are_closed(town: Town, pages: dict[str, Page]) -> None:
    """Row 86: by session as by signature."""
    rooms = {
        "hoa": ["/lich-su", "/thiet-bi", "/nop-thay", f"/khoan-nop/{town.bill.id}", f"/thanh-toan?b={town.bill.id}"],
        "ward": [
            "/quay",
            "/quay/lap",
            "/quay/lap/dong",
            "/quay/hom-nay",
            "/quay/hom-nay.csv",
            f"/quay/khoan/{town.bill.id}",
        ],
        "auditor": ["/kiem-toan", "/kiem-toan/su-kien"],
        "operator": ["/van-hanh", "/van-hanh/su-kien", "/van-hanh/khoi-phuc"],
    }
    for name in rooms:
        for owner, paths in rooms.items():
            for path in paths:
                assert pages[name].get(path).status_code == (200 if owner == name else 403), (name, path)
    assert town.city.app is not None
    nobody = town.city.app.test_client()
    for path in (path for paths in rooms.values() for path in paths):
        answer = nobody.get(path, base_url=town.hoa.origin)
        assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/dang-nhap")


# -- things of others ---------------------------------------------------------------------------------------


def test_what_is_anothers_is_not_there(town: Town) -> None:
    """Row 82: by every id, in the path and in the body, for a stranger among citizens."""
    hoa, binh, city = town.hoa, town.binh, town.city
    house = str(city.house("bank.guarantee"))
    with city.engine.connect() as connection:
        budget = str(
            connection.exec_driver_sql("SELECT id FROM ledger.account WHERE code = 'agency' LIMIT 1").scalar_one()
        )
    for account in (hoa.account, house, budget, str(uuid4()), "x", hoa.account.upper(), "%00", "../accounts"):
        for path in (f"/v1/accounts/{account}", f"/v1/accounts/{account}/statement"):
            reply = binh.get(path)
            refused(reply, 404, reply.json()["code"])
            assert reply.json()["code"] in ("account_not_found", "not_found")
    for bill in (town.bill.id, town.paid.id, uuid4()):
        refused(binh.get(f"/v1/bills/{bill}"), 404, "bill_not_found")
    for order in (town.order, str(uuid4()), "x"):
        refused(binh.get(f"/v1/orders/{order}"), 404, "order_not_found")
    assert str(town.bill.id) not in binh.get("/v1/bills").body.decode()
    for key in (hoa.key.public.id, town.pending):
        with nothing_moved(city, outcomes=2):
            revoke, approve = binh.order("key_revoke", key=key), binh.order("key_approve", key=key)
            refused(binh.send("DELETE", f"/v1/keys/{key}", revoke), 404, "key_not_found")
            refused(binh.send("POST", f"/v1/keys/{key}/approvals", approve), 404, "key_not_found")
    for payer in (hoa.account, house, budget, str(uuid4())):
        with nothing_moved(city, outcomes=2):
            given = {"payer": payer, "payee": binh.account, "amount": "1", "memo": ""}
            refused(binh.act("/v1/transfers", "transfer", **given), 404, "account_not_found")
            refused(
                binh.act("/v1/bill-payments", "bill_payment", payer=payer, bills=[town.bill.seen]),
                404,
                "account_not_found",
            )
    for payee in (house, budget, str(uuid4())):
        with nothing_moved(city, outcomes=1):
            given = {"payer": binh.account, "payee": payee, "amount": "1", "memo": ""}
            refused(binh.act("/v1/transfers", "transfer", **given), 404, "payee_not_found")
    with nothing_moved(city, outcomes=1):
        reply = binh.act("/v1/bill-payments", "bill_payment", payer=binh.account, bills=[town.bill.seen])
        refused(reply, 404, "bill_not_found")


def test_an_agency_neither_sees_nor_touches_anothers_bill(town: Town) -> None:
    """Row 82: reading, cancelling and replacing; by an officer and by a machine."""
    city = town.city
    for who in (town.station, town.machine):
        refused(who.get(f"/v1/bills/{town.bill.id}"), 404, "bill_not_found")
        assert str(town.bill.id) not in who.get("/v1/bills?rows=100").body.decode()
        with nothing_moved(city, outcomes=2):
            cancel = who.order("bill_cancel", bill=str(town.bill.id), reason="Lập nhầm")
            refused(who.send("POST", f"/v1/bills/{town.bill.id}/cancel", cancel), 404, "bill_not_found")
            replacing = bill_of(city, town.hoa, agency=STATION) | {"supersedes": str(town.bill.id)}
            refused(who.act("/v1/bills", "bill_issue", **replacing), 404, "bill_not_found")
    with nothing_moved(city):
        elsewhere = town.ward.order("bill_cancel", bill=str(town.bill.id), reason="Lập nhầm")
        refused(town.ward.send("POST", f"/v1/bills/{town.paid.id}/cancel", elsewhere), 422, "order_invalid")
    assert town.ward.get(f"/v1/bills/{town.bill.id}").status == 200


def test_an_agency_issues_in_its_own_name_only(town: Town) -> None:
    """Row 82: neither another's procedure nor another's budget codes."""
    city = town.city
    others = next(one.code for one in city.city.procedures_of(WARD) if STATION not in one.agencies)
    own = bill_of(city, town.hoa, agency=STATION)
    with nothing_moved(city, outcomes=1):
        refused(
            town.station.act("/v1/bills", "bill_issue", **own | {"procedure": others}), 422, "bill_procedure_unknown"
        )
    own, (line,) = bill_of(city, town.hoa), bill_of(city, town.hoa)["lines"]
    elsewhere = next(area for area in city.city.areas if area != line["dia_ban"])
    for change in ({"chuong": "999"}, {"tieu_muc": "9999"}, {"dia_ban": elsewhere}, {"dia_ban": ""}, {"dia_ban": "x"}):
        with nothing_moved(city, outcomes=1):
            reply = town.ward.act("/v1/bills", "bill_issue", **own | {"lines": [line | change]})
            refused(reply, 422, "bill_line_unmapped")


def test_pages_show_nothing_of_anothers(town: Town, pages: dict[str, Page]) -> None:
    """Row 82: the same ids typed into the address bar."""
    binh, station = pages["binh"], pages["station"]
    for path in (f"/khoan-nop/{town.bill.id}", f"/thanh-toan?b={town.bill.id}", f"/xac-nhan/{town.order}/lenh.json"):
        assert binh.get(path).status_code == 404, path
    unknown = binh.get(f"/xac-nhan/{town.order}").text
    for secret in (town.hoa.name, town.hoa.account, town.paid.code, "20.000"):
        assert secret not in unknown
    assert station.get(f"/quay/khoan/{town.bill.id}").status_code == 404
    assert station.get("/quay/lap", supersedes=str(town.bill.id)).status_code == 404
    with nothing_moved(town.city):
        given = {"reason": "Lập nhầm", "order_id": str(uuid4())}
        assert station.post(f"/quay/khoan/{town.bill.id}/huy", **given).status_code == 404


def test_a_form_from_another_site_does_nothing(town: Town, pages: dict[str, Page]) -> None:
    """Row 75: also when it says nothing of where it comes from, or pretends to be JSON."""
    ward = pages["ward"]
    given = {"reason": "Lập nhầm", "order_id": str(uuid4())}
    path = f"/quay/khoan/{town.bill.id}/huy"
    for headers in ({}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Referer": ward.origin + "/quay"}):
        with nothing_moved(town.city):
            answer = ward.client.post(path, data=given, base_url=ward.origin, headers=headers)
            assert answer.status_code == 403
            kind = {"data": '{"reason":"x"}', "content_type": "text/plain"}
            assert ward.client.post(path, **kind, base_url=ward.origin, headers=headers).status_code == 403


# -- what is shown of whom ----------------------------------------------------------------------------------


def test_a_strangers_eye_sees_the_debtors_name_masked(city: City) -> None:
    """Rows 82 and 84: whoever was let in to pay sees whose bill it is, and not more than that."""
    hoa, binh = city.citizen("Nguyễn Thị Hồng Hoa"), city.citizen("Trần Văn Bình", available=50_000)
    bill = city.bill(debtor=hoa)
    refused(binh.get(f"/v1/bills/{bill.id}"), 404, "bill_not_found")
    assert binh.act("/v1/bill-lookups", "bill_lookup", code=bill.code, detail=hoa.phone[-4:]).status == 201
    shown = binh.get(f"/v1/bills/{bill.id}")
    assert shown.json()["debtor_name"] == "N***** T** H*** Hoa"
    assert hoa.get(f"/v1/bills/{bill.id}").json()["debtor_name"] == hoa.name
    browser = Page(city, binh)
    for text in (
        shown.body.decode(),
        browser.get(f"/khoan-nop/{bill.id}").text,
        browser.get(f"/thanh-toan?b={bill.id}").text,
    ):
        assert "H*** Hoa" in text
        assert hoa.name not in text
        assert hoa.phone not in text


def test_guesses_at_anothers_bill_are_few(city: City) -> None:
    """Rows 69 and 82: five an hour for one bill, and after them the right one is refused as well."""
    hoa, binh = city.citizen(), city.citizen("Trần Văn Bình")
    bill = city.bill(debtor=hoa)
    right = hoa.phone[-4:]
    for number in range(5):
        wrong = f"{(int(right) + 1 + number) % 10_000:04d}"
        with nothing_moved(city):
            refused(
                binh.act("/v1/bill-lookups", "bill_lookup", code=bill.code, detail=wrong), 404, "bill_lookup_failed"
            )
    with nothing_moved(city):
        reply = binh.act("/v1/bill-lookups", "bill_lookup", code=bill.code.lower().replace("-", " "), detail=right)
        refused(reply, 429, "too_many_attempts")
    assert reply.headers["retry-after"] == "3600"
    other = city.citizen("Lê Thị Cúc")
    assert other.act("/v1/bill-lookups", "bill_lookup", code=bill.code, detail=right).status == 201


def test_no_parameter_asks_for_more_than_is_shown(town: Town) -> None:
    """Row 84."""
    path = f"/v1/accounts/{town.hoa.account}"
    plain = town.hoa.get(path)
    for query in ("fields=*", "expand=holder", "include=keys", "fields=holder,pin", "_method=DELETE", "format=html"):
        assert town.hoa.get(f"{path}?{query}").body == plain.body


def test_the_ledger_names_nobody(city: City) -> None:
    """Row 84: no event and no outcome carries a name, a phone or a memo; those can be erased, the ledger cannot."""
    hoa, binh = city.citizen("Công Tằng Tôn Nữ Hỷ Khương", available=500_000), city.citizen("Vũ Đình Khoát")
    bill = city.bill(debtor=hoa)
    given = {"payer": hoa.account, "payee": binh.account, "amount": "7", "memo": "tiền-thuốc-của-mẹ"}
    assert hoa.act("/v1/transfers", "transfer", **given).status == 201
    assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).status == 201
    assert binh.act("/v1/bill-lookups", "bill_lookup", code=bill.code, detail=hoa.phone[-4:]).status == 201
    assert hoa.act("/v1/transfers", "transfer", **given | {"amount": "999999999"}).status == 402
    secrets = [hoa.name, hoa.phone, binh.name, binh.phone, "tiền-thuốc"]
    with city.engine.connect() as connection:
        told = connection.execute(
            sa.text("SELECT bytes FROM ledger.event UNION ALL SELECT body FROM ledger.outcome")
        ).scalars()
        for row in told:
            text = bytes(row).decode()
            assert not [secret for secret in secrets if secret in text], text
