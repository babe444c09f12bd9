"""The configuration: what is missing, malformed or half-set stops the start with one line."""

import stat
from pathlib import Path

import pytest

from wallet.config import DEMO_SECRET_MARK, Config, ConfigError, StripeKeys

SECRET = "ab" * 32
URLS = {
    "DATABASE_URL": "postgresql://hue_app:pw-app@127.0.0.1:5432/hue",
    "AUDIT_DATABASE_URL": "postgresql://hue_audit:pw-audit@127.0.0.1:5432/hue",
}


def environ(tmp_path: Path, **changes: str | None) -> dict[str, str]:
    values: dict[str, str | None] = {**URLS, "SERVER_SECRET": SECRET, "VAR_DIR": str(tmp_path), **changes}
    return {name: value for name, value in values.items() if value is not None}


def refusal(env: dict[str, str]) -> str:
    """The one line that `env` is refused with."""
    with pytest.raises(ConfigError) as caught:
        Config.from_env(env)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


def test_a_full_environment_is_read_as_it_stands(tmp_path):
    config = Config.from_env(
        environ(
            tmp_path,
            PORT="8123",
            PUBLIC_ORIGIN="https://vi.hue.example",
            MIGRATOR_DATABASE_URL="postgresql://hue_migrator:pw@127.0.0.1/hue",
            CITY_FILE="hue.toml",
        )
    )
    assert config == Config(
        port=8123,
        public_origin="https://vi.hue.example",
        database_url=URLS["DATABASE_URL"],
        migrator_database_url="postgresql://hue_migrator:pw@127.0.0.1/hue",
        audit_database_url=URLS["AUDIT_DATABASE_URL"],
        var_dir=tmp_path,
        city_file=Path("hue.toml"),
        demo=False,
        server_secret=bytes.fromhex(SECRET),
        live_port=8124,
        live_origin="https://vi.hue.example",
    )


def test_what_is_not_set_has_its_default(tmp_path):
    config = Config.from_env(environ(tmp_path, PORT=" ", CITY_FILE=None))
    assert (config.port, config.public_origin) == (8000, "http://localhost:8000")
    assert config.city_file == Path("city.toml")
    assert config.migrator_database_url is None
    assert not config.demo


def test_the_origin_follows_the_port_and_leaves_the_schemes_own_away(tmp_path):
    assert Config.from_env(environ(tmp_path, PORT="8124")).public_origin == "http://localhost:8124"
    assert Config.from_env(environ(tmp_path, PORT="80")).public_origin == "http://localhost"


def test_streams_have_the_next_port_of_the_same_host_unless_told_otherwise(tmp_path):
    def of(**changes: str) -> tuple[int, str]:
        config = Config.from_env(environ(tmp_path, **changes))
        return config.live_port, config.live_origin

    assert of() == (8001, "http://localhost:8001")
    assert of(PORT="65535") == (65534, "http://localhost:65534")
    assert of(LIVE_PORT="9000", PUBLIC_ORIGIN="http://127.0.0.1:8000") == (9000, "http://127.0.0.1:9000")
    assert of(PUBLIC_ORIGIN="http://[::1]:8000") == (8001, "http://[::1]:8001")
    assert of(PUBLIC_ORIGIN="https://vi.hue.example") == (8001, "https://vi.hue.example"), "the proxy has one origin"
    assert of(LIVE_ORIGIN="https://live.hue.example")[1] == "https://live.hue.example"


def test_streams_are_not_put_where_the_service_listens(tmp_path):
    assert "both 8000" in refusal(environ(tmp_path, LIVE_PORT="8000"))
    assert refusal(environ(tmp_path, LIVE_PORT="x")).startswith("LIVE_PORT must be a number")
    assert refusal(environ(tmp_path, LIVE_ORIGIN="live.hue.example")).startswith("LIVE_ORIGIN must be like")


def test_a_configuration_prints_neither_password_nor_secret(tmp_path):
    shown = repr(Config.from_env(environ(tmp_path)))
    assert "pw-app" not in shown
    assert "pw-audit" not in shown
    assert SECRET not in shown
    assert str(bytes.fromhex(SECRET)) not in shown


@pytest.mark.parametrize("port", ["0", "65536", "-1", "+80", "80a", "8_0", "８０", "1e3", "00000080"])
def test_a_bad_port_is_one_clear_line(tmp_path, port):
    assert refusal(environ(tmp_path, PORT=port)).startswith("PORT must be a number from 1 to 65535")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"DATABASE_URL": None}, "AUDIT_DATABASE_URL set without DATABASE_URL"),
        ({"AUDIT_DATABASE_URL": None}, "DATABASE_URL set without AUDIT_DATABASE_URL"),
        (
            {"DATABASE_URL": None, "AUDIT_DATABASE_URL": None},
            "DATABASE_URL and AUDIT_DATABASE_URL are not set",
        ),
        (
            {"DATABASE_URL": None, "AUDIT_DATABASE_URL": "", "MIGRATOR_DATABASE_URL": URLS["DATABASE_URL"]},
            "MIGRATOR_DATABASE_URL set without DATABASE_URL",
        ),
    ],
)
def test_a_half_set_database_is_one_clear_line(tmp_path, changes, line):
    assert refusal(environ(tmp_path, **changes)).startswith(line)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mysql://u:hidden@h/d", "begins with 'mysql'"),
        ("hue", "begins with 'nothing'"),
        ("postgresql://h/d", "no user"),
        ("postgresql://u:hidden@/d", "no host"),
        ("postgresql://u:hidden@h", "no database"),
        ("postgresql://u:hidden@h/", "no database"),
        ("postgresql://u:hidden@h:99999/d", "cannot be read"),
        ("postgresql://u:hidden@[::1/d", "cannot be read"),
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "AUDIT_DATABASE_URL", "MIGRATOR_DATABASE_URL"])
def test_a_bad_url_is_one_clear_line_without_its_password(tmp_path, name, url, word):
    text = refusal(environ(tmp_path, **{name: url}))
    assert text.startswith(name)
    assert word in text
    assert "hidden" not in text


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_the_scheme_becomes_one(tmp_path, scheme):
    config = Config.from_env(environ(tmp_path, DATABASE_URL=f"{scheme}://u:p@h/d?sslmode=require"))
    assert config.database_url == "postgresql://u:p@h/d?sslmode=require"


def test_a_socket_folder_is_a_host(tmp_path):
    url = "postgresql://u@/d?host=/run/postgresql"
    assert Config.from_env(environ(tmp_path, DATABASE_URL=url)).database_url == url


@pytest.mark.parametrize(
    "origin",
    [
        "vi.hue.example",
        "https://vi.hue.example/",
        "https://vi.hue.example/pay",
        "https://VI.hue.example",
        "https://user@vi.hue.example",
        "https://vi.hue.example:0",
        "https://vi.hue.example:99999",
        "https://vi.hue.example:",
        "https://vi.hue.example.",
        "ftp://vi.hue.example",
        "https://",
        "https://ví.example",
    ],
)
def test_a_bad_origin_is_one_clear_line(tmp_path, origin):
    assert refusal(environ(tmp_path, PUBLIC_ORIGIN=origin)).startswith("PUBLIC_ORIGIN must be like")


def test_an_origin_that_names_its_schemes_own_port_is_refused(tmp_path):
    assert "leave :443 away" in refusal(environ(tmp_path, PUBLIC_ORIGIN="https://vi.hue.example:443"))


def test_plain_http_is_for_this_machine_only(tmp_path):
    assert "must be https" in refusal(environ(tmp_path, PUBLIC_ORIGIN="http://vi.hue.example"))
    for origin in ("http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000"):
        assert Config.from_env(environ(tmp_path, PUBLIC_ORIGIN=origin)).public_origin == origin


@pytest.mark.parametrize("flag", ["yes", "true", "2"])
def test_a_flag_is_1_or_0(tmp_path, flag):
    assert refusal(environ(tmp_path, DEMO=flag)) == f"DEMO must be 1 or 0, not {flag!r}."


def test_outside_the_demo_a_server_secret_is_needed(tmp_path):
    assert refusal(environ(tmp_path, SERVER_SECRET=None)).startswith("SERVER_SECRET is not set")


@pytest.mark.parametrize(("secret", "word"), [("xyz", "hex"), ("ab" * 31, "at least 32"), ("abc", "hex")])
def test_a_weak_or_garbled_server_secret_is_refused_and_not_repeated(tmp_path, secret, word):
    text = refusal(environ(tmp_path, SERVER_SECRET=secret))
    assert text.startswith("SERVER_SECRET")
    assert word in text
    assert secret not in text.replace("SERVER_SECRET", "")


def test_the_demo_makes_its_secret_once_and_for_its_owner_only(tmp_path):
    var = tmp_path / "var"
    env = environ(var, DEMO="1", SERVER_SECRET=None)
    first = Config.from_env(env).server_secret
    assert Config.from_env(env).server_secret == first
    assert first.startswith(DEMO_SECRET_MARK)
    assert len(first) == len(DEMO_SECRET_MARK) + 32
    assert stat.S_IMODE((var / "secret").stat().st_mode) == 0o600
    assert [path.name for path in var.iterdir()] == ["secret"]


def test_a_demos_secret_is_refused_outside_the_demo(tmp_path):
    demo = Config.from_env(environ(tmp_path / "demo", DEMO="1", SERVER_SECRET=None))
    text = refusal(environ(tmp_path / "city", SERVER_SECRET=demo.server_secret.hex()))
    assert text == "SERVER_SECRET is a demo's: outside the demo (DEMO is not 1) make one of its own."


def test_a_demos_private_keys_are_refused_outside_the_demo(tmp_path):
    (tmp_path / "demo.json").write_text("{}")
    assert "holds the demo's private keys" in refusal(environ(tmp_path))
    assert Config.from_env(environ(tmp_path, DEMO="1")).demo


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    text = refusal(environ(tmp_path / "file", DEMO="1", SERVER_SECRET=None))
    assert "cannot be used" in text


# -- the card gate --------------------------------------------------------------------------------------------------

WHSEC = "whsec_0123456789abcdef"


def stripe_of(tmp_path, *, demo: str = "0", **changes: str | None):
    given = {"STRIPE_API_KEY": "sk_live_abc", "STRIPE_WEBHOOK_SECRETS": WHSEC, **changes}
    return environ(tmp_path, DEMO=demo, **given)


def test_without_keys_the_service_takes_no_cards(tmp_path):
    assert Config.from_env(environ(tmp_path)).stripe is None


def test_the_card_gates_keys_are_read_and_never_shown(tmp_path):
    config = Config.from_env(stripe_of(tmp_path, STRIPE_WEBHOOK_SECRETS=f"{WHSEC}, {WHSEC}2"))
    assert config.stripe == StripeKeys(api_key="sk_live_abc", webhook_secrets=(WHSEC, f"{WHSEC}2"))
    assert config.stripe.live
    assert "sk_live_abc" not in repr(config)
    assert WHSEC not in repr(config)
    demo = Config.from_env(
        stripe_of(tmp_path, demo="1", STRIPE_API_KEY="rk_test_abc", STRIPE_API_BASE="http://127.0.0.1:8001")
    ).stripe
    assert demo is not None
    assert (demo.live, demo.api_base) == (False, "http://127.0.0.1:8001")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"STRIPE_API_KEY": None}, "STRIPE_WEBHOOK_SECRETS is set without STRIPE_API_KEY"),
        ({"STRIPE_WEBHOOK_SECRETS": None}, "STRIPE_API_KEY is set without STRIPE_WEBHOOK_SECRETS"),
        ({"STRIPE_API_KEY": "pk_live_abc"}, "STRIPE_API_KEY must begin with"),
        ({"STRIPE_API_KEY": "sk_test_abc"}, "STRIPE_API_KEY is a test key"),
        ({"demo": "1"}, "STRIPE_API_KEY is a live key"),
        ({"STRIPE_WEBHOOK_SECRETS": f"{WHSEC},"}, "STRIPE_WEBHOOK_SECRETS must be"),
        ({"STRIPE_WEBHOOK_SECRETS": "secret-of-ours-0123456789"}, "STRIPE_WEBHOOK_SECRETS must be"),
        ({"STRIPE_API_BASE": "http://127.0.0.1:8001"}, "STRIPE_API_BASE names a stand-in"),
        *(
            ({"demo": "1", "STRIPE_API_KEY": "sk_test_abc", "STRIPE_API_BASE": base}, "STRIPE_API_BASE must be like")
            for base in ("https://api.stripe.com", "http://10.0.0.1:80", "http://127.0.0.1", "http://localhost:1/v1")
        ),
    ],
)
def test_keys_that_are_half_set_or_of_the_wrong_mode_are_one_line(tmp_path, changes, words):
    text = refusal(stripe_of(tmp_path, **changes))
    assert text.startswith(words)
    assert "_abc" not in text
    assert WHSEC not in text


def test_a_stand_in_alone_is_half_set(tmp_path):
    alone = environ(tmp_path, DEMO="1", STRIPE_API_BASE="http://127.0.0.1:8001")
    assert refusal(alone).startswith("STRIPE_API_BASE is set without STRIPE_API_KEY")
