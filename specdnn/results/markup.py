"""Markup from values: whatever is not markup already is escaped on its way in."""

from __future__ import annotations

import html
from collections.abc import Iterable

EMPTY = ("input", "line", "path", "rect")  # elements without content


class Html(str):
    """Text that is markup; every other text becomes such a one by `text`."""


def text(value: object) -> Html:
    """A value as it is to be read; markup stays as it is."""
    return value if isinstance(value, Html) else Html(html.escape(str(value).encode("utf-8", "replace").decode()))


def joined(parts: Iterable[object]) -> Html:
    return Html("".join(map(text, parts)))


def tag(name: str, /, *content: object, **attributes: object) -> Html:
    """An element; attributes that are None are left out, `aria_label` and `class_` are `aria-label` and `class`."""
    told = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    written = "".join(f' {key}="{text(value)}"' for key, value in told)
    if name in EMPTY and not content:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{joined(content)}</{name}>")
