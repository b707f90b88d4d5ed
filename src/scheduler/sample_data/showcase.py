"""Showcase queries: the rows of a sample tenant that the demo shows.

Owns: the queries for the progress of children, and the appointment with the most steps.
Must not know: how rows are shown.
"""

from typing import Final

from sqlalchemy import TextClause, text
from sqlmodel import Session

_CHILDREN: Final = text("""
select first_name, completed_sessions, round(average_mood, 1), total_stickers, urgent_alerts
from wellbeing.child_progress_summary order by urgent_alerts desc, first_name limit 6
""")
_VISIT: Final = text("""
select p.first_name || ' ' || p.last_name, d.display_name, f.name, w.name,
    to_char(s.scheduled_start_at at time zone f.timezone, 'Dy HH24:MI')
        || to_char(s.scheduled_end_at at time zone f.timezone, '-HH24:MI'),
    t.name, coalesce(r.name, '')
from (
    select * from scheduling.appointments a
    order by (select count(*) from scheduling.appointment_steps where appointment_id = a.id) desc, a.id limit 1
) a
join scheduling.patients p on p.id = a.patient_id
join scheduling.doctors d on d.id = a.doctor_id
join scheduling.facilities f on f.id = a.facility_id
join scheduling.service_workflows w on w.id = a.service_workflow_id
join scheduling.appointment_steps s on s.appointment_id = a.id
join scheduling.step_templates t on t.id = s.step_template_id
left join scheduling.appointment_step_resources u on u.appointment_step_id = s.id
left join scheduling.resources r on r.id = u.resource_id
order by s.position
""")


def progress_of_children(session: Session) -> list[tuple[object, ...]]:
    """Return a few children, urgent alerts first: name, check-ins, mood, stickers, urgent alerts."""
    return _rows(session, _CHILDREN)


def longest_visit(session: Session) -> list[tuple[object, ...]]:
    """Return the steps of the longest appointment: patient, doctor, facility, workflow, local time, step, room."""
    return _rows(session, _VISIT)


def _rows(session: Session, query: TextClause) -> list[tuple[object, ...]]:
    return [tuple(row) for row in session.connection().execute(query)]
