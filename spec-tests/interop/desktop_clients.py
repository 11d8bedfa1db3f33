"""Gajim, Dino and profanity, each as a person at a desk of its own uses it; desktop.py says what they do."""

import json
import os
import sqlite3
import subprocess
import time

PATIENCE = 60
PASSWORD = "a rose by any other name"


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


def end(processes):
    while processes:
        process = processes.pop()
        process.terminate()
        process.wait()


class Client:
    """A client with a home and a screen of its own. A further one of its kind has a bus of its own, too, or it would find the first."""

    def __init__(self, stage, name, device=""):
        self.name = name
        self.device = type(self).__name__.lower() + device
        self.home = stage / self.device
        self.home.mkdir()
        self.said = (self.home / "said").open("w")
        self.environment = {
            "HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "USER": name,
            "DBUS_SESSION_BUS_ADDRESS": os.environ["DBUS_SESSION_BUS_ADDRESS"], "GTK_A11Y": "atspi",
            "GSK_RENDERER": "cairo", "GDK_BACKEND": "x11", "GTK_MODULES": "gail:atk-bridge", "XDG_RUNTIME_DIR": str(self.home),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        self.programs = []
        self.desk = []
        # The screen says which number it found free.
        self.environment["DISPLAY"] = ":" + self.furnish("Xvfb", "-screen", "0", "1000x700x24", "-nolisten", "tcp", "-displayfd", "{}")
        if device:
            self.environment["DBUS_SESSION_BUS_ADDRESS"] = self.furnish("dbus-daemon", "--session", "--nofork", "--print-address={}")

    def furnish(self, *command):
        """Starts what writes to a descriptor, {}, where it is to be found. What it writes."""
        answers, answer = os.pipe()
        self.desk.append(subprocess.Popen([word.format(answer) for word in command], env=self.environment, stdout=self.said,
                                          stderr=self.said, pass_fds=[answer]))
        os.close(answer)
        with os.fdopen(answers) as answers:
            return answers.readline().strip()

    def spawn(self, *command):
        process = subprocess.Popen([str(word) for word in command], env=self.environment, cwd=self.home,
                                   stdout=self.said, stderr=subprocess.STDOUT)
        self.programs.append(process)
        return process

    def leave(self):
        """Ends the program; `come_back` starts it again at the same desk."""
        end(self.programs)

    def end(self):
        """The screen last, and in good order: it leaves a lock behind otherwise."""
        self.leave()
        end(self.desk)

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

    def type(self, line):
        """Where the pointer is, at the place to write of a client that fills the upper part of the screen."""
        self.run("xdotool", "mousemove", *self.place_to_write, "click", "1", "sleep", "1", "type", "--delay", "30", line)
        self.run("xdotool", "key", "Return")

    def rows(self, query, *values):
        with sqlite3.connect(self.file) as file:
            return file.execute(query, values).fetchall()

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
        self.spawn(program)
        def made():
            if not path.exists():
                return False
            with sqlite3.connect(path) as file:
                return tables <= {name for name, in file.execute("select name from sqlite_master")}
        until(f"settings in {path}", made)
        # It writes them when it is done with starting.
        time.sleep(3)
        self.leave()
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
        self.file = self.home / ".local/share/gajim/logs.db"
        file = self.settings_of("gajim", self.home / ".config/gajim/settings.sqlite", {"settings", "account_settings"})
        with file:
            file.execute("update settings set settings = ? where name = 'app'", [json.dumps(settings)])
            file.execute("insert into account_settings (account, settings) values ('localhost', ?)",
                         [json.dumps({"account": account, "contact": {}, "group_chat": {}})])
        file.close()
        self.come_back()

    def come_back(self):
        self.spawn("gajim")

    def write(self, name, line):
        from gi.repository import GLib
        self.remote("send_chat_message", GLib.Variant("(sss)", (f"{name}@localhost", line, "localhost")))

    def open(self, name):
        self.run("gajim", f"xmpp:{name}@localhost?message")

    def has(self):
        """All lines of all conversations that it knows, in order."""
        return [line for line, in self.rows("select message from logs where message is not null order by time, log_line_id")]

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
        self.come_back()

    def come_back(self):
        self.spawn("dino-im", "--print-xmpp=all")

    place_to_write = ("600", "350")

    def write(self, name, line):
        self.open(name)
        time.sleep(1)
        self.type(line)

    def has(self):
        """All lines of all conversations that it shows, in order."""
        return [line for line, in self.rows(
            "select body from content_item join message on message.id = foreign_id where content_type = 1"
            " order by content_item.time, content_item.id")]

    def conversation(self, name):
        return self.rows("select conversation.id from conversation join jid on jid.id = jid_id where bare_jid = ?",
                         f"{name}@localhost")

    def open(self, name):
        from gi.repository import GLib
        (number,), = until(f"a conversation with {name}", lambda: self.conversation(name))
        self.action("open-conversation", GLib.Variant("i", number))

    def accept(self, name):
        """Dino shows a request in a conversation; who accepts it asks in turn."""
        self.open(name)
        self.press("Accept")
        until(f"{name} is in Dino's roster", lambda: self.rows("select 1 from roster where jid = ?", f"{name}@localhost"))

    def look_at_first(self):
        """The first of its conversations."""
        self.run("xdotool", "mousemove", "150", "90", "click", "1")
        time.sleep(2)

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
        self.come_back()

    def come_back(self):
        self.tmux("new-session", "-d", "-x", "110", "-y", "40", "profanity", "-a", f"{self.name}@localhost")

    def leave(self):
        self.type("/quit")
        until("profanity ends", lambda: subprocess.run(
            ["tmux", "-S", str(self.home / "tmux"), "has-session"], check=False, capture_output=True).returncode != 0)

    def write(self, name, line):
        self.type(f"/msg {name}@localhost {line}")

    def tmux(self, *command):
        return self.run("tmux", "-S", self.home / "tmux", "-f", "/dev/null", *command)

    def type(self, line):
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    def shown(self):
        return self.tmux("capture-pane", "-p", "-S", "-2000")

    def end(self):
        subprocess.run(["tmux", "-S", str(self.home / "tmux"), "kill-server"], check=False, capture_output=True)
        end(self.desk)

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
