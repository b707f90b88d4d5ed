"""Reader of events: a reminder for each visit, in an outbox, whatever kills the process in between.

Position and reminders are one transaction. A reminder that was sent, but not noted, goes out again with the same key.
"""

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg

from scheduler import Scheduler

TABLES = """
create schema if not exists reminders;
create table if not exists reminders.readers (tenant text primary key, position bigint not null);
create table if not exists reminders.outbox (
    tenant text, visit_id bigint, start_at timestamptz, patient_id bigint not null, local_start timestamp not null,
    sent_at timestamptz, primary key (tenant, visit_id, start_at)
)"""
Send = Callable[[str, int, datetime], object]  # takes the key, the patient's id, the wall-clock time that was promised


def read(clinic: Scheduler, connection: psycopg.Connection, tenant: str) -> None:
    """Turn new events into reminders: a moved visit gets a new one, a cancelled visit none."""
    with connection.transaction():
        connection.execute("insert into reminders.readers values (%s, 0) on conflict do nothing", (tenant,))
        locked = "select position from reminders.readers where tenant = %s for update"
        position: int = connection.execute(locked, (tenant,)).fetchall()[0][0]
        for event in clinic.events(tenant, after=position):
            unsent = "delete from reminders.outbox where tenant = %s and visit_id = %s and sent_at is null"
            connection.execute(unsent, (tenant, event.visit_id))
            if event.status == "scheduled":
                add = "insert into reminders.outbox values (%s, %s, %s, %s, %s) on conflict do nothing"
                connection.execute(add, (tenant, event.visit_id, event.start_at, event.patient_id, event.local_start))
            position = event.position
        connection.execute("update reminders.readers set position = %s where tenant = %s", (position, tenant))


def send_due(connection: psycopg.Connection, tenant: str, send: Send, *, ahead: timedelta = timedelta(days=1)) -> None:
    """Send the reminders of the visits that begin soon, each in a transaction of its own."""
    due = """update reminders.outbox set sent_at = now() where ctid = (
        select ctid from reminders.outbox where tenant = %s and sent_at is null and start_at < now() + %s
        limit 1 for update skip locked) returning concat_ws('/', tenant, visit_id, start_at), patient_id, local_start"""
    while True:
        with connection.transaction():
            if (row := connection.execute(due, (tenant, ahead)).fetchone()) is None:
                return
            send(*row)


if __name__ == "__main__":
    url = os.environ["SCHEDULER_DATABASE_URL"]
    with Scheduler(url) as scheduler, psycopg.connect(url, autocommit=True) as outbox:
        outbox.execute(TABLES)
        while True:
            read(scheduler, outbox, "clinic")
            send_due(outbox, "clinic", print)
            time.sleep(10)
