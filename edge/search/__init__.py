"""The search: a supernet lends its weights to sub-networks, a latency table prices them, a strategy chooses."""
