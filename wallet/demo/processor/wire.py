"""How the API is spoken: nested form fields in, JSON with expanded ids out, errors of Stripe's shape."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from wallet.demo.processor.store import Thing


class ApiError(Exception):
    """A request is refused, as Stripe refuses it.

    Args:
        status: of HTTP.
        code: Stripe's stable word.
        kind: Stripe's `type` of error.
        more: further members, e.g. decline_code, payment_intent.
    """

    def __init__(
        self, status: int, code: str, message: str, *, kind: str = "invalid_request_error", **more: object
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": message, **more}}


def missing(id: object, param: str = "id") -> ApiError:
    """Return the error for a thing that is not there."""
    return ApiError(404, "resource_missing", f"No such object: '{id}'", param=param)


def wrong(param: str, message: str) -> ApiError:
    """Return the error for a parameter that cannot be."""
    return ApiError(400, "parameter_invalid", message, param=param)


def fields(form: str) -> Thing:
    """Read `a[b]=1&c[]=2&d[0][e]=3` as nested dictionaries and lists.

    Raises:
        ApiError: the same name is a value and a dictionary.
    """
    tree: Thing = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        head, *rest = name.replace("]", "").split("[")
        at, key = tree, head
        for part in rest:
            at = at.setdefault(key, {})
            if not isinstance(at, dict):
                raise wrong(name, "it is a value and an object at once")
            key = part or str(len(at))
        at[key] = value
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}


def whole(params: Thing, name: str, *, least: int = 1) -> int:
    """Return a whole number among the parameters.

    Raises:
        ApiError: it is missing or none.
    """
    text = str(params.get(name, ""))
    if not (text.isascii() and text.isdigit()):
        raise ApiError(400, "parameter_invalid_integer", f"Invalid integer: {text}", param=name)
    if int(text) < least:
        raise ApiError(400, "amount_too_small", f"{name} must be at least {least}", param=name)
    return int(text)


def expanded(thing: Any, paths: list[str], get: Callable[[str], Thing | None]) -> Any:
    """Return a copy with the ids on these paths replaced by the things they name."""
    for path in paths:
        thing = _expand(thing, path.split("."), get)
    return thing


def _expand(thing: Any, path: list[str], get: Callable[[str], Thing | None]) -> Any:
    if not path:
        return thing
    if isinstance(thing, list):
        return [_expand(each, path, get) for each in thing]
    if not isinstance(thing, dict) or path[0] not in thing:
        return thing
    inner = thing[path[0]]
    if isinstance(inner, str):
        inner = get(inner) or inner
    return {**thing, path[0]: _expand(inner, path[1:], get)}
