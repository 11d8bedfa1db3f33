#!/usr/bin/env python3
"""Gajim, Dino and profanity against the server: they sign in, add each other, and see each other's presence.

Each client has a screen and settings of its own, in namespaces where nothing else is: the server is at port 5222 of a loopback of
theirs, and their system trusts its certificate. Nothing on this machine is changed.

Needs what Debian has as gajim, dino-im, profanity, gir1.2-atspi-2.0, python3-gi, at-spi2-core, dbus, imagemagick, iproute2,
openssl, tmux and xvfb. Ends with status 0 if each of the three saw both others there with what they said of themselves, and leaves
pictures of all screens in the directory.

Usage: desktop.py SPONDEE_PROGRAM DIRECTORY
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 60
PASSWORD = "a rose by any other name"
PEOPLE = ("juliet", "romeo", "mercutio")


# Outside: namespaces.

def outside(program, directory):
    directory.mkdir(parents=True, exist_ok=True)
    stage = directory / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    certificates = stage / "certs"
    trusted = stage / "trusted"
    for path in (certificates, trusted):
        path.mkdir(parents=True)
    stage.chmod(0o700)
    key, certificate = certificates / "localhost.key", certificates / "localhost.crt"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", key, "-out", certificate)
    key.chmod(0o600)
    shutil.copy(certificate, trusted / "localhost.crt")
    shutil.copy(certificate, trusted / "ca-certificates.crt")
    run("openssl", "rehash", trusted)
    me = Path(__file__).resolve()
    # Root of a world of its own first, who mounts; then somebody in it, because Gajim does not run as root.
    script = """
        set -eu
        ip link set lo up
        mount --bind "$1" /etc/ssl/certs
        exec unshare --user --map-user=1000 --map-group=1000 dbus-run-session -- "$2" "$3" --inside "$4" "$5"
    """
    os.execvp("unshare", [
        "unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
        "bash", "-c", script, "bash",
        str(trusted), sys.executable, str(me), str(program.resolve()), str(directory.resolve()),
    ])


def run(*command, **options):
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert ended.returncode == 0, f"{command[:4]}: {ended.returncode}: {ended.stderr}"
    return ended.stdout


def until(what, holds, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"never: {what}")
        time.sleep(0.2)


# Inside: the server.

class Server:
    def __init__(self, program, stage):
        self.program = program
        self.config = stage / "spondee.toml"
        self.log = stage / "log"
        self.config.write_text(f"""
data_directory = {json.dumps(str(stage / "data"))}
certificates = {json.dumps(str(stage / "certs"))}
interfaces = ["127.0.0.1"]
c2s_ports = [5222]
c2s_direct_tls_ports = [5223]
threads = 2
[host."localhost"]
""")
        for name in PEOPLE:
            self.command("user", "add", f"{name}@localhost", input=PASSWORD + "\n")
        self.process = subprocess.Popen([program, "--config", self.config, "serve"], stdout=self.log.open("w"),
                                        stderr=subprocess.STDOUT)
        until("a server", lambda: self.log.read_text().count("listening on") == 2)

    def command(self, *words, **options):
        return run(self.program, "--config", self.config, *words, **options)

    def signed_in(self, name):
        until(f"{name} signed in", lambda: f"signed in account={name}@localhost" in self.log.read_text())

    def show(self, name):
        return self.command("user", "show", f"{name}@localhost")


# Inside: what each client is like.

class Client:
    """A client with a home and a screen of its own."""

    def __init__(self, stage, name):
        self.name = name
        self.home = stage / type(self).__name__.lower()
        self.home.mkdir()
        self.said = (self.home / "said").open("w")
        self.environment = {
            "HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "USER": name,
            "DBUS_SESSION_BUS_ADDRESS": os.environ["DBUS_SESSION_BUS_ADDRESS"], "GTK_A11Y": "atspi",
            "GSK_RENDERER": "cairo", "GDK_BACKEND": "x11", "GTK_MODULES": "gail:atk-bridge", "XDG_RUNTIME_DIR": str(self.home),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        # The screen says which number it found free.
        numbers, number = os.pipe()
        screen = ["Xvfb", "-displayfd", str(number), "-screen", "0", "1000x700x24", "-nolisten", "tcp"]
        self.processes = [subprocess.Popen(screen, env=self.environment, stdout=self.said, stderr=self.said, pass_fds=[number])]
        os.close(number)
        with os.fdopen(numbers) as numbers:
            self.environment["DISPLAY"] = ":" + numbers.readline().strip()

    def spawn(self, *command):
        process = subprocess.Popen([str(word) for word in command], env=self.environment, cwd=self.home,
                                   stdout=self.said, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def end(self):
        """The screen last, and in good order: it leaves a lock behind otherwise."""
        for process in reversed(self.processes):
            process.terminate()
            process.wait()

    def run(self, *command):
        """Runs it to its end; what it printed."""
        return run(*command, env=self.environment, cwd=self.home, timeout=PATIENCE)

    def picture(self, path):
        self.run("import", "-window", "root", path)

    # What a person does who sees the screen.

    def widgets(self):
        """Everything in its windows, as screen readers see it."""
        from gi.repository import Atspi
        desktop = Atspi.get_desktop(0)
        found = [desktop.get_child_at_index(i) for i in range(desktop.get_child_count())]
        found = [program for program in found if program.get_name() == self.accessible]
        while found:
            widget = found.pop()
            yield widget
            children = [widget.get_child_at_index(i) for i in range(widget.get_child_count())]
            found += [child for child in reversed(children) if child is not None]

    def press(self, name):
        """Presses the first button that is called so, as soon as there is one."""
        def button():
            buttons = (w for w in self.widgets() if w.get_role_name() == "push button" and w.get_name() == name)
            return next(buttons, None)
        until(f"a button {name} in {self.accessible}", button).do_action(0)

    def action(self, name, *parameters):
        """An action that its menus have, by the interface of GTK for them."""
        from gi.repository import GLib
        self.call(self.bus_name, "/" + self.bus_name.replace(".", "/"), "org.gtk.Actions", "Activate",
                  GLib.Variant("(sava{sv})", (name, list(parameters), {})))

    def call(self, name, path, interface, method, arguments):
        from gi.repository import Gio
        bus = Gio.bus_get_sync(Gio.BusType.SESSION)
        return bus.call_sync(name, path, interface, method, arguments, None, 0, PATIENCE * 1000, None).unpack()

    def settings_of(self, program, path, tables):
        """Lets a program make its file of settings, and ends it again. A connection to that file."""
        first = self.spawn(program)
        def made():
            if not path.exists():
                return False
            with sqlite3.connect(path) as file:
                return tables <= {name for name, in file.execute("select name from sqlite_master")}
        until(f"settings in {path}", made)
        # It writes them when it is done with starting.
        time.sleep(3)
        first.terminate()
        first.wait()
        self.processes.remove(first)
        return sqlite3.connect(path)


class Gajim(Client):
    accessible = "org.gajim.Gajim"
    bus_name = "org.gajim.Gajim"

    def start(self):
        account = {
            "name": self.name, "hostname": "localhost", "account_label": self.name, "resource": "gajim",
            "password": PASSWORD, "savepass": True, "active": True, "autoconnect": True,
        }
        settings = {"use_keyring": False, "remote_control": True, "check_for_update": False}
        file = self.settings_of("gajim", self.home / ".config/gajim/settings.sqlite", {"settings", "account_settings"})
        with file:
            file.execute("update settings set settings = ? where name = 'app'", [json.dumps(settings)])
            file.execute("insert into account_settings (account, settings) values ('localhost', ?)",
                         [json.dumps({"account": account, "contact": {}, "group_chat": {}})])
        file.close()
        self.spawn("gajim")

    def add(self, name):
        self.run("gajim", f"xmpp:{name}@localhost?roster")
        self.finish_adding()

    def accept(self, _name):
        self.press("Accept")
        # It offers to ask in turn.
        self.finish_adding()

    def finish_adding(self):
        # It asks what that address is, and tells people from rooms and gateways by the answer.
        self.press("Next")
        self.press("Add Contact")

    def remote(self, method, arguments):
        return self.call(self.bus_name, "/org/gajim/dbus/RemoteObject", "org.gajim.dbus.RemoteInterface", method, arguments)

    def say(self, show, status):
        from gi.repository import GLib
        self.remote("change_status", GLib.Variant("(sss)", (show, status, "localhost")))

    def sees(self, name, show, status):
        from gi.repository import GLib
        contacts = self.remote("list_contacts", GLib.Variant("(s)", ("localhost",)))[0]
        for contact in contacts:
            if contact["jid"] == f"{name}@localhost":
                return contact["show"] == show and status in [said for _, said in contact["resources"]]
        return False


class Dino(Client):
    accessible = "dino-im"
    bus_name = "im.dino.Dino"

    def start(self):
        self.file = self.home / ".local/share/dino/dino.db"
        file = self.settings_of("dino-im", self.file, {"account", "conversation", "roster"})
        with file:
            file.execute("insert into account (bare_jid, resourcepart, password, alias, enabled, mam_earliest_synced)"
                         " values (?, 'dino', ?, '', 1, 0)", [f"{self.name}@localhost", PASSWORD])
        file.close()
        self.spawn("dino-im", "--print-xmpp=all")

    def rows(self, query, *values):
        with sqlite3.connect(self.file) as file:
            return file.execute(query, values).fetchall()

    def accept(self, name):
        """Dino shows a request in a conversation; who accepts it asks in turn."""
        from gi.repository import GLib
        def conversation():
            return self.rows("select conversation.id from conversation join jid on jid.id = jid_id where bare_jid = ?",
                             f"{name}@localhost")
        (number,), = until(f"a conversation with {name}", conversation)
        self.action("open-conversation", GLib.Variant("i", number))
        self.press("Accept")
        until(f"{name} is in Dino's roster", lambda: self.rows("select 1 from roster where jid = ?", f"{name}@localhost"))

    def look_at_contacts(self):
        """The dialog that lists them, in colour who is there."""
        self.action("add_chat")
        until("a list of contacts", lambda: any(w.get_name() == "Start Conversation" for w in self.widgets()))
        time.sleep(1)

    def sees(self, name, show, status):
        """Dino keeps presence to itself, so by what it read, and by what it keeps of the subscription."""
        both = self.rows("select 1 from roster where jid = ? and subscription = 'both'", f"{name}@localhost")
        said = (self.home / "said").read_text(errors="replace").split(":presence ")
        last = [part for part in said if f":from='{name}@localhost/" in part.split(">")[0]][-1:]
        return bool(both and last) and all(word in last[0] for word in (status, "" if show == "online" else show))


class Profanity(Client):
    def start(self):
        accounts = self.home / ".local/share/profanity/accounts"
        accounts.parent.mkdir(parents=True)
        accounts.write_text(f"[{self.name}@localhost]\nenabled=true\njid={self.name}@localhost\nresource=profanity\n"
                            f"password={PASSWORD}\ntls.policy=force\n")
        self.tmux("new-session", "-d", "-x", "110", "-y", "40", "profanity", "-a", f"{self.name}@localhost")

    def tmux(self, *command):
        return self.run("tmux", "-S", self.home / "tmux", "-f", "/dev/null", *command)

    def type(self, line):
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    def shown(self):
        return self.tmux("capture-pane", "-p", "-S", "-2000")

    def end(self):
        subprocess.run(["tmux", "-S", str(self.home / "tmux"), "kill-server"], check=False, capture_output=True)
        super().end()

    def picture(self, path):
        path.with_suffix(".txt").write_text(self.tmux("capture-pane", "-p"))

    def add(self, name):
        self.type(f"/sub request {name}@localhost")

    def accept(self, name):
        until(f"{name}'s request", lambda: f"authorization request from {name}@localhost" in self.shown())
        self.type(f"/sub allow {name}@localhost")

    def say(self, show, status):
        self.type(f'/status set {show} "{status}"')

    def sees(self, name, show, status):
        self.type(f"/info {name}@localhost")
        time.sleep(1)
        shown = self.shown().split("Resources:")[-1]
        return f"{show}" in shown and status in shown


def inside(program, directory):
    import gi
    gi.require_version("Atspi", "2.0")
    stage = directory / "stage"
    server = Server(program, stage)
    juliet, romeo, mercutio = Gajim(stage, "juliet"), Dino(stage, "romeo"), Profanity(stage, "mercutio")
    people = (juliet, romeo, mercutio)
    try:
        for person in people:
            person.start()
            server.signed_in(person.name)
        pictures(directory, "1-signed-in", people)

        # Each adds somebody by its own means, and each is asked.
        juliet.add("romeo")
        time.sleep(2)
        pictures(directory, "2-juliet-asks-romeo", people)
        romeo.accept("juliet")
        mercutio.add("juliet")
        time.sleep(2)
        pictures(directory, "3-mercutio-asks-juliet", people)
        juliet.accept("mercutio")
        mercutio.accept("juliet")
        mercutio.add("romeo")
        romeo.accept("mercutio")
        mercutio.accept("romeo")

        juliet.say("dnd", "on the balcony")
        mercutio.say("away", "a plague on both")
        for who, whom, show, status in (
            (juliet, "romeo", "online", ""), (juliet, "mercutio", "away", "a plague on both"),
            (romeo, "juliet", "dnd", "on the balcony"), (romeo, "mercutio", "away", "a plague on both"),
            (mercutio, "juliet", "dnd", "on the balcony"), (mercutio, "romeo", "online", ""),
        ):
            until(f"{who.name} sees {whom} {show} {status}", lambda: who.sees(whom, show, status))
            print(f"{type(who).__name__} sees {whom} {show} {status}", flush=True)
        romeo.look_at_contacts()
        mercutio.type("/roster")
        time.sleep(1)
        pictures(directory, "4-all-see-each-other", people)
    except BaseException:
        pictures(directory, "9-failed", people)
        print(server.log.read_text(), *(server.show(name) for name in PEOPLE), sep="\n")
        raise
    finally:
        for person in people:
            person.end()
        server.process.terminate()
        server.process.wait()
    return 0


def pictures(directory, moment, people):
    for person in people:
        person.picture(directory / f"{moment}-{type(person).__name__.lower()}.png")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "--inside":
        sys.exit(inside(Path(arguments[1]), Path(arguments[2])))
    outside(Path(arguments[0]), Path(arguments[1]))
