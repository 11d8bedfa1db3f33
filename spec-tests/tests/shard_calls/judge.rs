//! Which calls a shard's thread may make, and why none of them waits for anybody but the poller.

use std::collections::{BTreeMap, HashMap};

use spec_tests::strace::Moment;

/// A call that is allowed, and why it does not wait.
struct Allowed {
    call: &'static str,
    /// What its arguments must be.
    only: fn(&Moment<'_>) -> bool,
    why: &'static str,
}

const fn always(_: &Moment<'_>) -> bool {
    true
}

/// Whether an argument, wherever it stands, is made of these words.
fn says(moment: &Moment<'_>, word: &str) -> bool {
    let mut arguments = moment.arguments.iter();
    arguments.any(|argument| argument.split('|').any(|one| one == word))
}

fn is(moment: &Moment<'_>, kind: &str) -> bool {
    moment
        .descriptor(0)
        .is_ok_and(|(_, what)| what.starts_with(kind))
}

fn is_socket(moment: &Moment<'_>) -> bool {
    is(moment, "socket:")
}

/// Where glibc's allocator looks, once each in the life of a process: how many processors there are, when the ninth thread asks it
/// for memory, and how memory is to be given back, when it first does. They are on no disk: the kernel makes them up.
const KERNELS_FILES: [&str; 2] = [
    "/sys/devices/system/cpu/online",
    "/proc/sys/vm/overcommit_memory",
];

fn is_kernels(moment: &Moment<'_>) -> bool {
    KERNELS_FILES.iter().any(|file| is(moment, file))
}

fn is_bell(moment: &Moment<'_>) -> bool {
    is(moment, "anon_inode:[eventfd]")
}

const ALLOWED: &[Allowed] = &[
    Allowed {
        call: "epoll_wait",
        only: always,
        why: "the one place it sleeps in",
    },
    Allowed {
        call: "epoll_ctl",
        only: always,
        why: "changes what the poller looks at, at once",
    },
    // Before the call, strace does not show the flags yet.
    Allowed {
        call: "accept4",
        only: |moment| {
            is_socket(moment) && (moment.result.is_none() || says(moment, "SOCK_NONBLOCK"))
        },
        why: "on listeners that do not block; nor do the sockets it makes",
    },
    Allowed {
        call: "ppoll",
        only: |moment| says(moment, "{tv_sec=0") && says(moment, "tv_nsec=0}"),
        why: "looks whether somebody is to be accepted, and does not wait",
    },
    Allowed {
        call: "recvfrom",
        only: is_socket,
        why: "on sockets that do not block",
    },
    Allowed {
        call: "sendto",
        only: is_socket,
        why: "on sockets that do not block",
    },
    Allowed {
        call: "shutdown",
        only: is_socket,
        why: "sends what ends the connection, or notes that it is to be sent",
    },
    Allowed {
        call: "close",
        only: |moment| is_socket(moment) || is(moment, "anon_inode:") || is_kernels(moment),
        why: "no socket lingers",
    },
    Allowed {
        call: "setsockopt",
        only: |moment| {
            let options = ["TCP_NODELAY", "TCP_NOTSENT_LOWAT", "SO_KEEPALIVE"];
            options.iter().any(|option| says(moment, option))
        },
        why: "sets a number",
    },
    Allowed {
        call: "write",
        only: is_bell,
        why: "rings another thread's poller; its counter is far from full",
    },
    Allowed {
        call: "read",
        only: |moment| is_bell(moment) || is_kernels(moment),
        why: "resets a bell",
    },
    Allowed {
        call: "openat",
        only: |moment| {
            let path = moment.argument(1).unwrap_or_default();
            KERNELS_FILES.contains(&path.trim_matches('"'))
        },
        why: "the allocator asks the kernel, which keeps the answer on no disk",
    },
    Allowed {
        call: "futex",
        only: always,
        why: "wakes a thread, or waits for a lock whose holder makes no call: that is looked at, too",
    },
    Allowed {
        call: "mmap",
        only: |moment| says(moment, "MAP_ANONYMOUS"),
        why: "memory for the allocator",
    },
    Allowed {
        call: "munmap",
        only: always,
        why: "memory of the allocator",
    },
    Allowed {
        call: "mremap",
        only: always,
        why: "memory of the allocator",
    },
    Allowed {
        call: "mprotect",
        only: always,
        why: "memory of the allocator, and the guard of a stack",
    },
    Allowed {
        call: "madvise",
        only: always,
        why: "memory of the allocator, and a stack that is not needed any more",
    },
    Allowed {
        call: "brk",
        only: always,
        why: "memory for the allocator",
    },
    Allowed {
        call: "getrandom",
        only: always,
        why: "for TLS; waits only until the system has its first randomness, which the start waited for",
    },
    Allowed {
        call: "fcntl",
        only: |moment| says(moment, "F_GETFD"),
        why: "Rust asks whether what it is to close is open, in builds for debugging",
    },
    Allowed {
        call: "rt_sigreturn",
        only: always,
        why: "back from a signal, which sends one byte to the main thread and does not wait",
    },
    Allowed {
        call: "rseq",
        only: always,
        why: "the thread begins",
    },
    Allowed {
        call: "set_robust_list",
        only: always,
        why: "the thread begins",
    },
    Allowed {
        call: "rt_sigprocmask",
        only: always,
        why: "the thread begins or ends",
    },
    Allowed {
        call: "prctl",
        only: |moment| says(moment, "PR_SET_NAME"),
        why: "the thread begins",
    },
    Allowed {
        call: "sched_getaffinity",
        only: always,
        why: "the thread begins: where its stack ends",
    },
    Allowed {
        call: "gettid",
        only: always,
        why: "the thread begins",
    },
    Allowed {
        call: "sigaltstack",
        only: always,
        why: "the thread begins or ends",
    },
    Allowed {
        call: "exit",
        only: always,
        why: "the thread ends",
    },
];

/// Calls that whoever holds a lock may make: those for memory, and those that wake who waits for it.
const WITH_LOCK: &[&str] = &[
    "futex", "mmap", "munmap", "mremap", "mprotect", "madvise", "brk",
];

/// Goes through the trace of a server and finds what its shards' threads should not do.
#[derive(Debug)]
pub(crate) struct Judge {
    shards: Vec<u32>,
    counts: BTreeMap<&'static str, usize>,
    /// By thread: the lock that it waits for.
    waits: HashMap<u32, Wait>,
    pub(crate) lock_waits: usize,
    /// By thread: calls that have begun, and what was sent by shards meanwhile.
    under_way: HashMap<u32, Busy>,
    /// How much shards sent while others were in such a call at the longest.
    pub(crate) sent_during: BTreeMap<&'static str, usize>,
    pub(crate) faults: Vec<String>,
}

#[derive(Debug)]
struct Wait {
    line: usize,
    lock: String,
    /// What other threads called meanwhile, in order.
    meanwhile: Vec<(u32, String)>,
    /// Who let go of the lock.
    holder: Option<u32>,
}

#[derive(Debug)]
struct Busy {
    kind: &'static str,
    sent: usize,
}

impl Judge {
    pub(crate) fn new(shards: Vec<u32>) -> Self {
        Self {
            shards,
            counts: BTreeMap::new(),
            waits: HashMap::new(),
            lock_waits: 0,
            under_way: HashMap::new(),
            sent_during: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    pub(crate) fn observe(&mut self, moment: &Moment<'_>) {
        if self.shards.contains(&moment.thread) {
            self.shard(moment);
        } else {
            self.other(moment);
        }
        for (waiting, wait) in &mut self.waits {
            if *waiting != moment.thread {
                wait.see(moment);
            }
        }
        if moment.call == "futex" && says_wait(moment) {
            self.lock(moment);
        }
    }

    fn shard(&mut self, moment: &Moment<'_>) {
        let rule = ALLOWED.iter().find(|allowed| allowed.call == moment.call);
        match rule {
            Some(rule) if (rule.only)(moment) => {
                if moment.result.is_none() {
                    *self.counts.entry(rule.call).or_default() += 1;
                }
            }
            Some(_) | None => self.faults.push(format!(
                "line {}: {}({})",
                moment.line,
                moment.call,
                moment.arguments.join(", ")
            )),
        }
        if moment.call == "sendto" && moment.result.is_some_and(|sent| sent > 0) {
            for busy in self.under_way.values_mut() {
                busy.sent += 1;
            }
        }
    }

    /// Calls of other threads that may take as long as they like.
    fn other(&mut self, moment: &Moment<'_>) {
        let kind = match moment.call {
            "fsync" | "fdatasync" => "a sync of the disk",
            "write" if is(moment, "/") && moment.descriptor(0).is_ok_and(|(fd, _)| fd == 2) => {
                "a write to the log"
            }
            "sendto" if is_socket(moment) => "an answer of the control socket",
            _ => return,
        };
        if moment.result.is_none() {
            // One that a signal interrupted begins again.
            let busy = self.under_way.entry(moment.thread);
            busy.or_insert(Busy { kind, sent: 0 });
        } else if let Some(busy) = self.under_way.remove(&moment.thread) {
            self.over(&busy);
        }
    }

    fn over(&mut self, busy: &Busy) {
        let most = self.sent_during.entry(busy.kind).or_default();
        *most = busy.sent.max(*most);
    }

    /// The trace is over, and with it the calls that never came back.
    pub(crate) fn end(&mut self) {
        for busy in std::mem::take(&mut self.under_way).into_values() {
            self.over(&busy);
        }
    }

    /// Whoever ends the wait for a lock is who held it, and has called nothing meanwhile.
    fn lock(&mut self, moment: &Moment<'_>) {
        let shard = self.shards.contains(&moment.thread);
        match moment.result {
            None if shard => {
                let lock = moment.arguments.first().copied().unwrap_or_default();
                let wait = Wait {
                    line: moment.line,
                    lock: lock.to_owned(),
                    meanwhile: Vec::new(),
                    holder: None,
                };
                self.waits.insert(moment.thread, wait);
            }
            Some(_) if shard => {
                let Some(wait) = self.waits.remove(&moment.thread) else {
                    return;
                };
                // Free again before the call, however late that is seen: it did not wait.
                if moment.result != Some(0) {
                    return;
                }
                self.lock_waits += 1;
                if let Some(call) = wait.holders_call() {
                    self.faults.push(format!(
                        "line {}: waits for a lock whose holder calls {call}",
                        wait.line
                    ));
                }
            }
            None | Some(_) => {}
        }
    }

    /// The calls with their number and reason.
    pub(crate) fn table(&self) -> String {
        let rows = self.counts.iter().map(|(call, count)| {
            let why = ALLOWED.iter().find(|allowed| allowed.call == *call);
            let why = why.map_or("", |allowed| allowed.why);
            format!("{count:7} {call:17} {why}\n")
        });
        rows.collect()
    }

    pub(crate) fn count(&self, call: &str) -> usize {
        self.counts.get(call).copied().unwrap_or_default()
    }
}

fn says_wait(moment: &Moment<'_>) -> bool {
    let mut arguments = moment.arguments.iter();
    arguments.any(|argument| argument.starts_with("FUTEX_WAIT"))
}

impl Wait {
    fn see(&mut self, moment: &Moment<'_>) {
        // What comes behind that, the holder does without the lock.
        if self.holder.is_some() {
            return;
        }
        match moment.result {
            None => self.meanwhile.push((moment.thread, moment.call.to_owned())),
            Some(woken) => {
                let lets_go = moment.call == "futex" && !says_wait(moment);
                let lock = moment.arguments.first().copied();
                if lets_go && woken > 0 && lock == Some(&self.lock) {
                    self.holder = Some(moment.thread);
                }
            }
        }
    }

    /// A call that the holder made with the lock.
    fn holders_call(&self) -> Option<&str> {
        let holder = self.holder?;
        let calls = self.meanwhile.iter().filter(|(who, _)| *who == holder);
        calls
            .map(|(_, call)| call.as_str())
            .find(|call| !WITH_LOCK.contains(call))
    }
}

#[cfg(test)]
mod tests {
    use spec_tests::strace::read;

    use super::*;

    /// Shard 7 beside thread 8.
    fn judge(trace: &str) -> Judge {
        let mut judge = Judge::new(vec![7]);
        let read = read(trace.as_bytes(), |moment| {
            judge.observe(&moment);
            Ok(())
        });
        assert_eq!(read, Ok(()));
        judge.end();
        judge
    }

    #[test]
    fn what_a_shard_may_not_do_is_found() {
        for (line, good) in [
            ("write(14<anon_inode:[eventfd]>, \"\"..., 8) = 8", true),
            ("write(2</log>, \"\"..., 8) = 8", false),
            ("write(2<pipe:[5]>, \"\"..., 8) = 8", false),
            (
                "openat(AT_FDCWD</x>, \"/etc/hosts\", O_RDONLY) = 9</x>",
                false,
            ),
            (
                "recvfrom(9<socket:[5]>, \"\"..., 8, 0, NULL, NULL) = 8",
                true,
            ),
            ("connect(9<socket:[5]>, {sa_family=AF_INET}, 16) = 0", false),
            (
                "mmap(NULL, 8, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f00",
                true,
            ),
            (
                "mmap(NULL, 8, PROT_READ, MAP_SHARED, 6</x>, 0) = 0x7f00",
                false,
            ),
            (
                "accept4(9<socket:[5]>, {sa_family=AF_INET}, [16], SOCK_CLOEXEC|SOCK_NONBLOCK) = 5<socket:[6]>",
                true,
            ),
            (
                "accept4(9<socket:[5]>, {sa_family=AF_INET}, [16], SOCK_CLOEXEC) = 5<socket:[6]>",
                false,
            ),
            (
                "setsockopt(9<socket:[5]>, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=9}, 8) = 0",
                false,
            ),
            ("nanosleep({tv_sec=1, tv_nsec=0}, NULL) = 0", false),
        ] {
            let faults = judge(&format!("7 {line}\n8 {line}\n")).faults;
            assert_eq!(faults.is_empty(), good, "{line}: {faults:?}");
        }
    }

    #[test]
    fn a_lock_whose_holder_calls_something_is_found() {
        let held = |call: &str| {
            format!(
                "7 futex(0x10, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>\n\
                 9 fsync(4</x>) = 0\n\
                 8 {call}\n\
                 8 futex(0x10, FUTEX_WAKE_PRIVATE, 1) = 1\n\
                 8 close(5</x>) = 0\n\
                 7 <... futex resumed>) = 0\n"
            )
        };
        let good = judge(&held("munmap(0x10, 8) = 0"));
        assert_eq!((good.faults.len(), good.lock_waits), (0, 1));
        let bad = judge(&held("fsync(4</x>) = 0"));
        assert_eq!(
            bad.faults,
            ["line 1: waits for a lock whose holder calls fsync"]
        );
    }

    #[test]
    fn what_is_sent_while_another_hangs_is_counted() {
        let judge = judge(
            "8 fdatasync(4</x> <unfinished ...>\n\
             9 write(2</pipe>, \"\"..., 5 <unfinished ...>\n\
             7 sendto(9<socket:[5]>, \"\"..., 8, 0, NULL, 0) = 8\n\
             8 <... fdatasync resumed>) = 0\n\
             7 sendto(9<socket:[5]>, \"\"..., 8, 0, NULL, 0) = 8\n\
             9 <... write resumed>) = ?\n",
        );
        assert_eq!(judge.sent_during["a sync of the disk"], 1);
        assert_eq!(judge.sent_during["a write to the log"], 2);
    }
}
