"""Files as a stranger, or a failing disk, may leave them: one change to something that was good."""

import copy
import json
import random
from typing import Any

from dsl.spec import kinds

NAMES = ("../x", "/etc/passwd", "..", "a/../../b", "points", "__class__", "__import__('os').system('true')", "{{7*7}}")
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 3, 2**31, 2**63, 2**70, -0.0, 0.5, 1e-64, 1e300, float("nan"), float("inf"),
    "", "a", "\0", "\ud800", "Relu", "finished", *NAMES, [], {}, [[]], [None],
    {"kind": "Relu"}, {"kind": "Trained"}, {"ref": "a"}, {"ref": None}, {"spec": {}, "experiments": {}},
)  # fmt: skip


def mutated(value: Any, rng: random.Random) -> Any:
    """Parsed JSON with one to three changes."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return rng.choice(JUNK)
        _changed(*rng.choice(places), places, rng)
    return value


def _places(value: Any) -> Any:
    """Every (container, key) of parsed JSON."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _changed(node: Any, key: Any, places: list[Any], rng: random.Random) -> None:
    match rng.randrange(6):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[rng.choice(("d", "kind", "noun", "x", "ref", "seed", "z", *NAMES))] = node.pop(key)
        case 2:
            other, where = rng.choice(places)
            if where in other if isinstance(other, dict) else where < len(other):
                node[key] = copy.deepcopy(other[where])
        case 3 if isinstance(node[key], (int, float)) and not isinstance(node[key], bool):
            node[key] = rng.choice((node[key] + 1, -node[key], node[key] * 1.5, node[key] * 10**9))
        case 4:
            node[key] = {"kind": rng.choice([name for name in kinds() if "." not in name])}
        case _:
            node[key] = copy.deepcopy(rng.choice(JUNK))


def text(value: Any, rng: random.Random) -> bytes:
    """A JSON file with changes of its values, of its bytes, or of both."""
    content = json.dumps(mutated(value, rng) if rng.random() < 0.8 else value).encode()
    return damaged(content, rng) if rng.random() < 0.3 else content


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file with a few bytes changed, a part lost, doubled or zeroed."""
    raw, at = bytearray(content), sorted(rng.randrange(len(content) + 1) for _ in range(2))
    match rng.randrange(7):
        case 0:
            del raw[at[0] :]
        case 1:
            del raw[at[0] : at[1]]
        case 2:
            raw[at[0] : at[1]] = bytes(at[1] - at[0])
        case 3:
            raw[at[0] : at[0]] = raw[at[0] : at[1]]
        case 4:
            raw[:0] = rng.randbytes(8)
        case _:
            for _ in range(rng.choice((1, 3, 20)) if raw else 0):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)
