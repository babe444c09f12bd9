"""The audit room, examining: safeguarding by day, what came in by budget line, samples and exception lists."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, Response, render_template, request
from flask_babel import gettext as _

from wallet import clock, money, text
from wallet.audit import budget, exceptions, names, safeguarding, sampling
from wallet.audit.budget import BudgetLine
from wallet.audit.entries import NotFound
from wallet.audit.sampling import Frame, Method
from wallet.bills import agencies
from wallet.exports import tables
from wallet.identity.roles import Role
from wallet.refusal import Refusal
from wallet.web import charts, fields
from wallet.web.gate import admits
from wallet.web.state import now, state

door = Blueprint("examine", __name__)

DAYS_SHOWN: Final = 30
DAYS_MAX: Final = 366
"""The longest range that a page asks for."""
ROWS_SHOWN: Final = 100


@dataclass(slots=True, kw_only=True)
class Asked:
    """What a form asked for, with what is wrong with it."""

    first: date
    last: date
    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)


# -- safeguarding -----------------------------------------------------------------------------------------------------


@door.get("/kiem-toan/bao-dam")
@admits(Role.AUDITOR)
def safeguard() -> str | tuple[str, int]:
    """Show whether each đồng in a wallet is covered, now and on each day."""
    asked = _days()
    with _snapshot().connect() as connection:
        current = safeguarding.standing(connection, now=now())
        days = [] if asked.errors else safeguarding.report(connection, first=asked.first, last=asked.last, now=now())
    if days and clock.day_of(days[-1].at) == clock.day_of(now()) and current.is_short and not current.causes:
        current = days[-1]
    most = max((max(day.guarantee, day.covered) for day in days), default=1)
    return _page(
        "audit_safeguarding.html",
        asked,
        current=current,
        days=days,
        short=sum(day.is_short for day in days),
        guarantee=charts.line([max(day.guarantee, 0) for day in days], most=most),
        covered=charts.line([max(day.covered, 0) for day in days], most=most),
        margins=charts.columns([day.margin for day in days]),
        height=charts.COLUMNS_PX,
    )


@door.get("/kiem-toan/bao-dam.csv")
@admits(Role.AUDITOR)
def safeguard_csv() -> Response:
    """Give the days as CSV."""
    asked = _sound(_days())
    with _snapshot().connect() as connection:
        days = safeguarding.report(connection, first=asked.first, last=asked.last, now=now())
    head = ["den", "bao_dam", "phai_bao_dam", "chenh_lech", "thu_ho", "phai_tra_co_quan", "nguyen_nhan"]
    rows = [
        [
            day.at.astimezone(clock.CITY_TIME).isoformat(), day.guarantee, day.covered, day.margin, day.collection,
            day.agencies, "; ".join(f"{one.kind} {one.effect} ({one.entries})" for one in day.causes),
        ]
        for day in days
    ]  # fmt: skip
    return _csv("bao-dam", head, rows)


# -- the budget -------------------------------------------------------------------------------------------------------


@door.get("/kiem-toan/ngan-sach")
@admits(Role.AUDITOR)
def by_budget() -> str | tuple[str, int]:
    """Show what came in by agency, chương, tiểu mục and địa bàn."""
    asked = _days()
    rows = [] if asked.errors else _budget(asked)
    by = request.args.get("theo", "")
    key = by if by in _GROUPS else "agency"
    totals: Counter[str] = Counter()
    for row in rows:
        totals[_GROUPS[key](row)] += row["net"]
    ranked = totals.most_common()
    return _page(
        "audit_budget.html",
        asked,
        rows=rows,
        by=key,
        bars=list(zip(ranked, charts.shares([amount for _name, amount in ranked]), strict=True)),
        sums={name: sum(row[name] for row in rows) for name in ("taken", "given_back", "net", "owed")},
    )


_GROUPS: Final[Mapping[str, Callable[[dict[str, Any]], str]]] = {
    "agency": lambda row: row["agency_name"],
    "chuong": lambda row: row["chuong"],
    "tieu_muc": lambda row: f"{row['tieu_muc']} {row['tieu_muc_name']}",
    "dia_ban": lambda row: row["area_name"] or row["dia_ban"],
}
"""What the drawing may add up by."""


@door.get("/kiem-toan/ngan-sach.csv")
@admits(Role.AUDITOR)
def by_budget_csv() -> Response:
    """Give the budget lines as CSV."""
    heads = {
        "agency": "co_quan", "agency_name": "ten_co_quan", "chuong": "chuong", "tieu_muc": "tieu_muc",
        "tieu_muc_name": "ten_tieu_muc", "dia_ban": "dia_ban", "area_name": "ten_dia_ban", "entries": "so_lan",
        "taken": "da_thu", "given_back": "hoan_lai", "net": "con_lai", "remitted": "da_nop", "owed": "phai_tra",
    }  # fmt: skip
    rows = [[row[name] for name in heads] for row in _budget(_sound(_days()))]
    return _csv("ngan-sach", list(heads.values()), rows)


def _budget(asked: Asked) -> list[dict[str, Any]]:
    with state().audit.connect() as connection:
        codes = agencies.codes(connection)
        found = budget.lines(connection, first=asked.first, last=asked.last)
    rows = [_budget_line(one, codes) for one in found]
    return sorted(rows, key=lambda row: (row["agency"], row["chuong"], row["tieu_muc"], row["dia_ban"]))


def _budget_line(one: BudgetLine, codes: dict[UUID, str]) -> dict[str, Any]:
    city, code = state().city, codes.get(one.agency, str(one.agency))
    agency, tieu_muc, area = city.agencies.get(code), city.tieu_muc.get(one.tieu_muc), city.areas.get(one.dia_ban)
    return {
        "account": one.account,
        "agency": code,
        "agency_name": agency.name if agency else code,
        "chuong": one.chuong,
        "tieu_muc": one.tieu_muc,
        "tieu_muc_name": tieu_muc.name if tieu_muc else "",
        "dia_ban": one.dia_ban,
        "area_name": area.name if area else "",
        "entries": one.entries,
        "taken": one.taken,
        "given_back": one.given_back,
        "net": one.net,
        "remitted": one.remitted,
        "owed": one.owed,
    }


# -- samples ----------------------------------------------------------------------------------------------------------


@door.get("/kiem-toan/mau")
@admits(Role.AUDITOR)
def sample() -> str | tuple[str, int]:
    """Draw a sample by a seed. Without a seed there is only the form."""
    asked = _days(last=clock.day_of(now()) - timedelta(days=1))
    frame, seed, size, method = _sampling(asked)
    drawn, about = None, {}
    if seed and not asked.errors:
        with _snapshot().connect() as connection:
            drawn = sampling.draw(connection, frame, seed=seed, size=size, method=method)
            about = names.masked(connection, [one.signer for one in drawn.drawn])
    return _page("audit_sample.html", asked, sample=drawn, about=about, method=method, size=size, seed=seed)


@door.get("/kiem-toan/mau.csv")
@admits(Role.AUDITOR)
def sample_csv() -> Response:
    """Give a sample as CSV."""
    asked = _days(last=clock.day_of(now()) - timedelta(days=1))
    frame, seed, size, method = _sampling(asked)
    _sound(asked)
    with _snapshot().connect() as connection:
        drawn = sampling.draw(connection, frame, seed=seed, size=size, method=method)
    head = ["but_toan", "loai", "ghi_luc", "nguoi_ky", "so_tien", "so_lan_trung", "sha256"]
    rows = [
        [one.entry, one.kind, one.posted_at.isoformat(), one.signer, one.amount, one.hits, one.rank]
        for one in drawn.drawn
    ]
    return _csv("mau", head, rows)


def _sampling(asked: Asked) -> tuple[Frame, str, int, Method]:
    """Read what a sample is drawn by; what is wrong with it goes to the form."""
    given = {name: request.args.get(name, "").strip() for name in ("hat", "co", "cach", "tu_tien")}
    asked.values |= given | {"co": given["co"] or "25"}
    method: Method = "money" if given["cach"] == "money" else "number"
    size, seed = 25, ""
    try:
        seed = text.plain(given["hat"], chars_max=sampling.SEED_CHARS_MAX, param="hat") if given["hat"] else ""
    except text.BadText:
        asked.errors["hat"] = _("Xin ghi hạt giống bằng chữ hoặc số, tối đa 40 ký tự.")
    if given["co"]:
        size = int(given["co"]) if given["co"].isascii() and given["co"].isdigit() and len(given["co"]) < 5 else 0
    if not 1 <= size <= sampling.SIZE_MAX:
        asked.errors["co"], size = _("Xin ghi từ 1 tới %(most)s.", most=sampling.SIZE_MAX), 25
    if asked.last >= clock.day_of(now()):
        asked.errors["den"] = _("Xin chọn ngày đã hết: ngày chưa hết thì mẫu còn đổi.")
    least = _dong(asked, "tu_tien", 0)
    return Frame(first=asked.first, last=asked.last, least=least), seed, size, method


# -- exceptions -------------------------------------------------------------------------------------------------------


@door.get("/kiem-toan/ngoai-le")
@admits(Role.AUDITOR)
def look_at() -> str | tuple[str, int]:
    """Show how long each exception list is, and one of them."""
    asked = _days()
    threshold = _dong(asked, "nguong", exceptions.THRESHOLD)
    name = _list()
    counts: dict[str, int] = {}
    rows: list[exceptions.Row] = []
    about: dict[UUID, str] = {}
    if not asked.errors:
        with _snapshot().connect() as connection:
            first, last = asked.first, asked.last
            counts = exceptions.counts(connection, first=first, last=last, threshold=threshold)
            if name:
                found = exceptions.rows(
                    connection, name, first=first, last=last, threshold=threshold, rows_max=ROWS_SHOWN
                )
                rows = list(found)
            about = names.masked(connection, _people(rows))
    order = list(exceptions.LISTS)
    return _page(
        "audit_exceptions.html",
        asked,
        threshold=threshold,
        list=name,
        lists=list(zip(order, charts.shares([counts.get(one, 0) for one in order]), strict=True)),
        counts=counts,
        rows=rows,
        about=about,
        rows_max=ROWS_SHOWN,
    )


@door.get("/kiem-toan/ngoai-le.csv")
@admits(Role.AUDITOR)
def look_at_csv() -> Response:
    """Give one exception list as CSV, whole."""
    asked = _days()
    threshold, name = _dong(asked, "nguong", exceptions.THRESHOLD), _list()
    _sound(asked)
    if name is None:
        raise NotFound(param="ds")
    with _snapshot().connect() as connection:
        found = exceptions.rows(connection, name, first=asked.first, last=asked.last, threshold=threshold)
        rows = [[one.subject, one.id, one.at.isoformat(), one.by, one.amount, one.kind, one.other] for one in found]
    return _csv(f"ngoai-le-{name}", ["la", "ma", "luc", "nguoi_lam", "so_tien", "loai", "lien_quan"], rows)


def _list() -> str | None:
    asked = request.args.get("ds", "")
    if asked and asked not in exceptions.LISTS:
        raise NotFound(param="ds")
    return asked or None


def _people(rows: Iterable[exceptions.Row]) -> list[UUID]:
    """Return the holders that a list names: who acted, and whom it is about."""
    return [id for row in rows for id in (row.by, row.id if row.subject == "holder" else None) if id]


# -- what they share --------------------------------------------------------------------------------------------------


class BadRange(Refusal):
    """The days or amounts asked for cannot be read."""

    code = "audit_range"
    status = 422
    stored = False


def _days(*, last: date | None = None) -> Asked:
    """Read the days that a form asks for: without any, the last thirty."""
    today = clock.day_of(now())
    last = last or today
    values = {name: request.args.get(name, "") for name in ("tu", "den")}
    asked = Asked(first=last - timedelta(days=DAYS_SHOWN - 1), last=last, values=values)
    for name in ("tu", "den"):
        try:
            day = fields.day(values[name]) if values[name] else None
        except ValueError:
            asked.errors[name] = _("Xin ghi ngày như 21/11/2026.")
            continue
        if day and name == "tu":
            asked.first = day
        elif day:
            asked.last = day
    if values["den"] and not values["tu"]:
        asked.first = asked.last - timedelta(days=DAYS_SHOWN - 1)
    if not asked.errors:
        if asked.last > today:
            asked.errors["den"] = _("Xin chọn ngày đã tới.")
        elif asked.first > asked.last:
            asked.errors["tu"] = _("Xin chọn ngày đầu không sau ngày cuối.")
        elif (asked.last - asked.first).days >= DAYS_MAX:
            asked.errors["tu"] = _("Xin chọn nhiều nhất một năm.")
    asked.values |= {"tu": values["tu"] or asked.first.isoformat(), "den": values["den"] or asked.last.isoformat()}
    return asked


def _dong(asked: Asked, name: str, otherwise: int) -> int:
    """Read an amount as people type it; what is wrong with it goes to the form."""
    given = request.args.get(name, "")
    asked.values[name] = given or (f"{otherwise:,}".replace(",", ".") if otherwise else "")
    try:
        return money.parse("".join(char for char in given if char not in " .\u00a0₫")) if given else otherwise
    except ValueError:
        asked.errors[name] = _("Xin ghi số đồng nguyên.")
        return otherwise


def _sound(asked: Asked) -> Asked:
    """Let a download through whose days and amounts can be read.

    Raises:
        BadRange.
    """
    if asked.errors:
        raise BadRange(param=next(iter(asked.errors)))
    return asked


def _page(template: str, asked: Asked, **context: Any) -> str | tuple[str, int]:
    query = request.query_string.decode("ascii", "ignore")
    page = render_template(template, first=asked.first, last=asked.last, values=asked.values, errors=asked.errors,
                           query=f"?{query}" if query else "", **context)  # fmt: skip
    return (page, 400) if asked.errors else page


def _snapshot() -> sa.Engine:
    """Return the audit role's engine with all questions of a connection asked of one and the same state of the books."""
    return state().audit.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _csv(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """Answer a table as CSV that no spreadsheet takes for a formula."""

    def pieces() -> Iterator[str]:
        yield from tables.lines(head, rows)

    response = Response("".join(pieces()), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
