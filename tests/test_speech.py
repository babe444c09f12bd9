"""Speech: a counter says the very words that a receipt prints, and every clip that it may ask for is there."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from market import clips, speech
from wallet import money
from wallet.money import AMOUNT_MAX

MP3 = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]|ID3")
BYTES_MAX = 300_000


@given(st.integers(0, AMOUNT_MAX))
@example(0)
@example(AMOUNT_MAX)
def test_what_is_spoken_is_what_a_receipt_prints_in_words(amount: int) -> None:
    assert speech.words_of(speech.amount(amount)) == money.in_words(amount)


@pytest.mark.parametrize(
    ("amount", "spoken"),
    {
        21: "hai-muoi mot-s dong",
        11: "muoi mot dong",
        15: "muoi lam dong",
        55_000: "nam-muoi lam nghin dong",
        105_000: "mot-tram linh nam nghin dong",
        1_205_015: "mot trieu hai-tram linh nam nghin khong-tram muoi lam dong",
        2_000_000_000: "hai ty dong",
    }.items(),
)
def test_tens_and_hundreds_are_one_breath(amount: int, spoken: str) -> None:
    assert " ".join(speech.amount(amount)) == spoken


def test_what_is_missing_and_what_is_too_much_is_said_after_what_came() -> None:
    assert speech.words_of(speech.sentence("exact", 35_000)) == "Đã nhận đủ ba mươi lăm nghìn đồng"
    assert speech.words_of(speech.sentence("received", 1_000)) == "Đã nhận một nghìn đồng"
    assert (
        speech.words_of(speech.sentence("under", 30_000, 5_000))
        == "Đã nhận ba mươi nghìn đồng, còn thiếu năm nghìn đồng"
    )
    assert (
        speech.words_of(speech.sentence("over", 40_000, 5_000))
        == "Đã nhận bốn mươi nghìn đồng, khách trả thừa năm nghìn đồng"
    )


def test_every_clip_is_there_small_and_no_other() -> None:
    files = {file.stem: file.read_bytes() for file in clips.FOLDER.iterdir() if file.suffix == speech.SUFFIX}
    assert set(files) == set(speech.CLIPS)
    assert all(MP3.match(content) for content in files.values())
    assert sum(map(len, files.values())) <= BYTES_MAX
    assert len(set(files.values())) == len(files), "no clip was recorded over another"


def test_no_two_words_share_a_clip() -> None:
    assert len(speech.WORDS) == len(set(speech.WORDS.values()))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in speech.CLIPS)
