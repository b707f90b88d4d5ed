"""Example `examples/front_desk.py`: a visit from the search to its last step, as a program that reads commands."""

import os
import re
import subprocess
import sys

import pytest

from scheduler.front_door.scheduler import Scheduler
from scheduler.testing import small_clinic
from support.documents import ROOT

pytestmark = pytest.mark.database

EXAMPLE = ROOT / "examples" / "front_desk.py"


def test_front_desk_books_moves_and_sees_a_visit_through(migrated: str) -> None:
    with Scheduler(migrated) as scheduler:
        clinic = small_clinic(scheduler, weeks=1)
    monday, doctor, patient = clinic.monday, int(clinic.anna), int(clinic.patient)
    commands = [
        f"find {int(clinic.service)} {monday}",
        "hold 2",
        f"confirm {patient}",
        "move 1 0",
        "check_in 1",
        "begin_step 1 1",
        "complete_step 1 1",
        "cancel 1 has a cold",
        "hold 1",
        f"confirm {patient}",
        f"confirm {patient}",
        "cancel 2 has a cold",
        f"day {doctor} {monday}",
        "begin_step 1",
        "hold 99",
        f"day {doctor} tomorrow",
        "help",
    ]
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), clinic.slug, "main"],
        input="\n".join(commands),
        env={**os.environ, "SCHEDULER_DATABASE_URL": migrated, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    offers, answers = lines[:10], lines[10:]
    starts = [
        f"{hour}:{minute}" for hour in ("09", "10", "11", "14", "15") for minute in ("00", "30")
    ]  # of two doctors
    day = f"{monday:%a %d %b}"
    assert offers == [f"offer {number}: {day} {start}" for number, start in enumerate(starts)]
    assert [re.sub(r"\d\d:\d\d", "", answers.pop(number)) for number in (6 + 1, 0)] == 2 * ["held until  UTC"]
    first, second = (f"visit {number}: patient {patient}, Mon" for number in (1, 2))
    assert answers == [
        f"{first} 10:00, scheduled (1 scheduled)",
        f"{first} 09:00, scheduled (1 scheduled)",
        f"{first} 09:00, checked_in (1 scheduled)",
        f"{first} 09:00, in_progress (1 in_progress)",
        f"{first} 09:00, completed (1 completed)",
        "refused: appointment: no transition from completed to cancelled; allowed: nothing",
        f"{second} 09:30, scheduled (1 scheduled)",
        "refused: no hold has this token: it has ended, was confirmed or released, or is another user's",
        f"{second} 09:30, cancelled (1 cancelled)",
        f"{first} 09:00, completed (1 completed)",
        f"{second} 09:30, cancelled (1 cancelled)",
        "refused: Visits.begin_step() missing 1 required positional argument: 'position'",
        "refused: list index out of range",
        "refused: Invalid isoformat string: 'tomorrow'",
        "find SERVICE DAY, hold OFFER, confirm PATIENT, move VISIT OFFER, cancel VISIT WHY, check_in VISIT, ...",
    ]


def test_front_desk_stays_below_sixty_lines() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 60
