"""Slots and appointments: what an appointment on a slot has to have in common with it.

Two appointments of a doctor may overlap if they sit on one slot (B1). So whoever names a slot is excused from the
constraint against double booking, and nothing asked whether the slot was the doctor's: two appointments of Dr A that
both named a slot of Dr B could stand at one time, or one at ten o'clock could share a slot of nine. Now

- an appointment on a slot begins with it (a CHECK: the start of the slot is part of its key);
- it is with the doctor of the slot: asked when either changes, of the one row that the key names;
- a slot stays its doctor's, or the question would be answered for the moment only. The key of a slot's identity (S2)
  begins with the doctor: another doctor's slot is another slot.

A composite key over the doctor would say the second in one line, but it wants a further unique index on the one big
table. Appointments are few, and a question for each is not felt.

What is left to the code that books: that a slot is open, and takes no more appointments than its capacity. The database
compares `booked_count` with `capacity` (`a_slot_is_booked_within_its_capacity`), it does not count.

Of slots themselves: a hold belongs to a token (B2), which alone can confirm it or give it back, so one held by nobody
would be stuck until it ends. And an id is positive, since an appointment without a slot stands under its own id,
negative, where two slots would stand under theirs.
"""

from alembic import op

revision = "20261121102402"
down_revision = "20261121102401"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    alter table scheduling.availability_slots
        -- stops the id under which an appointment without a slot stands
        add constraint the_id_of_a_slot_is_positive check (id > 0),
        -- stops a hold that nobody could confirm or give back
        add constraint a_reserved_slot_says_by_whom check (status <> 'reserved' or held_by is not null);

    alter table scheduling.appointments
        -- stops two at different times from passing for sharers of one slot
        add constraint an_appointment_on_a_slot_begins_with_it check (slot_start_at = start_at);

    create function scheduling.refuse_slot_of_another_doctor() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        if exists (
            select from scheduling.availability_slots slot
            where slot.tenant_id = new.tenant_id and slot.id = new.availability_slot_id
                and slot.start_at = new.slot_start_at and slot.doctor_id <> new.doctor_id
        ) then
            raise exception 'the slot of an appointment is another doctor''s'
                using errcode = 'check_violation', constraint = 'an_appointment_is_with_the_doctor_of_its_slot';
        end if;
        return new;
    end $$;

    comment on function scheduling.refuse_slot_of_another_doctor() is
        'Refuses an appointment on a slot of another doctor, which would be excused from double booking.';

    create trigger an_appointment_is_with_the_doctor_of_its_slot
        before insert or update of availability_slot_id, slot_start_at, doctor_id on scheduling.appointments
        for each row when (new.availability_slot_id is not null)
        execute function scheduling.refuse_slot_of_another_doctor();

    create function scheduling.refuse_another_doctor() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        raise exception 'a slot stays its doctor''s'
            using errcode = 'check_violation', constraint = 'a_slot_stays_its_doctors';
    end $$;

    comment on function scheduling.refuse_another_doctor() is
        'Refuses to give a slot to another doctor: the appointments on it are with the first.';

    create trigger a_slot_stays_its_doctors before update of doctor_id on scheduling.availability_slots
        for each row when (new.doctor_id <> old.doctor_id)
        execute function scheduling.refuse_another_doctor();
    """)


def downgrade() -> None:
    op.execute("""
    drop trigger a_slot_stays_its_doctors on scheduling.availability_slots;
    drop function scheduling.refuse_another_doctor();
    drop trigger an_appointment_is_with_the_doctor_of_its_slot on scheduling.appointments;
    drop function scheduling.refuse_slot_of_another_doctor();
    alter table scheduling.appointments drop constraint an_appointment_on_a_slot_begins_with_it;
    alter table scheduling.availability_slots
        drop constraint a_reserved_slot_says_by_whom,
        drop constraint the_id_of_a_slot_is_positive;
    """)
