//! What a check costs: processor time, and memory above what was held before.

#![allow(dead_code, reason = "no benchmark needs all of it")]

pub(crate) mod report;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use cpu_time::ThreadTime;

/// The system's allocator, which counts.
pub(crate) struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes asked for and not given back, and the most of them since somebody looked.
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    PEAK.fetch_max(HELD.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

#[allow(unsafe_code, reason = "an allocator cannot be written without; this one only counts")]
// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it is copied, both may be there.
        took(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What some work cost.
pub(crate) struct Cost {
    /// Processor time of the thread: the median of all rounds.
    pub(crate) median: Duration,
    /// Bytes held beside what was there before, at most.
    pub(crate) peak: usize,
}

/// Does the work several times; the cost, and what the last round gave.
pub(crate) fn measure<T>(rounds: usize, mut work: impl FnMut() -> T) -> (Cost, T) {
    let mut times = Vec::with_capacity(rounds);
    let mut peak = 0;
    let mut round = || {
        let before = HELD.load(Relaxed);
        PEAK.store(before, Relaxed);
        let start = ThreadTime::now();
        let result = work();
        times.push(start.elapsed());
        peak = peak.max(PEAK.load(Relaxed).saturating_sub(before));
        result
    };
    for _ in 1..rounds {
        round();
    }
    let result = round();
    times.sort_unstable();
    (Cost { median: times[times.len() / 2], peak }, result)
}
