"""Scenes between people who use slixmpp: contacts, presence, blocking. Each is played against a server that is just made.

slixmpp_stage.py says how they are played.
"""

import asyncio

from slixmpp.exceptions import IqError

from slixmpp_person import PATIENCE, Cache, granted, refused
from slixmpp_stage import play

NICK = "{http://jabber.org/protocol/nick}nick"
BLOCKED = "{urn:xmpp:blocking:errors}blocked"


async def request_waits_for_who_is_away(stage):
    """RFC 6121 §3.1: a request waits, survives restarts, comes back at each sign-in, and is approved in the end."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony")
    juliet.send_presence_subscription(pto=romeo_jid, ptype="subscribe", pnick="Juliet & <Capulet>")
    await juliet.until_push(romeo_jid, subscription="none", ask="subscribe")
    # It is on her disk when she is told. What a crash kept from his account is said again when she is back.
    await stage.restart("kill")
    juliet = await stage.signed_in("juliet", "balcony")
    assert juliet.contact(romeo_jid) == "none+ask", juliet.contact(romeo_jid)
    await juliet.sign_out()

    for how in ("stop", "kill"):
        romeo = await stage.signed_in("romeo", "orchard")
        request = await romeo.until_presence(juliet_jid, "subscribe")
        assert request["from"] == juliet_jid, request
        assert request.xml.findtext(NICK) == "Juliet & <Capulet>", request
        assert romeo.contact(juliet_jid) in (None, "none"), "a request puts nobody into a roster"
        await romeo.sign_out()
        await stage.restart(how)

    juliet = await stage.signed_in("juliet", "chamber")
    assert juliet.contact(romeo_jid) == "none+ask", juliet.contact(romeo_jid)
    romeo = await stage.signed_in("romeo", "orchard")
    await romeo.until_presence(juliet_jid, "subscribe")
    assert romeo.sees(juliet_jid) == set(), "who is not subscribed sees nobody"
    assert juliet.sees(romeo_jid) == set(), "nor does who only asked"
    romeo.client_roster[juliet_jid].authorize()
    await juliet.until_presence(romeo_jid, "subscribed")
    await juliet.until_contact(romeo_jid, "to")
    await romeo.until_contact(juliet_jid, "from")
    await juliet.until_sees(romeo_jid, "orchard")

    romeo.client_roster.subscribe(juliet_jid)
    await juliet.until_presence(romeo_jid, "subscribe")
    juliet.client_roster[romeo_jid].authorize()
    await romeo.until_contact(juliet_jid, "both")
    await juliet.until_contact(romeo_jid, "both")
    await romeo.until_sees(juliet_jid, "chamber")

    # Answered is answered, and all of it is kept.
    await romeo.sign_out()
    await juliet.until_sees(romeo_jid)
    await stage.restart("kill")
    romeo = await stage.signed_in("romeo", "street")
    juliet = await stage.signed_in("juliet", "chamber", pshow="away", pstatus="by the window")
    await romeo.until_sees(juliet_jid, "chamber")
    await juliet.until_sees(romeo_jid, "street")
    assert romeo.client_roster[juliet_jid].resources["chamber"]["status"] == "by the window"
    assert not romeo.presences(juliet_jid, "subscribe"), "an answered request does not come back"
    await romeo.sign_out()
    await juliet.until_sees(romeo_jid)
    await juliet.sign_out()


async def pre_approval_answers_the_request(stage):
    """RFC 6121 §3.4: who was approved before she asked need not wait for anybody."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    romeo = await stage.signed_in("romeo", "orchard")
    assert "preapproval" in romeo.features, romeo.features
    romeo.send_presence_subscription(pto=juliet_jid, ptype="subscribed")
    await romeo.until_push(juliet_jid, subscription="none", approved="true")
    await stage.restart("kill")

    romeo = await stage.signed_in("romeo", "orchard")
    item = romeo.roster_result.xml.find(f".//*[@jid='{juliet_jid}']")
    assert item is not None and item.get("approved") == "true", romeo.roster_result
    juliet = await stage.signed_in("juliet", "balcony")
    assert not juliet.everything_from(romeo_jid), "she hears nothing of it before she asks"
    juliet.client_roster.subscribe(romeo_jid)
    await juliet.until_presence(romeo_jid, "subscribed")
    await juliet.until_contact(romeo_jid, "to")
    await juliet.until_sees(romeo_jid, "orchard")
    await romeo.until_push(juliet_jid, subscription="from")
    await romeo.has_heard_all_of(juliet)
    assert not romeo.presences(juliet_jid, "subscribe"), "he has answered already"

    # An approval that was taken back is none.
    mercutio_jid = stage.jid("mercutio")
    romeo.send_presence_subscription(pto=mercutio_jid, ptype="subscribed")
    await romeo.until_push(mercutio_jid, subscription="none", approved="true")
    romeo.send_presence_subscription(pto=mercutio_jid, ptype="unsubscribed")
    await romeo.until_push(mercutio_jid, subscription="none", approved=None)
    mercutio = await stage.signed_in("mercutio", "square")
    mercutio.client_roster.subscribe(romeo_jid)
    await romeo.until_presence(mercutio_jid, "subscribe")
    romeo.client_roster[mercutio_jid].unauthorize()
    await mercutio.until_presence(romeo_jid, "unsubscribed")
    await mercutio.until_contact(romeo_jid, "none")
    assert mercutio.sees(romeo_jid) == set()


async def what_was_asked_and_granted_is_taken_back(stage):
    """RFC 6121 §3.2 and §3.3: a request is withdrawn, a subscription is ended from either side, a contact is removed."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony")
    juliet.client_roster.subscribe(romeo_jid)
    await juliet.until_contact(romeo_jid, "none+ask")
    juliet.client_roster.unsubscribe(romeo_jid)
    await juliet.until_contact(romeo_jid, "none")
    await stage.restart("kill")
    juliet = await stage.signed_in("juliet", "balcony")
    romeo = await stage.signed_in("romeo", "orchard")
    await romeo.has_heard_all_of(juliet)
    assert not romeo.presences(juliet_jid, "subscribe"), "a request that was withdrawn does not wait"

    await stage.friends(juliet, romeo)
    romeo.forget()
    juliet.forget()
    romeo.send_presence_subscription(pto=juliet_jid, ptype="unsubscribed")
    await juliet.until_presence(romeo_jid, "unsubscribed")
    await juliet.until_presence(romeo_jid + "/orchard", "unavailable")
    await juliet.until_contact(romeo_jid, "from")
    await romeo.until_contact(juliet_jid, "to")
    await juliet.until_sees(romeo_jid)
    juliet.forget()
    await romeo.be(pshow="away")
    await juliet.has_heard_all_of(romeo)
    assert not juliet.presences(romeo_jid, "available"), "she is not subscribed any more"
    await juliet.be(pshow="dnd")
    await romeo.until("juliet's presence", lambda: romeo.presences(juliet_jid, "dnd"))

    romeo.client_roster.unsubscribe(juliet_jid)
    await juliet.until_presence(romeo_jid, "unsubscribe")
    await romeo.until_contact(juliet_jid, "none")
    await juliet.until_contact(romeo_jid, "none")
    await romeo.until_presence(juliet_jid + "/balcony", "unavailable")

    # Removing a contact ends both directions at once.
    juliet.forget()
    romeo.forget()
    await stage.friends(romeo, juliet)
    await granted(romeo.update_roster(juliet_jid, subscription="remove"))
    await romeo.until("the contact is gone", lambda: romeo.contact(juliet_jid) is None)
    await juliet.until_contact(romeo_jid, "none")
    await juliet.until_sees(romeo_jid)
    await romeo.until_presence(juliet_jid + "/balcony", "unavailable")
    await stage.restart("kill")
    romeo = await stage.signed_in("romeo", "orchard")
    juliet = await stage.signed_in("juliet", "balcony")
    assert romeo.contact(juliet_jid) is None and juliet.contact(romeo_jid) == "none"
    await juliet.has_heard_all_of(romeo)
    assert juliet.sees(romeo_jid) == set() and romeo.sees(juliet_jid) == set()


async def roster_is_told_by_version(stage):
    """RFC 6121 §2.6, in what slixmpp keeps: only what is new is told, and afterwards the cache is the roster."""
    romeo_jid, mercutio_jid, nurse_jid = stage.jid("romeo"), stage.jid("mercutio"), stage.jid("nurse")
    cache = Cache()
    juliet = await stage.person("juliet", "balcony", cache).sign_in()
    assert "rosterver" in juliet.features, juliet.features
    for jid, name in ((romeo_jid, "Romeo"), (mercutio_jid, "Mercutio"), (nurse_jid, "Nurse")):
        await granted(juliet.update_roster(jid, name=name, groups=["Verona"]))
        await juliet.until_push(jid, name=name)
    await juliet.sign_out()
    assert cache.known and {romeo_jid, mercutio_jid, nurse_jid} <= set(cache.items), cache.items

    def told(person):
        query = person.roster_result.xml.find("{jabber:iq:roster}query")
        return None if query is None else [item.get("jid") for item in query]

    async def is_the_roster():
        """Another device without a cache sees the same as is in the cache."""
        plain = await stage.signed_in("juliet", "fresh", presence=False)
        fresh = {jid: (item["name"], plain.contact(jid), sorted(item["groups"]))
                 for jid in told(plain) for item in [plain.client_roster[jid]]}
        cached = {jid: (item["name"], item["subscription"] + ("+ask" if item["pending_out"] else ""), sorted(item["groups"]))
                  for jid, item in cache.items.items() if jid != plain.boundjid.bare}
        assert cached == fresh, f"{cached} is not {fresh}"
        await plain.sign_out()

    # Nothing has changed: nothing is told, also by a server that was started anew.
    await stage.restart("kill")
    juliet = await stage.person("juliet", "balcony", cache).sign_in()
    assert told(juliet) is None, juliet.roster_result
    await juliet.sign_out()
    await is_the_roster()

    # Meanwhile another device renames one, removes one, and asks one.
    other = await stage.signed_in("juliet", "chamber")
    await granted(other.update_roster(romeo_jid, name="Romeo Montague", groups=["Verona", "Loved"]))
    await granted(other.update_roster(nurse_jid, subscription="remove"))
    other.client_roster.subscribe(mercutio_jid)
    await other.until_push(mercutio_jid, ask="subscribe")
    await other.sign_out()
    before = cache.known
    juliet = await stage.person("juliet", "balcony", cache).sign_in()
    await juliet.until("the new version", lambda: cache.known != before)
    await juliet.until_contact(mercutio_jid, "none+ask")
    if told(juliet) is not None:
        # The whole roster names no one who is gone: slixmpp leaves that to who asked for it.
        for jid in set(cache.items) - set(told(juliet)) - {juliet.boundjid.bare}:
            cache.items.pop(jid)
    else:
        await juliet.until("the nurse is gone", lambda: nurse_jid not in cache.items)
    await juliet.sign_out()
    await is_the_roster()


async def two_devices_are_in_step(stage):
    """RFC 6121 §2.1.6, §3.1.3, §4.2: what one device does the other hears, and each of them is seen."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    balcony = await stage.signed_in("juliet", "balcony")
    chamber = await stage.signed_in("juliet", "chamber", pshow="away", ppriority=5)
    await balcony.until_sees(juliet_jid, "chamber")
    await chamber.until_sees(juliet_jid, "balcony")

    await granted(balcony.update_roster(romeo_jid, name="Romeo", groups=["Loved"]))
    await chamber.until_push(romeo_jid, name="Romeo")
    assert chamber.client_roster[romeo_jid]["groups"] == ["Loved"]

    romeo = await stage.signed_in("romeo", "orchard")
    romeo.client_roster.subscribe(juliet_jid)
    await balcony.until_presence(romeo_jid, "subscribe")
    await chamber.until_presence(romeo_jid, "subscribe")
    chamber.client_roster[romeo_jid].authorize()
    await balcony.until_contact(romeo_jid, "from")
    await romeo.until_sees(juliet_jid, "balcony", "chamber")
    assert romeo.client_roster[juliet_jid].resources["chamber"]["show"] == "away"

    balcony.client_roster.subscribe(romeo_jid)
    await chamber.until_push(romeo_jid, subscription="from", ask="subscribe")
    await romeo.until_presence(juliet_jid, "subscribe")
    romeo.client_roster[juliet_jid].authorize()
    for device in (balcony, chamber):
        await device.until_presence(romeo_jid, "subscribed")
        await device.until_contact(romeo_jid, "both")
        await device.until_sees(romeo_jid, "orchard")

    # A third device is told once it is there, and a cut cable is an end like any other.
    tomb = await stage.signed_in("juliet", "tomb")
    await tomb.until_sees(romeo_jid, "orchard")
    await tomb.until_sees(juliet_jid, "balcony", "chamber")
    await balcony.until_sees(juliet_jid, "chamber", "tomb")
    await romeo.until_sees(juliet_jid, "balcony", "chamber", "tomb")
    tomb.drop()
    await balcony.until_sees(juliet_jid, "chamber")
    await chamber.until_sees(juliet_jid, "balcony")
    await romeo.until_sees(juliet_jid, "balcony", "chamber")
    await balcony.sign_out("Good night, good night!")
    await chamber.until_sees(juliet_jid)
    await romeo.until_sees(juliet_jid, "chamber")
    farewell = romeo.presences(f"{juliet_jid}/balcony", "unavailable")
    assert [presence["status"] for presence in farewell] == ["Good night, good night!"], farewell
    romeo.drop()
    await chamber.until_sees(romeo_jid)


async def blocking_and_unblocking(stage):
    """XEP-0191: who is blocked sees somebody who went offline; who is unblocked sees her again."""
    juliet_jid, romeo_jid, mercutio_jid = stage.jid("juliet"), stage.jid("romeo"), stage.jid("mercutio")
    balcony = await stage.signed_in("juliet", "balcony")
    romeo = await stage.signed_in("romeo", "orchard")
    await stage.friends(balcony, romeo)
    chamber = await stage.signed_in("juliet", "chamber")
    await romeo.until_sees(juliet_jid, "balcony", "chamber")
    await chamber.until_sees(romeo_jid, "orchard")
    info = await granted(balcony["xep_0030"].get_info(jid=stage.domain))
    assert "urn:xmpp:blocking" in info["disco_info"]["features"], info
    for device in (balcony, chamber):
        assert await granted(device["xep_0191"].get_blocked_jids()) == set()

    # A request that waits is gone with its sender.
    mercutio = await stage.signed_in("mercutio", "square")
    mercutio.client_roster.subscribe(juliet_jid)
    await balcony.until_presence(mercutio_jid, "subscribe")

    for person in (balcony, chamber, romeo):
        person.forget()
    await granted(balcony["xep_0191"].block([romeo_jid, mercutio_jid]))
    for device in (balcony, chamber):
        await device.until("a push", lambda: device.block_pushes("block"))
        assert device.block_pushes("block") == [sorted([romeo_jid, mercutio_jid])], device.block_pushes("block")
        named = await granted(device["xep_0191"].get_blocked_jids())
        assert {str(jid) for jid in named} == {romeo_jid, mercutio_jid}, named
    await romeo.until_sees(juliet_jid)
    gone = romeo.presences(juliet_jid, "unavailable")
    assert sorted(presence["from"].resource for presence in gone) == ["balcony", "chamber"], gone

    # Nothing of his comes to her, and he sees nobody there.
    for person in (balcony, chamber, romeo):
        person.forget()
    for to in (juliet_jid, f"{juliet_jid}/balcony"):
        error = await romeo.message_is_refused(to)
        assert error["error"]["condition"] == "service-unavailable", error
        assert error.xml.find(f".//{BLOCKED}") is None, "who is blocked is not told"
    assert await refused(romeo["xep_0199"].send_ping(f"{juliet_jid}/balcony")) == "service-unavailable"
    assert await refused(romeo["xep_0012"].get_last_activity(juliet_jid)) == "service-unavailable"
    await romeo.be(pshow="dnd", pstatus="banished")
    romeo.send_presence(pto=f"{juliet_jid}/balcony")
    romeo.send_presence(pto=juliet_jid, ptype="probe")
    # And nothing of hers goes to him.
    error = await balcony.message_is_refused(romeo_jid)
    assert error["error"]["condition"] == "not-acceptable", error
    assert error.xml.find(f".//{BLOCKED}") is not None, error
    assert await refused(balcony["xep_0199"].send_ping(f"{romeo_jid}/orchard")) == "not-acceptable"
    balcony.send_presence(pto=romeo_jid, pstatus="I am here")
    await balcony.until_presence(romeo_jid, "error")
    await balcony.be(pshow="away")
    await chamber.sign_out()
    await balcony.until_sees(juliet_jid)
    # What her account answers him comes behind all that went before, in both directions; then her own stream is asked.
    assert await refused(romeo["xep_0199"].send_ping(f"{juliet_jid}/balcony")) == "service-unavailable"
    await granted(balcony["xep_0199"].send_ping(stage.domain))
    heard = [s for s in romeo.everything_from(juliet_jid) if s["type"] != "error"]
    assert not heard, heard
    heard = [s for s in balcony.everything_from(romeo_jid) if s["type"] != "error"]
    assert not heard, heard

    # It holds across sessions and restarts.
    await stage.restart("kill")
    romeo = await stage.signed_in("romeo", "orchard")
    balcony = await stage.signed_in("juliet", "balcony", pstatus="above")
    chamber = await stage.signed_in("juliet", "chamber", pshow="away")
    for device in (balcony, chamber):
        named = await granted(device["xep_0191"].get_blocked_jids())
        assert {str(jid) for jid in named} == {romeo_jid, mercutio_jid}, named
    error = await romeo.message_is_refused(juliet_jid)
    assert error["error"]["condition"] == "service-unavailable", error
    assert romeo.sees(juliet_jid) == set() and balcony.sees(romeo_jid) == set()
    assert not balcony.presences(mercutio_jid, "subscribe")

    # And back: both are seen as they are now.
    await granted(chamber["xep_0191"].unblock([romeo_jid]))
    for device in (balcony, chamber):
        await device.until("a push", lambda: device.block_pushes("unblock"))
        assert device.block_pushes("unblock") == [[romeo_jid]], device.block_pushes("unblock")
        await device.until_sees(romeo_jid, "orchard")
    await romeo.until_sees(juliet_jid, "balcony", "chamber")
    assert romeo.client_roster[juliet_jid].resources["balcony"]["status"] == "above"
    await balcony.has_heard_all_of(romeo)
    await romeo.has_heard_all_of(balcony)

    # All at once, by an empty list, for which slixmpp has no call; a request is heard then.
    everybody = balcony.make_iq_set()
    everybody.enable("unblock")
    await granted(everybody.send())
    for device in (balcony, chamber):
        await device.until("a push", lambda: [] in device.block_pushes("unblock"))
        assert await granted(device["xep_0191"].get_blocked_jids()) == set()
    mercutio = await stage.signed_in("mercutio", "square")
    mercutio.client_roster.unsubscribe(juliet_jid)
    mercutio.client_roster.subscribe(juliet_jid)
    await balcony.until_presence(mercutio_jid, "subscribe")


async def last_activity_of_who_left(stage):
    """XEP-0012 §3: a contact learns when somebody left and with which words; a stranger learns nothing."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony")
    romeo = await stage.signed_in("romeo", "orchard")
    await stage.friends(juliet, romeo)
    here = await granted(juliet["xep_0012"].get_last_activity(romeo_jid))
    assert here["last_activity"]["seconds"] == 0, here

    await romeo.sign_out("Parting is such sweet sorrow")
    await juliet.until_sees(romeo_jid)
    # Nobody waits for this to be on disk, so it is there only after a stop in good order.
    for how in (None, "stop"):
        if how:
            await stage.restart(how)
            juliet = await stage.signed_in("juliet", "balcony")
        left = await granted(juliet["xep_0012"].get_last_activity(romeo_jid))
        assert 0 <= left["last_activity"]["seconds"] < 600, left
        assert left["last_activity"]["status"] == "Parting is such sweet sorrow", left

    mercutio = await stage.signed_in("mercutio", "square")
    errors = []
    for name in ("romeo", "juliet", "nobody"):
        try:
            answer = await granted(mercutio["xep_0012"].get_last_activity(stage.jid(name)))
            raise AssertionError(f"a stranger is told {answer}")
        except IqError as error:
            errors.append(error.condition)
    assert errors == ["service-unavailable"] * 3, errors
    # Nor does asking disturb who is there.
    assert not [s for s in juliet.everything_from(stage.jid("mercutio"))]


async def who_is_deleted_is_nobodys_contact(stage):
    """RFC 6121 §3 at the end of an account: contacts see her go and are told, and nothing of hers is left to answer for her."""
    juliet_jid, romeo_jid, mercutio_jid = stage.jid("juliet"), stage.jid("romeo"), stage.jid("mercutio")
    juliet = await stage.signed_in("juliet", "balcony")
    romeo = await stage.signed_in("romeo", "orchard")
    await stage.friends(juliet, romeo)
    # Mercutio asked her and she asked the nurse, who is away; neither was answered.
    mercutio = await stage.signed_in("mercutio", "square")
    mercutio.client_roster.subscribe(juliet_jid)
    await juliet.until_presence(mercutio_jid, "subscribe")
    nurse_jid = stage.jid("nurse")
    juliet.client_roster.subscribe(nurse_jid)
    await juliet.until_contact(nurse_jid, "none+ask")
    for person in (romeo, mercutio):
        person.forget()

    await stage.wants(delete=juliet_jid)
    await asyncio.wait_for(juliet.gone.wait(), PATIENCE)
    await romeo.until_sees(juliet_jid)
    await romeo.until_contact(juliet_jid, "none")
    await romeo.until_presence(juliet_jid, "unsubscribe")
    await romeo.until_presence(juliet_jid, "unsubscribed")
    await mercutio.until_contact(juliet_jid, "none")
    nurse = await stage.signed_in("nurse", "chamber")
    await nurse.has_heard_all_of(romeo)
    assert not nurse.presences(juliet_jid, "subscribe"), "her request went with her"
    error = await romeo.message_is_refused(juliet_jid)
    assert error["error"]["condition"] == "service-unavailable", error
    assert await refused(romeo["xep_0012"].get_last_activity(juliet_jid)) == "service-unavailable"


async def two_ask_each_other_at_once(stage):
    """RFC 6121 §3: requests that cross, that are asked twice, and that are answered twice come to one thing at both ends."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony")
    romeo = await stage.signed_in("romeo", "orchard")
    for _ in range(2):
        juliet.client_roster.subscribe(romeo_jid)
        romeo.client_roster.subscribe(juliet_jid)
    await juliet.until_presence(romeo_jid, "subscribe")
    await romeo.until_presence(juliet_jid, "subscribe")
    for _ in range(2):
        juliet.client_roster[romeo_jid].authorize()
        romeo.client_roster[juliet_jid].authorize()
    await juliet.until_contact(romeo_jid, "both")
    await romeo.until_contact(juliet_jid, "both")
    await juliet.until_sees(romeo_jid, "orchard")
    await romeo.until_sees(juliet_jid, "balcony")
    # Both end it at once, and begin anew behind it.
    juliet.client_roster.unsubscribe(romeo_jid)
    romeo.client_roster.unsubscribe(juliet_jid)
    await juliet.until_contact(romeo_jid, "none")
    await romeo.until_contact(juliet_jid, "none")
    juliet.forget()
    romeo.forget()
    await stage.friends(romeo, juliet)
    await juliet.has_heard_all_of(romeo)
    await romeo.has_heard_all_of(juliet)
    await stage.restart("kill")
    juliet = await stage.signed_in("juliet", "balcony")
    romeo = await stage.signed_in("romeo", "orchard")
    await juliet.until_sees(romeo_jid, "orchard")
    await romeo.until_sees(juliet_jid, "balcony")
    await juliet.has_heard_all_of(romeo)
    await romeo.has_heard_all_of(juliet)
    for one, other in ((juliet, romeo_jid), (romeo, juliet_jid)):
        assert one.contact(other) == "both", one.contact(other)
        assert not one.presences(other, "subscribe", "unsubscribe", "subscribed", "unsubscribed")


play((
    request_waits_for_who_is_away,
    pre_approval_answers_the_request,
    what_was_asked_and_granted_is_taken_back,
    roster_is_told_by_version,
    two_devices_are_in_step,
    blocking_and_unblocking,
    last_activity_of_who_left,
    two_ask_each_other_at_once,
    who_is_deleted_is_nobodys_contact,
))
