"""Processes that search together on made-up networks: who judges a network writes it down first, and may be held there.

`python -m tests.fakes.searching lead|join URL LOG NETWORKS [--hold NUMBER] [--host NAME]`: the judge of that network waits
while there is a file LOG.hold. The leader prints what it was told as JSON, a worker how many it judged.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.search.storage import Pace
from edge.search.trial import Evaluation
from edge.search.trials import Trials
from edge.spec import ModelSpec
from tests.fakes.eventually import becomes_true

SEARCH = {"seed": "0", "supernet": "toy"}
PACE = Pace(heartbeat=1, grace=2, poll=0.02)
PATIENCE_S = 60


def network(number: int) -> ModelSpec:
    return ModelSpec("toy", {"number": number, "kind": "conv"})


def answer(spec: ModelSpec) -> Evaluation:
    """What every judge says of this network."""
    number = int(spec.choices["number"])
    return Evaluation(accuracy=number / 7, confidence=1 / (number + 3))


def answers(count: int) -> dict[str, list[float]]:
    """What the leader prints."""
    return {str(n): [answer(network(n)).accuracy, answer(network(n)).confidence] for n in range(count)}


def judge_held_at(number: int | None, log: Path) -> Callable[[ModelSpec], Evaluation]:
    def judge(spec: ModelSpec) -> Evaluation:
        with log.open("a") as file:
            file.write(f"{os.getpid()} {spec.choices['number']}\n")
        if spec.choices["number"] == number:
            becomes_true(lambda: not hold(log).exists(), PATIENCE_S)
        return answer(spec)

    return judge


def begun(log: Path, pid: int | None = None) -> list[int]:
    """The numbers of the networks whose judging began, in order: in this process, or in any."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [int(number) for process, number in lines if pid in (None, int(process))]


def hold(log: Path) -> Path:
    return log.with_suffix(".hold")


def started(role: str, url: str, log: Path, count: int, *more: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "tests.fakes.searching", role, url, str(log), str(count), *more)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def killed(process: subprocess.Popen[str]) -> None:
    """With -9, and forgotten by its parent too."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def main(arguments: Sequence[str]) -> None:
    parser = ArgumentParser()
    for name, kind in (("role", str), ("url", str), ("log", Path), ("count", int)):
        parser.add_argument(name, type=kind)
    parser.add_argument("--hold", type=int)
    parser.add_argument("--host", default=socket.gethostname())
    asked = parser.parse_args(arguments)
    socket.gethostname = lambda: asked.host
    judge = judge_held_at(asked.hold, asked.log)
    if asked.role == "lead":
        with Trials.create(asked.url, SEARCH, PACE) as trials:
            found = trials.evaluate([network(n) for n in range(asked.count)], judge)
            trials.finish()
        print(json.dumps({each.choices["number"]: [it.accuracy, it.confidence] for each, it in found.items()}))
    else:
        with Trials.join(asked.url, SEARCH, PACE) as trials:
            print(trials.serve(judge, PATIENCE_S))


if __name__ == "__main__":
    main(sys.argv[1:])
