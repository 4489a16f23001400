"""The ledger: which narrations there are, how far each is, who may work on what, and what got lost.

Knows nothing of Celery or S3: whoever calls it sends the messages and stores the audio that it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from producer.connection import redis_errors
from producer.ledger.assembly import Assembly
from producer.ledger.attempts import Attempts
from producer.ledger.items import LANE_QUEUES, lane_heads
from producer.ledger.outcomes import Resend, groups_of
from producer.ledger.register import Register
from producer.ledger.scripting import Call


class Ledger(Register, Attempts, Assembly):
    """The truth about every narration, in Redis.

    Every change is one atomic script. A call repeated with the same token changes nothing more, so the client may
    repeat what it got no answer to. A final state never changes. Every method raises `QueueUnavailableError` if Redis
    cannot be used.
    """

    def reconcile(self, narration_id: str, *, grace_s: float, heads: Mapping[str, int | None]) -> list[Resend]:
        """Find the items of one narration that need a new message, and mark them as sent; see `reconcile_many`."""
        return self.reconcile_many([narration_id], grace_s=grace_s, heads=heads)

    def reconcile_many(
        self, narration_ids: Sequence[str], *, grace_s: float, heads: Mapping[str, int | None]
    ) -> list[Resend]:
        """Find the items that nobody will work on unless their message is sent again, and mark them as sent.

        These are: leases that ran out, pauses that are over, messages that got lost, and what a crash left unsent. A
        narration whose deadline has passed is ended here.

        Args:
            narration_ids: which narrations, best all that are `active`.
            grace_s: how long a message may be on its way. It is lost after that, if its queue is empty or begins with
                a message that was sent later.
            heads: queue -> millisecond at which its oldest message was sent, None if it is empty; read before this
                call. Messages of a queue that is not in it are not judged.
        """
        lanes = lane_heads(heads)
        calls: list[Call] = [
            (self._keys_of(narration_id), [round(grace_s * 1000), self._window, narration_id, self._retention, *lanes])
            for narration_id in narration_ids
        ]
        with redis_errors(self._settings):
            replies = self._scripts.run_many("reconcile", calls)
        return [
            Resend(owner, item, LANE_QUEUES[lane], sent_ms)
            for sent_ms, *names in replies
            for owner, item, lane in groups_of(names, 3)
        ]
