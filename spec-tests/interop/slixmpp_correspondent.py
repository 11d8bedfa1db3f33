"""Somebody who uses slixmpp to write to others: what she got, by which way, and what her archive holds."""

import asyncio
from dataclasses import dataclass
from typing import Any

from slixmpp.exceptions import IqError
from slixmpp.plugins import xep_0082
from slixmpp.stanza import Message
from slixmpp.xmlstream import ET

from slixmpp_person import PATIENCE, Person, granted

CLIENT = "{jabber:client}"
FORWARDED = "{urn:xmpp:forward:0}forwarded"
DELAY = "{urn:xmpp:delay}delay"
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
MAM = "{urn:xmpp:mam:2}"
RSM = "{http://jabber.org/protocol/rsm}"
CARBON = "{urn:xmpp:carbons:2}"
RECEIVED = CARBON + "received"
SENT = CARBON + "sent"
PLUGINS = (
    "xep_0048", "xep_0049", "xep_0054", "xep_0059", "xep_0077", "xep_0085", "xep_0184", "xep_0203", "xep_0280", "xep_0297",
    "xep_0308", "xep_0313", "xep_0333", "xep_0334", "xep_0359", "xep_0380", "xep_0424", "xep_0441", "xep_0444", "xep_0461",
)


@dataclass
class Copy:
    """One message as a device has it: live, by a carbon, or out of the archive."""
    way: str
    message: Any
    # Its id in her archive, if it has one.
    kept: str | None
    delay: Any
    # What brought it: the message itself, where it came live.
    around: Any

    @property
    def body(self):
        return self.message.findtext(f"{CLIENT}body")

    @property
    def sender(self):
        return self.message.get("from")

    @property
    def to(self):
        return self.message.get("to")

    def child(self, name):
        return self.message.find(name)

    def has(self, name):
        return self.message.find(name) is not None


@dataclass
class Page:
    """The answer to one query."""
    copies: list
    complete: bool
    first: str | None
    last: str | None
    count: int | None

    @property
    def ids(self):
        return [copy.kept for copy in self.copies]

    @property
    def bodies(self):
        return [copy.body for copy in self.copies]


class Correspondent(Person):
    def __init__(self, stage, name, resource, cache=None):
        super().__init__(stage, name, resource, cache)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.plugin["xep_0184"].auto_ack = False

    async def sign_in(self, *, carbons=False, **what):
        """With carbons before she is there, as clients do, so that none is missing."""
        presence = what.pop("presence", True)
        await super().sign_in(presence=False)
        if carbons:
            await granted(self.plugin["xep_0280"].enable())
        if presence:
            await self.be(**what)
        return self

    # What she sends.

    def write(self, to, body, kind="chat", *, hints=(), payload=None):
        """Sends a message; its id."""
        message = self.make_message(mto=to, mbody=body, mtype=kind)
        for hint in hints:
            message.enable(hint)
        if payload is not None:
            message.append(ET.fromstring(payload))
        message.send()
        return message["id"]

    async def has_heard_all_of(self, other):
        """By a headline, which is neither kept nor copied."""
        body, start = self.stage.unique(), len(self.incoming)
        other.send_message(mto=self.boundjid.full, mbody=body, mtype="headline")
        await self.until("a headline behind the rest", lambda: any(
            isinstance(s, Message) and s["type"] == "headline" and s["body"] == body for s in self.incoming[start:]))

    # What she got.

    def copies(self, *ways):
        """All messages since the page began, in order, that came by one of these ways; headlines are what scenes are timed by."""
        found = [self.copy_of(s.xml) for s in self.incoming[self.since:] if isinstance(s, Message) and s["type"] != "headline"]
        return [copy for copy in found if copy is not None and copy.way in (ways or ("live", "sent", "received"))]

    def copy_of(self, xml):
        mine = self.boundjid.bare
        for way, name in (("sent", SENT), ("received", RECEIVED)):
            carbon = xml.find(name)
            if carbon is not None:
                assert xml.get("from") == mine and xml.get("to") == self.boundjid.full, ET.tostring(xml)
                inner = carbon.find(f"{FORWARDED}/{CLIENT}message")
                assert inner.get("type") == xml.get("type"), ET.tostring(xml)
                return Copy(way, inner, self.kept_as(inner), carbon.find(f"{FORWARDED}/{DELAY}"), xml)
        result = xml.find(f"{MAM}result")
        if result is not None:
            assert xml.get("from") in (mine, None) and xml.get("to") == self.boundjid.full, ET.tostring(xml)
            inner = result.find(f"{FORWARDED}/{CLIENT}message")
            return Copy("archive", inner, result.get("id"), result.find(f"{FORWARDED}/{DELAY}"), xml)
        return Copy("live", xml, self.kept_as(xml), xml.find(DELAY), xml)

    def kept_as(self, message):
        ids = [element.get("id") for element in message.iterfind(STANZA_ID) if element.get("by") == self.boundjid.bare]
        assert len(ids) <= 1, ET.tostring(message)
        return ids[0] if ids else None

    async def until_copies(self, count, *ways):
        await self.until(f"{count} messages, has {len(self.copies(*ways))}", lambda: len(self.copies(*ways)) >= count)
        copies = self.copies(*ways)
        assert len(copies) == count, [f"{copy.way} {copy.body}" for copy in copies]
        return copies

    # What her archive holds.

    async def page(self, *, max=None, before=None, after=None, flip=False, **form):
        """One query by hand: slixmpp leaves it to its user what a page says of itself."""
        iq = self.make_iq_set()
        query = iq["mam"]
        query["queryid"] = self.stage.unique()
        for name, value in form.items():
            if name == "ids":
                query["ids"] = value
            else:
                query.set_custom_field(name.replace("_", "-"), xep_0082.format_datetime(value) if name in ("start", "end") else value)
        bounds = {"max": max, "before": before, "after": after}
        if any(value is not None for value in bounds.values()):
            rsm = ET.SubElement(query.xml, f"{RSM}set")
            for name, value in bounds.items():
                if value is not None:
                    ET.SubElement(rsm, RSM + name).text = str(value)
        if flip:
            ET.SubElement(query.xml, f"{MAM}flip-page")
        start = len(self.incoming)
        result = await granted(iq.send(timeout=PATIENCE))
        came = [s.xml for s in self.incoming[start:] if isinstance(s, Message)]
        copies = [self.copy_of(xml) for xml in came if xml.find(f"{MAM}result[@queryid='{query['queryid']}']") is not None]
        fin = result.xml.find(f"{MAM}fin")
        count = fin.findtext(f"{RSM}set/{RSM}count")
        return Page(
            copies=copies, complete=fin.get("complete") == "true",
            first=fin.findtext(f"{RSM}set/{RSM}first"), last=fin.findtext(f"{RSM}set/{RSM}last"),
            count=None if count is None else int(count),
        )

    async def page_is_refused(self, **query):
        try:
            page = await self.page(**query)
        except IqError as error:
            return error.condition
        raise AssertionError(f"it is not refused: {page}")

    async def pages(self, *, backwards=False, **query):
        """All of it, page by page, to the page that says that it is the last: chronological pages in the order they came in."""
        pages = []
        bound = {"before": ""} if backwards else {}
        while True:
            page = await self.page(**query, **bound)
            pages.append(page)
            if page.complete:
                return pages
            assert page.copies, "an empty page that is not the last"
            bound = {"before": page.first} if backwards else {"after": page.last}

    async def archive(self, **query):
        """All copies, the oldest first."""
        return [copy for page in await self.pages(**query) for copy in page.copies]

    async def archive_by_slixmpp(self, **query):
        """The same by slixmpp's own iterator, which pages until a page is empty."""
        async def all_of_it():
            return [self.copy_of(message.xml) async for message in self.plugin["xep_0313"].iterate(**query)]
        return await asyncio.wait_for(all_of_it(), 5 * PATIENCE)
