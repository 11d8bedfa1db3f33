"""Scenes between people who use slixmpp: what an account keeps for its devices and shows to others, and its password.

slixmpp_stage.py says how they are played.
"""

import asyncio
import base64

from slixmpp.plugins import xep_0048
from slixmpp.xmlstream import ET

from slixmpp_correspondent import Correspondent
from slixmpp_person import PATIENCE, granted, refused
from slixmpp_stage import play

PRIVATE = "{jabber:iq:private}"
VCARD = "{vcard-temp}"


async def private_xml(person, element):
    """What she finds there; slixmpp has no call for elements that it does not know."""
    iq = person.make_iq_get()
    ET.SubElement(iq.xml, f"{PRIVATE}query").append(ET.Element(element))
    result = await granted(iq.send(timeout=PATIENCE))
    found = list(result.xml.find(f"{PRIVATE}query"))
    assert [child.tag for child in found] == [element], ET.tostring(result.xml)
    return found[0]


async def store_xml(person, *elements, to=None):
    iq = person.make_iq_set(ito=to)
    query = ET.SubElement(iq.xml, f"{PRIVATE}query")
    query.extend(elements)
    return await granted(iq.send(timeout=PATIENCE))


async def private_xml_is_kept_for_all_devices(stage):
    """XEP-0049: bookmarks and what else clients put there, one element of a namespace, its owner's alone."""
    juliet = await stage.signed_in("juliet", "balcony")
    notes = "{exodus:prefs}exodus"
    empty = await private_xml(juliet, notes)
    assert len(empty) == 0 and not empty.text, "what is not there comes back as it was asked for"

    bookmarks = xep_0048.Bookmarks()
    bookmarks.add_conference("orchard@rooms.example", "Juliet", name="The Orchard & <Wall>", autojoin=True)
    bookmarks.add_url("https://shakespeare.example/?a=1&b=2", name="Works")
    await granted(juliet.plugin["xep_0049"].store(bookmarks))
    for note in ("Hamlet", "Yorick & <Osric>"):
        element = ET.Element(notes)
        ET.SubElement(element, "{exodus:prefs}defaultnick").text = note
        await store_xml(juliet, element)

    async def is_there(person):
        stored = await granted(person.plugin["xep_0049"].retrieve("bookmarks"))
        found = stored["private"]["bookmarks"]
        conference, = found["conferences"]
        url, = found["urls"]
        assert (str(conference["jid"]), conference["name"], conference["autojoin"], conference["nick"]) == (
            "orchard@rooms.example", "The Orchard & <Wall>", True, "Juliet"), stored
        assert (url["url"], url["name"]) == ("https://shakespeare.example/?a=1&b=2", "Works"), stored
        kept = await private_xml(person, notes)
        assert [child.text for child in kept] == ["Yorick & <Osric>"], ET.tostring(kept)

    await is_there(juliet)
    await is_there(await stage.signed_in("juliet", "chamber"))
    await stage.restart("kill")
    juliet = await stage.signed_in("juliet", "balcony")
    await is_there(juliet)

    # Nobody else's, whether he asks for his own or for hers.
    romeo = await stage.signed_in("romeo", "orchard")
    assert len(await private_xml(romeo, notes)) == 0
    iq = romeo.make_iq_get(ito=juliet.boundjid.bare)
    ET.SubElement(iq.xml, f"{PRIVATE}query").append(ET.Element(notes))
    assert await refused(iq.send(timeout=PATIENCE)) in ("service-unavailable", "forbidden")
    assert await refused(store_xml(romeo, ET.Element(notes), to=juliet.boundjid.bare)) in ("service-unavailable", "forbidden")

    # An empty element takes the place of what was there.
    await store_xml(juliet, ET.Element(notes))
    assert len(await private_xml(juliet, notes)) == 0
    await granted(juliet.plugin["xep_0049"].retrieve("bookmarks"))


def card(person, name, photo):
    vcard = person.plugin["xep_0054"].make_vcard()
    vcard["FN"] = name
    vcard["N"]["FAMILY"] = "Capulet"
    vcard["EMAIL"]["USERID"] = "juliet@capulet.example"
    vcard["PHOTO"]["TYPE"] = "image/png"
    vcard["PHOTO"]["BINVAL"] = photo
    vcard.xml.append(ET.Element("{vcard-temp}X-GARDEN", wall="high"))
    return vcard


async def vcards_are_kept_and_shown(stage):
    """XEP-0054: she sets her own, picture and all; others see it, whether she is there or not, and may not set it."""
    juliet_jid = stage.jid("juliet")
    juliet = await stage.signed_in("juliet", "balcony")
    romeo = await stage.signed_in("romeo", "orchard")
    photo = bytes(range(256)) * 80

    async def sees(person, whom, name):
        result = await granted(person.plugin["xep_0054"].get_vcard(whom, local=False, timeout=PATIENCE))
        vcard = result["vcard_temp"]
        assert vcard["FN"] == name and vcard["N"]["FAMILY"] == "Capulet", result
        assert base64.b64decode(result.xml.findtext(f".//{VCARD}BINVAL")) == photo, result
        assert result.xml.find(f".//{VCARD}X-GARDEN").get("wall") == "high", result

    # Of who has none, nobody gets anything; nor of who there is not.
    for whom in (juliet_jid, stage.jid("nobody")):
        assert await refused(romeo.plugin["xep_0054"].get_vcard(whom, timeout=PATIENCE)) in ("item-not-found", "service-unavailable")
    for name in ("Juliet", "Juliet & <Capulet>"):
        await granted(juliet.plugin["xep_0054"].publish_vcard(card(juliet, name, photo), timeout=PATIENCE))
        await sees(juliet, None, name)
        await sees(juliet, juliet_jid, name)
        await sees(romeo, juliet_jid, name)
    iq = romeo.make_iq_set(ito=juliet_jid)
    iq.append(card(romeo, "Fool", photo))
    assert await refused(iq.send(timeout=PATIENCE)) in ("forbidden", "not-authorized", "not-allowed", "service-unavailable")

    await stage.restart("kill")
    romeo = await stage.signed_in("romeo", "orchard")
    await sees(romeo, juliet_jid, "Juliet & <Capulet>")
    chamber = await stage.signed_in("juliet", "chamber")
    await sees(chamber, None, "Juliet & <Capulet>")

    # Who is blocked sees what everybody sees of somebody who is not there.
    await granted(chamber.plugin["xep_0191"].block([romeo.boundjid.bare]))
    hers = await refused(romeo.plugin["xep_0054"].get_vcard(juliet_jid, timeout=PATIENCE))
    nobodys = await refused(romeo.plugin["xep_0054"].get_vcard(stage.jid("nobody"), timeout=PATIENCE))
    assert hers == nobodys, (hers, nobodys)


async def a_password_is_changed(stage):
    """XEP-0077 §3.3: the new one is what counts from then on, for good; an empty one changes nothing."""
    juliet = await stage.signed_in("juliet", "balcony")
    about = await granted(juliet.plugin["xep_0077"].get_registration(timeout=PATIENCE))
    assert about["register"]["registered"] and about["register"]["username"] == "juliet", about
    old, new = stage.passwords["juliet"], "n\u00ebw & <better> than \u2167"
    assert await refused(juliet.plugin["xep_0077"].change_password("", timeout=PATIENCE)) in ("bad-request", "not-acceptable")
    assert await may_sign_in(stage, old)
    await granted(juliet.plugin["xep_0077"].change_password(new, timeout=PATIENCE))
    for _ in range(2):
        assert not await may_sign_in(stage, old)
        assert await may_sign_in(stage, new)
        await stage.restart("kill")
    # Nobody changes another's.
    romeo = await stage.signed_in("romeo", "orchard")
    iq = romeo.make_iq_set(ito=stage.jid("juliet"))
    iq["register"]["username"] = "juliet"
    iq["register"]["password"] = "his"
    assert await refused(iq.send(timeout=PATIENCE)) in ("service-unavailable", "not-allowed", "forbidden", "bad-request")
    iq = romeo.make_iq_set(ito=stage.domain)
    iq["register"]["username"] = "juliet"
    iq["register"]["password"] = "his"
    assert await refused(iq.send(timeout=PATIENCE)) in ("not-allowed", "forbidden", "bad-request", "not-authorized")
    assert await may_sign_in(stage, new)


async def may_sign_in(stage, password):
    """Whether juliet is let in with it, by SCRAM."""
    stage.passwords["juliet"] = password
    person = stage.person("juliet", "door")
    person.connect("localhost", stage.port)
    await asyncio.wait_for(person.here.wait(), PATIENCE)
    let_in = person.why is None
    person.abort()
    return let_in


async def an_account_is_given_up(stage):
    """XEP-0077 §3.2: it is gone with all its sessions, and contacts are told as when an administrator deletes it."""
    juliet_jid, romeo_jid = stage.jid("juliet"), stage.jid("romeo")
    juliet = await stage.signed_in("juliet", "balcony")
    romeo = await stage.signed_in("romeo", "orchard")
    await stage.friends(juliet, romeo)
    chamber = await stage.signed_in("juliet", "chamber")
    await granted(juliet.plugin["xep_0054"].publish_vcard(card(juliet, "Juliet", b"photo"), timeout=PATIENCE))
    romeo.forget()
    answer = juliet.plugin["xep_0077"].cancel_registration(timeout=PATIENCE)
    for device in (juliet, chamber):
        await asyncio.wait_for(device.gone.wait(), PATIENCE)
    answer.cancel()
    await romeo.until_sees(juliet_jid)
    await romeo.until_contact(juliet_jid, "none")
    await romeo.until_presence(juliet_jid, "unsubscribed")
    assert not await may_sign_in(stage, stage.passwords["juliet"])
    await romeo.message_is_refused(juliet_jid)
    assert await refused(romeo.plugin["xep_0054"].get_vcard(juliet_jid, timeout=PATIENCE)) in (
        "item-not-found", "service-unavailable")


play((
    private_xml_is_kept_for_all_devices,
    vcards_are_kept_and_shown,
    a_password_is_changed,
    an_account_is_given_up,
), Correspondent)
