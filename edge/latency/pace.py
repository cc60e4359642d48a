"""Times on the scale of a table: a device that is slower now than when the table was begun makes nothing look slower."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, log

import numpy as np

from edge.latency.bench import Bench, Content, FileTime, name, now
from edge.latency.pieces import Piece
from edge.latency.table import LatencyTable, Timed
from edge.spec import ModelSpec


@dataclass(frozen=True)
class Paced:
    """Files timed in turns with the whole networks of a table, which took `then_ms` for the table."""

    times: Mapping[Content, FileTime]
    then_ms: Mapping[ModelSpec, float]

    def network(self, spec: ModelSpec) -> Timed:
        """A whole network's time on the scale of the table, with the samples of now."""
        time = self.times[spec]
        return time.network(self._scale(time.ms))

    def block(self, weights: Mapping[Piece, float]) -> Timed:
        """The weighted sum of files' times on the scale of the table, with every sample of now of those files.

        All files of a block have the scale of the largest: their times are taken from each other.
        """
        files = {piece: self.times[piece] for piece in weights}
        ms = sum(weight * files[piece].ms for piece, weight in weights.items())
        scale = self._scale(max(time.ms for time in files.values()))
        source = next(iter(files.values())).passes[0].source
        return Timed(ms * scale, source, now(), {name(piece): time.samples_ms for piece, time in files.items()})

    def with_passes_of(self, other: Paced) -> Paced:
        """These files, with the passes of both times where there are two."""
        both = {each: FileTime((*self.times[each].passes, *time.passes)) for each, time in other.times.items()}
        return Paced({**self.times, **both}, self.then_ms)

    def _scale(self, ms: float) -> float:
        """By how much a time of now that is near `ms` must be multiplied to be one of then; 1 for an empty table.

        Interpolated between the networks, over the logarithm of their times: beside work that moved much memory, networks
        of 0.3 ms took 40 % longer on a host and those of 0.07 ms 10 %.
        """
        if not self.then_ms:
            return 1.0
        changes = sorted(
            (log(self.times[spec].ms), log(then / self.times[spec].ms)) for spec, then in self.then_ms.items()
        )
        times, scales = zip(*changes, strict=True)
        return exp(float(np.interp(log(ms), times, scales)))


def timed(bench: Bench, table: LatencyTable, contents: Iterable[Content], seed: int = 0) -> Paced:
    """Time files in turns with the whole networks of the table. Raises what exporters and devices raise."""
    then_ms = {spec: network.ms for spec, network in table.networks().items()}
    return Paced(bench.time((*contents, *then_ms), seed), then_ms)
