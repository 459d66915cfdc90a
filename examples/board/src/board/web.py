"""Takes posts, and shows what happened to them."""

from importlib.metadata import version

from fastapi import FastAPI
from rq import Queue

from board import jobs, store

app = FastAPI()
queue = Queue("posts", connection=store.connection)


@app.get("/healthz")
def healthz():
    return {"status": "ok", "version": version("board")}


@app.post("/posts", status_code=202)
def take(seconds: float = 1.0):
    """`?seconds=` is how long it takes to publish the post."""
    seconds = min(max(seconds, 0.0), store.LONGEST_SECONDS)
    post = store.new_post()
    store.note(post, "posted")
    queue.enqueue(jobs.publish, post, seconds)
    return {"id": post}


@app.get("/posts/{post}")
def look(post: int):
    return {"id": post, "steps": store.steps(post)}
