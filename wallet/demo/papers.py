"""What the demo writes down for whoever tries it: the address, and who can sign in and sign, by what."""

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from wallet import accounts
from wallet.bills import agencies
from wallet.city import City
from wallet.config import DEMO_KEYS_FILE, Config
from wallet.demo import fixed
from wallet.demo.people import Principal, principals
from wallet.identity import holders


def write(config: Config, city: City, database: sa.Engine) -> None:
    """Write demo.json: readable by this user only, and whole or not at all."""
    with database.connect() as connection:
        offices = {code: holder for holder, code in agencies.codes(connection).items()}
        rows = [_row(connection, one, city, offices) for one in principals(city)]
    document = {"base_url": config.public_origin, "principals": rows}
    _replace(config.var_dir / DEMO_KEYS_FILE, json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _row(connection: sa.Connection, one: Principal, city: City, offices: dict[str, Any]) -> dict[str, Any]:
    if one.phone is None:
        assert one.agency is not None, "who has no phone is an agency's machine"
        holder = offices[one.agency]
    else:
        person = holders.by_phone(connection, one.phone)
        assert person is not None, "the load registers every principal"
        holder = person.holder
    wallet = accounts.wallet_of(connection, holder)
    key = fixed.key(one.slug)
    return {
        "name": one.name,
        "role": one.role,
        "phone": one.phone,
        "holder": str(holder),
        "account": str(wallet.id) if wallet else None,
        "key": key.public.id,
        "jwk": key.jwk(),
        "pin": one.pin,
        "agency": one.agency,
        "agency_name": city.agencies[one.agency].name if one.agency else None,
        "also": one.also,
    }


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
