"""Scenes of a phone that uses slixmpp: what it is told while nobody looks at it (XEP-0352), and when it has lost its connection.

slixmpp_stage.py says how they are played.
"""

import asyncio

from slixmpp.stanza import Message, Presence

from slixmpp_person import PATIENCE, Person
from slixmpp_stage import play

CHANGES = 20


class Phone(Person):
    def __init__(self, stage, name, resource, cache=None):
        super().__init__(stage, name, resource, cache)
        for plugin in ("xep_0085", "xep_0198", "xep_0352"):
            self.register_plugin(plugin)
        self.back = asyncio.Event()
        self.add_event_handler("session_resumed", lambda _event: self.back.set())

    async def rests(self):
        """Says that nobody looks at it. The answer to what is asked behind it comes behind it."""
        self.plugin["xep_0352"].send_inactive()
        await self.plugin["xep_0199"].ping(self.stage.domain, timeout=PATIENCE)
        self.forget()

    async def returns(self):
        """Loses its connection and comes back to the session that it had."""
        self.gone.clear()
        self.abort()
        await asyncio.wait_for(self.gone.wait(), PATIENCE)
        self.connect("localhost", self.stage.port)
        await asyncio.wait_for(self.back.wait(), PATIENCE)

    def told(self):
        """Presences and messages since the page began, as a person reads them."""
        def words(stanza):
            who = stanza["from"].local
            if isinstance(stanza, Presence):
                return who, stanza["type"], stanza["status"]
            return who, stanza["chat_state"] or "says", stanza["body"]
        return [words(s) for s in self.incoming[self.since:] if isinstance(s, (Message, Presence))]


async def cast(stage):
    """Juliet's phone and her desk, and three who see each other with her."""
    phone = await stage.signed_in("juliet", "phone")
    friends = [await stage.signed_in(name, "orchard") for name in ("mercutio", "nurse", "romeo")]
    for friend in friends:
        await stage.friends(friend, phone)
    desk = await stage.signed_in("juliet", "desk")
    return phone, desk, friends


async def change(desk, friends):
    """Each changes what is to be seen of them many times; the desk has seen the last of it."""
    for number in range(CHANGES):
        for friend in friends:
            friend.send_presence(pshow="away", pstatus=f"{number}")
    for friend in friends:
        await desk.until(f"the last of {friend.boundjid}", lambda: any(
            s["status"] == f"{CHANGES - 1}" for s in desk.presences(friend.boundjid.full, "available")))


async def an_inactive_phone_is_told_once_what_changed(stage):
    """XEP-0352 §3.2: nothing while nobody looks; before what matters the last of each contact, and all else in order."""
    phone, desk, friends = await cast(stage)
    mercutio, _nurse, romeo = friends
    assert phone.plugin["xep_0352"].enabled
    await phone.rests()
    desk.forget()
    await change(desk, friends)
    for friend in (mercutio, romeo):
        state = friend.make_message(mto=phone.boundjid.full, mtype="chat")
        state["chat_state"] = "composing"
        state.send()
        await desk.has_heard_all_of(friend)
    assert phone.told() == [], phone.told()

    romeo.send_message(mto=phone.boundjid.full, mbody="Wilt thou be gone?", mtype="chat")
    await phone.until("the message", lambda: phone.told() and phone.told()[-1][2] == "Wilt thou be gone?")
    told = phone.told()
    last = f"{CHANGES - 1}"
    presences = [words for words in told if words[1] == "away"]
    others = [words for words in told if words[1] != "away"]
    assert sorted(presences) == [("mercutio", "away", last), ("nurse", "away", last), ("romeo", "away", last)], told
    assert others == [("mercutio", "composing", ""), ("romeo", "composing", ""), ("romeo", "says", "Wilt thou be gone?")], told

    # Nobody looks at it still; when somebody does, it is told what there is, and from then on at once.
    phone.forget()
    desk.forget()
    await change(desk, friends)
    assert phone.told() == [], phone.told()
    phone.plugin["xep_0352"].send_active()
    await phone.until("what was held", lambda: len(phone.told()) >= 3)
    assert sorted(phone.told()) == sorted(presences), phone.told()
    phone.forget()
    romeo.send_presence(pstatus="here")
    await phone.until("him", lambda: phone.told() == [("romeo", "available", "here")])


async def a_phone_that_returns_is_looked_at(stage):
    """XEP-0352 §5.2: what was held comes with the session, which is active again."""
    phone, desk, friends = await cast(stage)
    _mercutio, _nurse, romeo = friends
    await phone.rests()
    desk.forget()
    await change(desk, friends)
    assert phone.told() == [], phone.told()
    await phone.returns()
    await phone.until("what was held", lambda: len(phone.told()) >= 3)
    last = f"{CHANGES - 1}"
    assert sorted(phone.told()) == [
        ("mercutio", "away", last), ("nurse", "away", last), ("romeo", "away", last)], phone.told()
    phone.forget()
    romeo.send_presence(pstatus="here")
    await phone.until("him", lambda: phone.told() == [("romeo", "available", "here")])


play([an_inactive_phone_is_told_once_what_changed, a_phone_that_returns_is_looked_at], Phone)
