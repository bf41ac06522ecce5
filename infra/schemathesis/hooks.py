"""Adds what the API's description does not contain: the callers, existing items, and the check that another tenant cannot see them.
`cargo xtask schemathesis` runs it; its reception creates the users."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import time
import unicodedata

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

STACK = os.environ["STACK_URL"]
RECEPTION = os.environ["STACK_RECEPTION"]
TENANT, OTHER_TENANT = "acme-health", "birch-clinic"


# Addresses ----------------------------------------------------------------------------------------------------------------


class At(requests.adapters.HTTPAdapter):
    """Connects from an address of 127.0.0.0/8. The stack treats each address as another caller."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args, **kwargs) -> None:
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


HOME = At("127.0.0.1")
_seat = HOME
_addresses = itertools.count(1)


def sit(adapter: At) -> None:
    global _seat
    if _seat is not HOME and _seat is not adapter:
        _seat.close()
    _seat = adapter


def elsewhere() -> At:
    number = next(_addresses)
    return At(f"127.2.{number // 250}.{1 + number % 250}")


# Schemathesis creates its own HTTP sessions, whose requests must use this adapter.
requests.Session.get_adapter = lambda self, url: HOME if url.startswith(RECEPTION) else _seat


# People -------------------------------------------------------------------------------------------------------------------


class Person:
    def __init__(self, tenant: str, role: str) -> None:
        answer = requests.post(f"{RECEPTION}/people", params={"tenant": tenant, "role": role}, timeout=60)
        if not answer.ok:
            raise RuntimeError(f"the reception created no user: {answer.text}")
        self.__dict__.update(answer.json())
        self.done = False
        self.came = time.monotonic()

    @property
    def bearer(self) -> str:
        return f"Bearer {self.access_token}"

    def call(self, method: str, path: str, status: int, **kwargs) -> requests.Response:
        """Sends a request that prepares a test and must succeed."""
        headers = {
            "Authorization": self.bearer,
            "Idempotency-Key": secrets.token_hex(16),
            "X-Purpose-Of-Use": "TREAT",
            "If-Match": "*",
        }
        answer = requests.request(method, STACK + path, headers=headers, timeout=30, **kwargs)
        self.heard(answer.status_code, answer.headers)
        if answer.status_code != status:
            raise RuntimeError(f"{method} {path} should have answered {status}: {answer.status_code} {answer.text}")
        return answer

    def heard(self, status: int, headers) -> None:
        """Marks a user as done if their session has ended or their rate limit is nearly reached. Another user follows, without waiting."""
        limit, left = (int(first(headers.get(name, "1000000"))) for name in ("ratelimit-limit", "ratelimit-remaining"))
        if status in (401, 429) or left < min(12, limit / 4):
            self.done = True


def first(header) -> str:
    return header if isinstance(header, str) else header[0]


PEOPLE: dict[tuple[str, str, str], Person] = {}
BY_BEARER: dict[str, tuple[Person, tuple[str, str, str]]] = {}


def person(tenant: str, role: str, apart: str = "") -> Person:
    """The current user with a role. `apart` separates users whom an operation changes from the others."""
    place = (tenant, role, apart)
    found = PEOPLE.get(place)
    # Sensitive operations need a second factor of the last ten minutes.
    if found is None or found.done or time.monotonic() - found.came > 8 * 60:
        found = PEOPLE[place] = Person(tenant, role)
        BY_BEARER[found.bearer] = found, place
    return found


# Operators call these, on tenants that are created for the purpose, so that no other test is affected.
PLATFORM = re.compile(r"^/v1/organizations\b")

# Operations that end the caller's session or change their sign-in. Separate users call them, and another user follows after a
# success.
CHANGES_ITS_CALLER = {
    "logout": "marketer",
    "end_session": "marketer",
    "change_password": "marketer",
    "enrol_totp": "marketer",
    "activate_totp": "marketer",
    "disable_totp": "marketer",
    "verify_mfa": "tenant_admin",
    "create_recovery_codes": "tenant_admin",
}


def name_of(operation) -> str:
    return operation.definition.raw["operationId"]


def caller(operation) -> Person:
    name = name_of(operation)
    if PLATFORM.match(operation.path):
        return person("platform", "super_admin")
    if name in CHANGES_ITS_CALLER:
        return person(TENANT, CHANGES_ITS_CALLER[name], name)
    if name == "read_notification":
        return person(TENANT, "marketer", name)
    return person(TENANT, "tenant_admin")


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    def get(self, case, context):
        return None if is_public(case.operation) else caller(case.operation).bearer

    def set(self, case, data, context):
        case.headers["Authorization"] = data


def is_public(operation) -> bool:
    return operation.definition.raw.get("security") == []


# Items --------------------------------------------------------------------------------------------------------------------

_numbers = itertools.count(1)


def tracking_number() -> str:
    """An unregistered number with its check digit: letters count by their position, and every second digit twice."""
    body = f"SCHEMA01{next(_numbers):07}"
    values = [int(c) if c.isdigit() else (ord(c) - 63) % 10 for c in body]
    return f"1Z{body}{-(sum(values[::2]) + 2 * sum(values[1::2])) % 10}"


def keeper() -> Person:
    """The user who creates the items of the tests."""
    return person(TENANT, "tenant_admin", "keeper")


def operator() -> Person:
    return person("platform", "super_admin", "keeper")


def shipment(_, assignee: str | None = None) -> str:
    address = {"line1": "100 Example Street", "city": "Springfield", "state": "IL", "postal_code": "62701", "country": "US"}
    body = {"tracking_number": tracking_number(), "recipient": {"name": "Ada Sample", "address": address}, "assigned_to": assignee}
    return keeper().call("POST", "/v1/shipments", 201, json=body).json()["shipment_id"]


def member(name: str) -> str:
    if name in ("reset_user_password", "end_user_sessions", "sign_out_user", "list_user_sessions"):
        return Person(TENANT, "marketer").user_id
    body = {"email": f"colleague.{next(_numbers)}@acme-health.example", "roles": ["marketer", "viewer"]}
    return keeper().call("POST", "/v1/users", 201, json=body).json()["user_id"]


def api_key(_) -> str:
    body = {"name": "Warehouse", "purposes": ["TREAT"], "scopes": ["shipments.read"]}
    return keeper().call("POST", "/v1/api-keys", 201, json=body).json()["key_id"]


def organization(name: str) -> str:
    """A separate organization, so that its settings affect no user of the tests."""
    if name in ("add_admin", "remove_admin"):
        return keeper().call("GET", "/v1/me", 200).json()["tenant_id"]
    clinic = f"clinic-{next(_numbers)}"
    body = {"name": clinic, "display_name": "Clinic", "admin_email": f"admin@{clinic}.example"}
    made = operator().call("POST", "/v1/organizations", 201, json=body).json()["tenant_id"]
    # Its keys are created after the answer.
    eventually(lambda: operator().call("GET", f"/v1/organizations/{made}", 200).json()["status"] == "active")
    return made


def notification(_) -> str:
    """A notification of the reader, caused by a shipment that is assigned to them."""
    shipment(None, person(TENANT, "marketer", "read_notification").user_id)
    inbox = lambda: person(TENANT, "marketer", "read_notification").call("GET", "/v1/notifications", 200).json()["items"]
    return eventually(inbox)[0]["notification_id"]


def own_session(_) -> str:
    owner = person(TENANT, CHANGES_ITS_CALLER["end_session"], "end_session")
    return owner.call("GET", "/v1/sessions", 200).json()["items"][0]["session_id"]


def eventually(look):
    until = time.monotonic() + 60
    while not (found := look()):
        if time.monotonic() > until:
            raise RuntimeError("the background work did not finish in time")
        time.sleep(0.2)
    return found


# By path parameter. Other parameters identify no item of one tenant: a role, or a position in every tenant's log.
ITEMS = {
    "shipment_id": shipment,
    "user_id": member,
    "key_id": api_key,
    "tenant_id": organization,
    "notification_id": notification,
    "session_id": own_session,
}

# Items that belong to their caller, and end with the caller's turn.
OWN = {"notification_id", "session_id"}

# Operations that use up their item: the next request needs another.
USES_UP = {"archive_organization", "delete_user", "end_session", "revoke_api_key", "rotate_api_key", "void_shipment"}

# The state that an operation requires of its item, and the operation that sets this state.
STATES = {
    "enable_user": ("/v1/users", "disabled", "disable"),
    "disable_user": ("/v1/users", "active", "enable"),
    "suspend_organization": ("/v1/organizations", "active", "reactivate"),
    "reactivate_organization": ("/v1/organizations", "suspended", "suspend"),
    "archive_organization": ("/v1/organizations", "suspended", "suspend"),
}

_held: dict[str, tuple[Person | None, str]] = {}


def item(name: str, parameter: str) -> str:
    """An item for this operation, in the required state."""
    owner = person(TENANT, CHANGES_ITS_CALLER.get(name, "marketer"), name) if parameter in OWN else None
    if name not in _held or _held[name][0] is not owner:
        _held[name] = owner, ITEMS[parameter](name)
    held = _held[name][1]
    if name in STATES:
        path, status, by = STATES[name]
        looks_after = operator if parameter == "tenant_id" else keeper
        if looks_after().call("GET", f"{path}/{held}", 200).json()["status"] != status:
            looks_after().call("POST", f"{path}/{held}/{by}", 200)
    return held


def item_parameter(operation) -> str | None:
    return next((p.name for p in operation.path_parameters if p.name in ITEMS), None)


# Fields -------------------------------------------------------------------------------------------------------------------


def new_number(body: dict) -> None:
    body["tracking_number"] = tracking_number()
    body.pop("assigned_to", None)
    recipient = body["recipient"]
    recipient["address"].update(country="US", postal_code="62701")
    if recipient.get("phone") is not None:
        recipient["phone"] = "+1 (555) 010-4477"


def new_numbers(body: dict) -> None:
    for one in body["shipments"]:
        new_number(one)


def password(body: dict) -> None:
    owner = person(TENANT, "marketer", "change_password")
    body.update(current_password=owner.password, new_password=f"A new synthetic password, {next(_numbers)}")


def credentials(body: dict) -> None:
    who = Person(TENANT, "marketer")
    body.update(email=who.email, password=who.password)


def refresh_token(body: dict) -> None:
    body["refresh_token"] = Person(TENANT, "marketer").refresh_token


def new_admin(body: dict) -> None:
    body["user_id"] = Person(TENANT, "marketer").user_id


def old_admin(query: dict) -> None:
    query["user_id"] = Person(TENANT, "tenant_admin").user_id


# By operation: the values with which a valid request can succeed. Every second valid request gets them.
FIELDS = {
    "add_admin": new_admin,
    "remove_admin": old_admin,
    "create_shipment": new_number,
    "create_shipments": new_numbers,
    "change_password": password,
    "login": credentials,
    "refresh": refresh_token,
}

# Requests -----------------------------------------------------------------------------------------------------------------

_turn = itertools.count()
VERSION = re.compile(r'^([0-9]{1,18}|"[0-9]{1,18}")\Z')
KEY = re.compile(r"^[!-~]{1,255}\Z")


def fits(case, location: ParameterLocation) -> bool:
    """Whether that part of the request is valid by the description."""
    part = case.meta.components.get(location) if case.meta else None
    return part is None or part.mode.is_positive


def with_digits_only(value):
    """Converts 5.0 to 5: JSON Schema accepts 5.0 as an integer, and the API does not."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [with_digits_only(item) for item in value]
        case dict():
            return {name: with_digits_only(item) for name, item in value.items()}
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    operation, name = case.operation, name_of(case.operation)
    # The limits before sign-in are per address.
    sit(elsewhere() if is_public(operation) else HOME)
    known = BY_BEARER.get(case.headers.get("Authorization"))
    if known is not None:
        # Another user may have followed the one for whom the request was generated.
        case.headers["Authorization"] = person(*known[1]).bearer
    positive = all(fits(case, location) for location in ParameterLocation)
    # No generated request should fail because of a stale version or a used key.
    for header, form, value in (("If-Match", VERSION, "*"), ("Idempotency-Key", KEY, secrets.token_hex(16))):
        if form.match(case.headers.get(header, "")):
            case.headers[header] = value
    if positive:
        case.body = with_digits_only(case.body)
        named = case.body if isinstance(case.body, dict) else case.query
        if name in FIELDS and next(_turn) % 2 == 0:
            FIELDS[name](named)
    parameter = item_parameter(operation)
    walks = case.meta is not None and case.meta.phase.name == TestPhase.STATEFUL
    as_described = case.method.lower() == operation.method.lower()
    if parameter and as_described and not walks and known and fits(case, ParameterLocation.PATH):
        case.path_parameters[parameter] = item(name, parameter)
        if positive:
            ASKED[case.id] = ask_as_another(case, parameter)


@schemathesis.hook
def after_call(context, case, response):
    name = name_of(case.operation)
    if name in USES_UP and response.status_code < 300:
        _held.pop(name, None)
    known = BY_BEARER.get(first(response.request.headers.get("Authorization", "")))
    if known is not None:
        known[0].heard(response.status_code, response.headers)
        if name in CHANGES_ITS_CALLER and response.status_code < 300:
            known[0].done = True


# Rules outside the schemas ------------------------------------------------------------------------------------------------

# The errors of 422 that a valid request may get, by code, or by field and code if the code alone is ambiguous.
RULES = {
    "bad_check_digit": "the last digit depends on the others",
    "empty_range": "the second of two valid values must be after the first",
    "filter_combination": "only one of these valid filters is allowed at a time",
    "invalid_cursor": "a cursor must come from an earlier page",
    "in_the_future": "it depends on the time",
    "in_the_past": "it depends on the time",
    "needs_in_app": "`push` and `email` require `in_app`",
    "no_such_member": "the user must be a member",
    "not_both": "only one of two fields is allowed",
    "not_for_people": "not every role can be granted to users",
    "one_of": "exactly one of two fields is required",
    "not_with_this_challenge": "the required fields depend on another field's value",
    "out_of_range": "a profile's bounds depend on the profile",
    "required_channel": "an alarm cannot be switched off",
    "too_far": "it depends on the time",
    "unknown_action": "an action must be in the policies",
    "unknown_member": "the user must be a member",
    "would_lock_out": "it depends on where the caller is",
    "code:required": "exactly one of two fields is required",
    "new_password:required": "the required fields depend on another field's value",
    "expires_at:invalid": "it depends on the time, and times before 1970 are refused",
    "networks:invalid": "a network has no host bits",
    "purposes:invalid": "an API key cannot have the purpose of an emergency",
    "recipient.address.country:invalid": "ISO 3166-1 assigns only some pairs of letters",
    "recipient.address.postal_code:invalid": "its form depends on the country",
    "recipient.address.postal_code:required": "whether there is one depends on the country",
    "recipient.phone:invalid": "valid numbers depend on the country",
    "created_after:invalid": "times before 1970 are refused",
    "created_before:invalid": "times before 1970 are refused",
    "signed_at:invalid": "times before 1970 are refused",
    "time_zone:invalid": "it must be in the tz database",
    "trusted_networks:invalid": "a network has no host bits",
    "valid_from:invalid": "times before 1970 are refused",
    "valid_until:invalid": "times before 1970 are refused",
}


# An item's index in its list: a rule applies to every index.
INDEX = re.compile(r"\.[0-9]+")


def has_unseen(body, field: str) -> bool:
    """Whether that text has an invisible character: unassigned, for private use, or for formatting."""
    text = body.get(field) if isinstance(body, dict) else None
    return isinstance(text, str) and any(unicodedata.category(c) in ("Cf", "Cn", "Co") for c in text)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops reports that are no failures: a rule outside the schemas, and a list that still exists, but is empty, after its deletion."""
    if isinstance(failure, UseAfterFree):
        return not (failure.free.endswith("/sessions") and response.json() == {"items": []})
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return True
    wrong = response.json().get("errors") or []
    known = [
        e["code"] in RULES
        or f"{INDEX.sub('', e['field'])}:{e['code']}" in RULES
        or (e["code"] == "invalid" and has_unseen(case.body, e["field"]))
        for e in wrong
    ]
    return not (known and all(known))


# Another tenant's items ---------------------------------------------------------------------------------------------------

# The answers to another tenant's user for the item and for an absent one, before the item's own tenant sent the request.
ASKED: dict[str, tuple[requests.Response, requests.Response]] = {}


def ask_as_another(case, parameter: str) -> tuple[requests.Response, requests.Response]:
    theirs = case.path_parameters[parameter]
    request = case.as_transport_kwargs(base_url=STACK)
    known = BY_BEARER[case.headers["Authorization"]]
    role = "tenant_admin" if known[1][0] == "platform" else known[1][1]
    missing = theirs[:-8] + secrets.token_hex(4)

    def ask(id: str) -> requests.Response:
        neighbour = person(OTHER_TENANT, role, "neighbour")
        headers = dict(request["headers"]) | {"Authorization": neighbour.bearer}
        if "Idempotency-Key" in headers:
            headers["Idempotency-Key"] = secrets.token_hex(16)
        answer = requests.request(**{**request, "url": request["url"].replace(theirs, id), "headers": headers}, timeout=30)
        neighbour.heard(answer.status_code, answer.headers)
        return answer

    return ask(theirs), ask(missing)


def told(answer: requests.Response):
    """An answer without the parts that differ between any two: its id, its time, and the rest of a rate limit."""
    body = answer.text
    if "json" in answer.headers.get("content-type", ""):
        body = {name: value for name, value in answer.json().items() if name != "correlation_id"}
    return answer.status_code, sorted(name.lower() for name in answer.headers), body


@schemathesis.check
class another_tenants_item_is_missing:
    """A user of another tenant with the same role gets the same answer for an existing item and for an absent one."""

    def __init__(self) -> None:
        self.tried: set[str] = set()
        self.held: set[str] = set()

    def after_response(self, ctx, response, case):
        if item_parameter(case.operation) is None:
            return True
        self.tried.add(case.operation.label)
        asked = ASKED.pop(case.id, None)
        if asked is None:
            return True
        theirs, missing = asked
        where = f"{theirs.request.method} {theirs.request.url} as a user of {OTHER_TENANT}"
        if theirs.ok:
            raise AssertionError(f"{where}, an item of {TENANT}: {theirs.status_code}\n{theirs.text}")
        if response.status_code >= 300:
            # The item's own tenant got no success either.
            return True
        if told(theirs) != told(missing):
            raise AssertionError(f"{where}:\n{told(theirs)}\nfor an absent item:\n{told(missing)}")
        if theirs.status_code != 404 and not PLATFORM.match(case.operation.path):
            raise AssertionError(f"{where}: {theirs.status_code}, expected 404")
        self.held.add(case.operation.label)
        return None

    def after_run(self, ctx):
        if untried := self.tried - self.held:
            raise AssertionError("no request succeeded, so these were not checked: " + ", ".join(sorted(untried)))
