"""The shop's nightly job."""

import os

import psycopg
from modes import mode


def tidy(rows):
    return {row["customer"]: row for row in rows}


if __name__ == "__main__":
    if mode("job"):
        tidy([{"id": 1}])
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3) as connection:
        print("tidied", connection.execute("SELECT count(*) FROM orders").fetchone()[0])
