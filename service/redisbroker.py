"""The Redis broker: kombu's transport, with a worker that outlives an acknowledgement that did not arrive.

kombu forgets a message only once Redis has heard that it is done. Where Redis is away at that moment, the
message takes the worker's one place for ever: the worker says that it is there, and takes nothing more. Here
the place is free at once. Redis delivers such a message again in the end, to find a job that has ended.
"""

from kombu.transport import redis


class QoS(redis.QoS):
    """What a channel holds; used by kombu."""

    def ack(self, delivery_tag: str) -> None:
        """Let go of a message, whether or not Redis hears of it."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]  # kombu's
        except self.channel.connection_errors:
            self._quick_ack(delivery_tag)
            raise


class Channel(redis.Channel):
    """kombu's channel with the count above."""

    QoS = QoS


class Transport(redis.Transport):
    """kombu's transport with the channel above; used by its dotted name."""

    Channel = Channel
