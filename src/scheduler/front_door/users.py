"""Users: the people of a tenant, with or without a sign-in, and the families to which they belong."""

from collections.abc import Mapping
from typing import Final, TypedDict, Unpack

from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import UserId
from scheduler.core.readers import Reader, email, optional, text
from scheduler.core.validation import Validator
from scheduler.families import reading
from scheduler.families.memberships import Memberships
from scheduler.families.people import add_user, change_user
from scheduler.families.shapes import FamilySummary, UserDetails, UserSummary
from scheduler.families.values import MAX_PHONE_LENGTH, up_to
from scheduler.front_door.context import Context
from scheduler.front_door.family_arguments import AnyUser, user_id_of
from scheduler.front_door.fields import word
from scheduler.models import UserRole, UserStatus
from scheduler.postgres.savepoints import refusable


class UserFields(TypedDict, total=False):
    """Fields of a user that `change` takes."""

    name: str
    email: str | None
    phone: str | None
    status: UserStatus


_READERS: Final[Mapping[str, Reader]] = {
    "name": text,
    "email": optional(email),
    "phone": up_to(MAX_PHONE_LENGTH),
    "status": word(UserStatus),
}


class Users:
    """The users of a tenant. A refused call undoes itself, and the unit of work continues."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._session = context.session
        self._tenant_id = context.tenant_id

    def add(
        self,
        name: str,
        *,
        role: UserRole,
        email: str | None = None,
        phone: str | None = None,
        sign_in: str | None = None,
    ) -> UserId:
        """Add a user and return the id. `sign_in` is the id that SuperTokens gave the person, who needs an e-mail.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            DuplicateError: another user has the e-mail address or the sign-in.
            CheckFailedError: a user with a sign-in has no e-mail address.
            NotAllowedError: the user of this unit of work may not add users, or none of this role.
        """
        columns = _columns({"name": name, "email": email, "phone": phone})
        columns["role"] = word(UserRole)("user: role", role)
        columns["supertokens_user_id"] = optional(text)("user: sign_in", sign_in)
        with refusable(self._session):
            return UserId(add_user(self._session, self._tenant_id, columns))

    def get(self, user: AnyUser) -> UserSummary:
        """Return a user, with the ids of the user's families.

        Raises:
            NotFoundError: there is no such user, the user is deleted, or is not seen.
        """
        return reading.user_summary(self._session, self._tenant_id, user_id=user_id_of("user", user))

    def details(self, user: AnyUser) -> UserDetails:
        """Return a user, with the user's families.

        Raises:
            NotFoundError: there is no such user, the user is deleted, or is not seen.
        """
        return reading.user_details(self._session, self._tenant_id, user_id_of("user", user))

    def by_email(self, address: str) -> UserSummary:
        """Return the user with an e-mail address, in any case. A user of another tenant is another user.

        Raises:
            NotFoundError: there is no such user, or the user is not seen.
        """
        return reading.user_summary(self._session, self._tenant_id, email=email("email", address))

    def all(self, *, role: UserRole | None = None) -> list[UserSummary]:
        """Return the users, or those with a role, by name."""
        wanted = None if role is None else Validator(InvalidInputError).member("user: role", role, UserRole)
        return reading.all_users(self._session, self._tenant_id, wanted)

    def families(self, user: AnyUser) -> list[FamilySummary]:
        """Return the families that a user belongs to, by name, as `work.families.of_user` does.

        Raises:
            NotFoundError: there is no such user, the user is deleted, or is not seen.
        """
        return reading.families_of(self._session, self._tenant_id, user_id_of("user", user))

    def change(self, user: AnyUser, **fields: Unpack[UserFields]) -> None:
        """Change fields of a user; None removes the value of an optional field. Errors are those of `add` and `get`."""
        user_id, columns = user_id_of("user", user), _columns(fields)
        with refusable(self._session):
            change_user(self._session, self._tenant_id, user_id, columns)

    def delete(self, user: AnyUser) -> None:
        """Delete a user softly: the row stays, and no family shows the user.

        Raises:
            LastParentError: the user is the last parent of a family.
            NotFoundError: there is no such user, the user is deleted, or is not seen.
            NotAllowedError: the user of this unit of work may not delete users.
        """
        user_id = user_id_of("user", user)
        memberships = Memberships(self._session, self._tenant_id, self._context.user_id)
        with refusable(self._session):
            change_user(self._session, self._tenant_id, user_id, {"deleted_at": self._context.clock()})
            # afterwards, since the change waits for whoever makes the user a parent
            memberships.require_parents(memberships.lock_families_of_parent(user_id))


def _columns(fields: Mapping[str, object]) -> dict[str, object]:
    """Read fields of a user, by column.

    Raises:
        InvalidInputError: a field is unknown or invalid; the message names it.
    """
    for name in fields:
        if name not in _READERS:
            raise InvalidInputError(f"a user has no field {name!r} to change: there are {', '.join(_READERS)}")
    return {name: _READERS[name](f"user: {name}", value) for name, value in fields.items()}
