"""Sample wellbeing data: a school, its practitioners, and children who check in.

Owns: the invented organisation, profiles, children, sessions, responses, gardens, stickers, alerts, invitations.
Must not know: families beyond their students and guardians.

The students of the families are the children of the school. Each child checks in on a few days; two low moods in a row
raise an alert.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Final

import scheduler.models as rows
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.families import Home
from scheduler.sample_data.scales import Size

_MOODS: Final = ("sad", "worried", "fine", "cheerful", "delighted")
_LOW_MOOD: Final = 2
_CHARACTERS: Final = ("fox", "owl", "hedgehog", "otter")
_MIN_CAPACITY: Final = 50


def make_wellbeing(
    factory: Factory, homes: Sequence[Home], doctors: Sequence[rows.Doctor], size: Size, *, begin: date
) -> None:
    """Make the school, and the check-ins of its children in the days before `begin`."""
    school = factory.make(
        rows.Organisation,
        name=f"{factory.fake.city()} Primary School",
        type="school-primary",
        max_children=max(_MIN_CAPACITY, 4 * size.families),
    )
    practitioners = _staff(factory, school, doctors)
    children = _children(factory, homes, school, practitioners)
    sessions = _sessions(factory, children, size.sessions, begin)
    responses = _responses(factory, sessions)
    _garden(factory, children, sessions, begin)
    _alerts(factory, sessions, responses)
    _invitations(factory, school, practitioners[0])
    factory.make(rows.KeyValue, key="feature.garden", value={"enabled": True})


def _staff(factory: Factory, school: rows.Organisation, doctors: Sequence[rows.Doctor]) -> list[rows.Profile]:
    """Make the head, two teachers, and a practitioner who is also the first doctor."""
    fake = factory.fake
    users = factory.write(
        factory.build(rows.User, name=fake.name(), email=f"staff-{number}@example.org", role=rows.UserRole.PRACTITIONER)
        for number in (1, 2, 3)
    )
    members = [(user.id, user.name, user.email) for user in users]
    members.append((doctors[0].user_id, doctors[0].display_name, "doctor-1@example.org"))
    return factory.write(
        factory.build(
            rows.Profile,
            id=user_id,
            name=name,
            email=email,
            role="Practitioner" if number else "GroupContact",
            org_id=school.id,
        )
        for number, (user_id, name, email) in enumerate(members)
    )


def _children(
    factory: Factory, homes: Sequence[Home], school: rows.Organisation, practitioners: Sequence[rows.Profile]
) -> list[rows.Child]:
    students = [(student, home) for home in homes for student in home.students]
    factory.write(
        factory.build(
            rows.Profile, id=student.id, name=student.name, email=student.email, role="Child", org_id=school.id
        )
        for student, _ in students
    )
    return factory.write(
        factory.build(
            rows.Child,
            id=student.id,
            org_id=school.id,
            first_name=student.name.split()[0],
            date_of_birth=date(2016, 9, 1) + timedelta(days=factory.fake.random_int(0, 2000)),
            year_group=f"Year {1 + number % 6}",
            class_name=f"{1 + number % 6}{'AB'[number % 2]}",
            primary_practitioner_id=practitioners[1 + number % (len(practitioners) - 1)].id,
            parent_guardian_name=home.guardians[0].name,
            parent_guardian_email=home.guardians[0].email,
            parent_guardian_phone=home.guardians[0].phone,
            consent_given=True,
            consent_date=datetime(2027, 1, 5, 9, tzinfo=UTC),
            consent_type="written",
            avatar_character=_CHARACTERS[number % len(_CHARACTERS)],
        )
        for number, (student, home) in enumerate(students)
    )


def _sessions(factory: Factory, children: Sequence[rows.Child], count: int, begin: date) -> list[rows.WellbeingSession]:
    sessions = []
    for child in children:
        for days_ago in range(count, 0, -1):
            start = datetime.combine(begin - timedelta(days=days_ago), time(9), UTC)
            length = factory.fake.random_int(60, 600)
            sessions.append(
                factory.build(
                    rows.WellbeingSession,
                    child_id=child.id,
                    session_type="daily_checkin",
                    status="completed",
                    started_at=start,
                    completed_at=start + timedelta(seconds=length),
                    duration_seconds=length,
                    activities_completed=["mood_wheel", "garden_activity"],
                    overall_mood=factory.fake.random_int(1, 5),
                )
            )
    return factory.write(sessions)


def _responses(factory: Factory, sessions: Sequence[rows.WellbeingSession]) -> list[rows.WellbeingResponse]:
    return factory.write(
        factory.build(
            rows.WellbeingResponse,
            session_id=session.id,
            child_id=session.child_id,
            activity_type="mood_wheel",
            question_key="mood_today",
            question_text="How do you feel today?",
            response_type="scale",
            response_value={"answer": _MOODS[(session.overall_mood or 1) - 1]},
            response_score=session.overall_mood,
            flags=["low_mood"] if (session.overall_mood or 1) <= _LOW_MOOD else [],
        )
        for session in sessions
    )


def _garden(
    factory: Factory, children: Sequence[rows.Child], sessions: Sequence[rows.WellbeingSession], begin: date
) -> None:
    factory.write(
        factory.build(
            rows.GardenItem,
            child_id=child.id,
            item_type=kind,
            item_name=name,
            position_x=factory.fake.random_int(0, 9),
            position_y=factory.fake.random_int(0, 9),
            placed_at=datetime.combine(begin, time(9, 5), UTC),
        )
        for child in children
        for kind, name in (("flower", "sunflower"), ("tree", "apple tree"))
    )
    factory.write(
        factory.build(
            rows.StickerEarned,
            child_id=session.child_id,
            session_id=session.id,
            sticker_type="check-in",
            sticker_name="star",
            earned_for="a check-in from beginning to end",
            earned_at=session.completed_at,
        )
        for session in sessions
    )


def _alerts(
    factory: Factory, sessions: Sequence[rows.WellbeingSession], responses: Sequence[rows.WellbeingResponse]
) -> None:
    """Make an alert for two low moods in a row, urgent if both are the lowest."""
    factory.write(
        factory.build(
            rows.Alert,
            child_id=session.child_id,
            session_id=session.id,
            response_id=response.id,
            alert_type="wellbeing_decline",
            severity="urgent" if (session.overall_mood, before.overall_mood) == (1, 1) else "high",
            title="Low mood twice running",
            description="The last two check-ins were both low.",
            trigger_data={"moods": [before.overall_mood, session.overall_mood]},
        )
        for (before, _), (session, response) in pairwise(zip(sessions, responses, strict=True))
        if before.child_id == session.child_id and max(before.overall_mood or 9, session.overall_mood or 9) <= _LOW_MOOD
    )


def _invitations(factory: Factory, school: rows.Organisation, head: rows.Profile) -> None:
    factory.make(
        rows.Invitation,
        org_id=school.id,
        email="new-teacher@example.org",
        role="Practitioner",
        invited_by=head.id,
        invitation_token=sha256(factory.fake.random.randbytes(32)).hexdigest(),
        expires_at=datetime(2027, 2, 8, tzinfo=UTC),
    )
