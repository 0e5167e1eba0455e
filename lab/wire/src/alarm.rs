//! Sleeping to the tenth of a millisecond: the runtime's own clock ticks in whole ones.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel. It costs one descriptor.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// A timer that is not set. To be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// If no descriptor is left.
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: a system call on numbers.
        let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if timer < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else has.
        let timer = unsafe { OwnedFd::from_raw_fd(timer) };
        // SAFETY: the descriptor is owned and never replaced.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self { timer })
    }

    /// Waits until a moment, usually to within 0.1 ms after it. Dropped before it is done, it may
    /// be called again.
    ///
    /// # Errors
    ///
    /// What setting the timer says.
    pub async fn until(&mut self, moment: Instant) -> io::Result<()> {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        self.set(left)?;
        loop {
            let mut guard = self.timer.readable().await?;
            guard.clear_ready();
            // A wake-up of an earlier setting comes before its time.
            if Instant::now() >= moment {
                return Ok(());
            }
        }
    }

    fn set(&self, left: Duration) -> io::Result<()> {
        let left = libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = libc::itimerspec { it_interval: once, it_value: left };
        // SAFETY: `setting` is readable, and no old setting is asked for.
        let outcome = unsafe {
            libc::timerfd_settime(
                self.timer.get_ref().as_raw_fd(),
                0,
                &raw const setting,
                std::ptr::null_mut(),
            )
        };
        if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn it_rings_at_its_time_again_and_again() {
        let mut alarm = Alarm::new().unwrap();
        alarm.until(Instant::now()).await.unwrap();
        let mut late = Vec::new();
        for microseconds in [300, 1300, 2700, 400, 5100, 900, 3300] {
            let moment = Instant::now() + Duration::from_micros(microseconds);
            alarm.until(moment).await.unwrap();
            late.push(Instant::now().saturating_duration_since(moment));
            assert!(Instant::now() >= moment);
        }
        late.sort_unstable();
        // The median: a busy machine may be late once or twice.
        assert!(late[3] < Duration::from_micros(900), "{late:?}");
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_does_not_disturb_the_next() {
        let mut alarm = Alarm::new().unwrap();
        let far = Instant::now() + Duration::from_secs(60);
        assert!(timeout(Duration::from_millis(1), alarm.until(far)).await.is_err());
        let near = Instant::now() + Duration::from_millis(3);
        alarm.until(near).await.unwrap();
        assert!(Instant::now() >= near);
    }
}
