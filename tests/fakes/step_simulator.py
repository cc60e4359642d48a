"""An oracle of the expert layers that shares nothing with the engine: it walks from cycle to cycle, one at a time."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Item:
    """Weights to load, if any, and the work that then uses them."""

    load_bytes: int
    compute: int
    fill: int
    moved: list[tuple[int, int]]  # port, bytes
    needs_done: int = 0  # of the items before it, how many must have been computed before its load starts


@dataclass
class Machine:
    """Rates in thousandths of a byte per cycle; all ports share `ddr`, which is at least their sum or below one of them."""

    burst: int
    port_rates: list[int]
    ddr: int
    weight_port: int


@dataclass
class Busy:
    latency: int
    compute: int
    flows: list[list[int]] = field(
        default_factory=list
    )  # port, thousandths of a byte left, its job in the order of the program

    @property
    def over(self) -> bool:
        return self.latency == 0 and self.compute <= 0 and not self.flows


def reorder_items(
    routes: Sequence[Sequence[int]], order: str, parts: Callable[[int], list[Item]], load: int, visit: int
) -> list[Item]:
    """Items of an expert-by-expert layer; `parts(n)` are the items of an expert with n tokens."""
    queues = Counter(expert for row in routes for expert in row)
    ranked = sorted(queues)
    if order == "longest-first":
        ranked.sort(key=lambda expert: -queues[expert])
    elif order == "shortest-first":
        ranked.sort(key=lambda expert: queues[expert])
    elif order == "johnson":
        slow = [expert for expert in ranked if load < visit * queues[expert]]
        fast = [expert for expert in ranked if expert not in slow]
        ranked = slow + sorted(fast, key=lambda expert: -queues[expert])
    return [item for expert in ranked for item in parts(queues[expert])]


def token_items(
    routes: Sequence[Sequence[int]], capacity: int, ahead: bool, visit: Callable[[bool], Item], load: int
) -> list[Item]:
    """Items of a layer in token order through a least-recently-used cache; `visit(first)` is the work of one visit."""
    cached: OrderedDict[int, int] = OrderedDict()  # expert → its last visit
    items = []
    for number, expert in enumerate(expert for row in routes for expert in row):
        item = visit(number == 0)
        if expert not in cached:
            item.load_bytes = load
            item.needs_done = max(0, number - 1) if ahead else number
            if len(cached) == capacity:
                _, last_visit = cached.popitem(last=False)
                item.needs_done = max(item.needs_done, last_visit + 1)
        cached[expert] = number
        cached.move_to_end(expert)
        items.append(item)
    return items


def cycles(items: list[Item], machine: Machine, buffers: int | None) -> int:
    """Cycles until the last item is computed; `buffers` limits loads that are begun and not yet used up."""
    loaded, begun, computed, now = [False] * len(items), 0, 0, 0
    loader: Busy | None = None
    array: Busy | None = None
    while computed < len(items):
        while begun < len(items) and items[begun].load_bytes == 0:
            loaded[begun] = True
            begun += 1
        room = buffers is None or begun - computed < buffers
        if loader is None and room and begun < len(items) and computed >= items[begun].needs_done:
            loader = Busy(machine.burst, 0, [[machine.weight_port, items[begun].load_bytes * 1000, 2 * begun]])
        if array is None and loaded[computed]:
            item = items[computed]
            flows = [[port, size * 1000, 2 * computed + 1] for port, size in item.moved if size]
            array = Busy(item.fill, item.compute, flows)
        _tick([busy for busy in (loader, array) if busy], machine)
        now += 1
        if loader and loader.over:
            loaded[begun], loader = True, None
            begun += 1
        if array and array.over:
            computed, array = computed + 1, None
    return now


def _tick(busy: list[Busy], machine: Machine) -> None:
    """One cycle: latencies count down; else work proceeds and the flows of a port share its rate, odd bits to the earlier job."""
    moving = [flow for each in busy if each.latency == 0 for flow in each.flows]
    for port, rate in enumerate(machine.port_rates):
        flows = sorted((flow for flow in moving if flow[0] == port), key=lambda flow: flow[2])
        left = min(rate, machine.ddr)
        for position, flow in enumerate(flows):
            part = -(-left // (len(flows) - position))
            flow[1] -= part
            left -= part
    for each in busy:
        if each.latency:
            each.latency -= 1
        else:
            each.compute -= 1
            each.flows = [flow for flow in each.flows if flow[1] > 0]
