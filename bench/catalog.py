"""catalog.search_*: what a search of the market takes at the server, with a thousand, ten and a hundred thousand products.

Setting   One database for each size, one client, requests through the whole application in this process: address in, answer
          of 24 products out, as `GET /v1/catalog/products` spells it; no network. The mix is a newcomer's: whole names,
          a word still being typed, one broad word, a slip, what is nowhere; some by category, place, or open now, and
          some second pages. `growth` is the larger one's p95 beside the smallest one's.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from flask.testing import FlaskClient

import wsgi
from bench import stalls
from bench.figures import Figure, against
from bench.place import own_database
from market.demo import goods
from wallet import text
from wallet.config import Config

SIZES: Final = {"1k": 1_000, "10k": 10_000, "100k": 100_000}
PRODUCTS_OF_A_MERCHANT: Final = 20
SEARCHES: Final = 1_500
WARM: Final = 150
SHARES: Final = (0.50, 0.95, 0.99)

MIX: Final = (
    (30, "name"),
    (20, "begun"),
    (12, "word"),
    (12, "slip"),
    (4, "nowhere"),
    (8, "category"),
    (6, "place"),
    (6, "open"),
    (2, "newest"),
)
"""Of a hundred searches."""

SECOND_PAGE: Final = 0.15


def measure(*, searches: int = SEARCHES, sizes: dict[str, int] | None = None) -> list[Figure]:
    """Fill databases of the bench's own, measure each, and return the figures."""
    found: list[Figure] = []
    smallest: tuple[str, float] | None = None
    for name, products in (sizes or SIZES).items():
        with own_database(f"_{name}") as (config, url):
            stalls.fill(url, merchants=max(60, products // PRODUCTS_OF_A_MERCHANT), products=products)
            took = times(config, searches)
        for share in SHARES:
            value = _percentile(took, share)
            found.append(Figure(name=f"catalog.search_{name}.p{share * 100:.0f}", value=round(value, 2), unit="ms"))
        p95 = _percentile(took, 0.95)
        if smallest is None:
            smallest = (name, p95)
        else:
            found.append(against(f"catalog.search_{name}.growth", p95, "ms", f"p95 at {smallest[0]}", smallest[1]))
    return found


def times(config: Config, searches: int) -> list[float]:
    """Return what each of so many searches took, in milliseconds, sorted."""
    app = wsgi.create_app(config)
    draw = random.Random(20261122)
    try:
        with app.test_client(use_cookies=False) as client:
            for ask in _asks(client, draw, WARM):
                ask()
            return sorted(ask() for ask in _asks(client, draw, searches))
    finally:
        for engine in (app.extensions["wallet"].app, app.extensions["wallet"].audit):
            engine.dispose()


def _asks(client: FlaskClient, draw: random.Random, number: int) -> Iterator[Callable[[], float]]:
    """Yield searches to be timed; of some, the second page, whose first is not timed."""
    kinds = draw.choices([kind for _, kind in MIX], [weight for weight, _ in MIX], k=number)
    for kind in kinds:
        wanted = _wanted(kind, draw)
        if draw.random() < SECOND_PAGE:
            following = _get(client, wanted).json["next"]
            wanted |= {"cursor": following} if following else {}
        yield lambda wanted=wanted: _timed(client, wanted)  # type: ignore[misc]


def _timed(client: FlaskClient, wanted: dict[str, str]) -> float:
    began = time.perf_counter()
    _get(client, wanted)
    return (time.perf_counter() - began) * 1e3


def _get(client: FlaskClient, wanted: dict[str, str]) -> Any:
    reply = client.get(f"/v1/catalog/products?{urlencode(wanted)}", base_url="http://localhost")
    assert reply.status_code == 200, reply.text
    return reply


def _wanted(kind: str, draw: random.Random) -> dict[str, str]:
    """Draw what somebody types, of one kind."""
    name = draw.choice(goods.goods()).name
    words = text.fold(name).split()
    match kind:
        case "name":
            return {"q": name if draw.random() < 0.5 else " ".join(words)}
        case "begun":
            return {"q": " ".join(words)[: draw.randrange(2, 12)]}
        case "word":
            return {"q": draw.choice(words)}
        case "slip":
            return {"q": _slipped(" ".join(words), draw)}
        case "nowhere":
            return {"q": "".join(draw.choices("qwzxkj", k=7))}
        case "category":
            return {"q": words[0], "category": draw.choice(goods.goods()).category}
        case "place":
            return {"q": " ".join(words[:2]), "area": f"{draw.randrange(stalls.AREAS):05}"}
        case "open":
            return {"q": " ".join(words[:2]), "open": "now"}
        case _:
            return {}


def _slipped(query: str, draw: random.Random) -> str:
    """Swap two neighbouring letters, somewhere."""
    place = draw.randrange(max(1, len(query) - 1))
    return query[:place] + query[place + 1 : place + 2] + query[place : place + 1] + query[place + 2 :]


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
