"""What one server holds of table `writes`: which ids of which route, and which of them more than once."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from lab.inside import queries

# Islands: ids of a run without gaps have the same distance to their own rank.
_RANGES = """
select route, min(id), max(id)
from (select route, id, id - row_number() over (partition by route order by id) as island
      from (select distinct route, id from writes) as once) as ranked
group by route, island order by route, min(id)"""
_REPEATED = "select route, id, count(*) from writes group by route, id having count(*) > 1 order by route, id"
_ABOUT = """
select host(inet_server_addr()), pg_is_in_recovery(),
       case when pg_is_in_recovery()
            then coalesce((select received_tli from pg_stat_wal_receiver),
                          (select timeline_id from pg_control_checkpoint()))
            else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end,
       (select count(*) from writes)"""
# A primary's own files say on which timeline it writes; its control file does so only after the next checkpoint.


def rows(deadline: float, host: str, port: int = queries.PORT) -> dict[str, Any]:
    """{node_address, in_recovery, timeline, count, ranges {route: [[first, last], ...]}, repeated {route: [[id,
    times], ...]}}: one snapshot. Raises OSError where the server does not answer until `deadline`."""
    ranges: dict[str, list[list[int]]] = defaultdict(list)
    repeated: dict[str, list[list[int]]] = defaultdict(list)
    with queries.session(deadline, host, port) as connection, connection.cursor() as cursor:
        cursor.execute("begin isolation level repeatable read, read only")
        about = cursor.execute(_ABOUT).fetchone()
        assert about is not None
        for route, first, last in cursor.execute(_RANGES):
            ranges[route].append([first, last])
        for route, number, times in cursor.execute(_REPEATED):
            repeated[route].append([number, times])
        cursor.execute("commit")
    address, in_recovery, timeline, count = about
    return {
        "node_address": address,
        "in_recovery": in_recovery,
        "timeline": timeline,
        "count": count,
        "ranges": dict(ranges),
        "repeated": dict(repeated),
    }
