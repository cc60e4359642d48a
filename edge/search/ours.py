"""What the papers leave open about such a search, and what is done here: for whoever reads the result."""

from __future__ import annotations

from edge.search.mixing import COLDEST, HOTTEST
from edge.search.order import Finish
from edge.search.story import Story

ALWAYS = (
    ("Size of the supernet", "not published; the tables in `edge/spaces` are ours"),
    ("Which channels a narrower network gets", "the first ones, as the supernet was trained with the sandwich rule"),
    ("Batch norms of a narrower network", "measured anew on training pictures before it is judged"),
    (
        "What networks are judged by",
        "how likely they hold the right class, at their best temperature, on a fifth of the pictures",
    ),
    (
        "Networks in a step of the supernet",
        "the largest, the smallest, and two at random or one and the mixture; half of those at random are scaled alike",
    ),
)
MIXED = (
    ("Noise of the mixture", "true Gumbel noise; the paper's is uniform"),
    ("Temperature of the mixture", f"falls from {HOTTEST:g} to {COLDEST:g}, by the same factor in each epoch"),
    ("Importance of a block", "a ratio of probabilities; one of raw logits would say nothing where they are negative"),
)
PATH = (
    ("Cost of an action", "confidence lost per predicted ms that it saves"),
    (
        "Truth of the latency table",
        "after every few actions the whole network is timed beside one that was timed for the table",
    ),
)
FINETUNED = (
    (
        "Teacher of the networks found",
        "the supernet's largest, after it has learned on alone; as the supernet leaves it, small ones soon know more",
    ),
)


def choices(story: Story) -> tuple[tuple[str, str], ...]:
    """Question and answer, of what this search did."""
    return (
        *ALWAYS,
        *(MIXED if story.importance else ()),
        *(PATH if story.steps else ()),
        *(FINETUNED if story.finish == Finish.FINETUNE else ()),
    )
