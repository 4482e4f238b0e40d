//! How fast a cluster is simulated and judged, and where the time goes.
//!
//! ```sh
//! cargo bench -p harness --bench simulation              # 5 batches of 100 seeds
//! cargo bench -p harness --bench simulation -- 20 500    # 20 batches of 500
//! ```
//!
//! One thread does what a campaign does for each seed: make the plan, simulate it with every step
//! checked for Raft's safety and situations counted, judge all properties. Time is this thread's
//! processor time, so that other programs disturb little. Numbers are medians over batches, the
//! spread beside them. Each batch has seeds of its own. The parts are then measured alone, on the
//! same evidence. Run without `--bench`, as `cargo test` does, it is one seed, to see that it
//! works.

use std::{hint::black_box, sync::atomic::AtomicBool, time::Duration};

use anyhow::{Context, ensure};
use checker::{
    budget::Limits,
    history::{Kind, operation},
    judge, linear,
    raft::{self, Checker},
    verdict::Outcome,
};
use cpu_time::ThreadTime;
use harness::{
    campaign::Detector,
    cluster::sim::{Simulation, simulate, simulate_observed},
    plan::{self, ClusterKind, Load, Plan, Storage, Timings, World},
    system::System,
    workload::{Workload, register},
};
use proto::trace::Record;

/// That of the `harness` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Five nodes, five clients, a minute, heartbeats every 50 ms, about a thousand operations.
fn plan(seed: u64) -> anyhow::Result<Plan> {
    Plan::generate(plan::Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes: 5,
        seed,
        time: Duration::from_secs(60),
        interval: None,
        menu: FAULTS.parse().map_err(anyhow::Error::msg)?,
        workload: Workload::Register(register::Options::new(20)),
        load: Load::steady(5, 17, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(50),
        },
        storage: Storage::Durable,
        world: World::default(),
    })
}

const FAULTS: &str = "kill,pause,partition,network,disk";

/// What a batch took and did.
#[derive(Default)]
struct Batch {
    plan: Duration,
    simulate: Duration,
    unobserved: Duration,
    judge: Duration,
    online: Duration,
    linear: Duration,
    raft: Duration,
    events: u64,
    operations: usize,
    steps: usize,
    history: usize,
    virtual_time: Duration,
}

impl Batch {
    /// What a campaign spends.
    fn total(&self) -> Duration {
        self.plan + self.simulate + self.judge
    }
}

fn batch(seeds: std::ops::Range<u64>) -> anyhow::Result<Batch> {
    let mut batch = Batch::default();
    let limits = Limits::default();
    for seed in seeds {
        let plan = timed(&mut batch.plan, || plan(seed))?;
        let stop = AtomicBool::new(false);
        // First, and forgotten: what is still alive would make the next one need new memory.
        let unobserved = timed(&mut batch.unobserved, || simulate(&plan, &stop));
        drop(black_box(unobserved));
        let simulation = timed(&mut batch.simulate, || {
            let mut detector = Detector::new(&plan);
            let simulation = simulate_observed(&plan, &stop, &mut detector);
            black_box(detector.finish());
            simulation
        });
        let evidence = &simulation.evidence;
        let passed = simulation.passed.as_ref();
        let verdict = timed(&mut batch.judge, || judge::run_after(evidence, passed, &limits));
        // A run that ended early would make the numbers look better than they are.
        ensure!(verdict.outcome == Outcome::Ok, "seed {seed}: {}", verdict.summary);
        count(&mut batch, &simulation);

        // The parts, again, alone.
        let operations =
            operation::pair(evidence.history.registers()).ok().context("malformed history")?;
        black_box(timed(&mut batch.linear, || linear::check(&operations, &limits)));
        black_box(timed(&mut batch.raft, || {
            raft::check_after(&evidence.traces, &evidence.run, passed)
        }));
        let mut steps: Vec<&Record> = evidence.traces.iter().flatten().collect();
        steps.sort_by_key(|record| record.time);
        timed(&mut batch.online, || {
            let mut checker = Checker::new();
            for step in &steps {
                black_box(checker.observe(step));
            }
        });
    }
    Ok(batch)
}

fn count(batch: &mut Batch, simulation: &Simulation) {
    let evidence = &simulation.evidence;
    let begun = evidence.history.places().filter(|place| place.kind == Kind::Invoke);
    batch.events += simulation.events;
    batch.operations += begun.count();
    batch.steps += evidence.traces.iter().map(Vec::len).sum::<usize>();
    batch.history += evidence.history.len();
    batch.virtual_time += simulation.virtual_time;
}

fn timed<T>(spent: &mut Duration, work: impl FnOnce() -> T) -> T {
    let began = ThreadTime::now();
    let done = work();
    *spent += began.elapsed();
    done
}

/// The median, and the range about it.
struct Spread(f64, f64, f64);

impl Spread {
    fn of(batches: &[Batch], figure: impl Fn(&Batch) -> f64) -> Self {
        let mut figures: Vec<f64> = batches.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        Self(at(figures.len() / 2), at(0), at(figures.len().saturating_sub(1)))
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let measured = arguments.iter().any(|argument| argument == "--bench");
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<u64>().ok());
    let (batches, seeds) = match measured {
        true => (numbers.next().unwrap_or(5).max(1), numbers.next().unwrap_or(100).max(1)),
        false => (1, 1),
    };
    // Caches and the allocator's memory warm up.
    batch(0..seeds.min(10))?;
    let done: Vec<Batch> = (0..batches)
        .map(|number| batch(number * seeds..(number + 1) * seeds))
        .collect::<anyhow::Result<_>>()?;
    report(&done, seeds as f64);
    Ok(())
}

fn report(batches: &[Batch], seeds: f64) {
    println!("5 nodes, 5 clients, 60 s, heartbeats every 50 ms, faults: {FAULTS}; one thread");
    println!("{} batches of {seeds} seeds: median (least to most)\n", batches.len());
    let line = |name: &str, digits: usize, figure: &dyn Fn(&Batch) -> f64| {
        let Spread(median, least, most) = Spread::of(batches, figure);
        println!("{name:<34}{median:>12.digits$}   ({least:.digits$} to {most:.digits$})");
    };
    let seconds = |batch: &Batch| batch.total().as_secs_f64();
    line("seeds per second", 1, &|b| seeds / seconds(b));
    line("virtual seconds per second", 0, &|b| b.virtual_time.as_secs_f64() / seconds(b));
    line("events per second", 0, &|b| b.events as f64 / seconds(b));
    line("ns per event", 0, &|b| seconds(b) * 1e9 / b.events as f64);
    println!("\nof one seed");
    line("  virtual seconds", 1, &|b| b.virtual_time.as_secs_f64() / seeds);
    line("  events", 0, &|b| b.events as f64 / seeds);
    line("  operations", 0, &|b| b.operations as f64 / seeds);
    line("  events of clients", 0, &|b| b.history as f64 / seeds);
    line("  steps of nodes", 0, &|b| b.steps as f64 / seeds);
    println!("\nms per seed");
    let part = |name: &str, time: &dyn Fn(&Batch) -> Duration| {
        line(name, 3, &|b| time(b).as_secs_f64() * 1e3 / seeds);
    };
    part("  all", &Batch::total);
    part("  plan", &|b| b.plan);
    part("  simulation", &|b| b.simulate);
    part("    safety, step by step", &|b| b.online);
    // Less than nothing where it is lost in the noise.
    line("    situations", 3, &|b| {
        (b.simulate.as_secs_f64() - b.unobserved.as_secs_f64()) * 1e3 / seeds
    });
    part("    the rest", &|b| b.simulate.min(b.unobserved).saturating_sub(b.online));
    part("  verdict", &|b| b.judge);
    part("    linearizability", &|b| b.linear);
    part("    safety", &|b| b.raft);
    part("    the rest", &|b| b.judge.saturating_sub(b.linear + b.raft));
    if let Some(peak) = peak_memory() {
        println!("\npeak memory: {peak}");
    }
}

/// The most memory that this process ever held, as Linux tells it.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().to_owned())
}
