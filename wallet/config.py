"""Configuration: one frozen object, read once from the environment.

What    Everything a process must be told from outside. Whoever starts a process reads it with
        `Config.from_env` and hands it on; nothing else looks at the environment.
Words   The demo is what `make run` starts: invented people whose private keys lie in a file. Its server
        secret carries a mark, so that it can never serve a real city.
Rule    A value that is missing, malformed or set only by half stops the start with one line that says which.
"""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

DEFAULT_PORT: Final = 8000
PORT_MAX: Final = 65_535
SECRET_BYTES_MIN: Final = 32
"""An HMAC-SHA-256 key shorter than its hash would be the weakest part."""

DEMO_SECRET_MARK: Final = b"trang-tien-demo:"
"""How every demo's server secret begins. `from_env` refuses it outside the demo."""

DEMO_KEYS_FILE: Final = "demo.json"
"""Written by the demo city into VAR_DIR: private keys and PINs of invented people."""

_LIVE_KEYS: Final = ("sk_live_", "rk_live_")
_TEST_KEYS: Final = ("sk_test_", "rk_test_")

_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}|\[[0-9a-f:.]+\]")
_URL_SCHEMES: Final = ("postgresql", "postgres", "postgresql+psycopg")


class ConfigError(Exception):
    """The environment cannot be used. Its text is one line for the person who starts the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeKeys:
    """What the card gate needs. `api_base` is set for the demo's stand-in alone; otherwise it is Stripe itself.

    Any of `webhook_secrets` may have signed an event: two of them while one replaces the other.
    """

    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    api_base: str | None = None

    @property
    def live(self) -> bool:
        """Whether the key moves real money."""
        return self.api_key.startswith(_LIVE_KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a process was told when it started.

    The database URLs begin with `postgresql://`, which both psycopg and SQLAlchemy take. `public_origin` is
    scheme and host, with a port only where it is not the scheme's own, and no slash at the end: it is the
    `aud` of every order. `var_dir` is where this process may write. `trusted_proxy` says that every request comes
    through a proxy of ours, whose last X-Forwarded-For hop is who asks. `live_port` is where the process of streams listens,
    and `live_origin` where browsers find it, in the form of `public_origin`. Without `stripe`
    the service takes no cards.
    """

    port: int
    public_origin: str
    database_url: str = field(repr=False)
    migrator_database_url: str | None = field(repr=False)
    audit_database_url: str = field(repr=False)
    var_dir: Path
    city_file: Path
    demo: bool
    server_secret: bytes = field(repr=False)
    trusted_proxy: bool = False
    live_port: int = DEFAULT_PORT + 1
    live_origin: str = f"http://localhost:{DEFAULT_PORT + 1}"
    stripe: StripeKeys | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Config":
        """Read the configuration; in the demo, make the server secret if there is none yet.

        Args:
            environ: usually `os.environ`. A value of only spaces counts as not set.

        Raises:
            ConfigError: naming the one thing to mend.
        """
        env = {name: value.strip() for name, value in environ.items() if value.strip()}
        port, live_port = port_of(env), live_port_of(env)
        public_origin = _origin(env, port)
        demo = _flag(env, "DEMO")
        var_dir = Path(env.get("VAR_DIR", "var"))
        if not demo and (var_dir / DEMO_KEYS_FILE).exists():
            raise ConfigError(
                f"{var_dir / DEMO_KEYS_FILE} holds the demo's private keys: "
                "outside the demo (DEMO is not 1) VAR_DIR must be a folder without them."
            )
        database_url, audit_database_url, migrator_database_url = _database_urls(env)
        return cls(
            port=port,
            public_origin=public_origin,
            database_url=database_url,
            migrator_database_url=migrator_database_url,
            audit_database_url=audit_database_url,
            var_dir=var_dir,
            city_file=Path(env.get("CITY_FILE", "city.toml")),
            demo=demo,
            server_secret=_server_secret(env, var_dir, demo=demo),
            trusted_proxy=_flag(env, "TRUSTED_PROXY"),
            live_port=live_port,
            live_origin=_live_origin(env, public_origin, live_port),
            stripe=_stripe(env, demo=demo),
        )


def port_of(environ: Mapping[str, str]) -> int:
    """Return PORT, or 8000 when it is not set.

    Raises:
        ConfigError: it is no number from 1 to 65535.
    """
    return _port("PORT", environ.get("PORT", "").strip() or str(DEFAULT_PORT))


def live_port_of(environ: Mapping[str, str]) -> int:
    """Return LIVE_PORT, or the port after PORT when it is not set.

    Raises:
        ConfigError: it is no number from 1 to 65535, or it is PORT.
    """
    port = port_of(environ)
    live = _port("LIVE_PORT", environ.get("LIVE_PORT", "").strip() or str(port + 1 if port < PORT_MAX else port - 1))
    if live == port:
        raise ConfigError(f"LIVE_PORT and PORT are both {port}: two processes cannot listen on one port.")
    return live


def _port(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= PORT_MAX):
        raise ConfigError(f"{name} must be a number from 1 to {PORT_MAX}, not {text!r}.")
    return int(text)


def postgres_url(name: str, text: str) -> str:
    """Check a database URL and return it as `postgresql://…`.

    Args:
        name: the variable it came from, for the message, which never repeats the URL: it holds a password.

    Raises:
        ConfigError: it is no PostgreSQL URL, or it names no user, host or database.
    """
    example = f"{name} must look like postgresql://user:password@host:5432/database"
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise ConfigError(f"{example}; its host or port cannot be read.") from error
    if url.scheme not in _URL_SCHEMES:
        raise ConfigError(f"{example}; it begins with {url.scheme or 'nothing'!r}.")
    query = parse_qs(url.query)
    missing = [
        what
        for what, found in (
            ("user", url.username or query.get("user")),
            ("host", url.hostname or query.get("host")),
            ("database", unquote(url.path.lstrip("/")) or query.get("dbname")),
        )
        if not found
    ]
    if missing:
        raise ConfigError(f"{example}; it names no {' and no '.join(missing)}.")
    return "postgresql://" + text.split("://", 1)[1]


def _database_urls(env: Mapping[str, str]) -> tuple[str, str, str | None]:
    """Return the URLs of app, audit and, if there is one, migrator."""
    needed = ("DATABASE_URL", "AUDIT_DATABASE_URL")
    missing = [name for name in needed if name not in env]
    if missing:
        have = [name for name in (*needed, "MIGRATOR_DATABASE_URL") if name in env]
        given = f"{' and '.join(have)} set without {missing[0]}" if have else f"{' and '.join(needed)} are not set"
        raise ConfigError(f"{given}: set both, or start everything with `make run`.")
    migrator = env.get("MIGRATOR_DATABASE_URL")
    return (
        postgres_url("DATABASE_URL", env["DATABASE_URL"]),
        postgres_url("AUDIT_DATABASE_URL", env["AUDIT_DATABASE_URL"]),
        postgres_url("MIGRATOR_DATABASE_URL", migrator) if migrator else None,
    )


def _stripe(env: Mapping[str, str], *, demo: bool) -> StripeKeys | None:
    """Return the card gate's keys, or None when there are none at all."""
    needed = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRETS")
    given = [name for name in (*needed, "STRIPE_API_BASE") if name in env]
    if not given:
        return None
    if missing := [name for name in needed if name not in env]:
        raise ConfigError(f"{given[0]} is set without {missing[0]}: set both to take cards, or none of them.")
    key = env["STRIPE_API_KEY"]
    if not key.startswith((*_LIVE_KEYS, *_TEST_KEYS)):
        raise ConfigError("STRIPE_API_KEY must begin with sk_live_, rk_live_, sk_test_ or rk_test_.")
    if demo and key.startswith(_LIVE_KEYS):
        raise ConfigError("STRIPE_API_KEY is a live key: the demo (DEMO=1) charges no real card.")
    if not demo and key.startswith(_TEST_KEYS):
        raise ConfigError("STRIPE_API_KEY is a test key: outside the demo (DEMO is not 1) its money would not be real.")
    secrets_ = tuple(text.strip() for text in env["STRIPE_WEBHOOK_SECRETS"].split(","))
    if not all(re.fullmatch(r"whsec_[0-9A-Za-z+/=_-]{16,}", text) for text in secrets_):
        raise ConfigError("STRIPE_WEBHOOK_SECRETS must be one or more of whsec_…, with a comma between.")
    return StripeKeys(api_key=key, webhook_secrets=secrets_, api_base=_stripe_base(env, demo=demo))


def _stripe_base(env: Mapping[str, str], *, demo: bool) -> str | None:
    """Return where the stand-in answers; nobody else may be asked in Stripe's place."""
    text = env.get("STRIPE_API_BASE")
    if text is None:
        return None
    if not demo:
        raise ConfigError("STRIPE_API_BASE names a stand-in: outside the demo (DEMO is not 1) leave it away.")
    if not re.fullmatch(r"http://(127\.0\.0\.1|localhost|\[::1\]):[1-9][0-9]{0,4}", text):
        raise ConfigError(f"STRIPE_API_BASE must be like http://127.0.0.1:8001, on this machine, not {text!r}.")
    return text


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "0")
    if text not in ("0", "1"):
        raise ConfigError(f"{name} must be 1 or 0, not {text!r}.")
    return text == "1"


def _origin(env: Mapping[str, str], port: int) -> str:
    text = env.get("PUBLIC_ORIGIN")
    if text is None:
        return "http://localhost" if port == 80 else f"http://localhost:{port}"
    return _one_origin("PUBLIC_ORIGIN", text)


def _live_origin(env: Mapping[str, str], public_origin: str, port: int) -> str:
    """Return LIVE_ORIGIN; unless it is set, the same host on the port of streams where the service is plain http, and
    the service's own origin where a proxy with TLS stands in front, which sends /live/ to that port.
    """
    text = env.get("LIVE_ORIGIN")
    if text is not None:
        return _one_origin("LIVE_ORIGIN", text)
    if public_origin.startswith("https:"):
        return public_origin
    host = urlsplit(public_origin).hostname or ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _one_origin(name: str, text: str) -> str:
    """Return an origin in the one form a browser sends: equal origins have equal texts."""
    scheme, _, rest = text.partition("://")
    host, given_port = rest, ""
    if (colon := rest.rfind(":")) > rest.rfind("]"):
        host, given_port = rest[:colon], rest[colon + 1 :]
        if not re.fullmatch(r"[1-9][0-9]{0,4}", given_port) or int(given_port) > 65535:
            host = ""
        elif given_port == {"http": "80", "https": "443"}.get(scheme):
            raise ConfigError(f"{name} {text!r} names its scheme's own port: leave :{given_port} away.")
    if scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise ConfigError(f"{name} must be like https://vi.example.vn, in small letters and no more, not {text!r}.")
    if scheme == "http" and host not in _LOOPBACK:
        raise ConfigError(f"{name} {text!r} must be https: over plain http from another machine no browser signs.")
    return text


def _server_secret(env: Mapping[str, str], var_dir: Path, *, demo: bool) -> bytes:
    text = env.get("SERVER_SECRET")
    if text is None:
        if not demo:
            raise ConfigError(
                f"SERVER_SECRET is not set: give it at least {SECRET_BYTES_MIN} random bytes in hex "
                "(openssl rand -hex 32)."
            )
        return _demo_secret(var_dir / "secret")
    secret = _unhex("SERVER_SECRET", text)
    if secret.startswith(DEMO_SECRET_MARK) and not demo:
        raise ConfigError("SERVER_SECRET is a demo's: outside the demo (DEMO is not 1) make one of its own.")
    return secret


def _unhex(name: str, text: str) -> bytes:
    """Read hex without repeating it in the message."""
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        raise ConfigError(f"{name} must be hex digits only.") from None
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigError(f"{name} has {len(secret)} bytes; it needs at least {SECRET_BYTES_MIN}.")
    return secret


def _demo_secret(path: Path) -> bytes:
    """Return the demo's secret, made once. Two processes that start together end with the same one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write((DEMO_SECRET_MARK + secrets.token_bytes(SECRET_BYTES_MIN)).hex() + "\n")
            try:
                os.link(fresh, path)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return _unhex(str(path), path.read_text().strip())
    except OSError as error:
        raise ConfigError(f"{path} cannot be used: {error.strerror}.") from error
