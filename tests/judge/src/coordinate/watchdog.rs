//! Workers that hang.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// A worker without output for this long hangs.
const SILENCE: Duration = Duration::from_secs(30);

/// Kills a worker that hangs.
pub(super) struct Watchdog {
    heard: Arc<Mutex<Instant>>,
    barked: Arc<AtomicBool>,
    done: Option<mpsc::Sender<()>>,
}

impl Watchdog {
    pub(super) fn new(pid: u32) -> Watchdog {
        let (done, is_done) = mpsc::channel();
        let dog = Watchdog { heard: Arc::new(Mutex::new(Instant::now())), barked: Arc::default(), done: Some(done) };
        let (heard, barked) = (dog.heard.clone(), dog.barked.clone());
        std::thread::spawn(move || {
            while is_done.recv_timeout(Duration::from_millis(200)) == Err(mpsc::RecvTimeoutError::Timeout) {
                if heard.lock().is_ok_and(|heard| heard.elapsed() > SILENCE) {
                    barked.store(true, SeqCst);
                    // SAFETY: the worker's own process id; it is reaped only after this thread was
                    // told to stop.
                    unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
                    return;
                }
            }
        });
        dog
    }

    pub(super) fn heard(&self) {
        if let Ok(mut heard) = self.heard.lock() {
            *heard = Instant::now();
        }
    }

    pub(super) fn barked(&self) -> bool {
        self.barked.load(SeqCst)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.take();
    }
}
