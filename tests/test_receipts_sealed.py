"""Receipts by the service's own log: sealed by the real sealer, cosigned, rotated, and switched off."""

import json
import subprocess
import sys
from pathlib import Path

from tests import logs
from tests.databases import TestDatabase
from tests.make import City, Signer
from wallet.log import claims, evidence, keyring, note
from wallet.log.note import FileSigner, Note, VerifierKey

ROOT = Path(__file__).parents[1]
WITNESS = FileSigner.of_seed("kiem-toan.example.vn", bytes(range(3, 35)), note.COSIGNATURE)


def sent(city: City) -> tuple[str, Signer]:
    hoa, binh = city.citizen(available=50_000), city.citizen("Trần Văn Bình")
    return str(city.send(hoa, binh, 1_000).json()["order"]), hoa


def test_a_receipt_of_the_citys_own_log_verifies_with_the_service_switched_off(
    fresh_database: TestDatabase, tmp_path: Path
) -> None:
    with City(fresh_database) as city:
        order, hoa = sent(city)
        path = f"/v1/orders/{order}/receipt"
        assert hoa.get(path).json()["code"] == "receipt_no_log"
        log = logs.Log(fresh_database)
        assert hoa.get(path).json()["kind"] == "acknowledgement"
        log.seal()
        reply = hoa.get(path)
        assert reply.json()["kind"] == "receipt"
    file = tmp_path / "receipt.json"
    file.write_bytes(reply.body)
    keys = keyring.folder(log.var_dir) / keyring.KEYS
    command = [sys.executable, "-m", "wallet.log.evidence", "verify", str(file), "--log-key", str(keys)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == claims.PROVED, done.stdout


def test_a_receipt_carries_the_witnesses_cosignatures_and_survives_a_rotation(fresh_database: TestDatabase) -> None:
    with City(fresh_database) as city:
        order, hoa = sent(city)
        log = logs.Log(fresh_database)
        last = log.seal()
        assert last is not None
        cosignature = note.cosign(last.text, WITNESS, time_s=1_795_300_000)
        with fresh_database.superuser() as owner:
            owner.execute(
                "INSERT INTO log.cosignature (size, witness, line, at) VALUES (%s, %s, %s, now())",
                [last.size, WITNESS.key.name, cosignature.line.rstrip("\n")],
            )
        old = hoa.get(f"/v1/orders/{order}/receipt").body
        report = evidence.verify(old, log.keys, witnesses=[VerifierKey.parse(str(WITNESS.key))], witnesses_min=1)
        assert (report.false, report.status) == (None, claims.PROVED)
        rotated = keyring.rotate(log.var_dir, last)
        again, lan = sent(city)
        log.seal()
        assert evidence.verify(old, rotated).status == claims.PROVED
        new = lan.get(f"/v1/orders/{again}/receipt").body
        assert evidence.verify(new, rotated).status == claims.PROVED
        signed = Note.parse(json.loads(new)["checkpoint"].encode()).signatures
        assert [one.id for one in signed] == [rotated.keys[-1].key.id]
        assert evidence.verify(new, log.keys).status == claims.SIGNED.status
