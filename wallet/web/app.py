"""The application: doors, pages, languages and what stands around every request."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import sqlalchemy as sa
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Blueprint, Flask, Request, Response, current_app, g, jsonify, request, send_from_directory
from flask_babel import Babel, Domain, get_locale
from jinja2 import FileSystemLoader
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter
from werkzeug.wsgi import get_path_info

from wallet import city, clock, db, money
from wallet import refunds as giving_back
from wallet.bills import agencies as _agencies
from wallet.cards import opening
from wallet.cards.till import Target
from wallet.config import Config
from wallet.ledger import guard
from wallet.limits import Limits
from wallet.receipts import CityLog, Log
from wallet.refusal import Refusal
from wallet.web import (
    accounts,
    audit,
    bills,
    card_room,
    cards,
    citizen,
    confirmation,
    desk,
    examine,
    exports,
    gate,
    holds,
    keys,
    logs,
    mandates,
    openapi,
    operate,
    orders,
    payees,
    people,
    problems,
    refunds,
    rooms,
    send,
    tiles,
    topup,
    transfers,
    verify,
)
from wallet.web.act import BODY_BYTES_MAX
from wallet.web.gate import admits
from wallet.web.state import Purchases, Shows, State, Verb, me, now, state

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

DOORS: Final = (
    accounts,
    audit,
    bills,
    card_room,
    cards,
    citizen,
    confirmation,
    desk,
    examine,
    exports,
    holds,
    keys,
    mandates,
    openapi,
    operate,
    orders,
    payees,
    people,
    refunds,
    rooms,
    send,
    tiles,
    topup,
    transfers,
    verify,
)

_FOLDER: Final = Path(__file__).parent

service = Blueprint("service", __name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wing:
    """What another package adds to the service; the front door hands it in, because this package knows none of them.

    Its templates stand in `folder/templates/<name>/` and are called `<name>/…`; its scripts and styles stand in
    `folder/static/` and are served, and found by `asset`, as `<name>/…`.
    """

    name: str
    folder: Path
    doors: tuple[ModuleType, ...]
    """Modules with a blueprint called `door`."""
    purchases: Purchases | None = None
    """What this package knows of payments to merchants."""
    refund: Verb | None = None
    """What decides refunds in place of the wallet's own verb, which it calls for what is not its matter."""
    targets: Mapping[str, Target] = field(default_factory=dict)
    """What cards can pay of this package, by purpose."""
    shows: Mapping[str, Shows] = field(default_factory=dict)
    """What shows these to whoever pays them by card."""


class Service(Flask):
    """Flask, spared what it would find out anew for every request although it never changes."""

    def __init__(self, config: Config, wings: tuple[Wing, ...] = ()) -> None:
        super().__init__("wallet.web", static_folder="static", template_folder="templates")
        self.origin = urlsplit(config.public_origin)
        self.static_folders = {wing.name: wing.folder / "static" for wing in wings}
        self.protection = gate.protection(config)

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        """Answer a request, protected."""
        return super().wsgi_app(environ, gate.protecting(start_response, self.protection))

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No door is async: spares Flask to look into each function it is about to call."""
        return func

    def send_static_file(self, filename: str) -> Response:
        """Send a file of ours, or one of a wing's, whose name comes first."""
        wing, _, rest = filename.partition("/")
        if wing in self.static_folders:
            return send_from_directory(self.static_folders[wing], rest)
        return super().send_static_file(filename)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Find doors by path alone: who we are is our own to say, and no Host header's."""
        if request is None:
            return super().create_url_adapter(None)
        environ = request.environ
        return MapAdapter(
            self.url_map,
            server_name=self.origin.netloc,
            script_name=environ.get("SCRIPT_NAME", ""),
            subdomain="",
            url_scheme=self.origin.scheme,
            path_info=get_path_info(environ),
            default_method=environ["REQUEST_METHOD"],
            query_args=environ.get("QUERY_STRING", ""),
        )


def create(config: Config, *, log: Log | None = None, wings: Iterable[Wing] = ()) -> Flask:
    """Make the application.

    Args:
        config: the environment's.
        log: what receipts are proved by; None: the service's own.
        wings: what other packages add.

    Raises:
        guard.UnsafeRole: the database role could write the books around the ledger.
        city.CityError: the city's file has faults.
    """
    logs.to_stderr()
    wings = tuple(wings)
    app = Service(config, wings)
    app.config.update(
        # A chunked body is cut at this length without a word: the one byte more lets `order_body` see that it was longer.
        MAX_CONTENT_LENGTH=BODY_BYTES_MAX + 1,
        MAX_FORM_MEMORY_SIZE=BODY_BYTES_MAX,
        MAX_FORM_PARTS=200,
        TRAP_HTTP_EXCEPTIONS=False,
    )
    app.url_map.merge_slashes = False  # a redirect would name the Host that the caller made up
    database = db.engine(config.database_url, name="web")
    app.extensions["wallet"] = State(
        config=config,
        app=database,
        till=opening.of(config, database, more=dict(one for wing in wings for one in wing.targets.items())),
        shows={"bill": topup.show_bill} | dict(one for wing in wings for one in wing.shows.items()),
        audit=db.engine(config.audit_database_url, name="web-audit"),
        city=city.load(config.city_file),
        limits=Limits(demo=config.demo),
        log=log or CityLog(config.var_dir),
        purchases=next((wing.purchases for wing in wings if wing.purchases), lambda _connection, _entries: {}),
        refund=next((wing.refund for wing in wings if wing.refund), giving_back.refund),
    )
    _check_roles(app.extensions["wallet"])
    _languages(app)
    app.before_request(gate.enter)
    app.after_request(gate.leave)
    app.register_error_handler(Refusal, problems.answer)
    app.register_error_handler(HTTPException, problems.of_http)
    app.register_error_handler(SQLAlchemyError, problems.of_database)
    app.register_error_handler(Exception, problems.of_bug)
    for module in DOORS:
        app.register_blueprint(module.door)
    for wing in wings:
        for module in wing.doors:
            app.register_blueprint(module.door)
    app.register_blueprint(service)
    gate.admits("anyone")(app.view_functions["static"])
    app.context_processor(_context)
    folders = [_FOLDER, *(wing.folder for wing in wings)]
    app.jinja_loader = FileSystemLoader([folder / "templates" for folder in folders])
    app.jinja_env.filters.update(
        dong=money.grouped, counted=money.counted, local=_local, day=_day, local_day=_local_day, local_iso=_local_iso
    )
    app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": True, "ensure_ascii": False}
    return app


def _check_roles(made: State) -> None:
    """Ask the guard about both roles, and keep no connection.

    Raises:
        guard.UnsafeRole.
    """
    engines = {made.app: True, made.audit: False}
    try:
        for engine, may_execute in engines.items():
            with engine.connect() as connection:
                guard.check(connection, may_execute=may_execute)
    finally:
        # Forked workers make connections of their own: one that two processes share would mix their answers.
        for engine in engines:
            engine.dispose()


@service.get("/healthz")
@admits("anyone")
def alive() -> Response:
    """Say that the process answers."""
    return jsonify(status="alive")


@service.get("/readyz")
@admits("anyone")
def ready() -> Response:
    """Say that the database answers as well."""
    with state().app.connect() as connection:
        connection.execute(sa.select(sa.literal(1))).one()
    return jsonify(status="ready")


@service.get("/city.css")
@admits("anyone")
def city_css() -> Response:
    """Give the city's colours."""
    response = Response(state().city.css(), content_type="text/css; charset=utf-8")
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@service.post("/v1/verify")
@admits("anyone")
@openapi.described(answers=None, status=204)
def verify_only() -> Response:
    """Verify a signature and answer nothing: what `make bench` holds a payment against, and a client's first try.

    Whether the key is still alive is not asked: that counts, and is judged under lock, where something is done.
    """
    from wallet.web.act import order_body

    gate.signed(order_body())
    return Response(status=204)


# ---- what templates use ---------------------------------------------------------------------------------------------


def _context() -> dict[str, Any]:
    who = me()
    config = state().config
    return {
        "city": state().city,
        "demo": config.demo,
        "takes_cards": state().till is not None,
        "me": {
            "holder_id": str(who.holder),
            "name": who.name,
            "role": str(who.role),
            "agency_name": _agency_name(who.agency) if who.agency else None,
        }
        if who
        else None,
        "locale": problems.locale(),
        "server_time": now().isoformat() if "now" in g else "",
        "public_origin": config.public_origin,
        "active": request.endpoint,
        "asset": asset,
    }


def _agency_name(agency: Any) -> str:
    with state().app.connect() as connection:
        code = _agencies.code_of(connection, agency)
    return state().city.agencies[code].name


def asset(path: str) -> str:
    """Return the address of a static file with a hash of its content, so that it can be kept for ever."""
    app = cast("Service", current_app)
    wing, _, rest = path.partition("/")
    folder = app.static_folders.get(wing)
    return f"/static/{path}?v={_digest(folder / rest if folder else _FOLDER / 'static' / path)}"


@lru_cache(maxsize=400)
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def _local(instant: datetime) -> str:
    return instant.astimezone(clock.CITY_TIME).strftime("%d/%m/%Y %H:%M")


def _local_day(instant: datetime) -> str:
    return _day(clock.day_of(instant))


def _local_iso(instant: datetime) -> str:
    return clock.day_of(instant).isoformat()


def _day(day: date) -> str:
    return day.strftime("%d/%m/%Y")


# ---- languages ------------------------------------------------------------------------------------------------------


class _Catalog(Domain):
    """The pages' translations, compiled from the .po file in memory: no built file to forget."""

    def get_translations(self) -> Any:
        return _english() if str(get_locale()) == "en" else NullTranslations()


@lru_cache(maxsize=1)
def _english() -> Translations:
    path = _FOLDER / "translations" / "en" / "LC_MESSAGES" / "messages.po"
    compiled = BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale="en"))
    compiled.seek(0)
    return Translations(compiled)


def _languages(app: Flask) -> None:
    made: Any = Babel  # the library has no hints
    made(app, default_locale="vi", default_timezone="Asia/Ho_Chi_Minh", locale_selector=problems.locale)
    catalog: Any = cast("Any", _Catalog)()
    app.before_request(catalog.as_default)
