"""A drawing of fronts as one small SVG file that needs no script, as README shows.

plotly, which draws the reports, writes such a file only with a browser.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 20, 52  # margins
_MANY, _BOLD, _POINT, _TEXT, _GRID = "#a9c3e6", "#3f7fd0", "#d9822b", "#333a44", "#d8dce2"


@dataclass(frozen=True)
class Point:
    """A network with its name."""

    label: str
    latency_ms: float
    accuracy: float


@dataclass(frozen=True)
class Stair:
    """A front, fastest first: between two networks the slower one cannot be had yet.

    Those without a label are drawn thin.
    """

    latency_ms: Sequence[float]
    accuracy: Sequence[float]
    label: str = ""


def front_drawing(
    stairs: Sequence[Stair], points: Sequence[Point], answer: Point, *, x_title: str, y_title: str
) -> str:
    """The whole file: fronts, points beside them, and the answer, a line through it.

    Args:
        stairs: At least one.
        points: Their labels stand beside them.
        answer: Its label stands at the foot of the line.
        x_title: Of the axis of latencies.
        y_title: Of the axis of accuracies.

    Raises:
        ValueError: If all latencies, or all accuracies, are the same.
    """
    everything = [*points, answer]
    xs = [x for stair in stairs for x in stair.latency_ms] + [each.latency_ms for each in points]
    ys = [y for stair in stairs for y in stair.accuracy] + [each.accuracy for each in everything]
    plane = _Plane(_ticks(min(xs), max(xs)), _ticks(min(ys), max(ys)))
    parts = [plane.grid(x_title, y_title)]
    for stair in sorted(stairs, key=lambda each: bool(each.label)):  # bold ones on top
        style = f'stroke="{_BOLD}" stroke-width="2.5"' if stair.label else f'stroke="{_MANY}"'
        parts.append(f'<path d="{plane.stair(stair)}" fill="none" {style}/>')
        if stair.label:
            middle = len(stair.accuracy) // 3  # where a front is steep there is room beside it
            x, y = plane.x(stair.latency_ms[middle]), plane.y(stair.accuracy[middle])
            parts.append(_text(x + 12, y + 24, stair.label, f'fill="{_BOLD}"'))
    x = plane.x(answer.latency_ms)
    parts.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM, f'stroke="{_TEXT}" stroke-dasharray="4 4"'))
    parts.append(_text(x + 8, _HEIGHT - _BOTTOM - 10, answer.label, f'fill="{_TEXT}"'))
    for point in everything:
        x, y = plane.x(point.latency_ms), plane.y(point.accuracy)
        color = _BOLD if point is answer else _POINT
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}"/>')
        if point is not answer:
            parts.append(_text(x + 9, y + 14, point.label, f'fill="{_TEXT}"'))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="13">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


class _Plane:
    """Latency to the right, accuracy upwards, from the first tick to the last."""

    def __init__(self, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> None:
        self._x_ticks, self._y_ticks = x_ticks, y_ticks

    def x(self, latency_ms: float) -> float:
        first, last = self._x_ticks[0], self._x_ticks[-1]
        return _LEFT + (latency_ms - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, accuracy: float) -> float:
        first, last = self._y_ticks[0], self._y_ticks[-1]
        share = (accuracy - first) / (last - first)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def stair(self, stair: Stair) -> str:
        steps = [f"M{self.x(stair.latency_ms[0]):.1f} {self.y(stair.accuracy[0]):.1f}"]
        for latency_ms, accuracy in zip(stair.latency_ms[1:], stair.accuracy[1:], strict=True):
            steps.append(f"H{self.x(latency_ms):.1f}V{self.y(accuracy):.1f}")
        return "".join(steps)

    def grid(self, x_title: str, y_title: str) -> str:
        right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        middle = f'text-anchor="middle" fill="{_TEXT}"'
        parts = []
        for tick in self._x_ticks:
            x = self.x(tick)
            parts.append(_line(x, _TOP, x, floor, f'stroke="{_GRID}"'))
            parts.append(_text(x, floor + 18, f"{tick:g}", middle))
        decimals = max(0, -math.floor(math.log10(100.0 * (self._y_ticks[1] - self._y_ticks[0]))))
        for tick in self._y_ticks:
            y = self.y(tick)
            parts.append(_line(_LEFT, y, right, y, f'stroke="{_GRID}"'))
            parts.append(
                _text(_LEFT - 8, y + 4, f"{tick:.{decimals}%}", f'text-anchor="end" fill="{_TEXT}"')
            )
        parts.append(_text((_LEFT + right) / 2, _HEIGHT - 12, x_title, middle))
        turned = f'{middle} transform="rotate(-90 16 {(_TOP + floor) / 2:.1f})"'
        parts.append(_text(16, (_TOP + floor) / 2, y_title, turned))
        return "\n".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """About six round numbers that enclose a range."""
    if not low < high:
        raise ValueError(f"There is nothing to draw between {low} and {high}.")
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough)
    return [step * n for n in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{html.escape(text)}</text>'
