"""One look at the server over its unix socket: the question, and what its answer says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

QUESTION = b"""
select pg_is_in_recovery(),
       current_setting('default_transaction_read_only'),
       case when pg_is_in_recovery() then null else pg_walfile_name(pg_current_wal_lsn()) end,
       case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
       pg_last_wal_receive_lsn(),
       (select string_agg(concat(pid, state, sync_state), ' ') from pg_stat_get_wal_senders()),
       r.status, r.received_tli, r.sender_host
from (values (1)) always left join pg_stat_get_wal_receiver() r on true
"""
"""Functions instead of views, and no names: a third of the price. Names are asked for when the senders change."""

SENDERS = b"select application_name, sync_state from pg_stat_replication where state = 'streaming'"
CONTROL_FILE = b"select timeline_id from pg_control_checkpoint()"

Row = Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Observed:
    """What a server was seen to be. LSNs are bytes since 0/0."""

    state: str = "down"
    timeline: int | None = None
    lsn: int | None = None
    receive_lsn: int | None = None
    upstream: str | None = None
    receiving: bool = False
    streaming: tuple[str, ...] = ()
    sync: tuple[str, ...] = ()

    @property
    def essence(self) -> tuple[object, ...]:
        """What makes an event when it changes."""
        return (self.state, self.timeline, self.upstream, self.receiving, len(self.sync))


def lsn_of(text: bytes | None) -> int | None:
    """0/1A2B3C4 as bytes since 0/0."""
    if not text:
        return None
    high, _, low = text.partition(b"/")
    return (int(high, 16) << 32) + int(low, 16)


def read(
    row: Row, nodes: Mapping[str, str], known_timeline: int | None, streaming: tuple[str, ...], sync: tuple[str, ...]
) -> Observed:
    """The answer to QUESTION. A standby without a receiver does not tell its timeline: the known one stands."""
    in_recovery, read_only, segment, lsn, receive_lsn, _, receiver, received_tli, host = row
    if in_recovery == b"t":
        sender = host.decode() if host else ""
        return Observed(
            state="standby",
            timeline=int(received_tli) if received_tli else known_timeline,
            lsn=lsn_of(lsn),
            receive_lsn=lsn_of(receive_lsn),
            upstream=nodes.get(sender, sender) or None,
            receiving=receiver == b"streaming",
            streaming=streaming,
            sync=sync,
        )
    return Observed(
        state="primary" if read_only == b"off" else "read_only",
        timeline=int(segment[:8], 16) if segment else known_timeline,
        lsn=lsn_of(lsn),
        receive_lsn=lsn_of(receive_lsn),
        streaming=streaming,
        sync=sync,
    )
