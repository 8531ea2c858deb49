"""The writers of one trial: an open loop of writes, a pool of connections for each route, and a reader beside it."""
