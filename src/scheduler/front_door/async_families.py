"""Async families: the asynchronous twins of families and users.

Owns: the list of the awaited methods, one line each.
Must not know: what the methods do (the repositories), how a call is awaited (`awaiting`).
"""

from typing import Final

from scheduler.front_door.awaiting import AsyncTwin, awaited
from scheduler.front_door.families import Families
from scheduler.front_door.users import Users


class AsyncUsers(AsyncTwin[Users]):
    """The users of a tenant."""

    get: Final = awaited(Users.get)
    all: Final = awaited(Users.all)
    details: Final = awaited(Users.details)
    by_email: Final = awaited(Users.by_email)
    families: Final = awaited(Users.families)
    add: Final = awaited(Users.add)
    change: Final = awaited(Users.change)
    delete: Final = awaited(Users.delete)


class AsyncFamilies(AsyncTwin[Families]):
    """The families of a tenant."""

    get: Final = awaited(Families.get)
    all: Final = awaited(Families.all)
    of_user: Final = awaited(Families.of_user)
    in_program: Final = awaited(Families.in_program)
    children_of: Final = awaited(Families.children_of)
    siblings_of: Final = awaited(Families.siblings_of)
    is_guardian_of: Final = awaited(Families.is_guardian_of)
    create: Final = awaited(Families.create)
    add_member: Final = awaited(Families.add_member)
    change_member: Final = awaited(Families.change_member)
    remove_member: Final = awaited(Families.remove_member)
    update: Final = awaited(Families.update)
    delete: Final = awaited(Families.delete)
