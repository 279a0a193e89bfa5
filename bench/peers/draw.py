"""Draws bars as small SVG files: `python draw.py FOLDER < charts`, charts as bench/plots.py writes them."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# Text stays text, and the same figures make the same file.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "vigie", "font.size": 9})

from matplotlib import pyplot as plt  # noqa: E402  # the lines above choose how it draws


def draw(chart: dict[str, Any], folder: Path) -> None:
    """One chart: a bar for the median, a line from the least to the most."""
    bars = chart["bars"]
    figure, axes = plt.subplots(figsize=(7.5, 0.7 + 0.32 * len(bars)))
    medians = [bar["at"][0] for bar in bars]
    reach = [[bar["at"][0] - bar["at"][1] for bar in bars], [bar["at"][2] - bar["at"][0] for bar in bars]]
    colours = ["#1f6f8b" if "vigie" in bar["name"] else "#b0b7bc" for bar in bars]
    drawn = axes.barh([bar["name"] for bar in bars], medians, xerr=reach, color=colours, ecolor="#444444")
    axes.bar_label(drawn, [f"{median:,.0f}" for median in medians], padding=4)
    axes.invert_yaxis()
    axes.set_title(chart["title"], loc="left")
    axes.set_xlabel(chart["unit"])
    axes.margins(x=0.15)
    if chart["logarithmic"]:
        axes.set_xscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / f"{chart['name']}.svg", bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    for each in json.load(sys.stdin):
        draw(each, Path(sys.argv[1]))
