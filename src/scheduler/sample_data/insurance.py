"""Sample insurance: insurers with their plans, and the plans that each facility accepts.

Owns: the invented insurers and plans; a few facilities do not accept a few plans.
Must not know: the patients.
"""

from datetime import date
from typing import Final

import scheduler.models as rows
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.places import Places

_PLANS: Final = (("BASIC", "Basic cover"), ("PLUS", "Plus cover"), ("FAMILY", "Family cover"))


def make_insurance(factory: Factory, places: Places, *, begin: date) -> list[rows.InsurancePlan]:
    """Make insurers with plans for the year of `begin`, accepted by the facilities; return the plans."""
    insurers = factory.write(
        factory.build(rows.InsuranceProvider, name=name, website="https://insurer.example.org")
        for name in ("Northern Mutual", "Harbour Health")
    )
    plans = factory.write(
        factory.build(
            rows.InsurancePlan,
            insurance_provider_id=insurer.id,
            plan_code=code,
            name=name,
            effective_from=begin.replace(month=1, day=1),
            effective_to=begin.replace(month=12, day=31),
        )
        for insurer in insurers
        for code, name in _PLANS
    )
    factory.write(
        factory.build(
            rows.FacilityInsurancePlan,
            facility_id=facility.id,
            insurance_plan_id=plan.id,
            enabled=(row + column) % 4 != 3,  # noqa: PLR2004  # a few facilities do not accept a few plans
            accepted_since=begin.replace(month=1, day=1),
        )
        for row, facility in enumerate(places.facilities)
        for column, plan in enumerate(plans)
    )
    return plans
