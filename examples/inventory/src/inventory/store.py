"""The stock in SQLite."""

from sqlalchemy import String, create_engine, event, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

BUSY_SECONDS = 10.0  # during a deploy two releases write at the same time


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    amount: Mapped[int] = mapped_column(default=0)


def open_store(path):
    """Open the database file and create its table; several workers may do this at once."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def configure(connection, _record):
        connection.execute("pragma journal_mode=wal")

    with engine.begin() as connection:
        connection.execute(CreateTable(Item.__table__, if_not_exists=True))
    return engine


def items(session):
    return session.scalars(select(Item).order_by(Item.name)).all()


def change_stock(session, name, amount):
    """Add `amount`. Returns False and changes nothing if the stock would become negative."""
    row = insert(Item).values(name=name, amount=0).on_conflict_do_nothing()
    session.execute(row)
    item = session.get_one(Item, name, with_for_update=True)
    if item.amount + amount < 0:
        session.rollback()
        return False
    item.amount = Item.amount + amount
    return True
