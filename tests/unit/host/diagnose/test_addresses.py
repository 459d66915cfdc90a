"""Which services variables name."""

from __future__ import annotations

import pytest

from cartwheel.host.diagnose.addresses import endpoints

_PG = "PostgreSQL /run/postgresql/.s.PGSQL.5432"
_MYSQLD = "/run/mysqld/mysqld.sock"
_ONE = [
    ("DATABASE_URL", "postgresql://u:p@db/shop", "PostgreSQL db:5432"),
    ("DATABASE_URL", "postgres://u:p%40%2F@db:6432/shop?sslmode=require", "PostgreSQL db:6432"),
    ("DATABASE_URL", "postgresql+asyncpg://u:p@[fd00::5]:5433/x", "PostgreSQL [fd00::5]:5433"),
    ("DATABASE_URL", "postgresql:///shop?host=/run/postgresql", _PG),
    ("DATABASE_URL", "postgres://u:p@%2Frun%2Fpostgresql/shop", _PG),
    ("DATABASE_URL", "postgresql://db1:5433,db2/shop", "PostgreSQL db1:5433, PostgreSQL db2:5432"),
    ("DATABASE_URL", "mysql+pymysql://u:p@db/shop?charset=utf8mb4", "MySQL db:3306"),
    ("DATABASE_URL", "mariadb+mariadbconnector://u:p@db:3307/x", "MySQL db:3307"),
    ("DATABASE_URL", f"mysql://u@localhost/x?unix_socket={_MYSQLD}", f"MySQL {_MYSQLD}"),
    ("DATABASE_URL", "sqlite:////srv/shop/shared/shop.db", "SQLite /srv/shop/shared/shop.db"),
    ("DATABASE_URL", "sqlite:///relative.db", ""),
    ("DATABASE_URL", "sqlite://:memory:", ""),
    ("DATABASE_PATH", "/srv/shop/shared/shop.sqlite3", "SQLite /srv/shop/shared/shop.sqlite3"),
    ("DSN", "host=db port=5433 dbname=shop user=u password='a b'", "PostgreSQL db:5433"),
    ("DSN", "dbname=shop host=/run/postgresql", _PG),
    ("DSN", "host=db1,db2 port=5433,5434", "PostgreSQL db1:5433, PostgreSQL db2:5434"),
    ("REDIS_URL", "redis://:secret@cache:6380/0", "Redis cache:6380"),
    ("REDIS_URL", "rediss://cache", "Redis cache:6379"),
    ("REDIS_URL", "unix:///run/redis/redis.sock?db=1", "Redis /run/redis/redis.sock"),
    ("REDIS_URL", "redis+socket:///run/redis/redis.sock", "Redis /run/redis/redis.sock"),
    ("REDIS_SOCKET", "/run/redis/redis.sock", "Redis /run/redis/redis.sock"),
    ("CELERY_BROKER_URL", "amqp://guest:guest@rabbit//", "RabbitMQ rabbit:5672"),
    ("CELERY_BROKER_URL", "amqp://a//;amqp://b//", "RabbitMQ a:5672, RabbitMQ b:5672"),
    ("CACHES", '{"default": {"LOCATION": "redis://cache:6379/1"}}', "Redis cache:6379"),
    ("MONGO_URL", "mongodb://u:p@m1:27017,m2:27018/x", "MongoDB m1:27017, MongoDB m2:27018"),
    ("MONGO_URL", "mongodb+srv://u:p@cluster.example/x", ""),
    ("KAFKA_BOOTSTRAP_SERVERS", "k1:9092,k2:9093", "Kafka k1:9092, Kafka k2:9093"),
    ("MEMCACHED_SERVERS", "cache:11211", "memcached cache:11211"),
    ("NATS_URL", "nats://n1:4222,n2:4222", "NATS n1:4222, NATS n2:4222"),
    ("ELASTICSEARCH_HOST", "search", "Elasticsearch search:9200"),
    ("EMAIL_HOST", "mail.example", "the mail server mail.example:25"),
    ("EMAIL_URL", "smtp://u:p@mail.example:587", "the mail server mail.example:587"),
    ("PAYMENT_API", "https://api.example/v1?key=x", "HTTP api.example:443"),
    ("PAYMENT_API", "http://10.0.0.9:9000/x", "HTTP 10.0.0.9:9000"),
    ("https_proxy", "http://proxy:3128", "the HTTP proxy proxy:3128"),
    ("PGHOST", "db", "PostgreSQL db:5432"),
    ("PGHOST", "/run/postgresql", _PG),
    # Nothing to connect to.
    ("ALLOWED_HOSTS", "shop.example,www.shop.example", ""),
    ("HOST", "127.0.0.1", ""),
    ("SERVER_NAME", "shop.example", ""),
    ("DB_HOST", "db", ""),  # of which kind, nobody says
    ("SECRET_KEY", "abc:def@ghi//x=y", ""),
    ("GREETING", "Hello: world, host of all", ""),
    ("STATIC_URL", "/static/", ""),
    ("BUCKET", "s3://bucket/key", ""),
    ("EMPTY", "", ""),
    ("BROKEN", "http://[", ""),
    ("BROKEN", "redis://", ""),
    ("BROKEN", "postgres://u:p@:99999999/x", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "found"), _ONE)
def test_a_variable(name: str, value: str, found: str) -> None:
    named = endpoints({name: value})
    assert ", ".join(f"{one.kind} {one.address}" for one in named) == found
    assert {one.variable for one in named} <= {name}


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"DB_HOST": "db", "DB_PORT": "3306"}, "MySQL db:3306"),
        ({"DB_HOST": "db", "DB_PORT": "5432"}, "PostgreSQL db:5432"),
        ({"DB_HOST": "db", "DB_ENGINE": "django.db.backends.postgresql"}, "PostgreSQL db:5432"),
        ({"DB_HOST": "db", "DB_PORT": "1521"}, "the database db:1521"),
        ({"LEGACY_HOST": "127.0.0.1", "LEGACY_PORT": "3306"}, "MySQL 127.0.0.1:3306"),
        ({"LEGACY_HOST": "127.0.0.1", "LEGACY_PORT": "8000"}, ""),
        ({"SHOP_REDIS_HOST": "cache", "SHOP_REDIS_PORT": "6390"}, "Redis cache:6390"),
        ({"PGHOST": "db", "PGPORT": "6000"}, "PostgreSQL db:6000"),
        (
            {"PGHOST": "/run/postgresql", "PGPORT": "6000"},
            "PostgreSQL /run/postgresql/.s.PGSQL.6000",
        ),
        ({"EMAIL_HOST": "mail", "EMAIL_PORT": "587"}, "the mail server mail:587"),
        # The same under two names is asked once.
        ({"A_URL": "redis://cache/0", "B_URL": "redis://cache/1"}, "Redis cache:6379"),
    ],
)
def test_several_variables(variables: dict[str, str], found: str) -> None:
    assert ", ".join(f"{one.kind} {one.address}" for one in endpoints(variables)) == found


def test_whom_to_ask_as() -> None:
    (one,) = endpoints({"DATABASE_URL": "postgresql://me%40x:secret@db/shop"})
    assert (one.user, one.database) == ("me@x", "shop")
    assert "secret" not in repr(one)
    (one,) = endpoints({"DB_HOST": "db", "DB_PORT": "5432", "DB_USER": "me", "DB_NAME": "shop"})
    assert (one.user, one.database) == ("me", "shop")
