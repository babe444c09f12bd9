"""A sticker, checked by whoever opens its address with a phone's own camera."""

from flask import Blueprint, render_template

from market import registry
from wallet.web.gate import admits
from wallet.web.state import state

door = Blueprint("market_stickers", __name__)


@door.get("/q/<serial>")
@admits("anyone")
def show(serial: str) -> str:
    """Show who is paid at a point, by our registry."""
    with state().app.connect() as connection:
        point = registry.point_by_serial(connection, serial)
    if point is None:
        raise registry.PointNotFound(param="serial")
    return render_template("market/sticker.html", point=point, area=state().city.areas.get(point.area))
