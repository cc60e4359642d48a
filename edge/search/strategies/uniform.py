"""The way to scale a family by hand: every network whose widths and depths all lie the same share of the way; a baseline."""

from __future__ import annotations

from edge.search.strategy import Lab, Strategy
from edge.search.trial import Step
from edge.search.uniform_networks import uniform_networks


class Uniform(Strategy):
    """Tries them all, whatever the budgets are."""

    def search(self, lab: Lab) -> tuple[Step, ...]:
        lab.evaluate(uniform_networks(lab.space))
        return ()
