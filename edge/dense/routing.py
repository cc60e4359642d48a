"""What a trained run leaves of its routing: a page to look at, and one recorded picture per task for the simulator."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from edge import whole
from edge.dense.gallery import Gallery
from edge.dense.network import MultiTask
from edge.dense.routing_page import render
from edge.dense.utilisation import utilisation
from edge.preprocess import Preprocess
from edge.simulator.workloads import network_of

PAGE = "routing.html"
WORKLOAD = "workload.toml"
"""`edge simulate RUN/workload.toml` runs the network of the run, each task with its own routing."""


def leave_routing(network: MultiTask, scenes: Gallery, preprocess: Preprocess, folder: Path) -> None:
    """Write the page over all `scenes`, `routing-TASK.npz` of the first of them, and the workload that names those files.

    A network without experts leaves nothing.
    """
    if not network.config.moe_blocks:
        return
    whole.write_text(folder / PAGE, render(folder.name, utilisation(network, scenes, preprocess), len(scenes)))
    first = torch.from_numpy(preprocess.normalise(scenes.pictures[:1]))
    for task in network.tasks:
        layers = {f"layer_{index}": layer.numpy() for index, layer in enumerate(network.trace(first, task))}
        with whole.appearing(folder / _recorded(task)) as staged, staged.open("wb") as file:
            np.savez(file, **layers)  # type: ignore[arg-type]  # numpy takes any names
    whole.write_text(folder / WORKLOAD, workload(network))


def workload(network: MultiTask) -> str:
    """The workload file of a network whose tasks were recorded."""
    sizes = asdict(network_of(network.config, network.image_size))
    rows = [f"{name} = {json.dumps(value)}" for name, value in sizes.items()]
    tasks = [f'[[task]]\nname = "{task}"\nrouting = "recorded"\nfile = "{_recorded(task)}"' for task in network.tasks]
    comment = (
        "# The backbone that was trained, and where it sent the tokens of one held-out picture, recorded per task."
    )
    return "\n\n".join((comment, "\n".join(("[network]", *rows)), *tasks)) + "\n"


def _recorded(task: str) -> str:
    return f"routing-{task}.npz"
