"""A network's sizes are the sums of its blocks' sizes: exactly those of the whole network when it is deployed."""

from __future__ import annotations

from random import Random

import pytest
import torch

from edge import plugins
from edge.errors import UsageError
from edge.models.catalog import entry
from edge.models.layers import deployed
from edge.report.network import multiply_adds, parameters
from edge.search.sizes import Sizes, require_room, sizes
from edge.spec import ModelSpec

SIDE = 32


@pytest.mark.parametrize("name", plugins.names("edge.spaces"))
def test_blocks_add_up_to_the_deployed_network(name):
    space = plugins.space(name, (SIDE, SIDE), 10)
    for spec in [space.smallest(), space.largest(), *(space.draw(Random(seed)) for seed in range(2))]:
        whole = deployed(space.build(spec).eval())
        counted = Sizes(parameters(whole), multiply_adds(whole, (torch.zeros(1, 3, SIDE, SIDE),)))
        assert sizes(space, spec) == counted


def test_a_hand_made_network_has_the_sizes_of_the_catalog():
    row = entry("vanillanet_5")
    space = plugins.space("vanillanet", row.image_size, row.num_classes)
    assert sizes(space, space.members[row.name]) == (row.params_deploy, row.macs)


def test_what_is_no_point_has_no_sizes():
    with pytest.raises(UsageError, match="no point of vanillanet"):
        sizes(plugins.space("vanillanet", (SIDE, SIDE), 10), ModelSpec("vanillanet", {}))


@pytest.mark.parametrize("name", plugins.names("edge.spaces"))
def test_limits_that_no_network_keeps_are_refused_with_what_is_to_be_had(name):
    space = plugins.space(name, (SIDE, SIDE), 10)
    drawn = [sizes(space, space.draw(Random(seed))) for seed in range(5)]
    require_room(space, min(each.params for each in drawn), min(each.macs for each in drawn))
    with pytest.raises(UsageError, match="999 parameters"):
        require_room(space, 999, None)
    with pytest.raises(UsageError, match="999 MACs"):
        require_room(space, None, 999)
