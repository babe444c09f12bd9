"""The bundle that an auditor takes home: journals, tables, leaves, checkpoint, keys, a script that verifies them.

How     One zip, written as it is read: nothing of it is ever whole in memory or on our disk. SHA256SUMS names every file.
        No file names a person. The log's key is in it for convenience; README says to take it from elsewhere.
Source  PKWARE APPNOTE (sizes after the data, zip64), which every unzip of this century reads.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from wallet import clock
from wallet.exports import journals, leaves, tables, verify
from wallet.exports.books import Books
from wallet.exports.leaves import Promise

CHUNK_BYTES: Final = 64 * 1024

BEANCOUNT: Final = "so.beancount"
HLEDGER: Final = "so.journal"
TRIAL: Final = "bang-can-doi.csv"
ACCOUNTS: Final = "tai-khoan.csv"
ENTRIES: Final = "but-toan.csv"
LEAVES: Final = "la.ndjson"
PUBLIC_KEYS: Final = "khoa-cong-khai.ndjson"
CHECKPOINT: Final = "checkpoint"
LOG_KEYS: Final = "log-keys.txt"
README: Final = "README.txt"
VERIFIER: Final = "verify.py"
SUMS: Final = "SHA256SUMS"


def parts(books: Books, promise: Promise | None, *, log_keys: str, title: str) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the bundle's files one after the other, each a name and its text in pieces.

    Args:
        books: the snapshot, taken after the promise was asked for.
        promise: the log's.
        log_keys: a line for each key that the log has had, oldest first.
        title: whose books they are.
    """
    yield README, [readme(title, taken_at=books.taken_at, leaves=promise.checkpoint.size if promise else 0)]
    yield VERIFIER, [Path(verify.__file__).read_text(encoding="utf-8")]
    yield LOG_KEYS, [log_keys]
    if promise:
        yield CHECKPOINT, [promise.note]
        yield LEAVES, leaves.ndjson(books, promise, proofs=False)
    yield TRIAL, tables.trial(books)
    yield ACCOUNTS, tables.accounts(books)
    yield ENTRIES, tables.entries(books)
    yield BEANCOUNT, journals.beancount(books, title=title)
    yield HLEDGER, journals.hledger(books, title=title)
    yield PUBLIC_KEYS, public_keys(books)


def public_keys(books: Books) -> Iterator[str]:
    """Yield every public key with whose it is and since when, without the label that its holder gave it."""
    for row in books.stream("SELECT id, holder, jwk, state, enrolled_at, revoked_at FROM identity.key ORDER BY id"):
        said = {
            "id": row.id,
            "holder": str(row.holder),
            "jwk": json.loads(row.jwk),
            "state": row.state,
            "enrolled_at": row.enrolled_at.isoformat(),
            "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
        }
        yield json.dumps(said, separators=(",", ":")) + "\n"


def zipped(files: Iterable[tuple[str, Iterable[str]]], *, at: datetime) -> Iterator[bytes]:
    """Yield a zip of text files, with their sums last.

    Args:
        files: names and texts in pieces, each read when its turn comes.
        at: the files' time.
    """
    out = _Drained()
    sums: list[str] = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, pieces in files:
            hashed = hashlib.sha256()
            yield from _member(archive, out, name, pieces, hashed.update, at=at)
            sums.append(f"{hashed.hexdigest()}  {name}\n")
        yield from _member(archive, out, SUMS, sums, lambda _: None, at=at)
    yield out.drain()


def _member(
    archive: zipfile.ZipFile,
    out: "_Drained",
    name: str,
    pieces: Iterable[str],
    hashed: Callable[[bytes], None],
    *,
    at: datetime,
) -> Iterator[bytes]:
    info = zipfile.ZipInfo(name, date_time=at.astimezone(clock.CITY_TIME).timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    with archive.open(info, "w", force_zip64=True) as member:
        for piece in pieces:
            data = piece.encode()
            hashed(data)
            member.write(data)
            if len(out) >= CHUNK_BYTES:
                yield out.drain()


class _Drained(io.RawIOBase):
    """What the zip is written to: kept until it is handed on. It cannot seek, so sizes come after the data."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._bytes = 0

    def __len__(self) -> int:
        return self._bytes

    def writable(self) -> bool:
        """Say that it is written to."""
        return True

    def write(self, data: object) -> int:
        """Keep some bytes."""
        kept = bytes(data)  # type: ignore[call-overload]
        self._parts.append(kept)
        self._bytes += len(kept)
        return len(kept)

    def drain(self) -> bytes:
        """Return what was written since the last time."""
        whole = b"".join(self._parts)
        self._parts, self._bytes = [], 0
        return whole


def readme(title: str, *, taken_at: datetime, leaves: int) -> str:
    """Write how to verify the bundle, in Vietnamese and in English."""
    at = taken_at.astimezone(clock.CITY_TIME).strftime("%d/%m/%Y %H:%M:%S")
    return f"""{title}
Sổ mang về: chụp lúc {at} (giờ Việt Nam), {leaves} lá đã niêm phong.
Books to take home: a snapshot of {at} (Vietnam time), {leaves} sealed leaves.

KIỂM CHỨNG KHI KHÔNG CÓ MẠNG
1. Lấy khoá công khai của nhật ký từ nơi khác (công báo, nhân chứng) và ghi vào một tệp, thí dụ khoa.txt.
   {LOG_KEYS} trong gói này chỉ để tiện so: ai làm ra gói cũng có thể đặt khoá của mình vào đó.
2. pip install cryptography
3. python3 {VERIFIER} . --log-key khoa.txt
   Có checkpoint đã lưu lần trước: thêm --seen TỆP để biết nhật ký không bị cắt ngắn hay viết lại.
   Mã lỗi có nghĩa gì: đầu tệp {VERIFIER}.
4. Công cụ do người khác viết cũng phải ra cùng số dư:
   bean-check {BEANCOUNT}
   hledger check --strict -f {HLEDGER}
   hledger balance --depth 3 --flat -f {HLEDGER}     so với {TRIAL}
   sha256sum -c {SUMS}
   Checkpoint là note C2SP: golang.org/x/mod/sumdb/note và tlog đọc được.

VERIFY WITHOUT A NETWORK
1. Take the log's public key from elsewhere (the gazette, a witness) and put it into a file, say key.txt. {LOG_KEYS} in this
   bundle is there to compare: whoever made the bundle could have put any key into it.
2. pip install cryptography
3. python3 {VERIFIER} . --log-key key.txt
   With a checkpoint that you saved last time, add --seen FILE: the log must still begin with it. The codes are explained
   at the head of {VERIFIER}.
4. Tools that others wrote must come to the same balances:
   bean-check {BEANCOUNT}
   hledger check --strict -f {HLEDGER}
   hledger balance --depth 3 --flat -f {HLEDGER}     against {TRIAL}
   sha256sum -c {SUMS}
   The checkpoint is a C2SP note: golang.org/x/mod/sumdb/note and tlog read it.

TỆP / FILES
{TRIAL:24} bảng cân đối / trial balance
{ACCOUNTS:24} tài khoản và số dư / accounts and balances
{ENTRIES:24} từng dòng bút toán / every posting
{BEANCOUNT:24} sổ cho beancount / journal for beancount
{HLEDGER:24} sổ cho hledger / journal for hledger
{LEAVES:24} các lá của nhật ký, đúng từng byte / the log's leaves, byte for byte
{CHECKPOINT:24} lời hứa có chữ ký của nhật ký / the log's signed promise
{PUBLIC_KEYS:24} khoá công khai của người ký / public keys of who signs
Số tiền là đồng nguyên. Không tệp nào ghi tên người: chủ tài khoản là mã số.
Amounts are whole đồng. No file names a person: holders are ids.
"""
