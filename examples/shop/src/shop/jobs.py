"""What the workers do."""

import contextlib
import time
from queue import Empty

from celery import Celery, bootsteps
from celery.worker import state

from shop import store

app = Celery("shop", broker=store.URL)
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    # A worker that is asked to stop must not keep orders that another one could pack.
    worker_disable_prefetch=True,
    beat_schedule={"tick": {"task": "shop.jobs.tick", "schedule": 5.0}},
)


class TakeNoMore(bootsteps.StartStopStep):
    """A worker that is asked to stop has already asked Redis for one more order. That one goes back
    at once; otherwise it would wait until all other orders of this worker are packed."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer):
        qos = consumer.task_consumer.channel.qos
        may_take = qos.can_consume
        qos.can_consume = lambda: state.should_stop is None and may_take()

    def stop(self, consumer):
        if consumer.task_consumer is None:
            return
        consumer.task_consumer.cancel()
        channel = consumer.task_consumer.channel
        if channel._in_poll:  # Redis answers within a second
            with contextlib.suppress(Empty, *consumer.connection_errors):
                channel._brpop_read()  # nobody consumes any more, so it goes back


app.steps["consumer"].add(TakeNoMore)


@app.task
def pack(order, seconds):
    store.note(order, "begun")
    time.sleep(seconds)
    store.note(order, "packed")


@app.task
def tick():
    """The scheduler starts it every five seconds."""
    store.count_up("ticks")
