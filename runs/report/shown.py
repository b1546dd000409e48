"""How values are shown on a page: numbers, bands, sources."""

import math
import re
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from runs.claims import digits

ARXIV = re.compile(r"(?<![\d.])(\d{4}\.\d{4,5})(?:v\d+)?(?!\d)")
MINUS, NOTHING = "\N{MINUS SIGN}", "\N{EN DASH}"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, figures: int = 4) -> str:
    """A number as people write it: 0.3162, 12,500, 1.2·10⁻⁵, ∞."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else f"{MINUS}∞"
    decimals = max(figures - math.floor(math.log10(abs(value))) - 1, 0) if 1e4 <= abs(value) < 1e7 else 0
    text = f"{value:,.{decimals}f}" if 1e4 <= abs(value) < 1e7 else f"{value:,.{figures}g}"
    mantissa, _, power = text.partition("e")
    if power:
        text = f"{mantissa}·10{str(int(power)).translate(SUPERSCRIPT)}"
    return re.sub("^-", MINUS, text)


def cell(value: Any, figures: int = 4) -> str:
    """A value of any kind: numbers as numbers, a truth value as a word, nothing as a dash, the rest as its text."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(cell(item, figures) for item in value)
    return number(value, figures) if isinstance(value, float) else str(value)


def band(ends: tuple[float, float]) -> str:
    """An accepted band; empty where there is none."""
    low, high = ends
    if math.isnan(low) or math.isnan(high):
        return ""
    if math.isinf(low) and math.isinf(high):
        return "any number"
    if math.isinf(low) or math.isinf(high):
        return f"at most {number(high)}" if math.isinf(low) else f"at least {number(low)}"
    return bracket(low, high)


def bracket(low: float, high: float) -> str:
    """An interval in brackets, with the digits in which its ends differ."""
    n = digits(low, high, 4)
    return f"[{number(low, n)}, {number(high, n)}]"


def linked(text: str) -> Markup:
    """A citation in which each arXiv identifier is a link to its abstract."""
    link = lambda m: f'<a href="https://arxiv.org/abs/{m[1]}">{m[0]}</a>'
    return Markup(ARXIV.sub(link, str(escape(text))))


def plural(n: int, noun: str) -> str:
    """A count with its noun: 1 point, 2 points."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
