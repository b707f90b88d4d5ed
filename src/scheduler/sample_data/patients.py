"""Sample patients: the people who have appointments.

Owns: the invented patients and their user accounts.
Must not know: their appointments.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import cycle
from typing import Final

import scheduler.models as rows
from scheduler.sample_data.factories import Factory

_LANGUAGES: Final = ("en", "de", "hi", None)


def make_patients(factory: Factory, count: int, plans: Sequence[rows.InsurancePlan]) -> list[rows.Patient]:
    """Make patients, insured with the plans in turn."""
    fake = factory.fake
    names = [(fake.first_name(), fake.last_name()) for _ in range(count)]
    users = factory.write(
        factory.build(
            rows.User, name=f"{first} {last}", email=f"patient-{number}@example.org", role=rows.UserRole.PATIENT
        )
        for number, (first, last) in enumerate(names, start=1)
    )
    return factory.write(
        factory.build(
            rows.Patient,
            user_id=user.id,
            first_name=first,
            last_name=last,
            email=user.email,
            phone=fake.numerify("+44 7### ######"),
            dob=date(1940, 1, 1) + timedelta(days=fake.random_int(0, 30_000)),
            default_insurance_plan_id=plan.id,
            preferred_language=language,
        )
        for (first, last), user, plan, language in zip(names, users, cycle(plans), cycle(_LANGUAGES), strict=False)
    )
