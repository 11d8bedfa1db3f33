"""Somebody who uses slixmpp, as a test wants her: signs in, remembers what she is sent, and waits for what should come.

Verifies the server's certificate and signs in by SCRAM alone. Nobody here authorizes or asks by herself: a scenario says who does.
"""

import asyncio
import copy
import time

import slixmpp
from slixmpp.exceptions import IqError
from slixmpp.roster import RosterNode
from slixmpp.stanza import Iq, Message, Presence

PATIENCE = 60
# An interpreter that waits for a server that waits for a disk: looking again is cheap.
GLANCE = 0.01
SHOWN = Presence.showtypes | {"available"}


class Cache:
    """What a client keeps of its roster from one sign-in to the next, behind the interface that slixmpp asks for."""

    def __init__(self):
        self.known = ""
        self.items = {}

    def version(self, _owner):
        return self.known

    def set_version(self, _owner, version):
        self.known = version

    def entries(self, _owner, _state=None):
        return list(self.items)

    def load(self, _owner, jid, _state):
        return self.items.get(jid)

    def save(self, _owner, jid, state, _state):
        if state["removed"]:
            self.items.pop(jid, None)
        else:
            self.items[jid] = dict(state)


class Person(slixmpp.ClientXMPP):
    def __init__(self, stage, name, resource, cache=None):
        super().__init__(f"{name}@{stage.domain}/{resource}", stage.passwords[name], plugin_config={
            "feature_mechanisms": {"unencrypted_plain": False, "encrypted_plain": False},
        })
        self.stage = stage
        self.ca_certs = stage.ca_file
        self.enable_direct_tls = False
        self.enable_plaintext = False
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        for node in self.roster._rosters.values():
            node.auto_authorize = None
            node.auto_subscribe = False
        if cache is not None:
            self.client_roster.set_backend(cache)
            self.client_roster.version  # slixmpp reads it from the cache as it is asked for.
        for plugin in ("xep_0012", "xep_0030", "xep_0172", "xep_0191", "xep_0199"):
            self.register_plugin(plugin)
        # All that came, and since when the scenario cares.
        self.incoming = []
        self.since = 0
        # For a person who reads what went wrong.
        self.wire = []
        self.add_filter("in", self.came)
        self.add_filter("out", self.went)
        self.here = asyncio.Event()
        self.gone = asyncio.Event()
        self.why = None
        self.add_event_handler("session_start", lambda _event: self.here.set())
        self.add_event_handler("disconnected", lambda _event: self.gone.set())
        for event in ("failed_all_auth", "connection_failed", "ssl_invalid_chain", "ssl_cert_error"):
            self.add_event_handler(event, lambda why, event=event: self.failed(f"{event}: {why}"))

    def came(self, stanza):
        if isinstance(stanza, (Iq, Message, Presence)):
            # slixmpp adds to a stanza what it looks for in it.
            self.incoming.append(copy.copy(stanza))
            self.wire.append(f"S: {stanza}")
        return stanza

    def went(self, stanza):
        if isinstance(stanza, (Iq, Message, Presence)):
            self.wire.append(f"C: {stanza}")
        return stanza

    def failed(self, why):
        self.why = why
        self.here.set()

    # Coming and going.

    async def sign_in(self, *, presence=True, **what):
        """Connects, asks for the roster as clients do, and is there."""
        self.connect("localhost", self.stage.port)
        await asyncio.wait_for(self.here.wait(), PATIENCE)
        assert self.why is None, self.why
        self.roster_result = await self.roster_of_server()
        if presence:
            await self.be(**what)
        return self

    async def roster_of_server(self):
        """Asks for the roster by slixmpp's own means, version and all. What came."""
        came = asyncio.get_running_loop().create_future()
        self.get_roster(callback=came.set_result)
        result = await asyncio.wait_for(came, PATIENCE)
        assert result["type"] == "result", result
        return next(s for s in self.incoming if isinstance(s, Iq) and s["id"] == result["id"])

    async def be(self, **what):
        """Says that she is there. The server sends everybody their own presence back."""
        start = len(self.incoming)
        self.send_presence(**what)
        mine = self.boundjid.full
        await self.until("my own presence", lambda: any(
            isinstance(s, Presence) and s["from"] == mine and s["type"] in SHOWN for s in self.incoming[start:]))

    async def sign_out(self, status=None):
        """Leaves in good order."""
        if status is not None:
            self.send_presence(ptype="unavailable", pstatus=status)
        self.disconnect()
        await asyncio.wait_for(self.gone.wait(), PATIENCE)

    def drop(self):
        """Leaves as a cut cable does."""
        self.abort()

    # What she knows.

    def forget(self):
        """From here on the scenario begins a new page."""
        self.since = len(self.incoming)

    def presences(self, who, *types):
        """What came from somebody, bare or full, of these types; `available` stands for every kind of it."""
        who = slixmpp.JID(who)
        wanted = set(types)
        if "available" in wanted:
            wanted |= SHOWN
        return [
            s for s in self.incoming[self.since:]
            if isinstance(s, Presence) and s["type"] in wanted and who in (s["from"], slixmpp.JID(s["from"].bare))
        ]

    def everything_from(self, who):
        """Every stanza of somebody's since the page began."""
        return [s for s in self.incoming[self.since:] if s["from"].bare == who]

    def pushes(self, jid):
        """Roster pushes about somebody, as attributes of the item."""
        return [
            dict(item.attrib) for s in self.incoming[self.since:] if isinstance(s, Iq) and s["type"] == "set"
            for item in s.xml.iterfind("{jabber:iq:roster}query/{jabber:iq:roster}item") if item.get("jid") == jid
        ]

    def block_pushes(self, command):
        """What a push about blocking names."""
        return [
            sorted(item.get("jid") for item in push)
            for s in self.incoming[self.since:] if isinstance(s, Iq) and s["type"] == "set"
            for push in s.xml.iterfind(f"{{urn:xmpp:blocking}}{command}")
        ]

    def contact(self, jid):
        """The item as slixmpp has it: subscription, and whether she asked."""
        if not self.client_roster.has_jid(jid):
            return None
        item = self.client_roster[jid]
        return item["subscription"] + ("+ask" if item["pending_out"] else "")

    def sees(self, jid):
        """The other resources of somebody that she takes to be there."""
        if not self.client_roster.has_jid(jid):
            return set()
        # Her own presence comes back without an address, and slixmpp does not count that.
        mine = {self.boundjid.resource} if jid == self.boundjid.bare else set()
        return set(self.client_roster[jid].resources) - mine

    # Waiting.

    async def until(self, what, holds):
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"{self.boundjid}: never: {what}"
            await asyncio.sleep(GLANCE)

    async def until_contact(self, jid, state):
        await self.until(f"{jid} {state}, is {self.contact(jid)}", lambda: self.contact(jid) == state)

    async def until_sees(self, jid, *resources):
        await self.until(f"{jid} at {resources}", lambda: self.sees(jid) == set(resources))

    async def until_presence(self, who, kind, count=1):
        await self.until(f"{count} {kind} of {who}", lambda: len(self.presences(who, kind)) >= count)
        return self.presences(who, kind)[-1]

    async def until_push(self, jid, **attributes):
        """Waits for a roster push about somebody whose item has these attributes; None: has not."""
        def fits(item):
            return all(item.get(name) == value for name, value in attributes.items())
        await self.until(f"a push of {jid} {attributes}", lambda: any(map(fits, self.pushes(jid))))

    async def has_heard_all_of(self, other):
        """What `other` said to her until now has come: a message behind it has."""
        body = self.stage.unique()
        other.send_message(mto=self.boundjid.full, mbody=body, mtype="chat")
        await self.until("a message behind the rest", lambda: any(
            isinstance(s, Message) and s["body"] == body for s in self.incoming))

    async def message_is_refused(self, to):
        """Sends a message that must come back; the error."""
        body = self.stage.unique()
        message = self.make_message(mto=to, mbody=body, mtype="chat")
        message.send()
        def found():
            return [s for s in self.incoming if isinstance(s, Message) and s["type"] == "error" and s["id"] == message["id"]]
        await self.until(f"an error for a message to {to}", found)
        return found()[0]


async def refused(answer):
    """The condition with which a request is refused."""
    try:
        result = await asyncio.wait_for(answer, PATIENCE)
    except IqError as error:
        return error.condition
    raise AssertionError(f"it is not refused: {result}")


async def granted(answer):
    return await asyncio.wait_for(answer, PATIENCE)
