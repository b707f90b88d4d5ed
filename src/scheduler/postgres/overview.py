"""Overview: what is there, for people who look.

Owns: the questions of `status`, `show`, `explain` and `seed` to the tables.
Must not know: how answers are shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import TextClause, func, text
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

import scheduler.models.scheduling as rows
from scheduler.core.errors import NotFoundError
from scheduler.models.registry import METADATA
from scheduler.postgres.schedules import ScheduleKey

_FAMILIES: Final = text("""
select family_name, array(select name from identity.users where id = any(parent_ids) order by name),
    array(select name from identity.users where id = any(student_ids) order by name)
from identity.family_directory order by family_name limit :most
""")
_CHILDREN: Final = text("""
select first_name, completed_sessions, round(average_mood, 1), total_stickers, urgent_alerts
from wellbeing.child_progress_summary order by urgent_alerts desc, first_name limit :most
""")
_VISIT: Final = text("""
select p.first_name || ' ' || p.last_name, d.display_name, f.name, w.name,
    to_char(s.scheduled_start_at at time zone f.timezone, 'Dy HH24:MI')
        || to_char(s.scheduled_end_at at time zone f.timezone, '-HH24:MI'),
    t.name, coalesce(r.name, '')
from (
    select * from scheduling.appointments a
    order by (select count(*) from scheduling.appointment_steps where appointment_id = a.id) desc, a.id limit :most
) a
join scheduling.patients p on p.id = a.patient_id
join scheduling.doctors d on d.id = a.doctor_id
join scheduling.facilities f on f.id = a.facility_id
join scheduling.service_workflows w on w.id = a.service_workflow_id
join scheduling.appointment_steps s on s.appointment_id = a.id
join scheduling.step_templates t on t.id = s.step_template_id
left join scheduling.resources r on r.id = s.resource_id
order by s.position
""")


@dataclass(frozen=True, slots=True)
class Post:
    """A doctor at a facility."""

    key: ScheduleKey
    doctor: str


@dataclass(frozen=True, slots=True)
class FacilityView:
    """A facility and the doctors who have schedules there."""

    id: int
    slug: str
    name: str
    zone: str
    posts: tuple[Post, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """What a tenant has. Days are local and half-open; `failing` are schedules that could not be generated."""

    facilities: int
    schedules: int
    failing: int
    from_day: date | None
    until_day: date | None
    slots: int
    booked: int
    held: int
    cancelled: int


_POSTS = text("""
select doctor.id, doctor.display_name
from scheduling.doctors doctor
where doctor.deleted_at is null and (
    exists (select from scheduling.availability_rules rule
        where rule.tenant_id = doctor.tenant_id and rule.doctor_id = doctor.id and rule.facility_id = :facility)
    or exists (select from scheduling.availability_exceptions exception
        where exception.tenant_id = doctor.tenant_id and exception.doctor_id = doctor.id
          and exception.facility_id = :facility)
)
order by doctor.id
""")
_TOTALS = text("""
select
    (select count(*) from scheduling.facilities where deleted_at is null),
    (select count(*) from scheduling.schedule_states),
    (select count(*) from scheduling.schedule_states where last_error is not null),
    (select min(generated_from) from scheduling.schedule_states),
    (select max(generated_until) from scheduling.schedule_states),
    count(*), count(*) filter (where booked_count > 0 or status = 'booked'),
    count(*) filter (where status = 'reserved'), count(*) filter (where status = 'cancelled')
from scheduling.availability_slots
""")
_FAILING = text("""
select facility.slug, state.doctor_id, state.last_error
from scheduling.schedule_states state
join scheduling.facilities facility on facility.tenant_id = state.tenant_id and facility.id = state.facility_id
where state.last_error is not null
order by facility.slug, state.doctor_id
limit :most
""")


def facility_view(session: Session, slug: str) -> FacilityView:
    """Return the live facility with this slug.

    Raises:
        NotFoundError: there is none; the message names a few that are like it.
    """
    facility = rows.Facility
    query = select(facility).where(facility.slug == slug, col(facility.deleted_at).is_(None))
    found = session.exec(query).one_or_none()
    if found is None or found.id is None:
        likely = session.exec(
            select(facility.slug)
            .where(col(facility.deleted_at).is_(None))
            .order_by(col(facility.slug).startswith(slug[:3]).desc(), col(facility.slug))
            .limit(5)
        ).all()
        hint = f"; there are {', '.join(likely)} …" if likely else "; there are none yet"
        raise NotFoundError(f"no facility {slug!r}{hint}")
    posts = session.connection().execute(_POSTS, {"facility": found.id})
    return FacilityView(
        found.id,
        found.slug,
        found.name,
        found.timezone,
        tuple(Post(ScheduleKey(doctor_id, found.id), name) for doctor_id, name in posts),
    )


def posts_of(facility: FacilityView, doctor_id: int | None) -> tuple[Post, ...]:
    """Return the posts of a facility, or that of one doctor.

    Raises:
        NotFoundError: there is none.
    """
    posts = tuple(post for post in facility.posts if doctor_id in {None, post.key.doctor_id})
    if not facility.posts:
        raise NotFoundError(f"nobody has a schedule at {facility.slug!r}")
    if not posts:
        known = ", ".join(str(post.key.doctor_id) for post in facility.posts)
        raise NotFoundError(f"doctor {doctor_id} has no schedule at {facility.slug!r}; there are {known}")
    return posts


def exceptions_between(
    session: Session, facility_id: int, begin: datetime, end: datetime
) -> Sequence[rows.AvailabilityException]:
    """Return the exceptions at a facility that overlap `[begin, end)`, in order."""
    one = rows.AvailabilityException
    query = select(one).where(one.facility_id == facility_id, one.start_at < end, one.end_at > begin)
    return session.exec(query.order_by(col(one.start_at), col(one.id))).all()


def closures_between(session: Session, facility_id: int, first: date, last: date) -> Sequence[rows.FacilityClosure]:
    """Return the closed days of a facility from `first` to before `last`, in order."""
    one = rows.FacilityClosure
    query = select(one).where(one.facility_id == facility_id, one.day >= first, one.day < last)
    return session.exec(query.order_by(col(one.day))).all()


def totals(session: Session) -> Totals:
    """Count what the tenant has."""
    return Totals(*session.connection().execute(_TOTALS).one())


def failing_schedules(session: Session, *, most: int) -> list[tuple[str, int, str]]:
    """Return schedules that could not be generated: facility slug, doctor id, reason."""
    found = session.connection().execute(_FAILING, {"most": most})
    return [(slug, doctor_id, reason) for slug, doctor_id, reason in found]


def row_counts(session: Session) -> dict[str, int]:
    """Return how many rows the session sees in each table, by its name with its schema.

    It counts row by row: for a tenant's tables of everyday size, not for a dashboard.
    """
    return {
        name: session.connection().execute(sql_select(func.count()).select_from(table)).scalar_one()
        for name, table in sorted(METADATA.tables.items())
    }


def families(session: Session, *, most: int = 5) -> list[tuple[object, ...]]:
    """Return families: the name, the names of the parents, those of the students."""
    return _asked(session, _FAMILIES, most)


def progress_of_children(session: Session, *, most: int = 6) -> list[tuple[object, ...]]:
    """Return how children do, those with urgent alerts first: name, check-ins, mood, stickers, urgent alerts."""
    return _asked(session, _CHILDREN, most)


def longest_visit(session: Session) -> list[tuple[object, ...]]:
    """Return the steps of the appointment with most: patient, doctor, place, workflow; when (local), step, where."""
    return _asked(session, _VISIT, 1)


def _asked(session: Session, question: TextClause, most: int) -> list[tuple[object, ...]]:
    return [tuple(row) for row in session.connection().execute(question, {"most": most})]
