from board import jobs, web, worker


def test_healthz_needs_no_redis():
    assert web.healthz()["status"] == "ok"


def test_the_worker_finds_what_web_sends():
    assert jobs.publish.__module__ == "board.jobs"


def test_the_worker_looks_up_often_enough_to_end():
    assert worker.GentleWorker.dequeue_timeout == 1
