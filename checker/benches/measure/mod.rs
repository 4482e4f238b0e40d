//! What a check costs: processor time, and memory above what was held before.

#![allow(dead_code, reason = "no benchmark needs all of it")]

pub(crate) mod report;

use std::{
    alloc::{GlobalAlloc, Layout},
    sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed},
    time::Duration,
};

use cpu_time::ThreadTime;

/// The allocator of the `checker` command, which counts when told to: counting takes as long as
/// many an allocation.
pub(crate) struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whether somebody wants to know.
static COUNTS: AtomicBool = AtomicBool::new(false);

/// Bytes asked for and not given back since then, and the most of them. What is given back may have
/// been there before.
static HELD: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

fn took(bytes: usize) {
    if COUNTS.load(Relaxed) {
        let bytes = bytes.cast_signed();
        PEAK.fetch_max(HELD.fetch_add(bytes, Relaxed) + bytes, Relaxed);
    }
}

fn gave_back(bytes: usize) {
    if COUNTS.load(Relaxed) {
        HELD.fetch_sub(bytes.cast_signed(), Relaxed);
    }
}

#[allow(unsafe_code, reason = "an allocator cannot be written without; this one only counts")]
// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { mimalloc::MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it is copied, both may be there.
        took(size);
        gave_back(layout.size());
        unsafe { mimalloc::MiMalloc.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave_back(layout.size());
        unsafe { mimalloc::MiMalloc.dealloc(pointer, layout) }
    }
}

/// What some work cost.
pub(crate) struct Cost {
    /// Processor time of the thread: the median of all rounds.
    pub(crate) median: Duration,
    /// Bytes held beside what was there before, at most.
    pub(crate) peak: usize,
}

/// Does the work so many times, the first time to see how much memory it takes, and not for its
/// time unless it is the only one; the cost, and what the last round gave.
pub(crate) fn measure<T>(rounds: usize, mut work: impl FnMut() -> T) -> (Cost, T) {
    HELD.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    COUNTS.store(true, Relaxed);
    let start = ThreadTime::now();
    let mut result = work();
    let counted = start.elapsed();
    COUNTS.store(false, Relaxed);
    let mut times = Vec::with_capacity(rounds);
    for _ in 1..rounds {
        drop(result);
        let start = ThreadTime::now();
        result = work();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or(counted);
    (Cost { median, peak: PEAK.load(Relaxed).unsigned_abs() }, result)
}
