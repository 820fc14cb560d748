"""What the RQ worker does: apply one event to PostgreSQL, the newer one wins whatever the order."""
import os

from psycopg_pool import ConnectionPool

SCHEMA = """CREATE TABLE IF NOT EXISTS members (
    room text NOT NULL, account text NOT NULL, event_time bigint NOT NULL, present boolean NOT NULL,
    PRIMARY KEY (room, account))"""
UPSERT = """INSERT INTO members AS m (room, account, event_time, present)
    SELECT %s, account, %s, %s FROM unnest(%s::text[]) AS account ORDER BY account
    ON CONFLICT (room, account) DO UPDATE SET event_time = excluded.event_time, present = excluded.present
    WHERE excluded.event_time > m.event_time"""
pool = ConnectionPool(os.environ["DATABASE_URL"], min_size=1, max_size=4, open=False)


def apply(room: str, accounts: list[str], event_time: int, present: bool) -> None:
    pool.open()
    with pool.connection() as connection:
        connection.execute(UPSERT, [room, event_time, present, sorted(set(accounts))])


def members(room: str) -> list[str]:
    pool.open()
    with pool.connection() as connection:
        rows = connection.execute("SELECT account FROM members WHERE room = %s AND present", [room])
        return [account for (account,) in rows]


if __name__ == "__main__":
    with pool, pool.connection() as connection:
        connection.execute(SCHEMA)
