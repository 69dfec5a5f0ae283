"""Where the intermediate results of a network lie in one workspace: buffers share memory when their lives do not meet.

A life is measured in steps, as the program of `c99_program` counts its statements.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Life:
    """A buffer of `size` numbers, written first at step `born` and read last at step `dies`.

    `heirs`: buffers that may be written over this one while it is read for the last time, element by element.
    """

    size: int
    born: int
    dies: int
    heirs: tuple[str, ...] = ()


def planned(lives: dict[str, Life]) -> tuple[dict[str, int], int]:
    """(first place of each buffer, size of the workspace), in numbers. The same lives give the same places."""
    groups = _inherited(lives)
    places: dict[str, int] = {}
    spans: list[tuple[int, int, int, int]] = []  # (born, dies, first, behind) of what lies there already
    for members in sorted(groups, key=lambda names: -max(lives[name].size for name in names)):
        size = max(lives[name].size for name in members)
        born, dies = min(lives[name].born for name in members), max(lives[name].dies for name in members)
        first = _first_fit(size, [span for span in spans if span[0] <= dies and born <= span[1]])
        spans.append((born, dies, first, first + size))
        places |= dict.fromkeys(members, first)
    return places, max((behind for *_, behind in spans), default=0)


def _inherited(lives: dict[str, Life]) -> list[list[str]]:
    """Buffers in groups that take the same place one after the other."""
    groups: dict[str, list[str]] = {}
    for name in sorted(lives, key=lambda name: lives[name].born):
        for group in groups.values():
            last = lives[group[-1]]
            if name in last.heirs and last.dies == lives[name].born and last.size == lives[name].size:
                group.append(name)
                break
        else:
            groups[name] = [name]
    return list(groups.values())


def _first_fit(size: int, taken: list[tuple[int, int, int, int]]) -> int:
    """The first place with room for `size` numbers between spans that live at the same time."""
    place = 0
    for *_, first, behind in sorted(taken, key=lambda span: span[2]):
        if place + size <= first:
            break
        place = max(place, behind)
    return place
