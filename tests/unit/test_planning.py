"""Planning of the nightly job: the days that a changed schedule repeats, and the future slots beside them (R3)."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from scheduler.core.days import DaySet
from scheduler.core.fingerprints import fingerprint
from scheduler.core.schedules import AvailabilityRule, Schedule
from scheduler.core.spans import Span
from scheduler.generation.planning import ScheduleTask, plan_task
from scheduler.generation.request import GenerationRequest
from scheduler.generation.time_zone_release import time_zone_release
from scheduler.postgres.schedules import Checkpoint, LoadedSchedule, ScheduleKey

DAY = timedelta(days=1)
TODAY = date(2027, 3, 20)
NOW = datetime(2027, 3, 20, 12, tzinfo=UTC)
GENERATED = DaySet([(date(2027, 3, 10), date(2027, 6, 1))])


def planned(requested: date, generated: DaySet = GENERATED, *, zone: str = "Europe/London") -> ScheduleTask:
    """Plan a request for one day of a schedule that changed since its days were generated."""
    schedule = Schedule(1, 1, zone, [AvailabilityRule(1, 1, time(9), time(12), timedelta(minutes=20))])
    checkpoint = Checkpoint(None, date(2027, 3, 10), days=generated)
    request = GenerationRequest(UUID(int=1), requested, requested + DAY, now=NOW, tzdata_version="2026a")
    return plan_task(LoadedSchedule(ScheduleKey(1, 1), checkpoint, schedule), request)


def test_r3_a_request_for_a_past_day_repeats_no_other_past_day() -> None:
    task = planned(date(2027, 3, 1))
    assert [(span.start.date(), span.end.date()) for span in task.spans] == [
        (date(2027, 3, 1), date(2027, 3, 2)),
        (TODAY, date(2027, 5, 31)),  # until midnight in summer time, an hour before midnight UTC
    ]
    assert task.checkpoint.days == DaySet([(date(2027, 3, 1), date(2027, 3, 2)), (TODAY, date(2027, 6, 1))])


def test_r3_the_release_of_the_data_in_use_counts_unless_one_is_given() -> None:
    schedule = Schedule(1, 1, "Europe/London", [AvailabilityRule(1, 1, time(9), time(12), timedelta(minutes=20))])
    for given, counted in ((None, time_zone_release(schedule.zone)), ("2031a", "2031a")):
        request = GenerationRequest(UUID(int=1), TODAY, TODAY + DAY, now=NOW, tzdata_version=given)
        task = plan_task(LoadedSchedule(ScheduleKey(1, 1), Checkpoint(), schedule), request)
        assert task.checkpoint.fingerprint == fingerprint(schedule, tzdata_version=counted, since=TODAY)


def test_r3_only_future_time_beside_the_repeated_days_is_looked_at() -> None:
    """Slots of another zone may begin 26 hours beside the days; on the first run there are none."""
    end = datetime(2027, 5, 31, 23, tzinfo=UTC)
    assert planned(date(2027, 3, 1)).beside == (Span(end, end + timedelta(hours=26)),)
    tomorrow = planned(TODAY + DAY, DaySet([(TODAY + DAY, TODAY + 2 * DAY)]))
    begin = datetime(2027, 3, 21, tzinfo=UTC)
    assert tomorrow.beside == (Span(NOW, begin), Span(begin + DAY, begin + timedelta(hours=50)))
    assert planned(TODAY, DaySet()).beside == ()
