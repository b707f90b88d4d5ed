"""Showcase: rows of a sample tenant that a demo shows.

Owns: the queries for families, the progress of children, and the visit with most steps.
Must not know: how rows are shown.
"""

from typing import Final

from sqlalchemy import TextClause, text
from sqlmodel import Session

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
