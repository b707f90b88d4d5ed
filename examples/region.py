"""Example region: write `region.jsonl`, forty-one places in six time zones, from 2027-02-01 to 2027-05-02.

    python examples/region.py

The ninety days contain the clock changes of New York and St John's (03-14), London (03-28) and Lord Howe (04-04, by
half an hour). All people and places are invented; the public holidays are real. The script always writes the same file.
`docs/openings.md` describes the format.
"""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import holidays

FIRST, LAST = date(2027, 2, 1), date(2027, 5, 2)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WORKDAYS, WEEKEND = DAYS[:5], DAYS[5:]
ZONES = {
    "GB": ("Europe/London", "ENG"),
    "US": ("America/New_York", "NY"),
    "CA": ("America/St_Johns", "NL"),
    "AU": ("Australia/Lord_Howe", "NSW"),
    "NP": ("Asia/Kathmandu", None),
    "MA": ("Africa/Casablanca", None),
}
Line = dict[str, Any]


def week(workdays: str = "", **days: str) -> Line:
    """Return weekly hours: `week("08:30-12:30 13:30-18:00", saturday="09:00-12:00")`."""
    hours = dict.fromkeys(WORKDAYS, workdays) | days
    return {day: [pair.split("-") for pair in hours.get(day, "").split()] for day in DAYS}


def place(code: str, name: str, city: str, phone: str, **more: Any) -> Line:  # noqa: ANN401  # any field of a line
    """Return the common fields of a place; its code begins with the country."""
    country = code[:2]
    zone, _ = ZONES[country]
    return {"code": code, "name": name, "city": city, "phone": phone, "country": country, "timezone": zone} | more


def doctor(name: str, specialty: str, **more: Any) -> Line:  # noqa: ANN401  # any field of a doctor
    """Return a doctor, whose code is made from the name."""
    first, last = name.split(" ", 1)
    code = name.lower().replace(" ", "-").replace("'", "")
    return {"code": code, "first_name": first, "last_name": last, "specialty": specialty} | more


def public_holidays(country: str) -> dict[str, str]:
    """Return the public holidays of the ninety days as closures."""
    subdivision = ZONES[country][1]
    names = holidays.country_holidays(country, subdiv=subdivision, years=2027, language="en_US")
    return {str(day): names[day] for day in sorted(names) if FIRST <= day <= LAST}


def blocked(start: str, end: str, reason: str) -> Line:
    """Return a blocked time."""
    return {"type": "blocked", "start": start, "end": end, "reason": reason}


def override(day: str, opens: str, closes: str, reason: str, **slots: int) -> Line:
    """Return different hours for one day."""
    return {"type": "override", "start": f"{day}T{opens}", "end": f"{day}T{closes}", "reason": reason} | slots


def clinic(day: str, opens: str, closes: str, **more: Any) -> Line:  # noqa: ANN401  # any field of a clinic
    """Return a clinic beside the weekly hours."""
    return {"day": day, "opens": opens, "closes": closes} | more


def surgeries() -> Iterator[Line]:
    """Yield general practices: three people in each, with lunch breaks and their own slot lengths."""
    towns = (
        ("GB-LARKSPUR", "Larkspur Lane Surgery", "Wells", "Imogen Fairweather", "Tobias Marlowe", "Bridget Oakes", 10),
        ("GB-MILLPOND", "Millpond Medical Practice", "Ludlow", "Arthur Penhallow", "Nadia Rahim", "Joan Tull", 15),
        ("GB-SALTMARSH", "Saltmarsh Health Centre", "Rye", "Cecily Thorne", "Owen Griffin", "Mabel Finch", 10),
        ("GB-ROWAN", "Rowan Tree Surgery", "Hexham", "Hamish Dunbar", "Leila Farouk", "Poppy Wainwright", 12),
        ("US-SYCAMORE", "Sycamore Street Family Medicine", "Ithaca", "Walter Hale", "Rosa Delgado", "June Abbott", 20),
        ("US-LANTERN", "Lantern Hill Medical Group", "Beacon", "Miriam Adler", "Desmond Cole", "Ivy Larsen", 20),
        ("US-ORCHARD", "Orchard Row Primary Care", "Saratoga", "Grace Okafor", "Peter Lindqvist", "Dora Quinn", 15),
        ("CA-PUFFIN", "Puffin Cove Family Practice", "St. John's", "Finn Mercer", "Aoife Power", "Tess Noseworthy", 15),
        ("NP-RHODO", "Rhododendron Family Health", "Lalitpur", "Asha Gurung", "Bikram Thapa", "Maya Lama", 10),
        ("MA-ZITOUN", "Cabinet Dar Zitoun", "Casablanca", "Yasmine Alaoui", "Karim Bennani", "Salma Idrissi", 15),
    )
    for number, (code, name, city, partner, associate, nurse, minutes) in enumerate(towns):
        leave = f"2027-02-{8 + 2 * (number % 4):02}"
        staff = (
            doctor(
                partner,
                "General practice",
                role="partner",
                weekly=week("08:30-12:30 14:00-18:00"),
                slot_minutes=minutes,
                exceptions=[
                    blocked(f"{leave}T00:00", f"{leave[:-2]}{int(leave[-2:]) + 5}T00:00", "Annual leave"),
                    override("2027-03-18", "08:30", "20:00", "Late opening for people at work"),
                ],
            ),
            doctor(
                associate,
                "General practice",
                role="associate",
                weekly=week(monday="09:00-13:00", wednesday="09:00-13:00 15:00-19:00", friday="09:00-13:00"),
                slot_minutes=minutes + 5,
                exceptions=[
                    blocked("2027-04-14T13:00", "2027-04-14T19:00", "Resuscitation training"),
                    override("2027-04-10", "09:00", "12:00", "Saturday spring vaccination", slot_minutes=5, capacity=2),
                ],
            ),
            doctor(
                nurse,
                "Nursing",
                role="practice nurse",
                weekly=week("08:00-12:00 12:45-16:00"),
                slot_minutes=20,
                interval_minutes=30,
                alignment_minutes=30,
                clinics=[
                    clinic("tuesday", "17:00", "19:00", code="diabetes-group", slot_minutes=60, capacity=8)
                    | {"recurrence": "FREQ=MONTHLY;BYDAY=2TU"},
                ],
                exceptions=[
                    blocked("2027-04-13T16:30", "2027-04-13T19:30", "Group leader away") | {"clinic": "diabetes-group"}
                ],
            ),
        )
        yield place(code, name, city, f"555 01{number:02}", doctors=list(staff), closures=public_holidays(code[:2]))


def schools() -> Iterator[Line]:
    """Yield schools' counselling rooms: term time only, fifty minutes on the hour, a circle every other week."""
    rooms = (
        ("GB-HAZEL", "Hazel Grove School, The Quiet Room", "Bath", "Rowena Blythe", "2027-02-15", "2027-02-19"),
        ("GB-FOXGLOVE", "Foxglove Primary, The Den", "Kendal", "Callum Reeve", "2027-02-15", "2027-02-19"),
        ("GB-KINGFISHER", "Kingfisher Academy, Room to Talk", "Stroud", "Anjali Desai", "2027-02-15", "2027-02-19"),
        (
            "US-MAPLE",
            "Maplewood Middle School, Student Wellness",
            "Oneonta",
            "Carla Benedict",
            "2027-02-15",
            "2027-02-19",
        ),
        (
            "US-CEDAR",
            "Cedar Falls High School, Counseling Suite",
            "Corning",
            "Jamal Whitaker",
            "2027-03-29",
            "2027-04-02",
        ),
        ("CA-BLUEBERRY", "Blueberry Hill School, The Lighthouse", "Gander", "Norah Keats", "2027-03-22", "2027-03-26"),
        ("NP-SUNFLOWER", "Sunflower School, Listening Room", "Bhaktapur", "Sunita Rai", "2027-04-12", "2027-04-16"),
    )
    for number, (code, name, city, counsellor, begins, ends) in enumerate(rooms):
        lessons = {"effective_from": "2027-02-01", "effective_until": "2027-04-30"}
        yield place(
            code,
            name,
            city,
            f"555 02{number:02}",
            slot_minutes=50,
            interval_minutes=60,
            alignment_minutes=60,
            doctors=[
                doctor(
                    counsellor,
                    "Counselling",
                    role="school counsellor",
                    clinics=[
                        *(clinic(day, "08:45", "15:30", **lessons) for day in WORKDAYS[:4]),
                        clinic("friday", "13:00", "14:30", code="friendship-circle", slot_minutes=45, capacity=10)
                        | {"recurrence": "FREQ=WEEKLY;INTERVAL=2", "effective_from": "2027-02-05"},
                    ],
                    exceptions=[
                        blocked(f"{begins}T00:00", f"{ends}T24:00", "School holidays"),
                        blocked("2027-03-03T12:00", "2027-03-03T15:30", "Safeguarding training"),
                    ],
                )
            ],
            closures=public_holidays(code[:2]),
        )


def nights() -> Iterator[Line]:
    """Yield places that are open at night: walk-in centres and an island's only clinic."""
    centres = (
        ("GB-NIGHTJAR", "Nightjar Walk-in Centre", "Bristol", 3),
        ("US-HARBORLIGHT", "Harbor Light Urgent Care", "New York", 4),
        ("CA-NORTHSTAR", "North Star After-hours Clinic", "St. John's", 2),
        ("MA-YASMINE", "Permanence de nuit Yasmine", "Casablanca", 2),
    )
    for number, (code, name, city, capacity) in enumerate(centres):
        line = place(
            code,
            name,
            city,
            f"555 03{number:02}",
            slot_minutes=15,
            alignment_minutes=15,
            capacity=capacity,
            weekly=week("20:00-08:00", saturday="08:00-08:00", sunday="08:00-08:00"),
        )
        if code == "GB-NIGHTJAR":
            line["exceptions"] = [
                {
                    "type": "emergency",
                    "start": "2027-02-23T22:40",
                    "end": "2027-02-25T02:00",
                    "reason": "Burst pipe: the ground floor is under water",
                }
            ]
        yield line
    yield place(
        "AU-KENTIA",
        "Kentia Palm Island Clinic",
        "Lord Howe Island",
        "555 0310",
        slot_minutes=30,
        doctors=[
            doctor("Matilda Byrne", "Rural generalist", role="resident doctor", weekly=week("08:00-12:00 13:00-16:30")),
            doctor(
                "Hugh Sandilands",
                "Emergency nursing",
                role="night nurse",
                weekly=week("22:00-06:00", saturday="22:00-06:00", sunday="22:00-06:00"),
                slot_minutes=60,
            ),
        ],
        closures=public_holidays("AU"),
    )
    yield place(
        "US-ALWAYS",
        "Always Open Minor Injuries",
        "Syracuse",
        "555 0311",
        slot_minutes=20,
        capacity=2,
        weekly=week("00:00-24:00", saturday="00:00-24:00", sunday="00:00-24:00"),
        closures={"2027-03-31": {"from": "22:00", "until": "02:00", "reason": "Stocktaking"}},
    )


def visits() -> Iterator[Line]:
    """Yield places that a doctor visits regularly: care homes, an outreach post, weekend clinics."""
    rounds = (
        ("GB-BRAMBLE", "Bramble Court Care Home", "Malvern", "Imogen Fairweather", "2027-02-02"),
        ("GB-WILLOW", "Willow Bank Care Home", "Ludlow", "Arthur Penhallow", "2027-02-09"),
        ("CA-SEAVIEW", "Seaview Manor", "Bonavista", "Finn Mercer", "2027-02-02"),
        ("NP-HIMAL", "Himal View Outreach Post", "Dhulikhel", "Asha Gurung", "2027-02-09"),
    )
    for number, (code, name, city, visitor, begins) in enumerate(rounds):
        yield place(
            code,
            name,
            city,
            f"555 04{number:02}",
            doctors=[
                doctor(
                    visitor,
                    "General practice",
                    role="visiting doctor",
                    slot_minutes=30,
                    clinics=[
                        clinic("tuesday", "18:30", "20:30", code="round", effective_from=begins)
                        | {"recurrence": "FREQ=WEEKLY;INTERVAL=2"},
                        clinic("saturday", "10:00", "12:00", code="families", slot_minutes=40)
                        | {"recurrence": "FREQ=MONTHLY;BYDAY=1SA"},
                    ],
                )
            ],
            closures=public_holidays(code[:2]),
        )
    weekends = (
        ("GB-SATURDAY", "Market Square Weekend Clinic", "Norwich", "10:00-13:00 14:00-17:00", 12),
        ("US-BROOKSIDE", "Brookside Weekend Pediatrics", "Albany", "09:00-14:00", 15),
        ("CA-HARBOUR", "Harbourside Weekend Clinic", "Corner Brook", "10:00-16:00", 15),
        ("MA-ATLAS", "Clinique Atlas du week-end", "Casablanca", "09:00-13:00 15:00-18:00", 20),
        ("NP-LOTUS", "Lotus Saturday Clinic", "Kathmandu", "07:00-11:00", 10),
    )
    for number, (code, name, city, hours, minutes) in enumerate(weekends):
        yield place(
            code,
            name,
            city,
            f"555 05{number:02}",
            slot_minutes=minutes,
            weekly=week(saturday=hours, sunday=hours),
            exceptions=[override("2027-03-31", "17:00", "20:00", "Extra evening before Easter")],
        )


def plain() -> Iterator[Line]:
    """Yield pharmacies, dentists and opticians in the plain format: weekly hours and altered days."""
    shops = (
        ("GB-THYME", "Thyme & Sons Pharmacy", "Frome", "08:30-13:00 14:00-18:00", "09:00-12:30"),
        ("GB-MORTAR", "Mortar & Pestle Pharmacy", "Whitby", "09:00-18:30", "09:00-17:30"),
        ("GB-PEARL", "Pearl Street Dental Studio", "Ely", "08:00-12:00 13:00-17:00", ""),
        ("US-CLOVER", "Clover Corner Pharmacy", "Rochester", "08:00-20:00", "09:00-18:00"),
        ("US-IRIS", "Iris Eye Care", "Poughkeepsie", "10:00-18:00", "10:00-15:00"),
        ("CA-CAPELIN", "Capelin Dispensary", "Trinity", "09:00-17:30", "10:00-14:00"),
        ("MA-ARGAN", "Pharmacie de l'Arganier", "Casablanca", "09:00-12:30 15:00-20:00", "09:00-13:00"),
        ("NP-TULSI", "Tulsi Pharmacy", "Patan", "07:30-19:30", "07:30-19:30"),
        ("AU-TERN", "White Tern Dispensary", "Lord Howe Island", "09:00-12:30 13:30-16:00", ""),
    )
    for number, (code, name, city, workdays, saturday) in enumerate(shops):
        closed: Line = {day: [] for day in public_holidays(code[:2])}
        shorter = {"2027-03-25": [["09:00", "13:00"]], "2027-04-24": [["10:00", "12:00"], ["13:00", "15:00"]]}
        yield place(
            code,
            name,
            city,
            f"555 06{number:02}",
            weekly=week(workdays, saturday=saturday),
            alterations=closed | shorter,
        )


def lines() -> Iterator[str]:
    """Yield the lines of the file."""
    for makers in (surgeries, schools, nights, visits, plain):
        for line in makers():
            yield json.dumps(line, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".jsonl").write_text("".join(lines()), encoding="utf-8")
