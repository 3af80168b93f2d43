"""Shades of heat maps: colours between three stops, for a light and a dark page, with the ink that each is read in."""

from collections.abc import Sequence

from meloctl.html.markup import Html, tag

STEPS = 16
"""Shades of a map."""

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

LIGHT: tuple[Colour, ...] = ((250, 249, 246), (139, 186, 216), (18, 62, 99))
DARK: tuple[Colour, ...] = ((28, 31, 35), (34, 92, 136), (165, 219, 250))
"""Stops for the least, a middle and the greatest value, on a light and on a dark page."""

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def shade_class(value: float, most: float) -> str:
    """The CSS class of a value's shade, on a scale from 0 to `most`."""
    return f"h{min(max(round(value / most * (STEPS - 1)), 0), STEPS - 1)}"


def shade_scale(most: float) -> Html:
    """A row of shades between the ends of the scale, 0 and `most`."""
    shades = [tag("span", class_=f"shade h{i}") for i in range(0, STEPS, 3)]
    return tag("span", "0 ", *shades, f" {most:.1f}", class_="scale")


def shades_css() -> str:
    """The shades as CSS, for a light and a dark page; text on each is black or white, whichever has more contrast."""
    light, dark = ("".join(_rule(i, stops) for i in range(STEPS)) for stops in (LIGHT, DARK))
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def shade(i: int, stops: Sequence[Colour]) -> Colour:
    """Colour of shade `i`, 0 to STEPS - 1; the stops are evenly apart."""
    at, share = divmod(i * (len(stops) - 1) / (STEPS - 1), 1)
    near, far = stops[int(at)], stops[min(int(at) + 1, len(stops) - 1)]
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(near, far, strict=True))
    return red, green, blue


def contrast(a: Colour, b: Colour) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    bright, dim = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _rule(i: int, stops: Sequence[Colour]) -> str:
    back = shade(i, stops)
    ink = max((_BLACK, _WHITE), key=lambda colour: contrast(colour, back))
    return f".h{i}{{background-color:{_hex(back)};color:{_hex(ink)}}}"


def _luminance(colour: Colour) -> float:
    """Relative luminance, 0 to 1, of a colour in sRGB."""
    linear = [(c / 255 / 12.92) if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{c:02x}" for c in colour)
