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
from wallet import clock
from wallet.crypto import PrivateKey
from wallet.identity.roles import Role

APPEND_ONLY = (
    "account_move",
    "authority",
    "charge",
    "entry",
    "event",
    "hold",
    "mandate",
    "outcome",
    "period",
    "posting",
    "resolution",
    "snapshot",
    "trial",
    "uncounted",
)
WORKING = ("account", "balance", "delta", "live_hold", "usage")
"""Written over by the ledger's functions, and recomputed by `prove` from what is not."""
REFERENCE = ("chart", "flow")
"""Written by migrations."""
LEDGER = (*APPEND_ONLY, *WORKING, *REFERENCE, "balance_now")

LOG = ("checkpoint", "cosignature", "leaf")
"""Append-only, by the log's functions."""

MAY_WRITE = {
    **dict.fromkeys((f"ledger.{name}" for name in LEDGER), ()),
    **dict.fromkeys((f"log.{name}" for name in LOG), ()),
    "person.order_content": (),
    "person.person": ("INSERT",),
    "person.receipt_link": ("INSERT", "UPDATE serial", "UPDATE made_at", "UPDATE ended_at"),
    "identity.holder": ("INSERT",),
    "identity.role": ("INSERT",),
    "identity.key": ("INSERT", "UPDATE state", "UPDATE revoked_at"),
    "identity.pin": ("INSERT", "DELETE"),
    "identity.known_device": ("INSERT", "UPDATE seen_at", "DELETE"),
    "identity.session": ("INSERT", "UPDATE seen_at", "DELETE"),
    "identity.one_time_code": ("INSERT", "UPDATE", "DELETE"),
    "identity.attempt": ("INSERT", "UPDATE", "DELETE"),
    "identity.payee_code": ("INSERT", "UPDATE ended_at"),
    "bills.agency": ("INSERT",),
    "bills.bill": ("INSERT", "UPDATE state", "UPDATE closed_at", "UPDATE close_reason"),
    "bills.bill_line": ("INSERT",),
    "bills.payer_grant": ("INSERT", "UPDATE until"),
    "cards.customer": ("INSERT", "UPDATE ref"),
    "cards.linking": ("INSERT", *(f"UPDATE {name}" for name in ("ref", "page", "state", "asked_at"))),
    "cards.card": (
        "INSERT",
        *(f"UPDATE {name}" for name in ("ref", "exp_month", "exp_year", "removed_at", "is_default")),
    ),
    "cards.payment": (
        "INSERT",
        *(f"UPDATE {name}" for name in ("ref", "page", "brand", "last4", "failure", "called_at", "asked_at")),
    ),
    "cards.refund": (
        "INSERT",
        *(f"UPDATE {name}" for name in ("ref", "failure", "called_at", "asked_at", "entry", "settled_entry")),
    ),
    "cards.dispute": ("INSERT", *(f"UPDATE {name}" for name in ("evidence_due", "entry", "won_entry"))),
    "cards.move": (),
    "cards.notice": ("INSERT", "UPDATE state", "UPDATE handled_at"),
    "cards.quarantine": ("INSERT", *(f"UPDATE {name}" for name in ("resolved_at", "resolved_by", "how"))),
    "cards.payout": ("INSERT", *(f"UPDATE {name}" for name in ("state", "arrives_at", "entry", "failed_entry"))),
    "cards.line": ("INSERT", "UPDATE entry"),
    "identity.staff": ("INSERT", "UPDATE until"),
    "market.category": (),
    "market.photo": ("INSERT", "DELETE"),
    "market.price_change": (),
    "market.product": (
        "INSERT",
        *(
            f"UPDATE {column}"
            for column in (
                "sku",
                "name",
                "description",
                "category",
                "price",
                "unit",
                "gtin",
                "photo",
                "small",
                "sold_out",
                "archived",
                "version",
                "words",
                "terms",
                "changed_at",
                "changed_by",
            )
        ),
    ),
    "market.report": ("INSERT",),
    "market.takedown": ("INSERT",),
    "market.term": ("INSERT",),
    "market.term_key": ("INSERT",),
    "market.merchant": ("INSERT", "UPDATE name", "UPDATE name_folded", "UPDATE tax_id", "UPDATE category"),
    "market.merchant_review": (),
    "market.location": (
        "INSERT",
        *(f"UPDATE {name}" for name in ("name", "address", "area", "lat", "lon", "photo", "hours", "closed_days")),
        "UPDATE ended_at",
    ),
    "market.point": ("INSERT", "UPDATE name", "UPDATE revoked_at", "UPDATE sticker_version"),
    "market.invoice": ("INSERT", "UPDATE cancelled_at", "UPDATE cancelled_by"),
    "market.payment": (),
    "market.match": (),
    "market.resolution": ("INSERT",),
    "market.refund_request": ("INSERT", "UPDATE withdrawn_at"),
    "migration.alembic_version": (),
}
"""Every table there is, and how the application may write it: this and nothing else. An auditor writes none."""

SCHEMAS = "('bills', 'cards', 'identity', 'ledger', 'log', 'market', 'migration', 'person', 'public')"

MAY_ASK = {
    "ledger.base_of",
    "ledger.day_of",
    "ledger.day_start",
    "ledger.posted_effective",
    "ledger.posted_recorded",
    "ledger.posted_through",
    "ledger.settled_by",
}
"""Pure questions, asked with the caller's own rights."""

MAY_AUDIT = MAY_ASK | {"identity.masked_names"}
"""All that an auditor may execute: the one that has its owner's rights gives names out masked."""

MAY_CALL = MAY_ASK | {
    "bills.lock_bills",
    "bills.pay_order",
    "bills.read_bills",
    "cards.move",
    "identity.count_attempt",
    "identity.lock_holder",
    "ledger.claim",
    "ledger.close_period",
    "ledger.conclude",
    "ledger.fold",
    "ledger.open_account",
    "ledger.post",
    "ledger.post_batch",
    "ledger.post_order",
    "ledger.refuse",
    "ledger.tell",
    "log.cosign",
    "log.horizon",
    "log.publish",
    "log.seal",
    "log.stop_posting",
    "market.attach",
    "market.keep_card_payment",
    "market.lock_invoice",
    "market.is_open",
    "market.move_merchant",
    "market.pay_invoice",
    "market.pay_point",
    "market.refund",
}
"""What the application may execute."""


@dataclass(frozen=True, kw_only=True)
class Town:
    """Three citizens, officers and machines of two agencies, and one of each other role."""

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
    cuc: Signer
    hold: str
    """Of hoa's money, for cuc."""
    sent: str
    """The entry by which hoa paid cuc."""


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
        cuc = city.citizen("Lê Thị Cúc")
        given = {"payer": hoa.account, "payee": cuc.account, "amount": "1000"}
        sent = hoa.act("/v1/transfers", "transfer", **given)
        held = hoa.act("/v1/holds", "hold", **given, lapses_at=str(int(clock.now().timestamp()) + 3600))
        assert (sent.status, held.status) == (201, 201)
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
            cuc=cuc,
            hold=held.json()["hold"],
            sent=sent.json()["entry"],
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


def columns_of(database: TestDatabase, table: str) -> list[str]:
    """A table's columns; a view's, those through which one could write."""
    question = (
        "SELECT column_name FROM information_schema.columns"
        " WHERE format('%%s.%%s', table_schema, table_name) = %s AND is_updatable = 'YES' ORDER BY ordinal_position"
    )
    with database.superuser() as owner:
        columns = [str(name) for (name,) in owner.execute(question, [table])]
    assert columns, table
    return columns


def denied(connection: psycopg.Connection, deed: str) -> bool:
    """Try a deed and undo it; say whether the grants refuse it. A trigger's refusal behind a grant is none."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(deed)
    except psycopg.errors.InsufficientPrivilege as refusal:
        return "append-only" not in str(refusal)
    except psycopg.DatabaseError:
        return False  # it was let in, and failed for what it did there
    return False


def ways_to_write(table: str, columns: list[str]) -> dict[str, list[str]]:
    """Every statement that would write a table or lock it against those who do, by the grant that it needs."""
    view = table == "ledger.balance_now"
    ways = {
        "INSERT": [
            f"INSERT INTO {table} DEFAULT VALUES",
            f"MERGE INTO {table} USING (SELECT 1) AS one ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        ],
        "DELETE": [f"DELETE FROM {table} WHERE false"],
        "TRUNCATE": [] if view else [f"TRUNCATE {table}", f"TRUNCATE {table} CASCADE"],
        "LOCK": [f"LOCK TABLE {table} IN {mode} MODE" for mode in ("SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE")],
        "OWN": [] if view else [f"CREATE INDEX ON {table} ({columns[0]})", f"ALTER TABLE {table} DISABLE TRIGGER ALL"],
    }
    for column in columns:
        ways["INSERT"].append(f"INSERT INTO {table} ({column}) OVERRIDING SYSTEM VALUE VALUES (NULL)")
        ways[f"UPDATE {column}"] = [f"UPDATE {table} SET {column} = DEFAULT WHERE false"]
        if not view:
            ways["INSERT"].append(f"COPY {table} ({column}) FROM STDIN")
    return ways


def all_of_it(may: tuple[str, ...], columns: list[str]) -> set[str]:
    """Spell out what a grant on the whole table grants; any UPDATE or a DELETE may also lock."""
    spelled = set(may)
    if "UPDATE" in may:
        spelled |= {f"UPDATE {column}" for column in columns}
    if {"UPDATE", "DELETE"} & set(may):
        spelled.add("LOCK")
    return spelled


@pytest.mark.parametrize("role", ["app", "audit"])
@pytest.mark.parametrize("table", MAY_WRITE)
def test_every_write_that_is_not_granted_is_refused(database: TestDatabase, role: str, table: str) -> None:
    """Row 86: only the ledger's own functions write the ledger; each way is tried, on each column, as that role."""
    columns = columns_of(database, table)
    may = all_of_it(MAY_WRITE[table] if role == "app" else (), columns)
    with as_role(database, role) as connection:
        for way, deeds in ways_to_write(table, columns).items():
            for deed in deeds[:1] if way in may else deeds:
                assert denied(connection, deed) == (way not in may), deed
        if not any(each.startswith("UPDATE") for each in may):
            for strength in ("UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"):
                assert denied(connection, f"SELECT 1 FROM {table} FOR {strength}"), strength


@pytest.mark.parametrize("role", ["app", "audit"])
def test_no_role_of_the_service_holds_a_grant_that_only_owners_need(database: TestDatabase, role: str) -> None:
    """Row 86: a trigger of one's own, a foreign key, or a rebuilt table are ways around as well; also to give away."""
    question = (
        "SELECT c.oid::regclass::text, privilege FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN " + SCHEMAS + ","
        " unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN', 'SELECT WITH GRANT OPTION',"
        " 'INSERT WITH GRANT OPTION', 'UPDATE WITH GRANT OPTION']) AS privilege"
        " WHERE c.relkind IN ('r', 'v') AND has_table_privilege(c.oid, privilege)"
    )
    schemas = (
        "SELECT nspname FROM pg_namespace WHERE nspname IN " + SCHEMAS + " AND has_schema_privilege(oid, 'CREATE')"
    )
    with as_role(database, role) as connection:
        assert connection.execute(question).fetchall() == []
        assert connection.execute(schemas).fetchall() == []


@pytest.mark.parametrize("role", ["app", "audit"])
@pytest.mark.parametrize("sequence", ["ledger.delta_id_seq", "ledger.event_seq_seq", "ledger.posting_seq_seq"])
def test_no_role_of_the_service_moves_a_sequence_of_the_ledger(
    database: TestDatabase, role: str, sequence: str
) -> None:
    """Row 86: the order of events and postings is the ledger's own."""
    with as_role(database, role) as connection:
        for call in (f"nextval('{sequence}')", f"setval('{sequence}', 1)", f"currval('{sequence}')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT {call}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT last_value FROM {sequence}")


@pytest.mark.parametrize(
    "table", [*(f"ledger.{name}" for name in APPEND_ONLY), *(f"log.{name}" for name in LOG), "person.order_content"]
)
def test_the_owner_itself_is_refused_by_the_append_only_triggers(database: TestDatabase, table: str) -> None:
    """Row 86: a migration gone wrong, or a hand at the console, changes no history."""
    column = columns_of(database, table)[-1]
    deeds = [f"UPDATE {table} SET {column} = {column} WHERE false", f"TRUNCATE {table} CASCADE"]
    if table != "person.order_content":  # deleting a row there is how a person's data is shredded
        deeds.append(f"DELETE FROM {table} WHERE false")
    with as_role(database, "owner") as connection:
        for deed in deeds:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                connection.execute(deed)


def test_every_table_and_sequence_is_among_those_that_are_tested(database: TestDatabase) -> None:
    """Whoever adds a table of the ledger says whether it is append-only."""
    question = (
        "SELECT format('%s.%s', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN " + SCHEMAS + " AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    )
    with database.superuser() as owner:
        assert {row[0] for row in owner.execute(question)} == set(MAY_WRITE)
        sequences = owner.execute("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'S' ORDER BY 1").fetchall()
        assert [row[0] for row in sequences] == [
            "ledger.delta_id_seq",
            "ledger.event_seq_seq",
            "ledger.posting_seq_seq",
        ]


# -- functions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of ours in the database."""

    name: str
    call: str
    definer: bool
    settings: list[str]


@pytest.fixture(scope="module")
def functions(database: TestDatabase) -> list[Function]:
    question = (
        "SELECT format('%s.%s', n.nspname, p.proname), p.prosecdef, coalesce(p.proconfig, '{}'),"
        " format('%s.%s(%s)', n.nspname, p.proname, (SELECT string_agg(format('NULL::%s', t::regtype), ', ' ORDER BY i)"
        " FROM unnest(p.proargtypes) WITH ORDINALITY AS x (t, i)))"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname IN " + SCHEMAS
    )
    with database.superuser() as owner:
        rows = owner.execute(question).fetchall()
    return [Function(name=name, definer=definer, settings=own, call=call) for name, definer, own, call in rows]


@pytest.mark.parametrize(("role", "may"), [("app", MAY_CALL), ("audit", MAY_AUDIT)])
def test_a_role_executes_what_it_was_granted_and_nothing_else(
    database: TestDatabase, functions: list[Function], role: str, may: set[str]
) -> None:
    """Row 86: every function is called; the parts of which posting is made, triggers and look-ups are the owner's."""
    assert len(functions) > len(MAY_CALL) + 10
    with as_role(database, role) as connection:
        for one in functions:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(f"SELECT {one.call}")
                let_in = True
            except psycopg.DatabaseError as fault:
                let_in = "permission denied for function" not in str(fault)
            assert let_in == (one.name in may), one.name


def test_what_an_auditor_may_execute_lends_no_rights(database: TestDatabase, functions: list[Function]) -> None:
    """A question is asked with the asker's own rights: who may not read the postings learns nothing by it."""
    assert {one.name for one in functions if one.name in MAY_ASK and one.definer} == set()
    wallet = "(SELECT id FROM ledger.account LIMIT 1)"
    with as_role(database, "owner") as owner, owner.transaction(force_rollback=True):
        owner.execute("CREATE ROLE curious")
        owner.execute("GRANT USAGE ON SCHEMA ledger TO curious")
        owner.execute("GRANT SELECT ON ledger.account TO curious")
        for name in ("posted_effective", "posted_recorded"):
            owner.execute(f"GRANT EXECUTE ON FUNCTION ledger.{name}(uuid, timestamptz) TO curious")
            owner.execute("SET LOCAL ROLE curious")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), owner.transaction():
                owner.execute(f"SELECT ledger.{name}({wallet}, now())")
            owner.execute("RESET ROLE")


def test_what_runs_with_the_owners_rights_finds_only_what_is_its_own(functions: list[Function]) -> None:
    """Row 86: a search_path that ends in pg_temp, so that no table of the caller's stands in for one of ours."""
    lending = [one for one in functions if one.definer]
    assert len(lending) >= 15
    paths = {f"search_path={schema}, pg_temp" for schema in ("bills", "cards", "identity", "ledger", "log", "market")}
    for one in lending:
        assert len(paths & set(one.settings)) == 1, one.name


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
    "/v1/holds": {"hoa", "binh"},
    "/v1/holds/{hold}/captures": {"hoa", "binh"},
    "/v1/holds/{hold}/void": {"hoa", "binh"},
    "/v1/refunds": {"hoa", "binh", "machine"},
    "/v1/reversals": {"hoa", "binh", "machine"},
    "/v1/accounts/{account}/freeze": {"hoa", "binh"},
    "/v1/accounts/{account}/thaw": {"hoa", "binh"},
    "/v1/accounts/{account}/close": {"hoa", "binh"},
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
    if path == "/v1/holds":
        lapses_at = str(int(clock.now().timestamp()) + 3600)
        return who.order("hold", payer=town.hoa.account, payee=town.cuc.account, amount="1", lapses_at=lapses_at)
    if path.endswith("/captures"):
        return who.order("hold_capture", hold=town.hold, amount="1", final="true")
    if path.endswith("/void"):
        return who.order("hold_void", hold=town.hold)
    if path == "/v1/refunds":
        return who.order("refund", entry=town.sent, lines=[{"line": "1", "amount": "1"}], reason="Không phải của tôi")
    if path == "/v1/reversals":
        return who.order("reverse", entry=town.sent, reason="Không phải của tôi")
    if path.startswith("/v1/accounts/"):
        return who.order(f"account_{path.rsplit('/', 1)[-1]}", account=town.hoa.account)
    return who.order("bill_cancel", bill=str(town.bill.id), reason="Không phải của tôi")


@pytest.mark.parametrize(("path", "writers"), WRITERS.items(), ids=WRITERS)
def test_a_role_that_a_door_does_not_admit_writes_nothing_there(town: Town, path: str, writers: set[str]) -> None:
    """Row 86: an officer does not pay, a citizen does not issue, an auditor and an operator do neither."""
    target = path.format(bill=town.bill.id, hold=town.hold, account=town.hoa.account)
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


@pytest.mark.parametrize(
    ("path", "code"),
    {
        "/v1/holds": "account_not_found",
        "/v1/holds/{hold}/captures": "hold_not_found",
        "/v1/holds/{hold}/void": "hold_not_found",
        "/v1/refunds": "entry_not_found",
        "/v1/reversals": "entry_not_found",
        "/v1/accounts/{account}/freeze": "account_not_found",
        "/v1/accounts/{account}/thaw": "account_not_found",
        "/v1/accounts/{account}/close": "account_not_found",
    }.items(),
)
def test_nobody_holds_captures_gives_back_or_freezes_what_is_anothers(town: Town, path: str, code: str) -> None:
    """Row 82: a stranger among citizens; and the payer, who neither captures nor lets go of what they have set aside."""
    target = path.format(hold=town.hold, account=town.hoa.account)
    strangers = [town.binh, town.hoa] if code in ("hold_not_found", "entry_not_found") else [town.binh, town.cuc]
    for who in strangers:
        with nothing_moved(town.city, outcomes=1):
            refused(who.send("POST", target, order_for(town, who, path)), 404, code)
    with nothing_moved(town.city):  # an order for one thing, sent to the address of another
        elsewhere = path.format(hold=uuid4(), account=town.binh.account)
        if elsewhere != path:
            refused(town.cuc.send("POST", elsewhere, order_for(town, town.cuc, path)), 404, code)


def test_holds_and_entries_of_others_cannot_be_read(town: Town) -> None:
    """Row 82."""
    for who, status in ((town.hoa, 200), (town.cuc, 200), (town.binh, 404)):
        hold, links = who.get(f"/v1/holds/{town.hold}"), who.get(f"/v1/entries/{town.sent}/links")
        assert (hold.status, links.status) == (status, status)
    refused(town.binh.get(f"/v1/holds/{town.hold}"), 404, "hold_not_found")
    refused(town.binh.get(f"/v1/entries/{town.sent}/links"), 404, "entry_not_found")
    for path in ("limits", "as-of?at=2026-01-01T00:00:00Z", "statement"):
        refused(town.binh.get(f"/v1/accounts/{town.hoa.account}/{path}"), 404, "account_not_found")


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
    sent = hoa.act("/v1/transfers", "transfer", **given)
    assert sent.status == 201
    assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).status == 201
    assert binh.act("/v1/bill-lookups", "bill_lookup", code=bill.code, detail=hoa.phone[-4:]).status == 201
    assert hoa.act("/v1/transfers", "transfer", **given | {"amount": "9999999"}).status == 402
    back = {"entry": sent.json()["entry"], "lines": [{"line": "1", "amount": "3"}], "reason": "trả-lại-tiền-thuốc"}
    assert binh.act("/v1/refunds", "refund", **back).status == 201
    secrets = [hoa.name, hoa.phone, binh.name, binh.phone, "tiền-thuốc"]
    with city.engine.connect() as connection:
        told = connection.execute(
            sa.text("SELECT bytes FROM ledger.event UNION ALL SELECT body FROM ledger.outcome")
        ).scalars()
        for row in told:
            text = bytes(row).decode()
            assert not [secret for secret in secrets if secret in text], text
