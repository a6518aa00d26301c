"""Which web pages may talk to a bucket: its CORS rules, read and written as a whole."""

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from msgspec import Struct

from datastore.http.engine import engine
from datastore.providers.s3.documents import name_of, number, parse, render, text_of
from datastore.providers.s3.proving import content_md5
from datastore.providers.s3.refusals import code_of, judge_document, refused
from datastore.providers.s3.site import Site, Spot

__all__ = ["CorsRule", "get_cors", "set_cors"]

_WHAT: Final = "CORS rules"
_QUERY: Final = (("cors", ""),)


class CorsRule(Struct, frozen=True, kw_only=True):
    """What pages of some origins may do.

    Attributes:
        origins: `https://app.example.com`, or `*`.
        methods: `GET`, `HEAD`, `PUT`, `POST`, `DELETE`.
        headers: What they may send; `*` for everything.
        exposed: What they may see of an answer; without `ETag` a browser cannot upload in parts.
        seconds: How long a browser may remember it.
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...] = ("GET", "HEAD")
    headers: tuple[str, ...] = ("*",)
    exposed: tuple[str, ...] = ("ETag",)
    seconds: int = 3600


def get_cors(site: Site, bucket: str) -> list[CorsRule]:
    """Return the rules of a bucket; one request."""
    response = engine().send(site.request("GET", Spot(bucket, "", ""), what=_WHAT, query=_QUERY, judge=judge_document))
    if code_of(response) == "NoSuchCORSConfiguration":
        return []
    if response.status != 200:
        raise refused(f"reading {_WHAT}", response, bucket=bucket)
    return [_rule_of(element) for element in parse(response.body) if name_of(element) == "CORSRule"]


def set_cors(site: Site, bucket: str, rules: Sequence[CorsRule]) -> None:
    """Put these rules in place of all that are there; one request."""
    spot = Spot(bucket, "", "")
    if not rules:
        response = engine().send(site.request("DELETE", spot, what=_WHAT, query=_QUERY))
    else:
        root = Element("CORSConfiguration")
        root.extend(_element_of(rule) for rule in rules)
        body = render(root)
        headers = {"content-type": "application/xml", "content-md5": content_md5(body)}
        response = engine().send(site.request("PUT", spot, what=_WHAT, query=_QUERY, headers=headers, body=body))
    if response.status not in {200, 204}:
        raise refused(f"writing {_WHAT}", response, bucket=bucket)


def _rule_of(element: Element) -> CorsRule:
    def texts(name: str) -> tuple[str, ...]:
        return tuple(one.text or "" for one in element if name_of(one) == name)

    return CorsRule(
        origins=texts("AllowedOrigin"),
        methods=texts("AllowedMethod"),
        headers=texts("AllowedHeader"),
        exposed=texts("ExposeHeader"),
        seconds=number(text_of(element, "MaxAgeSeconds") or "0"),
    )


def _element_of(rule: CorsRule) -> Element:
    element = Element("CORSRule")
    fields = (
        ("AllowedOrigin", rule.origins),
        ("AllowedMethod", rule.methods),
        ("AllowedHeader", rule.headers),
        ("ExposeHeader", rule.exposed),
        ("MaxAgeSeconds", (str(rule.seconds),)),
    )
    for name, texts in fields:
        for text in texts:
            SubElement(element, name).text = text
    return element
