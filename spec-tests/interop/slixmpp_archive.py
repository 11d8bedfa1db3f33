"""Scenes between people who use slixmpp: archives, paged in every way, and what their owners want to be kept.

slixmpp_stage.py says how they are played.
"""

import asyncio

from slixmpp.exceptions import IqError
from slixmpp.plugins import xep_0082

from slixmpp_correspondent import MAM, Correspondent
from slixmpp_person import PATIENCE, granted, refused
from slixmpp_stage import play

MESSAGES = 3000


async def conversations(stage, count):
    """Juliet talks with Romeo and Mercutio, both ways, in no order; her other device has it as it was. What that one has."""
    juliet = await stage.signed_in("juliet", "balcony", carbons=True)
    witness = await stage.signed_in("juliet", "chamber", carbons=True)
    romeo = await stage.signed_in("romeo", "orchard")
    mercutio = await stage.signed_in("mercutio", "square")
    here = f"{juliet.boundjid.bare}/chamber"
    for number in range(count):
        who, whom = (
            (romeo, here), (juliet, f"{romeo.boundjid.bare}/orchard"), (romeo, juliet.boundjid.bare),
            (mercutio, here), (juliet, romeo.boundjid.bare),
        )[number % 5]
        who.write(whom, f"number {number}")
        if number % 100 == 99:
            # Each waits for the others now and then: the three do not run apart.
            for sender in (juliet, romeo, mercutio):
                await witness.has_heard_all_of(sender)
    for sender in (juliet, romeo, mercutio):
        await witness.has_heard_all_of(sender)
    copies = witness.copies()
    assert sorted(copy.body for copy in copies) == sorted(f"number {n}" for n in range(count)), len(copies)
    return juliet, copies


def are_all_of(pages, copies, size):
    """Full pages but for the last, which alone says that it is; no hole, nothing twice, in the order in which it was."""
    assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True], [page.complete for page in pages]
    assert {len(page.copies) for page in pages[:-1]} <= {size}, [len(page.copies) for page in pages]
    for page in pages:
        if page.copies:
            assert (page.first, page.last) == (page.ids[0], page.ids[-1]), page
    found = [copy for page in pages for copy in page.copies]
    assert len(found) == len(copies), f"{len(found)} of {len(copies)}"
    same(found, copies)


def same(found, copies):
    differ = [(one.body, other.body) for one, other in zip(found, copies) if (one.body, one.sender, one.to) != (
        other.body, other.sender, other.to)]
    assert not differ and len(found) == len(copies), f"{len(found)} of {len(copies)}, from {differ[:1]} on"
    ids = [(one.kept, other.kept) for one, other in zip(found, copies) if other.kept is not None and one.kept != other.kept]
    assert not ids, ids[:3]


async def three_thousand_messages_are_paged_both_ways(stage):
    """XEP-0313 §4, XEP-0059 §2: forwards and backwards, in pages of several sizes, before and after the server was stopped."""
    juliet, copies = await conversations(stage, MESSAGES)
    for size in (50, 47):
        are_all_of(await juliet.pages(max=size), copies, size)
        backwards = await juliet.pages(backwards=True, max=size)
        are_all_of(backwards, [copy for page in in_halves(copies, size) for copy in page], size)
        same([copy for page in reversed(backwards) for copy in page.copies], copies)
    # By slixmpp's own means, which goes on until a page is empty.
    same(await juliet.archive_by_slixmpp(rsm={"max": 50}), copies)
    same(list(reversed(await juliet.archive_by_slixmpp(rsm={"max": 50}, reverse=True))), copies)

    # A page as large as the server allows, whatever more is asked for; as many as there are, by number alone.
    first = await juliet.page(max=MESSAGES)
    assert 0 < len(first.copies) < MESSAGES and not first.complete, len(first.copies)
    same(first.copies, copies[:len(first.copies)])
    none = await juliet.page(max=0)
    assert (none.copies, none.count) == ([], MESSAGES), none

    # Ids mean the same after a restart, to another device, too.
    middle = first.last
    await stage.restart("stop")
    tomb = await stage.signed_in("juliet", "tomb", presence=False)
    same(await tomb.archive(max=50), copies)
    at = len(first.copies)
    same((await tomb.page(max=20, after=middle)).copies, copies[at:at + 20])
    same((await tomb.page(max=20, before=middle)).copies, copies[at - 21:at - 1])
    assert await tomb.page_is_refused(max=20, after="not an id of hers") == "item-not-found"
    beyond = await tomb.page(max=20, after=copies_id(await tomb.page(before="", max=1)))
    assert (beyond.copies, beyond.complete) == ([], True), beyond


def copies_id(page):
    return page.copies[0].kept


def in_halves(copies, size):
    """What backwards paging brings: the newest page first, each in the order of time."""
    ends = range(len(copies), 0, -size)
    return [copies[max(0, end - size):end] for end in ends]


async def the_archive_is_asked_for_a_part(stage):
    """XEP-0313 §4.1: by contact, by time, by ids, flipped; each is what the whole has of it."""
    juliet, _ = await conversations(stage, 150)
    mercutio_jid, romeo_jid = stage.jid("mercutio"), stage.jid("romeo")
    whole = await juliet.archive()

    def of(who):
        return [copy for copy in whole if who in (copy.sender.split("/")[0], copy.to.split("/")[0])]
    for who in (mercutio_jid, romeo_jid, stage.jid("nurse"), "nobody@elsewhere.example"):
        are_all_of(await juliet.pages(max=7, **{"with": who}), of(who), 7)
        are_all_of(await juliet.pages(backwards=True, max=7, **{"with": who}), [
            copy for page in in_halves(of(who), 7) for copy in page] if of(who) else [], 7)

    stamps = [xep_0082.parse(copy.delay.get("stamp")) for copy in whole]
    assert stamps == sorted(stamps), stamps
    start, end = stamps[40], stamps[90]
    def between(copies):
        return [copy for copy in copies if start <= xep_0082.parse(copy.delay.get("stamp")) <= end]
    part = await juliet.archive(start=start, end=end)
    same(part, between(whole))
    assert len(part) >= 51, len(part)
    same(await juliet.archive(start=start, end=end, **{"with": romeo_jid}), between(of(romeo_jid)))
    same(await juliet.archive(start=start), whole[whole.index(between(whole)[0]):])

    # The newest first within a page; its ends are still those of time.
    flipped = await juliet.page(max=10, before="", flip=True)
    assert flipped.ids == [copy.kept for copy in reversed(whole[-10:])], flipped.bodies
    assert (flipped.first, flipped.last) == (whole[-10].kept, whole[-1].kept), flipped

    # `#extended`.
    info = await granted(juliet.plugin["xep_0030"].get_info(jid=juliet.boundjid.bare))
    features = info["disco_info"]["features"]
    assert {"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:sid:0"} <= features, features
    same(await juliet.archive(after_id=whole[100].kept), whole[101:])
    same(await juliet.archive(before_id=whole[20].kept), whole[:20])
    same(await juliet.archive(after_id=whole[20].kept, before_id=whole[100].kept, max=9), whole[21:100])
    some = [whole[n] for n in (3, 77, 149)]
    same(await juliet.archive(ids=[copy.kept for copy in some]), some)
    assert await juliet.page_is_refused(ids=[some[0].kept, "not an id of hers"]) == "item-not-found"
    ends = await granted(juliet.plugin["xep_0313"].get_archive_metadata())
    ends = ends.xml.find(f"{MAM}metadata")
    for name, copy in (("start", whole[0]), ("end", whole[-1])):
        end = ends.find(MAM + name)
        assert (end.get("id"), end.get("timestamp")) == (copy.kept, copy.delay.get("stamp")), end.attrib
    fields = await granted(juliet.plugin["xep_0313"].get_fields())
    assert {"with", "start", "end", "before-id", "after-id", "ids"} <= set(fields.get_fields()), fields

    # A full address has what went to or came from just that one.
    same(await juliet.archive(**{"with": f"{romeo_jid}/orchard"}),
         [copy for copy in whole if f"{romeo_jid}/orchard" in (copy.sender, copy.to)])

    # It is hers alone.
    romeo = await stage.signed_in("romeo", "orchard")
    stolen = romeo.plugin["xep_0313"].retrieve(jid=juliet.boundjid.bare, timeout=PATIENCE)
    assert await refused(stolen) in ("service-unavailable", "forbidden", "item-not-found")


async def a_page_meets_what_comes_live(stage):
    """A device that signs in while others write has each message, by a page or live, and never two under different ids."""
    juliet_jid = stage.jid("juliet")
    juliet = await stage.signed_in("juliet", "balcony", carbons=True)
    romeo = await stage.signed_in("romeo", "orchard")
    over = asyncio.Event()
    written = []

    async def writes():
        while not over.is_set():
            written.append(f"number {len(written)}")
            romeo.write(juliet_jid, written[-1])
            await asyncio.sleep(0.01)

    writing = asyncio.ensure_future(writes())
    for round in range(5):
        chamber = await stage.signed_in("juliet", f"chamber{round}", carbons=True)
        after = len(written)
        await chamber.until("live messages", lambda: len(chamber.copies()) > 5)
        pages = await chamber.archive(max=50)
        live = chamber.copies()
        assert len(written) > after
        by_page = {copy.kept: copy.body for copy in pages}
        by_stream = {copy.kept: copy.body for copy in live}
        assert None not in by_stream and len(by_stream) == len(live) and len(by_page) == len(pages)
        for number in by_page.keys() & by_stream.keys():
            assert by_page[number] == by_stream[number]
        # Behind what came by pages goes on what came live, without a hole.
        bodies = [copy.body for copy in pages] + [copy.body for copy in live if copy.kept not in by_page]
        assert bodies == written[:len(bodies)], f"round {round}: {first_difference(bodies, written)}"
        await chamber.sign_out()
    over.set()
    await writing
    await juliet.has_heard_all_of(romeo)
    assert [copy.body for copy in await juliet.archive(max=50)] == written


def first_difference(one, other):
    return next((at, a, b) for at, (a, b) in enumerate(zip(one, other)) if a != b)


async def preferences_say_what_is_kept(stage):
    """XEP-0441: each default and each list changes what an archive has from then on, and nothing of the other's archive."""
    juliet = await stage.signed_in("juliet", "balcony")
    romeo = await stage.signed_in("romeo", "orchard")
    mercutio = await stage.signed_in("mercutio", "square")
    await stage.friends(juliet, romeo)
    prefs = juliet.plugin["xep_0441"]
    default, always, never = await granted(prefs.get_preferences())
    assert default in ("always", "roster", "never") and not always and not never, (default, always, never)
    expected = []
    said = []
    for number, (default, always, never, keeps_romeo, keeps_mercutio) in enumerate((
        ("always", [], [], True, True),
        ("never", [], [], False, False),
        ("roster", [], [], True, False),
        ("never", [mercutio], [], False, True),
        ("always", [], [romeo], False, True),
        ("roster", [mercutio], [romeo], False, True),
        ("roster", [], [romeo], False, False),
    )):
        lists = {"always": [p.boundjid.bare for p in always], "never": [p.boundjid.bare for p in never]}
        result = await granted(prefs.set_preferences(default=default, **lists))
        assert (result["mam_prefs"]["default"], result["mam_prefs"]["always"], result["mam_prefs"]["never"]) == (
            default, set(lists["always"]), set(lists["never"])), result
        if number % 2:
            await stage.restart("kill")
            juliet = await stage.signed_in("juliet", "balcony")
            romeo = await stage.signed_in("romeo", "orchard")
            mercutio = await stage.signed_in("mercutio", "square")
            prefs = juliet.plugin["xep_0441"]
        told = await granted(prefs.get_preferences())
        assert told == (default, set(lists["always"]), set(lists["never"])), told
        for other, keeps in ((romeo, keeps_romeo), (mercutio, keeps_mercutio)):
            name = other.boundjid.user
            other.write(juliet.boundjid.full, f"{name} to her {number}")
            await juliet.has_heard_all_of(other)
            juliet.write(other.boundjid.full, f"she to {name} {number}")
            await other.has_heard_all_of(juliet)
            words = [f"{name} to her {number}", f"she to {name} {number}"]
            said += words
            expected += words if keeps else []
        bodies = [copy.body for copy in await juliet.archive(max=50)]
        assert bodies == expected, f"{number}: {bodies} is not {expected}"
        # What is kept for her has an id as it comes, the rest has none.
        kept = [copy.kept is not None for copy in juliet.copies()[-2:]]
        assert kept == [keeps_romeo, keeps_mercutio], kept
    theirs = [copy.body for person in (romeo, mercutio) for copy in await person.archive(max=50)]
    assert sorted(theirs) == sorted(said), theirs

    # What she does not archive still waits for her while she is away.
    await juliet.sign_out()
    romeo.write(juliet.boundjid.bare, "while she is away")
    await romeo.has_heard_all_of(romeo)
    juliet = await stage.signed_in("juliet", "chamber")
    await juliet.until_copies(1)
    assert juliet.copies()[0].body == "while she is away" and juliet.copies()[0].kept is None
    assert [copy.body for copy in await juliet.archive(max=50)] == expected


async def wrong_preferences_change_nothing(stage):
    """A default that there is not, an address on both lists, no address: bad-request, and what was holds."""
    juliet = await stage.signed_in("juliet", "balcony")
    romeo_jid = stage.jid("romeo")
    prefs = juliet.plugin["xep_0441"]
    await granted(prefs.set_preferences(default="roster", always=[romeo_jid], never=[]))
    for default, always, never in (
        ("sometimes", [], []), ("never", [romeo_jid], [romeo_jid]), ("never", [], ["@nobody"]),
    ):
        answer = await refused(prefs.set_preferences(default=default, always=always, never=never))
        assert answer == "bad-request", (default, answer)
    assert await granted(prefs.get_preferences()) == ("roster", {romeo_jid}, set())


play((
    three_thousand_messages_are_paged_both_ways,
    the_archive_is_asked_for_a_part,
    a_page_meets_what_comes_live,
    preferences_say_what_is_kept,
    wrong_preferences_change_nothing,
), Correspondent)
