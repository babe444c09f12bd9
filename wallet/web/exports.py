"""The doors of exports: the books in the forms that others' tools read, streamed as they are read."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from flask import Blueprint, Response, render_template, stream_with_context

from wallet import clock
from wallet.audit.entries import NotFound
from wallet.exports import bundle, journals, leaves, tables
from wallet.exports.books import Books, snapshot
from wallet.exports.leaves import Promise
from wallet.identity.roles import Role
from wallet.log import keyring
from wallet.web.audit import log
from wallet.web.gate import admits
from wallet.web.state import now, state

door = Blueprint("exports", __name__)

ENTRIES_MAX: Final = 50_000
"""Above it an export outlives a web worker's patience (wallet/run/gunicorn_conf.py): then it is made by `make export`."""

_TEXT: Final = "text/plain; charset=utf-8"
_CSV: Final = "text/csv; charset=utf-8"
_NDJSON: Final = "application/x-ndjson"


def title() -> str:
    """Return whose books they are."""
    return f"Tràng Tiền · {state().city.name}"


Form = Callable[[Books, Promise | None], Iterable[str]]

FORMS: Final[dict[str, tuple[str, Form]]] = {
    bundle.BEANCOUNT: (_TEXT, lambda books, _: journals.beancount(books, title=title())),
    bundle.HLEDGER: (_TEXT, lambda books, _: journals.hledger(books, title=title())),
    bundle.TRIAL: (_CSV, lambda books, _: tables.trial(books)),
    bundle.ACCOUNTS: (_CSV, lambda books, _: tables.accounts(books)),
    bundle.ENTRIES: (_CSV, lambda books, _: tables.entries(books)),
    bundle.LEAVES: (_NDJSON, lambda books, promise: leaves.ndjson(books, promise, proofs=True)),
}
"""Each form by the name of its file."""

BUNDLE: Final = "mang-ve.zip"


@door.get("/kiem-toan/xuat")
@admits(Role.AUDITOR)
def ask_exports() -> str:
    """Show what can be taken home, and how it is verified there."""
    with snapshot(state().audit) as books:
        count = books.entry_count()
        trial = books.trial()
    newest = leaves.promised(log())
    return render_template(
        "audit_exports.html",
        count=count,
        too_many=count > ENTRIES_MAX,
        entries_max=ENTRIES_MAX,
        sealed=newest.checkpoint if newest else None,
        lines=[(books.line(row.code), row) for row in trial],
        log_keys=log_keys(),
    )


@door.get("/kiem-toan/xuat/<name>")
@admits(Role.AUDITOR)
def export(name: str) -> Response:
    """Give the books in one form, or the whole bundle.

    Raises:
        NotFound: there is no such form, or the books are too large for it to be made while a browser waits.
    """
    kind, pieces = _form(name)
    with snapshot(state().audit) as books:
        if books.entry_count() > ENTRIES_MAX:
            raise NotFound(param="name")
    response = Response(stream_with_context(pieces), content_type=kind)
    day = clock.day_of(now()).isoformat()
    stem, _, ending = name.partition(".")
    response.headers["Content-Disposition"] = f'attachment; filename="{stem}-{day}.{ending}"'
    return response


def _form(name: str) -> tuple[str, Iterator[Any]]:
    database = state().audit
    if name == BUNDLE:

        def whole() -> Iterator[bytes]:
            promise = leaves.promised(log())
            with snapshot(database) as books:
                parts = bundle.parts(books, promise, log_keys=log_keys(), title=title())
                yield from bundle.zipped(parts, at=books.taken_at)

        return "application/zip", whole()
    if name not in FORMS:
        raise NotFound(param="name")
    kind, form = FORMS[name]

    def one() -> Iterator[str]:
        promise = leaves.promised(log())
        with snapshot(database) as books:
            yield from form(books, promise)

    return kind, one()


def log_keys() -> str:
    """Return the list of the log's keys, empty while there is none."""
    try:
        return str(keyring.keys(state().config.var_dir))
    except keyring.NoKey:
        return ""
