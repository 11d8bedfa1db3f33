"""Scenes between people who use slixmpp: carbons, messages to who is away, and what clients put into messages.

slixmpp_stage.py says how they are played.
"""

import asyncio

from slixmpp.plugins import xep_0082
from slixmpp.xmlstream import ET

from slixmpp_correspondent import CLIENT, DELAY, STANZA_ID, Correspondent
from slixmpp_person import PATIENCE, granted
from slixmpp_stage import play

ERROR = f"{CLIENT}error"


def told(copies):
    return [(copy.way, copy.body) for copy in copies]


async def has_all(device, *others):
    """What her other devices and her partners did until now has come to this one."""
    for other in others:
        await device.has_heard_all_of(other)


async def devices_have_both_sides_of_a_conversation(stage):
    """XEP-0280 §6, §7: each device has each message once, whoever sent it and wherever it went, and under one id."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    balcony = await stage.signed_in("juliet", "balcony", carbons=True)
    chamber = await stage.signed_in("juliet", "chamber", carbons=True)
    plain = await stage.signed_in("juliet", "plain")
    orchard = await stage.signed_in("romeo", "orchard", carbons=True)
    street = await stage.signed_in("romeo", "street", carbons=True)
    info = await granted(balcony.plugin["xep_0030"].get_info(jid=stage.domain))
    assert "urn:xmpp:carbons:2" in info["disco_info"]["features"], info

    # To one device: the others with carbons have it, and the sender's other device has what was sent.
    orchard.write(f"{juliet_jid}/balcony", "to the balcony", payload="<thread xmlns='jabber:client'>t1</thread>")
    live, = await balcony.until_copies(1)
    received, = await chamber.until_copies(1)
    sent, = await street.until_copies(1)
    assert told([live, received, sent]) == [
        ("live", "to the balcony"), ("received", "to the balcony"), ("sent", "to the balcony")]
    for copy in (live, received, sent):
        assert copy.sender == f"{romeo_jid}/orchard" and copy.to == f"{juliet_jid}/balcony", copy
        assert copy.message.findtext(f"{CLIENT}thread") == "t1", copy
        assert copy.message.get("id") == live.message.get("id"), copy
    assert received.around.get("from") == juliet_jid and received.around.get("type") == "chat"
    assert sent.around.get("from") == romeo_jid and sent.around.get("type") == "chat"

    # An answer from that device, to where it came from.
    balcony.write(f"{romeo_jid}/orchard", "from the balcony")
    await orchard.until("the answer", lambda: told(orchard.copies()) == [("live", "from the balcony")])
    await street.until_copies(2)
    await chamber.until_copies(2)
    assert told(street.copies())[1:] == [("received", "from the balcony")]
    assert told(chamber.copies())[1:] == [("sent", "from the balcony")]

    # To the bare address: each device once, live or by a carbon.
    for number in range(20):
        orchard.write(juliet_jid, f"to all {number}")
        balcony.write(romeo_jid, f"back {number}")
    await has_all(balcony, orchard, chamber)
    await has_all(chamber, orchard, balcony)
    await has_all(orchard, balcony, street)
    await has_all(street, balcony, orchard)
    to_all, back = [f"to all {n}" for n in range(20)], [f"back {n}" for n in range(20)]
    def bodies(person, *ways):
        return [copy.body for copy in person.copies(*ways)]
    assert bodies(balcony, "live", "received")[1:] == to_all and not balcony.copies("sent"), told(balcony.copies())
    assert bodies(chamber, "live", "received")[1:] == to_all and bodies(chamber, "sent")[1:] == back, told(chamber.copies())
    assert bodies(orchard, "live", "received")[1:] == back and not orchard.copies("sent"), told(orchard.copies())
    assert bodies(street, "live", "received")[1:] == back and bodies(street, "sent")[1:] == to_all, told(street.copies())
    assert not plain.copies("sent", "received"), told(plain.copies())

    # Live, by carbon, and in the archive it has one id.
    for device, other in ((balcony, chamber), (orchard, street)):
        archive = {copy.body: copy.kept for copy in await device.archive(max=50)}
        for copy in device.copies() + other.copies():
            if copy.way == "sent" and copy.kept is None:
                continue  # XEP-0280 does not ask for it; the server under test is asked below.
            assert copy.kept == archive[copy.body], f"{copy} is kept as {archive.get(copy.body)}"

    # Switched off, nothing comes; the others go on.
    await granted(chamber.plugin["xep_0280"].disable())
    for person in (balcony, chamber, orchard, street):
        person.forget()
    orchard.write(f"{juliet_jid}/balcony", "for one alone")
    balcony.write(f"{romeo_jid}/orchard", "from one alone")
    await orchard.until_copies(1)
    await street.until_copies(2)
    await has_all(chamber, balcony, orchard)
    assert not chamber.copies(), told(chamber.copies())


async def what_is_not_for_all_devices_is_not_copied(stage):
    """XEP-0280 §6.1, §9: private messages, hints, headlines; states of a chat are copied."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    balcony = await stage.signed_in("juliet", "balcony", carbons=True)
    chamber = await stage.signed_in("juliet", "chamber", carbons=True)
    orchard = await stage.signed_in("romeo", "orchard", carbons=True)
    street = await stage.signed_in("romeo", "street", carbons=True)
    to = f"{juliet_jid}/balcony"
    orchard.write(to, "private", hints=["carbon_private", "no-copy"])
    orchard.send_message(mto=to, mbody="a headline", mtype="headline")
    state = orchard.make_message(mto=to, mtype="chat")
    state["chat_state"] = "composing"
    state.send()
    orchard.write(to, "for all")
    await balcony.until_copies(3)
    await has_all(chamber, orchard, balcony)
    await has_all(street, orchard)
    composing = "{http://jabber.org/protocol/chatstates}composing"
    for device, way in ((chamber, "received"), (street, "sent")):
        state, text = device.copies()
        assert (state.way, state.has(composing), text.way, text.body) == (way, True, way, "for all"), told(device.copies())
    assert balcony.copies()[0].body == "private", told(balcony.copies())


async def notes_to_oneself_come_once(stage):
    """A message to her own other device, or to all of them, comes once to each, never back as a copy, and is kept once."""
    juliet_jid = stage.jid("juliet")
    balcony = await stage.signed_in("juliet", "balcony", carbons=True)
    chamber = await stage.signed_in("juliet", "chamber", carbons=True)
    balcony.write(f"{juliet_jid}/chamber", "to myself")
    balcony.write(juliet_jid, "to all of me")
    await has_all(chamber, balcony)
    await has_all(balcony, chamber)
    assert [copy.body for copy in chamber.copies()] == ["to myself", "to all of me"], told(chamber.copies())
    assert not balcony.copies("sent", "received"), told(balcony.copies())
    for query in ({}, {"with": juliet_jid}):
        mine = [copy.body for copy in await balcony.archive(**query)]
        assert mine == ["to myself", "to all of me"], mine


async def who_is_away_gets_everything_in_order(stage):
    """XEP-0160, XEP-0203: kept in order, said when, to one device, once; a server that was stopped in between has them still."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony")
    mercutio = await stage.signed_in("mercutio", "square")
    expected = {juliet_jid: [], stage.jid("mercutio"): []}
    for number in range(600):
        for sender, every in ((juliet, 1), (mercutio, 3)):
            if number % every == 0:
                body = f"{sender.boundjid.user} {number} & <{'x' * (number % 50)}>"
                sender.write(romeo_jid, body, kind="chat" if number % 2 else "normal")
                expected[sender.boundjid.bare].append(body)
    for sender in (juliet, mercutio):
        # Everything of hers was dealt with when she hears from herself.
        await sender.has_heard_all_of(sender)
    await stage.restart("stop")
    juliet = await stage.signed_in("juliet", "balcony")
    juliet.write(romeo_jid, "and one more")
    await juliet.has_heard_all_of(juliet)
    expected[juliet_jid].append("and one more")

    # Who is there but says that messages are not for it gets none of them.
    shy = await stage.signed_in("romeo", "shy", ppriority=-1)
    await shy.has_heard_all_of(juliet)
    assert not shy.copies(), told(shy.copies())

    street = await stage.signed_in("romeo", "street")
    await street.until_copies(sum(map(len, expected.values())))
    orchard = await stage.signed_in("romeo", "orchard")
    await shy.be(ppriority=1)
    for device in (orchard, street, shy):
        await device.has_heard_all_of(juliet)
    got = {sender: [] for sender in expected}
    stamps = []
    for copy in street.copies():
        got[copy.sender.split("/")[0]].append(copy.body)
        assert copy.delay is not None and copy.delay.get("from") == stage.domain, copy
        stamps.append(xep_0082.parse(copy.delay.get("stamp")))
        assert copy.to == romeo_jid and copy.message.get("type") in ("chat", None, "normal"), copy
    assert got == expected, got
    assert stamps == sorted(stamps), stamps
    assert not orchard.copies() and not shy.copies(), "each is given to one device"

    # What was delivered is not delivered again, whatever happens to the server.
    for how in ("stop", "kill"):
        await stage.restart(how)
        romeo = await stage.signed_in("romeo", "street")
        juliet = await stage.signed_in("juliet", "balcony")
        await romeo.has_heard_all_of(juliet)
        assert not romeo.copies(), told(romeo.copies())
        await romeo.sign_out()
        await juliet.sign_out()

    # And all of it is in his archive, once.
    romeo = await stage.signed_in("romeo", "tomb", presence=False)
    archive = await romeo.archive(max=50)
    assert len(archive) == sum(map(len, expected.values())), len(archive)
    for sender, bodies in expected.items():
        assert [copy.body for copy in archive if copy.sender.startswith(sender)] == bodies


async def what_waits_goes_to_one_device_of_many(stage):
    """Devices that sign in at once share nothing of it, and one that is cut off leaves the rest to the next."""
    romeo_jid = stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony")
    for round, cut in enumerate((False, True)):
        bodies = [f"round {round} number {number} {'x' * 400}" for number in range(1500)]
        for body in bodies:
            juliet.write(romeo_jid, body)
        await juliet.has_heard_all_of(juliet)
        if cut:
            first = await stage.signed_in("romeo", "street", presence=False)
            first.send_presence()
            await first.until("some of it", lambda: first.copies())
            first.drop()
            before = [copy.body for copy in first.copies()]
            assert before == bodies[:len(before)]
            await asyncio.wait_for(first.gone.wait(), PATIENCE)
        devices = await asyncio.gather(*(stage.signed_in("romeo", f"tomb{n}") for n in range(3)))
        for device in devices:
            await device.has_heard_all_of(juliet)
        shares = [[copy.body for copy in device.copies()] for device in devices if device.copies()]
        if cut:
            # What was on its way is in the archive: without XEP-0198 nobody knows how much of it came.
            assert len(shares) <= 1 and all(share == bodies[-len(share):] for share in shares), [len(share) for share in shares]
        else:
            assert shares == [bodies], [len(share) for share in shares]
        archive = [copy.body for copy in await devices[0].archive(max=50)]
        assert archive[-len(bodies):] == bodies, len(archive)
        for device in devices:
            await device.sign_out()


async def what_is_for_the_moment_is_not_kept(stage):
    """XEP-0160 §3, XEP-0334: states of a chat, headlines and what says so itself are for who is there; the rest is for later."""
    romeo_jid = stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony")
    juliet.write(romeo_jid, "to be forgotten", hints=["no-store"])
    state = juliet.make_message(mto=romeo_jid, mtype="chat")
    state["chat_state"] = "composing"
    state.send()
    juliet.send_message(mto=romeo_jid, mbody="a headline", mtype="headline")
    juliet.write(romeo_jid, "for later, not for ever", hints=["no-permanent-store"])
    juliet.write(romeo_jid, None, hints=["store"])
    juliet.write(romeo_jid, "for ever")
    await juliet.has_heard_all_of(juliet)
    romeo = await stage.signed_in("romeo", "orchard")
    await romeo.has_heard_all_of(juliet)
    assert [copy.body for copy in romeo.copies()] == ["for later, not for ever", None, "for ever"], told(romeo.copies())
    for person in (juliet, romeo):
        bodies = [copy.body for copy in await person.archive()]
        assert bodies == [None, "for ever"], bodies


async def who_asks_the_archive_first_is_not_told_twice(stage):
    """What a device has by its archive does not come again as it says that it is there; what is in no archive does."""
    romeo_jid = stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony")
    for number in range(5):
        juliet.write(romeo_jid, f"word for later {number}")
    juliet.write(romeo_jid, "for no archive", hints=["no-permanent-store"])
    await juliet.has_heard_all_of(juliet)
    romeo = await stage.signed_in("romeo", "orchard", presence=False)
    bodies = [copy.body for copy in await romeo.archive()]
    assert bodies == [f"word for later {number}" for number in range(5)], bodies
    await romeo.be()
    await romeo.has_heard_all_of(juliet)
    assert told(romeo.copies()) == [("live", "for no archive")], told(romeo.copies())
    await romeo.sign_out()
    street = await stage.signed_in("romeo", "street")
    await street.has_heard_all_of(juliet)
    assert not street.copies(), told(street.copies())

    # Of what it asked for a part, or by a filter, it is told the rest.
    nurse_jid = stage.jid("nurse")
    words = [f"word for her {number}" for number in range(5)]
    for word in words:
        juliet.write(nurse_jid, word)
    await juliet.has_heard_all_of(juliet)
    nurse = await stage.signed_in("nurse", "pantry", presence=False)
    assert len(await nurse.archive(**{"with": juliet.boundjid.bare})) == 5
    newest = await nurse.page(max=2, before="")
    assert newest.bodies == words[3:], newest
    await nurse.be()
    await nurse.has_heard_all_of(juliet)
    assert told(nurse.copies()) == [("live", word) for word in words[:3]], told(nurse.copies())

    # A device with carbons that messages are not for has what is kept for later already; it does not come to it again.
    await street.sign_out()
    shy = await stage.signed_in("romeo", "shy", carbons=True, ppriority=-1)
    juliet.write(romeo_jid, "while he is shy")
    await shy.has_heard_all_of(juliet)
    assert told(shy.copies()) == [("received", "while he is shy")], told(shy.copies())
    await shy.be(ppriority=0)
    await shy.has_heard_all_of(juliet)
    assert told(shy.copies()) == [("received", "while he is shy")], told(shy.copies())


async def what_clients_build_on_passes_and_is_kept(stage):
    """Receipts, markers, corrections and the like: live, on the other device, and in both archives as they were sent."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony", carbons=True)
    chamber = await stage.signed_in("juliet", "chamber", carbons=True)
    romeo = await stage.signed_in("romeo", "orchard", carbons=True)
    to, back = f"{romeo_jid}/orchard", f"{juliet_jid}/balcony"

    question = juliet.make_message(mto=to, mbody="what's in a nmae?", mtype="chat")
    question["request_receipt"] = True
    question.enable("markable")
    question.send()
    asked, = await romeo.until_copies(1)
    assert asked.has("{urn:xmpp:receipts}request") and asked.has("{urn:xmpp:chat-markers:0}markable"), asked
    number = question["id"]
    romeo.plugin["xep_0184"].ack(next(s for s in romeo.incoming if s["id"] == number))
    romeo.plugin["xep_0333"].send_marker(back, number, "displayed")
    await juliet.until_copies(2)
    juliet.plugin["xep_0308"].correct_message(question, "what's in a name?")
    romeo.plugin["xep_0461"].send_reply(juliet_jid, number, mto=back, mbody="a rose", mtype="chat")
    await juliet.until_copies(3)
    romeo.plugin["xep_0444"].send_reactions(back, number, "\N{ROSE}")
    juliet.plugin["xep_0424"].send_retraction(to, number, include_fallback=False)
    state = romeo.make_message(mto=back, mtype="chat")
    state["chat_state"] = "paused"
    state.send()
    for namespace, name in (("urn:xmpp:omemo:2", "encrypted"), ("eu.siacs.conversations.axolotl", "encrypted")):
        secret = juliet.make_message(mto=to, mtype="chat")
        secret["eme"]["namespace"] = namespace
        secret.append(sealed(namespace, name))
        secret.send()
    romeo.write(back, "the last")
    await juliet.until("the last", lambda: juliet.copies() and juliet.copies()[-1].body == "the last")
    juliet.write(to, "the very last")
    await romeo.until("the last", lambda: romeo.copies()[-1].body == "the very last")
    await has_all(chamber, juliet, romeo)

    def kind_of(copy):
        for kind, name in (
            ("receipt", "{urn:xmpp:receipts}received"), ("marker", "{urn:xmpp:chat-markers:0}displayed"),
            ("correction", "{urn:xmpp:message-correct:0}replace"), ("reply", "{urn:xmpp:reply:0}reply"),
            ("reactions", "{urn:xmpp:reactions:0}reactions"), ("retraction", "{urn:xmpp:message-retract:1}retract"),
            ("state", "{http://jabber.org/protocol/chatstates}paused"), ("omemo", "{urn:xmpp:omemo:2}encrypted"),
            ("axolotl", "{eu.siacs.conversations.axolotl}encrypted"),
        ):
            if copy.has(name):
                child = copy.child(name)
                assert kind in ("state", "omemo", "axolotl") or child.get("id") == number, copy
                return kind
        return copy.body

    def kinds(copies, who=""):
        return [kind_of(copy) for copy in copies if copy.sender.startswith(who)]

    def are(found, expected):
        assert found == expected, f"{found} is not {expected}"

    hers = ["what's in a nmae?", "correction", "retraction", "omemo", "axolotl", "the very last"]
    his = ["receipt", "marker", "reply", "reactions", "state", "the last"]
    are(kinds(romeo.copies("live")), hers)
    are(kinds(juliet.copies("live")), his)
    are(kinds(chamber.copies("sent")), hers)
    # A normal message is copied to all devices for what is in it; slixmpp sends receipts, markers and reactions so.
    are(kinds(chamber.copies("received")), [kind for kind in his if kind != "reactions"])
    his.remove("state")
    for person in (juliet, romeo):
        archive = await person.archive()
        are(kinds(archive, juliet_jid), hers)
        are(kinds(archive, romeo_jid), his)
        live = {copy.message.get("id"): copy for copy in person.copies("live")}
        for copy in archive:
            same = live.get(copy.message.get("id"))
            if same is not None:
                assert same.kept == copy.kept, f"{same} {copy}"
                assert [e.tag for e in same.message if e.tag != STANZA_ID] == [e.tag for e in copy.message], copy


def sealed(namespace, name):
    element = ET.Element(f"{{{namespace}}}{name}")
    header = ET.SubElement(element, f"{{{namespace}}}header", sid="27183")
    ET.SubElement(header, f"{{{namespace}}}key", rid="31415").text = "b64/encoded/data=="
    ET.SubElement(element, f"{{{namespace}}}payload").text = "b64/encoded/data=="
    return element


async def ids_that_others_made_up_are_taken_off(stage):
    """XEP-0359 §3: nobody but the account's own server says under which id it has something; other ids pass."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    balcony = await stage.signed_in("juliet", "balcony", carbons=True)
    chamber = await stage.signed_in("juliet", "chamber", carbons=True)
    romeo = await stage.signed_in("romeo", "orchard")
    away = stage.jid("nurse")
    for to in (f"{juliet_jid}/balcony", juliet_jid, away):
        message = romeo.make_message(mto=to, mbody=f"forged {to}", mtype="chat")
        for by in (juliet_jid, romeo_jid, away, "elsewhere.example"):
            message.append(forged(by))
        message.append(forged(juliet_jid.replace("j", "J", 1)))
        message.append(ET.Element(DELAY, {"from": stage.domain, "stamp": "1591-01-01T00:00:00Z"}))
        message.send()
    await has_all(balcony, romeo)
    await has_all(chamber, romeo)
    nurse = await stage.signed_in("nurse", "pantry")
    await nurse.until_copies(1)
    for person, count in ((balcony, 2), (chamber, 2), (nurse, 1), (romeo, 3)):
        mine = person.boundjid.bare
        copies = person.copies() + await person.archive()
        assert len([copy for copy in copies if copy.way == "archive"]) == count, told(copies)
        for copy in copies:
            ids = [(element.get("by").lower(), element.get("id")) for element in copy.message.iterfind(STANZA_ID)]
            assert ("elsewhere.example", "made up") in ids, ids
            assert (mine, "made up") not in ids, ids
            assert copy.kept and copy.kept != "made up", ids
            stamps = [delay.get("stamp") for delay in copy.message.iterfind(DELAY)]
            assert len(stamps) == (person is nurse and copy.way == "live") and "1591-01-01T00:00:00Z" not in stamps, stamps


def forged(by):
    return ET.Element(STANZA_ID, by=by, id="made up")


async def what_bounces_is_told_to_all_devices(stage):
    """XEP-0280 §6.1: an error that answers a copied message is copied; who is nobody has no archive for it."""
    romeo = await stage.signed_in("romeo", "orchard", carbons=True)
    street = await stage.signed_in("romeo", "street", carbons=True)
    nobody = stage.jid("nobody")
    number = romeo.write(nobody, "is anybody there?")
    await romeo.until_copies(1)
    await has_all(street, romeo)
    error, = romeo.copies()
    assert error.way == "live" and error.has(ERROR) and error.message.get("id") == number, told(romeo.copies())
    sent, bounced = street.copies()
    assert (sent.way, sent.body) == ("sent", "is anybody there?"), told(street.copies())
    assert bounced.way == "received" and bounced.has(ERROR) and bounced.message.get("id") == number, told(street.copies())
    assert not error.has(DELAY) and error.kept is None and bounced.kept is None
    archive = await romeo.archive()
    assert [copy.body for copy in archive] == ["is anybody there?"], told(archive)

    # What is refused for a device that is not there has not come to the others (RFC 6121 §8.5.3.2.1).
    juliet = await stage.signed_in("juliet", "balcony", carbons=True)
    number = romeo.write(f"{juliet.boundjid.bare}/tomb", "are you there?", kind="normal")
    await romeo.until("an error", lambda: romeo.copies()[-1].message.get("id") == number)
    await has_all(juliet, romeo)
    assert not juliet.copies() and not await juliet.archive(), told(juliet.copies())


play((
    devices_have_both_sides_of_a_conversation,
    what_is_not_for_all_devices_is_not_copied,
    notes_to_oneself_come_once,
    who_is_away_gets_everything_in_order,
    what_waits_goes_to_one_device_of_many,
    what_is_for_the_moment_is_not_kept,
    who_asks_the_archive_first_is_not_told_twice,
    what_clients_build_on_passes_and_is_kept,
    ids_that_others_made_up_are_taken_off,
    what_bounces_is_told_to_all_devices,
), Correspondent)
