from shop import cleanup
from shop.jobs import app as celery
from shop.web import app


def test_healthz_needs_no_redis():
    answer = app.test_client().get("/healthz")
    assert (answer.status_code, answer.json["status"]) == (200, "ok")


def test_the_worker_knows_what_web_and_the_scheduler_send():
    sent = {one["task"] for one in celery.conf.beat_schedule.values()} | {"shop.jobs.pack"}
    assert sent <= set(celery.tasks)


def test_cleanup_forgets_what_was_packed_long_ago():
    now = 1_000_000.0
    long_ago = now - cleanup.KEEP_SECONDS - 1
    orders = {
        1: [f"ordered {long_ago}", f"packed {long_ago}"],
        2: [f"ordered {long_ago}", f"packed {now - 1}"],
        3: [f"ordered {long_ago}", f"begun {long_ago}"],
        4: [],
    }
    assert list(cleanup.old(orders.items(), now)) == [1]
