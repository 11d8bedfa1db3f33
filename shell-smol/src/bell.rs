//! What wakes a thread, and says which of its sockets were ready. The reactor may run on any thread, so this is what they share.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// A thread's bell.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    /// Of the thread's only task.
    task: Mutex<Option<Waker>>,
    ready: Mutex<Vec<usize>>,
}

impl Bell {
    /// Called by the task before it waits: whether it was rung since `silence`. From here on `task` is woken.
    pub(crate) fn is_rung(&self, task: &Waker) -> bool {
        let mut known = locked(&self.task);
        if known.as_ref().is_none_or(|known| !known.will_wake(task)) {
            *known = Some(task.clone());
        }
        drop(known);
        self.rung.load(Ordering::Acquire)
    }

    /// Called by the task after it has waited, before it looks what there is.
    pub(crate) fn silence(&self) {
        // Whatever was there before counts as seen: it is looked at next.
        self.rung.swap(false, Ordering::AcqRel);
    }

    /// Puts the sockets that were ready since the last call into `ready`, which is empty.
    pub(crate) fn take(&self, ready: &mut Vec<usize>) {
        std::mem::swap(&mut *locked(&self.ready), ready);
    }

    /// This one is ready.
    fn tell(&self, name: usize) {
        locked(&self.ready).push(name);
        self.ring();
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(task) = &*locked(&self.task)
        {
            task.wake_by_ref();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// Who is told when a socket is ready: it stays with the socket, on whichever thread that is.
pub(crate) struct Watch(Mutex<Option<Watcher>>);

/// A thread, and what it calls the socket.
struct Watcher {
    bell: Arc<Bell>,
    name: usize,
}

impl Watch {
    /// Nobody yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }

    /// From now on this thread is told, by this name.
    pub(crate) fn by(&self, bell: &Arc<Bell>, name: usize) {
        let bell = Arc::clone(bell);
        *locked(&self.0) = Some(Watcher { bell, name });
    }

    /// From now on nobody is.
    pub(crate) fn by_nobody(&self) {
        *locked(&self.0) = None;
    }

    pub(crate) fn tell(&self) {
        if let Some(Watcher { bell, name }) = &*locked(&self.0) {
            bell.tell(*name);
        }
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.tell();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.tell();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// Nothing panics while it holds one of these locks, so a poisoned one still guards a whole state.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
