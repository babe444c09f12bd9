"""A sticker, checked by whoever opens its address with a phone's own camera, or types its serial."""

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from market import registry, stickers
from wallet.web.gate import admits
from wallet.web.state import state

door = Blueprint("market_stickers", __name__)


@door.get("/q/<serial>")
@admits("anyone")
def show(serial: str) -> str | Response:
    """Show who is paid at a point, by our registry, and whether the sticker's tag is ours."""
    spelled = registry.spell_serial(serial)
    with state().app.connect() as connection:
        point = registry.point_by_serial(connection, serial)
    if point is None:
        raise registry.PointNotFound(param="serial")
    given = request.args.get("t", "")[:40]
    if serial != spelled:
        return redirect(f"/q/{point.serial}" + (f"?t={given}" if given.isalnum() else ""))
    return render_template(
        "market/sticker.html",
        point=point,
        area=state().city.areas.get(point.area),
        verdict=str(stickers.judge(point, given, secret=state().config.server_secret)),
        serial=stickers.spaced(point.serial),
    )
