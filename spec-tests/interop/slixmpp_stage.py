"""Where people who use slixmpp play a scene, which is a function of the stage, against a server that is just made.

Says on standard output, one JSON object a line:
    {"restart": HOW}                    HOW is "stop" or "kill": wants the server started again, and waits for a line
    {"delete": ACCOUNT}                 wants the account deleted by the administrator's command, and waits for a line
    {"played": SCENE}                   and ends
    {"failed": TEXT}                    and ends with status 1; TEXT has what went over the wire last

Usage: SCRIPT SCENE PORT DOMAIN CA_FILE   (the first line of standard input: a JSON object of names and passwords)
"""

import asyncio
import itertools
import json
import sys
import traceback

from slixmpp_person import PATIENCE, Person


def say(**what):
    print(json.dumps(what), flush=True)


class Stage:
    def __init__(self, kind, port, domain, ca_file, passwords):
        self.kind = kind
        self.port = port
        self.domain = domain
        self.ca_file = ca_file
        self.passwords = passwords
        self.people = []
        self.numbers = itertools.count()

    def jid(self, name):
        return f"{name}@{self.domain}"

    def unique(self):
        return f"word {next(self.numbers)}"

    def person(self, name, resource, cache=None):
        person = self.kind(self, name, resource, cache)
        self.people.append(person)
        return person

    async def signed_in(self, name, resource, **what):
        return await self.person(name, resource).sign_in(**what)

    async def wants(self, **what):
        """Something is to be done to the server."""
        say(**what)
        line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        assert line, "nobody does it"

    async def restart(self, how):
        """The server ends, in good order or not, and is there again. Whoever was signed in is not any more."""
        await self.wants(restart=how)
        for person in self.people:
            person.drop()

    async def friends(self, one, other):
        """Two who are there subscribe to each other, as two people do: one asks, the other agrees and asks in turn."""
        mine, theirs = one.boundjid.bare, other.boundjid.bare
        one.client_roster.subscribe(theirs)
        await other.until_presence(mine, "subscribe")
        other.client_roster[mine].authorize()
        other.client_roster.subscribe(mine)
        await one.until_presence(theirs, "subscribe")
        one.client_roster[theirs].authorize()
        await one.until_contact(theirs, "both")
        await other.until_contact(mine, "both")
        await one.until_sees(theirs, other.boundjid.resource)
        await other.until_sees(mine, one.boundjid.resource)


def play(scenes, kind=Person):
    """Plays the scene that the command line names, with people of this kind, and ends the program."""
    sys.exit(asyncio.run(played(scenes, kind)))


async def played(scenes, kind):
    scene, port, domain, ca_file = sys.argv[1:]
    stage = Stage(kind, int(port), domain, ca_file, json.loads(sys.stdin.readline()))
    scenes = {scene.__name__: scene for scene in scenes}
    try:
        await asyncio.wait_for(scenes[scene](stage), 5 * PATIENCE)
    except BaseException:  # Also what was cancelled is to be told.
        wires = "".join(
            f"\n--- {person.boundjid}\n" + "\n".join(person.wire[-40:]) for person in stage.people)
        say(failed=f"{scene}: {traceback.format_exc()}{wires}")
        return 1
    say(played=scene)
    # Whoever is still signed in leaves with the process.
    for person in stage.people:
        person.drop()
    return 0
