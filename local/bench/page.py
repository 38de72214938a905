"""How do the figures look on docs/performance.md, and which bounds do they keep?"""

import os
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.bench import imports, planning, renders

_BEGIN, _END = "<!-- measured: written by make bench -->", "<!-- measured: end -->"
_TITLE = "Time for all frames, in times of plain Blender"
_WAYS = {
    renders.PLAIN: "plain `blender -b -a`",
    renders.PERSISTENT: "plain, persistent data",
    renders.TUTORIAL: "a process per batch of 5",
    renders.ONE: "1 worker, warm",
    renders.TWO: "2 workers, warm",
    renders.COLD: "1 worker, cold",
}
_COLORS = ("#666666", "#999999", "#cccccc", "#c2410c", "#ea8a4c", "#1d4ed8")
# Times plain Blender, with one warm worker.
_MOST = {"tiny": 1.05, "medium": 1.0, "heavy": 0.25}
# Two workers, times one: no worse, within what two runs differ by; better where cores are left.
_MOST_TWO, _MOST_TWO_OF = 1.05, {"one core": 0.9}
_SMALL_FRAME = 0.015  # CPU seconds of the worker for a frame of less than a second
_SHARE = 0.02  # of the time, for frames of a second or more
_FIRST = 1.5  # seconds beyond what Blender takes to open the scene and render the frame
_PLANNED = 0.8  # of the emulator's raw rate
_IMPORTED = 1.3  # times the libraries


@dataclass(frozen=True)
class Figures:
    """All that was measured in one run."""

    imported: imports.Measured
    planned: list[planning.Measured]  # the largest last
    rendered: dict[str, renders.Measured]
    rounds: int


def missed(figures: Figures) -> list[str]:
    """Return every bound that was not kept, with the figure."""
    return [
        f"{what}: {is_:.3g}, and not {most:.3g} at most"
        for what, is_, most in _bounds(figures)
        if is_ > most
    ]


def _bounds(figures: Figures) -> Iterator[tuple[str, float, float]]:
    for name, scene in figures.rendered.items():
        yield f"{name}: largest pixel difference", scene.difference, 0.0
        plain, one, two = (_median(scene, way) for way in (renders.PLAIN, renders.ONE, renders.TWO))
        if name in _MOST:
            yield f"{name}: one worker over plain Blender", one / plain, _MOST[name]
        yield f"{name}: two workers over one", two / one, _MOST_TWO_OF.get(name, _MOST_TWO)
        if one / scene.frames < 1:  # as they were rendered here
            cpu = statistics.median(scene.costs.cpu_per_frame)
            yield f"{name}: CPU seconds beside Blender for a frame", cpu, _SMALL_FRAME
        else:
            share = statistics.median(scene.costs.share)
            yield f"{name}: share of a core beside Blender", share, _SHARE
        first = statistics.median(scene.beyond_first)
        yield f"{name}: seconds from upload to first frame beyond Blender's own", first, _FIRST
    yield "planning: raw rate over planning rate", 1 / figures.planned[-1].share, 1 / _PLANNED
    yield "import of the function app over its libraries", figures.imported.ratio, _IMPORTED


def text(figures: Figures) -> str:
    """Return the figures as Markdown."""
    measured = (
        f"Measured on {_machine()}; medians of {figures.rounds} interleaved rounds, in brackets "
        "the least and the most."
    )
    worst = max(scene.difference for scene in figures.rendered.values())
    return "\n".join(
        [
            measured,
            "",
            *_table(
                ["seconds for all frames", *_WAYS.values()],
                [
                    [
                        f"{name}, {scene.frames} frames",
                        *(_range(scene.seconds[way]) for way in _WAYS),
                    ]
                    for name, scene in figures.rendered.items()
                ],
            ),
            "",
            *_table(
                [
                    "beside Blender, one warm worker",
                    "upload to first frame",
                    "beyond Blender's own time",
                    "CPU for a frame",
                    "share of a core",
                    "calls for a frame, with the job's own",
                    "worker",
                    "Blender",
                ],
                [
                    [
                        name,
                        f"{statistics.median(scene.first_frame):.2f} s",
                        f"{statistics.median(scene.beyond_first):.2f} s",
                        f"{statistics.median(scene.costs.cpu_per_frame) * 1000:.1f} ms",
                        f"{statistics.median(scene.costs.share):.1%}",
                        f"{statistics.median(scene.costs.calls_per_frame):.2f}",
                        f"{scene.costs.worker_memory >> 20} MiB",
                        f"{scene.costs.blender_memory >> 20} MiB",
                    ]
                    for name, scene in figures.rendered.items()
                ],
            ),
            "",
            *(f"- {one.told()}" for one in figures.planned),
            f"- {figures.imported.told()}.",
            f"- Largest pixel difference to plain Blender, of all scenes: {worst:g}.",
        ]
    )


def write(figures: Figures, *, page: Path, plot: Path) -> None:
    """Put the figures between their marks on the page, and draw the plot beside it."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    shown = f"![{_TITLE}]({plot.relative_to(page.parent)})"
    page.write_text(
        f"{before}{_BEGIN}\n{text(figures)}\n\n{shown}\n{_END}{after}", encoding="utf-8"
    )
    plot.write_text(drawn(figures), encoding="utf-8")


def drawn(figures: Figures) -> str:
    """Return a bar for every way of every scene, in times of plain Blender."""
    bar, gap, left, wide = 14, 18, 110, 690
    most = max(
        _median(scene, way) / _median(scene, renders.PLAIN)
        for scene in figures.rendered.values()
        for way in _WAYS
    )
    shapes: list[str] = []
    y = 34
    for name, scene in figures.rendered.items():
        middle = y + bar * len(_WAYS) / 2 + 4
        shapes.append(f'<text x="{left - 8}" y="{middle}" text-anchor="end">{name}</text>')
        for color, way in zip(_COLORS, _WAYS, strict=True):
            times = _median(scene, way) / _median(scene, renders.PLAIN)
            length = times / most * (wide - left - 60)
            shapes.append(
                f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{color}"/>'
                f'<text x="{left + length + 5:.1f}" y="{y + bar - 4}">{times:.2f}</text>'
            )
            y += bar
        y += gap
    legend = "".join(
        f'<rect x="{10 + 112 * at}" y="8" width="10" height="10" fill="{color}"/>'
        f'<text x="{24 + 112 * at}" y="17">{way}</text>'
        for at, (color, way) in enumerate(zip(_COLORS, _WAYS, strict=True))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {y}" role="img" '
        'font-family="sans-serif" font-size="11">'
        f"<title>{_TITLE}</title>"
        f'<rect width="100%" height="100%" fill="white"/>{legend}{"".join(shapes)}</svg>\n'
    )


def _median(scene: renders.Measured, way: str) -> float:
    return statistics.median(scene.seconds[way])


def _range(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _machine() -> str:
    model = platform.processor() or platform.machine()
    if sys.platform == "linux":
        cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = (line.partition(":")[2].strip() for line in cpus if line.startswith("model name"))
        model = next(named, model)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        model = f"{model}, {memory:.0f} GiB"
    return f"{renders.cores()} cores of {model}, {platform.system()}, no graphics card"
