"""Lifecycle rules of a bucket: read, merged with those of others, written, and read again to be sure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from datastore.errors import IntegrityError, UnsupportedOperation, ValidationError
from datastore.http.engine import engine
from datastore.providers.s3 import presets
from datastore.providers.s3.documents import name_of, number, parse, render, text_of
from datastore.providers.s3.proving import content_md5
from datastore.providers.s3.refusals import code_of, judge_document, refused
from datastore.providers.s3.site import Site, Spot
from datastore.values import LifecycleRule

__all__ = ["delete_rules", "get_rules", "put_rules", "rule_element", "rule_of"]

_WHAT: Final = "lifecycle rules"
_QUERY: Final = (("lifecycle", ""),)
_NONE: Final = frozenset({"NoSuchLifecycleConfiguration", "NoSuchLifecycle"})
_KINDS: Final[Mapping[presets.Lifecycle, str]] = {
    "expire": "expire_days",
    "noncurrent": "noncurrent_days",
    "markers": "delete_markers",
    "abort": "abort_upload_days",
}


def get_rules(site: Site, bucket: str) -> list[LifecycleRule]:
    """Return the rules of a bucket; one request."""
    return [rule_of(element) for element in _elements(site, bucket)]


def put_rules(site: Site, bucket: str, rules: Sequence[LifecycleRule]) -> list[LifecycleRule]:
    """Put rules in place of those of the same names; three requests, not atomic against others who do the same.

    Raises:
        ValidationError: A rule does nothing, or names what no service takes.
        UnsupportedOperation: The service is known not to keep such a rule.
        IntegrityError: It keeps something else than it was told.
    """
    for rule in rules:
        _check(site.preset, rule)
    wanted = {rule.name: rule for rule in rules}
    if len(wanted) != len(rules):
        raise ValidationError("two rules have the same name", hint="names tell rules apart")
    others = [element for element in _elements(site, bucket) if text_of(element, "ID") not in wanted]
    _write(site, bucket, [*others, *map(rule_element, rules)])
    kept = get_rules(site, bucket)
    by_name = {rule.name: rule for rule in kept}
    for name, rule in wanted.items():
        if by_name.get(name) != rule:
            raise IntegrityError(
                f"the service keeps the rule {name!r} of bucket {bucket!r} as {by_name.get(name)}", hint="remove it"
            )
    return kept


def delete_rules(site: Site, bucket: str, names: Iterable[str]) -> None:
    """Remove rules, if they are there; two requests."""
    gone, there = set(names), _elements(site, bucket)
    left = [element for element in there if text_of(element, "ID") not in gone]
    if len(left) != len(there):
        _write(site, bucket, left)


def rule_of(element: Element) -> LifecycleRule:
    """Return what a rule says, as far as our words go."""
    prefix = (
        text_of(element, "Filter", "Prefix")
        or text_of(element, "Filter", "And", "Prefix")
        or text_of(element, "Prefix")
    )
    return LifecycleRule(
        name=text_of(element, "ID"),
        prefix=prefix,
        expire_days=_days(element, "Expiration", "Days"),
        noncurrent_days=_days(element, "NoncurrentVersionExpiration", "NoncurrentDays"),
        delete_markers=text_of(element, "Expiration", "ExpiredObjectDeleteMarker") == "true",
        abort_upload_days=_days(element, "AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
        enabled=text_of(element, "Status") == "Enabled",
    )


def rule_element(rule: LifecycleRule) -> Element:
    """Return a rule as S3 has it."""
    element = Element("Rule")
    _add(element, "ID", rule.name)
    _add(SubElement(element, "Filter"), "Prefix", rule.prefix)
    _add(element, "Status", "Enabled" if rule.enabled else "Disabled")
    if rule.expire_days is not None:
        _add(SubElement(element, "Expiration"), "Days", str(rule.expire_days))
    elif rule.delete_markers:
        _add(SubElement(element, "Expiration"), "ExpiredObjectDeleteMarker", "true")
    if rule.noncurrent_days is not None:
        _add(SubElement(element, "NoncurrentVersionExpiration"), "NoncurrentDays", str(rule.noncurrent_days))
    if rule.abort_upload_days is not None:
        _add(SubElement(element, "AbortIncompleteMultipartUpload"), "DaysAfterInitiation", str(rule.abort_upload_days))
    return element


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = text


def _days(element: Element, *path: str) -> int | None:
    text = text_of(element, *path)
    return number(text) if text else None


def _check(preset: presets.Preset, rule: LifecycleRule) -> None:
    days = (rule.expire_days, rule.noncurrent_days, rule.abort_upload_days)
    if not rule.name or len(rule.name) > 255:
        raise ValidationError(f"rule {rule.name[:40]!r} needs a name of 1 to 255 characters")
    if all(number is None for number in days) and not rule.delete_markers:
        raise ValidationError(f"rule {rule.name!r} does nothing", hint="give it expire_days or another kind of days")
    if any(number is not None and number < 1 for number in days):
        raise ValidationError(
            f"rule {rule.name!r}: days are counted from 1", hint="delete objects to be rid of them now"
        )
    if rule.expire_days is not None and rule.delete_markers:
        raise ValidationError(
            f"rule {rule.name!r} cannot have both expire_days and delete_markers", hint="make two rules of it"
        )
    for kind, field in _KINDS.items():
        # A row that knows of no kind is one of which nothing is known: what the service keeps is read back.
        if preset.lifecycle and kind not in preset.lifecycle and getattr(rule, field):
            raise UnsupportedOperation(
                f"{preset.name!r} keeps no rule with {field}: {rule.name!r}", hint="leave it out"
            )


def _elements(site: Site, bucket: str) -> list[Element]:
    request = site.request("GET", Spot(bucket, "", ""), what=_WHAT, query=_QUERY, judge=judge_document)
    response = engine().send(request)
    if code_of(response) in _NONE:
        return []
    if response.status != 200:
        raise refused(f"reading {_WHAT}", response, bucket=bucket)
    return [element for element in parse(response.body) if name_of(element) == "Rule"]


def _write(site: Site, bucket: str, elements: Sequence[Element]) -> None:
    spot = Spot(bucket, "", "")
    if not elements:  # an empty document is refused
        response = engine().send(site.request("DELETE", spot, what=_WHAT, query=_QUERY))
    else:
        root = Element("LifecycleConfiguration")
        root.extend(_bare(element) for element in elements)
        body = render(root)
        headers = {"content-type": "application/xml", "content-md5": content_md5(body)}
        response = engine().send(site.request("PUT", spot, what=_WHAT, query=_QUERY, headers=headers, body=body))
    if response.status not in {200, 204}:
        raise refused(f"writing {_WHAT}", response, bucket=bucket)


def _bare(element: Element) -> Element:
    """Return an element without the namespace in its names: the document has one of its own."""
    copied = Element(name_of(element))
    copied.text = element.text
    copied.extend(_bare(one) for one in element)
    return copied
