"""RQ's worker, for processes that are stopped while jobs come in.

RQ's own gives up at once when it is asked to stop while it waits for a job. If Redis has just handed
it one, nobody does that job. This one ends between two looks at the queue.
"""

from rq import Worker
from rq.exceptions import StopRequested


class GentleWorker(Worker):
    dequeue_timeout = 1
    _is_asked_to_stop = False

    def request_stop(self, _signal, _frame):
        self._is_asked_to_stop = True

    @property
    def should_run_maintenance_tasks(self):
        """RQ asks before each look at the queue, and never with a job in its hands."""
        if self._is_asked_to_stop:
            raise StopRequested
        return super().should_run_maintenance_tasks
