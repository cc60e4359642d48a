"""The trace is one that Chrome and Perfetto read."""

from __future__ import annotations

import json

from edge.simulator.chip import chip
from edge.simulator.policies import Kind, policy
from edge.simulator.timeline import simulate
from edge.simulator.trace import chrome_trace
from edge.simulator.workloads import workload

TOY = chip("toy")
TIMELINE = simulate(workload("toy"), TOY, policy(TOY, Kind.EXPERT_REORDER), ("task0",))
EVENTS = chrome_trace(TIMELINE)["traceEvents"]


def test_every_job_is_a_span_in_microseconds_with_its_cycles():
    spans = [event for event in EVENTS if event["ph"] == "X"]
    assert len(spans) == 6
    assert max(event["ts"] + event["dur"] for event in spans) == 2.56  # 256 cycles at 100 MHz
    assert max(event["args"]["end_cycle"] for event in spans) == 256


def test_every_thread_of_a_span_has_a_name():
    named = {event["tid"] for event in EVENTS if event["ph"] == "M" and event["name"] == "thread_name"}
    assert {event["tid"] for event in EVENTS if event["ph"] == "X"} <= named


def test_the_counter_of_held_bytes_reaches_two_experts_and_ends_at_none():
    counted = [event["args"]["bytes"] for event in EVENTS if event["ph"] == "C"]
    assert (max(counted), counted[-1]) == (1024, 0)


def test_it_is_json():
    assert json.loads(json.dumps(chrome_trace(TIMELINE)))["displayTimeUnit"] == "ns"
