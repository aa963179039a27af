"""CPU time to start: `gradviz --help` and `import gradviz` over a bare `python -c pass`; medians, interleaved.

    python tests/bench/bench_start.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
from statistics import median

RUNS = 15
BAR = 0.15
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import gradviz": ["-c", "import gradviz"],
    "gradviz --help": ["-m", "gradviz", "--help"],
    "gradviz render --help": ["-m", "gradviz", "render", "--help"],
}


def cpu_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            seconds[name].append(cpu_seconds(arguments))
    bare = median(seconds["python -c pass"])
    for name, measured in seconds.items():
        over = median(measured) - bare
        bar = f"   bar {BAR:.2f}   {'within' if over <= BAR else 'MISSED'}" if name == "gradviz --help" else ""
        print(f"{name:24} {median(measured):.3f} s CPU   {over:+.3f} over bare{bar}")


if __name__ == "__main__":
    main()
