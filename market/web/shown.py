"""What the market's pages show: catalog things turned into the words of the templates. No template asks the database."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from flask_babel import gettext as _

from market import hours
from market.catalog import search, units
from market.catalog.search import Found, Place
from market.hours import Hours
from wallet import clock
from wallet.web.problems import locale
from wallet.web.state import now, state


def product(one: Found) -> dict[str, Any]:
    """Show a product in a list: what it costs, who sells it, whether they are open."""
    place = one.places[0] if one.places else None
    return {
        "id": str(one.id),
        "name": one.name,
        "description": one.description,
        "category": one.category,
        "price": one.price,
        "unit": unit(one.unit),
        "gtin": one.gtin,
        "sold_out": one.sold_out,
        "photo": photo(one.photo),
        "small": photo(one.small),
        "stall": one.merchant_name,
        "stall_code": one.merchant_code,
        "place": area(place.area) if place else "",
        "open": any(opening(each.hours)["open"] for each in one.places),
    }


def place(one: Place) -> dict[str, Any]:
    """Show where a merchant sells, and when."""
    today = clock.day_of(now())
    return {
        "name": one.name,
        "address": one.address,
        "area": area(one.area),
        "map": f"https://www.openstreetmap.org/?mlat={one.lat / 1e6}&mlon={one.lon / 1e6}#map=18"
        if one.lat and one.lon
        else "",
        "opening": opening(one.hours),
        "week": _week(one.hours, today) if one.hours else [],
        "closed": [day for day in sorted(one.hours.closed) if day >= today][:10] if one.hours else [],
    }


def opening(found: Hours | None) -> dict[str, Any]:
    """Say whether a place is open now, and until or from when."""
    if found is None or not any(found.week):
        return {"open": False, "words": _("Chưa ghi giờ mở cửa")}
    until = found.closes_at(now())
    if until is not None:
        return {"open": True, "words": _("Đang mở, đến %(at)s", at=_clock(until))}
    opens = found.opens_at(now())
    if opens is None:
        return {"open": False, "words": _("Đang đóng cửa")}
    day = clock.day_of(opens)
    today = clock.day_of(now())
    if day == today:
        return {"open": False, "words": _("Đóng cửa, mở lại lúc %(at)s", at=_clock(opens))}
    when = _("ngày mai") if day == today + timedelta(days=1) else weekdays()[day.weekday()].lower()
    return {"open": False, "words": _("Đóng cửa, mở lại %(at)s %(day)s", at=_clock(opens), day=when)}


def weekdays() -> list[str]:
    """Return the names of the days, Monday first."""
    return [_("Thứ hai"), _("Thứ ba"), _("Thứ tư"), _("Thứ năm"), _("Thứ sáu"), _("Thứ bảy"), _("Chủ nhật")]


def unit(code: str) -> str:
    """Return what a unit is called."""
    found = units.UNITS[code]
    return found.name_en if locale() == "en" else found.name


def categories(connection: sa.Connection) -> list[dict[str, str]]:
    """Return the categories with what they are called."""
    english = locale() == "en"
    return [{"code": one.code, "name": one.name_en if english else one.name} for one in search.categories(connection)]


def causes() -> dict[str, str]:
    """Return what may be wrong with a product, in the words of the page."""
    return {
        "forbidden": _("Hàng cấm bán"),
        "counterfeit": _("Hàng giả, hàng nhái"),
        "misleading": _("Mô tả sai sự thật"),
        "price": _("Giá không đúng khi mua"),
        "photo": _("Ảnh không phải của hàng này"),
        "other": _("Lý do khác"),
    }


def photo(digest: str | None) -> str:
    """Return a photo's address, "" where there is none."""
    return f"/cho/anh/{digest}.webp" if digest else ""


def area(code: str) -> str:
    """Return the name of a ward or commune."""
    found = state().city.areas.get(code)
    return found.name if found else ""


def areas(codes: Iterable[str] | None = None) -> list[dict[str, str]]:
    """Return the wards and communes, by name."""
    wanted = state().city.areas if codes is None else {code: state().city.areas[code] for code in codes}
    return [{"code": code, "name": one.name} for code, one in sorted(wanted.items(), key=lambda item: item[1].name)]


def _week(found: Hours, today: date) -> list[dict[str, Any]]:
    return [
        {"day": name, "spans": hours.spell_day(spans), "today": place == today.weekday()}
        for place, (name, spans) in enumerate(zip(weekdays(), found.week, strict=True))
    ]


def _clock(instant: datetime) -> str:
    return instant.astimezone(clock.CITY_TIME).strftime("%H:%M")


DAY_NAMES_EN: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
"""As schema.org names them."""
